"""Two records side by side: what changed beyond its interval, how well they agree, as text and for a pull request.

What is compared depends on the machines. On one chip it is the candidate's seconds. Seconds of two chips say nothing
about the code, so between chips it is the speed-up that each of them gains.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile_guide.comparison import Comparison, median_interval, process_interval
from compile_guide.formatting import NOTHING, Table, format_percent, format_ratio, format_time
from compile_guide.records.schema import Record

Interval = tuple[float, float] | None
CHIPS_DIFFER = "Two different chips: their seconds aren't compared, only the speed-up that each of them gains."


@dataclass(frozen=True)
class Row:
    """One comparison in two records; either side is None where a record has no such comparison."""

    name: str
    a: Comparison | None
    b: Comparison | None
    same_chip: bool = True

    @property
    def verdict(self) -> str:
        """How the ratio changed, in words: only intervals that don't touch count as a change."""
        if self.a is None or self.b is None:
            return "only in A" if self.b is None else "only in B"
        return _change(self.a.interval, self.b.interval, "higher", "lower")

    @property
    def time_verdict(self) -> str:
        """How the candidate's time changed, in words; "not compared" between chips."""
        if self.a is None or self.b is None or not self.same_chip:
            return "not compared"
        return _change(time_interval(self.a), time_interval(self.b), "longer", "shorter")

    @property
    def decided(self) -> str:
        """The verdict on what is compared between these chips; empty if it can't be called slower, nor not slower."""
        verdict = self.time_verdict if self.same_chip else self.verdict
        return verdict if verdict in ("no change", "longer", "shorter", "higher", "lower") else ""

    @property
    def lost(self) -> str:
        """Why B can't be judged where A could, in words: it is missing, too slow to compare, or has no interval."""
        if self.decided or self.a is None:
            return ""
        if self.b is None:
            return "missing in B"
        if self.a.runs and self.b.slow_call_s is not None:
            return f"too slow to compare in B: one call takes {format_time(self.b.slow_call_s)}"
        return "without an interval in B" if self.a.interval is not None else ""

    @property
    def slowdown(self) -> float:
        """How much slower B is than A, as a share (0.05 for 5 %), and 0 unless the intervals lie apart.

        On one chip it is the candidate's median time in B over that in A, minus 1. Between chips it is the speed-up
        of A over that of B, minus 1.
        """
        if self.a is None or self.b is None or self.decided not in ("longer", "lower"):
            return 0.0
        a, b = (self.a.candidate_s, self.b.candidate_s) if self.same_chip else (self.b.ratio, self.a.ratio)
        return (b or 0.0) / (a or 1.0) - 1

    @property
    def changed(self) -> bool:
        """Whether anything changed beyond the intervals, or one record lacks the comparison."""
        return self.verdict not in ("no change", "no interval") or self.time_verdict in ("longer", "shorter")


def _change(a: Interval, b: Interval, up: str, down: str) -> str:
    if a is None or b is None:
        return "no interval"
    if a[0] <= b[1] and b[0] <= a[1]:
        return "no change"
    return up if b[0] > a[1] else down


def time_interval(comparison: Comparison) -> Interval:
    """Return the interval of the candidate's seconds, made as the ratio's: between processes, or between pairs."""
    runs = comparison.runs
    if len(runs) == 1:
        return median_interval(runs[0].candidate_s)
    return process_interval([statistics.median(run.candidate_s) for run in runs])


def same_chip(a: Record, b: Record) -> bool:
    """Return whether both records come from one kind of chip: the same backend, processor and GPU."""
    return all(getattr(a.machine, fact) == getattr(b.machine, fact) for fact in ("backend", "chip", "gpu", "gpu_cores"))


def rows(a: Record, b: Record) -> list[Row]:
    """Return the comparisons of two records in pairs, in the order of A, then those that only B has."""
    one, two = ({entry.name: entry.comparison() for entry in side.comparisons} for side in (a, b))
    same = same_chip(a, b)
    return [Row(name, one.get(name), two.get(name), same) for name in dict.fromkeys([*one, *two])]


# How well two records agree


@dataclass(frozen=True)
class Apart:
    """A comparison whose two intervals don't touch: both medians in words, and that of B over that of A."""

    name: str
    a: str
    b: str
    factor: float

    def __str__(self) -> str:
        """Return what happened: ``1.8× → 1.5× (−17 %)``."""
        return f"{self.a} → {self.b} ({format_percent(self.factor - 1, signed=True)})"


@dataclass(frozen=True)
class Agreement:
    """How well two records agree in one quantity, over the comparisons that have an interval of it in both.

    ``shifts`` are the shares by which the medians differ, in ascending order: 0.02 for 1.00 → 1.02 and for 1.02 → 1.00.
    ``apart`` are the comparisons beyond their intervals, the largest change first.
    """

    quantity: str
    shifts: tuple[float, ...]
    apart: tuple[Apart, ...]

    def __str__(self) -> str:
        """Return the agreement in a sentence that needs no table."""
        total = len(self.shifts)
        if not total:
            return f"{self.quantity}: no comparison has an interval in both records."
        overlap = total - len(self.apart)
        half, most = (format_percent(self.shifts[math.ceil(share * total) - 1]) for share in (0.5, 0.9))
        return (
            f"{self.quantity}: the intervals of {overlap} of {total} comparisons overlap ({format_percent(overlap / total)});"
            f" half of the medians differ by {half} or less, nine in ten by {most} or less."
        )


def agreements(found: Sequence[Row]) -> list[Agreement]:
    """Return how well two records agree in the speed-up and, on one chip, in the candidate's time."""
    both = [_agreement("Speed-up", found, lambda c: (c.ratio, c.interval, _ratio(c).partition(" (")[0]))]
    if found and found[0].same_chip:
        both.append(_agreement("Candidate's time", found, lambda c: (c.candidate_s, time_interval(c), _time(c))))
    return both


def _agreement(
    quantity: str, found: Sequence[Row], value: Callable[[Comparison], tuple[float | None, Interval, str]]
) -> Agreement:
    shifts, apart = [], []
    for name, one, two in ((row.name, value(row.a), value(row.b)) for row in found if row.a and row.b):
        (a, a_interval, a_words), (b, b_interval, b_words) = one, two
        change = _change(a_interval, b_interval, "up", "down")
        if a and b and change != "no interval":
            shifts.append(max(a / b, b / a) - 1)
            apart += [Apart(name, a_words, b_words, b / a)] if change != "no change" else []
    apart.sort(key=lambda one: -abs(math.log(one.factor)))
    return Agreement(quantity, tuple(sorted(shifts)), tuple(apart))


def _ratio(comparison: Comparison) -> str:
    return format_ratio(comparison.ratio, comparison.interval)


def _time(comparison: Comparison) -> str:
    return format_time(comparison.candidate_s, spread=comparison.spread)


def agreement_lines(found: Sequence[Row], bullet: str = "", code: Callable[[str], str] = str) -> list[str]:
    """Return the agreement in lines, and below each what lies apart; ``code`` marks its name."""
    lines = []
    for one in agreements(found):
        lines.append(f"{bullet}{one}")
        lines += [f"  {bullet}{code(apart.name)}: {apart}" for apart in one.apart]
    alone = sum(row.a is None or row.b is None for row in found)
    return [*lines, f"{bullet}In one record alone: {alone} of {len(found)} comparisons."] if alone else lines


# As text and as Markdown


def as_text(a: Record, b: Record, found: Sequence[Row]) -> str:
    """Return what A and B are, a table of all comparisons, and how well the records agree."""
    heading = [f"{letter}: {_summary(one)}" for letter, one in (("A", a), ("B", b))]
    heading += [] if same_chip(a, b) else [CHIPS_DIFFER]
    return "\n".join([*heading, str(_table(found)), "", *agreement_lines(found)])


def as_markdown(a: Record, b: Record, found: Sequence[Row]) -> str:
    """Return what changed as Markdown for a pull request: lists, a table, and the table of all comparisons folded."""
    both = [row for row in found if row.a is not None and row.b is not None]
    changed = [row for row in both if row.changed]
    lines = [f"- {letter}: {_code(_summary(one))}" for letter, one in (("A", a), ("B", b))]
    lines += ["", *([] if same_chip(a, b) else [CHIPS_DIFFER, ""])]
    lines += [f"{len(changed)} of {len(both)} comparisons in both records changed beyond their intervals.", ""]
    lines += [*agreement_lines(found, "- ", _code), ""]
    lines += [_markdown_table(changed), ""] if changed else []
    lines += ["<details><summary>All comparisons</summary>", "", _markdown_table(found), "", "</details>"]
    return "\n".join(lines)


def _summary(one: Record) -> str:
    computes = one.machine.gpu or one.machine.chip
    return " ".join(f"{one.id}, {computes}, MLX {one.machine.mlx}, {one.created}".split())


def _table(found: Sequence[Row]) -> Table:
    header = ("comparison", "A: candidate", "A: speed-up", "B: candidate", "B: speed-up")
    numbers = ([(_time(c), _ratio(c)) if c else (NOTHING, NOTHING) for c in (row.a, row.b)] for row in found)
    cells = [(row.name, *a, *b, row.time_verdict, row.verdict) for row, (a, b) in zip(found, numbers, strict=True)]
    return Table((*header, "time from A to B", "speed-up from A to B"), tuple(cells))


def _markdown_table(found: Sequence[Row]) -> str:
    table = _table(found)
    cells = [(_code(name), *rest) for name, *rest in table.rows]
    lines = [table.header, tuple("---" for _ in table.header), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """Return contributed text as a code span, in which nothing is markup and nobody is mentioned."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"
