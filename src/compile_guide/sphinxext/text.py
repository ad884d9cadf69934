"""What roles and tables say about a comparison, a machine or a verdict, in words. No Sphinx in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from compile_guide.comparison import Comparison
from compile_guide.formatting import (
    digits_of,
    format_bytes,
    format_calls,
    format_number,
    format_percent,
    format_rate,
    format_ratio,
    format_time,
)
from compile_guide.records.schema import Machine, Record, Verdict

BUSY = 0.25
"""Processors' worth of other programs from which on a measurement is flagged; an idle desktop stays below it."""
BACKENDS = {"metal": "Metal", "cuda": "CUDA", "cpu": "CPU"}
VERDICTS = {
    True: ("holds", "✓ holds"),
    False: ("fails", "✗ does not hold"),
    None: ("open", "? not decidable here"),
}
"""For ``holds``: a word for the style sheet, and what a reader sees; the mark says it without color."""
UNSEEN = ("unseen", "not checked here")


def interval(comparison: Comparison) -> str:
    """Return the interval of the ratio alone, "1.21–1.26"."""
    if comparison.interval is None:
        return "too few samples for an interval"
    text = format_ratio(comparison.ratio, comparison.interval)
    return text[text.rindex("(") + 1 : -1]


def break_even(comparison: Comparison) -> str:
    """Return "after 1,200 calls", or "never"; in words where no interval tells, because it stands in sentences."""
    calls = comparison.break_even
    if comparison.differs is None:
        return "after an unknown number of calls"
    return "never" if calls is None else f"after {format_calls(calls)}"


def _time(comparison: Comparison, seconds: float | None) -> str:
    return format_time(seconds, spread=comparison.spread)


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
            return format_time(seconds, spread)
        return format_number(seconds / self.seconds, digits_of(spread), grouped=True)


UNITS = (Unit("s", 1.0), Unit("ms", 1e-3), Unit("µs", 1e-6), Unit("ns", 1e-9))
MOST_APART = 20_000


MEASURED: dict[str, Callable[[Comparison], str]] = {
    "ratio": lambda c: format_ratio(c.ratio, c.interval),
    "interval": interval,
    "baseline": lambda c: _time(c, c.baseline_s),
    "candidate": lambda c: _time(c, c.candidate_s),
    "first_call": lambda c: format_time(c.first_call_s),
    "first_call_warm": lambda c: format_time(c.first_call_warm_s),
    "first_call_baseline": lambda c: format_time(c.runs[0].first_baseline_s if c.runs else None),
    "break_even": break_even,
    "bandwidth": lambda c: format_rate(c.bandwidth(c.candidate_s)),
    "baseline_bandwidth": lambda c: format_rate(c.bandwidth(c.baseline_s)),
    "share": lambda c: format_percent(c.share(c.candidate_s)),
    "baseline_share": lambda c: format_percent(c.share(c.baseline_s)),
    "peak": lambda c: format_bytes(c.candidate_peak),
    "baseline_peak": lambda c: format_bytes(c.baseline_peak),
    "processes": lambda c: str(len(c.runs)),
    "pairs": lambda c: str(sum(len(run.baseline_s) for run in c.runs)),
}
"""What ``measured`` can say of a comparison."""


def processor(machine: Machine) -> str:
    """Return the name of what computes: the GPU where MLX uses one, with its cores if it has several sizes, or the chip."""
    cores = f", {machine.gpu_cores}-core GPU" if machine.gpu and machine.gpu_cores else ""
    return f"{machine.gpu or machine.chip}{cores}"


MACHINE: dict[str, Callable[[Record], str]] = {
    "id": lambda r: r.id,
    "processor": lambda r: processor(r.machine),
    "chip": lambda r: r.machine.chip,
    "gpu": lambda r: r.machine.gpu or "no GPU",
    "gpu_cores": lambda r: str(r.machine.gpu_cores or "not known"),
    "backend": lambda r: BACKENDS[r.machine.backend],
    "cores": lambda r: str(r.machine.cores),
    "memory": lambda r: format_bytes(r.machine.memory),
    "copy_bandwidth": lambda r: format_rate(r.machine.copy_bandwidth),
    "os": lambda r: r.machine.os,
    "arch": lambda r: r.machine.arch,
    "python": lambda r: r.machine.python,
    "mlx": lambda r: r.machine.mlx,
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
    """Return what else went on while the numbers of a page were measured, as a sentence; empty if nothing is known.

    An example's page has the numbers of its example; any other may have all.
    """
    entries = record.by_example.get(page) or record.comparisons
    busy = max((entry.others or 0.0 for entry in entries), default=0.0)
    reasons = [f"other programs kept up to {busy:.1f} processors busy"] if busy >= BUSY else []
    reasons += ["the machine slowed itself down for heat"] if any(e.throttled for e in entries) else []
    reasons += ["the machine ran on battery"] if record.machine.power == "battery" else []
    reasons += ["low-power mode was on"] if getattr(record.machine, "low_power", None) else []
    return f"Take these numbers with care: while they were measured, {join(reasons)}." if reasons else ""


def verdict(found: Verdict | None) -> tuple[str, str]:
    """Return a verdict's word for the style sheet, and its text; None means that there is no verdict."""
    return UNSEEN if found is None else VERDICTS[found.holds]


def verdict_of(record: Record | None, claim: str) -> Verdict | None:
    """Return what a record says of a claim."""
    return next((v for v in record.claims if v.id == claim), None) if record else None
