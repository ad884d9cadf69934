"""A process of its own: private temp folder, killed at its limit with all its children."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from compile_guide import _process as process


def python(code: str, folder: Path, limit_s: float = 20, **more: object) -> process.Finished:
    return process.run([sys.executable, "-c", code], folder=folder, limit_s=limit_s, **more)  # type: ignore[arg-type]


def test_temp_folder_is_private_and_text_is_utf8(tmp_path: Path) -> None:
    ended = python("import os, tempfile; print(tempfile.gettempdir(), 'ü', os.getcwd())", tmp_path, env={"LC_ALL": "C"})
    assert ended.output == f"{tmp_path}/tmp ü {tmp_path}\n"
    assert (ended.returncode, ended.reason) == (0, "exit status 0")


def test_a_variable_can_be_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "1")
    assert python("import os; print(os.environ.get('GONE'))", tmp_path, env={"GONE": None}).output == "None\n"


def test_output_that_is_not_utf8_is_shown_with_escapes(tmp_path: Path) -> None:
    assert python("import os; os.write(1, b'a\\xffb')", tmp_path).output == "a\\xffb"


def test_a_signal_is_named(tmp_path: Path) -> None:
    assert python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path).reason == "killed by SIGSEGV"


def test_a_hang_is_killed_within_two_seconds_of_its_limit_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    start = time.perf_counter()
    ended = python(code, tmp_path, limit_s=1)
    assert time.perf_counter() - start < 3
    assert ended.timed_out and ended.reason.startswith("still ran after 1 s")
    child = int(ended.output)
    for _ in range(100):
        if not _alive(child):
            return
        time.sleep(0.02)
    pytest.fail("the hanging process left a child behind")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_only_the_end_of_a_flood_is_kept(tmp_path: Path) -> None:
    assert len(python("print('x' * 5_000_000)", tmp_path).output) == process.LAST_OUTPUT


def test_tick_is_called_while_it_runs(tmp_path: Path) -> None:
    ticks: list[int] = []
    python("import time; time.sleep(1.3)", tmp_path, tick=lambda: ticks.append(1))
    assert len(ticks) >= 2


def test_a_group_that_may_not_be_signaled_any_more_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(group: int, signal: int) -> None:  # what macOS does when only ended processes are left in a group
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", refuse)
    assert python("print('done')", tmp_path).output == "done\n"
