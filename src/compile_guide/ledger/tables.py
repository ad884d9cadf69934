"""The tables of a record: what a folder of claims observes beside its claims."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from compile_guide._process import last_line, run
from compile_guide.ledger.claims import LedgerError
from compile_guide.records.schema import Tables, tables_of
from compile_guide.timing import REPLAY, SINK

LIMIT_S = 600.0


def observe_tables(folder: Path, temp: Path, limit_s: float = LIMIT_S) -> Tables:
    """Return the tables that ``_tables.py`` in a folder of claims makes, or empty ones if there is no such file.

    It runs as ``python -m NAME._tables FILE``, in the new folder ``temp`` and for at most ``limit_s`` seconds, and
    writes a JSON object with the fields of :class:`Tables`.

    Raises:
        LedgerError: the process failed, with the last line that it printed, or wrote something else.
    """
    folder, file = folder.resolve(), temp / "tables.json"
    if not (folder / "_tables.py").exists():
        return Tables()
    temp.mkdir(parents=True)
    path = os.pathsep.join(filter(None, [str(folder.parent), os.environ.get("PYTHONPATH")]))
    argv = [sys.executable, "-m", f"{folder.name}._tables", str(file)]
    ended = run(argv, folder=temp, limit_s=limit_s, env={"PYTHONPATH": path, SINK: None, REPLAY: None})
    if not file.exists():
        raise LedgerError(f"the tables could not be made ({ended.reason}): {last_line(ended.output)}")
    try:
        return tables_of(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise LedgerError(f"{folder / '_tables.py'} wrote no tables: {error}") from None
