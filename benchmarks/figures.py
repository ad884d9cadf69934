"""Figures of an estimator from its estimates: spread, bias and coverage, and the standard error of the bias.

A machine isn't the same on two days, and two hosts with the same name aren't the same machine. So estimates are compared
with each other and with the reference within one sitting only; then the sittings are put together.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from benchmarks.estimators import OURS, SIX
from benchmarks.results import Bench, Reference, Series
from compile_guide.comparison import process_interval

INTERVALS_SINCE = 4
"""The first version of the method whose intervals are wider than the range of six processes."""
_NORMAL = statistics.NormalDist()


@dataclass(frozen=True)
class Sitting:
    """An estimator's series and the reference beside it, each with at least two values."""

    series: Series
    reference: Reference

    @property
    def center(self) -> float:
        """The median of the estimates."""
        return statistics.median(self.series.ratios)

    @property
    def truth(self) -> float:
        """The ratio that estimates are compared with: the median of the reference's processes."""
        return statistics.median(self.reference.ratios)

    def hits(self, ratio: float) -> tuple[int, int]:
        """Return how many intervals hold ``ratio``, and how many there are."""
        return sum(low <= ratio <= high for low, high in self._ends()), len(self._ends())

    def widths(self) -> list[float]:
        """Return the width of each interval, as a share of its estimate."""
        three = zip(self.series.ratios, self.series.lows, self.series.highs, strict=True)
        return [(high - low) / ratio for ratio, low, high in three if low is not None and high is not None]

    def expected_hits(self) -> float:
        """Return how many of the intervals would hold the reference if all were right, given the reference's own error.

        A right interval of six processes misses the truth in 2 of 64 cases; it misses a measured truth more often. Both
        errors are taken for normal, and an interval's for as large as its width says. That makes the number a little too
        small: by two of a hundred where the reference's error is half that of a process, in a simulation.
        """
        error, level = _error(self.reference.ratios), _NORMAL.inv_cdf(1 - 1 / 2**SIX)
        halves = [(high - low) / 2 / self.truth for low, high in self._ends()]
        return sum(2 * _NORMAL.cdf(half / math.hypot(half / level, error)) - 1 for half in halves if half)

    def _ends(self) -> list[tuple[float, float]]:
        both = zip(self.series.lows, self.series.highs, strict=True)
        return [(low, high) for low, high in both if low is not None and high is not None]


@dataclass(frozen=True)
class Answers:
    """The estimates of one workload by one estimator in one condition, sitting by sitting."""

    workload: str
    sittings: tuple[Sitting, ...]

    @property
    def count(self) -> int:
        """How many estimates there are."""
        return sum(len(one.series.ratios) for one in self.sittings)

    @property
    def spread(self) -> float:
        """The interquartile range of the estimates, each as a share of its sitting's median."""
        return _width(self._shares())

    @property
    def deviation(self) -> float:
        """The standard deviation of the estimates, each as a share of its sitting's mean."""
        means = [statistics.mean(one.series.ratios) for one in self.sittings]
        shares = [r / mean for one, mean in zip(self.sittings, means, strict=True) for r in one.series.ratios]
        return statistics.stdev(shares)

    @property
    def bias(self) -> float:
        """How far the median estimate is off, as a share of its sitting's reference; signed."""
        return statistics.median(r / one.truth for one in self.sittings for r in one.series.ratios) - 1

    @property
    def standard_error(self) -> float:
        """The standard error of the bias: of the estimates' median and the references' together.

        A reference is weighted by the number of estimates beside it.
        """
        parts = [_error(self._shares())]
        for one in self.sittings:
            parts.append(len(one.series.ratios) / self.count * _error(one.reference.ratios))
        return math.hypot(*parts)

    @property
    def width(self) -> float:
        """The median width of the intervals, each as a share of its estimate; NaN for an estimator without intervals."""
        widths = [width for one in self.sittings for width in one.widths()]
        return statistics.median(widths) if widths else math.nan

    def hits(self, *, own: bool = False) -> tuple[int, int]:
        """Return how many intervals hold their reference, or their sitting's ``own`` center, and how many there are."""
        hits = [one.hits(one.center if own else one.truth) for one in self.sittings]
        return sum(hit for hit, _ in hits), sum(of for _, of in hits)

    def expected_hits(self) -> float:
        """Return how many intervals would hold their reference if all were right."""
        return sum(one.expected_hits() for one in self.sittings)

    def coverage(self, *, own: bool = False) -> float | None:
        """Return the share of intervals that :meth:`hits` counts; None for an estimator without intervals."""
        held, of = self.hits(own=own)
        return held / of if of else None

    def _shares(self) -> list[float]:
        return [ratio / one.center for one in self.sittings for ratio in one.series.ratios]


def _width(values: Sequence[float]) -> float:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def _error(values: Sequence[float]) -> float:
    """Return the standard error of the median, as a share of it.

    It is that of a mean times 1.25 where values scatter normally; their deviation is taken from the interquartile range
    (1.35 of them), which a few outliers don't change.
    """
    return 1.25 * _width(values) / 1.35 / math.sqrt(len(values))


def answers(bench: Bench, condition: str, estimator: str, seconds: float) -> list[Answers]:
    """Return an estimator's answers, one for each workload, from the sittings with enough estimates for a spread."""
    by_workload: dict[str, list[Sitting]] = {}
    for one in bench.series:
        if (one.condition, one.estimator, one.seconds) == (condition, estimator, seconds) and len(one.ratios) > 1:
            reference = bench.reference(condition, one.workload, one.sitting)
            if len(reference.ratios) > 1:
                by_workload.setdefault(one.workload, []).append(Sitting(one, reference))
    return [Answers(workload, tuple(sittings)) for workload, sittings in by_workload.items()]


def recomputed(bench: Bench) -> Bench:
    """Return a bench with the intervals of six processes as version 4 makes them.

    Versions before 4 stored each estimate's median and its plain range, the smallest and the largest of the six processes'
    medians; version 4 makes its interval of these three. A file of version 4 comes back as it is.
    """
    if bench.method >= INTERVALS_SINCE:
        return bench
    return msgspec.structs.replace(bench, series=tuple(_recomputed(one) for one in bench.series))


def _recomputed(series: Series) -> Series:
    if series.estimator != OURS:
        return series
    ends: list[tuple[float | None, float | None]] = []
    for ratio, low, high in zip(series.ratios, series.lows, series.highs, strict=True):
        made = process_interval([low, *[ratio] * (SIX - 2), high]) if low and high else None
        ends.append(made or (None, None))
    return msgspec.structs.replace(series, lows=tuple(low for low, _ in ends), highs=tuple(high for _, high in ends))


def over_workloads(bench: Bench, condition: str, estimator: str, seconds: float, figure: str) -> float | None:
    """Return the median over the workloads of a property of :class:`Answers`, its size alone; None without any."""
    values = [abs(getattr(one, figure)) for one in answers(bench, condition, estimator, seconds)]
    return statistics.median(values) if values else None


def hits(bench: Bench, condition: str, estimator: str, seconds: float, *, own: bool = False) -> tuple[int, int]:
    """Return how many intervals of all workloads hold their reference, or their ``own`` center, and how many there are."""
    pairs = [one.hits(own=own) for one in answers(bench, condition, estimator, seconds)]
    return sum(hit for hit, _ in pairs), sum(of for _, of in pairs)


def expected_coverage(bench: Bench, condition: str, estimator: str, seconds: float) -> float | None:
    """Return the share of all workloads' intervals that would hold their reference if all were right; None without any."""
    all_of_them = answers(bench, condition, estimator, seconds)
    of = sum(one.hits()[1] for one in all_of_them)
    return sum(one.expected_hits() for one in all_of_them) / of if of else None
