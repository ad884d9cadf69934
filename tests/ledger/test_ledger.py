"""The runner of the checks, the expected verdicts, and the commands that use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_record
from guide import CLAIMS, all_claims
from ledger_commands import run_command
from msgspec.structs import replace
from rich.console import Console

from compile_guide.ledger import commands
from compile_guide.ledger.claims import Claim, LedgerError, Seen
from compile_guide.ledger.runner import changes, expected_file, load_expected, run_ledger, save_expected
from compile_guide.recorder.machine import backend
from compile_guide.recorder.measure import machine_facts
from compile_guide.records.schema import Ready, Tables, Verdict, load, save

STEADY = (
    "dtype-retraces",  # counts traces
    "traces-go-with-function",  # rests on addresses that are used again
    "leaked-state-crashes",  # a child process, and a long message
    "shape-reuses-kernel",  # an empty kernel cache
    "optimizer-keys-any-order",  # floating-point weights
    "temp-folder-missing",  # a message about a folder that is another one each time
)
SEEN = (Verdict("a", True, "one"), Verdict("b", False, "two"), Verdict("c", None, "three"))


def made_up(id: str) -> Claim:
    return Claim(id, "topic", "It is so.", "a test", "It is.", lambda mx: Seen(True, ""))


def test_a_check_runs_in_a_process_of_its_own_and_reports(tmp_path: Path) -> None:
    (verdict,) = run_ledger([all_claims()["dtype-retraces"]], CLAIMS, tmp_path, jobs=1)
    assert verdict == Verdict("dtype-retraces", True, "traces for float32, float32, float16: [1, 1, 2]")
    assert (tmp_path / "dtype-retraces" / "seen.json").exists()


def test_verdicts_come_in_the_order_of_the_claims(tmp_path: Path) -> None:
    wanted = list(all_claims().values())[:3]
    shown: list[str] = []
    verdicts = run_ledger(wanted, CLAIMS, tmp_path, jobs=2, show=shown.append)
    assert [v.id for v in verdicts] == [c.id for c in wanted] and sorted(shown) == sorted(c.id for c in wanted)


def test_a_check_that_dies_is_an_observation(tmp_path: Path) -> None:
    (verdict,) = run_ledger([made_up("no-such-claim")], CLAIMS, tmp_path, jobs=1)
    end = "the check's process was ended: exit status 1 KeyError: 'no-such-claim'"
    assert verdict == Verdict("no-such-claim", None, end)


def test_a_crash_is_an_observation(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    (verdict,) = run_ledger([made_up("crash")], CLAIMS, tmp_path / "temp", python=str(program))
    assert verdict == Verdict("crash", None, "the check's process was ended: killed by SIGSEGV")


def test_a_check_that_hangs_is_an_observation(tmp_path: Path) -> None:
    claim = next(iter(all_claims().values()))
    (verdict,) = run_ledger([claim], CLAIMS, tmp_path, jobs=1, limit_s=0.05)
    assert verdict.holds is None and "still ran after" in verdict.observed


def test_two_runs_of_the_ledger_give_the_same_verdicts(tmp_path: Path) -> None:
    wanted = [all_claims()[id] for id in STEADY]
    runs = [run_ledger(wanted, CLAIMS, tmp_path / str(n)) for n in range(2)]
    assert [v.id for v in runs[0]] == list(STEADY)
    assert backend() == "metal" or None not in {v.holds for v in runs[0]}  # there nobody can count kernel files
    assert runs[0] == runs[1]


def test_expected_verdicts_stand_beside_the_folder_of_claims(tmp_path: Path) -> None:
    assert expected_file(tmp_path / "claims", "cpu") == tmp_path / "expected" / "cpu.json"


def test_expected_verdicts_make_no_change(tmp_path: Path) -> None:
    file = tmp_path / "expected" / "cpu.json"
    save_expected(file, {v.id: v.holds for v in SEEN})
    assert changes(SEEN, load_expected(file)) == []


def test_each_kind_of_change_is_noticed() -> None:
    assert changes(SEEN, {"a": False, "b": False, "gone": True}) == [
        ("a", "does not hold", "holds", "one"),
        ("c", "new", "cannot be decided here", "three"),
        ("gone", "holds", "missing", ""),
    ]


def test_a_changed_verdict_fails_with_a_table_and_the_way_to_accept_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cpu.json"
    save_expected(file, {"a": False})
    status = commands.print_changes(Console(width=120), file, (SEEN[0],))
    out = capsys.readouterr()
    assert status == 1
    assert "│ a     │ does not hold │ holds │ one      │" in out.out
    assert "accept with 'compile-guide claims --accept'" in out.err


def test_a_partial_run_says_nothing_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cpu.json"
    save_expected(file, {v.id: v.holds for v in SEEN})
    assert commands.print_changes(Console(), file, (SEEN[0],), partial=True) == 0
    assert capsys.readouterr().out == ""


def test_a_new_claim_is_a_change_in_a_partial_run_too(tmp_path: Path) -> None:
    file = tmp_path / "cpu.json"
    save_expected(file, {"a": True})
    assert commands.print_changes(Console(), file, (SEEN[1],), partial=True) == 1


@pytest.mark.parametrize("text", ['{"a": "yes"}', "[true]", '{"a": []}', "no JSON"])
def test_a_broken_file_of_expected_verdicts_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text(text)
    with pytest.raises(LedgerError, match=r"^cpu\.json: expected an object from claim id to true, false or null$"):
        load_expected(tmp_path / "cpu.json")


def own_claims(folder: Path) -> Path:
    """Write a folder of claims with the one claim "own"."""
    folder.mkdir()
    (folder / "topic.py").write_text(
        "from compile_guide.ledger.claims import Seen, claim\n"
        '@claim("own", "A statement.", source="a source", answer="An answer.")\n'
        'def _(mx):\n    return Seen(True, "seen")\n'
    )
    return folder


def test_the_command_puts_verdicts_into_the_record_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = machine_facts(tmp_path)
    file = tmp_path / "records" / f"{facts.id}.json"
    save(make_record(id=facts.id, machine=facts, claims=SEEN), file)
    folder = own_claims(tmp_path / "commanded_claims")
    assert run_command("claims", "--claims", str(folder), "--write", "records", "--accept") == 0
    assert load(file).claims == (Verdict("own", True, "seen"),)
    assert load_expected(expected_file(folder, facts.backend)) == {"own": True}
    assert "│ own   │ holds   │ seen          │" in capsys.readouterr().out


def test_the_command_leaves_the_record_of_another_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = machine_facts(tmp_path)
    other = replace(facts, cores=facts.cores + 1)
    save(make_record(id=facts.id, machine=other), tmp_path / f"{facts.id}.json")
    with pytest.raises(LedgerError, match=f"comes from another machine .cores: {facts.cores + 1} and {facts.cores}"):
        run_command("claims", "--claims", str(CLAIMS), "--write", str(tmp_path), "dtype-retraces")


def test_the_command_needs_a_record_to_write_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerError, match=r"there is no record .* yet: run 'compile-guide record'"):
        run_command("claims", "--claims", str(CLAIMS), "--write", "records")


def test_verdicts_of_all_claims_replace_those_of_a_record() -> None:
    record = commands.updated(make_record(claims=SEEN), SEEN[:1], Tables(), ["a"])
    assert (record.claims, record.tables) == (SEEN[:1], Tables())


def test_verdicts_of_some_claims_replace_only_theirs() -> None:
    tables = Tables(ready=(Ready("gelu", "function", True, None, ()),))
    old = make_record(claims=(Verdict("a", True, "old"), Verdict("c", True, "old")), tables=tables)
    new = (Verdict("b", False, "new"), Verdict("c", False, "new"))
    record = commands.updated(old, new, None, ["a", "b", "c"])
    assert [(v.id, v.observed) for v in record.claims] == [("a", "old"), ("b", "new"), ("c", "new")]
    assert record.tables == tables
