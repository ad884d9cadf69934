"""What other programs took while something was measured: told apart from what we took, kept, and said on the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record
from site_builds import build, put_records, write
from test_recorder import GOOD, gallery, quick

from compile_guide._process import output_of
from compile_guide.recorder import conditions
from compile_guide.recorder.conditions import PS, Snapshot, others_between, read_linux, read_ps, snapshot
from compile_guide.records.schema import dump, load, parse
from compile_guide.sphinxext.text import disturbances

BURN = "import time\nend = time.time() + {}\nwhile time.time() < end: pass"


LINUX = sys.platform == "linux"


def burn(seconds: float) -> list[str]:
    return [sys.executable, "-c", BURN.format(seconds)]


def test_our_own_work_does_not_count() -> None:
    """As many burners of ours as there are processors: for others there is only the rest."""
    before = snapshot()
    running = [subprocess.Popen(burn(1.5)) for _ in range(os.cpu_count() or 1)]
    assert [one.wait() for one in running] == [0] * len(running)
    after = snapshot()
    seen, ours = others_between(before, after), (after.ours - before.ours) / (after.clock - before.clock)
    assert ours > 0.1
    assert seen is not None and seen <= len(running) - ours + 0.1


def test_work_of_other_programs_counts() -> None:
    """A child counts as another program until it is waited for."""
    with subprocess.Popen(burn(60)) as other:
        before, begun = snapshot(), spent(other.pid)
        time.sleep(1.5)
        used, after = spent(other.pid) - begun, snapshot()
        other.kill()
    seen = others_between(before, after)
    assert used > 0.1
    assert seen is not None and seen * (after.clock - before.clock) >= used - 0.1


def spent(pid: int) -> float:
    """Processor seconds of a process."""
    if not LINUX:
        listing = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return sum(read_ps(f"1 {listing.stdout.strip()}").values())
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_ticks_of_linux_leave_out_waiting_and_count_stolen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.os, "sysconf", lambda name: 100)
    assert read_linux("cpu  100 20 30 9999 8888 1 2 47 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n") == {0: 2.0}
    assert read_linux("") == {}


def test_times_of_macos_are_read_from_ps() -> None:
    text = "    1   2:02.50\n  312   0:00.10\n   77 1:00:00.25\n   78 2-01:00:00.00\nnonsense\n"
    assert read_ps(text) == {1: 122.5, 312: 0.1, 77: 3600.25, 78: 2 * 86_400 + 3600.0}


def test_a_system_process_that_builds_our_kernels_is_no_other_program() -> None:
    text = (
        "    1   2:02.50 /sbin/launchd\n"
        "   88   0:07.00 /System/Library/Frameworks/Metal.framework/Versions/A/XPCServices/MTLCompilerService\n"
        "   89   0:01.00 /Applications/My Editor.app/Contents/MacOS/My Editor\n"
    )
    assert read_ps(text) == {1: 122.5, 89: 1.0}


@pytest.mark.skipif(LINUX and shutil.which("ps") is None, reason="Linux isn't asked by ps, and here there is none")
def test_every_process_is_listed_with_its_time_and_command() -> None:
    seen = read_ps(output_of(*PS))
    assert os.getpid() in seen and all(seconds >= 0 for seconds in seen.values())


def test_small_commands_answer_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert output_of("sh", "-c", "echo $LC_ALL") == "C\n"


def test_of_listed_processes_new_ones_count_whole_and_ended_ones_not() -> None:
    before = Snapshot({1: 10.0, 2: 5.0}, 0.0, 100.0)
    assert others_between(before, Snapshot({1: 11.0, 3: 0.5}, 7.0, 102.0)) == 0.75
    assert others_between(before, Snapshot({}, 7.0, 102.0)) is None


def test_a_recording_beside_a_busy_program_says_so(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    with subprocess.Popen(burn(120)) as other:
        assert quick(tmp_path).returncode == 0
        other.kill()
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    (entry,) = load(path).comparisons
    assert entry.others is not None and entry.others > 0.1


def test_a_record_without_the_field_is_as_good_as_before_and_stays_without() -> None:
    raw = dump(make_record())
    assert b"others" not in raw
    assert parse(raw).comparisons[0].others is None


def test_an_examples_page_speaks_of_its_own_measuring() -> None:
    calm, busy = (
        msgspec.structs.replace(make_entry(), example=e, name=e, others=o) for e, o in (("a", 0.0), ("b", 3.0))
    )
    made = make_record(calm, busy)
    assert disturbances(made, "a") == ""
    assert disturbances(made, "b") == disturbances(made, "gallery") != ""


CASES = {
    "nothing": ({}, {}, ""),
    "a little": ({"others": 0.1}, {}, ""),
    "busy": ({"others": 1.44}, {}, "other programs kept up to 1.4 processors busy."),
    "battery": ({}, {"power": "battery"}, "the machine ran on battery."),
    "both": ({"others": 2.0}, {"power": "battery"}, "up to 2.0 processors busy and the machine ran on battery."),
}


@pytest.mark.parametrize(("entry", "machine", "words"), CASES.values(), ids=CASES)
def test_the_line_about_the_machine_says_what_else_went_on(
    entry: dict[str, float], machine: dict[str, str], words: str, tmp_path: Path
) -> None:
    made = make_record(msgspec.structs.replace(make_entry(), **entry))
    made = msgspec.structs.replace(made, machine=msgspec.structs.replace(made.machine, **machine))
    assert disturbances(made).endswith(words) and bool(disturbances(made)) == bool(words)
    assert disturbances(made, "another-example") == disturbances(made)
    write(tmp_path, {"docs/index.md": "# T\n\n```{measured-on}\n```\n"})
    put_records(tmp_path, made)
    text = build(tmp_path).text()
    assert ("2026-11-22. Take these numbers with care: while they were measured, " in text) == bool(words)
    assert words in text
