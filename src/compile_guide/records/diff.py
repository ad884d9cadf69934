"""Two records side by side: which comparisons changed beyond their intervals, as a table and for a pull request.

What is compared depends on the machines. On one chip it is the candidate's seconds. Seconds of two chips say nothing
about the code, so there it is the speed-up, each chip's own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from compile_guide.records.schema import Record
from compile_guide.timing import Comparison, Table, format_ratio, format_time, median_interval

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
        """Return in words how the ratio moved: only intervals that don't touch count as a change."""
        if self.a is None or self.b is None:
            return "only in A" if self.b is None else "only in B"
        return _moved(self.a.interval, self.b.interval, "higher", "lower")

    @property
    def time_verdict(self) -> str:
        """Return in words how the candidate's time moved; "not compared" between chips."""
        if self.a is None or self.b is None or not self.same_chip:
            return "not compared"
        return _moved(time_interval(self.a), time_interval(self.b), "longer", "shorter")

    @property
    def decided(self) -> bool:
        """Whether both records have an interval of what is compared, so that "slower" can be told at all."""
        return not {self.time_verdict if self.same_chip else self.verdict} & {
            *("not compared", "no interval", "only in A", "only in B"),
        }

    @property
    def slowdown(self) -> float:
        """How much slower B is than A, as a share (0.05 for 5 %), and 0 unless the intervals lie apart.

        On one chip it is the candidate's median time in B over that in A, minus 1. Between chips it is the speed-up
        of A over that of B, minus 1.
        """
        if not self.decided or (self.time_verdict if self.same_chip else self.verdict) not in ("longer", "lower"):
            return 0.0
        assert self.a is not None and self.b is not None
        if self.same_chip:
            return (self.b.candidate_s or 0.0) / (self.a.candidate_s or 1.0) - 1
        return (self.a.ratio or 0.0) / (self.b.ratio or 1.0) - 1

    @property
    def changed(self) -> bool:
        """Whether anything moved beyond the intervals, or one record lacks the comparison."""
        return self.verdict not in ("no change", "no interval") or self.time_verdict in ("longer", "shorter")


def _moved(a: Interval, b: Interval, up: str, down: str) -> str:
    if a is None or b is None:
        return "no interval"
    if a[0] <= b[1] and b[0] <= a[1]:
        return "no change"
    return up if b[0] > a[1] else down


def time_interval(comparison: Comparison) -> Interval:
    """Return the 95 % interval of the candidate's seconds, made as the ratio's: between processes, or between pairs."""
    runs = comparison.runs
    if len(runs) == 1:
        return median_interval(runs[0].candidate_s)
    return median_interval([statistics.median(run.candidate_s) for run in runs])


def same_chip(a: Record, b: Record) -> bool:
    """Whether both records come from one kind of chip: the same backend, processor and GPU."""
    return all(getattr(a.machine, fact) == getattr(b.machine, fact) for fact in ("backend", "chip", "gpu", "gpu_cores"))


def rows(a: Record, b: Record) -> list[Row]:
    """Pair up the comparisons of two records, in the order of A, then what only B has."""
    one, two = ({entry.name: entry.comparison() for entry in side.comparisons} for side in (a, b))
    names, same = [*one, *(n for n in two if n not in one)], same_chip(a, b)
    return [Row(name, one.get(name), two.get(name), same) for name in names]


def as_table(found: list[Row]) -> Table:
    """Return the rows as a table: name, candidate's time and speed-up in A and in B, and what changed."""
    header = ("comparison", "A: candidate", "A: speed-up", "B: candidate", "B: speed-up")
    cells = [(row.name, *_cells(row.a), *_cells(row.b), row.time_verdict, row.verdict) for row in found]
    return Table((*header, "time from A to B", "speed-up from A to B"), tuple(cells))


def _cells(side: Comparison | None) -> tuple[str, str]:
    if side is None:
        return "—", "—"
    return format_time(side.candidate_s, spread=side.spread), format_ratio(side.ratio, side.interval)


def heading(a: Record, b: Record) -> list[str]:
    """Return lines that say what A and B are, and what may be compared between them."""
    lines = [f"{letter}: {told(one)}" for letter, one in (("A", a), ("B", b))]
    return lines if same_chip(a, b) else [*lines, CHIPS_DIFFER]


def told(one: Record) -> str:
    """Return a record in one line."""
    computes = one.machine.gpu or one.machine.chip
    return " ".join(f"{one.id}, {computes}, MLX {one.machine.mlx}, {one.created}".split())


def as_markdown(a: Record, b: Record, found: list[Row], agreement: Sequence[str] = ()) -> str:
    """Return what changed as Markdown, for a pull request: list items on the agreement, then tables, the whole one folded."""
    both = [row for row in found if row.a is not None and row.b is not None]
    moved = [row for row in both if row.changed]
    lines = [f"- {letter}: {code(told(one))}" for letter, one in (("A", a), ("B", b))]
    lines += ["", *([] if same_chip(a, b) else [CHIPS_DIFFER, ""])]
    lines += [f"{len(moved)} of {len(both)} comparisons in both records changed beyond their intervals.", ""]
    lines += [*agreement, ""] if agreement else []
    lines += [_markdown_table(moved), ""] if moved else []
    lines += ["<details><summary>All comparisons</summary>", "", _markdown_table(found), "", "</details>"]
    return "\n".join(lines)


def _markdown_table(found: list[Row]) -> str:
    table = as_table(found)
    cells = [(code(name), *rest) for name, *rest in table.rows]
    lines = [table.header, tuple("---" for _ in table.header), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Contributed text as a code span, in which nothing is markup and nobody is mentioned."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"
