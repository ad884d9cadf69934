"""Ask for estimates: one process each, or a copy of one that has a slow package imported where that works."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.forking import FIRST

Found = dict[str, Any]
Ask = Callable[[str, str, float], Found]
LOOK_ONLY = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Importing PyTorch's benchmark looks for a GPU; so told, it does so without opening it (its documentation of
``torch.cuda.is_available``), and a copy of the process can."""
BURN = """
import random, time
dice = random.Random(1)
while True:
    end = time.perf_counter() + dice.uniform(0.02, 0.4)
    while time.perf_counter() < end:
        pass
    time.sleep(dice.uniform(0.02, 0.4))
"""


@contextlib.contextmanager
def asker(temp: Path) -> Iterator[Ask]:
    """Give a function that lets one process make one estimate; kernels are built once, in ``temp``.

    Where a copy of a process fails, a new process is asked instead, now and from then on: an import can open a GPU, and
    copies of that process find it closed to them.
    """
    env = {**os.environ, **LOOK_ONLY, "TMPDIR": str(temp)}
    parents, refused = dict[str, subprocess.Popen[str]](), set[str]()

    def parent(estimator: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "benchmarks.forking", FIRST[estimator]]
        log = (temp / "forking.log").open("w")
        return subprocess.Popen(argv, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def ask(workload: str, estimator: str, seconds: float) -> Found:
        if estimator in FIRST and estimator not in refused:
            if estimator not in parents:
                parents[estimator] = parent(estimator)
            try:
                return forked(parents[estimator], workload, estimator, seconds)
            except RuntimeError as error:
                refused.add(estimator)
                print(f"{error}; from now on each estimate imports it anew", file=sys.stderr, flush=True)
        return alone(workload, estimator, seconds, env)

    try:
        yield ask
    finally:
        for one in parents.values():
            one.kill()
            one.wait()


def alone(workload: str, estimator: str, seconds: float, env: dict[str, str]) -> Found:
    """Ask a process of its own.

    Raises:
        RuntimeError: it failed; the end of what it printed is in the message.
    """
    argv = [sys.executable, "-m", "benchmarks.worker", workload, estimator, str(seconds)]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{estimator} failed on {workload}: {ended.stderr.strip()[-800:]}")
    found: Found = json.loads(ended.stdout.splitlines()[-1])
    return found


def forked(parent: subprocess.Popen[str], workload: str, estimator: str, seconds: float) -> Found:
    """Ask a child of this process.

    Raises:
        RuntimeError: the child or its parent failed.
    """
    assert parent.stdin and parent.stdout
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps([workload, estimator, seconds]), file=parent.stdin, flush=True)
    found: Found = json.loads(parent.stdout.readline() or '{"error": "it ended"}')
    if "error" in found:
        raise RuntimeError(f"{estimator} failed on {workload}: {found['error']}")
    return found


@contextlib.contextmanager
def disturbance() -> Iterator[None]:
    """Let a neighbor burn one core, on and off, at times drawn from a seed."""
    neighbor = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        yield
    finally:
        neighbor.kill()
        neighbor.wait()
