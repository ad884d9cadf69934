"""The fixture ``max_traces`` of the package's plugin for pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from guide import ROOT

TESTS = """
import mlx.core as mx

def train(shapes):
    step = mx.compile(lambda x: x + 1)
    for shape in shapes:
        step(mx.zeros(shape))

def test_one_shape(max_traces):
    max_traces(1)
    train([(4,), (4,)])

def test_two_shapes(max_traces):
    max_traces(1)
    train([(4,), (5,)])

def test_without_a_limit():
    train([(4,), (5,), (6,)])
"""


def test_a_test_fails_at_the_trace_that_is_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "compile_guide.watching.pytest_plugin",
        "-q",
        "--rootdir",
        ".",
        "-p",
        "no:xdist",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout
    assert (
        "TooManyTraces: train.<locals>.<lambda>: trace 2" in done.stdout
        or "TooManyTraces: <lambda>: trace 2" in done.stdout
    )
    assert "argument 1: shape (4,) → (5,)" in done.stdout


def test_pytest_finds_the_plugin_where_the_package_is_installed() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert (
        'compile-guide = "compile_guide.watching.pytest_plugin"' in text.partition("[project.entry-points.pytest11]")[2]
    )
    if any(point.group == "pytest11" for point in distribution("mlx-compile-guide").entry_points):
        (point,) = (point for point in distribution("mlx-compile-guide").entry_points if point.group == "pytest11")
        assert point.load().__name__ == "compile_guide.watching.pytest_plugin"


def test_the_plugin_imports_neither_mlx_nor_the_watcher_until_it_is_used() -> None:
    code = (
        "import sys, compile_guide.watching.pytest_plugin; print({'mlx', 'compile_guide.tracing'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
