"""Whatever the schema accepts can be compared, exported, checked and shown: tried on thousands of changed records."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import make_entry, make_record
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from compile_guide import __main__
from compile_guide.comparison import table
from compile_guide.records.export import FORMATS
from compile_guide.records.schema import Record, RecordError, dump, parse
from compile_guide.sphinxext.text import MACHINE, MEASURED, disturbances

MUTANTS = 3000
GOOD: dict[str, Any] = json.loads(dump(make_record(make_entry("a"), make_entry("b", ratios=(1, 1.1)), make_entry("c"))))
TIMES = (1e-9, math.nextafter(1e-9, 1), 1.5e-9, 1e-3, 1.0, math.nextafter(1e6, 0), 1e6)
"""The shortest and the longest time that a record may hold, and what lies between."""
OUTSIDE = (0, -1.0, 5e-324, 1e-310, 1e-20, math.nextafter(1e-9, 0), math.nextafter(1e6, 2e6), 1e300, 10**400)
NUMBERS = st.sampled_from((*TIMES, *OUTSIDE, 1, 2, 65536, 2**20 - 1, 2**40 - 1, 2**50 - 1, 2**50, 1e15, None, True))
WORDS = st.sampled_from(("", " ", "x" * 300, "|`*_<b>[]", "0", "nan", "9999-99-99T99:99:99Z", "0000-00-00T00:00:00Z"))
VALUES = st.one_of(NUMBERS, NUMBERS, st.floats(1e-9, 1e6), st.integers(0, 2**51), st.floats(), WORDS, st.just([]))


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where a record holds a value."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


PLACES = tuple(leaves(GOOD))
SAMPLES = st.lists(st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)), min_size=1, max_size=13)


def with_values(changes: list[tuple[tuple[str | int, ...], Any]]) -> bytes:
    data = copy.deepcopy(GOOD)
    for path, value in changes:
        part: Any = data
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
    return json.dumps(data).encode()


def with_samples(number: int, samples: list[list[tuple[float, float]]], rest: list[float]) -> bytes:
    """The record with these pairs of times in a comparison's processes, and times drawn from ``rest`` for all others."""
    data, chance = copy.deepcopy(GOOD), random.Random(number)
    runs = data["comparisons"][number % 3]["runs"]
    for run, pairs in zip(runs, samples, strict=False):
        run["baseline_s"], run["candidate_s"] = map(list, zip(*pairs, strict=True))
        run["first_baseline_s"], run["first_candidate_s"] = chance.choice(rest), chance.choice(rest)
        run["copy_bandwidth"] = chance.choice((None, 1, 1e15))
    return json.dumps(data).encode()


def show(record: Record) -> None:
    """Make all words that a page or a terminal may show of a record."""
    entries = [entry.comparison() for entry in record.comparisons]
    for comparison in entries:
        for say in MEASURED.values():
            say(comparison)
        _ = f"{comparison} {comparison!r} {comparison._repr_html_()}"
    str(table(entries))
    for tell in MACHINE.values():
        tell(record)
    disturbances(record)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], bool]:
    """Put a record through every command, if the schema accepts it; return whether it does."""
    folder = tmp_path_factory.mktemp("bounds")
    (folder / "gallery" / "topic").mkdir(parents=True)
    (folder / "gallery" / "topic" / "gelu_speedup.py").touch()
    good, changed = folder / "good.json", folder / "changed.json"
    good.write_bytes(json.dumps(GOOD).encode())
    a, b = str(good), str(changed)
    argvs = [["compare", a, b, "--fail-if-slower", "5%"], ["compare", b, a, "--markdown"], ["compare", b, b]]
    argvs += [["export", b, "--format", name] for name in FORMATS]
    argvs += [["check-record", b, "--gallery", str(folder / "gallery")]]

    def run(raw: bytes) -> bool:
        changed.write_bytes(raw)
        for argv in argvs:
            begun, out = time.process_time(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                assert __main__.main(argv) in (0, 1, 2)  # anything but a traceback
            assert time.process_time() - begun < 2
        with contextlib.suppress(RecordError):
            show(parse(raw))
            return True
        return False

    return run


def test_every_command_takes_whatever_the_schema_accepts(
    commands: Callable[[bytes], bool], record_property: Callable[[str, object], None]
) -> None:
    tried: list[bool] = []

    @seed(28)
    @settings(max_examples=MUTANTS // 2, deadline=None, database=None)
    @given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=4))
    def with_anything_anywhere(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
        tried.append(commands(with_values(changes)))

    @seed(28)
    @settings(max_examples=MUTANTS // 2, deadline=None, database=None)
    @given(st.integers(0, 99), st.lists(SAMPLES, min_size=1, max_size=6), st.lists(st.sampled_from(TIMES), min_size=1))
    def with_extreme_times(number: int, samples: list[list[tuple[float, float]]], rest: list[float]) -> None:
        tried.append(commands(with_samples(number, samples, rest)))

    with_anything_anywhere()
    with_extreme_times()
    record_property("changed records, each through every command", len(tried))
    record_property("of them accepted", sum(tried))
    assert len(tried) >= MUTANTS and sum(tried) > MUTANTS / 4
