"""One build or recording at a time in a checkout; the second is told which process the first is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


class LockError(RuntimeError):
    """Another process works in this folder; one line says which, and what it does."""


def hold(folder: Path, work: str) -> TextIO:
    """Take the lock of a checkout, the file ``build/lock``, and return it open: closing it gives the lock back.

    The system gives it back too when the process ends, however it ends, so no lock is ever left behind.

    Raises:
        LockError: another process has it.
    """
    path = folder / "build" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise LockError(f"{holder} in this folder: wait until it has ended, then run this again ({path})") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} is {work}\n")
    file.flush()
    return file
