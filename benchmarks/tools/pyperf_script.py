"""A benchmark script for pyperf, which starts it again for each of its processes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pyperf

from benchmarks.workloads import calls


def lazily(index: int) -> Callable[[], object]:
    """Return the function to time in a process that times it; ``object`` in the process that only starts those."""
    return calls(os.environ["BENCH_WORKLOAD"])[index] if runner.args.worker_task == index else object


if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.parse_args()
    for index, name in enumerate(("baseline", "candidate")):
        runner.bench_func(name, lazily(index))
