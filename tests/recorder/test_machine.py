"""Facts about the machine, on this one and from captured outputs of others."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import socket
from pathlib import Path

import mlx.core as mx
import msgspec
import pytest
from guide import ROOT

from compile_guide.recorder import machine
from compile_guide.records.schema import Machine, machine_of, slug

MACOS = ROOT / "tests" / "data" / "macos"
"""Outputs that we wrote after manual pages; nothing was captured on a Mac. The README there says more."""


@pytest.fixture(scope="module")
def here() -> Machine:
    return machine.this_machine()


def test_facts_of_this_machine(here: Machine) -> None:
    assert here.mlx == mx.__version__ and here.python == platform.python_version()
    assert here.cores == os.cpu_count() and here.memory > 2**28 and here.copy_bandwidth > 1e8
    assert here.backend in ("cpu", "metal", "cuda")
    assert (here.gpu is None) == (here.backend == "cpu")


def test_no_host_user_or_path_is_told(here: Machine) -> None:
    told = " ".join(str(v) for v in msgspec.structs.astuple(here)).lower()
    private = {socket.gethostname().lower(), str(Path.home()).lower()} | ({getpass.getuser()} - {"root"})
    assert not [word for word in private if len(word) > 3 and word in told]
    assert "/" not in told.replace("gnu/linux", "")


def says(name: str) -> str:
    """One of the outputs of macOS's commands."""
    return (MACOS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "power"), [("batt-battery.txt", "battery"), ("batt-desktop.txt", "ac")])
def test_power_source_from_pmset(file: str, power: str) -> None:
    assert machine.power(says(file)) == power


@pytest.mark.parametrize(
    ("file", "low"), [("pmset-low-power.txt", True), ("pmset-plugged-in.txt", False), ("pmset-high-power.txt", False)]
)
def test_low_power_mode_from_pmset(file: str, low: bool) -> None:
    assert machine.low_power(says(file)) is low


def test_the_newer_name_of_low_power_mode() -> None:
    assert machine.low_power(says("pmset-high-power.txt").replace("powermode            2", "powermode 1")) is True


@pytest.mark.parametrize(("file", "cores"), [("displays-m3-ultra.json", 80), ("displays-virtual.json", None)])
def test_gpu_cores_from_system_profiler(file: str, cores: int | None) -> None:
    assert machine.gpu_cores(says(file)) == cores


@pytest.mark.parametrize(
    "answer",
    ["", "no JSON", "[]", "{}", '{"SPDisplaysDataType": 1}', '{"SPDisplaysDataType": [{"sppci_cores": "many"}]}'],
)
def test_an_answer_that_says_nothing_is_no_fact(answer: str) -> None:
    assert (machine.power(answer), machine.low_power(answer), machine.gpu_cores(answer)) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("metal-Apple M3 Ultra-mlx-0.32.4", "metal-apple-m3-ultra-mlx-0-32-4"),
        ("cpu-Intel(R) Xeon(R) Processor-mlx-0.32.4", "cpu-intel-xeon-processor-mlx-0-32-4"),
        ("x" * 63 + " y", "x" * 63),
    ],
)
def test_slug_makes_an_id(text: str, id: str) -> None:
    assert slug(text) == id


def test_two_sizes_of_one_apple_chip_have_two_ids(here: Machine) -> None:
    mac = msgspec.structs.replace(here, backend="metal", chip="Apple M3 Max", gpu="Apple M3 Max", mlx="1.0")
    ids = [msgspec.structs.replace(mac, gpu_cores=cores).id for cores in (30, 40, None)]
    assert ids == [f"metal-apple-m3-max-{size}mlx-1-0" for size in ("30-core-gpu-", "40-core-gpu-", "")]


def test_a_cuda_machine_is_named_after_its_gpu(here: Machine) -> None:
    cuda = msgspec.structs.replace(here, backend="cuda", gpu="NVIDIA H200", mlx="1.0")
    assert cuda.id == "cuda-nvidia-h200-mlx-1-0"


def test_two_gpus_are_another_machine_than_one(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "device_count", lambda _kind: 2)
    both = machine.gpu()
    assert both == f"2 × {mx.device_info()['device_name']}"
    cuda = msgspec.structs.replace(here, backend="cuda", gpu="2 × NVIDIA H200", mlx="1.0")
    assert machine_of(msgspec.structs.asdict(cuda)).id == "cuda-2-nvidia-h200-mlx-1-0"


def test_a_missing_command_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert machine.compiler() is None


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mac's commands, as far as they are asked, in front of PATH; MLX is the one at hand."""
    answers = {
        "sysctl": {"-n machdep.cpu.brand_string": "Apple M3 Ultra\n", "-n hw.memsize": "549755813888\n"},
        "system_profiler": {"-json SPDisplaysDataType": says("displays-m3-ultra.json")},
        "sw_vers": {"-productVersion": "26.1\n"},
        "pmset": {"-g batt": says("batt-battery.txt"), "-g": says("pmset-low-power.txt")},
    }
    for name, known in answers.items():
        cases = "".join(f"{shlex.quote(asked)}) printf %s {shlex.quote(said)};;\n" for asked, said in known.items())
        (tmp_path / name).write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1;;\nesac\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("16.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(machine, "backend", lambda: "metal")
    monkeypatch.setattr(machine, "gpu", lambda: "Apple M3 Ultra")


def test_the_facts_of_a_mac_come_from_its_commands(mac: None) -> None:
    facts = machine.this_machine()
    seen = (facts.id, facts.chip, facts.os, facts.memory, facts.gpu_cores, facts.power, facts.low_power, facts.compiler)
    assert seen == (
        f"metal-apple-m3-ultra-80-core-gpu-mlx-{mx.__version__.replace('.', '-')}",
        *("Apple M3 Ultra", "macOS 26.1", 2**39, 80, "battery", True, None),
    )
    assert machine_of(msgspec.structs.asdict(facts)) == facts
