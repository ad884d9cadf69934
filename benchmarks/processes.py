"""The processes that estimate: a new one for each estimate, or a copy of one that has imported a slow package already."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import BenchError, environment
from benchmarks.fork_server import IMPORTED_FIRST

Result = dict[str, Any]
"""What a process printed: an :class:`~benchmarks.estimators.Estimate`, or one of the six runs of ours, as JSON's types."""
Ask = Callable[[str, str, float], Result]
"""Lets one process estimate: a workload's name, an estimator's name, and the seconds that it may take."""
LOOK_ONLY = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Importing PyTorch's benchmark looks for a GPU; with this it does so without opening it (its documentation of
``torch.cuda.is_available``), and a copy of the process can still open it."""
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
def estimating_processes(temp: Path) -> Iterator[Ask]:
    """Provide the function that starts a process for each estimate; MLX builds kernels once, in ``temp``.

    Where a copy of a process fails, new processes are used for that estimator from then on: an import can open a GPU, and
    copies of that process then can't use it.
    """
    env = environment(**LOOK_ONLY, TMPDIR=str(temp))
    servers, refused = dict[str, subprocess.Popen[str]](), set[str]()

    def start_server(estimator: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "benchmarks.fork_server", IMPORTED_FIRST[estimator]]
        log = (temp / "fork_server.log").open("w")
        return subprocess.Popen(argv, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def ask(workload: str, estimator: str, seconds: float) -> Result:
        if estimator in IMPORTED_FIRST and estimator not in refused:
            if estimator not in servers:
                servers[estimator] = start_server(estimator)
            try:
                return in_copy(servers[estimator], workload, estimator, seconds)
            except BenchError as error:
                refused.add(estimator)
                print(f"{error}; from now on each estimate imports it anew", file=sys.stderr, flush=True)
        return in_new_process(workload, estimator, seconds, env)

    try:
        yield ask
    finally:
        for server in servers.values():
            server.kill()
            server.wait()


def in_new_process(workload: str, estimator: str, seconds: float, env: dict[str, str]) -> Result:
    """Estimate in a process of its own.

    Raises:
        BenchError: it failed; the end of what it printed is in the message.
    """
    argv = [sys.executable, "-m", "benchmarks.worker", workload, estimator, str(seconds)]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchError(f"{estimator} failed on {workload}: {ended.stderr.strip()[-800:]}")
    result: Result = json.loads(ended.stdout.splitlines()[-1])
    return result


def in_copy(server: subprocess.Popen[str], workload: str, estimator: str, seconds: float) -> Result:
    """Estimate in a copy of this server's process.

    Raises:
        BenchError: the copy or its server failed.
    """
    assert server.stdin and server.stdout
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps([workload, estimator, seconds]), file=server.stdin, flush=True)
    result: Result = json.loads(server.stdout.readline() or '{"error": "its process ended"}')
    if "error" in result:
        raise BenchError(f"{estimator} failed on {workload}: {result['error']}")
    return result


@contextlib.contextmanager
def busy_neighbor() -> Iterator[None]:
    """Let another process burn one core, on and off, at times drawn from a fixed seed."""
    neighbor = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        yield
    finally:
        neighbor.kill()
        neighbor.wait()
