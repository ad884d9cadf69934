"""Let all estimators estimate in rounds, and save what they estimate beside what the file holds already."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError, rounded
from benchmarks.estimators import METHOD, REFERENCE, RUN, SIX, combined
from benchmarks.processes import Ask, Result, busy_neighbor
from benchmarks.provenance import now, this_machine, version
from benchmarks.results import DISTURBED, SCHEMA, Bench, Reference, Series, difference, load, merge, save

OURS_SIX = "compare(), six processes"
REFERENCE_S = 1.0
DISTRIBUTIONS = {"torch.utils.benchmark": "torch", "pyperf": "pyperf", "pytest-benchmark": "pytest-benchmark"}
Job = tuple[str, str]
"""A workload and an estimator (or the reference)."""


@dataclass(frozen=True)
class Part:
    """What to run: every workload by every estimator, in one condition, with so many seconds for each estimate."""

    workloads: tuple[str, ...]
    estimators: tuple[str, ...]
    condition: str
    seconds: float
    references: int = 1
    """Processes of the reference for each workload and round."""
    sitting: str = ""
    """What tells these estimates from those of another day or host."""


def begin(file: Path, estimators: tuple[str, ...]) -> Bench:
    """Return what ``file`` holds, to be continued, or a bench without estimates if there is no such file.

    Raises:
        BenchError: it is broken, or comes from another machine, other versions or another method.
    """
    here = _empty(estimators)
    if not file.exists():
        return here
    there = load(file)
    if other := difference(there, here):
        raise BenchError(f"{file} can't be continued here: its {other}. Name another file with --out, or delete it")
    return merge(there, here)


def _empty(estimators: tuple[str, ...]) -> Bench:
    used = {"mlx", *(DISTRIBUTIONS[name] for name in estimators if name in DISTRIBUTIONS)}
    return Bench(SCHEMA, METHOD, now(), this_machine()[1], {name: version(name) for name in sorted(used)})


def rounds(bench: Bench, part: Part, repeats: int, ask: Ask, until: float = float("inf")) -> Iterator[Bench]:
    """Go round after round until each kind has ``repeats`` estimates; yield the bench after each round.

    A round asks every estimator about every workload once, and the reference about each workload, in a new random order.
    ``until`` is the :func:`time.monotonic` at which no round may still run.
    """
    longest = 0.0
    with busy_neighbor() if part.condition == DISTURBED else contextlib.nullcontext():
        while jobs := _missing(bench, part, repeats):
            start = time.monotonic()
            if start + longest > until:
                return
            results = one_round(jobs, part, ask, random.Random(bench.size()))
            bench = _with(bench, part, results)
            yield bench
            longest = max(longest, time.monotonic() - start)


def _missing(bench: Bench, part: Part, repeats: int) -> list[Job]:
    return [
        (workload, estimator)
        for workload in part.workloads
        for estimator in part.estimators
        if bench.count(part.condition, workload, estimator, part.seconds) < repeats
    ]


def one_round(jobs: list[Job], part: Part, ask: Ask, dice: random.Random) -> dict[Job, list[Result]]:
    """Return one estimate for each job; the six processes of ours are spread between the others', as in a recording."""
    tasks: list[tuple[Job, str, float]] = []
    for workload, estimator in jobs:
        shares = [(RUN, part.seconds / SIX)] * SIX if estimator == OURS_SIX else [(estimator, part.seconds)]
        tasks += [((workload, estimator), *one) for one in shares]
    tasks += [((workload, REFERENCE), REFERENCE, REFERENCE_S) for workload in dict(jobs)] * part.references
    results: dict[Job, list[Result]] = {job: [] for job, _, _ in tasks}  # the order in which they stand in the file
    for job, name, share in dice.sample(tasks, len(tasks)):
        results[job].append(ask(job[0], name, share))
    return {job: [_combined(runs)] if job[1] == OURS_SIX else runs for job, runs in results.items()}


def _combined(runs: list[Result]) -> Result:
    estimate = combined(runs)
    return {"ratio": estimate.ratio, "low": estimate.low, "high": estimate.high}


def _with(bench: Bench, part: Part, results: dict[Job, list[Result]]) -> Bench:
    references, series = [], []
    for (workload, estimator), estimates in results.items():
        ratios = tuple(rounded(one["ratio"]) for one in estimates)
        lows, highs = (
            tuple(None if one[end] is None else rounded(one[end]) for one in estimates) for end in ("low", "high")
        )
        if estimator == REFERENCE:
            references.append(Reference(part.condition, workload, ratios, part.sitting))
        else:
            series.append(Series(part.condition, workload, estimator, part.seconds, ratios, lows, highs, part.sitting))
    new = Bench(SCHEMA, METHOD, now(), bench.machine, bench.packages, tuple(references), tuple(series))
    return merge(bench, new)


def run(
    parts: list[Part], file: Path, repeats: int, ask: Ask, minutes: float = float("inf"),
    show: Callable[[Part, Bench], None] = lambda part, bench: None,
) -> bool:  # fmt: skip
    """Run the parts one after the other and save after each round; return False when the minutes end before the work.

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
