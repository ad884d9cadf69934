"""A copy of a checkout to work in, where the checkout itself can't be written or shall stay as it is."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NEEDED = (
    *("conf.py", "pyproject.toml", "CHANGELOG.md", "README.md", "LICENSE"),
    *("requirements", "docs", "gallery", "src"),
)
"""What recording and rendering read."""
MADE = re.compile(r"docs/gallery/|docs/sg_|(.*/)?(__pycache__|[^/]+\.egg-info)/|.*\.pyc$")
"""What they leave among it."""
RECORDS = Path("docs", "records")
MARK = ".copy-of-a-checkout"


class ElsewhereError(RuntimeError):
    """There can't be a copy in that folder; the message, one line, says why."""


def writable(tree: Path) -> bool:
    """Whether a build can leave its files in a checkout."""
    return all(os.access(tree / name, os.W_OK) for name in ("", "docs", "build", ".nox") if (tree / name).exists())


def default_folder(tree: Path) -> Path:
    """Return a folder of the user's own for the copy of ``tree``: in the cache, else a new temporary one."""
    name = "-".join(part for part in re.split(r"\W+", str(tree)) if part)[-80:]
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "mlx-compile-guide" / name
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or one that can't be written
        return Path(tempfile.mkdtemp(prefix="mlx-compile-guide-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="mlx-compile-guide-"))


def copy_tree(tree: Path, target: Path) -> None:
    """Copy what a build needs from a checkout, and nothing that a build left there, to ``target``, which is new."""
    target.mkdir(parents=True)
    refresh(tree, target)


def refresh(tree: Path, target: Path) -> None:
    """Make ``target`` a copy of a checkout, or bring the copy that it is up to date.

    What builds left in the copy stays, so that the next one is quick, and so do records made there.

    Raises:
        ElsewhereError: ``target`` holds something else, or is the checkout.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).exists():
        raise ElsewhereError(f"{target} holds other things: name a folder that is new or empty")
    target.mkdir(parents=True, exist_ok=True)
    (target / MARK).touch()
    for name in files(target):
        if not (tree / name).is_file() and name.parent != RECORDS:
            (target / name).unlink()
    for name in files(tree):
        if not _kept(tree / name, target / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(tree / name, target / name)


def files(tree: Path) -> Iterator[Path]:
    """Yield, relative to ``tree``, the files of a checkout that a build reads."""
    for name in NEEDED:
        found = [tree / name] if (tree / name).is_file() else sorted((tree / name).rglob("*"))
        for file in found:
            inside = file.relative_to(tree)
            if file.is_file() and not MADE.match(inside.as_posix()):
                yield inside


def _copy(file: Path, target: Path) -> None:
    """Copy a file with its time, by which Sphinx tells what has changed, but not its mode: it may be read-only."""
    shutil.copyfile(file, target)
    os.utime(target, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))


def _kept(file: Path, target: Path) -> bool:
    """Whether the copy has the file already, or a record that was made there since."""
    if not target.is_file():
        return False
    if target.parent.name == RECORDS.name and _created(target) > _created(file):
        return True
    there, here = file.stat(), target.stat()
    return (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def _created(record: Path) -> bytes:
    """Return the date that a record gives itself, from its first bytes; it may be anything but a record."""
    with record.open("rb") as file:
        found = re.search(rb'"created": *"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"', file.read(4000))
    return found[1] if found else b""
