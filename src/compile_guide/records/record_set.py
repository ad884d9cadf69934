"""The records that a site is made from, and the one of them that it shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from compile_guide.records.schema import Record, RecordError, load

NOT_YET = ".unmeasured"
"""File in the folder of generated examples: names of comparisons that they asked for, and no record had."""


@dataclass(frozen=True)
class Shelf:
    """Every record of a folder by id, what is wrong with files that are none, and the record shown."""

    files: tuple[Path, ...]
    records: tuple[Record, ...]
    broken: tuple[str, ...]
    shown: Record | None

    @property
    def shown_file(self) -> Path | None:
        """The file of the record shown."""
        return next((f for f in self.files if self.shown and f.stem == self.shown.id), None)

    def unmeasured(self, name: str, generated: Path) -> bool:
        """Whether the record shown lacks this comparison because its example was never recorded there.

        Whose it is, the other records know; where none does, the examples asked for it when they were rendered.
        """
        if self.shown is None:
            return False
        owners = {entry.example for one in self.records if (entry := one.by_name.get(name))}
        if owners:
            return not owners & {entry.example for entry in self.shown.comparisons}
        asked = generated / NOT_YET
        return asked.exists() and name in asked.read_text(encoding="utf-8").split()


def shelf(folder: Path, wanted: str = "") -> Shelf:
    """Read a folder's records; ``wanted`` is the id of the one to show, empty for the only or the newest one.

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
def _read(files: tuple[Path, ...], _times: tuple[int, ...], wanted: str) -> Shelf:
    records, broken = [], []
    for file in files:
        try:
            record = load(file)
        except RecordError as error:
            broken.append(str(error))
            continue
        if record.id == file.stem:
            records.append(record)
        else:
            broken.append(f"{file.name}: holds the record {record.id}; name the file after it")
    return Shelf(files, tuple(records), tuple(broken), _choose(records, broken, wanted))


def _choose(records: list[Record], broken: list[str], wanted: str) -> Record | None:
    found = [record for record in records if record.id == wanted]
    if wanted and not found:
        known = ", ".join(record.id for record in records) or "none"
        raise RecordError("; ".join([f"no record {wanted!r}; there are: {known}", *broken]))
    return max(found or records, key=lambda record: record.created, default=None)
