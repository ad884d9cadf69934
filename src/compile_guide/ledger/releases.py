"""MLX's releases: which have wheels for a Python at hand, and a virtual environment with one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

FIRST = (0, 21)
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def order(release: str) -> tuple[int, ...]:
    """Return the numbers of a release, to sort by: "0.9.1" comes before "0.10.0"."""
    return tuple(int(number) for number in re.findall(r"\d+", release))


def pythons() -> dict[str, str]:
    """Return the Python interpreters at hand, "3.11" to its path: this one, those on PATH, and pyenv's."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for version in PYTHONS:
        places = [*pyenv.glob(f"{version}.*/bin/python"), shutil.which(f"python{version}")]
        works = [str(place) for place in places if place and _runs(str(place), version)]
        found.update({version: works[0]} if works and version not in found else {})
    return found


def _runs(python: str, version: str) -> bool:
    """Say whether this is that Python: pyenv leaves programs on PATH that only print a complaint."""
    ended = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return ended.returncode == 0 and ended.stdout.startswith(f"Python {version}.")


def releases(versions: Iterable[str]) -> dict[str, str]:
    """Ask pip which MLX releases from 0.21 on have wheels; return each with the first Python that has one."""
    found: dict[str, str] = {}
    for python in versions:
        asked = ["index", "versions", "mlx", "--only-binary", ":all:", "--python-version", python]
        ended = subprocess.run([sys.executable, "-m", "pip", *asked], capture_output=True, text=True, check=False)
        for release in available(ended.stdout):
            found.setdefault(release, python)
    return dict(sorted(found.items(), key=lambda item: order(item[0])))


def available(answer: str) -> list[str]:
    """Read the releases out of what ``pip index versions`` prints."""
    line = re.search(r"^Available versions: (.+)$", answer, re.MULTILINE)
    names = line.group(1).split(", ") if line else []
    return [name for name in names if order(name) >= FIRST]


def install(release: str, python: str, place: Path) -> str:
    """Make an environment with this release and NumPy; return an empty text, or why it can't be used."""
    name = f"mlx[cpu]=={release}" if sys.platform == "linux" else f"mlx=={release}"
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    steps = _with_uv(uv, python, place, name) if uv else _with_pip(python, place, name)
    probe = [[str(place / "bin" / "python"), "-c", "import mlx.core as mx; print(mx.__version__)"]]
    for step in steps + probe:
        ended = subprocess.run(step, capture_output=True, text=True, check=False)
        if ended.returncode:
            return f"{'not importable' if step in probe else 'not installed'}: {_last_line(ended.stderr)}"
    return ""


def _with_uv(uv: str, python: str, place: Path, name: str) -> list[list[str]]:
    inside = str(place / "bin" / "python")
    make = [uv, "venv", "--quiet", "--python", python, str(place)]
    return [
        make,
        [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", inside, name, "numpy"],
    ]


def _with_pip(python: str, place: Path, name: str) -> list[list[str]]:
    inside = str(place / "bin" / "python")
    make = [python, "-m", "venv", str(place)]
    return [make, [inside, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", name, "numpy"]]


def _last_line(text: str) -> str:
    """Return the last line that says something, without the folder names that differ from run to run."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    return re.sub(r"(?<![\w.:/])/(?:[\w.+-]+/)+[\w.+-]*", "<path>", lines[-1])[:300]
