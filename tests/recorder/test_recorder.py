"""The recorder: real examples in processes of their own, and every way in which one can fail."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record
from guide import PACKAGE
from quick_compiler import with_quick_compiler, with_real_compiler
from test_process import gone

from compile_guide.recorder.machine import backend, this_machine
from compile_guide.recorder.measure import Plan, Result, _settings, build_record
from compile_guide.records.schema import Entry, Verdict, load, save

SRC = str(PACKAGE.parent)
GOOD = """
import mlx.core as mx
from compile_guide.timing import compare
def f(x): return mx.exp(x) + 1
compare("{name}", f, mx.compile(f), mx.ones(100))
"""
TO_SINK = "import os\nwith open(os.environ['COMPILE_GUIDE_SINK'], 'a') as file: print({!r}, file=file)\n"
FAULTS = {
    "raises": ("raise KeyError('lost')", "exit status 1: KeyError: 'lost'"),
    "exits_early": ("import sys; sys.exit(0)", "ended before its last line, with status 0"),
    "os_exit": ("import os; os._exit(0)", "ended before its last line, with status 0"),
    "kills_itself": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    "aborts": ("import os; os.abort()", "killed by SIGABRT"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    "hangs": ("import time; time.sleep(60)", "still ran after 12 s and was killed"),
    "memory": ("bytearray(2**62)", "exit status 1: MemoryError"),
    "not_utf8": ("import os; os.write(2, b'\\xff\\n'); raise SystemExit(3)", "exit status 3: \\xff"),
    "thread": ("import threading; threading.Thread(target=lambda: 1 / 0).start()", "a thread of thread.py ended with"),
    "syntax": ("def broken(", "exit status 1: SyntaxError"),
    "twice": (GOOD.format(name="same") * 2, "comparison 'same' was made twice"),
    "killed_oddly": ("import os; os.kill(os.getpid(), 35)", "killed by signal 35"),
    "no_json": (TO_SINK.format("oops"), "not measured: it reported something else than a comparison: Expecting value"),
    "no_comparison": (TO_SINK.format('{"name": "A B"}'), "not measured: it reported something else than a comparison"),
    "deletes_results": ("import os; os.remove(os.environ['COMPILE_GUIDE_SINK'])", "ended before its last line"),
    "no_results": (
        "import os; sink = os.environ['COMPILE_GUIDE_SINK']; os.remove(sink); os.symlink('/dev/zero', sink); os._exit(0)",
        "not measured: sink.jsonl: is no ordinary file",
    ),
    "wrong": (GOOD.format(name="wrong").replace("mx.compile(f)", "lambda x: x"), "value 0 differs"),
}


def gallery(folder: Path, **scripts: str) -> Path:
    (folder / "gallery" / "topic").mkdir(parents=True)
    for name, code in scripts.items():
        (folder / "gallery" / "topic" / f"{name}.py").write_text(f"import compile_guide\n{code}", encoding="utf-8")
    return folder / "gallery"


def guide(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "PYTHONPATH": SRC, "COLUMNS": "200", "PATH": with_quick_compiler(), **env}
    command = [sys.executable, "-m", "compile_guide", *argv]
    return subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, timeout=300, check=False)


def quick(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return guide(folder, "record", "--no-claims", "--budget", "0.05", "--processes", "2", *argv, **env)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One recording in which every example but one fails in its own way, with --keep-going."""
    folder = tmp_path_factory.mktemp("faulty")
    good = {"good": GOOD.format(name="good"), "forks": GOOD.format(name="forks") + "import os; os.fork()\n"}
    gallery(folder, **good, **{name: code for name, (code, _) in FAULTS.items()})
    return folder, quick(folder, "--limit", "12", "--keep-going")


@pytest.mark.parametrize("name", FAULTS)
def test_a_failing_example_is_named_with_its_reason(
    name: str, faulty: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    row = next(line for line in faulty[1].stdout.splitlines() if line.strip().startswith(f"│ {name} "))
    assert FAULTS[name][1] in row


def test_failing_examples_cost_only_themselves(
    faulty: tuple[Path, subprocess.CompletedProcess[str]], record_property: Callable[[str, object], None]
) -> None:
    record_property("examples that misbehave in a recording", len(FAULTS) + 1)
    folder, ended = faulty
    assert ended.returncode == 1
    (path,) = (folder / "docs" / "records").glob("*.json")
    assert [(entry.name, len(entry.runs)) for entry in load(path).comparisons] == [("forks", 2), ("good", 2)]
    assert ended.stdout.splitlines()[-1] == str(path.relative_to(folder))


def test_a_failure_leaves_the_previous_record_untouched(tmp_path: Path) -> None:
    scripts = gallery(tmp_path, good=GOOD.format(name="good"))
    assert quick(tmp_path).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    before = path.read_bytes()
    (scripts / "topic" / "bad.py").write_text("import compile_guide\n1 / 0")
    ended = quick(tmp_path)
    assert ended.returncode == 1 and path.read_bytes() == before
    assert f"no record was written; {path.relative_to(tmp_path)} is as it was" in ended.stderr


def test_only_the_first_process_starts_with_an_empty_kernel_cache(tmp_path: Path) -> None:
    code = GOOD.format(name="one") + "import os, pathlib; print(list(pathlib.Path(os.environ['TMPDIR']).iterdir()))"
    gallery(tmp_path, one=code)
    assert quick(tmp_path, PATH=with_real_compiler()).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    runs = load(path).comparisons[0].runs
    if load(path).machine.backend == "metal":
        assert [run.cache for run in runs] == ["unknown", "warm"]
    else:
        assert [run.cache for run in runs] == ["empty", "warm"]
    if load(path).machine.backend == "cpu":  # a kernel build runs g++ for far longer than loading its result takes
        assert runs[0].first_candidate_s > 5 * runs[1].first_candidate_s


NOTES = "import os, pathlib\nnotes = pathlib.Path({folder!r}, '{name}').open('a')\n"
DRAWS = """
import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
figure, (left, right) = plt.subplots(1, 2)
bars = left.bar([1, 2], [3, 4], color=to_hex("black"))
bars[0].set_hatch("/")
print(type(plt).__name__, file=notes, flush=True)
"""
ASKS_ITS_PLOT = "assert len(bars) == 2\n"
AT_EXIT = "import atexit\natexit.register(print, 'at exit', file=notes, flush=True)\n"
AT_THE_END = "print('after the last comparison', file=notes, flush=True)\n"
AT_THE_START = "print(len(list(pathlib.Path(os.environ['TMPDIR']).rglob('*.so'))), 'kernels', file=notes, flush=True)\n"


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """One recording in two processes of examples that note what they do; the record, and the notes of each."""
    folder = tmp_path_factory.mktemp("noted")
    parts = {
        "measures": (AT_THE_START, AT_EXIT, GOOD.format(name="measures"), AT_THE_END),
        "draws": (DRAWS, GOOD.format(name="draws")),
        "asks": (DRAWS, ASKS_ITS_PLOT, GOOD.format(name="asks")),
    }
    start = {name: NOTES.format(folder=str(folder), name=name) for name in parts}
    gallery(folder, **{name: start[name] + "".join(code) for name, code in parts.items()})
    ended = quick(folder)
    assert ended.returncode == 0, ended.stderr
    (path,) = (folder / "docs" / "records").glob("*.json")
    return path, {name: (folder / name).read_text().splitlines() for name in parts}


def test_a_later_process_ends_after_the_last_comparison(noted: tuple[Path, dict[str, list[str]]]) -> None:
    assert noted[1]["measures"].count("after the last comparison") == 1
    assert [len(entry.runs) for entry in load(noted[0]).comparisons] == [2, 2, 2]


def test_only_the_first_process_takes_itself_down_in_order(noted: tuple[Path, dict[str, list[str]]]) -> None:
    assert noted[1]["measures"].count("at exit") == 1


def test_only_the_first_process_draws_its_plots(noted: tuple[Path, dict[str, list[str]]]) -> None:
    assert noted[1]["draws"] == ["module", "Blank"]


def test_a_script_that_asks_its_plot_for_something_gets_the_real_library(
    noted: tuple[Path, dict[str, list[str]]],
) -> None:
    assert noted[1]["asks"] == ["module", "Blank", "module"]


@pytest.mark.skipif(backend() != "cpu", reason="only MLX's CPU backend keeps its kernels as .so files")
def test_the_check_that_compiling_works_builds_no_kernel_of_an_example(
    noted: tuple[Path, dict[str, list[str]]],
) -> None:
    path, notes = noted
    assert notes["measures"][0] == "1 kernels"
    (runs,) = [entry.runs for entry in load(path).comparisons if entry.name == "measures"]
    assert [run.built for run in runs] == [1, 0]


def test_named_examples_are_measured_and_the_others_kept(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"), two=GOOD.format(name="two"))
    assert quick(tmp_path).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    before = {entry.name: entry for entry in load(path).comparisons}
    assert quick(tmp_path, "two", "two", "--processes", "1").returncode == 0
    after = {entry.name: entry for entry in load(path).comparisons}
    assert after["one"] == before["one"] and len(after["two"].runs) == 1
    assert load(path).settings.processes == 2


def saved(folder: Path) -> Path:
    (path,) = (folder / "docs" / "records").glob("*.json")
    return path


def by_example(folder: Path) -> dict[str, list[str]]:
    return {name: [entry.name for entry in found] for name, found in load(saved(folder)).by_example.items()}


CLASH = "comparison 'same' stands in one too: give each a name of its own"


def test_one_name_in_two_examples_is_a_failure_of_the_second_and_costs_nothing_else(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="same"), two=GOOD.format(name="same"))
    ended = quick(tmp_path, "--keep-going")
    assert ended.returncode == 1 and CLASH in ended.stdout
    assert (
        "two (round 2 of 2)" not in ended.stdout and "two (round 1 of 2)" in ended.stdout
    )  # it is known after the first round
    assert by_example(tmp_path) == {"one": ["same"]}


def test_a_name_that_another_example_of_the_record_has_is_a_failure(tmp_path: Path) -> None:
    scripts = gallery(tmp_path, one=GOOD.format(name="same"), two=GOOD.format(name="other"))
    assert quick(tmp_path).returncode == 0
    before = saved(tmp_path).read_bytes()
    (scripts / "topic" / "two.py").write_text(GOOD.format(name="same"))
    ended = quick(tmp_path, "two")
    assert ended.returncode == 1 and f"{CLASH}, or record one as well if it moved from there" in ended.stdout
    assert saved(tmp_path).read_bytes() == before


@pytest.mark.parametrize("names", [[], ["new"]], ids=["all", "named"])
def test_a_renamed_example_keeps_its_comparisons(names: list[str], tmp_path: Path) -> None:
    scripts = gallery(tmp_path, old=GOOD.format(name="same"), other=GOOD.format(name="other"))
    assert quick(tmp_path).returncode == 0
    (scripts / "topic" / "old.py").rename(scripts / "topic" / "new.py")
    ended = quick(tmp_path, *names)
    assert ended.returncode == 0, ended.stderr
    assert by_example(tmp_path) == {"new": ["same"], "other": ["other"]}


def test_a_full_recording_drops_a_deleted_example_and_a_partial_one_does_not(tmp_path: Path) -> None:
    scripts = gallery(tmp_path, gone=GOOD.format(name="gone"), one=GOOD.format(name="one"), two=GOOD.format(name="two"))
    assert quick(tmp_path).returncode == 0
    (scripts / "topic" / "gone.py").unlink()
    assert quick(tmp_path, "one").returncode == 0
    assert by_example(tmp_path) == {"gone": ["gone"], "one": ["one"], "two": ["two"]}
    assert quick(tmp_path).returncode == 0
    assert by_example(tmp_path) == {"one": ["one"], "two": ["two"]}


def test_what_was_measured_of_an_example_stays_when_it_fails(tmp_path: Path) -> None:
    scripts = gallery(tmp_path, one=GOOD.format(name="one"), two=GOOD.format(name="two"))
    assert quick(tmp_path).returncode == 0
    (scripts / "topic" / "two.py").write_text("import compile_guide\n1 / 0")
    assert quick(tmp_path, "--keep-going").returncode == 1
    assert by_example(tmp_path) == {"one": ["one"], "two": ["two"]}


# Other machines


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A gallery of two examples, and a record of another machine that has this one's id."""
    gallery(tmp_path, one=GOOD.format(name="one"), two=GOOD.format(name="two"))
    assert quick(tmp_path, "--processes", "1").returncode == 0
    ours = load(saved(tmp_path))
    machine = msgspec.structs.replace(ours.machine, cores=96, memory=2**40, os="Other OS")
    save(msgspec.structs.replace(ours, machine=machine, claims=(Verdict("c", True, "seen"),)), saved(tmp_path))
    return tmp_path


@pytest.mark.parametrize("names", [[], ["one"]], ids=["verdicts", "comparisons"])
def test_another_machines_numbers_are_not_continued(names: list[str], foreign: Path) -> None:
    before = saved(foreign).read_bytes()
    ended = quick(foreign, *names)
    here = this_machine()
    assert (ended.returncode, ended.stderr) == (
        2,
        f"compile-guide: {saved(foreign).relative_to(foreign)} comes from another machine (cores: 96 and {here.cores},"
        f" os: Other OS and {here.os}, memory: {2**40} and {here.memory}), and two machines' numbers aren't mixed:"
        " record all examples and claims, or name another folder with --out\n",
    )
    assert saved(foreign).read_bytes() == before and "round" not in ended.stdout


def test_a_full_recording_replaces_another_machines_record(foreign: Path) -> None:
    ended = guide(foreign, "record", "--budget", "0.05", "--processes", "1")
    assert ended.returncode == 0, ended.stderr
    record = load(saved(foreign))
    assert (record.machine.cores, record.claims) == (this_machine().cores, ())


FAILING_CLAIMS = {"claims.py": "", "_tables.py": "raise SystemExit('no tables today')\n"}


def test_what_was_measured_is_saved_even_if_the_claims_can_not_be_observed(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    (tmp_path / "checks").mkdir()
    for name, text in FAILING_CLAIMS.items():
        (tmp_path / "checks" / name).write_text(text)
    ended = guide(tmp_path, "record", "--budget", "0.05", "--processes", "1", "--claims", "checks")
    assert ended.returncode == 1
    assert ended.stderr.endswith("no tables today; the record's verdicts stay as they were\n")
    assert by_example(tmp_path) == {"one": ["one"]}


def test_a_mistake_in_the_claims_is_told_before_measuring(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "topic.py").write_text("import nothing_of_that_name\n")
    ended = guide(tmp_path, "record", "--claims", "checks")
    assert ended.returncode != 0 and "nothing_of_that_name" in ended.stderr and "round" not in ended.stdout
    ended = guide(tmp_path, "record", "--claims", "nowhere")
    assert ended.returncode == 2 and ended.stderr.startswith("compile-guide: there is no folder of claims /")


def test_a_file_that_is_no_record_is_not_overwritten(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    assert quick(tmp_path, "--processes", "1").returncode == 0
    saved(tmp_path).write_text('{"schema": 99}')
    ended = quick(tmp_path)
    path = saved(tmp_path).relative_to(tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        f"compile-guide: {path.name}: schema 99 isn't 1: record again with this guide's version; move {path} away to"
        " record anew\n",
    )


def test_a_folder_that_can_not_be_written_is_refused_before_measuring(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "records").touch()
    ended = quick(tmp_path)
    assert (ended.returncode, ended.stderr) == (2, "compile-guide: File exists: docs/records\n")
    assert "round" not in ended.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="macOS hides the environment of its own programs, such as sleep")
def test_no_child_of_an_example_outlives_it(tmp_path: Path) -> None:
    daemon = "import subprocess; child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    daemon += f"print(child.pid, file=open({str(tmp_path / 'pid')!r}, 'w'))\n"
    gallery(tmp_path, one=GOOD.format(name="one") + daemon)
    assert quick(tmp_path, "--processes", "1").returncode == 0
    assert gone(int((tmp_path / "pid").read_text()))


def test_an_unknown_example_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    gallery(tmp_path, one="", two="")
    ended = quick(tmp_path, "three")
    assert (ended.returncode, ended.stderr) == (2, "compile-guide: no example 'three'; there are: one, two\n")


def test_a_folder_without_examples_is_refused(tmp_path: Path) -> None:
    ended = quick(tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "compile-guide: no examples under gallery: run this in the project's folder\n",
    )


def test_compiling_switched_off_stops_before_measuring(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    ended = quick(tmp_path, MLX_DISABLE_COMPILE="1")
    assert ended.returncode == 2 and not (tmp_path / "docs").exists()
    assert "compiled functions run uncompiled here. Unset MLX_DISABLE_COMPILE" in ended.stderr


@pytest.mark.skipif(backend() != "cpu", reason="only MLX's CPU backend builds its kernels with g++")
def test_a_missing_compiler_stops_before_measuring(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    ended = quick(tmp_path, PATH=str(tmp_path))
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
    assert "install a C++ compiler named g++" in ended.stderr


def test_interrupting_ends_the_process_under_measurement_and_writes_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    gallery(
        tmp_path,
        slow=f"import os, time, pathlib; pathlib.Path({str(marker)!r}).write_text(str(os.getpid())); time.sleep(99)",
    )
    command = [sys.executable, "-m", "compile_guide", "record", "--no-claims"]
    env = {**os.environ, "PYTHONPATH": SRC}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        while not (marker.exists() and marker.read_text()):
            time.sleep(0.05)
        running.terminate()
        running.communicate(timeout=20)
    assert running.returncode == 143
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # the killed child is reaped by init, which may take a moment
            os.kill(int(marker.read_text()), 0)
            time.sleep(0.02)
    assert not list(tmp_path.glob("docs/records/*"))


def test_a_later_process_that_finds_a_call_too_slow_does_not_undo_what_was_measured() -> None:
    result, measured = Result(Path("x.py"), Path("tmp")), make_entry("gelu", ratios=(2,))
    assert result.add([measured]) is None
    assert result.add([Entry("x", "gelu", (), None, 9.0, "")]) is None
    assert result.entries["gelu"].runs == measured.runs and result.entries["gelu"].slow_call_s is None


def test_a_later_process_is_told_which_comparisons_have_only_long_calls() -> None:
    result = Result(Path("x.py"), Path("tmp"))
    quick = make_entry("quick").runs[0]
    sides = {"quick": (0.2, 0.1), "long": (0.2, 0.11), "mixed": (0.1, 0.2)}
    for name, (baseline, candidate) in sides.items():
        runs = (dataclasses.replace(quick, baseline_s=(baseline,) * 3, candidate_s=(candidate,) * 3),)
        result.entries[name] = Entry("x", name, runs, None, None, "")
    settings = _settings(Plan(()), make_record().machine, result, 1)
    assert (settings["long"], settings["comparisons"]) == (["long"], 3)


def test_a_process_that_makes_other_comparisons_is_a_failure() -> None:
    result = Result(Path("x.py"), Path("tmp"))
    assert result.add([make_entry("a")]) is None
    assert result.add([make_entry("b")]) == "made other comparisons than in the process before: ['a', 'b']"


def test_claims_are_kept_when_they_are_not_run_again() -> None:
    before = make_record(claims=(Verdict("c", True, "seen"),))
    again = build_record(Plan(()), before.machine, [], before, frozenset({"gelu_speedup"}))
    assert again.claims == before.claims and again.comparisons == before.comparisons
