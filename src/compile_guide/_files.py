"""Files are written in one step: a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def save(raw: bytes, path: Path) -> None:
    """Write the file into a folder that is there.

    Raises:
        OSError: it can't be written; the old file, if there is one, stays as it was.
    """
    for old in path.parent.glob(f".{path.name}.*.partial"):  # of a process that was killed while it saved
        old.unlink()
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
