"""While one example runs, the next one of its folder runs too, where Sphinx may use several processors (``-j``).

No example of this guide needs what another one leaves, which nobody knows of a guest's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from compile_guide.sphinxext import watchdog
from compile_guide.sphinxext.watchdog import World

AHEAD: dict[Path, Connection] = {}
"""Where the answer of each script that was started ahead will come from."""


class TwoAtATime(World):
    """Starts the script after the one that it is asked for; its page is made from the answer when its turn has come."""

    def runs(self, *job: Any) -> bool:
        """Return whether a script is to run, or runs already."""
        return Path(job[2], job[0]) in AHEAD or super().runs(*job)

    def answer(self, job: Any) -> Any:
        """Start the next script, then return the answer of this one."""
        watchdog._load_matplotlib(job[3])  # once, before this process is copied
        reader = AHEAD.pop(Path(job[2], job[0]), None)
        self._start_next(job)
        if reader is None:
            return super().answer(job)
        with reader, contextlib.suppress(EOFError):
            return reader.recv()
        return super().answer(job)  # something has killed the process in between

    def _start_next(self, job: Any) -> None:
        later = sorted(file.name for file in Path(job[2]).glob("[!_]*.py") if file.name > job[0])
        following = (*later[:1], *job[1:])
        if later and watchdog._can_be_copied() and self.runs(*following):
            reader, writer = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("fork")
            context.Process(target=self._run_ahead, args=(following, writer, os.getpid())).start()
            writer.close()
            AHEAD[Path(job[2], following[0])] = reader

    def _run_ahead(self, job: Any, writer: Connection, parent: int) -> None:
        watchdog._end_with(parent)
        with contextlib.suppress(KeyboardInterrupt):  # Sphinx says so
            writer.send(super().answer(job))
