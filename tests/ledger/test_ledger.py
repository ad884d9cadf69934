"""The ledger: checks in processes of their own, and verdicts that change are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from compile_guide import __main__
from compile_guide.ledger.claims import Claim, Seen
from guide import all_claims
from compile_guide.ledger.runner import runner as ledger
from compile_guide.recorder.machine import backend
from compile_guide.records import schema as record
from compile_guide.records.schema import Verdict

STEADY = (
    "dtype-retraces",  # counts traces
    "traces-go-with-function",  # rests on addresses that are used again
    "leaked-state-crashes",  # a child process, and a long message
    "shape-reuses-kernel",  # an empty kernel cache
    "optimizer-keys-any-order",  # floating-point weights
    "temp-folder-missing",  # a message about a folder that is another one each time
)


def made_up(id: str, cold: bool = False) -> Claim:
    return Claim(id, "topic", "It is so.", "a test", "It is.", lambda mx: Seen(True, ""), cold)


def test_a_check_runs_in_a_process_of_its_own_and_reports(tmp_path: Path) -> None:
    claim = next(iter(all_claims().values()))
    (verdict,) = ledger.run_ledger([claim], tmp_path, jobs=1, show=lambda name: None)
    assert verdict.id == claim.id and verdict.observed
    assert (tmp_path / claim.id / "seen.json").exists()


def test_verdicts_come_in_the_order_of_the_claims(tmp_path: Path) -> None:
    wanted = list(all_claims().values())[:3]
    shown: list[str] = []
    found = ledger.run_ledger(wanted, tmp_path, jobs=2, show=shown.append)
    assert [v.id for v in found] == [c.id for c in wanted] and sorted(shown) == sorted(c.id for c in wanted)


def test_a_check_that_dies_is_an_observation(tmp_path: Path) -> None:
    (verdict,) = ledger.run_ledger([made_up("no-such-claim")], tmp_path, jobs=1, show=lambda name: None)
    assert verdict.holds is None
    assert verdict.observed.startswith("the check's process was ended: exit status ")


def test_a_check_that_hangs_is_an_observation(tmp_path: Path) -> None:
    claim = next(iter(all_claims().values()))
    (verdict,) = ledger.run_ledger([claim], tmp_path, jobs=1, limit_s=0.05, show=lambda name: None)
    assert verdict.holds is None and "still ran after" in verdict.observed


SEEN = [Verdict("a", True, "one"), Verdict("b", False, "two"), Verdict("c", None, "three")]


def test_two_runs_of_the_ledger_give_the_same_verdicts(tmp_path: Path) -> None:
    wanted = [all_claims()[id] for id in STEADY]
    runs = [ledger.run_ledger(wanted, tmp_path / str(n), jobs=2, show=lambda name: None) for n in range(2)]
    assert [v.id for v in runs[0]] == list(STEADY)
    assert backend() == "metal" or None not in {v.holds for v in runs[0]}  # there nobody can count kernel files
    assert runs[0] == runs[1]


def test_expected_verdicts_make_no_change(tmp_path: Path) -> None:
    file = ledger.expected_file(tmp_path / "expected", "cpu")
    ledger.save_expected(file, {v.id: v.holds for v in SEEN})
    assert ledger.changes(SEEN, ledger.load_expected(file)) == []


def test_each_kind_of_change_is_noticed() -> None:
    found = ledger.changes(SEEN, {"a": False, "b": False, "gone": True})
    assert [(c.claim, c.expected, c.seen, c.observed) for c in found] == [
        ("a", "does not hold", "holds", "one"),
        ("c", "new", "cannot be decided here", "three"),
        ("gone", "holds", "missing", ""),
    ]


def test_a_changed_verdict_fails_with_a_table_and_the_way_to_accept_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cpu.json"
    ledger.save_expected(file, {"a": False})
    status = __main__._print_changes(Console(width=120), file, (SEEN[0],))
    out = capsys.readouterr()
    assert status == 1 and "does not hold" in out.out and "holds" in out.out
    assert "accept with 'python -m compile_guide claims --accept'" in out.err


def test_a_partial_run_says_nothing_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "cpu.json"
    ledger.save_expected(file, {v.id: v.holds for v in SEEN})
    assert __main__._print_changes(Console(), file, (SEEN[0],), partial=True) == 0


def test_a_broken_file_of_expected_verdicts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text('{"a": "yes"}')
    with pytest.raises(ValueError, match=r"cpu\.json: expected an object from claim id"):
        ledger.load_expected(tmp_path / "cpu.json")


def test_records_keep_verdicts(tmp_path: Path) -> None:
    from conftest import make_record

    record.save(record.with_claims(make_record(), tuple(SEEN), record.Tables()), tmp_path / "r.json")
    assert record.load(tmp_path / "r.json").claims == tuple(SEEN)


def test_verdicts_of_some_claims_replace_only_theirs(tmp_path: Path) -> None:
    from conftest import make_record

    path, ids = tmp_path / "r.json", list(all_claims())[:3]
    old = tuple(Verdict(id, True, "old") for id in (ids[0], ids[2]))
    tables = record.Tables(ready=(record.Ready("gelu", "function", True, None, ()),))
    record.save(record.with_claims(make_record(), old, tables), path)
    __main__._write_verdicts(path, (Verdict(ids[1], False, "new"), Verdict(ids[2], False, "new")), None)
    found = record.load(path)
    assert [(v.id, v.observed) for v in found.claims] == [(ids[0], "old"), (ids[1], "new"), (ids[2], "new")]
    assert found.tables == tables
