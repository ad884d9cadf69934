"""The tables of a record: ``python -m claims._tables FILE`` makes them and writes them to FILE as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from ._already_compiled import already_compiled
from ._errors import ENTRIES, observe
from ._shapeless import support


def main(file: str) -> None:
    """Make the tables: functions under ``shapeless=True``, what ``mlx.nn`` has compiled already, error messages."""
    observations = [(entry.id, observe(entry)) for entry in ENTRIES]
    tables = {
        "support": [asdict(row) for row in support()],
        "ready": [asdict(row) for row in already_compiled()],
        "messages": [{"id": id, "type": o.type, "message": o.message, "fixed": o.fix_ok} for id, o in observations],
    }
    Path(file).write_text(json.dumps(tables), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
