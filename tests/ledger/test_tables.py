"""The tables of a record, which a folder of claims makes in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_record
from guide import CLAIMS, ROOT

from compile_guide._process import kernel_cache
from compile_guide.ledger.claims import LedgerError
from compile_guide.ledger.runner import observe_tables
from compile_guide.recorder.machine import backend
from compile_guide.records.schema import Tables, load, save

ON_THE_CPU = {"compiler-fails", "no-gpu-stream"}
"""Messages that nothing provokes where MLX computes on a GPU."""


@pytest.mark.timeout(900)  # some hundred kernels are built, unless an earlier run has left them
def test_the_tables_are_made_in_a_process_of_their_own(tmp_path: Path) -> None:
    tables = observe_tables(CLAIMS, tmp_path / "tables", kernels=kernel_cache(ROOT))
    assert len(tables.support) >= 80 and {row.smaller for row in tables.support} > {"right", "silently wrong"}
    assert len(tables.messages) >= 12 and all(m.fixed for m in tables.messages)
    assert {m.id for m in tables.messages if not m.type} == (set() if backend() == "cpu" else ON_THE_CPU)
    assert any(row.compiled for row in tables.ready) and not all(row.compiled for row in tables.ready)
    save(make_record(tables=tables), tmp_path / "r.json")
    assert load(tmp_path / "r.json").tables == tables


def test_a_folder_of_claims_without_tables_makes_none(tmp_path: Path) -> None:
    assert observe_tables(tmp_path, tmp_path / "tables") == Tables()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit('no device')", r"^the tables could not be made \(exit status 1\): no device$"),
        ("import time; time.sleep(60)", r"^the tables could not be made \(still ran after 1 s and was killed\): $"),
        ("import sys; open(sys.argv[1], 'w').write('[]')", r"_tables\.py wrote no tables: Expected `object`"),
    ],
)
def test_failing_tables_say_why(program: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own_claims").mkdir()
    (tmp_path / "own_claims" / "_tables.py").write_text(program)
    with pytest.raises(LedgerError, match=message):
        observe_tables(tmp_path / "own_claims", tmp_path / "tables", limit_s=0.6)
