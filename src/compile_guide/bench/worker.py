"""One estimate in a process of its own: ``python -m compile_guide.bench.worker WORKLOAD ESTIMATOR SECONDS``.

When it could measure it prints a line, and it begins when it reads one (or the end of its standard input).
"""

from __future__ import annotations

import json
import sys

from compile_guide.bench.estimators import STARTS_OTHERS, run_for_worker


def get_ready(estimator: str) -> None:
    """Import MLX, which takes longest, if this process is the one that measures."""
    if estimator not in STARTS_OTHERS:
        import mlx.core  # noqa: F401 - for what it loads


if __name__ == "__main__":
    workload, estimator, seconds = sys.argv[1:]
    get_ready(estimator)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(run_for_worker(workload, estimator, float(seconds))))
