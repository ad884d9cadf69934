"""The framework of the claims, and the program that runs one check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from compile_guide.ledger.check import main, run_check, write
from compile_guide.ledger.claims import Claim, Seen, claim
from guide import all_claims


def made(check: Any, **more: Any) -> Claim:
    return Claim("made-up", "topic", "A statement.", "a source", "An answer.", check, **more)


def test_taken_id_is_refused():
    taken = next(iter(all_claims()))
    with pytest.raises(ValueError, match=f"claim id '{taken}' is taken"):
        claim(taken, "A statement.", source="a source", answer="An answer.")(lambda mx: Seen(True, "seen"))


@pytest.mark.parametrize("id", ["", "Upper", "two words", "-first", "x" * 65])
def test_malformed_id_is_refused(id: str):
    with pytest.raises(ValueError, match="use lower-case letters"):
        claim(id, "A statement.", source="a source", answer="An answer.")


def test_texts_of_every_claim_are_whole_sentences():
    odd = [c.id for c in all_claims().values() if not (c.answer.endswith(".") and c.statement and c.source)]
    assert odd == []


def test_verdict_is_written_as_json(tmp_path: Path):
    write(tmp_path / "seen.json", made(None), Seen(None, "“so”"))
    assert json.loads((tmp_path / "seen.json").read_text()) == {
        "id": "made-up",
        "holds": None,
        "observed": "“so”",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]


def test_exception_in_a_check_is_reported():
    seen, well = run_check(made(lambda mx: 1 / 0), mx)
    assert (seen, well) == (Seen(None, "the check failed: ZeroDivisionError: division by zero"), False)


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

    assert run_check(made(evaluations), Watching())[0].observed == "1"  # type: ignore[arg-type]
    assert run_check(made(evaluations, first=True), Watching())[0].observed == "0"  # type: ignore[arg-type]


def test_unknown_claim_ends_with_status_2(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["no-such-claim", str(tmp_path / "seen.json")]) == 2
    assert capsys.readouterr().err == "no claim 'no-such-claim'\n"


def test_program_runs_one_check(tmp_path: Path):
    file = tmp_path / "seen.json"
    argv = [sys.executable, "-m", "compile_guide.ledger.claims", "dtype-retraces", str(file)]
    assert subprocess.run(argv, cwd=Path(__file__).parent.parent / "src", check=False).returncode == 0
    assert json.loads(file.read_text()) == {
        "id": "dtype-retraces",
        "holds": True,
        "observed": "traces for float32, float32, float16: [1, 1, 2]",
    }
