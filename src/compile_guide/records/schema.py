"""The record: one JSON file with what one machine measured and observed under one MLX version.

A file of another ``schema`` is refused. Schema 1 (2026-11) is the first; ``built`` of a run, ``gpu_cores`` and ``low_power``
of a machine, ``others`` and ``throttled`` of an entry may be missing.
"""

from __future__ import annotations

import functools
import json
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from compile_guide import CompileGuideError
from compile_guide._files import write_atomically
from compile_guide.comparison import Comparison, Run
from compile_guide.timing import MAX_PAIRS

SCHEMA = 1
MAX_BYTES = 4_000_000
MAX_PROCESSES = 32

# Control characters, line and bidirectional controls, byte-order marks and lone surrogates have no place in a contributed string.
_PLAIN = "^[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]*\\Z"
Text = Annotated[str, Meta(max_length=300, pattern=_PLAIN)]
LongText = Annotated[str, Meta(max_length=4000, pattern=_PLAIN)]
Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
# With these bounds, what is computed from a record is finite: ratios, rates, break-even, and all that is printed.
Seconds = Annotated[float, Meta(ge=1e-9, le=1e6)]
Bytes = Annotated[int, Meta(ge=0, lt=2**50)]
Rate = Annotated[float, Meta(ge=1, le=1e15)]
Calls = Annotated[int, Meta(ge=1, lt=2**40)]
Count = Annotated[int, Meta(ge=1, le=65536)]
Samples = Annotated[tuple[Seconds, ...], Meta(min_length=1, max_length=MAX_PAIRS)]


class RecordError(CompileGuideError, ValueError):
    """A file that isn't a record, in one line that names the file, the field, and what is wrong."""


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that a record comes from, without host name, user name or path."""

    backend: Literal["metal", "cuda", "cpu"]  # where MLX's default device computes
    chip: Text
    cores: Count
    gpu: Text | None
    memory: Bytes
    os: Text
    arch: Text
    python: Text
    mlx: Text
    compiler: Text | None
    """First line of ``g++ --version``; only the CPU backend builds its kernels with it."""
    power: Literal["ac", "battery"] | None  # on macOS and Linux; None where it isn't known
    copy_bandwidth: Rate  # bytes per second, read plus written, of a large copy
    gpu_cores: Count | None = None
    """Cores of an Apple GPU: chips of one name have different numbers of them. None elsewhere."""
    low_power: bool | None = None  # whether macOS's low-power mode slows the machine down; None where it isn't known

    @property
    def id(self) -> str:
        """Return an id of backend, chip (with CUDA: GPU) and MLX version, such as ``metal-apple-m3-max-40-core-gpu-mlx-0-32-4``."""
        cores = f"-{self.gpu_cores}-core-gpu" if self.backend == "metal" and self.gpu_cores else ""
        processor = self.gpu if self.backend == "cuda" and self.gpu else self.chip
        return slug(f"{self.backend}-{processor}{cores}-mlx-{self.mlx}")

    def differences(self, other: Machine) -> str:
        """Return what tells this machine from another one, such as "cores: 96 and 2"; empty if they can be the same.

        Of the memory a fiftieth may differ: how much of it the system keeps to itself changes with its updates.
        """
        names = ["backend", "chip", "cores", "gpu", "gpu_cores", "os", "arch", "mlx"]
        names += ["memory"] if abs(self.memory - other.memory) * 50 > self.memory else []
        facts = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return ", ".join(f"{name}: {ours} and {theirs}" for name, (ours, theirs) in facts.items() if ours != theirs)


def slug(text: str) -> str:
    """Return ``text`` as an id: lower case, runs of other characters one ``-``, at most 64 characters."""
    plain = re.sub(r"\((?:R|TM|C)\)", "", text, flags=re.IGNORECASE).lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """How it was measured: seconds for a comparison over all processes, number of processes, wanted half-width."""

    budget_s: Seconds
    processes: Annotated[int, Meta(ge=1, le=MAX_PROCESSES)]
    half_width: Annotated[float, Meta(ge=1e-6, lt=1)]


@dataclass(frozen=True, repr=False)
class CheckedRun(Run):
    """A run as a record may hold it: every field is there and within bounds, and the two lists of samples pair up."""

    baseline_s: Samples
    candidate_s: Samples
    first_baseline_s: Seconds
    first_candidate_s: Seconds
    cache: Literal["empty", "warm", "unknown"] = field()
    baseline_calls: Calls = field()
    candidate_calls: Calls = field()
    baseline_peak: Bytes = field()
    candidate_peak: Bytes = field()
    copy_bandwidth: Rate | None = field()
    built: Annotated[int, Meta(ge=0, lt=2**20)] | None = None

    def __post_init__(self) -> None:
        """Refuse sample lists that don't pair up."""
        if len(self.baseline_s) != len(self.candidate_s):
            raise ValueError("baseline_s and candidate_s differ in length")


class Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """One comparison and the example that it stands in; either runs, or the seconds of a call too slow to compare."""

    example: Id
    name: Id
    runs: Annotated[tuple[CheckedRun, ...], Meta(max_length=MAX_PROCESSES)]
    bytes_moved: Bytes | None
    slow_call_s: Seconds | None
    note: Text
    others: Annotated[float, Meta(ge=0, le=65536)] | None = None
    """Processors that other programs kept busy meanwhile, on average in the worst of its processes."""
    throttled: bool | None = None  # whether the machine slowed itself down for heat during one of its processes

    def __post_init__(self) -> None:
        """Refuse an entry that has both runs and a slow call, or neither."""
        if bool(self.runs) == (self.slow_call_s is not None):
            raise ValueError("an entry has either runs or slow_call_s")

    def comparison(self) -> Comparison:
        """Return the comparison with its statistics, the same object at each call."""
        return self._comparison

    @functools.cached_property
    def _comparison(self) -> Comparison:
        return Comparison(self.name, self.runs, self.bytes_moved, self.slow_call_s, self.note)


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
        examples = dict.fromkeys(entry.example for entry in self.comparisons)
        return {name: tuple(entry for entry in self.comparisons if entry.example == name) for name in examples}


def with_claims(old: Record, claims: tuple[Verdict, ...], tables: Tables) -> Record:
    """Return the record with these verdicts and tables in place of its own."""
    return msgspec.structs.replace(old, claims=claims, tables=tables)


def tables_of(data: object) -> Tables:
    """Return the tables that a process observed. Raises ValueError when the data isn't in their form."""
    return msgspec.convert(data, Tables)


def entry_of(example: str, line: str) -> Entry:
    """Return the comparison that a process of an example reported as a line of JSON. Raises RecordError for another line."""
    try:
        data = json.loads(line, object_pairs_hook=_checked_object, parse_constant=_constant)
        entry = msgspec.convert({"example": example, **data}, Entry)
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"it reported something else than a comparison: {error}") from None
    if len(entry.runs) > 1:
        raise RecordError(f"it reported {len(entry.runs)} processes as one")
    return entry


def machine_of(data: object) -> Machine:
    """Return the machine with these facts. Raises RecordError when they aren't what a record may hold."""
    try:
        return msgspec.convert(data, Machine)
    except msgspec.ValidationError as error:
        raise RecordError(f"the facts about this machine fit no record: {error}") from None


def load(path: Path) -> Record:
    """Return the record in a file. Raises RecordError, whose one line says what is wrong, and in which field."""
    return parse(read(path), path.name)


def read(path: Path) -> bytes:
    """Return the bytes of a regular file. Raises RecordError where it is missing, no regular file, or larger than 4 MB."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise RecordError(f"{path.name}: is no ordinary file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecordError(f"{path.name}: can't be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise RecordError(f"{path.name}: larger than 4 MB; no machine's record is")
    return raw


def parse(raw: bytes, name: str = "record") -> Record:
    """Build a record from JSON bytes; ``name`` stands in front of an error. Raises RecordError."""
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_checked_object, parse_constant=_constant)
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
    schema = msgspec.json.schema(Record)
    schema["$defs"]["CheckedRun"]["additionalProperties"] = False
    return schema


def _checked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; refuse what neither json nor msgspec does: a field twice, an unknown field in a run."""
    found = dict(pairs)
    if len(found) != len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise RecordError(f"field {key!r} stands there twice")
    if "baseline_s" in found and (unknown := sorted(found.keys() - CheckedRun.__dataclass_fields__.keys())):
        raise RecordError(f"a run contains the unknown field {unknown[0]!r}")
    return found


def _constant(name: str) -> Any:
    raise RecordError(f"{name} isn't a number that JSON knows")


def dump(record: Record) -> bytes:
    """Return the record as JSON, one comparison or claim a line, so that a change reads well in a diff."""
    data = msgspec.to_builtins(record)
    comparisons, claims = (_lines(key, data.pop(key)) for key in ("comparisons", "claims"))
    tables = ",\n".join(_lines(key, items) for key, items in data.pop("tables").items())
    head = json.dumps(data, ensure_ascii=False, indent=1)[:-2]
    return f'{head},\n{comparisons},\n{claims},\n "tables": {{\n{tables}\n }}\n}}\n'.encode()


def _lines(key: str, items: list[Any]) -> str:
    rows = ",\n".join("  " + json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items)
    return f' "{key}": [\n{rows}\n ]' if items else f' "{key}": []'


def save(record: Record, path: Path) -> None:
    """Write the record in one step, its folder too. Raises RecordError if it would not be read back, or OSError."""
    parse(raw := dump(record), path.name)
    if len(raw) > MAX_BYTES:
        raise RecordError(f"{path.name}: would be larger than 4 MB")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(raw, path)
