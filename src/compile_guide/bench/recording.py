"""Where the time of recording goes: every third example through the recorder, each of its processes watched.

``python -m compile_guide.bench.recording SCRIPT SINK`` runs a script as :mod:`compile_guide.child` does and leaves beside
the sink how long it was in which part.
"""

from __future__ import annotations

import functools
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_guide import process, recorder

CHILD, WATCHED = "compile_guide.child", "compile_guide.bench.recording"
EACH = 3
MEASURING, KERNELS, CHECKS, IMPORTS, START, REST = (
    "measuring: calls, calibrating, first calls",
    "the compiler that MLX calls",
    "looking whether compiling works",
    "importing MLX and matplotlib",
    "starting and ending processes",
    "the scripts' own code: inputs, checks, plots",
)
WALL = "wall time"


def where_it_goes(root: Path, folder: Path, repeats: int) -> dict[str, tuple[float, ...]]:
    """Record every third example ``repeats`` times; return seconds of each part, one value a repeat."""
    found: dict[str, list[float]] = {}
    for number in range(repeats):
        for name, seconds in _once(root, folder / str(number)).items():
            found.setdefault(name, []).append(seconds)
    return {name: tuple(seconds) for name, seconds in found.items()}


def _once(root: Path, folder: Path) -> dict[str, float]:
    folder.mkdir()
    machine = recorder.machine_facts(folder)
    examples = recorder.find_examples(root / "gallery")[::EACH]
    plan = recorder.Plan(examples)
    totals = dict.fromkeys((MEASURING, KERNELS, CHECKS, IMPORTS, START, REST), 0.0)
    run, start = process.run, time.perf_counter()

    def watched(argv: list[str], **more: Any) -> process.Finished:
        ended = run([WATCHED if part == CHILD else part for part in argv], **more)
        file = Path(argv[4]).with_name("watched.json")  # none where the script began again with matplotlib, unwatched
        seen: dict[str, float] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {REST: ended.seconds}
        )
        totals[START] += ended.seconds - sum(seen.values())
        for name, seconds in seen.items():
            totals[name] += seconds
        return ended

    process.run = watched  # type: ignore[assignment]
    try:
        gathered = recorder.measure(plan, machine, folder, lambda step: None)
    finally:
        process.run = run
    if failed := [one.failure for one in gathered if one.failure]:
        raise RuntimeError(f"an example failed: {failed[0]}")
    return {**totals, WALL: time.perf_counter() - start}


class Watch:
    """Seconds spent in parts of a process; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.inner: list[float] = []

    def within(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time noted; the time of a compiler that it waits for is the compiler's."""

        @functools.wraps(function)
        def noted(*args: Any, **more: Any) -> Any:
            self.inner.append(0.0)
            start = self.now()
            try:
                return function(*args, **more)
            finally:
                took = self.now() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + took - self.inner.pop()
                if self.inner:
                    self.inner[-1] += took

        return noted

    @staticmethod
    def now() -> float:
        """Return the clock less the processor time of ended children, which are compilers, one at a time."""
        return time.perf_counter() - compilers()


def compilers() -> float:
    """Return the processor seconds of this process's ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(script: str, sink: str, *options: str) -> None:
    """Run the script under watch and write what was seen."""
    from compile_guide import child, timing

    watch, start = Watch(), Watch.now()
    watch.within(IMPORTS, _imports)(plots=child.NO_PLOTS not in options)
    timing.check_compiling = watch.within(CHECKS, timing.check_compiling)
    for name in ("__init__", "first_calls", "measure"):
        setattr(timing._Pair, name, watch.within(MEASURING, getattr(timing._Pair, name)))
    child.main(script, sink, *options)
    seen = {**watch.seconds, KERNELS: compilers()}
    seen[REST] = watch.now() - start - sum(watch.seconds.values())
    Path(sink).with_name("watched.json").write_text(json.dumps(seen), encoding="utf-8")


def _imports(plots: bool) -> None:
    for name in ("mlx.core", "mlx.nn", "mlx.optimizers", *(["matplotlib.pyplot"] * plots)):
        importlib.import_module(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
