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

    The file keeps its mode; a new file has the mode that the umask allows. Where ``path`` is a symbolic link, the file
    that it leads to is written. A pipe or a device is written to and stays what it is.

    Raises:
        OSError: it can't be written; the old file, if there is one, stays as it was.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(raw)
        return
    target = Path(os.path.realpath(path))
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # others who write into this folder wait: a partial file is a leftover
        _replace(raw, target, target.with_name(f".{target.name}.partial"))
    finally:
        os.close(folder)


def _replace(raw: bytes, target: Path, partial: Path) -> None:
    partial.unlink(missing_ok=True)
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            if target.exists():
                os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))
            file.write(raw)
            file.flush()
            os.fsync(handle)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def hold_lock(folder: Path, work: str) -> TextIO:
    """Take the lock of a checkout, the file ``build/lock``, and return it open: closing it releases the lock.

    The system releases it too when the process ends, so no lock is left behind. ``work`` says what this process does.

    Raises:
        LockError: another process has the lock.
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
