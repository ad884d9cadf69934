"""Files that are written in one step, and the lock of a checkout.

This file runs on Python 3.10 too: the checks of the claims use it beside old releases of MLX.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import TextIO

from compile_guide import CompileGuideError


class LockError(CompileGuideError):
    """Another process works in this folder; one line says which, and what it does."""


def write_atomically(raw: bytes, path: Path) -> None:
    """Write a file in one step: a reader sees the old content or the new one, never a part.

    A file keeps its mode. Of a symbolic link the target is written; a pipe or a device stays what it is. Raises OSError
    where it can't be written; an old file then stays as it was.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(raw)
        return
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.partial")
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # others who write into this folder wait: a partial file is a leftover
        partial.unlink(missing_ok=True)
        try:
            with partial.open("xb") as file:
                if target.exists():
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    finally:
        os.close(folder)


def hold_lock(folder: Path, work: str) -> TextIO:
    """Take the lock of a checkout, the file ``build/lock``, and return it open: closing it, or the process's end, releases it.

    ``work`` says what this process does. Raises LockError where another process has the lock.
    """
    path = folder / "build" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8", errors="replace")
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
