"""The error catalogue."""

from __future__ import annotations

import pytest

from claims._errors import ENTRIES, Entry, Observation, by_id, observe


def entry(code: str, fix: str = "pass") -> Entry:
    return Entry("made-up", "Made up", code, "because", fix)


def test_ids_are_unique():
    assert len(by_id()) == len(ENTRIES)


@pytest.fixture(scope="module")
def seen() -> dict[str, Observation]:
    return {entry.id: observe(entry) for entry in ENTRIES}


def test_at_least_twelve_messages_are_told_apart(seen: dict[str, Observation]):
    messages = [one.message for one in seen.values() if one.message]
    assert len(messages) == len(set(messages)) >= 12


@pytest.mark.parametrize("id", list(by_id()))
def test_fix_runs(id: str, seen: dict[str, Observation]):
    assert seen[id].fix_ok, seen[id].fix_message


def test_message_is_exact():
    assert observe(by_id()["async-eval-while-tracing"]) == Observation(
        "[async_eval] Not allowed inside a graph transformation.", "ValueError", True
    )


def test_code_that_raises_nothing_is_seen_as_such():
    assert observe(entry("pass")) == Observation("", "", True)


def test_fix_that_raises_is_no_fix():
    assert observe(entry("1 / 0", "[][0]")) == Observation(
        "division by zero", "ZeroDivisionError", False, "IndexError: list index out of range"
    )


def test_crash_is_an_observation():
    assert observe(entry("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")).type == "SIGSEGV"


def test_message_carries_no_path_and_no_address():
    seen = observe(entry("raise OSError(f'no /tmp/some/file at {hex(id(object))}, see https://a.org/b/c')"))
    assert seen.message == "no <path> at 0x…, see https://a.org/b/c"
