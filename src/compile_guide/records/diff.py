"""Two records side by side: what changed beyond its interval, how well they agree, as text and for a pull request.

What is compared depends on the machines. On one chip it is the candidate's seconds. Seconds of two chips say nothing
about the code, so between chips it is the speed-up that each of them gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile_guide.comparison import Comparison, Interval
from compile_guide.formatting import NOTHING, Table, format_percent, format_ratio, format_time
from compile_guide.records.schema import Record

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
        return _change(self.a.time_interval, self.b.time_interval, "longer", "shorter")

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
        """How much slower B is than A beyond the intervals, as a share (0.05 for 5 %): its time, between chips its speed-up."""
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


def same_chip(a: Record, b: Record) -> bool:
    """Return whether both records come from one kind of chip: the same backend, processor and GPU."""
    return all(getattr(a.machine, fact) == getattr(b.machine, fact) for fact in ("backend", "chip", "gpu", "gpu_cores"))


def rows(a: Record, b: Record) -> list[Row]:
    """Return the comparisons of two records in pairs, in the order of A, then those that only B has."""
    one, two = ({entry.name: entry.comparison() for entry in side.comparisons} for side in (a, b))
    same = same_chip(a, b)
    return [Row(name, one.get(name), two.get(name), same) for name in dict.fromkeys([*one, *two])]


# How well two records agree


Median = tuple[float | None, Interval, str]
"""A median of one comparison, its interval, and both in words."""


def _speed_up(c: Comparison) -> Median:
    return c.ratio, c.interval, format_ratio(c.ratio, c.interval)


def _time(c: Comparison) -> Median:
    return c.candidate_s, c.time_interval, format_time(c.candidate_s, c.spread)


def agreement_lines(found: Sequence[Row], bullet: str = "", code: Callable[[str], str] = str) -> list[str]:
    """Return how well two records agree in the speed-up and, on one chip, in the candidate's time.

    Below each stands what lies beyond its interval, the largest change first; ``code`` marks its name.
    """
    lines = _agreement("Speed-up", _speed_up, found, bullet, code)
    if found and found[0].same_chip:
        lines += _agreement("Candidate's time", _time, found, bullet, code)
    alone = sum(row.a is None or row.b is None for row in found)
    return [*lines, f"{bullet}In one record alone: {alone} of {len(found)} comparisons."] if alone else lines


def _agreement(
    what: str, median: Callable[[Comparison], Median], found: Sequence[Row], bullet: str, code: Callable[[str], str]
) -> list[str]:
    shifts, apart = [], []
    both = ((row.name, *median(row.a), *median(row.b)) for row in found if row.a and row.b)
    for name, a, a_interval, a_words, b, b_interval, b_words in both:
        if a and b and (change := _change(a_interval, b_interval, "up", "down")) != "no interval":
            shifts.append(max(b / a, a / b) - 1)  # 0.02 for 1.00 → 1.02 and for 1.02 → 1.00
            words = f"{a_words.partition(' (')[0]} → {b_words.partition(' (')[0]} ({format_percent(b / a - 1, signed=True)})"
            apart += [(-abs(math.log(b / a)), f"  {bullet}{code(name)}: {words}")] if change != "no change" else []
    total, shifts = len(shifts), sorted(shifts)
    if not total:
        return [f"{bullet}{what}: no comparison has an interval in both records."]
    overlap = total - len(apart)
    half, most = (format_percent(shifts[math.ceil(share * total) - 1]) for share in (0.5, 0.9))
    line = (
        f"{bullet}{what}: the intervals of {overlap} of {total} comparisons overlap ({format_percent(overlap / total)});"
        f" half of the medians differ by {half} or less, nine in ten by {most} or less."
    )
    return [line, *(text for _, text in sorted(apart, key=lambda one: one[0]))]


# As text and as Markdown


def as_text(a: Record, b: Record, found: Sequence[Row]) -> str:
    """Return what A and B are, a table of all comparisons, and how well the records agree."""
    lines = [f"{letter}: {_summary(one)}" for letter, one in (("A", a), ("B", b))]
    lines += [] if same_chip(a, b) else [CHIPS_DIFFER]
    return "\n".join([*lines, str(_table(found)), "", *agreement_lines(found)])


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
    sides = ([(_time(c)[2], _speed_up(c)[2]) if c else (NOTHING,) * 2 for c in (row.a, row.b)] for row in found)
    cells = [(row.name, *a, *b, row.time_verdict, row.verdict) for row, (a, b) in zip(found, sides, strict=True)]
    return Table((*header, "time from A to B", "speed-up from A to B"), tuple(cells))


def _markdown_table(found: Sequence[Row]) -> str:
    table = _table(found)
    cells = [(_code(name), *rest) for name, *rest in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (table.header, ["---"] * len(table.header), *cells))


def _code(text: str) -> str:
    """Return contributed text as a code span, in which nothing is markup and nobody is mentioned."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"
