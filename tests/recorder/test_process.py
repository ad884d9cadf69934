"""A process of its own: private temp folder, killed at its limit with all its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compile_guide._process import LAST_OUTPUT, Finished, last_line, private_folder, run


def python(code: str, folder: Path, limit_s: float = 20, **more: object) -> Finished:
    return run([sys.executable, "-c", code], folder=folder, limit_s=limit_s, **more)  # type: ignore[arg-type]


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
    assert gone(child)


def gone(pid: int) -> bool:
    """Whether a process ends within two seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_only_the_end_of_a_flood_is_kept(tmp_path: Path) -> None:
    assert len(python("print('x' * 5_000_000)", tmp_path).output) == LAST_OUTPUT


def test_a_group_that_may_not_be_signaled_any_more_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(group: int, signal: int) -> None:  # what macOS does when only ended processes are left in a group
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", refuse)
    assert python("print('done')", tmp_path).output == "done\n"


def test_a_signal_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    assert python("import os; os.kill(os.getpid(), 35)", tmp_path).reason == "killed by signal 35"


DAEMON = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"


@pytest.mark.skipif(sys.platform != "linux", reason="macOS hides the environment of its own programs, such as sleep")
def test_a_child_in_a_session_of_its_own_does_not_outlive_the_process(tmp_path: Path) -> None:
    ended = python(DAEMON, tmp_path)
    assert ended.returncode == 0 and gone(int(ended.output))


def test_processes_in_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    code = "import subprocess, sys; sys.exit(subprocess.run(['sleep', '1']).returncode)"
    with ThreadPoolExecutor() as pool:
        other = pool.submit(python, code, tmp_path / "ab")
        while not (tmp_path / "ab" / "output.log").exists():
            time.sleep(0.01)
        python("pass", tmp_path / "a")
        assert other.result().returncode == 0


def test_the_last_line_is_told_without_what_stands_before_an_error() -> None:
    assert last_line("one\ncompile-guide: two\n\n") == "two"
    assert last_line("python: error: three") == "three"
    assert last_line(" \n") == ""


GUARDED = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background lets its commands ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and so does nohup with this one
from compile_guide._process import private_folder, run
with private_folder() as folder:
    print(folder, flush=True)
    (folder / "place").mkdir()
    code = {DAEMON + "; import time; time.sleep(60)"!r}
    run([sys.executable, "-u", "-c", code], folder=folder / "place", limit_s=60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS hides the environment of its own programs, such as sleep")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_private_folder_and_its_processes_are_gone_even_if_their_owner_is_killed(how: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", GUARDED], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    log = folder / "place" / "output.log"
    while not (log.exists() and log.read_text().endswith("\n")):
        time.sleep(0.02)
    child = int(log.read_text())
    owner.send_signal(how)
    owner.communicate(timeout=20)
    assert gone(child)
    for _ in range(150):
        if not folder.exists():
            return
        time.sleep(0.02)
    pytest.fail("the folder is left behind")


def test_a_private_folder_is_for_its_owner_alone_and_gone_after_the_block() -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert not folder.exists()
