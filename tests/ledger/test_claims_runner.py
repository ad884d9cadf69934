"""What a claim is, how a folder of claims is loaded, and the program that runs one check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from guide import CLAIMS, all_claims

from compile_guide.ledger.check import run_check
from compile_guide.ledger.claims import Claim, LedgerError, Seen, claim, load_claims

TOPIC = """
from compile_guide.ledger.claims import Seen, claim

@claim("{id}", "A statement.", source="a source", answer="An answer.")
def _(mx):
    return Seen(True, "seen")
"""


def made_up(check: Any, **more: Any) -> Claim:
    return Claim("made-up", "topic", "A statement.", "a source", "An answer.", check, **more)


def folder_of_claims(folder: Path, **topics: str) -> Path:
    """Write a folder with a topic for each keyword, which holds one claim of that id."""
    folder.mkdir()
    for name, id in topics.items():
        (folder / f"{name}.py").write_text(TOPIC.format(id=id))
    return folder


def test_claims_come_by_topic_in_alphabetical_order(tmp_path: Path):
    folder = folder_of_claims(tmp_path / "ordered_claims", zebra="one", apple="two", _helper="three")
    (folder / "banana.py").write_text("from .zebra import claim\n" + TOPIC.format(id="four"))
    assert [(c.topic, c.id) for c in load_claims(folder).values()] == [
        ("apple", "two"),
        ("banana", "four"),
        ("zebra", "one"),
    ]


def test_two_folders_may_hold_claims_of_one_id(tmp_path: Path):
    first = load_claims(folder_of_claims(tmp_path / "first_claims", a="same"))
    second = load_claims(folder_of_claims(tmp_path / "second_claims", b="same"))
    assert [claims["same"].topic for claims in (first, second)] == ["a", "b"]


def test_one_id_in_two_topics_is_refused(tmp_path: Path):
    folder = folder_of_claims(tmp_path / "claims_with_a_double", one="same", two="same")
    with pytest.raises(LedgerError, match="claim id 'same' is in one and in two: change one of them"):
        load_claims(folder)


def test_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(LedgerError, match=f"^there is no folder of claims {re.escape(str(tmp_path / 'gone'))}$"):
        load_claims(tmp_path / "gone")


@pytest.mark.parametrize("name", ["json", "claims"])
def test_folder_with_the_name_of_another_package_is_refused(name: str, tmp_path: Path):
    all_claims()
    with pytest.raises(LedgerError, match=f"another package named '{name}': rename the folder"):
        load_claims(folder_of_claims(tmp_path / name, tracing="one"))


@pytest.mark.parametrize("id", ["", "Upper", "two words", "-first", "x" * 65])
def test_malformed_id_is_refused(id: str):
    with pytest.raises(LedgerError, match="use lower-case letters"):
        claim(id, "A statement.", source="a source", answer="An answer.")


def test_texts_of_every_claim_are_whole_sentences():
    odd = [c.id for c in all_claims().values() if not (c.answer.endswith(".") and c.statement and c.source)]
    assert odd == []


def test_exception_in_a_check_is_reported():
    seen = run_check(made_up(lambda mx: 1 / 0), mx)
    assert seen == Seen(None, "the check failed: ZeroDivisionError: division by zero")


def test_check_about_the_first_work_gets_no_warm_up():
    class Watching:
        def __init__(self) -> None:
            self.evaluated = 0

        def array(self, value: float) -> float:
            return value

        def eval(self, value: float) -> None:
            self.evaluated += 1

    def evaluations(mx: Any) -> Seen:
        return Seen(True, str(mx.evaluated))

    assert run_check(made_up(evaluations), Watching()).observed == "1"  # type: ignore[arg-type]
    assert run_check(made_up(evaluations, first=True), Watching()).observed == "0"  # type: ignore[arg-type]


def test_program_runs_one_check(tmp_path: Path):
    file = tmp_path / "seen.json"
    argv = [sys.executable, "-m", "compile_guide.ledger.check", str(CLAIMS), "tracing", "dtype-retraces", str(file)]
    assert subprocess.run(argv, cwd=tmp_path, check=False).returncode == 0
    assert json.loads(file.read_text()) == {
        "holds": True,
        "observed": "traces for float32, float32, float16: [1, 1, 2]",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]
