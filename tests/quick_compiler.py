"""A g++ that builds each kernel once, and quickly: building them over and over would take most of a test run's time.

What it built stays in ``build/kernels`` for later runs, by MLX's version and a digest of its source, beside the kernels of
the same compiler. Where others may write there, a run has a folder of its own.

Reading MLX's header takes three quarters of the time that g++ needs for a kernel. Here it is read once, into a precompiled
header beside the kernels; what comes out is the same file, byte for byte.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "GUIDE_TESTS_COMPILER"
"""The environment variable that names its folder; the processes among which pytest shares the tests share it too."""
FLAGS = ("-std=c++17", "-O3", "-Wall", "-fPIC")
"""Those that MLX compiles with: g++ passes over a header that was precompiled with others."""
HEADER = Path("mlx", "backend", "cpu", "compiled_preamble.h")
COMPILER = """#!/bin/sh
for it; do
    case "$last $it" in *.cpp) source=$it;; "-o "*) made=$it;; "-I {include}") known=yes;; esac
    last=$it
done
[ -n "$source" ] && [ -n "$known" ] || exec {real} "$@"
kept="{folder}"/$(sha256sum < "$source" | cut -c1-32)
[ -f "$kept" ] && exec cp "$kept" "$made"
{real} -I "{folder}/header" "$@" && cp "$made" "$kept.$$" && mv "$kept.$$" "$kept"
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
        made = (kept or Path(folder)) / "tests" / version("mlx")
        made.mkdir(parents=True, exist_ok=True)
        _precompile(made / "header")
        os.environ[FOLDER] = str(made)
        yield
        del os.environ[FOLDER]


def _includes() -> Path | None:
    """Return the folder of the headers of the MLX that is installed here."""
    found = importlib.util.find_spec("mlx")
    places = [Path(place, "include") for place in (found and found.submodule_search_locations) or ()]
    return next((place for place in places if (place / HEADER).is_file()), None)


def _precompile(folder: Path) -> None:
    """Read MLX's header once, where g++ is the one that looks for what it has made: macOS's Clang does not."""
    include, made = _includes(), folder / f"{HEADER}.gch"
    if made.exists() or include is None or sys.platform != "linux" or shutil.which("g++") is None:
        return
    made.parent.mkdir(parents=True, exist_ok=True)
    partial = made.with_name(f"partial.{os.getpid()}")
    argv = ["g++", *FLAGS, "-I", str(include), "-x", "c++-header", str(include / HEADER), "-o", str(partial)]
    if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
        partial.replace(made)


def with_real_compiler() -> str:
    """Return PATH without that compiler: for tests that count or time what g++ does."""
    return os.pathsep.join(place for place in os.environ["PATH"].split(os.pathsep) if place != os.environ.get(FOLDER))


@functools.cache
def with_quick_compiler() -> str:
    """Return PATH with that compiler before all others."""
    folder, path = Path(os.environ[FOLDER]), with_real_compiler()
    if real := shutil.which("g++", path=path):
        made = folder / f"g++.{os.getpid()}"
        made.write_text(COMPILER.format(real=real, folder=folder, include=_includes()), encoding="utf-8")
        made.chmod(0o755)
        made.replace(folder / "g++")
    return f"{folder}{os.pathsep}{path}"
