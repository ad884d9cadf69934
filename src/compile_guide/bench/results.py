"""What ``nox -s bench`` found: the file, and the figures that it comes down to."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import msgspec

QUIET, DISTURBED = "quiet", "disturbed"
CONDITIONS = (QUIET, DISTURBED)
SCHEMA = 2
"""1: one number of seconds for all, one yardstick for both conditions; 2: each series has its seconds, each condition its own."""
LISTS = ("references", "series")


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All estimates of one estimator for one workload in one condition; interval ends are None where it gives none."""

    condition: str
    workload: str
    estimator: str
    seconds: float
    """What each estimate may take."""
    ratios: tuple[float, ...] = ()
    lows: tuple[float | None, ...] = ()
    highs: tuple[float | None, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, float]:
        """Return what tells series apart."""
        return self.condition, self.workload, self.estimator, self.seconds

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

    def hits(self, truth: float) -> tuple[int, int]:
        """Return how many intervals hold ``truth``, and how many there are."""
        ends = [(a, b) for a, b in zip(self.lows, self.highs, strict=True) if a is not None and b is not None]
        return sum(a <= truth <= b for a, b in ends), len(ends)

    def coverage(self, truth: float) -> float | None:
        """Return the share of intervals that hold ``truth``, None for an estimator that gives none."""
        held, of = self.hits(truth)
        return held / of if of else None


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The yardstick of one workload in one condition: a ratio from each of its processes, spread over the estimates."""

    condition: str
    workload: str
    ratios: tuple[float, ...] = ()


class Bench(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``nox -s bench`` found on one machine: where, when last, with what, and every estimate."""

    schema: int
    method: int
    """Of the estimators; see :data:`compile_guide.bench.estimators.METHOD`."""
    created: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    references: tuple[Reference, ...] = ()
    series: tuple[Series, ...] = ()
    note: str = ""
    """What else a reader must know of how it ran, such as how many ran side by side; a sentence or nothing."""

    @property
    def place(self) -> str:
        """Return machine and backend in a few words, for the CPU with its cores; and the function where it is a single one."""
        backend, names = str(self.machine["backend"]), self.workloads()
        cores = f", {self.machine['cores']} cores" if backend == "cpu" else ""
        alone = f", {names[0]} alone" if len(names) == 1 else ""
        return f"{self.machine['chip']}{cores}, {'Metal' if backend == 'metal' else backend.upper()} backend{alone}"

    def size(self) -> int:
        """Return how many estimates there are in all."""
        return sum(len(one.ratios) for one in self.series)

    def reference(self, condition: str, workload: str) -> Reference:
        """Return the yardstick, empty where it wasn't measured."""
        wanted = (condition, workload)
        there = (one for one in self.references if (one.condition, one.workload) == wanted)
        return next(there, Reference(*wanted))

    def truth(self, condition: str, workload: str) -> float:
        """Return the ratio that estimates are held against: the median of the yardstick's processes."""
        return statistics.median(self.reference(condition, workload).ratios)

    def doubt(self, one: Series) -> float:
        """Return the standard error of a series' bias, as a share: of its median and the yardstick's together.

        A median's standard error is that of a mean times 1.25 where values scatter normally; their deviation is taken
        from the interquartile range (1.35 of them), which a few outliers don't bend.
        """
        parts = []
        for values in (one.ratios, self.reference(one.condition, one.workload).ratios):
            low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
            parts.append(1.25 * (high - low) / 1.35 / middle / math.sqrt(len(values)))
        return math.hypot(*parts)

    def estimators(self) -> list[str]:
        """Return the names of the estimators in the order of the file, each once."""
        return list(dict.fromkeys(one.estimator for one in self.series))

    def workloads(self) -> list[str]:
        """Return the names of the workloads in the order of the file, each once."""
        return list(dict.fromkeys(one.workload for one in self.series))

    def budgets(self) -> list[float]:
        """Return the seconds that estimates were given, shortest first."""
        return sorted({one.seconds for one in self.series})

    def find(self, condition: str, workload: str, estimator: str, seconds: float) -> Series:
        """Return one series, empty where there is none yet."""
        wanted = (condition, workload, estimator, seconds)
        return next((one for one in self.series if one.key == wanted), Series(*wanted))

    def of(self, condition: str, estimator: str, seconds: float) -> list[Series]:
        """Return an estimator's series, those of enough estimates for a spread, over all workloads."""
        wanted = (condition, estimator, seconds)
        return [s for s in self.series if (s.condition, s.estimator, s.seconds) == wanted and len(s.ratios) > 1]

    def typical(self, condition: str, estimator: str, seconds: float, figure: str) -> float | None:
        """Return the median over the workloads of ``spread``, ``deviation``, or the size of ``bias``; None without any."""
        found = self.of(condition, estimator, seconds)
        if figure == "bias":
            values = [abs(one.bias(self.truth(condition, one.workload))) for one in found]
        else:
            values = [getattr(one, figure) for one in found]
        return statistics.median(values) if values else None

    def hits(self, condition: str, estimator: str, seconds: float, *, own: bool = False) -> tuple[int, int]:
        """Return how many intervals of all workloads hold their yardstick, or their ``own`` center, and how many there are."""
        found = self.of(condition, estimator, seconds)
        held = [one.hits(one.center if own else self.truth(condition, one.workload)) for one in found]
        return sum(hit for hit, _ in held), sum(of for _, of in held)


def joined(one: Bench, other: Bench) -> Bench:
    """Return the estimates of both, first those of ``one``; facts are those of ``one``, the time is the later.

    Raises:
        ValueError: they come from other machines, versions or methods.
    """
    if difference := differ(one, other):
        raise ValueError(f"two benches can't be put together: the first's {difference}")
    references = {(it.condition, it.workload): it for it in one.references}
    for it in other.references:
        before = one.reference(it.condition, it.workload)
        references[it.condition, it.workload] = Reference(it.condition, it.workload, before.ratios + it.ratios)
    series = {it.key: it for it in one.series}
    for new in other.series:
        old = one.find(*new.key)
        series[new.key] = Series(*new.key, old.ratios + new.ratios, old.lows + new.lows, old.highs + new.highs)
    return msgspec.structs.replace(
        one, created=max(one.created, other.created), packages=one.packages | other.packages,
        references=tuple(references.values()), series=tuple(series.values()), note=one.note or other.note,
    )  # fmt: skip


def noted(bench: Bench, note: str) -> Bench:
    """Return the bench with this note, or with its own where that is empty."""
    return msgspec.structs.replace(bench, note=note or bench.note)


def differ(there: Bench, here: Bench) -> str | None:
    """Say what keeps estimates of two benches apart, None if nothing does."""
    if there.method != here.method:
        return "estimates were made in another way"
    facts, mine = {**there.machine, **there.packages}, {**here.machine, **here.packages}
    return next((f"{k} is {v}, here {mine[k]}" for k, v in facts.items() if mine.get(k, v) != v), None)


def load(file: Path) -> Bench:
    """Read a file that :func:`save` wrote.

    Raises:
        ValueError: it isn't one; the message names the file and the place.
    """
    try:
        schema = msgspec.json.decode(file.read_bytes(), type=_Versioned).schema
        if schema != SCHEMA:
            raise msgspec.ValidationError(f"schema {schema}, and this program reads {SCHEMA}")
        return msgspec.json.decode(file.read_bytes(), type=Bench)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file}: {error}; delete it and make it anew with 'nox -s bench'") from error


class _Versioned(msgspec.Struct):
    schema: int


def save(bench: Bench, file: Path) -> None:
    """Write the file at once or not at all."""
    partial = file.with_suffix(".partial")
    partial.write_text(_lines(bench), encoding="utf-8")
    partial.replace(file)


def _lines(bench: Bench) -> str:
    """One line for each series: a changed estimate is a changed line, and thousands of them are no thousands of lines."""
    parts = [
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in msgspec.to_builtins(bench).items()
        if key not in LISTS
    ]
    for key in LISTS:
        rows = ",\n  ".join(msgspec.json.encode(one).decode() for one in getattr(bench, key))
        parts.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
    return "{\n " + ",\n ".join(parts) + "\n}\n"
