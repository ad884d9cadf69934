"""What MLX needs of the machine beside Python's packages: each function says in one line what is missing.

This file needs the standard library alone: the commands of a checkout import it before anything is installed.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

OLDEST_MLX = "0.32.4"  # the oldest MLX that this package measures with, as pyproject.toml says too

INSTALL = "(Debian, Ubuntu: `apt-get install g++`; Fedora: `dnf install gcc-c++`) and run this again"
PROBE = '#include <cmath>\nextern "C" double probe(double x) { return std::erf(x); }\n'


def compiler_fault() -> str | None:
    """Return in one line what keeps MLX's CPU backend from building kernels here; None if nothing does.

    MLX calls ``g++`` from PATH and loads the library that it builds; so does this. Without g++ it silently runs compiled
    functions uncompiled, and every number would be wrong.
    """
    if shutil.which("g++") is None:
        return f"g++ is missing, and MLX's CPU backend builds its kernels with it: install it {INSTALL}"
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "probe.cpp"), Path(folder, "probe.so")
        source.write_text(PROBE, encoding="utf-8")
        command = ["g++", "-std=c++17", "-O3", "-fPIC", "-shared", str(source), "-o", str(library)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
            if not done.returncode:
                ctypes.CDLL(str(library))
                return None
            printed = done.stderr.decode(errors="replace").strip() or "it printed nothing"
            reason = f"exit status {done.returncode}: {printed.splitlines()[0]}"
        except subprocess.TimeoutExpired:
            reason = "it took longer than a minute"
        except OSError as fault:  # it can't be run, or its result can't be loaded: a temp directory mounted noexec
            reason = str(fault)
    return f"g++ can't build a working kernel ({reason}): install a complete one {INSTALL}"


def mlx_fault() -> str | None:
    """Return in one line that MLX isn't installed, or too old; None if it can be used. It isn't imported for that."""
    try:
        found = version("mlx")
    except PackageNotFoundError:
        return "MLX is not installed: install mlx on macOS, 'mlx[cpu]' on Linux"
    if release_numbers(found) < release_numbers(OLDEST_MLX):
        return f"MLX {found} is too old, {OLDEST_MLX} is the oldest that will do: upgrade mlx ('mlx[cpu]' on Linux)"
    return None


def release_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a release, by which releases are compared: "0.9.1" comes before "0.10.0"."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def fault_of_examples() -> str | None:
    """Return in one line why examples can't run as they should; None if no reason is known."""
    return _fault_with(os.environ.get("PATH", ""))


@functools.cache  # each block of each example asks
def _fault_with(_path: str) -> str | None:
    built_with_gpp = any(True for _ in distributions(name="mlx-cpu"))
    return mlx_fault() or (compiler_fault() if built_with_gpp else None)
