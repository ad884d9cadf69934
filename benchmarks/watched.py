"""One process of the recorder under watch.

``python -m benchmarks.watched SCRIPT SINK`` runs a script as :mod:`compile_guide.recorder.worker` does and leaves beside the
sink how long it was in which part. It imports no more than the child does, or its start would seem longer.
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

MEASURING, KERNELS, CHECKS, IMPORTS, REST = (
    "measuring: calls, calibrating, first calls",
    "the compiler that MLX calls",
    "looking whether compiling works",
    "importing MLX and matplotlib",
    "the scripts' own code: inputs, checks, plots",
)


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


def main(script: str, sink: str, *options: str) -> bool:
    """Run the script under watch and write what was seen; return what the child's own main returns."""
    from compile_guide import timing
    from compile_guide.recorder.measure import worker as child

    watch, start = Watch(), Watch.now()
    watch.within(IMPORTS, _imports)(Path(script).read_text(encoding="utf-8"), plots=child.NO_PLOTS not in options)
    timing.check_compiling = watch.within(CHECKS, timing.check_compiling)
    for name in ("__init__", "first_calls", "measure"):
        setattr(timing._Pair, name, watch.within(MEASURING, getattr(timing._Pair, name)))
    measured = child.main(script, sink, *options)
    seen = {**watch.seconds, KERNELS: compilers()}
    seen[REST] = watch.now() - start - sum(watch.seconds.values())
    Path(sink).with_name("watched.json").write_text(json.dumps(seen), encoding="utf-8")
    return measured


def _imports(script: str, plots: bool) -> None:
    """Import what the script is about to import."""
    for name in ("mlx.core", "mlx.nn", "mlx.optimizers", *(["matplotlib.pyplot"] * plots)):
        if f"import {name}" in script:
            importlib.import_module(name)


if __name__ == "__main__" and main(*sys.argv[1:]):
    from compile_guide.recorder.measure import worker as child

    child.leave()
