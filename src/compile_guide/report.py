"""Two records side by side: which comparisons moved beyond their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from compile_guide.record import Record
from compile_guide.timing import Comparison, Table, format_ratio, format_time


@dataclass(frozen=True)
class Row:
    """One comparison in two records; either side is None where a record has no such comparison."""

    name: str
    a: Comparison | None
    b: Comparison | None

    @property
    def verdict(self) -> str:
        """Return in words how the ratio moved: only intervals that don't touch count as a change."""
        if self.a is None or self.b is None:
            return "only in A" if self.b is None else "only in B"
        one, two = self.a.interval, self.b.interval
        if one is None or two is None:
            return "no interval"
        if one[0] <= two[1] and two[0] <= one[1]:
            return "no change"
        return "higher" if two[0] > one[1] else "lower"


def rows(a: Record, b: Record) -> list[Row]:
    """Pair up the comparisons of two records, in the order of A, then what only B has."""
    one, two = ({entry.name: entry.comparison() for entry in side.comparisons} for side in (a, b))
    return [Row(name, one.get(name), two.get(name)) for name in [*one, *(n for n in two if n not in one)]]


def as_table(found: list[Row]) -> Table:
    """Return the rows as a table: name, candidate's time and speed-up in A and in B, and what changed."""
    cells = [(row.name, *_cells(row.a), *_cells(row.b), row.verdict) for row in found]
    header = ("comparison", "A: candidate", "A: speed-up", "B: candidate", "B: speed-up", "speed-up from A to B")
    return Table(header, tuple(cells))


def _cells(side: Comparison | None) -> tuple[str, str]:
    if side is None:
        return "—", "—"
    return format_time(side.candidate_s, spread=side.spread), format_ratio(side.ratio, side.interval)
