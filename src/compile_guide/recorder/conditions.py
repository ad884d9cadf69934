"""What else goes on while something of ours runs: processors that other programs keep busy, and slowing down for heat.

Heat is told by Linux on Intel, by NVIDIA's driver and by macOS.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from compile_guide._process import output_of

PS = ("ps", "-A", "-o", "pid=", "-o", "time=", "-o", "comm=")
OURS = "MTLCompilerService"
"""macOS's process that builds Metal's kernels for other programs: its work counts as ours."""
PROCESSORS = Path("/sys/devices/system/cpu")
THERMAL = "clocks_event_reasons_counters.sw_thermal_slowdown,clocks_event_reasons_counters.hw_thermal_slowdown"
NVIDIA = ("nvidia-smi", f"--query-gpu={THERMAL}", "--format=csv,noheader")
PRESSURE = "com.apple.system.thermalpressurelevel"


@dataclass(frozen=True)
class Snapshot:
    """Processor seconds by process id (Linux: all under 0), ours, the clock; slow-downs so far, and whether it is slow now.

    ``spent`` and ``counts`` are empty, and ``slow`` is None, where the system doesn't tell.
    """

    spent: dict[int, float]
    ours: float
    clock: float
    counts: tuple[int, ...] = ()
    slow: bool | None = None


def snapshot(*, gpu: bool = False, processors: Path = PROCESSORS) -> Snapshot:
    """Return a snapshot, with ``gpu`` also of NVIDIA's counters; it costs milliseconds, or tens (macOS, GPU)."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ours = sum(u.ru_utime + u.ru_stime for u in used)
    if sys.platform == "darwin":
        spent, clock = read_ps(output_of(*PS)), time.monotonic()
        signs = (
            read_speed_limit(output_of("pmset", "-g", "therm")),
            read_pressure(output_of("notifyutil", "-g", PRESSURE)),
        )
        return Snapshot(spent, ours, clock, (), None if signs == (None, None) else any(signs))
    spent, clock = read_linux(Path("/proc/stat").read_text(encoding="ascii")), time.monotonic()
    return Snapshot(spent, ours, clock, read_intel(processors) + (read_nvidia(output_of(*NVIDIA)) if gpu else ()))


def others_between(before: Snapshot, after: Snapshot) -> float | None:
    """Return how many processors other programs kept busy between two snapshots, on average; None if unknown.

    Processes of ours must have ended and been waited for in between. On macOS, where processes are listed one by one,
    foreign ones that ended meanwhile are missing from the list as well: that is a lower bound.
    """
    if not (before.spent and after.spent) or after.clock <= before.clock:
        return None
    if set(after.spent) == {0}:
        spent = after.spent[0] - before.spent[0] - (after.ours - before.ours)
    else:
        grown = (used - before.spent.get(pid, 0.0) for pid, used in after.spent.items() if pid != os.getpid())
        spent = sum(seconds for seconds in grown if seconds > 0)
    return max(0.0, spent / (after.clock - before.clock))


def throttled(before: Snapshot, after: Snapshot) -> bool | None:
    """Return whether the machine slowed down for heat between two snapshots, or at one of them; None if unknown."""
    if before.counts and after.counts:
        return before.counts != after.counts
    known = [one.slow for one in (before, after) if one.slow is not None]
    return any(known) if known else None


def read_linux(stat: str) -> dict[int, float]:
    """Return the seconds for which processors weren't idle, under 0, from ``/proc/stat``; empty if it has none.

    The first line counts ticks: user, nice, system, idle, iowait, irq, softirq, steal. Stolen time counts too: another
    guest of the same host used it. Source: manual page proc_stat(5).
    """
    found = re.match(r"cpu((?: +\d+){8})", stat)
    if found is None:
        return {}
    ticks = [int(number) for number in found[1].split()]
    return {0: (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")}


def read_ps(listing: str) -> dict[int, float]:
    """Return processor seconds by process id from :data:`PS`: lines such as ``  312   1:02.50 /usr/sbin/syslogd``."""
    form = r"^\s*(\d+)\s+(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)(?:[ \t]+(.*?))?\s*$"
    return {
        int(pid): int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        for pid, days, hours, minutes, seconds, command in re.findall(form, listing, re.MULTILINE)
        if command.rpartition("/")[2] != OURS
    }


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
