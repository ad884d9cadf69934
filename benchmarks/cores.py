"""On which cores a process's threads run, and what that does to the time that two functions take.

On the CPU backend MLX computes in a thread of its own, which the thread that calls ``mx.eval`` wakes and waits for.

``python -m benchmarks.cores WORKLOAD CASE`` is one process: it prints the seconds of a plain and a compiled call.
It uses two cores at most, on larger machines the first two, so that a neighbor on one of them is felt. Linux alone lets a
process choose its cores.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.cases import in_turn
from benchmarks.estimators import each, stretches
from benchmarks.workloads import Side, sides

MODULE = "benchmarks.cores"
SECONDS = 0.5
PAUSES, PAUSE_S, BURST_S = 7, 0.3, 0.01
Seconds = tuple[float, float]


def cores(repeats: int) -> dict[str, tuple[float, ...]]:
    """Return seconds a call in each case, as :func:`benchmarks.cases.in_turn` does.

    Raises:
        RuntimeError: this system doesn't let a process choose its cores, or there is one only.
    """
    two()
    return in_turn(MODULE, CASES, repeats)


def two() -> tuple[int, int]:
    """Return the first two cores that this process may use.

    Raises:
        RuntimeError: there aren't two, or nobody can say.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise RuntimeError("only Linux lets a process choose its cores: measure this part there")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise RuntimeError("this process may use one core only: allow it a second (taskset shows and sets which)")
    return allowed[0], allowed[1]


def steadily(both: tuple[Side, Side]) -> Seconds:
    """Time long stretches of one function and the other in turn."""
    return stretches(both, SECONDS)


def after_pauses(both: tuple[Side, Side]) -> Seconds:
    """Time a hundredth of a second of each function after each of some pauses, the first place taken in turn."""
    means: tuple[list[float], list[float]] = ([], [])
    for number in range(PAUSES):
        time.sleep(PAUSE_S)
        for index in (number % 2, 1 - number % 2):
            means[index].append(statistics.mean(each(both[index], BURST_S)))
    return statistics.median(means[0]), statistics.median(means[1])


def beside_a_busy_core(both: tuple[Side, Side]) -> Seconds:
    """Time both while another process burns the second core."""
    with _burning(two()[1]):
        return steadily(both)


@contextlib.contextmanager
def _burning(core: int) -> Iterator[None]:
    started = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", started], stdout=subprocess.PIPE) as neighbor:
        assert neighbor.stdout
        neighbor.stdout.readline()
        try:
            yield
        finally:
            neighbor.kill()


CASES: dict[str, tuple[int, Callable[[tuple[Side, Side]], Seconds]]] = {
    "two cores": (2, steadily),
    "two cores, after pauses": (2, after_pauses),
    "two cores, one of them busy": (2, beside_a_busy_core),
    "one core": (1, steadily),
}
"""How many cores a process may use from its start on, and how it is timed."""


if __name__ == "__main__":
    workload, case = sys.argv[1:]
    count, timed = CASES[case]
    os.sched_setaffinity(0, two()[:count])
    print(json.dumps(timed(sides(workload))))
