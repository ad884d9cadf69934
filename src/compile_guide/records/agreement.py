"""How well two records agree: how many intervals overlap, how far the medians moved, and which comparisons lie apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compile_guide.records.diff import Interval, Row, time_interval
from compile_guide.timing import Comparison, format_ratio, format_time


@dataclass(frozen=True)
class Apart:
    """A comparison whose two intervals don't touch: both medians in words, and the change from A to B as a share."""

    name: str
    a: str
    b: str
    change: float

    @property
    def words(self) -> str:
        """Return what happened: ``1.8× → 1.5× (−17 %)``."""
        return f"{self.a} → {self.b} ({'+' if self.change > 0 else '−'}{percent(abs(self.change))})"


@dataclass(frozen=True)
class Agreement:
    """The agreement of two records in one quantity, over the comparisons that have an interval of it in both."""

    quantity: str
    moves: tuple[float, ...]
    """The share by which each median moved, in ascending order: 0.02 for 1.00 → 1.02 and for 1.02 → 1.00."""
    apart: tuple[Apart, ...]
    """Those beyond the intervals, the largest change first."""

    def within(self, share: float) -> float:
        """Return the smallest move that at least this share of the medians stay within."""
        return self.moves[math.ceil(share * len(self.moves)) - 1]

    @property
    def words(self) -> str:
        """Return the agreement in a sentence, for a reader who has seen no table."""
        total = len(self.moves)
        if not total:
            return f"{self.quantity}: no comparison has an interval in both records."
        overlap = f"the intervals of {total - len(self.apart)} of {total} comparisons overlap"
        moved = f"half of the medians moved by {percent(self.within(0.5))} or less, nine in ten by {percent(self.within(0.9))}"
        return f"{self.quantity}: {overlap} ({percent(1 - len(self.apart) / total)}); {moved} or less."


def percent(share: float) -> str:
    """Return a share in percent: whole percents, tenths below ten."""
    return f"{share * 100:.1f} %" if 0 < share < 0.0995 else f"{share * 100:.0f} %"


def agreements(found: Sequence[Row]) -> list[Agreement]:
    """Return how well two records agree in the speed-up and, on one chip, in the candidate's time."""
    made = [_agreement("Speed-up", found, lambda c: (c.ratio, c.interval), _ratio)]
    if found and found[0].same_chip:
        made.append(_agreement("Candidate's time", found, lambda c: (c.candidate_s, time_interval(c)), _time))
    return made


def _agreement(
    quantity: str,
    found: Sequence[Row],
    look: Callable[[Comparison], tuple[float | None, Interval]],
    tell: Callable[[Comparison], str],
) -> Agreement:
    moves, apart = [], []
    for row in found:
        if row.a is None or row.b is None:
            continue
        (before, one), (after, two) = look(row.a), look(row.b)
        if not before or not after or one is None or two is None:
            continue
        moves.append(max(before / after, after / before) - 1)
        if one[0] > two[1] or two[0] > one[1]:
            apart.append(Apart(row.name, tell(row.a), tell(row.b), after / before - 1))
    apart.sort(key=lambda one: -abs(math.log1p(one.change)))
    return Agreement(quantity, tuple(sorted(moves)), tuple(apart))


def _ratio(comparison: Comparison) -> str:
    return format_ratio(comparison.ratio, comparison.interval).partition(" (")[0]


def _time(comparison: Comparison) -> str:
    return format_time(comparison.candidate_s, spread=comparison.spread)


def as_lines(found: Sequence[Row], bullet: str = "", code: Callable[[str], str] = str) -> list[str]:
    """Return the agreement in lines; what lies apart is named below each sentence, ``code`` around its name."""
    lines = []
    for one in agreements(found):
        lines.append(f"{bullet}{one.words}")
        lines += [f"  {bullet}{code(apart.name)}: {apart.words}" for apart in one.apart]
    alone = sum(row.a is None or row.b is None for row in found)
    return [*lines, f"{bullet}In one record alone: {alone} of {len(found)} comparisons."] if alone else lines
