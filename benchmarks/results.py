"""The file of estimates, ``docs/bench/ID.json``: what it holds, how it is read, written, continued and merged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from benchmarks import BenchError
from compile_guide._files import write_atomically

QUIET, DISTURBED = "quiet", "disturbed"
CONDITIONS = (QUIET, DISTURBED)
SCHEMA = 2
"""1: one number of seconds for all, one reference for both conditions; 2: each series has its seconds, each condition its own."""
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

    sitting: str = ""
    """When or where they were made, such as a day: estimates are compared with the reference of their own sitting."""

    @property
    def key(self) -> tuple[str, str, str, float, str]:
        """What tells series apart."""
        return self.condition, self.workload, self.estimator, self.seconds, self.sitting


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reference of one workload in one condition: a ratio from each of its processes, spread over the estimates."""

    condition: str
    workload: str
    ratios: tuple[float, ...] = ()
    sitting: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells references apart."""
        return self.condition, self.workload, self.sitting


class Bench(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All estimates on one machine, with the machine, the packages, and the time of the last estimate."""

    schema: int
    method: int
    """The version of the method; see :data:`benchmarks.estimators.METHOD`."""
    created: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    references: tuple[Reference, ...] = ()
    series: tuple[Series, ...] = ()
    note: str = ""
    """A sentence for readers about how it ran, such as how many series ran side by side; or nothing."""

    @property
    def place(self) -> str:
        """Machine and backend in a few words: with the number of cores for the CPU, with the function if there is only one."""
        backend, names = str(self.machine["backend"]), self.workloads()
        cores = f", {self.machine['cores']} cores" if backend == "cpu" else ""
        only = f", {names[0]} only" if len(names) == 1 else ""
        return f"{self.machine['chip']}{cores}, {'Metal' if backend == 'metal' else backend.upper()} backend{only}"

    def size(self) -> int:
        """Return how many estimates there are in all."""
        return sum(len(one.ratios) for one in self.series)

    def reference(self, condition: str, workload: str, sitting: str = "") -> Reference:
        """Return the reference of a sitting, empty where it wasn't measured."""
        there = (one for one in self.references if one.key == (condition, workload, sitting))
        return next(there, Reference(condition, workload, sitting=sitting))

    def estimators(self) -> list[str]:
        """Return the names of the estimators in the order of the file, each once."""
        return list(dict.fromkeys(one.estimator for one in self.series))

    def workloads(self) -> list[str]:
        """Return the names of the workloads in the order of the file, each once."""
        return list(dict.fromkeys(one.workload for one in self.series))

    def budgets(self) -> list[float]:
        """Return the seconds that estimates were given, shortest first."""
        return sorted({one.seconds for one in self.series})

    def sittings(self) -> list[str]:
        """Return the names of the sittings in the order of the file, each once."""
        return list(dict.fromkeys(one.sitting for one in self.series))

    def count(self, condition: str, workload: str, estimator: str, seconds: float) -> int:
        """Return how many estimates there are of a kind, over all sittings."""
        wanted = (condition, workload, estimator, seconds)
        return sum(len(one.ratios) for one in self.series if one.key[:4] == wanted)

    def find(self, condition: str, workload: str, estimator: str, seconds: float, sitting: str = "") -> Series:
        """Return one series, empty where there is none yet."""
        wanted = (condition, workload, estimator, seconds, sitting)
        return next((one for one in self.series if one.key == wanted), Series(*wanted[:4], sitting=sitting))


def merge(one: Bench, other: Bench) -> Bench:
    """Return the estimates of both, first those of ``one``; facts are those of ``one``, the time is the later.

    Raises:
        BenchError: they come from other machines, package versions or versions of the method.
    """
    if found := difference(one, other):
        raise BenchError(f"two benches can't be put together: the first's {found}")
    references = {it.key: it for it in one.references}
    for it in other.references:
        before = one.reference(*it.key)
        references[it.key] = msgspec.structs.replace(it, ratios=before.ratios + it.ratios)
    series = {it.key: it for it in one.series}
    for new in other.series:
        old = one.find(*new.key)
        series[new.key] = msgspec.structs.replace(
            new, ratios=old.ratios + new.ratios, lows=old.lows + new.lows, highs=old.highs + new.highs
        )
    return msgspec.structs.replace(
        one, created=max(one.created, other.created), packages=one.packages | other.packages,
        references=tuple(references.values()), series=tuple(series.values()), note=one.note or other.note,
    )  # fmt: skip


def difference(there: Bench, here: Bench) -> str | None:
    """Return in words what keeps the estimates of two benches apart; None if nothing does.

    On a GPU the host's number of cores doesn't: the GPU computes, and another host is a sitting of its own.
    """
    if there.method != here.method:
        return "estimates were made by another version of the method"
    theirs, ours = {**there.machine, **there.packages}, {**here.machine, **here.packages}
    if ours["backend"] != "cpu":
        theirs.pop("cores", None)
    return next(
        (f"{key} is {value}, here {ours[key]}" for key, value in theirs.items() if ours.get(key, value) != value), None
    )


def load(file: Path) -> Bench:
    """Read a file that :func:`save` wrote.

    Raises:
        BenchError: it isn't one; the message names the file and the place.
    """
    try:
        schema = msgspec.json.decode(file.read_bytes(), type=_Versioned).schema
        if schema != SCHEMA:
            raise msgspec.ValidationError(f"schema {schema}, and this program reads {SCHEMA}")
        return msgspec.json.decode(file.read_bytes(), type=Bench)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{file}: {error}; delete it and measure again with 'nox -s bench'") from error


class _Versioned(msgspec.Struct):
    schema: int


def save(bench: Bench, file: Path) -> None:
    """Write the file at once or not at all."""
    write_atomically(_lines(bench).encode(), file)


def _lines(bench: Bench) -> str:
    """Return the file's text, one line for each series: a diff shows a changed series as one changed line."""
    parts = [
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in msgspec.to_builtins(bench).items()
        if key not in LISTS
    ]
    for key in LISTS:
        rows = ",\n  ".join(msgspec.json.encode(one).decode() for one in getattr(bench, key))
        parts.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
    return "{\n " + ",\n ".join(parts) + "\n}\n"
