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
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OLDEST_MLX = "0.32.4"
"""The oldest MLX that this package measures with, as pyproject.toml says too."""

INSTALL = "(Debian, Ubuntu: `apt-get install g++`; Fedora: `dnf install gcc-c++`) and run this again"
APPLE = (
    "and some examples use MLX on the CPU, which builds its kernels with their g++: "
    "run `xcode-select --install`, then this again"
)
PROBE = '#include <cmath>\nextern "C" double probe(double x) { return std::erf(x); }\n'


def compiler_fault(system: str = sys.platform) -> str | None:
    """Return in one line what keeps MLX's CPU backend from building kernels here; None if nothing does.

    MLX calls ``g++`` from PATH and loads the library that it builds. Without g++ it silently runs compiled functions
    uncompiled, and every number would be wrong. On macOS that concerns what computes on the CPU.
    """
    if system == "darwin":
        return None if mac_compiles() else f"Apple's command line tools are missing, {APPLE}"
    if shutil.which("g++") is None:
        return f"g++ is missing, and MLX's CPU backend builds its kernels with it: install it {INSTALL}"
    with tempfile.TemporaryDirectory() as folder:
        reason = probe_compiler(Path(folder))
    return reason and f"g++ can't build a working kernel ({reason}): install a complete one {INSTALL}"


def mac_compiles() -> bool:
    """Return whether there is a g++ on this Mac: a new Mac has a stand-in, which fails and opens a window.

    ``xcode-select -p`` names the folder of the command line tools, and fails without any (its manual page).
    """
    found = shutil.which("g++")
    if found != "/usr/bin/g++":
        return found is not None
    try:
        return subprocess.run(["xcode-select", "-p"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def probe_compiler(folder: Path) -> str | None:
    """Build and load a one-line library in ``folder``, as MLX does, and return what went wrong."""
    (folder / "probe.cpp").write_text(PROBE, encoding="utf-8")
    command = ["g++", "-std=c++17", "-O3", "-fPIC", "-shared", "probe.cpp", "-o", "probe.so"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
        if done.returncode:
            printed = done.stderr.decode(errors="replace").strip() or "it printed nothing"
            return f"exit status {done.returncode}: {printed.splitlines()[0]}"
        ctypes.CDLL(str(folder / "probe.so"))
    except subprocess.TimeoutExpired:
        return "it took longer than a minute"
    except OSError as fault:  # it can't be run, or its result can't be loaded: a temp directory mounted noexec
        return str(fault)
    return None


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
    if fault := mlx_fault():
        return fault
    try:
        version("mlx-cpu")
    except PackageNotFoundError:
        return None
    return compiler_fault()
