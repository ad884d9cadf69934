"""Facts about the machine, on this one and from captured outputs of others."""

from __future__ import annotations

import dataclasses
import getpass
import os
import platform
import socket
from pathlib import Path

import mlx.core as mx
import pytest

from compile_guide import machine

# Written after Apple's manual page of pmset (section "-g batt"), not captured on a Mac.
ON_BATTERY = (
    "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t83%; discharging; 5:02 remaining present: true\n"
)
ON_AC = "Now drawing from 'AC Power'\n"


@pytest.fixture(scope="module")
def here() -> machine.Machine:
    return machine.machine()


def test_facts_of_this_machine(here: machine.Machine) -> None:
    assert here.mlx == mx.__version__ and here.python == platform.python_version()
    assert here.cores == os.cpu_count() and here.memory > 2**28 and here.copy_bandwidth > 1e8
    assert here.backend in ("cpu", "metal", "cuda")
    assert (here.gpu is None) == (here.backend == "cpu")


def test_no_host_user_or_path_is_told(here: machine.Machine) -> None:
    told = " ".join(str(v) for v in dataclasses.astuple(here)).lower()
    private = {socket.gethostname().lower(), str(Path.home()).lower()} | ({getpass.getuser()} - {"root"})
    assert not [word for word in private if len(word) > 3 and word in told]
    assert "/" not in told.replace("gnu/linux", "")


@pytest.mark.parametrize(
    ("batt", "power"), [(ON_BATTERY, "battery"), (ON_AC, "ac"), ("", None), ("No batteries", None)]
)
def test_power_source_from_pmset(batt: str, power: str | None) -> None:
    assert machine.power(batt) == power


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("metal-Apple M3 Ultra-mlx-0.32.4", "metal-apple-m3-ultra-mlx-0-32-4"),
        ("cpu-Intel(R) Xeon(R) Processor-mlx-0.32.4", "cpu-intel-xeon-processor-mlx-0-32-4"),
        ("x" * 63 + " y", "x" * 63),
    ],
)
def test_slug_makes_an_id(text: str, id: str) -> None:
    assert machine.slug(text) == id


def test_a_cuda_machine_is_named_after_its_gpu(here: machine.Machine) -> None:
    cuda = dataclasses.replace(here, backend="cuda", gpu="NVIDIA H200", mlx="1.0")
    assert cuda.id == "cuda-nvidia-h200-mlx-1-0"


def test_a_missing_command_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert machine.compiler() is None


@pytest.mark.parametrize("stdout", ["Apple M3 Ultra\n"])
def test_chip_on_macos_comes_from_sysctl(stdout: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "sysctl"
    fake.write_text(f'#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && printf "%s" "{stdout}"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert machine.chip() == "Apple M3 Ultra"
