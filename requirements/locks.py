"""Make the locks in this folder from pyproject.toml, or check that they are current.

``python requirements/locks.py check`` asks no index: the first line of a lock holds a digest of what
pyproject.toml asked for when it was made, and of the lock itself, so that a changed wish and an edit by hand
both show. ``python requirements/locks.py make`` needs uv and an index. It keeps every version that still
fits; options for ``uv pip compile`` can follow (``--upgrade`` takes the newest of everything).

A lock is valid on Linux and macOS, for every Python that pyproject.toml allows, and names no index.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PYPROJECT = FOLDER.parent / "pyproject.toml"
HEADER = "# Made by `nox -s lock` from pyproject.toml: do not edit. Digest: "

# Packages that published code requires, and that what is measured of it never imports: most of its size.
UNUSED = (
    *(
        "cffi",
        "cryptography",
        "datasets",
        "dill",
        "fastapi",
        "keras",
        "llguidance",
        "miniaudio",
        "mlx",
        "mlx-cpu",
        "mlx-metal",
    ),
    *(
        "multiprocess",
        "opencv-python",
        "opentelemetry-api",
        "pandas",
        "pyarrow",
        "pycparser",
        "pydantic",
        "pydantic-core",
    ),
    *("python-multipart", "sounddevice", "starlette", "uvicorn", "websockets", "xxhash"),
)
# What `uv pip compile` gets for each lock. The package's own dependencies come with each build of MLX, of
# which only one can be installed: mlx-cpu and mlx-cuda-* are different files at the same path.
LOCKS = {
    "mlx-default": ("pyproject.toml",),
    "mlx-cuda12": ("pyproject.toml", "--group", "mlx-cuda12", "--no-emit-package", "mlx-cpu"),
    "mlx-cuda13": ("pyproject.toml", "--group", "mlx-cuda13", "--no-emit-package", "mlx-cpu"),
    "record": ("--group", "record"),
    "docs": ("--group", "docs"),
    "bench": ("--group", "bench"),
    "tests": ("--group", "tests"),
    "lint": ("--group", "lint"),
    "audit": ("--group", "audit"),
    "browser": ("--group", "browser"),
    "live": ("--group", "live"),
    "peers": ("--group", "peers"),
    "published-code": (
        *("--group", "published-code", "--overrides", "requirements/published-code.overrides"),
        *(argument for name in UNUSED for argument in ("--no-emit-package", name)),
    ),
}
OPTIONS = (
    # without this strategy the newest Sphinx for the oldest Python would be everybody's
    *("--universal", "--python-version", "3.11", "--fork-strategy", "requires-python"),
    *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
    *("--no-emit-index-url", "--no-emit-find-links"),
)


def path_of(name: str) -> Path:
    """Return where the lock ``name`` is."""
    return FOLDER / f"{name}.txt"


def digest(name: str, pyproject: str, content: str) -> str:
    """Return the digest of what ``pyproject`` asks of the lock ``name``, how it's made, and ``content``."""
    asked = tomllib.loads(pyproject)
    groups = asked["dependency-groups"]
    wish = {
        "options": [*OPTIONS, *LOCKS[name]],
        "python": asked["project"]["requires-python"],
        "package": asked["project"]["dependencies"],
        "groups": {group: groups[group] for group in LOCKS[name] if group in groups},
    }
    return hashlib.sha256((json.dumps(wish, sort_keys=True) + content).encode()).hexdigest()


def is_current(name: str) -> bool:
    """Tell whether the lock ``name`` is there, unedited, and what pyproject.toml asks for."""
    if not path_of(name).is_file():
        return False
    header, _, content = path_of(name).read_text(encoding="utf-8").partition("\n")
    return header == HEADER + digest(name, PYPROJECT.read_text(encoding="utf-8"), content)


def make(name: str, others: list[str], options: list[str]) -> None:
    """Make the lock ``name``, in the versions that ``others`` hold where they share a package."""
    path = path_of(name)
    constraints = [argument for other in others for argument in ("-c", f"requirements/{other}.txt")]
    command = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, *LOCKS[name], *constraints, *options]
    subprocess.run([*command, "-o", str(path)], cwd=FOLDER.parent, stdout=subprocess.DEVNULL, check=True)
    content = path.read_text(encoding="utf-8")
    header = HEADER + digest(name, PYPROJECT.read_text(encoding="utf-8"), content)
    path.write_text(f"{header}\n{content}", encoding="utf-8")


def make_all(options: list[str]) -> int:
    """Make every lock; two that are installed together agree on the versions they share."""
    done: list[str] = []
    for name in LOCKS:
        make(name, done, options)
        done += [] if "cuda" in name else [name]
    return 0


def check_all() -> int:
    """Print which locks are not current, if any, and return the exit status."""
    wrong = [name for name in LOCKS if not is_current(name)]
    if wrong:
        print(f"Not current: {', '.join(wrong)} in requirements/. Run `nox -s lock` and commit the result.")
    return 1 if wrong else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check"]:
            sys.exit(check_all())
        case ["make", *rest]:
            sys.exit(make_all(rest))
        case _:
            sys.exit("usage: locks.py check | make [OPTION OF uv pip compile ...]")
