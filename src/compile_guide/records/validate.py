"""Check whether a contributed record can be true, beyond its schema; each finding names the entry and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path

from compile_guide._prerequisites import OLDEST_MLX, release_numbers
from compile_guide.comparison import median_interval
from compile_guide.records.schema import Entry, Record, RecordError, load
from compile_guide.timing import COPY_BYTES

IN_CACHE, IN_MEMORY = 50.0, 4.0
"""How often the copy bandwidth a comparison may reach. Data that fits a cache is served much faster than the copy's
512 MB; a working set of that size or more comes from memory, where only the copy's own overhead can be gained."""
AGAIN = "record again, edit nothing"
COPIES_DIFFER = 10.0
CLOCKS_DIFFER = timedelta(hours=1)
Finding = tuple[str, str, str]  # what is wrong: the entry, the fault, and what to do about it


def check_file(path: Path, examples: set[str], now: datetime | None = None) -> tuple[Record | None, list[str]]:
    """Read a record and return it with a line for each finding; without it when the file is no record at all."""
    try:
        record = load(path)
    except RecordError as error:
        return None, [f"{error}; send the file as 'compile-guide record' wrote it"]
    found = [f"{path.name}: {line}" for line in check(record, examples, now or datetime.now(UTC))]
    misnamed = f"{path.name}: holds the record {record.id}; name it {record.id}.json"
    return record, found if path.stem == record.id else [misnamed, *found]


def check(record: Record, examples: set[str], now: datetime) -> list[str]:
    """Return a line for each finding in a record that fits the schema; ``examples`` are the names of the gallery's."""
    found = [*_identity(record), *_version(record.machine.mlx), *_date(record.created, now)]
    for entry in record.comparisons:
        found += [*_entry(entry, examples), *_identical(entry), *_bandwidth(entry, record.machine.copy_bandwidth)]
    return [f"{where}: {wrong}; {remedy}" for where, wrong, remedy in found]


def _identity(record: Record) -> Iterator[Finding]:
    machine = record.machine
    if machine.id != record.id:
        yield ("id", f"{record.id} doesn't fit its machine, which makes {machine.id}", AGAIN)
    if (machine.backend == "metal") != machine.os.startswith("macOS") and machine.backend != "cpu":
        yield ("machine", f"{machine.backend} on {machine.os}", AGAIN)
    if machine.backend == "cuda" and not machine.gpu:
        yield ("machine", "a CUDA machine without a GPU's name", AGAIN)


def _version(mlx: str) -> Iterator[Finding]:
    known = (OLDEST_MLX, *(installed.version for installed in distributions(name="mlx")))
    if not re.fullmatch(r"\d+\.\d+\.\d+", mlx):
        yield ("machine.mlx", f"{mlx} is no release of MLX", "record with a released MLX")
    elif release_numbers(mlx) < release_numbers(OLDEST_MLX):
        wrong = f"{mlx} is older than {OLDEST_MLX}, the oldest that will do"
        yield ("machine.mlx", wrong, "record with a newer MLX")
    elif release_numbers(mlx) > max(map(release_numbers, known)):
        remedy = f"if it exists, check with it: install mlx=={mlx} and run this again"
        yield ("machine.mlx", f"{mlx} is newer than any MLX that this package or this machine knows", remedy)


def _date(created: str, now: datetime) -> Iterator[Finding]:
    try:
        if datetime.fromisoformat(created) > now + CLOCKS_DIFFER:
            yield ("created", f"{created} is in the future", "set the machine's clock and record again")
    except ValueError:
        yield ("created", f"there is no time {created}", AGAIN)


def _entry(entry: Entry, examples: set[str]) -> Iterator[Finding]:
    if entry.example not in examples:
        remedy = "add the example to the gallery first, or take its comparisons out by recording again"
        yield (entry.name, f"there is no example {entry.example!r}", remedy)
    number = len(entry.runs)
    if number and median_interval([1.0] * number) is None:
        wrong = f"{number} processes are too few for an interval"
        yield (entry.name, wrong, "record with the default --processes")


def _identical(entry: Entry) -> Iterator[Finding]:
    """Yield samples that repeat too often: those of a real clock, of six digits, differ."""
    seen: dict[tuple[float, ...], int] = {}
    for number, run in enumerate(entry.runs, start=1):
        for side, samples in (("baseline", run.baseline_s), ("candidate", run.candidate_s)):
            most, total = Counter(samples).most_common(1)[0][1], len(samples)
            if total > 2 and most > total / 2:
                wrong = f"{most} of {total} {side} samples of process {number} are the same"
                yield (entry.name, wrong, AGAIN)
            if total > 2 and samples in seen:
                yield (entry.name, f"processes {seen[samples]} and {number} have the same samples", AGAIN)
            seen[samples] = number


def _bandwidth(entry: Entry, copy: float) -> Iterator[Finding]:
    size = entry.bytes_moved or 0
    most = IN_MEMORY if size >= 2 * COPY_BYTES else IN_CACHE
    for number, run in enumerate(entry.runs, start=1):
        if run.copy_bandwidth and not 1 / COPIES_DIFFER <= run.copy_bandwidth / copy <= COPIES_DIFFER:
            wrong = f"process {number} copied {run.copy_bandwidth / copy:.2g} times as fast as the machine"
            yield (entry.name, wrong, "record again on a machine that is left alone")
        if (times := size / min(*run.baseline_s, *run.candidate_s) / copy) > most:
            wrong = f"process {number} moves {times:.0f} times what the machine copies, {most:.0f} times is the most believed"
            yield (entry.name, wrong, "check bytes_moved in the example, and record again")
