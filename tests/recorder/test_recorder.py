"""The recorder: real examples in processes of their own, and every way in which one can fail."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import make_entry, make_record

from compile_guide.recorder.measure import machine
from compile_guide.recorder.measure import measure as recorder
from compile_guide.records import schema as record
from compile_guide.timing import Comparison

SRC = str(Path(recorder.__file__).parents[1])
GOOD = """
import mlx.core as mx
from compile_guide.timing import compare
def f(x): return mx.exp(x) + 1
compare("{name}", f, mx.compile(f), mx.ones(100))
"""
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
    "wrong": (GOOD.format(name="wrong").replace("mx.compile(f)", "lambda x: x"), "value 0 differs"),
}


def gallery(folder: Path, **scripts: str) -> Path:
    (folder / "gallery" / "topic").mkdir(parents=True)
    for name, code in scripts.items():
        (folder / "gallery" / "topic" / f"{name}.py").write_text(code, encoding="utf-8")
    return folder / "gallery"


def guide(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "PYTHONPATH": SRC, "COLUMNS": "200", **env}
    command = [sys.executable, "-m", "compile_guide", *argv]
    return subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, timeout=300, check=False)


def quick(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return guide(folder, "record", "--no-claims", "--budget", "0.05", "--processes", "2", *argv, **env)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One recording in which every example but one fails in its own way, with --keep-going."""
    folder = tmp_path_factory.mktemp("faulty")
    gallery(folder, good=GOOD.format(name="good"), **{name: code for name, (code, _) in FAULTS.items()})
    return folder, quick(folder, "--limit", "12", "--keep-going")


@pytest.mark.parametrize("name", FAULTS)
def test_a_failing_example_is_named_with_its_reason(
    name: str, faulty: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    row = next(line for line in faulty[1].stdout.splitlines() if line.strip().startswith(f"│ {name} "))
    assert FAULTS[name][1] in row


def test_failing_examples_cost_only_themselves(faulty: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ended = faulty
    assert ended.returncode == 1
    (path,) = (folder / "docs" / "records").glob("*.json")
    (entry,) = record.load(path).comparisons
    assert (entry.name, len(entry.runs)) == ("good", 2)
    assert ended.stdout.splitlines()[-1] == str(path.relative_to(folder))


def test_a_failure_leaves_the_previous_record_untouched(tmp_path: Path) -> None:
    scripts = gallery(tmp_path, good=GOOD.format(name="good"))
    assert quick(tmp_path).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    before = path.read_bytes()
    (scripts / "topic" / "bad.py").write_text("1 / 0")
    ended = quick(tmp_path)
    assert ended.returncode == 1 and path.read_bytes() == before
    assert f"no record was written; {path.relative_to(tmp_path)} is as it was" in ended.stderr


def test_only_the_first_process_starts_with_an_empty_kernel_cache(tmp_path: Path) -> None:
    code = GOOD.format(name="one") + "import os, pathlib; print(list(pathlib.Path(os.environ['TMPDIR']).iterdir()))"
    gallery(tmp_path, one=code)
    assert quick(tmp_path).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    runs = record.load(path).comparisons[0].runs
    if record.load(path).machine.backend == "metal":
        assert [run.cache for run in runs] == ["unknown", "warm"]
    else:
        assert [run.cache for run in runs] == ["empty", "warm"]
    if (
        record.load(path).machine.backend == "cpu"
    ):  # a kernel build runs g++ for far longer than loading its result takes
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
    assert [len(entry.runs) for entry in record.load(noted[0]).comparisons] == [2, 2, 2]


def test_only_the_first_process_takes_itself_down_in_order(noted: tuple[Path, dict[str, list[str]]]) -> None:
    assert noted[1]["measures"].count("at exit") == 1


def test_only_the_first_process_draws_its_plots(noted: tuple[Path, dict[str, list[str]]]) -> None:
    assert noted[1]["draws"] == ["module", "Blank"]


def test_a_script_that_asks_its_plot_for_something_gets_the_real_library(
    noted: tuple[Path, dict[str, list[str]]],
) -> None:
    assert noted[1]["asks"] == ["module", "Blank", "module"]


@pytest.mark.skipif(machine.backend() != "cpu", reason="only MLX's CPU backend keeps its kernels as .so files")
def test_the_check_that_compiling_works_builds_no_kernel_of_an_example(
    noted: tuple[Path, dict[str, list[str]]],
) -> None:
    path, notes = noted
    assert notes["measures"][0] == "1 kernels"
    (runs,) = [entry.runs for entry in record.load(path).comparisons if entry.name == "measures"]
    assert [run.built for run in runs] == [1, 0]


def test_named_examples_are_measured_and_the_others_kept(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"), two=GOOD.format(name="two"))
    assert quick(tmp_path).returncode == 0
    (path,) = (tmp_path / "docs" / "records").glob("*.json")
    before = {entry.name: entry for entry in record.load(path).comparisons}
    assert quick(tmp_path, "two", "two", "--processes", "1").returncode == 0
    after = {entry.name: entry for entry in record.load(path).comparisons}
    assert after["one"] == before["one"] and len(after["two"].runs) == 1
    assert record.load(path).settings.processes == 2


def test_one_name_in_two_examples_is_refused(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="same"), two=GOOD.format(name="same"))
    ended = quick(tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == "compile_guide: comparison 'same' stands in both one and two\n"


def test_an_unknown_example_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    gallery(tmp_path, one="", two="")
    ended = quick(tmp_path, "three")
    assert (ended.returncode, ended.stderr) == (2, "compile_guide: no example 'three'; there are: one, two\n")


def test_a_folder_without_examples_is_refused(tmp_path: Path) -> None:
    ended = quick(tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "compile_guide: no examples under gallery: run this in the project's folder\n",
    )


def test_compiling_switched_off_stops_before_measuring(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    ended = quick(tmp_path, MLX_DISABLE_COMPILE="1")
    assert ended.returncode == 2 and not (tmp_path / "docs").exists()
    assert "compiled functions run uncompiled here. Unset MLX_DISABLE_COMPILE" in ended.stderr


@pytest.mark.skipif(machine.backend() != "cpu", reason="only MLX's CPU backend builds its kernels with g++")
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
    gathered = recorder.Gathered(Path("x.py"), Path("tmp"))
    measured = make_entry(ratios=(2,)).comparison()
    assert gathered.add([measured]) is None
    assert gathered.add([Comparison("gelu", slow_call_s=9.0)]) is None
    assert gathered.runs["gelu"].runs == measured.runs and gathered.runs["gelu"].slow_call_s is None


def test_a_process_that_makes_other_comparisons_is_a_failure() -> None:
    gathered = recorder.Gathered(Path("x.py"), Path("tmp"))
    assert gathered.add([make_entry("a").comparison()]) is None
    assert (
        gathered.add([make_entry("b").comparison()]) == "made other comparisons than in the process before: ['a', 'b']"
    )


def test_claims_are_kept_when_they_are_not_run_again() -> None:
    facts = machine.Machine(**{k: getattr(make_record().machine, k) for k in make_record().machine.__struct_fields__})
    before = make_record(claims=(record.Verdict("c", True, "seen"),))
    made = recorder.build_record(recorder.Plan(()), facts, [], before)
    assert made.claims == before.claims and made.comparisons == before.comparisons
