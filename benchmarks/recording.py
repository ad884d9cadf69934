"""Where the time of a recording goes: every third example is recorded, and each of its processes watched.

As in anybody's second recording, the processes find their modules' bytecode.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import ROOT, BenchError, environment
from benchmarks.watched_worker import CHECKS, FILE, IMPORTS, KERNELS, MEASURING, OWN_CODE, PROCESSES, WALL
from compile_guide import _process
from compile_guide.examples import find_examples
from compile_guide.recorder import measure

WORKER, WATCHED = "compile_guide.recorder.worker", "benchmarks.watched_worker"
EVERY = 3


def where_it_goes(folder: Path, repeats: int) -> dict[str, tuple[float, ...]]:
    """Record every third example ``repeats`` times, below ``folder``; return the seconds of each part.

    Raises:
        BenchError: an example failed.
    """
    values: dict[str, list[float]] = {}
    for number in range(repeats):
        for name, seconds in _once(folder / str(number)).items():
            values.setdefault(name, []).append(seconds)
    return {name: tuple(seconds) for name, seconds in values.items()}


def _once(folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True)
    machine = measure.machine_facts(folder)
    plan = measure.Plan(find_examples(ROOT / "gallery")[::EVERY])
    totals = dict.fromkeys((MEASURING, KERNELS, CHECKS, IMPORTS, PROCESSES, OWN_CODE), 0.0)
    start = time.perf_counter()
    with _watched(totals):
        results = measure.run_examples(plan, machine, folder, lambda step: None)
    if failed := [f"{result.name} failed: {result.failure}" for result in results if result.failure]:
        raise BenchError(failed[0])
    return {**totals, WALL: time.perf_counter() - start}


@contextmanager
def _watched(totals: dict[str, float]) -> Iterator[None]:
    """Let the recorder start watched workers instead of its own, and add up what they report."""
    run = _process.run

    def watched(argv: list[str], **more: Any) -> _process.Finished:
        path = environment()["PYTHONPATH"]
        more["env"] = {**(more.get("env") or {}), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": None}
        ended = run([WATCHED if part == WORKER else part for part in argv], **more)
        if not ended.returncode:
            seconds: dict[str, float] = json.loads(Path(argv[4]).with_name(FILE).read_text(encoding="utf-8"))
            seconds[PROCESSES] = ended.seconds - sum(seconds.values())
            for name, value in seconds.items():
                totals[name] += value
        return ended

    _process.run = watched  # type: ignore[assignment]
    try:
        yield
    finally:
        _process.run = run
