"""Whether the machine slowed itself down for heat: read where the system tells, kept in the record, said on the page.

No machine of ours grew hot: what the systems print is written after their documentation, the counters of an NVIDIA GPU
(all zero) are from an H100 with driver 580.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record
from guide import ROOT
from test_recorder import GOOD, SRC, gallery, quick

from compile_guide.recorder.conditions import (
    PRESSURE,
    Snapshot,
    read_intel,
    read_nvidia,
    read_pressure,
    read_speed_limit,
    snapshot,
    throttled,
)
from compile_guide.recorder.machine import supply
from compile_guide.recorder.measure import Result
from compile_guide.records.schema import dump, load, parse
from compile_guide.sphinxext.text import disturbances

MACOS = ROOT / "tests" / "data" / "macos"


def count(folder: Path, *numbers: int) -> Path:
    """Write the counters of Intel processors as Linux shows them."""
    for cpu, number in enumerate(numbers):
        place = folder / f"cpu{cpu}" / "thermal_throttle"
        place.mkdir(parents=True, exist_ok=True)
        (place / "core_throttle_count").write_text(f"{number}\n", encoding="ascii")
        (place / "package_throttle_count").write_text("0\n", encoding="ascii")
        (place / "core_throttle_total_time_ms").write_text(f"{10 * number}\n", encoding="ascii")
    return folder


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="reads what only Linux has")
def test_a_counter_of_linux_that_grows_is_heat(tmp_path: Path) -> None:
    assert read_intel(count(tmp_path, 3, 0)) == (3, 0, 0, 0)
    cool = snapshot(processors=tmp_path)
    assert throttled(cool, snapshot(processors=tmp_path)) is False
    assert throttled(cool, snapshot(processors=count(tmp_path, 3, 1))) is True
    nothing = snapshot(processors=tmp_path / "nothing")
    assert (nothing.counts, nothing.slow) == ((), None)


def test_counters_of_nvidia_are_read_and_an_error_is_none() -> None:
    assert read_nvidia("0 us, 0 us\n") == (0, 0)
    assert read_nvidia("0 us, 12345 us\n7 us, 0 us\n") == (0, 12345, 7, 0)
    assert (
        read_nvidia('Field "clocks_event_reasons_counters.sw_thermal_slowdown" is not a valid field to query.\n') == ()
    )
    assert read_nvidia("[N/A], [N/A]\n") == ()


@pytest.mark.parametrize(
    ("file", "hot"), [("therm-full-speed", False), ("therm-limited", True), ("therm-notes-only", None)]
)
def test_speed_limits_of_macos_are_read(file: str, hot: bool | None) -> None:
    assert read_speed_limit((MACOS / f"{file}.txt").read_text(encoding="utf-8")) is hot


def test_thermal_pressure_of_macos_is_read() -> None:
    assert [read_pressure(f"{PRESSURE} {level}\n") for level in (0, 1, 4)] == [False, True, True]
    assert read_pressure("") is None and read_pressure("another.name 3\n") is None


def test_one_hot_look_is_enough_and_knowing_nothing_is_not_being_cool() -> None:
    cool, hot, unknown = (Snapshot({}, 0.0, 0.0, (), slow) for slow in (False, True, None))
    assert [throttled(cool, hot), throttled(hot, cool), throttled(cool, cool)] == [True, True, False]
    assert throttled(unknown, unknown) is None
    assert throttled(Snapshot({}, 0.0, 0.0, (1,)), unknown) is None


def test_one_hot_process_marks_its_example() -> None:
    result = Result(Path("x.py"), Path("tmp"))
    for seen in (None, False, True, False, None):
        result.note_disturbance(None, seen)
    assert result.throttled is True


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="reads what only Linux has")
def test_a_recording_on_a_machine_that_grows_hot_says_so(tmp_path: Path) -> None:
    """The counters are a folder of ours, and the example itself turns them up."""
    count(tmp_path / "cpus", 0)
    fake = f"import compile_guide.recorder.conditions as h, pathlib\nh.snapshot.__kwdefaults__['processors'] = pathlib.Path({str(tmp_path / 'cpus')!r})\n"
    (tmp_path / "sitecustomize.py").write_text(fake, encoding="utf-8")
    file = tmp_path / "cpus" / "cpu0" / "thermal_throttle" / "core_throttle_count"
    gallery(
        tmp_path,
        hot=GOOD.format(name="hot") + f"\nopen({str(file)!r}, 'w').write('9')\n",
        mild=GOOD.format(name="mild"),
    )
    done = quick(tmp_path, "--processes", "1", PYTHONPATH=os.pathsep.join([str(tmp_path), SRC]))
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    assert {entry.name: entry.throttled for entry in load(path).comparisons} == {"hot": True, "mild": False}


def test_the_line_about_the_machine_names_heat_beside_the_rest() -> None:
    entry = msgspec.structs.replace(make_entry(), throttled=True, others=1.5)
    made = make_record(entry)
    made = msgspec.structs.replace(made, machine=msgspec.structs.replace(made.machine, power="battery"))
    words = "other programs kept up to 1.5 processors busy, the machine slowed itself down for heat and the machine ran on battery."
    assert disturbances(made).endswith(words)
    assert parse(dump(made)).comparisons[0].throttled is True
    assert b"throttled" not in dump(make_record())


# Battery on Linux


def supplies(folder: Path, **kinds: dict[str, str]) -> Path:
    for name, files in kinds.items():
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text + "\n", encoding="ascii")
    return folder


BATTERY = {"type": "Battery", "status": "Discharging"}
CASES = {
    "plugged in": ({"AC": {"type": "Mains", "online": "1"}, "BAT0": BATTERY}, "ac"),
    "unplugged": ({"AC": {"type": "Mains", "online": "0"}, "BAT0": BATTERY}, "battery"),
    "charged by a cable": ({"ucsi": {"type": "USB", "online": "1"}, "BAT0": BATTERY}, "ac"),
    "a desktop with a mouse": ({"mouse": {**BATTERY, "scope": "Device"}}, None),
    "a server": ({}, None),
}


@pytest.mark.parametrize(("kinds", "power"), CASES.values(), ids=CASES)
def test_the_power_supplies_of_linux_say_whether_it_runs_on_battery(
    kinds: dict[str, dict[str, str]], power: str | None, tmp_path: Path
) -> None:
    assert supply(supplies(tmp_path, **kinds)) == power
