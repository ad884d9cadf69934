"""Shared fixtures: a private kernel cache for the whole test run, and a small record to build on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import promises
import pytest
import quick_compiler
from hypothesis import HealthCheck, settings
from promises import pytest_addoption, pytest_configure  # noqa: F401 - hooks

from compile_guide.records.schema import SCHEMA, CheckedRun, Entry, Machine, Record, Settings, save

# How quickly this machine makes and checks an input says nothing about the code: the tests share its cores.
settings.register_profile("guide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guide")

# What makes Sphinx, Rich and pytest color their output where nobody looks at it: tests compare lines.
COLORS = ("CI", "FORCE_COLOR", "FORCE_COLOUR", "CLICOLOR_FORCE", "PY_COLORS")
for name in COLORS:
    os.environ.pop(name, None)


LONGEST_FIRST = (
    "test_examples", "test_real_site", "test_killed", "test_incremental", "test_claims_core", "test_reproducible",
    "test_claims_twisted", "test_pages", "test_recorder", "test_tables", "test_watchdog", "test_anywhere", "test_ledger",
    "test_bounds", "test_gallery_pages", "test_history", "test_wheel", "test_noxfile", "test_downloads_alone",
    "test_programs", "test_starter", "test_builders", "test_guest_galleries",
)  # fmt: skip
"""Files that take minutes, most of it in one fixture: whoever begins one last lets the other processes wait."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the promised tests alone if asked, and let the longest files begin first."""
    promises.pytest_collection_modifyitems(config, items)
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main() -> Generator[None, object, object]:
    """Have a folder for the compiler before the processes that run the tests begin."""
    with quick_compiler.folder_for_all():
        return (yield)


@pytest.fixture(autouse=True, scope="session")
def private_kernels() -> Iterator[None]:
    """MLX keeps its CPU kernels in the temp folder: give the tests one of their own, and a quick compiler to fill it."""
    with tempfile.TemporaryDirectory(prefix="guide-tests-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setenv("PATH", quick_compiler.with_quick_compiler())
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's shell may have these set."""
    monkeypatch.delenv("COMPILE_GUIDE_SINK", raising=False)
    monkeypatch.delenv("COMPILE_GUIDE_REPLAY", raising=False)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let programs start with the signals of a shell's foreground: one in the background ignores interrupts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def make_run(ratio: float = 2.0, pairs: int = 12, base: float = 1e-3, **more: object) -> CheckedRun:
    """A process that saw the same ratio in each of its pairs."""
    facts: dict[str, object] = {
        "baseline_s": (base * ratio,) * pairs, "candidate_s": (base,) * pairs,
        "first_baseline_s": base * 3, "first_candidate_s": 0.5, "cache": "warm",
        "baseline_calls": 1, "candidate_calls": 1, "baseline_peak": 4000, "candidate_peak": 1000, "copy_bandwidth": None,
    }  # fmt: skip
    return CheckedRun(**{**facts, **more})


def make_entry(
    name: str = "gelu", example: str = "gelu_speedup", ratios: tuple[float, ...] = (1.9, 2, 2, 2, 2, 2.1)
) -> Entry:
    """A comparison with one process for each ratio."""
    return Entry(example, name, tuple(make_run(r) for r in ratios), 8_000_000, None, "")


def make_record(*entries: Entry, **more: object) -> Record:
    """A record of a machine that doesn't exist."""
    machine = Machine(
        backend="cpu", chip="Test Chip", cores=2, gpu=None, memory=16 * 2**30, os="Test OS 1", arch="x86_64",
        python="3.12.0", mlx="0.32.4", compiler="g++ 12", power=None, copy_bandwidth=1e10,
    )  # fmt: skip
    facts: dict[str, object] = {
        "schema": SCHEMA, "id": "cpu-test-chip-mlx-0-32-4", "created": "2026-11-22T00:00:00Z", "guide": "0.1.0",
        "machine": machine, "settings": Settings(3.0, 6, 0.02), "comparisons": entries or (make_entry(),),
    }  # fmt: skip
    return Record(**{**facts, **more})


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    """A saved record with one comparison, "gelu", of ratio 2."""
    path = tmp_path / "records" / "cpu-test-chip-mlx-0-32-4.json"
    save(make_record(), path)
    return path


@contextlib.contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[None]:
    """Mount a disk of that size at ``place``; skip where this isn't allowed."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("not shown here: a small disk can't be mounted without root's rights")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
