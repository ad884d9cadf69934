"""Estimates of a tool that takes seconds to import, each in a child of a process that has imported it already.

``python -m benchmarks.fork_server MODULE``: a line ``["WORKLOAD", "ESTIMATOR", SECONDS]`` in, a line with the estimate
out. The child imports MLX itself, so MLX's state is fresh; only the layout of memory is the parent's each time, which
makes these estimates agree a little more with each other than those of new processes would.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

from benchmarks.estimators import run_for_worker

IMPORTED_FIRST = {"torch.utils.benchmark": "torch.utils.benchmark"}
"""For each estimator that needs it, the module to import before forking."""


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
    except Exception as error:  # an ImportError of the tool, anything: the line says it, the log has the traceback
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
