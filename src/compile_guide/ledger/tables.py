"""The tables of a record, observed in a process of their own: ``python -m compile_guide.ledger.tables FILE``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from claims import _already_compiled as already_compiled
from claims import _errors as errors
from claims import _shapeless as shapeless

from compile_guide import _process as process
from compile_guide.records import schema as record
from compile_guide.timing import REPLAY, SINK

LIMIT_S = 600.0


class ObservationError(RuntimeError):
    """The tables could not be made, in one line."""


def observe(folder: Path, limit_s: float = LIMIT_S) -> record.Tables:
    """Make the tables in a child process that works in ``folder``.

    Raises:
        ObservationError: the child failed; the message is the last line it printed.
    """
    place = folder / "tables"
    place.mkdir(parents=True)
    out = place / "tables.json"
    argv = [sys.executable, "-m", "compile_guide.ledger.tables", str(out)]
    ended = process.run(argv, folder=place, limit_s=limit_s, env={SINK: None, REPLAY: None})
    if not out.exists():
        last = ended.output.strip().splitlines()[-1:] or [""]
        raise ObservationError(f"the tables could not be made ({ended.reason}): {last[0]}")
    return record.tables_of(json.loads(out.read_text(encoding="utf-8")))


def main(out: str) -> None:
    """Observe everything and write it to ``out``."""
    seen = [(entry.id, errors.observe(entry)) for entry in errors.ENTRIES]
    data = {
        "support": [asdict(row) for row in shapeless.support()],
        "ready": [asdict(row) for row in already_compiled.already_compiled()],
        "messages": [{"id": id, "type": s.type, "message": s.message, "fixed": s.fix_ok} for id, s in seen],
    }
    Path(out).write_text(json.dumps(data), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
