"""Processes of our own: run one with a private temp directory and a time limit, and leave nothing of it behind.

Run as a script, this file is the small process that cleans up behind :func:`private_folder`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_OUTPUT = 20_000
FOLDER = "COMPILE_GUIDE_FOLDER"
"""Environment variable of every process that :func:`run` starts, and so of its children: the folder it runs in."""
GROUP = "group"
"""File in a folder of such a process: the number of its group, for copies of it, which show no environment of their own."""
KERNELS = Path("build/kernels")
"""Where a checkout keeps the kernels that MLX's CPU backend built, for what doesn't time their building."""


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
            names = {number.value: number.name for number in signal.Signals}
            return f"killed by {names.get(-self.returncode, f'signal {-self.returncode}')}"
        return f"exit status {self.returncode}"


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    limit_s: float,
    env: Mapping[str, str | None] | None = None,
    temp: Path | None = None,
    kernels: Path | None = None,
) -> Finished:
    """Run a program, wait for its end, and end the processes that it has left running.

    Python in it reads and writes UTF-8 whatever the locale. Output that isn't UTF-8 is shown with escapes.

    Args:
        argv: the program and its arguments.
        folder: where it runs; no other process may run there. Its output is written there.
        limit_s: seconds after which it is killed.
        env: environment variables to set; None unsets one.
        temp: its ``TMPDIR`` (default: ``folder/tmp``), made if it is missing.
        kernels: where MLX keeps its CPU kernels, instead of in that folder.
    """
    (temp := temp or folder / "tmp").mkdir(parents=True, exist_ok=True)
    if kernels and not (temp / "mlx").exists():
        (temp / "mlx").symlink_to(kernels)
    wanted = {"PYTHONUTF8": "1", "MPLBACKEND": "agg", "TMPDIR": str(temp), FOLDER: str(folder), **(env or {})}
    full = {k: v for k, v in {**os.environ, **wanted}.items() if v is not None}
    log, start = folder / "output.log", time.perf_counter()
    with log.open("wb") as output, subprocess.Popen(
        list(argv), cwd=folder, env=full, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:  # fmt: skip
        try:
            waiting = threading.Thread(target=process.wait, daemon=True)  # Popen's own wait with a limit sleeps 50 ms
            waiting.start()
            waiting.join(limit_s)
            timed_out = waiting.is_alive()
        finally:
            end_processes(process.pid, folder)
    with log.open("rb") as written:
        written.seek(max(0, log.stat().st_size - LAST_OUTPUT))
        text = written.read().decode("utf-8", "backslashreplace")
    return Finished(process.returncode, timed_out, text, time.perf_counter() - start)


def end_processes(group: int, folder: Path) -> None:
    """Kill the processes of a group, and those in sessions of their own that were started by one that runs in a folder."""
    # macOS refuses to signal a group in which everybody has ended already
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    _kill_processes_in(str(folder))


def kernel_cache(root: Path = Path()) -> Path | None:
    """Return the folder in :data:`KERNELS` for this compiler and processor; None unless we alone write, and builds look, there.

    A build looks beside its ``conf.py``; without one, ``build`` may be a site to be published, and stays as it is. MLX has
    a folder for each of its versions in it, and loads a kernel that it finds by its name, whoever built it.
    """
    if not (root / "conf.py").exists():
        return None
    cpu = Path("/proc/cpuinfo")
    facts = re.findall(r"^(?:model name|flags|Features).*", cpu.read_text("utf-8"), re.M) if cpu.exists() else []
    facts = [output_of("g++", "--version"), *sorted(set(facts))]
    place = root.absolute() / KERNELS / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    with contextlib.suppress(OSError):
        place.parents[1].mkdir(exist_ok=True)
        for folder in (place.parent, place):
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
                return None
        return place
    return None


def fill_kernel_cache(temps: Iterable[Path]) -> None:
    """Copy the kernels that MLX built in temporary folders to where this checkout keeps them, each in one step."""
    if kernels := kernel_cache():
        for file in (file for temp in temps for file in temp.glob("mlx/*/cpu/*.so")):
            kept = kernels.joinpath(*file.parts[-3:])
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, partial := kept.with_suffix(f".{os.getpid()}"))
            partial.replace(kept)


def output_of(*argv: str) -> str:
    """Return the standard output of a small system command, in English; empty when it is missing, fails, or takes 20 s."""
    env = {**os.environ, "LC_ALL": "C"}  # macOS's ps writes 0:01,23 in some languages
    try:
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def last_line(output: str) -> str:
    """Return the last line that isn't blank, without "python: error:" or "compile-guide:" before it."""
    lines = output.strip().splitlines() or [""]
    return re.sub(r"^(\S+: error|compile-guide): ", "", lines[-1])


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Provide a temporary folder for processes of :func:`run`; afterwards it is deleted and they are ended.

    A process of its own does that when this one leaves the block or has ended, however it ended.
    """
    folder = Path(tempfile.gettempdir(), f"compile-guide-{secrets.token_hex(8)}")
    argv = [sys.executable, "-I", "-S", __file__, str(folder)]
    with subprocess.Popen(argv, cwd="/", stdin=subprocess.PIPE, start_new_session=True) as cleaner:
        assert cleaner.stdin is not None
        os.register_at_fork(after_in_child=cleaner.stdin.close)  # this process alone keeps the other one waiting
        folder.mkdir(mode=0o700)  # after the cleaner has been started, so that no folder is left behind
        yield folder
        cleaner.stdin.write(b"done")


def _clean_up(folder: str) -> None:
    """Wait for the end of standard input, then end the processes that work in a folder, and delete it."""
    killed = not sys.stdin.buffer.read()
    for file in Path(folder).glob(f"*/{GROUP}"):
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int(file.read_text(encoding="ascii")), signal.SIGKILL)
    quiet_from = time.monotonic() + killed  # a process that was being started can be seen only a moment later
    while _kill_processes_in(folder) or time.monotonic() < quiet_from:
        if time.monotonic() > quiet_from + 10:  # one of them can't be ended
            break
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def _kill_processes_in(folder: str) -> int:
    """Kill the processes that :func:`run` started in or below a folder, and their children; return how many there were."""
    mark, count = re.compile(re.escape(f"{FOLDER}={folder}").encode() + rb"[/\0]"), 0
    for pid, environment in _environments():
        if mark.search(environment):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count


def _environments() -> Iterator[tuple[int, bytes]]:
    """Yield the environment of each process that shows it, by process id; macOS hides those of its own programs."""
    if sys.platform == "darwin":
        for line in output_of("ps", "-axEww", "-o", "pid=,command=").splitlines():
            pid, _, words = line.strip().partition(" ")
            yield int(pid), words.replace(" ", "\0").encode() + b"\0"
        return
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(place.name), (place / "environ").read_bytes()


if __name__ == "__main__":
    _clean_up(sys.argv[1])
