"""What the bench found about cost: of a timed call, of a process's past and cores, of builds, of recording, of growth; one file a machine."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TypeVar

import msgspec

from compile_guide import _files as saving

PARTS = ("harness", "past", "cores", "builds", "record", "scale")
SCHEMA = 1


Changed = TypeVar("Changed", bound=msgspec.Struct)


def changed(old: Changed, **fields: object) -> Changed:
    """Return a struct with these fields in place of its own."""
    return msgspec.structs.replace(old, **fields)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of the bench: where and when it ran, and the values of each kind, one a repeat.

    Seconds; for ``scale`` also bytes, as the kind's name says.
    """

    created: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    values: dict[str, tuple[float, ...]]

    def median(self, kind: str) -> float:
        """Return the median of a kind's values."""
        return statistics.median(self.values[kind])

    def quartiles(self, kind: str) -> tuple[float, float]:
        """Return what half of a kind's values lie between."""
        if len(self.values[kind]) < 2:
            return self.values[kind][0], self.values[kind][0]
        low, _, high = statistics.quantiles(self.values[kind], n=4, method="inclusive")
        return low, high

    def ratio(self, one: str, other: str) -> tuple[float, float, float]:
        """Return how many times ``one`` takes what ``other`` takes, run by run: median and quartiles."""
        ratios = tuple(a / b for a, b in zip(self.values[one], self.values[other], strict=True))
        made = Part(self.created, self.machine, self.packages, {"": ratios})
        return made.median(""), *made.quartiles("")


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parts that were measured on one machine."""

    schema: int = SCHEMA
    parts: dict[str, Part] = {}


def load(file: Path) -> Costs:
    """Read a file that :func:`put` wrote.

    Raises:
        ValueError: it isn't one; the message names the file and the place.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Costs)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file}: {error}; delete it and make it anew with 'nox -s bench -- harness'") from error
    if found.schema != SCHEMA:
        raise ValueError(f"{file}: schema {found.schema}, and this program reads {SCHEMA}; make it anew")
    return found


def put(file: Path, name: str, part: Part) -> None:
    """Write a part in the place of an older one; the others stay. A reader sees the old file or the new one."""
    parts = dict(load(file).parts) if file.exists() else {}
    parts[name] = part
    ordered = {name: parts[name] for name in PARTS if name in parts}
    file.parent.mkdir(parents=True, exist_ok=True)
    saving.save(msgspec.json.format(msgspec.json.encode(Costs(SCHEMA, ordered)), indent=1) + b"\n", file)
