"""The record's schema: what is read, what is refused and how, and that saving loses nothing."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import make_entry, make_record
from hypothesis import given
from hypothesis import strategies as st

from compile_guide import _files
from compile_guide.records.schema import RecordError, Verdict, dump, load, parse, save

GOOD: dict[str, Any] = json.loads(dump(make_record(claims=(Verdict("a-claim", True, "1 trace"),))))


def test_a_saved_record_reads_back_equal(tmp_path: Path) -> None:
    old = make_record(make_entry("a"), make_entry("b"))
    save(old, tmp_path / "deep" / "r.json")
    assert load(tmp_path / "deep" / "r.json") == old
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["r.json"]


def test_a_record_from_before_the_optional_facts_loads_with_none_of_them() -> None:
    old = copy.deepcopy(GOOD)
    for fact in ("gpu_cores", "low_power"):
        assert old["machine"].pop(fact) is None
    assert parse(json.dumps(old).encode()) == parse(json.dumps(GOOD).encode())


def test_each_comparison_is_a_line_of_its_own() -> None:
    assert sum(b'"example":' in line for line in dump(make_record(make_entry("a"), make_entry("b"))).splitlines()) == 2


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *way, last = (int(p) if p.isdigit() else p for p in path.split("."))
        for part in way:
            data = data[part]  # type: ignore[index]
        data[last] = value  # type: ignore[index]

    return change


def _del(data: dict[str, Any]) -> None:
    del data["machine"]["chip"]


def _twice(data: dict[str, Any]) -> None:
    data["comparisons"].append(data["comparisons"][0])


RUN = "comparisons.0.runs.0"
WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "unknown field": (_set("extra", 1), "extra"),
    "unknown field, deep": (_set("machine.host", "me"), "unknown field `host` - at `$.machine`"),
    "missing field": (_del, "missing required field `chip` - at `$.machine`"),
    "schema of another version": (_set("schema", 99), "schema 99 isn't 1"),
    "schema as text": (_set("schema", "1"), "at `$.schema`"),
    "id with a path": (_set("id", "../x"), "at `$.id`"),
    "id with a newline": (_set("id", "x\n"), "at `$.id`"),
    "id too long": (_set("id", "x" * 65), "at `$.id`"),
    "comparison id": (_set("comparisons.0.name", "A B"), "at `$.comparisons[0].name`"),
    "example id": (_set("comparisons.0.example", ".."), "at `$.comparisons[0].example`"),
    "negative time": (_set(f"{RUN}.first_baseline_s", -1.0), "at `$.comparisons[0].runs[0].first_baseline_s`"),
    "zero time": (_set(f"{RUN}.candidate_s.0", 0.0), "at `$.comparisons[0].runs[0].candidate_s[0]`"),
    "no samples": (_set(f"{RUN}.candidate_s", []), "candidate_s"),
    "too many samples": (_set(f"{RUN}.candidate_s", [1.0] * 999), "candidate_s"),
    "samples that do not pair up": (_set(f"{RUN}.candidate_s", [1.0]), "differ in length"),
    "time as text": (_set(f"{RUN}.baseline_s.0", "1"), "baseline_s[0]"),
    "true as a time": (_set(f"{RUN}.baseline_s.0", True), "baseline_s[0]"),
    "backend": (_set("machine.backend", "rocm"), "at `$.machine.backend`"),
    "date": (_set("created", "yesterday"), "at `$.created`"),
    "memory": (_set("machine.memory", -1), "at `$.machine.memory`"),
    "bandwidth": (_set("machine.copy_bandwidth", 1e30), "at `$.machine.copy_bandwidth`"),
    "control character": (_set("machine.chip", "a\x1b[2J"), "at `$.machine.chip`"),
    "bidi control": (_set("machine.os", "a\u202eb"), "at `$.machine.os`"),
    "lone surrogate": (_set("machine.os", "\ud800"), "at `$.machine.os`"),
    "long text": (_set("machine.os", "x" * 301), "at `$.machine.os`"),
    "verdict": (_set("claims.0.holds", "yes"), "at `$.claims[0].holds`"),
    "slow and measured": (_set("comparisons.0.slow_call_s", 3.0), "either runs or slow_call_s"),
    "a name twice": (_twice, "comparison gelu stands in it twice"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_refused_in_one_line_that_names_it(change: Any, message: str) -> None:
    data = copy.deepcopy(GOOD)
    change(data)
    with pytest.raises(RecordError) as caught:
        parse(json.dumps(data).encode(), "r.json")
    assert str(caught.value).startswith("r.json: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


RAW: dict[str, tuple[bytes, str]] = {
    "NaN": (b'{"schema": NaN}', "NaN isn't a number"),
    "Infinity": (b'{"schema": -Infinity}', "-Infinity isn't a number"),
    "1e999": (json.dumps(GOOD).replace("10000000000.0", "1e999").encode(), "copy_bandwidth"),
    "duplicate key": (b'{"schema": 1, "schema": 1}', "field 'schema' stands there twice"),
    "deep nesting": (b"[" * 200_000, "nested too deeply"),
    "not UTF-8": (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
    "not JSON": (b"{schema: 1}", "not JSON at line 1, column 2"),
    "a huge number": (b"9" * 100_000, "digits"),
    "a list": (b"[]", "Expected `object`"),
    "empty": (b"", "not JSON at line 1, column 1"),
    "NUL": (b"\0", "not JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
}


@pytest.mark.parametrize(("raw", "message"), RAW.values(), ids=RAW)
def test_a_file_that_is_no_record_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(RecordError, match="record: ") as caught:
        parse(raw)
    assert message in str(caught.value)


def test_a_file_over_4_mb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(2 * 10**9)
    start = time.perf_counter()
    with pytest.raises(RecordError, match=r"big\.json: larger than 4 MB"):
        load(tmp_path / "big.json")
    assert time.perf_counter() - start < 1


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no\.json: can't be read \(No such file or directory\)"):
        load(tmp_path / "no.json")


def test_comparisons_are_found_by_name_and_by_example() -> None:
    entries = [
        msgspec.structs.replace(make_entry(name), example=example)
        for name, example in (("a", "x"), ("b", "y"), ("c", "x"))
    ]
    found = make_record(*entries)
    assert [found.by_name[name] for name in ("a", "b", "c")] == entries
    assert found.by_example == {"x": (entries[0], entries[2]), "y": (entries[1],)}


def test_a_record_that_would_be_refused_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    save(make_record(), path)
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"at `\$\.id`"):
        save(msgspec.structs.replace(make_record(), id="../evil"), path)
    assert path.read_bytes() == before


def test_a_failed_save_leaves_the_old_file_and_no_partial_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.json"
    save(make_record(), path)
    before = path.read_bytes()
    monkeypatch.setattr(_files.os, "fsync", lambda fd: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(make_record(make_entry("other")), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["r.json"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
        max_leaves=20,
    )
)
def test_arbitrary_json_is_refused_with_one_line(data: object) -> None:
    with pytest.raises(RecordError) as caught:
        parse(json.dumps(data).encode())
    assert "\n" not in str(caught.value)


@given(st.sampled_from(sorted(GOOD["machine"])), st.text())
def test_any_text_in_a_machine_field_is_refused_or_kept_as_it_is(field: str, text: str) -> None:
    data = copy.deepcopy(GOOD)
    data["machine"][field] = text
    try:
        assert getattr(parse(json.dumps(data).encode()).machine, field) == text
    except RecordError as error:
        assert f"$.machine.{field}" in str(error)
