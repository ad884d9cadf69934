"""Whether the machine slows itself down for heat, where the system tells: Linux on Intel, NVIDIA's driver, macOS."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from compile_guide._process import output_of

PROCESSORS = Path("/sys/devices/system/cpu")
THERMAL = "clocks_event_reasons_counters.sw_thermal_slowdown,clocks_event_reasons_counters.hw_thermal_slowdown"
PRESSURE = "com.apple.system.thermalpressurelevel"
NVIDIA = ("nvidia-smi", f"--query-gpu={THERMAL}", "--format=csv,noheader")


@dataclass(frozen=True)
class Snapshot:
    """What the system has counted so far, and whether it is slowed down now; None where it doesn't tell."""

    counts: tuple[int, ...] | None
    slow: bool | None


def snapshot(*, gpu: bool = False, processors: Path = PROCESSORS) -> Snapshot:
    """Return a snapshot of the processors, and with ``gpu`` of NVIDIA's; it costs a few milliseconds, or tens (macOS, GPU)."""
    if sys.platform == "darwin":
        signs = (
            read_speed_limit(output_of("pmset", "-g", "therm")),
            read_pressure(output_of("notifyutil", "-g", PRESSURE)),
        )
        return Snapshot(None, None if signs == (None, None) else any(signs))
    counts = (*read_intel(processors), *(read_nvidia(output_of(*NVIDIA)) if gpu else ()))
    return Snapshot(counts or None, None)


def throttled(before: Snapshot, after: Snapshot) -> bool | None:
    """Return whether the machine slowed down for heat between two snapshots, or at one of them; None if unknown."""
    if before.counts is not None and after.counts is not None:
        return before.counts != after.counts
    known = [one.slow for one in (before, after) if one.slow is not None]
    return any(known) if known else None


def read_intel(processors: Path) -> tuple[int, ...]:
    """Return how often each processor, and its package, has slowed down since the system was started.

    Only Linux on Intel counts. Source: admin-guide/thermal/intel_thermal_throttle of the kernel's documentation.
    """
    files = sorted(processors.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    texts = [file.read_text(encoding="ascii", errors="replace").strip() for file in files]
    return tuple(int(text) for text in texts if text.isdigit())


def read_nvidia(smi: str) -> tuple[int, ...]:
    """Return microseconds for which each NVIDIA GPU was slowed down for heat, from lines such as ``0 us, 0 us``.

    Drivers that don't know the counters print an error instead. Source: ``nvidia-smi --help-query-gpu``, driver 580.
    """
    return tuple(int(number) for number in re.findall(r"(?:^|, )(\d+) us\b", smi, re.MULTILINE))


def read_speed_limit(therm: str) -> bool | None:
    """Return whether macOS has lowered the processor's speed, from ``pmset -g therm``; None where it doesn't say.

    Intel Macs print ``CPU_Speed_Limit``, in percent. Source: manual page of pmset.
    """
    found = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", therm)
    return None if found is None else int(found[1]) < 100


def read_pressure(state: str) -> bool | None:
    """Return whether macOS reports thermal pressure, from ``notifyutil -g`` and its name; None where it doesn't say.

    A level from 0 (nominal) to 4 stands behind the name. Source: OSThermalNotification.h of macOS.
    """
    found = re.search(rf"^{re.escape(PRESSURE)}\s+(\d+)\s*$", state, re.MULTILINE)
    return None if found is None else int(found[1]) > 0
