"""MLX's releases: which have wheels for a Python at hand, and a virtual environment with one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from compile_guide._prerequisites import release_numbers
from compile_guide._process import last_line
from compile_guide.ledger.claims import scrub

FIRST = (0, 21)
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PIP = [sys.executable, "-m", "pip"]


def pythons() -> dict[str, str]:
    """Return the Python interpreters at hand, "3.11" to its path: this one, then those of pyenv and on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    on_path = [shutil.which(f"python{version}") for version in PYTHONS]
    found: dict[str, str] = {}
    for place in filter(None, [sys.executable, *map(str, pyenv.glob("3.*/bin/python")), *on_path]):
        # pyenv leaves programs on PATH that only print a complaint
        asked = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if (version := asked.stdout.removeprefix("Python ").rpartition(".")[0]) in PYTHONS:
            found.setdefault(version, place)
    return found


def find_releases(versions: Iterable[str]) -> dict[str, str]:
    """Ask pip which MLX releases from 0.21 on have wheels; return each with the first Python that has one."""
    found: dict[str, str] = {}
    for python in versions:
        asked = ["index", "versions", "mlx", "--only-binary", ":all:", "--python-version", python]
        ended = subprocess.run([*PIP, *asked], capture_output=True, text=True, check=False)
        for release in available(ended.stdout):
            found.setdefault(release, python)
    return dict(sorted(found.items(), key=lambda item: release_numbers(item[0])))


def available(answer: str) -> list[str]:
    """Read the releases from what ``pip index versions`` prints."""
    line = re.search(r"^Available versions: (.+)$", answer, re.MULTILINE)
    names = line.group(1).split(", ") if line else []
    return [name for name in names if release_numbers(name) >= FIRST]


def install(release: str, python: str, place: Path) -> str:
    """Make an environment with this release and NumPy at ``place``; return an empty text, or why it can't be used."""
    name = f"mlx[cpu]=={release}" if sys.platform == "linux" else f"mlx=={release}"
    inside = str(place / "bin" / "python")
    steps = (
        # no pip inside: Debian's Python comes without the one that venv would install
        ("not installed", [python, "-m", "venv", "--without-pip", str(place)]),
        ("not installed", [*PIP, "--python", inside, "install", "--quiet", "--only-binary", ":all:", name, "numpy"]),
        ("not importable", [inside, "-c", "import mlx.core"]),
    )
    for fault, command in steps:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return f"{fault}: {scrub(last_line(ended.stderr))[:300]}"
    return ""
