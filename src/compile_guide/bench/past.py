"""What a process has evaluated before, and what that does to the time that two functions take from then on.

``python -m compile_guide.bench.past WORKLOAD PAST`` is one process: it prints the seconds of a plain and a compiled call.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable

from compile_guide.bench.estimators import stretches
from compile_guide.bench.workloads import WORKLOADS, Workload, both_sides, check, make

SECONDS = 0.5
FUNCTIONS = ("plain", "compiled")


def past(repeats: int) -> dict[str, tuple[float, ...]]:
    """Return seconds a call for each workload, past and function, ``repeats`` processes each, in an order drawn anew.

    Raises:
        RuntimeError: a process failed; the end of what it printed is in the message.
    """
    dice, seen = random.Random(0), dict[str, list[float]]()
    jobs = [(workload, before) for workload in WORKLOADS for before in PASTS]
    with tempfile.TemporaryDirectory(prefix="guide-past-") as temp:
        for number in range(repeats + 1):  # the first builds kernels
            for workload, before in dice.sample(jobs, len(jobs)):
                for function, seconds in zip(FUNCTIONS, one_process(workload, before, temp), strict=True):
                    seen.setdefault(kind(workload, before, function), []).extend([seconds] * (number > 0))
    return {name: tuple(seen[name]) for name in (kind(w, b, f) for w, b in jobs for f in FUNCTIONS)}


def kind(workload: str, before: str, function: str) -> str:
    """Return the name of a value."""
    return f"{workload}, {before}, {function}"


def one_process(workload: str, before: str, temp: str) -> list[float]:
    """Return the seconds of a plain and a compiled call in a process of its own, which keeps its kernels in ``temp``.

    Raises:
        RuntimeError: it failed.
    """
    argv = [sys.executable, "-m", "compile_guide.bench.past", workload, before]
    ended = subprocess.run(argv, env={**os.environ, "TMPDIR": temp}, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{workload} after {before} failed: {ended.stderr.strip()[-500:]}")
    found: list[float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def wide(found: Workload) -> None:
    """Evaluate the sum of eight sines of an input: more arrays at a time than a function of the workloads has."""
    import mlx.core as mx

    mx.eval(sum(mx.sin(found.inputs[-1] * factor) for factor in range(1, 9)))


PASTS: dict[str, Callable[[str, Workload], None]] = {
    "nothing else": lambda name, found: None,
    "eight sines": lambda name, found: wide(found),
    "a check that both agree": check,
}
"""What a process has evaluated besides two calls of each function, before the clock starts."""


if __name__ == "__main__":
    name, before = sys.argv[1:]
    made = make(name)
    PASTS[before](name, made)
    print(json.dumps(stretches(both_sides(made), SECONDS)))
