"""What a bench's estimates come down to: spread, bias and coverage of an estimator, and how sure they are.

A machine isn't the same on two days, and two hosts with the same name aren't the same machine. So what is compared with
each other, or with the yardstick, is always of one sitting; only then it is put together over all sittings.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.estimators import SIX
from benchmarks.results import Bench, Reference, Series

_NORMAL = statistics.NormalDist()


@dataclass(frozen=True)
class Sitting:
    """An estimator's series and the yardstick beside it, each with two values at least."""

    series: Series
    yardstick: Reference

    @property
    def center(self) -> float:
        """Return the median of the estimates."""
        return statistics.median(self.series.ratios)

    @property
    def truth(self) -> float:
        """Return the ratio that estimates are held against: the median of the yardstick's processes."""
        return statistics.median(self.yardstick.ratios)

    def hits(self, ratio: float) -> tuple[int, int]:
        """Return how many intervals hold ``ratio``, and how many there are."""
        return sum(low <= ratio <= high for low, high in self._ends()), len(self._ends())

    def hits_if_right(self) -> float:
        """Return how many of the intervals would hold the yardstick if all were right and the yardstick is as unsure as it is.

        A right interval of six processes misses the truth in 2 of 64 cases; a measured truth it misses more often. Both
        errors are taken for normal, and an interval's for as large as its width says. That makes it a little too small:
        by two of a hundred where the yardstick is half as unsure as a process, in a simulation.
        """
        doubt, level = _error(self.yardstick.ratios), _NORMAL.inv_cdf(1 - 1 / 2**SIX)
        halves = [(high - low) / 2 / self.truth for low, high in self._ends()]
        return sum(2 * _NORMAL.cdf(half / math.hypot(half / level, doubt)) - 1 for half in halves if half)

    def _ends(self) -> list[tuple[float, float]]:
        both = zip(self.series.lows, self.series.highs, strict=True)
        return [(low, high) for low, high in both if low is not None and high is not None]


@dataclass(frozen=True)
class Answers:
    """What an estimator said of one workload in one case, sitting for sitting."""

    workload: str
    sittings: tuple[Sitting, ...]

    @property
    def count(self) -> int:
        """Return how many estimates there are."""
        return sum(len(one.series.ratios) for one in self.sittings)

    @property
    def spread(self) -> float:
        """Return the interquartile range of the estimates, each as a share of its sitting's median."""
        return _width(self._shares())

    @property
    def deviation(self) -> float:
        """Return the standard deviation of the estimates, each as a share of its sitting's mean."""
        means = [statistics.mean(one.series.ratios) for one in self.sittings]
        shares = [r / mean for one, mean in zip(self.sittings, means, strict=True) for r in one.series.ratios]
        return statistics.stdev(shares)

    @property
    def bias(self) -> float:
        """Return how far the median estimate is off, as a share of its sitting's yardstick."""
        return statistics.median(r / one.truth for one in self.sittings for r in one.series.ratios) - 1

    @property
    def doubt(self) -> float:
        """Return the standard error of the bias: of the estimates' median and the yardsticks' together.

        A yardstick counts as often as there are estimates beside it.
        """
        parts = [_error(self._shares())]
        for one in self.sittings:
            parts.append(len(one.series.ratios) / self.count * _error(one.yardstick.ratios))
        return math.hypot(*parts)

    def hits(self, *, own: bool = False) -> tuple[int, int]:
        """Return how many intervals hold their yardstick, or their sitting's ``own`` center, and how many there are."""
        held = [one.hits(one.center if own else one.truth) for one in self.sittings]
        return sum(hit for hit, _ in held), sum(of for _, of in held)

    def hits_if_right(self) -> float:
        """Return how many intervals would hold their yardstick if all were right: fewer, the more unsure the yardstick is."""
        return sum(one.hits_if_right() for one in self.sittings)

    def coverage(self, *, own: bool = False) -> float | None:
        """Return the share of intervals that :meth:`hits` counts, None for an estimator that gives none."""
        held, of = self.hits(own=own)
        return held / of if of else None

    def _shares(self) -> list[float]:
        return [ratio / one.center for one in self.sittings for ratio in one.series.ratios]


def _width(values: Sequence[float]) -> float:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def _error(values: Sequence[float]) -> float:
    """Return the standard error of the median, as a share.

    It is that of a mean times 1.25 where values scatter normally; their deviation is taken from the interquartile range
    (1.35 of them), which a few outliers don't bend.
    """
    return 1.25 * _width(values) / 1.35 / math.sqrt(len(values))


def answers(bench: Bench, condition: str, estimator: str, seconds: float) -> list[Answers]:
    """Return what an estimator said, a workload each, from the sittings with enough estimates for a spread."""
    found: dict[str, list[Sitting]] = {}
    for one in bench.series:
        if (one.condition, one.estimator, one.seconds) == (condition, estimator, seconds) and len(one.ratios) > 1:
            yardstick = bench.reference(condition, one.workload, one.sitting)
            if len(yardstick.ratios) > 1:
                found.setdefault(one.workload, []).append(Sitting(one, yardstick))
    return [Answers(workload, tuple(sittings)) for workload, sittings in found.items()]


def typical(bench: Bench, condition: str, estimator: str, seconds: float, figure: str) -> float | None:
    """Return the median over the workloads of ``spread``, ``deviation``, ``doubt`` or the size of ``bias``; None without any."""
    values = [abs(getattr(one, figure)) for one in answers(bench, condition, estimator, seconds)]
    return statistics.median(values) if values else None


def hits(bench: Bench, condition: str, estimator: str, seconds: float, *, own: bool = False) -> tuple[int, int]:
    """Return how many intervals of all workloads hold their yardstick, or their ``own`` center, and how many there are."""
    held = [one.hits(own=own) for one in answers(bench, condition, estimator, seconds)]
    return sum(hit for hit, _ in held), sum(of for _, of in held)


def reachable(bench: Bench, condition: str, estimator: str, seconds: float) -> float | None:
    """Return the share of intervals of all workloads that would hold their yardstick if all were right; None without any."""
    found = answers(bench, condition, estimator, seconds)
    of = sum(one.hits()[1] for one in found)
    return sum(one.hits_if_right() for one in found) / of if of else None
