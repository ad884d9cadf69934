"""Reports of ``compile-guide watch --check`` about whole programs of published packages: see the folder ``watched``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_guide import _process
from published_code.packages import version_of
from published_code.results import Reason, Report, WatchedFunction

FOLDER = Path(__file__).resolve().parent / "watched"
LIMIT_S = 900.0
PROGRAMS = {
    "generate": ("mlx-lm",),
    "fine_tune": ("mlx-lm",),
    "keras_fit": ("keras-nightly", "keras-mlx"),
    "optimizer": ("mlx-optimizers",),
}
"""The programs, and the packages that each runs."""


def make(temp: Path, kernels: Path, say: Callable[[str], None]) -> tuple[list[Report], list[str]]:
    """Return the reports, and in a line each why others could not be made; one whose package is missing is left out.

    Files are written below ``temp``; in ``kernels``, a folder for temporary files, MLX finds those that are built already.
    """
    made, wrong = [], []
    caches = {
        "MLX_PTX_CACHE_DIR": str(kernels / "ptx"),
        "CUDA_CACHE_PATH": str(kernels / "nv"),
    }  # as the recorder has them
    for name, packages in PROGRAMS.items():
        if any(version_of(package) is None for package in packages):
            continue
        say(f"compile-guide watch --check {name}.py")
        file, folder = temp / f"{name}.json", temp / f"watch-{name}"
        folder.mkdir()
        argv = [
            sys.executable,
            "-m",
            "compile_guide",
            "watch",
            "--check",
            "--json",
            str(file),
            str(FOLDER / f"{name}.py"),
        ]
        ended = _process.run(argv, folder=folder, limit_s=LIMIT_S, temp=kernels, env=caches)
        if ended.returncode or not file.exists():
            wrong.append(f"{name}.py: {ended.reason}: {_process.last_line(ended.output)}")
        else:
            words = ", ".join(f"{package} {version_of(package)}" for package in packages)
            made.append(report_of(name.replace("_", "-"), words, json.loads(file.read_bytes())))
    return made, wrong


def report_of(name: str, packages: str, data: dict[str, Any]) -> Report:
    """Return what the command wrote as JSON, without the folders of this machine."""
    functions = tuple(map(_function, data["functions"]))
    return Report(name, packages, data["seconds"], functions)


def _function(data: dict[str, Any]) -> WatchedFunction:
    place = re.sub(r".*/(?:site-packages|dist-packages|watched)/", "", data["file"])
    said = ({text: count for text, count in data[key].items()} for key in ("reasons", "findings"))
    reasons, findings = (tuple(Reason(text[:4000], count) for text, count in part.items()) for part in said)
    counts = {key: data[key] for key in ("calls", "traces", "inlined", "eager", "kernels")}
    times = {key: round(data[key], 6) for key in ("tracing_s", "total_s")}
    return WatchedFunction(
        data["name"][:300], f"{place}:{data['line']}", **counts, **times, reasons=reasons, findings=findings,
        advice=tuple(data["advice"]),
    )  # fmt: skip
