"""Estimates of a tool that takes seconds to import, each in a child of a process that has imported it already.

``python -m benchmarks.forking MODULE``: a line ``["WORKLOAD", "ESTIMATOR", SECONDS]`` in, a line with the estimate
out. MLX is imported in the child, so its state is fresh; only the layout of memory is the parent's each time, which
makes the tool's estimates agree a little more with each other than new processes' would.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

from benchmarks.estimators import run_for_worker

FIRST = {"torch.utils.benchmark": "torch.utils.benchmark"}
"""What is imported before the fork, for each estimator that is worth it."""


def serve(module: str) -> None:
    """Import the module, then answer each line of the standard input until it ends."""
    importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(answer(*json.loads(line)))
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps({"error": f"exit status {status}"}), flush=True)


def answer(workload: str, estimator: str, seconds: float) -> int:
    """Print the estimate, or why there is none; return the exit status."""
    try:
        print(json.dumps(run_for_worker(workload, estimator, seconds)), flush=True)
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
