"""What a build or a recording has left behind: its temporary files, and processes that still work for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

WAIT_S = 3.0


def left_behind(temp: Path, folder: Path) -> list[str]:
    """Return the names in ``temp``, and the commands that work in or for ``folder``, that aren't gone after three seconds."""
    end = time.monotonic() + WAIT_S
    while left := [*(path.name for path in temp.iterdir()), *_commands(os.fsencode(folder))]:
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return left


def _commands(name: bytes) -> list[str]:
    """Return the command lines of the processes whose command, environment or working folder holds a name (Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            seen = words + (process / "environ").read_bytes() + os.fsencode((process / "cwd").readlink())
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
        if name in seen:
            found.append(words.decode(errors="replace").replace("\0", " "))
    return found
