"""Read the records of a folder, of which a site shows one, or a record from a file: ``FILE``, or at a commit ``FILE@REVISION``.

The file's repository may be a foreign one: git reads objects that are there, fetches none, and runs no program that the
repository's settings name.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compile_guide.records.schema import MAX_BYTES, Record, RecordError, load, parse, read

LIMIT_S = 60.0
LOCAL_ONLY = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
"""The first needs git 2.45; with the second alone, older ones try to fetch a missing object and are refused."""
NOT_YET = ".unmeasured"
"""File in a folder of generated examples: names of comparisons that they asked for, and no record had."""


@dataclass(frozen=True)
class RecordSet:
    """Every record of a folder, what is wrong with files that are none, and the record shown."""

    files: tuple[Path, ...]
    records: tuple[Record, ...]
    broken: tuple[str, ...]
    shown: Record | None
    accepted: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The bytes that each record was read from, by its id."""

    @property
    def shown_file(self) -> Path | None:
        """The file of the record shown."""
        return next((f for f in self.files if self.shown and f.stem == self.shown.id), None)

    def unmeasured(self, name: str, generated: Sequence[Path]) -> bool:
        """Return whether the record shown lacks this comparison because its example was never recorded there.

        The other records know whose it is, or the notes in the ``generated`` folders, that an example asked for it.
        """
        if self.shown is None:
            return False
        owners = {entry.example for one in self.records if (entry := one.by_name.get(name))}
        if owners:
            return not owners & {entry.example for entry in self.shown.comparisons}
        notes = [folder / NOT_YET for folder in generated]
        return any(note.exists() and name.encode() in note.read_bytes().split() for note in notes)


def read_folder(folder: Path, wanted: str = "") -> RecordSet:
    """Return the records of a folder; ``wanted`` is the id of the one to show, empty for the newest. Raises RecordError."""
    files = tuple(sorted(folder.glob("*.json")))
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)  # a link may lead nowhere
    return _read(files, changed, wanted)


@functools.lru_cache(maxsize=8)
def _read(files: tuple[Path, ...], _times: tuple[int, ...], wanted: str) -> RecordSet:
    records: dict[str, Record] = {}
    broken: list[str] = []
    accepted: dict[str, bytes] = {}
    for file in files:
        try:
            record = parse(raw := read(file), file.name)
            if record.id != file.stem:
                raise RecordError(f"{file.name}: holds the record {record.id}; name the file after it")
            records[record.id], accepted[record.id] = record, raw
        except RecordError as error:
            broken.append(str(error))
    if wanted and wanted not in records:
        raise RecordError("; ".join([f"no record {wanted!r}; there are: {', '.join(records) or 'none'}", *broken]))
    shown = records[wanted] if wanted else max(records.values(), key=lambda record: record.created, default=None)
    return RecordSet(files, tuple(records.values()), tuple(broken), shown, accepted)


def read_record(place: str) -> Record:
    """Return the record in a file, or what git has of that file at a revision. A file of that very name comes first.

    Raises RecordError, of one line, where the file or the revision isn't there, git is missing, or it is no record.
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
