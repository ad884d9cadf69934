"""Records in other tools' formats, read back by pyperf itself and held against what the action's format asks for."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pyperf
import pytest
from conftest import make_entry, make_record
from guide import ROOT
from test_diff import took

from compile_guide import __main__
from compile_guide.records import export
from compile_guide.records.schema import Entry, Record, RecordError, dump, load, parse, save

SLOW = Entry("gelu_speedup", "slow", (), None, 30.0, "")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two records in pyperf's format; in the second the candidate of x takes twice as long."""
    made = []
    for number, seconds in enumerate((1e-3, 2e-3)):
        made.append(tmp_path / f"{number}.json")
        made[-1].write_text(export.pyperf(make_record(took("x", seconds), took("y", 1e-3))))
    return made[0], made[1]


def perf(*argv: object) -> str:
    command = [sys.executable, "-m", "pyperf", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# pyperf


def test_pyperf_reads_the_samples_back() -> None:
    one = make_record(took("x", 1e-3))
    suite = pyperf.BenchmarkSuite.loads(export.pyperf(one))
    assert suite.get_benchmark_names() == ["x/baseline", "x/candidate"]
    candidate = suite.get_benchmark("x/candidate")
    assert candidate.get_values() == tuple(s for run in one.comparisons[0].runs for s in run.candidate_s)
    assert candidate.get_nrun() == 6 and candidate.median() == pytest.approx(1e-3)
    assert [run.warmups for run in candidate.get_runs()] == [((1, 0.5),)] * 6


def test_pyperf_stats_and_show_understand_it(files: tuple[Path, Path]) -> None:
    stats = perf("stats", files[0])
    assert "x/candidate" in stats and "Number of run with values: 6" in stats and "Total number of values: 72" in stats
    shown = perf("show", "--metadata", files[0])
    assert "mlx_version: 0.32.4" in shown and "cpu_model_name: Test Chip" in shown and "x/baseline" in shown


def test_pyperf_compares_two_records(files: tuple[Path, Path]) -> None:
    told = perf("compare_to", *files)
    assert "x/candidate" in told and "2.00x slower" in told
    assert "y/candidate" not in told.partition("Benchmark hidden")[0]


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "records").glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_record_is_one_for_pyperf(file: Path) -> None:
    one = load(file)
    suite = pyperf.BenchmarkSuite.loads(export.pyperf(one))
    measured = [entry for entry in one.comparisons if entry.runs]
    assert len(suite.get_benchmarks()) == 2 * len(measured) > 0


def test_text_that_pyperf_refuses_is_left_out() -> None:
    odd = make_record(took("x", 1e-3))
    odd = parse(dump(odd).replace(b'"Test Chip"', b'"Test\\nChip"').replace(b'"Test OS 1"', b'" "'))
    metadata = pyperf.BenchmarkSuite.loads(export.pyperf(odd)).get_metadata()
    assert metadata["cpu_model_name"] == "Test Chip" and metadata["platform"] == "x86_64"


# github-action-benchmark


def test_times_are_an_array_for_custom_smaller_is_better() -> None:
    entry = took("x", 1e-3)
    low, high = entry.comparison().time_interval or (0.0, 0.0)
    (item,) = json.loads(export.times(make_record(entry)))
    assert {key: item[key] for key in ("name", "unit", "value", "range")} == {
        "name": "x", "unit": "ms", "value": 1.0, "range": f"{low * 1e3:.6g}–{high * 1e3:.6g}",
    }  # fmt: skip
    assert item["extra"].endswith("\nTest Chip, cpu, MLX 0.32.4") and "speed-up" in item["extra"]


def test_speed_ups_are_an_array_for_custom_bigger_is_better() -> None:
    entry = make_entry("x")
    low, high = entry.comparison().interval or (0.0, 0.0)
    (item,) = json.loads(export.speedups(make_record(entry)))
    assert (item["name"], item["unit"], item["value"], item["range"]) == ("x", "×", 2.0, f"{low:.6g}–{high:.6g}")


def test_what_is_exported_can_be_read_by_a_program_that_knows_ascii_alone() -> None:
    one = make_record(make_entry("x"))
    assert all(written(one).isascii() for written in export.FORMATS.values())


def test_without_an_interval_there_is_no_range() -> None:
    (item,) = json.loads(export.times(make_record(took("x", 1e-3, (0.9, 1.1)))))
    assert set(item) == {"name", "unit", "value", "extra"}


@pytest.mark.parametrize("written", [export.times, export.speedups])
def test_the_value_is_the_median_of_the_processes_medians(written: object) -> None:
    one = load(next((ROOT / "docs" / "records").glob("cpu-*.json")))
    items = {item["name"]: item["value"] for item in json.loads(written(one))}  # type: ignore[operator]
    assert items
    for entry in one.comparisons:
        if entry.runs:
            pairs = [list(zip(run.baseline_s, run.candidate_s, strict=True)) for run in entry.runs]
            seconds = statistics.median(statistics.median(c for _, c in run) for run in pairs) * 1e3
            ratio = statistics.median(statistics.median(b / c for b, c in run) for run in pairs)
            assert items[entry.name] == pytest.approx(seconds if written is export.times else ratio, rel=1e-5)


# The command


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = __main__.main(["export", *argv])
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Record, str]:
    one = make_record(took("x", 1e-3), SLOW)
    save(one, tmp_path / "r.json")
    return one, str(tmp_path / "r.json")


@pytest.mark.parametrize("kind", export.FORMATS)
def test_export_prints_or_writes_the_same(
    kind: str, saved: tuple[Record, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, saved[1], "--format", kind)
    assert (status, out) == (0, export.FORMATS[kind](saved[0]))
    assert err == "left out, because a call was too slow to compare: slow\n"
    run(capsys, saved[1], "--format", kind, "-o", str(tmp_path / "out.json"))
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == out


def test_a_place_that_can_not_be_written_is_one_line(
    saved: tuple[Record, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, saved[1], "--format", "pyperf", "-o", str(tmp_path / "no" / "out.json"))
    assert status == 2 and f"can't write {tmp_path}/no/out.json: No such file or directory" in err
    status, _, err = run(capsys, saved[1], "--format", "pyperf", "-o", str(tmp_path))
    assert status == 2 and "can't write" in err and [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_a_record_in_which_nothing_was_compared_has_nothing_to_export() -> None:
    with pytest.raises(RecordError, match="nothing was compared in it"):
        export.pyperf(make_record(SLOW))
