"""Is a record plausible?  What a schema can't see in a contributed file: each finding names the entry and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from compile_guide.ledger.releases import order
from compile_guide.recorder.machine import id_of
from compile_guide.records.schema import Entry, Record, RecordError, Run, load
from compile_guide.timing import COPY_BYTES, median_interval

OLDEST, NEWEST = "0.32.4", "0.32.4"
"""The MLX releases that this guide has been tried with; a newer one counts as known where it is installed."""
IN_CACHE, IN_MEMORY = 50.0, 4.0
"""How often the copy bandwidth a comparison may reach. Data that fits a cache is served much faster than the copy's
512 MB; a working set of that size or more comes from memory, where little is gained but the copy's own overhead."""
COPIES_DIFFER = 10.0
CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True)
class Finding:
    """What is wrong: the entry, the fault, and what to do about it."""

    where: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.wrong}; {self.remedy}"


def check_file(path: Path, examples: set[str], now: datetime | None = None) -> tuple[Record | None, list[Finding]]:
    """Read a record and return it with all findings; without it when the file is no record at all."""
    try:
        record = load(path)
    except RecordError as error:
        wrong = str(error).removeprefix(f"{path.name}: ")
        return None, [Finding(path.name, wrong, "send the file as 'python -m compile_guide record' wrote it")]
    found = [] if path.stem == record.id else [_name(path, record)]
    return record, [*found, *check(record, examples, now or datetime.now(UTC))]


def _name(path: Path, record: Record) -> Finding:
    return Finding(path.name, f"holds the record {record.id}", f"name it {record.id}.json")


def check(record: Record, examples: set[str], now: datetime) -> list[Finding]:
    """Return the findings of a record that fits the schema; ``examples`` are the names of this guide's examples."""
    found = [*_identity(record), *_version(record.machine.mlx), *_date(record.created, now)]
    for entry in record.comparisons:
        found += _example(entry, examples)
        found += _processes(entry)
        found += _identical(entry)
        found += _bandwidth(entry, record.machine.copy_bandwidth)
    return found


def _identity(record: Record) -> Iterator[Finding]:
    machine = record.machine
    if (right := id_of(machine.backend, machine.chip, machine.gpu, machine.gpu_cores, machine.mlx)) != record.id:
        yield Finding("id", f"{record.id} doesn't fit its machine, which makes {right}", "record again, edit nothing")
    if (machine.backend == "metal") != machine.os.startswith("macOS") and machine.backend != "cpu":
        yield Finding("machine", f"{machine.backend} on {machine.os}", "record again, edit nothing")
    if machine.backend == "cuda" and not machine.gpu:
        yield Finding("machine", "a CUDA machine without a GPU's name", "record again, edit nothing")


def _version(mlx: str) -> Iterator[Finding]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", mlx):
        yield Finding("machine.mlx", f"{mlx} is no release of MLX", "record with a released MLX")
    elif order(mlx) < order(OLDEST):
        yield Finding(
            "machine.mlx", f"{mlx} is older than {OLDEST}, the oldest for this guide", "record with a newer MLX"
        )
    elif order(mlx) > max(order(NEWEST), order(_installed())):
        remedy = f"if it exists, check with it: install mlx=={mlx} and run this again"
        yield Finding("machine.mlx", f"{mlx} is newer than any MLX that this guide or this machine knows", remedy)


def _installed() -> str:
    try:
        return version("mlx")
    except PackageNotFoundError:
        return "0"


def _date(created: str, now: datetime) -> Iterator[Finding]:
    try:
        made = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        yield Finding("created", f"there is no time {created}", "record again, edit nothing")
        return
    if made > now + CLOCKS_DIFFER:
        yield Finding("created", f"{created} is in the future", "set the machine's clock and record again")


def _example(entry: Entry, examples: set[str]) -> Iterator[Finding]:
    if entry.example not in examples:
        remedy = "add the example to the gallery first, or take its comparisons out by recording again"
        yield Finding(entry.name, f"there is no example {entry.example!r}", remedy)


def _processes(entry: Entry) -> Iterator[Finding]:
    number = len(entry.runs)
    if number and median_interval([1.0] * number) is None:
        remedy = "record with the default --processes"
        yield Finding(entry.name, f"{number} processes are too few for an interval", remedy)


def _identical(entry: Entry) -> Iterator[Finding]:
    """A clock never repeats itself for long: real samples of six digits differ."""
    remedy = "record again, edit nothing"
    for number, run in enumerate(entry.runs, start=1):
        for side, samples in (("baseline", run.baseline_s), ("candidate", run.candidate_s)):
            most = Counter(samples).most_common(1)[0][1]
            if len(samples) > 2 and most > len(samples) / 2:
                wrong = f"{most} of {len(samples)} {side} samples of process {number} are the same"
                yield Finding(entry.name, wrong, remedy)
    seen: dict[tuple[float, ...], int] = {}
    for number, run in enumerate(entry.runs, start=1):
        for samples in (run.baseline_s, run.candidate_s) if len(run.baseline_s) > 2 else ():
            if samples in seen:
                yield Finding(entry.name, f"processes {seen[samples]} and {number} have the same samples", remedy)
            seen[samples] = number


def _bandwidth(entry: Entry, copy: float) -> Iterator[Finding]:
    remedy = "check bytes_moved in the example, and record again"
    for number, run in enumerate(entry.runs, start=1):
        if run.copy_bandwidth and not 1 / COPIES_DIFFER <= run.copy_bandwidth / copy <= COPIES_DIFFER:
            wrong = f"process {number} copied {run.copy_bandwidth / copy:.2g} times as fast as the machine"
            yield Finding(entry.name, wrong, "record again on a machine that is left alone")
        if entry.bytes_moved and (times := _fastest(entry.bytes_moved, run) / copy) > _most(entry.bytes_moved):
            wrong = f"process {number} moves {times:.0f} times what the machine copies"
            yield Finding(entry.name, f"{wrong}, {_most(entry.bytes_moved):.0f} times is the most believed", remedy)


def _fastest(bytes_moved: int, run: Run) -> float:
    return bytes_moved / min(*run.baseline_s, *run.candidate_s)


def _most(bytes_moved: int) -> float:
    return IN_MEMORY if bytes_moved >= 2 * COPY_BYTES else IN_CACHE
