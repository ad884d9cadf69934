"""A benchmark script as pyperf wants it: it starts itself again for each of its processes."""

from __future__ import annotations

import os

import pyperf

from compile_guide.bench.estimators import calls

if __name__ == "__main__":
    runner = pyperf.Runner()
    for name, call in zip(("baseline", "candidate"), calls(os.environ["BENCH_WORKLOAD"]), strict=True):
        runner.bench_func(name, call)
