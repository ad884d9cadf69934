"""Benchmarks of this project: how good the estimator of ``compare()`` is, and how long builds and recordings take.

``python -m benchmarks --help`` in the checkout lists them, and ``benchmarks/README.md`` explains them. Results are kept in
``docs/bench/``. Nothing here is shipped: ``compile_guide`` never imports this package.
"""

from __future__ import annotations

import os
from pathlib import Path

from compile_guide import CompileGuideError

ROOT = Path(__file__).resolve().parents[1]


class BenchError(CompileGuideError):
    """A benchmark can't run or can't go on; one line says why and what to change."""


def environment(**more: str) -> dict[str, str]:
    """Return the variables for a process that imports this checkout's packages, wherever it starts."""
    paths = [str(ROOT / "src"), str(ROOT / "docs"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def rounded(value: float) -> float:
    """Return a measured value to six digits, which are more than any clock supports."""
    return float(f"{value:.6g}")
