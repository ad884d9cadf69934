"""What was measured of published packages on one machine: one JSON file, with a record inside it."""

from __future__ import annotations

import json
import re
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from compile_guide import CompileGuideError
from compile_guide._files import write_atomically
from compile_guide.records import schema
from compile_guide.records.schema import Id, LongText, Record, RecordError, Text

SCHEMA = 1
Number = Annotated[int, Meta(ge=0, lt=2**40)]
Seconds = Annotated[float, Meta(ge=0, le=1e6)]
MADE = {
    "record.id": "on another machine",
    "packages": "with other packages",
    "record.settings": "with another budget or number of processes",
}
"""What results must have in common to stand in one file, and the words where they don't."""


class ResultsError(CompileGuideError, ValueError):
    """A file that holds no results of this kind, in one line that names the file and what is wrong."""


class Use(Struct, frozen=True, forbid_unknown_fields=True):
    """A place at which a package compiles a function: file, line, the function, and how (``plain``, ``shapeless``, ``state``)."""

    file: Text
    line: Number
    name: Text
    how: Text


class Package(Struct, frozen=True, forbid_unknown_fields=True):
    """A package and the places at which it compiles; ``version`` is None where it wasn't installed."""

    name: Text
    version: Text | None
    uses: Annotated[tuple[Use, ...], Meta(max_length=2000)] = ()


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and how often it was said."""

    text: LongText
    count: Number


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """What was seen of a function or program beside its time; ``name`` is that of its comparison."""

    name: Id
    inputs: Text
    result: LongText
    """How the compiled result compares with the plain one."""
    how: Text = ""
    calls: Number = 0
    traces: Number = 0
    reasons: Annotated[tuple[Reason, ...], Meta(max_length=100)] = ()


class WatchedFunction(Struct, frozen=True, forbid_unknown_fields=True):
    """A line that compiles functions, as ``compile-guide watch`` reports it. Times are in seconds."""

    name: Text
    place: Text
    calls: Number
    traces: Number
    inlined: Number
    eager: Number
    kernels: Number
    tracing_s: Seconds
    total_s: Seconds
    reasons: Annotated[tuple[Reason, ...], Meta(max_length=200)]
    findings: Annotated[tuple[Reason, ...], Meta(max_length=200)]
    advice: Annotated[tuple[LongText, ...], Meta(max_length=30)]


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """A report of ``compile-guide watch --check`` about a whole program."""

    name: Id
    packages: Text
    """The packages that it runs, with their versions."""
    seconds: Seconds
    functions: Annotated[tuple[WatchedFunction, ...], Meta(max_length=300)]


class Results(Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured on one machine: when and where is part of the record."""

    record: Record
    packages: Annotated[tuple[Package, ...], Meta(max_length=100)]
    seen: Annotated[tuple[Seen, ...], Meta(max_length=500)]
    reports: Annotated[tuple[Report, ...], Meta(max_length=50)]

    def versions(self) -> dict[str, str | None]:
        """Return the version of each package by its name, None where it wasn't installed."""
        return {package.name: package.version for package in self.packages}


def encode_seen(seen: Seen) -> bytes:
    """Return what a process has seen as JSON."""
    return msgspec.json.encode(seen)


def decode_seen(raw: bytes) -> Seen:
    """Return what a process of ours has written. Raises ValueError where it is something else."""
    return msgspec.json.decode(raw, type=Seen)


def load(path: Path) -> Results:
    """Return what a file holds.

    Raises:
        ResultsError: it is missing, too large, or something else than results of this version; one line says what is wrong.
    """
    try:
        data = json.loads(schema.read(path))
        if not isinstance(data, dict) or data.pop("published_code", None) != SCHEMA:
            raise ResultsError(f"published_code isn't {SCHEMA}: no results of this version")
        data["record"] = schema.parse(json.dumps(data.get("record")).encode(), "record")
        return msgspec.convert(data, Results)
    except RecursionError:
        problem = "nested too deeply"
    except (
        ValueError
    ) as error:  # of JSON and of msgspec, and a RecordError, whose own text may begin with the file's name
        problem = str(error).removeprefix(f"{path.name}: ")
    readable = re.sub(r"[^\x20-\x7e]+", "?", problem)[:300]  # a hostile file may be quoted in it
    raise ResultsError(f"{path.name}: {readable}") from None


def save(results: Results, path: Path) -> None:
    """Write results in one step, a line for each comparison, package or observation.

    Raises:
        RecordError: the file would not be read back.
        OSError: it can't be written.
    """
    record = schema.dump(results.record).decode().strip()
    data = msgspec.to_builtins(results)
    parts = [f' "{key}": [{_lines(data[key])}]' for key in ("packages", "seen", "reports")]
    raw = ",\n".join([f'{{\n "published_code": {SCHEMA},\n "record": {record}', *parts]) + "\n}\n"
    if len(raw.encode()) > schema.MAX_BYTES:
        raise RecordError(f"{path.name}: would be larger than 4 MB")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(raw.encode(), path)
    load(path)


def add(before: Results, now: Results) -> Results:
    """Return what was measured now, and what was before and isn't measured again.

    Raises:
        ResultsError: they are of two machines, or made with other packages or settings; one line says which.
    """
    for part, words in MADE.items():
        if attrgetter(part)(before) != attrgetter(part)(now):
            raise ResultsError(f"the file there was made {words}: name another with --out, or measure all again")
    compared = {entry.name: entry for entry in (*before.record.comparisons, *now.record.comparisons)}
    seen = {one.name: one for one in (*before.seen, *now.seen)}
    reports = {report.name: report for report in (*before.reports, *now.reports)}
    record = msgspec.structs.replace(now.record, comparisons=tuple(compared[name] for name in sorted(compared)))
    return Results(record, now.packages, tuple(seen[name] for name in sorted(seen)), tuple(reports.values()))


def _lines(items: list[object]) -> str:
    return "".join(
        f"{',' * (number > 0)}\n  {json.dumps(item, ensure_ascii=False)}" for number, item in enumerate(items)
    )
