"""What a build of MLX needs of the machine beside Python's packages, and in one line what is missing."""

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
"""The oldest MLX that the helper measures with, as pyproject.toml says too."""

INSTALL = "(Debian, Ubuntu: `apt-get install g++`; Fedora: `dnf install gcc-c++`) and run this again"
APPLE = (
    "and some examples use MLX on the CPU, which builds its kernels with their g++: "
    "run `xcode-select --install`, then this again"
)
PROBE = '#include <cmath>\nextern "C" double probe(double x) { return std::erf(x); }\n'


def compiler_fault(system: str = sys.platform) -> str | None:
    """Say in one line what keeps MLX's CPU backend from building kernels here; None if nothing does.

    MLX calls ``g++`` from PATH and loads what comes out. Finding none, it runs compiled functions uncompiled
    without a word, and every number on the site would be wrong. On macOS that concerns the examples and claims that
    compute on the CPU, too.
    """
    if system == "darwin":
        return None if mac_compiles() else f"Apple's command line tools are missing, {APPLE}"
    if shutil.which("g++") is None:
        return f"g++ is missing, and MLX's CPU backend builds its kernels with it: install it {INSTALL}"
    with tempfile.TemporaryDirectory() as folder:
        reason = probe_compiler(Path(folder))
    return reason and f"g++ can't build a working kernel ({reason}): install a complete one {INSTALL}"


def mac_compiles() -> bool:
    """Return whether there is a g++ on this Mac: a fresh one has a stand-in that fails and opens a window.

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
            said = done.stderr.decode(errors="replace").strip() or "it printed nothing"
            return f"exit status {done.returncode}: {said.splitlines()[0]}"
        ctypes.CDLL(str(folder / "probe.so"))
    except subprocess.TimeoutExpired:
        return "it took longer than a minute"
    except OSError as fault:  # it can't be run, or its result can't be loaded: a temp directory mounted noexec
        return str(fault)
    return None


GPU_DOORS = ("/dev/nvidiactl", "/dev/dxg")
"""What NVIDIA's driver opens: on Linux, and on Linux within Windows."""


def gpu_fault(mlx: str, doors: tuple[str, ...] = GPU_DOORS) -> str | None:
    """Say in one line that a CUDA build of MLX would find no GPU here; None if it may."""
    if not mlx.startswith("cuda") or any(Path(door).exists() for door in doors):
        return None
    return f"--mlx {mlx}: no NVIDIA GPU is here ({doors[0]} is missing); without --mlx, MLX computes on the processor"


def shellcheck(python: Path) -> str | None:
    """Return the path of shellcheck: the one beside this Python, else the system's, None without either.

    The package that brings it has no wheel for Linux on arm64.
    """
    return shutil.which("shellcheck", path=f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}")


def mlx_fault() -> str | None:
    """Say in one line that MLX isn't installed, or too old; None if it will do. It isn't imported to see."""
    try:
        found = version("mlx")
    except PackageNotFoundError:
        return "MLX is not installed: install mlx on macOS, 'mlx[cpu]' on Linux"
    if _numbers(found) < _numbers(OLDEST_MLX):
        return f"MLX {found} is too old, {OLDEST_MLX} is the oldest that will do: upgrade mlx ('mlx[cpu]' on Linux)"
    return None


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


def fault_of_examples() -> str | None:
    """Say in one line why examples can't run as they should; None if nothing is known to be in the way."""
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
