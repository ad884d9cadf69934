"""The same two functions in processes that differ in one thing, the case: how long a plain and a compiled call take in each.

A module with cases is a program, too: ``python -m MODULE WORKLOAD CASE`` is one process, and prints both times.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable

from benchmarks.workloads import WORKLOADS

FUNCTIONS = ("plain", "compiled")


def in_turn(module: str, cases: Iterable[str], repeats: int) -> dict[str, tuple[float, ...]]:
    """Return seconds a call for each workload, case and function, ``repeats`` processes each, in an order drawn anew.

    Raises:
        RuntimeError: a process failed; the end of what it printed is in the message.
    """
    dice, seen = random.Random(0), dict[str, list[float]]()
    jobs = [(workload, case) for workload in WORKLOADS for case in cases]
    with tempfile.TemporaryDirectory(prefix="guide-cases-") as temp:
        for number in range(repeats + 1):  # the first builds kernels
            for workload, case in dice.sample(jobs, len(jobs)):
                for function, seconds in zip(FUNCTIONS, one_process(module, workload, case, temp), strict=True):
                    seen.setdefault(kind(workload, case, function), []).extend([seconds] * (number > 0))
    return {name: tuple(seen[name]) for name in (kind(w, c, f) for w, c in jobs for f in FUNCTIONS)}


def kind(workload: str, case: str, function: str) -> str:
    """Return the name of a value."""
    return f"{workload}, {case}, {function}"


def one_process(module: str, workload: str, case: str, temp: str) -> list[float]:
    """Return the seconds of a plain and a compiled call in a process of its own, which keeps its kernels in ``temp``.

    Raises:
        RuntimeError: it failed.
    """
    argv = [sys.executable, "-m", module, workload, case]
    ended = subprocess.run(argv, env={**os.environ, "TMPDIR": temp}, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{workload} in the case {case!r} failed: {ended.stderr.strip()[-500:]}")
    found: list[float] = json.loads(ended.stdout.splitlines()[-1])
    return found
