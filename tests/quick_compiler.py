"""A g++ that builds each kernel once: building them over and over would take most of a test run's time.

What it built stays in ``build/kernels`` for later runs, by a digest of its source, beside the kernels of the same MLX and
compiler. Where others may write there, a run has a folder of its own.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "GUIDE_TESTS_COMPILER"
"""The environment variable that names its folder; the processes among which pytest shares the tests share it too."""
COMPILER = """#!/bin/sh
for it; do
    case "$last $it" in *.cpp) source=$it;; "-o "*) made=$it;; esac
    last=$it
done
[ -n "$source" ] || exec {real} "$@"
kept="{folder}"/$(sha256sum < "$source" | cut -c1-32)
[ -f "$kept" ] && exec cp "$kept" "$made"
{real} "$@" && cp "$made" "$kept.$$" && mv "$kept.$$" "$kept"
"""


@contextmanager
def folder_for_all() -> Iterator[None]:
    """Have the folder, unless the process that started this one has."""
    if FOLDER in os.environ:
        yield
        return
    from compile_guide._process import kernel_cache  # not above: builds that import this module may be another copy's

    with tempfile.TemporaryDirectory(prefix="guide-compiler-") as folder:
        kept = kernel_cache(ROOT)
        os.environ[FOLDER] = str(kept / "tests") if kept else folder
        Path(os.environ[FOLDER]).mkdir(exist_ok=True)
        yield
        del os.environ[FOLDER]


@functools.cache
def with_quick_compiler() -> str:
    """Return PATH with that compiler before all others."""
    folder = Path(os.environ[FOLDER])
    if real := shutil.which("g++"):
        made = folder / f"g++.{os.getpid()}"
        made.write_text(COMPILER.format(real=real, folder=folder), encoding="utf-8")
        made.chmod(0o755)
        made.replace(folder / "g++")
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
