"""The records that a site is made from, and the one of them that it shows."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compile_guide.records.schema import Record, RecordError, parse, read

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

        The other records know whose comparison it is. Where none does, the examples noted in the ``generated`` folders
        that they asked for it.
        """
        if self.shown is None:
            return False
        owners = {entry.example for one in self.records if (entry := one.by_name.get(name))}
        if owners:
            return not owners & {entry.example for entry in self.shown.comparisons}
        notes = [folder / NOT_YET for folder in generated]
        return any(note.exists() and name.encode() in note.read_bytes().split() for note in notes)


def read_folder(folder: Path, wanted: str = "") -> RecordSet:
    """Return the records of a folder; ``wanted`` is the id of the one to show, empty for the only or the newest one.

    Raises:
        RecordError: there is no record of that id.
    """
    files = tuple(sorted(folder.glob("*.json")))
    return _read(files, tuple(map(_changed, files)), wanted)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # a link that leads nowhere
        return 0


@functools.lru_cache(maxsize=8)
def _read(files: tuple[Path, ...], _times: tuple[int, ...], wanted: str) -> RecordSet:
    records: list[Record] = []
    broken: list[str] = []
    accepted: dict[str, bytes] = {}
    for file in files:
        try:
            raw = read(file)
            record = parse(raw, file.name)
        except RecordError as error:
            broken.append(str(error))
            continue
        if record.id == file.stem:
            records.append(record)
            accepted[record.id] = raw
        else:
            broken.append(f"{file.name}: holds the record {record.id}; name the file after it")
    return RecordSet(files, tuple(records), tuple(broken), _choose(records, broken, wanted), accepted)


def _choose(records: list[Record], broken: list[str], wanted: str) -> Record | None:
    found = [record for record in records if record.id == wanted]
    if wanted and not found:
        known = ", ".join(record.id for record in records) or "none"
        raise RecordError("; ".join([f"no record {wanted!r}; there are: {known}", *broken]))
    return max(found or records, key=lambda record: record.created, default=None)
