"""The error catalogue: messages that MLX raises around mx.compile, with code, reason and fix.

:func:`observe` runs an entry's code and its fix, each in a process of its own with an empty kernel cache. So the page shows
the message of this MLX, and that the fix works.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from ._calls import ENTRIES as _CALLS
from ._entry import Entry
from ._shapes import ENTRIES as _SHAPES

LIMIT_S = 60.0
ENTRIES: tuple[Entry, ...] = (*_CALLS, *_SHAPES)


@dataclass(frozen=True)
class Observation:
    """What an entry's code raised (both texts are empty if nothing), and whether the fix ran.

    A crash is a type such as ``SIGSEGV`` without a message; ``fix_ok`` is False if the fix raises or crashes.
    """

    message: str
    type: str
    fix_ok: bool
    fix_message: str = ""


def observe(entry: Entry) -> Observation:
    """Run an entry's code and then its fix, each in a fresh process."""
    kind, message = _run(entry.code)
    fix_kind, fix_message = _run(entry.fix)
    return Observation(message, kind, fix_kind == "", f"{fix_kind}: {fix_message}" if fix_kind else "")


def by_id() -> dict[str, Entry]:
    """Return the entries by their ids, in the catalogue's order."""
    return {entry.id: entry for entry in ENTRIES}


def _run(code: str) -> tuple[str, str]:
    """Run code in a child process; return the exception's type and message, or two empty texts."""
    path = os.pathsep.join(p for p in sys.path if p)
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": path, "TMPDIR": folder}
        argv = [sys.executable, "-m", "claims._errors", code]
        try:
            ended = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, env=env, cwd=folder)
        except subprocess.TimeoutExpired:
            return "time limit", ""
    if ended.returncode < 0:
        return signal.Signals(-ended.returncode).name, ""
    kind, message = json.loads(ended.stdout.splitlines()[-1])
    return kind, message
