"""Is a record plausible: a planted fault of each kind is found, named and comes with a remedy."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from conftest import make_record, make_run
from guide import ROOT

from compile_guide import __main__
from compile_guide.records import validate
from compile_guide.records.schema import CheckedRun, Entry, Record, save

NOW = datetime(2026, 11, 23, tzinfo=UTC)
EXAMPLES = {"gelu_speedup"}


def run(seed: int, pairs: int = 12, **more: object) -> CheckedRun:
    """A process as a clock would see it: no two samples alike."""
    noise = random.Random(seed)
    samples = {
        side: tuple(float(f"{base * noise.uniform(0.98, 1.02):.6g}") for _ in range(pairs))
        for side, base in (("baseline_s", 2e-3), ("candidate_s", 1e-3))
    }
    return make_run(**{"pairs": pairs, "copy_bandwidth": 1.1e10, **samples, **more})  # type: ignore[arg-type]


def entry(*runs: CheckedRun, **more: object) -> Entry:
    facts = {"example": "gelu_speedup", "name": "gelu", "bytes_moved": 8_000_000, "slow_call_s": None, "note": ""}
    return Entry(runs=runs or tuple(run(seed) for seed in range(6)), **{**facts, **more})  # type: ignore[arg-type]


def good(**more: object) -> Record:
    return make_record(entry(), **more)


def with_machine(**facts: object) -> Record:
    """The good record with other facts about its machine, and the id that they make."""
    one = good()
    machine = msgspec.structs.replace(one.machine, **facts)
    return msgspec.structs.replace(one, machine=machine, id=machine.id)


def with_runs(change: Callable[[int, CheckedRun], CheckedRun]) -> Record:
    return make_record(entry(*(change(number, run(number)) for number in range(6))))


def replaced(old: CheckedRun, **more: object) -> CheckedRun:
    return dataclasses.replace(old, **more)  # type: ignore[arg-type]


def half_alike(number: int, old: CheckedRun) -> CheckedRun:
    samples = (1e-3,) * 7 + old.candidate_s[7:]
    return replaced(old, candidate_s=samples) if number == 2 else old


FAULTS: dict[str, tuple[Callable[[], Record], str]] = {
    "an id that doesn't fit": (
        lambda: good(id="cpu-other-chip-mlx-0-32-4"),
        "id: cpu-other-chip-mlx-0-32-4 doesn't fit its machine, which makes cpu-test-chip-mlx-0-32-4; record again, edit nothing",
    ),
    "Metal on Linux": (
        lambda: with_machine(backend="metal", gpu="Apple M9"),
        "machine: metal on Test OS 1; record again, edit nothing",
    ),
    "CUDA on a Mac": (
        lambda: with_machine(backend="cuda", gpu="NVIDIA H200", os="macOS 26.1"),
        "machine: cuda on macOS 26.1; record again, edit nothing",
    ),
    "CUDA without a GPU": (
        lambda: with_machine(backend="cuda"),
        "machine: a CUDA machine without a GPU's name; record again, edit nothing",
    ),
    "a build of MLX that is no release": (
        lambda: with_machine(mlx="0.32.4.dev20261101+abc"),
        "machine.mlx: 0.32.4.dev20261101+abc is no release of MLX; record with a released MLX",
    ),
    "another program's version": (
        lambda: with_machine(mlx="torch 2.9"),
        "machine.mlx: torch 2.9 is no release of MLX; record with a released MLX",
    ),
    "an MLX too old": (
        lambda: with_machine(mlx="0.30.1"),
        "machine.mlx: 0.30.1 is older than 0.32.4, the oldest that will do; record with a newer MLX",
    ),
    "an MLX of the future": (
        lambda: with_machine(mlx="9.0.0"),
        "machine.mlx: 9.0.0 is newer than any MLX that this package or this machine knows;"
        " if it exists, check with it: install mlx==9.0.0 and run this again",
    ),
    "a date in the future": (
        lambda: good(created="2026-11-24T00:00:00Z"),
        "created: 2026-11-24T00:00:00Z is in the future; set the machine's clock and record again",
    ),
    "a date that doesn't exist": (
        lambda: good(created="2026-02-30T00:00:00Z"),
        "created: there is no time 2026-02-30T00:00:00Z; record again, edit nothing",
    ),
    "an unknown example": (
        lambda: make_record(entry(example="mine")),
        "gelu: there is no example 'mine'; add the example to the gallery first, or take its comparisons out by"
        " recording again",
    ),
    "too few processes": (
        lambda: make_record(entry(*(run(seed) for seed in range(5)))),
        "gelu: 5 processes are too few for an interval; record with the default --processes",
    ),
    "samples that are all the same": (
        lambda: with_runs(half_alike),
        "gelu: 7 of 12 candidate samples of process 3 are the same; record again, edit nothing",
    ),
    "a process copied from another": (
        lambda: with_runs(lambda number, old: replaced(old, baseline_s=run(1).baseline_s) if number == 4 else old),
        "gelu: processes 2 and 5 have the same samples; record again, edit nothing",
    ),
    "a candidate that is its baseline": (
        lambda: with_runs(lambda number, old: replaced(old, candidate_s=old.baseline_s) if number == 0 else old),
        "gelu: processes 1 and 1 have the same samples; record again, edit nothing",
    ),
    "more bandwidth than any cache has": (
        lambda: with_runs(
            lambda number, old: replaced(old, candidate_s=(1e-6, *old.candidate_s[1:])) if number == 3 else old
        ),
        "gelu: process 4 moves 800 times what the machine copies, 50 times is the most believed;"
        " check bytes_moved in the example, and record again",
    ),
    "more bandwidth than memory has, for what no cache holds": (
        lambda: make_record(entry(run(0), *(run(seed, first_baseline_s=1.0) for seed in range(1, 6)), bytes_moved=10**9)),
        "gelu: process 1 moves 101 times what the machine copies, 4 times is the most believed;"
        " check bytes_moved in the example, and record again",
    ),
    "a process that copied as no other": (
        lambda: with_runs(lambda number, old: replaced(old, copy_bandwidth=2e11) if number == 5 else old),
        "gelu: process 6 copied 20 times as fast as the machine; record again on a machine that is left alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_comes_with_a_remedy(fault: str) -> None:
    plant, line = FAULTS[fault]
    assert line in [str(finding) for finding in validate.check(plant(), EXAMPLES, NOW)][:2]


def test_a_good_record_has_no_finding() -> None:
    assert validate.check(good(), EXAMPLES, NOW) == []


def test_a_newer_mlx_is_known_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "distributions", lambda name: [SimpleNamespace(version="9.0.0")])
    assert validate.check(with_machine(mlx="9.0.0"), EXAMPLES, NOW) == []


def test_two_or_three_pairs_may_agree_by_chance() -> None:
    alike = make_record(entry(*(run(seed, pairs=2, baseline_s=(2e-3, 2e-3)) for seed in range(6))))
    assert validate.check(alike, EXAMPLES, NOW) == []


def test_a_comparison_too_slow_to_measure_is_no_fault() -> None:
    slow = Entry("gelu_speedup", "slow", (), 10**9, 30.0, "")
    assert validate.check(make_record(slow), EXAMPLES, NOW) == []


# Files and the command


def check(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, list[str]]:
    status = __main__.main(["check-record", *map(str, argv)])
    return status, capsys.readouterr().out.splitlines()


def put(folder: Path, one: Record, name: str = "") -> Path:
    save(one, path := folder / f"{name or one.id}.json")
    return path


def test_the_command_passes_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, good(created="2026-11-22T00:00:00Z"))
    assert check(capsys, path, "--gallery", ROOT / "gallery") == (0, [f"{path.name}: no fault found in 1 comparisons"])


def test_the_command_prints_a_line_a_fault_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, make_record(entry(example="mine"), machine=with_machine(mlx="0.1.0").machine), "other")
    (tmp_path / "empty.json").write_text("{}")
    status, lines = check(capsys, path, tmp_path / "empty.json", tmp_path / "gone.json", "--gallery", ROOT / "gallery")
    assert status == 1
    assert [line.partition(";")[0] for line in lines] == [
        "other.json: holds the record cpu-test-chip-mlx-0-32-4",
        "other.json: id: cpu-test-chip-mlx-0-32-4 doesn't fit its machine, which makes cpu-test-chip-mlx-0-1-0",
        "other.json: machine.mlx: 0.1.0 is older than 0.32.4, the oldest that will do",
        "other.json: gelu: there is no example 'mine'",
        "empty.json: Object missing required field `schema`",
        "gone.json: can't be read (No such file or directory)",
    ]


def test_the_committed_records_are_plausible(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((ROOT / "docs" / "records").glob("*.json"))
    status, lines = check(capsys, *files, "--gallery", ROOT / "gallery")
    assert status == 0, lines
