"""A build or a recording that is killed anywhere, or that meets a full disk: the next one needs no cleaning by hand."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import small_disk
from fork_server import broken_off
from forked import finish, start
from forked import site as plain_site
from leftovers import left_behind
from quick_compiler import with_quick_compiler
from reproduce import differing
from site_builds import write
from test_recorder import GOOD, SRC, gallery

from compile_guide.records.schema import load

pytestmark = pytest.mark.usefixtures("interrupts")
KILLS = 26
"""Those that hit, spread over the whole work, each at random in its part."""
LANES, RECORDING_KILLS = 3, 60
"""How many recordings are killed beside each other: after a kill, half of the time is waited until nothing is left."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STAGES = 7
"""How often the disk is full: each time it holds another part of what the build writes."""
BUSY = '''"""
Busy
====

It starts a program, and has a file open.
"""
import subprocess, tempfile, time
with tempfile.NamedTemporaryFile():
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    time.sleep(0.3)
    child.kill()
print(child.wait())
'''


def site(folder: Path, state: str) -> Path:
    """Write the small site in one of its states, with an example that takes some time, and a temporary folder."""
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    write(folder, {"gallery/one/busy.py": BUSY})
    return plain_site(folder, state)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], float]:
    """The pages of a clean build of each state, and the seconds that a build takes."""
    folder, pages, took = tmp_path_factory.mktemp("clean"), {}, 0.0
    for state in ("new", "old", "new"):  # the first build warms up what later ones find in memory
        shutil.rmtree(folder / state, ignore_errors=True)
        site(folder / state, state)
        begun = time.perf_counter()
        assert finish(folder / state, folder / f"{state}.log") == 0, (folder / f"{state}.log").read_text()
        pages[state], took = folder / state / "out", time.perf_counter() - begun
    return pages, took


@pytest.mark.timeout(900)
def test_after_a_kill_anywhere_nothing_is_left_and_the_next_build_equals_a_clean_one(
    tmp_path: Path, clean: tuple[dict[str, Path], float], record_property: Callable[[str, object], None]
) -> None:
    record_property("kills of a build", KILLS)
    pages, took = clean
    chance, folder, log = random.Random(7), tmp_path / "site", tmp_path / "log"
    site(folder, "old")
    assert finish(folder, log) == 0
    hit = tries = 0
    while hit < KILLS:
        tries += 1
        assert tries < 3 * KILLS
        state, how = ("new", "old")[tries % 2], SIGNALS[hit % len(SIGNALS)]
        site(folder, state)
        begun = time.perf_counter()
        after = took * (hit + chance.random()) / KILLS
        if broken_off(start(folder, log), after, how) == 0:  # too late: the machine has become quicker
            took = 0.95 * min(took, time.perf_counter() - begun)
            continue
        hit += 1
        assert left_behind(folder / "temp", folder) == [], f"kill {hit}: {how.name}"
        assert finish(folder, log) == 0, f"kill {hit}: {log.read_text()}"
        assert differing(pages[state], folder / "out") == [], f"kill {hit}"


def resize(place: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(place)], check=True)


@pytest.mark.timeout(900)
def test_a_full_disk_at_any_stage_fails_and_the_next_build_equals_a_clean_one(
    tmp_path: Path, clean: tuple[dict[str, Path], float], record_property: Callable[[str, object], None]
) -> None:
    record_property("sizes of a full disk", STAGES)
    disk, log = tmp_path / "disk", tmp_path / "log"
    with small_disk(disk, 50_000):
        folder = site(disk / "site", "old")
        empty = used(disk)
        assert finish(folder, log) == 0
        full = used(disk)
        for part in range(1, STAGES + 1):
            shutil.rmtree(disk / "site")
            site(folder, "new")
            resize(disk, empty + (full - empty) * part // (STAGES + 1))
            assert finish(folder, log) != 0, f"part {part} of the room was enough"
            resize(disk, 50_000)
            assert finish(folder, log) == 0, log.read_text()
            assert differing(clean[0]["new"], folder / "out") == []


def used(disk: Path) -> int:
    """Kilobytes in use."""
    return shutil.disk_usage(disk).used // 1024


# Recording


def recording(folder: Path, *, program: tuple[str, str] = ("-m", "compile_guide"), **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, *program, "record", "--no-claims", "--budget", "0.05", "--processes", "1"]
    env = {**os.environ, "PYTHONPATH": SRC, "PATH": with_quick_compiler(), **env}
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_recording_on_a_full_disk_keeps_the_old_record_and_says_so_in_one_line(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    with small_disk(tmp_path / "docs", 64):
        with recording(tmp_path) as first:
            assert first.wait() == 0, first.communicate()
        (path,) = (tmp_path / "docs" / "records").glob("*.json")
        before = path.read_bytes()
        with contextlib.suppress(OSError):
            (tmp_path / "docs" / "filler").write_bytes(b"x" * 64_000)
        with recording(tmp_path) as second:
            said = second.communicate()
        assert second.returncode == 2
        assert said[1].splitlines()[-1].startswith("compile-guide: No space left on device")
        assert "Traceback" not in said[1]
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.timeout(900)
def test_a_recording_killed_anywhere_loses_no_record_and_leaves_no_process_and_no_folder(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("kills of a recording", RECORDING_KILLS)
    with ThreadPoolExecutor(LANES) as pool:
        hits = pool.map(lambda lane: kill_recordings(tmp_path / f"lane-{lane}", lane), range(LANES))
    assert sum(hits) == RECORDING_KILLS


def kill_recordings(folder: Path, lane: int) -> int:
    """Kill recordings in a folder, of all kills one in so many as there are lanes; return how many were hit."""
    temp = folder / "temp"
    temp.mkdir(parents=True)
    gallery(folder, one=GOOD.format(name="one"))
    for _ in range(2):  # the first one builds kernels
        begun = time.perf_counter()
        with recording(folder, TMPDIR=str(temp)) as first:
            assert first.wait() == 0, first.communicate()
    took = time.perf_counter() - begun
    (path,) = (folder / "docs" / "records").glob("*.json")
    chance, hit, tries = random.Random(11 + lane), lane, 0
    while hit < RECORDING_KILLS:
        tries += 1
        assert tries < 3 * RECORDING_KILLS / LANES
        before, begun = path.read_bytes(), time.perf_counter()
        how = SIGNALS[hit % len(SIGNALS)]
        with recording(folder, TMPDIR=str(temp)) as running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(took * (hit + chance.random()) / RECORDING_KILLS)
            running.send_signal(how)
            running.communicate(timeout=30)
        assert path.read_bytes() == before or running.returncode in (0, -signal.SIGKILL)
        assert [entry.name for entry in load(path).comparisons] == ["one"]
        assert left_behind(temp, folder) == [], f"{how.name} after {time.perf_counter() - begun:.2f} s"
        if running.returncode == 0:  # too late: the machine has become quicker
            took = 0.95 * min(took, time.perf_counter() - begun)
        hit += LANES * (running.returncode != 0)
    with recording(folder, TMPDIR=str(temp)) as last:
        assert last.wait() == 0, last.communicate()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return (hit - lane) // LANES


KILLED_AT = """
import os, signal, sys
from compile_guide import __main__
def kill(name, arguments):
    if name == {event!r} and str(arguments[0]).endswith(".json.partial"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
sys.exit(__main__.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("event", ["open", "os.rename"])
def test_a_recording_killed_while_its_record_is_written_leaves_the_old_one_and_the_next_one_clears_up(
    event: str, tmp_path: Path
) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    with recording(tmp_path) as first:
        assert first.wait() == 0, first.communicate()
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    before = path.read_bytes()
    with recording(tmp_path, program=("-c", KILLED_AT.format(event=event))) as killed:
        killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL and path.read_bytes() == before
    with recording(tmp_path) as last:
        assert last.wait() == 0, last.communicate()
    assert [file.name for file in path.parent.iterdir()] == [path.name] and path.read_bytes() != before


INTERRUPTED = """
import atexit, os, signal, sys
from compile_guide import __main__
from compile_guide.records import schema
save = schema.save
def save_and_interrupt(*both):
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
        atexit.register(os.kill, os.getpid(), number)
    save(*both)
    os.kill(os.getpid(), signal.SIGINT)
schema.save = save_and_interrupt
sys.exit(__main__.main(sys.argv[1:]))
"""


def test_an_interrupt_that_comes_once_the_record_is_being_written_comes_too_late(tmp_path: Path) -> None:
    """The record and the exit status say the same."""
    gallery(tmp_path, one=GOOD.format(name="one"))
    with recording(tmp_path, program=("-c", INTERRUPTED)) as running:
        out, err = running.communicate(timeout=60)
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    assert (running.returncode, err) == (0, "")
    assert out.splitlines()[-1] == str(path.relative_to(tmp_path))
