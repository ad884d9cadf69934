"""Run one command in a process of its own: private temp directory, own process group, killed at a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_OUTPUT = 20_000


@dataclass(frozen=True)
class Finished:
    """How a process ended: exit status (negative: the signal), whether the limit killed it, its last output, seconds."""

    returncode: int
    timed_out: bool
    output: str
    seconds: float

    @property
    def reason(self) -> str:
        """Return in words how it ended."""
        if self.timed_out:
            return f"still ran after {self.seconds:.0f} s and was killed"
        if self.returncode < 0:
            return f"killed by {signal.Signals(-self.returncode).name}"
        return f"exit status {self.returncode}"


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    limit_s: float,
    env: Mapping[str, str | None] | None = None,
    temp: Path | None = None,
    tick: Callable[[], None] | None = None,
) -> Finished:
    """Run ``argv`` in ``folder``, with ``TMPDIR`` at ``temp`` (default: ``folder/tmp``), and wait at most ``limit_s`` seconds.

    ``tick`` is called about every half second while it runs.

    The process gets its own session, so that the limit ends its children too. Python in it reads and writes UTF-8
    whatever the locale, and output that isn't UTF-8 is shown with escapes. ``None`` in ``env`` unsets a variable.
    """
    temp = temp or folder / "tmp"
    temp.mkdir(parents=True, exist_ok=True)
    wanted = {"PYTHONUTF8": "1", "MPLBACKEND": "agg", "TMPDIR": str(temp), **(env or {})}
    full = {k: v for k, v in {**os.environ, **wanted}.items() if v is not None}
    log, start = folder / "output.log", time.perf_counter()
    with log.open("wb") as output, subprocess.Popen(
        list(argv), cwd=folder, env=full, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:  # fmt: skip
        try:
            timed_out = _outlasts(process, start + limit_s, tick)
        finally:
            # macOS refuses to signal a group in which everybody has ended already
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    with log.open("rb") as written:
        written.seek(max(0, log.stat().st_size - LAST_OUTPUT))
        text = written.read().decode("utf-8", "backslashreplace")
    return Finished(process.returncode, timed_out, text, time.perf_counter() - start)


def _outlasts(process: subprocess.Popen[bytes], deadline: float, tick: Callable[[], None] | None) -> bool:
    """Wait for the process; True when the deadline comes first.

    A thread waits for its end, because Popen's own wait with a limit sleeps up to 50 ms between its looks.
    """
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while (left := deadline - time.perf_counter()) > 0:
        if ended.wait(min(left, 0.5)):
            return False
        if tick:
            tick()
    return True


def said(*argv: str) -> str:
    """Return the standard output of a small system command, in English; empty when it is missing, fails, or takes 20 s."""
    env = {**os.environ, "LC_ALL": "C"}  # macOS's ps writes 0:01,23 where people do
    try:
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
