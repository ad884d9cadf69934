"""A process of the recorder that reports how long it was in which part.

``python -m benchmarks.watched_worker SCRIPT SINK`` runs a script as :mod:`compile_guide.recorder.worker` does, and writes
:data:`FILE` beside the sink. It imports no more than that worker does: its start would seem to take longer.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEASURING, KERNELS, CHECKS, IMPORTS, OWN_CODE = (
    "measuring: calls, calibrating, first calls",
    "the compiler that MLX calls",
    "looking whether compiling works",
    "importing MLX and matplotlib",
    "the scripts' own code: inputs, checks, plots",
)
PROCESSES, WALL = "starting and ending processes", "wall time"
FILE = "watched.json"
PARTS_OF_TIMING = {
    "check_compiling": CHECKS,
    "_Pair.__init__": MEASURING,
    "_Pair.first_calls": MEASURING,
    "_Pair.uncompiled_note": CHECKS,
    "_Pair.measure": MEASURING,
}
"""The functions of :mod:`compile_guide.timing` that are watched."""


class Watch:
    """Seconds spent in parts of a process; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.inner: list[float] = []

    def within(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted for ``name``; a compiler that it waits for counts for itself."""

        @functools.wraps(function)
        def watched(*args: Any, **more: Any) -> Any:
            self.inner.append(0.0)
            start = self.now()
            try:
                return function(*args, **more)
            finally:
                took = self.now() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + took - self.inner.pop()
                if self.inner:
                    self.inner[-1] += took

        return watched

    def replace(self, owner: Any, path: str, name: str) -> None:
        """Put a watched function in the place of ``owner``'s, which ``path`` names with dots."""
        *parents, last = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, last, self.within(name, getattr(owner, last)))

    @staticmethod
    def now() -> float:
        """Return the clock less the processor time of ended children, which are compilers, one at a time."""
        return time.perf_counter() - compilers()


def compilers() -> float:
    """Return the processor seconds of this process's ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(script: str, sink: str, *options: str) -> bool:
    """Run the script watched and write the seconds of each part; return what the worker's own main returns."""
    from compile_guide import timing
    from compile_guide.recorder import worker

    watch, start = Watch(), Watch.now()
    watch.within(IMPORTS, _imports)(Path(script).read_text(encoding="utf-8"), plots=worker.NO_PLOTS not in options)
    for path, name in PARTS_OF_TIMING.items():
        watch.replace(timing, path, name)
    ended_early = worker.main(script, sink, *options)
    seconds = {**watch.seconds, KERNELS: compilers()}
    seconds[OWN_CODE] = watch.now() - start - sum(watch.seconds.values())
    Path(sink).with_name(FILE).write_text(json.dumps(seconds), encoding="utf-8")
    return ended_early


def _imports(script: str, plots: bool) -> None:
    """Import what the script is about to import."""
    for name in ("mlx.core", "mlx.nn", "mlx.optimizers", *(["matplotlib.pyplot"] * plots)):
        if f"import {name}" in script:
            importlib.import_module(name)


if __name__ == "__main__" and main(*sys.argv[1:]):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as the recorder's worker ends
