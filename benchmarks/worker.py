"""One estimate in a process of its own: ``python -m benchmarks.worker WORKLOAD ESTIMATOR SECONDS`` prints it as JSON."""

from __future__ import annotations

import json
import sys

from benchmarks.estimators import run_for_worker

if __name__ == "__main__":
    workload, estimator, seconds = sys.argv[1:]
    print(json.dumps(run_for_worker(workload, estimator, float(seconds))))
