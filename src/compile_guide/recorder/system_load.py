"""How many processors other programs keep busy while something of ours runs: a number to put beside a measurement."""

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


@dataclass(frozen=True)
class Snapshot:
    """Seconds, all counted from some fixed point: processor time by process id (Linux: all under 0), ours, the clock."""

    spent: dict[int, float]
    ours: float
    clock: float


def snapshot() -> Snapshot | None:
    """Return a snapshot; None where the system doesn't say. It costs under a millisecond on Linux, tens on macOS."""
    linux = sys.platform == "linux"
    spent = read_linux(Path("/proc/stat").read_text(encoding="ascii")) if linux else read_ps(output_of(*PS))
    if not spent:
        return None
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Snapshot(spent, sum(u.ru_utime + u.ru_stime for u in used), time.monotonic())


def others_between(before: Snapshot | None, after: Snapshot | None) -> float | None:
    """Return how many processors other programs kept busy between two snapshots, on average; None if unknown.

    Processes of ours must have ended and been waited for in between. On macOS, where processes are listed one by one,
    foreign ones that ended meanwhile are missing from the list as well: that is a lower bound.
    """
    if before is None or after is None or after.clock <= before.clock:
        return None
    if set(after.spent) == {0}:
        spent = after.spent[0] - before.spent[0] - (after.ours - before.ours)
    else:
        grown = (used - before.spent.get(pid, 0.0) for pid, used in after.spent.items() if pid != os.getpid())
        spent = sum(seconds for seconds in grown if seconds > 0)
    return max(0.0, spent / (after.clock - before.clock))


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
    rows = re.findall(form, listing, re.MULTILINE)
    return {
        int(pid): int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        for pid, days, hours, minutes, seconds, command in rows
        if command.rpartition("/")[2] != OURS
    }
