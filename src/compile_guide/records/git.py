"""Read a record from a file, or as it was at a commit: ``FILE`` or ``FILE@REVISION``.

The repository may be a foreign one: git reads objects that are there, fetches none, and runs no program that the
repository's settings name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from compile_guide.records.schema import MAX_BYTES, Record, RecordError, load, parse

LIMIT_S = 60.0
LOCAL_ONLY = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
"""The first needs git 2.45; with the second alone, older ones try to fetch a missing object and are refused."""


def read_record(place: str) -> Record:
    """Return the record in a file, or what git has of that file at a revision. A file of that very name comes first.

    Raises:
        RecordError: the file or the revision isn't there, git is missing, or it is no record; one line says which.
    """
    path, at, revision = place.rpartition("@")
    if not at or Path(place).exists():
        return load(Path(place))
    return parse(_content(Path(path), revision), f"{Path(path).name}@{revision}")


def _content(path: Path, revision: str) -> bytes:
    """Return the file's content at a revision. Git is asked in the file's folder, which may be of another checkout."""
    name = f"{path.name}@{revision}"
    if shutil.which("git") is None:
        raise RecordError(f"{name}: needs git, which isn't installed; name a file without '@' instead")
    if not revision or revision.startswith("-"):  # git would take it for an option
        raise RecordError(f"{name}: name a commit, a branch or a tag behind the '@'")
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    inside = os.path.relpath(path.absolute(), folder)
    _git(folder, f"{name}: {folder} is in no git checkout", "rev-parse", "--is-inside-work-tree")
    unknown = f"{name}: git knows no revision {revision!r} here: fetch it, or name another"
    commit = _git(folder, unknown, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    absent = f"{name}: there is no {path} at that revision"
    blob = _git(folder, absent, "rev-parse", "--verify", "--quiet", f"{commit}:./{inside}").decode().strip()
    if int(_git(folder, f"{name}: this checkout lacks its content: fetch it", "cat-file", "-s", blob)) > MAX_BYTES:
        raise RecordError(f"{name}: larger than 4 MB; no machine's record is")
    return _git(folder, f"{name}: is no file at that revision", "cat-file", "blob", blob)


def _git(folder: Path, problem: str, *arguments: str) -> bytes:
    """Return what git prints. Raises RecordError with that problem if it fails."""
    try:
        argv, env = ["git", "-C", str(folder), *arguments], {**os.environ, **LOCAL_ONLY}
        return subprocess.run(argv, env=env, capture_output=True, timeout=LIMIT_S, check=True).stdout
    except subprocess.CalledProcessError:
        raise RecordError(problem) from None
    except subprocess.TimeoutExpired:
        raise RecordError(f"{problem}, as far as git could tell within {LIMIT_S:.0f} s") from None
