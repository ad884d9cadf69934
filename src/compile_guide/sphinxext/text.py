"""What roles and tables say about a comparison or a machine, in words. No Sphinx in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter

from compile_guide import formatting
from compile_guide.comparison import Comparison
from compile_guide.records.schema import Machine, Record

BUSY = 0.25
"""Processors' worth of other programs from which on a measurement is flagged; an idle desktop stays below it."""
BACKENDS = {"metal": "Metal", "cuda": "CUDA", "cpu": "CPU"}


def break_even(comparison: Comparison) -> str:
    """Return "after 1,200 calls", or "never"; in words where no interval tells, because it stands in sentences."""
    if comparison.differs is None:
        return "after an unknown number of calls"
    return "never" if comparison.break_even is None else f"after {formatting.format_calls(comparison.break_even)}"


@dataclass(frozen=True)
class Unit:
    """The unit of a column of times; without a name, each cell has a unit of its own."""

    name: str = ""
    seconds: float = 1.0

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Unit:
        """Return the unit in which a column reads best; none when its times are too far apart for one."""
        known = sorted(value for value in values if value)
        if not known or known[-1] / known[0] > MOST_APART:
            return cls()
        middle = known[len(known) // 2]
        return next((unit for unit in UNITS if middle >= unit.seconds), UNITS[-1])

    def header(self, words: str) -> str:
        """Return a column's header with the unit."""
        return f"{words} ({self.name})" if self.name else words

    def say(self, seconds: float | None, spread: float = 0.01) -> str:
        """Return a time, to the digits that a relative spread supports, with a unit only if the header has none."""
        if seconds is None or not self.name:
            return formatting.format_time(seconds, spread)
        return formatting.format_number(seconds / self.seconds, formatting.digits_of(spread), grouped=True)


UNITS = (Unit("s", 1.0), Unit("ms", 1e-3), Unit("µs", 1e-6), Unit("ns", 1e-9))
MOST_APART = 20_000

MEASURED: dict[str, Callable[[Comparison], str]] = {
    "ratio": lambda c: formatting.format_ratio(c.ratio, c.interval),
    "baseline": lambda c: formatting.format_time(c.baseline_s, c.spread),
    "candidate": lambda c: formatting.format_time(c.candidate_s, c.spread),
    "first_call": lambda c: formatting.format_time(c.first_call_s),
    "first_call_warm": lambda c: formatting.format_time(c.first_call_warm_s),
    "break_even": break_even,
    "bandwidth": lambda c: formatting.format_rate(c.bandwidth(c.candidate_s)),
    "baseline_bandwidth": lambda c: formatting.format_rate(c.bandwidth(c.baseline_s)),
    "share": lambda c: formatting.format_percent(c.share(c.candidate_s)),
    "baseline_share": lambda c: formatting.format_percent(c.share(c.baseline_s)),
    "peak": lambda c: formatting.format_bytes(c.candidate_peak),
    "baseline_peak": lambda c: formatting.format_bytes(c.baseline_peak),
    "processes": lambda c: str(len(c.runs)),
}
"""What ``measured`` can say of a comparison."""


def processor(machine: Machine) -> str:
    """Return the name of what computes: the GPU where MLX uses one, with its cores if it has several sizes, or the chip."""
    cores = f", {machine.gpu_cores}-core GPU" if machine.gpu and machine.gpu_cores else ""
    return f"{machine.gpu or machine.chip}{cores}"


MACHINE: dict[str, Callable[[Record], str]] = {
    "id": lambda r: r.id,
    "processor": lambda r: processor(r.machine),
    **{name: attrgetter(f"machine.{name}") for name in ("chip", "os", "arch", "python", "mlx")},
    "gpu": lambda r: r.machine.gpu or "no GPU",
    "gpu_cores": lambda r: str(r.machine.gpu_cores or "not known"),
    "backend": lambda r: BACKENDS[r.machine.backend],
    "cores": lambda r: str(r.machine.cores),
    "memory": lambda r: formatting.format_bytes(r.machine.memory),
    "copy_bandwidth": lambda r: formatting.format_rate(r.machine.copy_bandwidth),
    "compiler": lambda r: r.machine.compiler or "none needed",
    "power": lambda r: {"ac": "mains", "battery": "battery", None: "not known"}[r.machine.power],
    "low_power": lambda r: {True: "on", False: "off", None: "not known"}[r.machine.low_power],
    "date": lambda r: r.created[:10],
    "guide": lambda r: r.guide,
    "processes": lambda r: str(r.settings.processes),
    "budget": lambda r: f"{r.settings.budget_s:g} s",
    "comparisons": lambda r: str(len(r.comparisons)),
    "claims": lambda r: str(len(r.claims)),
}
"""What ``machine`` can say of a record."""


def join(words: list[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def disturbances(record: Record, page: str = "") -> str:
    """Return what else went on while a page's numbers (an example's, or all) were measured, as a sentence, or nothing."""
    entries = record.by_example.get(page) or record.comparisons
    busy = max((entry.others or 0.0 for entry in entries), default=0.0)
    reasons = [f"other programs kept up to {busy:.1f} processors busy"] if busy >= BUSY else []
    reasons += ["the machine slowed itself down for heat"] if any(e.throttled for e in entries) else []
    reasons += ["the machine ran on battery"] if record.machine.power == "battery" else []
    reasons += ["low-power mode was on"] if getattr(record.machine, "low_power", None) else []
    return f"Take these numbers with care: while they were measured, {join(reasons)}." if reasons else ""
