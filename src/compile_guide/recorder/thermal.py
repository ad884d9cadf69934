"""Did the machine slow itself down because it was hot? Read where the system tells: Linux on Intel, NVIDIA, macOS."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from compile_guide._process import said

PROCESSORS = Path("/sys/devices/system/cpu")
THERMAL = "clocks_event_reasons_counters.sw_thermal_slowdown,clocks_event_reasons_counters.hw_thermal_slowdown"
PRESSURE = "com.apple.system.thermalpressurelevel"
NVIDIA = ("nvidia-smi", f"--query-gpu={THERMAL}", "--format=csv,noheader")


@dataclass(frozen=True)
class Heat:
    """What the system has counted so far, and whether it is slow right now; None where it doesn't tell."""

    counts: tuple[int, ...] | None
    slow: bool | None


def feel(*, gpu: bool = False, processors: Path = PROCESSORS) -> Heat:
    """Look at the processors, and with ``gpu`` at NVIDIA's too; costs a few milliseconds, on macOS and with a GPU tens."""
    if sys.platform == "darwin":
        seen = (limited(said("pmset", "-g", "therm")), pressed(said("notifyutil", "-g", PRESSURE)))
        return Heat(None, None if seen == (None, None) else any(seen))
    counts = (*throttled(processors), *(slowdowns(said(*NVIDIA)) if gpu else ()))
    return Heat(counts or None, None)


def grew_hot(before: Heat, after: Heat) -> bool | None:
    """Whether the machine slowed down for heat between two looks, or at either of them; None if it doesn't tell."""
    if before.counts is not None and after.counts is not None:
        return before.counts != after.counts
    known = [heat.slow for heat in (before, after) if heat.slow is not None]
    return any(known) if known else None


def throttled(processors: Path) -> tuple[int, ...]:
    """Return how often each processor, and its package, has slowed down since the system was started.

    Only Linux on Intel counts. Source: admin-guide/thermal/intel_thermal_throttle of the kernel's documentation.
    """
    files = sorted(processors.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    texts = [file.read_text(encoding="ascii", errors="replace").strip() for file in files]
    return tuple(int(text) for text in texts if text.isdigit())


def slowdowns(smi: str) -> tuple[int, ...]:
    """Return microseconds for which each NVIDIA GPU was slowed down for heat, from lines such as ``0 us, 0 us``.

    Drivers that don't know the counters print an error instead, and nothing is known. Source: ``nvidia-smi
    --help-query-gpu``, driver 580.
    """
    return tuple(int(number) for number in re.findall(r"(?:^|, )(\d+) us\b", smi, re.MULTILINE))


def limited(therm: str) -> bool | None:
    """Return whether macOS has lowered the processor's speed, from ``pmset -g therm``; None where it doesn't say.

    Intel Macs print ``CPU_Speed_Limit``, in percent. Source: manual page of pmset.
    """
    found = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", therm)
    return None if found is None else int(found[1]) < 100


def pressed(state: str) -> bool | None:
    """Return whether macOS feels thermal pressure, from ``notifyutil -g`` and its name; None where it doesn't say.

    A level from 0 (nominal) to 4 stands behind the name. Source: OSThermalNotification.h of macOS.
    """
    found = re.search(rf"^{re.escape(PRESSURE)}\s+(\d+)\s*$", state, re.MULTILINE)
    return None if found is None else int(found[1]) > 0
