"""What ``nox -s bench`` found: the file, and the figures that it comes down to."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

QUIET, DISTURBED = "quiet", "disturbed"
CONDITIONS = (QUIET, DISTURBED)


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All estimates of one estimator for one workload in one condition; interval ends are None where it gives none."""

    condition: str
    workload: str
    estimator: str
    ratios: tuple[float, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]

    @property
    def center(self) -> float:
        """Return the median of the estimates."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> float:
        """Return the interquartile range of the estimates as a share of their median."""
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return (high - low) / self.center

    @property
    def deviation(self) -> float:
        """Return the standard deviation of the estimates as a share of their mean."""
        return statistics.stdev(self.ratios) / statistics.mean(self.ratios)

    def bias(self, truth: float) -> float:
        """Return how far the median estimate is off, as a share of ``truth``."""
        return self.center / truth - 1

    def coverage(self, truth: float) -> float | None:
        """Return the share of intervals that hold ``truth``, None for an estimator that gives none."""
        ends = [(a, b) for a, b in zip(self.lows, self.highs, strict=True) if a is not None and b is not None]
        return sum(a <= truth <= b for a, b in ends) / len(ends) if ends else None


class Bench(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of ``nox -s bench``: where, when, with what, and every estimate."""

    schema: int
    created: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    seconds: float
    """What each estimate may take, in seconds."""
    references: dict[str, tuple[float, ...]]
    """The ratios of the long reference run, one for each of its processes, for each workload."""
    series: tuple[Series, ...]

    def truth(self, workload: str) -> float:
        """Return the ratio that the estimates of a workload are held against: the median of the reference run."""
        return statistics.median(self.references[workload])

    def estimators(self) -> list[str]:
        """Return the names of the estimators in the order of the file, each once."""
        return list(dict.fromkeys(one.estimator for one in self.series))

    def workloads(self) -> list[str]:
        """Return the names of the workloads in the order of the file, each once."""
        return list(self.references)

    def find(self, condition: str, workload: str, estimator: str) -> Series:
        """Return one series.

        Raises:
            KeyError: there is none.
        """
        wanted = (condition, workload, estimator)
        for one in self.series:
            if (one.condition, one.workload, one.estimator) == wanted:
                return one
        raise KeyError(wanted)

    def typical(self, condition: str, estimator: str, figure: str) -> float:
        """Return the median over the workloads of a series' ``spread`` or ``deviation``, or of its bias' size."""
        found = [self.find(condition, workload, estimator) for workload in self.workloads()]
        if figure == "bias":
            return statistics.median(abs(one.bias(self.truth(one.workload))) for one in found)
        return float(statistics.median(getattr(one, figure) for one in found))


def load(file: Path) -> Bench:
    """Read a file that :func:`save` wrote.

    Raises:
        ValueError: it isn't one; the message names the file and the place.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Bench)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file}: {error}; make it anew with 'nox -s bench'") from error


def save(bench: Bench, file: Path) -> None:
    """Write the file at once or not at all."""
    text = msgspec.json.format(msgspec.json.encode(bench), indent=1)
    partial = file.with_suffix(".partial")
    partial.write_bytes(text + b"\n")
    partial.replace(file)
