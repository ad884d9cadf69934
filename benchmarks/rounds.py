"""Let all estimators estimate in rounds, and put what they said beside what they said before."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.asking import Ask, Found, disturbance
from benchmarks.estimators import METHOD, REFERENCE, RUN, SIX, combined
from benchmarks.results import DISTURBED, SCHEMA, Bench, Reference, Series, differ, joined, load, save
from compile_guide.recorder.machine import Machine, machine

OURS_SIX = "compare(), six processes"
REFERENCE_S = 1.0
DISTRIBUTIONS = {"torch.utils.benchmark": "torch", "pyperf": "pyperf", "pytest-benchmark": "pytest-benchmark"}
Job = tuple[str, str]
"""A workload and an estimator (or the yardstick)."""


class BenchError(RuntimeError):
    """What was asked for can't be done; one line says what to change."""


@dataclass(frozen=True)
class Part:
    """What to run: every workload by every estimator, in one condition, with so many seconds for each estimate."""

    workloads: tuple[str, ...]
    estimators: tuple[str, ...]
    condition: str
    seconds: float
    references: int = 1
    """Processes of the yardstick for each workload and round."""
    sitting: str = ""
    """What tells these estimates from those of another day or host."""


def begin(file: Path, estimators: tuple[str, ...]) -> Bench:
    """Return what ``file`` holds, to be continued, or a bench without estimates if there is no such file.

    Raises:
        BenchError: it is broken, or comes from another machine, other versions or another method.
    """
    here = _here(estimators)
    if not file.exists():
        return here
    try:
        there = load(file)
    except ValueError as error:
        raise BenchError(str(error)) from error
    if other := differ(there, here):
        raise BenchError(f"{file} can't be continued here: its {other}. Name another file with --out, or delete it")
    return joined(there, here)


def _here(estimators: tuple[str, ...]) -> Bench:
    used = {"mlx", *(DISTRIBUTIONS[name] for name in estimators if name in DISTRIBUTIONS)}
    return Bench(SCHEMA, METHOD, now(), facts(machine()), {name: version(name) for name in sorted(used)})


def facts(found: Machine) -> dict[str, str | int]:
    """Return what the bench's files say of a machine."""
    return {"chip": found.gpu or found.chip, "cores": found.cores, "backend": found.backend,
            "os": found.os, "python": found.python, "mlx": found.mlx}  # fmt: skip


def now() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def version(package: str) -> str:
    """Return an installed package's version; Debian's torch says it in the module alone."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return str(importlib.import_module(package).__version__)


def rounds(bench: Bench, part: Part, repeats: int, ask: Ask, until: float = float("inf")) -> Iterator[Bench]:
    """Go round after round until each has ``repeats`` estimates; give the bench after each round.

    A round asks every estimator about every workload once, and the yardstick about each workload, in an order drawn anew. ``until`` is a :func:`time.monotonic` at which no round shall still run.
    """
    longest = 0.0
    with disturbance() if part.condition == DISTURBED else contextlib.nullcontext():
        while jobs := _missing(bench, part, repeats):
            start = time.monotonic()
            if start + longest > until:
                return
            found = one_round(jobs, part, ask, random.Random(bench.size()))
            bench = _with(bench, part, found)
            yield bench
            longest = max(longest, time.monotonic() - start)


def _missing(bench: Bench, part: Part, repeats: int) -> list[Job]:
    return [
        (workload, estimator)
        for workload in part.workloads
        for estimator in part.estimators
        if bench.count(part.condition, workload, estimator, part.seconds) < repeats
    ]


def one_round(jobs: list[Job], part: Part, ask: Ask, dice: random.Random) -> dict[Job, list[Found]]:
    """Ask for one estimate of each job; the six processes of ours lie between the others', as when recording."""
    tasks: list[tuple[Job, str, float]] = []
    for workload, estimator in jobs:
        shares = [(RUN, part.seconds / SIX)] * SIX if estimator == OURS_SIX else [(estimator, part.seconds)]
        tasks += [((workload, estimator), *one) for one in shares]
    tasks += [((workload, REFERENCE), REFERENCE, REFERENCE_S) for workload in dict(jobs)] * part.references
    answers: dict[Job, list[Found]] = {job: [] for job, _, _ in tasks}  # in this order they stand in the file
    for job, name, share in dice.sample(tasks, len(tasks)):
        answers[job].append(ask(job[0], name, share))
    return {job: [_combined(found)] if job[1] == OURS_SIX else found for job, found in answers.items()}


def _combined(found: list[Found]) -> Found:
    made = combined(found)
    return {"ratio": made.ratio, "low": made.low, "high": made.high}


def _with(bench: Bench, part: Part, found: dict[Job, list[Found]]) -> Bench:
    references, series = [], []
    for (workload, estimator), answers in found.items():
        ratios, lows, highs = (tuple(_rounded(one[key]) for one in answers) for key in ("ratio", "low", "high"))
        seen = tuple(ratio for ratio in ratios if ratio is not None)
        if estimator == REFERENCE:
            references.append(Reference(part.condition, workload, seen, part.sitting))
        else:
            series.append(Series(part.condition, workload, estimator, part.seconds, seen, lows, highs, part.sitting))
    made = Bench(SCHEMA, METHOD, now(), bench.machine, bench.packages, tuple(references), tuple(series))
    return joined(bench, made)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def run(
    parts: list[Part], file: Path, repeats: int, ask: Ask, minutes: float = float("inf"),
    show: Callable[[Part, Bench], None] = lambda part, bench: None,
) -> bool:  # fmt: skip
    """Run the parts one after the other and save after each round; False when the minutes end before the work.

    Raises:
        BenchError: the file can't be continued here.
    """
    until = time.monotonic() + 60 * minutes
    bench = begin(file, tuple(dict.fromkeys(name for part in parts for name in part.estimators)))
    for part in parts:
        for bench in rounds(bench, part, repeats, ask, until):  # noqa: B020 - each round continues from the last
            save(bench, file)
            show(part, bench)
        if _missing(bench, part, repeats):
            return False
    return True
