"""Read a record from a file, or as it was at one commit: ``FILE`` or ``FILE@REVISION``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from compile_guide.records.schema import MAX_BYTES, Record, RecordError, load, parse


def read(place: str) -> Record:
    """Return the record in a file, or what git has of that file at a revision. A file of that very name comes first.

    Raises:
        RecordError: the file or the revision isn't there, git is missing, or it is no record; one line says which.
    """
    path, at, revision = place.rpartition("@")
    if not at or Path(place).exists():
        return load(Path(place))
    return parse(_show(Path(path), revision), f"{Path(path).name}@{revision}")


def _show(path: Path, revision: str) -> bytes:
    """Return the file's content at a revision. Git is asked in the file's folder, which may be of another checkout."""
    if shutil.which("git") is None:
        raise RecordError(f"{path.name}@{revision}: needs git, which isn't installed; name a file without '@' instead")
    if not revision or revision.startswith("-"):  # git would take it for an option
        raise RecordError(f"{path.name}@{revision}: name a commit, a branch or a tag behind the '@'")
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    if _git(folder, "rev-parse", "--is-inside-work-tree").returncode:
        raise RecordError(f"{path.name}@{revision}: {folder} is in no git checkout")
    if _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode:
        raise RecordError(f"{path.name}@{revision}: git knows no revision {revision!r} here: fetch it, or name another")
    name = f"{revision}:./{os.path.relpath(path.absolute(), folder)}"
    if (found := _git(folder, "show", name)).returncode:
        raise RecordError(f"{path.name}@{revision}: there is no {path} at that revision")
    if len(found.stdout) > MAX_BYTES:
        raise RecordError(f"{path.name}@{revision}: larger than 4 MB; no machine's record is")
    return found.stdout


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
