"""A g++ that builds each kernel once in a whole test run: building them over and over would take most of its time."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """Make the folder unless the process that started this one has, and delete it in the end."""
    if FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="guide-compiler-") as folder:
        os.environ[FOLDER] = folder
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
