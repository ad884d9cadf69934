"""A test file for pytest-benchmark; its name keeps pytest from collecting it with this project's tests."""

from __future__ import annotations

import os
from typing import Any

import pytest

from benchmarks.workloads import calls


@pytest.fixture(scope="module", name="both")
def both_calls() -> Any:
    """Baseline and candidate, warm."""
    return calls(os.environ["BENCH_WORKLOAD"])


def test_baseline(benchmark: Any, both: Any) -> None:
    """The plain function."""
    benchmark(both[0])


def test_candidate(benchmark: Any, both: Any) -> None:
    """The compiled one."""
    benchmark(both[1])
