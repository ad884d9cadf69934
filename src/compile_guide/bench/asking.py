"""Ask for estimates: one process each, or a copy of one that has a slow package imported where that works.

Processes begin some at a time and wait for each other, so that what starting takes is paid at once by all of them; then
they measure one by one, and nothing starts beside that.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from compile_guide.bench.forking import FIRST

Found = dict[str, Any]
Task = tuple[str, str, float]
"""A workload, an estimator, and the seconds that its estimate may take."""
Ask = Callable[[Sequence[Task]], Iterator[Found]]
"""Gives the answers in the tasks' order."""
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
def asker(temp: Path, ahead: int = 1) -> Iterator[Ask]:
    """Give a function that lets one process make each estimate; kernels are built once, in ``temp``.

    As many processes as ``ahead`` says begin at once.
    """
    env = {**os.environ, **LOOK_ONLY, "TMPDIR": str(temp)}
    with Copies(env, temp / "forking.log") as copies:

        def ask(tasks: Sequence[Task]) -> Iterator[Found]:
            for start in range(0, len(tasks), ahead):
                together = tasks[start : start + ahead]
                with contextlib.ExitStack() as stack:
                    begun = [None if copies.serve(t[1]) else stack.enter_context(started(t, env)) for t in together]
                    for one in filter(None, begun):
                        one.wait_until_ready()
                    for task, process in zip(together, begun, strict=True):
                        yield copies.ask(task) if process is None else process.found()

        yield ask


class Copies:
    """Processes that have a slow package imported, one for each estimator in :data:`FIRST`: a copy makes each estimate.

    Where a copy fails, a new process is asked instead, now and from then on: an import can open a GPU, and copies of that
    process find it closed to them.
    """

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.env, self.log = env, log
        self.parents, self.refused = dict[str, subprocess.Popen[str]](), set[str]()

    def __enter__(self) -> Copies:
        """Return itself; a process starts when it's first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        for one in self.parents.values():
            one.kill()
            one.wait()

    def serve(self, estimator: str) -> bool:
        """Return whether copies make this estimator's estimates."""
        return estimator in FIRST and estimator not in self.refused

    def ask(self, task: Task) -> Found:
        """Let a copy make an estimate, or a new process where that fails.

        Raises:
            RuntimeError: the new process failed, too.
        """
        estimator = task[1]
        if estimator not in self.parents:
            self.parents[estimator] = self._parent(estimator)
        try:
            return forked(self.parents[estimator], *task)
        except RuntimeError as error:
            self.refused.add(estimator)
            print(f"{error}; from now on each estimate imports it anew", file=sys.stderr, flush=True)
        with started(task, self.env) as process:
            return process.found()

    def _parent(self, estimator: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "compile_guide.bench.forking", FIRST[estimator]]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=self.env, text=True, stdin=pipe, stdout=pipe, stderr=self.log.open("w"))


@dataclass(frozen=True)
class Started:
    """A process that makes one estimate: it began, says that it's ready, and measures when it's told to."""

    task: Task
    process: subprocess.Popen[str]
    log: IO[str]

    def wait_until_ready(self) -> None:
        """Return when it could measure, or has failed: :meth:`found` says why."""
        assert self.process.stdout
        self.process.stdout.readline()

    def found(self) -> Found:
        """Let it measure, and return its estimate.

        Raises:
            RuntimeError: it failed; the end of what it printed is in the message.
        """
        output, _ = self.process.communicate("\n")
        if self.process.returncode:
            self.log.seek(0)
            raise RuntimeError(f"{self.task[1]} failed on {self.task[0]}: {self.log.read().strip()[-800:]}")
        found: Found = json.loads(output.splitlines()[-1])
        return found


@contextlib.contextmanager
def started(task: Task, env: dict[str, str]) -> Iterator[Started]:
    """Start a process of its own for an estimate; at the end it ends, too."""
    argv = [sys.executable, "-m", "compile_guide.bench.worker", *map(str, task)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(argv, env=env, text=True, stdin=pipe, stdout=pipe, stderr=log) as process,
    ):
        try:
            yield Started(task, process, log)
        finally:
            process.kill()


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
