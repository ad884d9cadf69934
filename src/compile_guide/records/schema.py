"""The record: one JSON file with what one machine measured and observed under one MLX version.

Schema history (``schema`` in the file; a file of another number is refused):

1. first version (2026-11): machine, settings, comparisons with their raw pairs, verdicts of the claims, and three tables:
   functions under ``shapeless=True``, what ``mlx.nn`` has compiled already, error messages with their fixes.
   Since 0.2 a run may say ``built``, a machine ``gpu_cores`` and ``low_power``, an entry ``others`` and ``throttled``;
   records without them are as good as before.
"""

from __future__ import annotations

import functools
import json
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from compile_guide import _files as saving
from compile_guide.recorder.machine import Machine as MachineFacts
from compile_guide.timing import MAX_PAIRS, Comparison, from_dict

SCHEMA = 1
MAX_BYTES = 4_000_000
MAX_PROCESSES = 32

# Control characters, line and bidirectional controls, byte-order marks and lone surrogates have no place in a contributed string.
_PLAIN = "^[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]*\\Z"
Text = Annotated[str, Meta(max_length=300, pattern=_PLAIN)]
LongText = Annotated[str, Meta(max_length=4000, pattern=_PLAIN)]
Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
Seconds = Annotated[float, Meta(gt=0, lt=1e6)]
Bytes = Annotated[int, Meta(ge=0, lt=2**50)]
Rate = Annotated[float, Meta(gt=0, lt=1e15)]
Samples = Annotated[tuple[Seconds, ...], Meta(min_length=1, max_length=MAX_PAIRS)]
Backend = Literal["metal", "cuda", "cpu"]


class RecordError(ValueError):
    """A file that isn't a record, in one line that names the file, the field, and what is wrong."""


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about the machine; the fields of :class:`compile_guide.recorder.machine.Machine`, checked."""

    backend: Backend
    chip: Text
    cores: Annotated[int, Meta(ge=1, le=65536)]
    gpu: Text | None
    memory: Bytes
    os: Text
    arch: Text
    python: Text
    mlx: Text
    compiler: Text | None
    power: Literal["ac", "battery"] | None
    copy_bandwidth: Rate
    gpu_cores: Annotated[int, Meta(ge=1, le=65536)] | None = None
    low_power: bool | None = None


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """How it was measured: seconds for a comparison over all processes, number of processes, wanted half-width."""

    budget_s: Seconds
    processes: Annotated[int, Meta(ge=1, le=MAX_PROCESSES)]
    half_width: Annotated[float, Meta(gt=0, lt=1)]


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """One process; the fields of :class:`compile_guide.timing.Run`, checked. The two sample lists pair up."""

    baseline_s: Samples
    candidate_s: Samples
    first_baseline_s: Seconds
    first_candidate_s: Seconds
    cache: Literal["empty", "warm", "unknown"]
    baseline_calls: Annotated[int, Meta(ge=1, lt=2**40)]
    candidate_calls: Annotated[int, Meta(ge=1, lt=2**40)]
    baseline_peak: Bytes
    candidate_peak: Bytes
    copy_bandwidth: Rate | None
    built: Annotated[int, Meta(ge=0, lt=2**20)] | None = None

    def __post_init__(self) -> None:
        """Refuse sample lists that don't pair up."""
        if len(self.baseline_s) != len(self.candidate_s):
            raise ValueError("baseline_s and candidate_s differ in length")


class Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One comparison and the example that it stands in; either runs, or the seconds of a call too slow to compare.

    ``others`` says how many processors other programs kept busy meanwhile, on average in the worst of its processes;
    ``throttled`` whether the machine slowed itself down for heat during one of them.
    """

    example: Id
    name: Id
    runs: Annotated[tuple[Run, ...], Meta(max_length=MAX_PROCESSES)]
    bytes_moved: Bytes | None
    slow_call_s: Seconds | None
    note: Text
    others: Annotated[float, Meta(ge=0, le=65536)] | None = None
    throttled: bool | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that has both runs and a slow call, or neither."""
        if bool(self.runs) == (self.slow_call_s is not None):
            raise ValueError("an entry has either runs or slow_call_s")

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - pages ask for one entry many times on end; entries outlive the cache
    def comparison(self) -> Comparison:
        """Return the comparison with its statistics."""
        return from_dict(msgspec.to_builtins(self))


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """What a claim's check saw here; ``holds`` is None when it can't be decided on this machine."""

    id: Id
    holds: bool | None
    observed: LongText


class Support(Struct, frozen=True, forbid_unknown_fields=True):
    """What one function does under ``shapeless=True`` when the second size is smaller, and when it is larger."""

    name: Text
    code: Text
    smaller: Text
    larger: Text
    seen: Annotated[tuple[LongText, ...], Meta(max_length=30)]


class Ready(Struct, frozen=True, forbid_unknown_fields=True):
    """A function or layer of ``mlx.nn``, and whether it is compiled already; ``through`` names what a layer uses."""

    name: Text
    kind: Literal["function", "layer"]
    compiled: bool
    shapeless: bool | None
    through: Annotated[tuple[Text, ...], Meta(max_length=30)]


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the error catalogue: the type and message that its code raised here, and whether its fix works."""

    id: Id
    type: Text
    message: LongText
    fixed: bool


class Tables(Struct, frozen=True, forbid_unknown_fields=True):
    """What was observed beside the claims, a tuple a table."""

    support: Annotated[tuple[Support, ...], Meta(max_length=1000)] = ()
    ready: Annotated[tuple[Ready, ...], Meta(max_length=1000)] = ()
    messages: Annotated[tuple[Message, ...], Meta(max_length=1000)] = ()


class Record(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One machine, one MLX version: every comparison, every claim's verdict, and the tables."""

    schema: int
    id: Id
    created: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]
    guide: Text
    machine: Machine
    settings: Settings
    comparisons: Annotated[tuple[Entry, ...], Meta(max_length=1000)]
    claims: Annotated[tuple[Verdict, ...], Meta(max_length=1000)] = ()
    tables: Tables = Tables()

    def __post_init__(self) -> None:
        """Refuse a name or a claim that stands in the record twice."""
        for what, names in (("comparison", [c.name for c in self.comparisons]), ("claim", [c.id for c in self.claims])):
            if twice := sorted(name for name, count in Counter(names).items() if count > 1):
                raise ValueError(f"{what} {twice[0]} stands in it twice")

    @functools.cached_property
    def by_name(self) -> dict[str, Entry]:
        """Every comparison's entry by name, looked up once: pages ask thousands of times."""
        return {entry.name: entry for entry in self.comparisons}

    @functools.cached_property
    def by_example(self) -> dict[str, tuple[Entry, ...]]:
        """The comparisons of each example, in the record's order."""
        found: dict[str, list[Entry]] = {}
        for entry in self.comparisons:
            found.setdefault(entry.example, []).append(entry)
        return {example: tuple(entries) for example, entries in found.items()}


def with_claims(old: Record, claims: tuple[Verdict, ...], tables: Tables) -> Record:
    """Return the record with these verdicts and tables in place of its own."""
    return msgspec.structs.replace(old, claims=claims, tables=tables)


def tables_of(data: object) -> Tables:
    """Check what a process observed; ValueError when it isn't in the tables' form."""
    return msgspec.convert(data, Tables)


def machine_of(facts: MachineFacts) -> Machine:
    """Return measured facts about a machine in their checked form."""
    return msgspec.convert(facts, Machine, from_attributes=True)


def load(path: Path) -> Record:
    """Read a record, at most 4 MB of it.

    Raises:
        RecordError: the file is missing, too large, not JSON, of another schema, or a field is wrong; one line says which.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise RecordError(f"{path.name}: is no ordinary file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecordError(f"{path.name}: can't be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise RecordError(f"{path.name}: larger than 4 MB; no machine's record is")
    return parse(raw, path.name)


def parse(raw: bytes, name: str = "record") -> Record:
    """Build a record from JSON bytes; ``name`` stands in front of an error. Raises RecordError."""
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
        if isinstance(data, dict) and type(data.get("schema")) is int and data["schema"] != SCHEMA:
            raise RecordError(f"schema {data['schema']} isn't {SCHEMA}: record again with this guide's version")
        return msgspec.convert(data, Record)
    except RecursionError:
        problem = "nested too deeply"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        problem = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
    except ValueError as error:  # RecordError, msgspec.ValidationError, and int() of too many digits
        problem = str(error)
    readable = re.sub(r"[^\x20-\x7e]+", "?", problem)[:300]  # a hostile file may be quoted in it
    raise RecordError(f"{name}: {readable}") from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record; its patterns are Python's."""
    return msgspec.json.schema(Record)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python's json keeps the last of two equal keys; a record has none."""
    found = dict(pairs)
    if len(found) != len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise RecordError(f"field {key!r} stands there twice")
    return found


def _constant(name: str) -> Any:
    raise RecordError(f"{name} isn't a number that JSON knows")


def dump(record: Record) -> bytes:
    """Return the record as JSON, one comparison or claim a line, so that a change reads well in a diff."""
    data = msgspec.to_builtins(record)
    lists = {key: data.pop(key) for key in ("comparisons", "claims")}
    tables = data.pop("tables")
    head = json.dumps(data, ensure_ascii=False, indent=1)[:-2]
    parts = ",\n".join(_lines(key, items) for key, items in lists.items())
    rest = ",\n".join(_lines(key, items) for key, items in tables.items())
    return f'{head},\n{parts},\n "tables": {{\n{rest}\n }}\n}}\n'.encode()


def _lines(key: str, items: list[Any]) -> str:
    """A list as JSON, one item a line."""
    rows = ",\n".join("  " + json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items)
    return f' "{key}": [\n{rows}\n ]' if items else f' "{key}": []'


def save(record: Record, path: Path) -> None:
    """Write the record in one step. Raises RecordError."""
    raw = dump(record)
    parse(raw, path.name)
    if len(raw) > MAX_BYTES:
        raise RecordError(f"{path.name}: would be larger than 4 MB")
    path.parent.mkdir(parents=True, exist_ok=True)
    saving.save(raw, path)
