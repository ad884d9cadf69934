"""The facts about this machine that a record holds, without host name, user name or path."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Literal

from compile_guide import CompileGuideError, mx
from compile_guide._prerequisites import mlx_fault
from compile_guide._process import output_of
from compile_guide.records.schema import Machine
from compile_guide.timing import copy_bandwidth

SUPPLIES = Path("/sys/class/power_supply")


class MachineError(CompileGuideError):
    """This machine can't measure: one line that says what to install or to switch on."""


def this_machine() -> Machine:
    """Return the facts about this machine and measure its copy bandwidth (about a second).

    Raises:
        MachineError: MLX is missing, too old or can't be imported.
    """
    import_mlx()
    used = backend()
    return Machine(
        backend=used,
        chip=chip(),
        cores=os.cpu_count() or 1,
        gpu=None if used == "cpu" else gpu(),
        memory=memory(),
        os=operating_system(),
        arch=platform.machine(),
        python=platform.python_version(),
        mlx=mx.__version__,
        compiler=compiler() if used == "cpu" else None,
        power=power(output_of("pmset", "-g", "batt")) or supply(SUPPLIES),
        copy_bandwidth=float(f"{copy_bandwidth():.4g}"),
        gpu_cores=gpu_cores(output_of("system_profiler", "-json", "SPDisplaysDataType")) if used == "metal" else None,
        low_power=low_power(output_of("pmset", "-g")),
    )


def import_mlx() -> None:
    """Import MLX.

    Raises:
        MachineError: it is missing, too old or broken; one line says which, and what to do.
    """
    if fault := mlx_fault():
        raise MachineError(fault)
    try:
        import mlx.core  # noqa: F401 - the caller's own import will then succeed
    except ImportError as error:
        why = " ".join(str(error).split())
        raise MachineError(f"MLX can't be imported ({why}): install mlx again, on Linux 'mlx[cpu]'") from error


def backend() -> Literal["metal", "cuda", "cpu"]:
    """Return ``metal``, ``cuda`` or ``cpu``, after MLX's default device."""
    if mx.default_device() == mx.Device(mx.cpu):
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def gpu() -> str | None:
    """Return the GPU's name as MLX reports it, "2 × NVIDIA H200" where it sees two; None where MLX doesn't say."""
    name, count = mx.device_info().get("device_name"), mx.device_count(mx.gpu)
    return None if name is None else f"{count} × {name}" if count > 1 else str(name)


def gpu_cores(displays: str) -> int | None:
    """Return the cores of the built-in GPU from ``system_profiler -json SPDisplaysDataType``, None if it doesn't say."""
    try:
        cards = json.loads(displays)["SPDisplaysDataType"]
        cores = [int(card["sppci_cores"]) for card in cards if "sppci_cores" in card]
    except (ValueError, KeyError, TypeError):
        return None
    return cores[0] if cores and cores[0] > 0 else None


def memory() -> int:
    """Return the bytes of physical memory: from ``sysctl hw.memsize`` on macOS, from ``sysconf`` on Linux."""
    if platform.system() == "Darwin" and (size := output_of("sysctl", "-n", "hw.memsize").strip()).isdigit():
        return int(size)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def chip() -> str:
    """Return the processor's name: from ``sysctl`` on macOS, from ``/proc/cpuinfo`` on Linux."""
    if platform.system() == "Darwin":
        return output_of("sysctl", "-n", "machdep.cpu.brand_string").strip() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def operating_system() -> str:
    """Return the system's name and version: "macOS 26.1", "Debian GNU/Linux 12 (bookworm)"."""
    if platform.system() == "Darwin":  # Python built for an older macOS is told 16 where sw_vers says 26
        return f"macOS {output_of('sw_vers', '-productVersion').strip() or platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def compiler() -> str | None:
    """Return the first line of ``g++ --version``, None when there is no g++."""
    return output_of("g++", "--version").partition("\n")[0].strip() or None


def power(batt: str) -> Literal["ac", "battery"] | None:
    """Return ``ac`` or ``battery`` from the output of macOS's ``pmset -g batt``, None when it says neither."""
    found = re.search(r"Now drawing from '(AC|Battery) Power'", batt)
    return None if found is None else "ac" if found[1] == "AC" else "battery"


def supply(folder: Path) -> Literal["ac", "battery"] | None:
    """Return ``ac`` or ``battery`` from Linux's power supplies; None where there are none, as in a server.

    Each is a folder whose ``type`` is ``Mains``, ``USB``, ``Battery`` ...; all but batteries say ``online``.
    Source: ABI/testing/sysfs-class-power of the kernel's documentation.
    """
    lines = {one: [_line(one / name) for name in ("type", "scope", "online")] for one in folder.glob("*")}
    mains = [online for kind, scope, online in lines.values() if kind in ("Mains", "USB") and scope != "Device"]
    if "1" in mains:
        return "ac"
    batteries = [kind for kind, scope, _ in lines.values() if kind == "Battery" and scope != "Device"]
    return "battery" if mains and batteries else None


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def low_power(settings: str) -> bool | None:
    """Return whether low-power mode is on, from macOS's ``pmset -g``, None when that doesn't say.

    The setting is called ``lowpowermode`` (0 or 1), on Macs with a high-power mode ``powermode``: 0 automatic, 1 low,
    2 high. Source: manual page of pmset.
    """
    found = re.search(r"^\s*(?:low)?powermode\s+(\d)\s*$", settings, re.MULTILINE)
    return None if found is None else found[1] == "1"
