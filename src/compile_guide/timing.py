"""Is the compiled function faster, and by how much?  Paired, interleaved timing for MLX.

This file needs the standard library and mlx alone, so it can be copied next to a script. The method: blocks of baseline
and candidate calls alternate in shuffled order; each pair of blocks gives one ratio, which a slow drift of the machine
cannot bend; the reported ratio is the median. The interval comes from order statistics (the sign test), so it assumes
no distribution. Over several processes the same is done with one median a process, because processes differ by more
than their pairs show.
"""

from __future__ import annotations

import functools
import gc
import io
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, TypeGuard

SINK, REPLAY = "COMPILE_GUIDE_SINK", "COMPILE_GUIDE_REPLAY"
KERNEL_SUFFIXES = {".so", ".ptx", ".cubin"}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CONFIDENCE = 0.95
MAX_PAIRS = 48
LOOKS = (12, 24)
"""Pair counts at which sampling may stop early: few looks, so that stopping hardly bends the interval."""
SETTLE_CALLS, SETTLE_S, LONG_S = 4, 0.01, 0.1
"""Untimed calls before a block, as far as they fit so many seconds, and the seconds from which on a call needs none: the first
calls after the other function's find their data gone from the caches (seen: the first takes twice as long, the fourth a
tenth more; a call of 1.5 ms that followed on one such call alone took a seventh more than in a loop of its own)."""
HARD_CAP = 10
"""A comparison may overrun its budget by this factor to get its fewest pairs; beyond it nothing is compared."""
COPY_BYTES, COPY_S = 1 << 28, 0.004
UNMEASURED = "not measured on this machine yet"
ASKED: set[str] = set()
"""Names that a replay in this process couldn't give, because their example was never recorded."""
CACHE_WORDS = {
    "empty": "process began with an empty kernel cache",
    "warm": "an earlier process may have left kernels on disk",
    "unknown": "",
}


@dataclass(frozen=True)
class Run:
    """What one process saw of a comparison: seconds a call for each pair of blocks, first calls, extra memory in bytes."""

    baseline_s: tuple[float, ...]
    candidate_s: tuple[float, ...]
    first_baseline_s: float
    first_candidate_s: float
    cache: str = "unknown"
    """State of the kernel cache when the process started: ``empty``, ``warm`` or ``unknown``."""
    baseline_calls: int = 1
    candidate_calls: int = 1
    baseline_peak: int = 0
    candidate_peak: int = 0
    copy_bandwidth: float | None = None
    built: int | None = None
    """Kernel files that the candidate's first call wrote: 0 when all were there; None where nobody can count them."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Baseline time over candidate time, one a pair."""
        return tuple(b / c for b, c in zip(self.baseline_s, self.candidate_s, strict=True))


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return a distribution-free interval for the median of independent values, None when they are too few.

    It is the sign test turned round: the k-th smallest and k-th largest of n values miss the median with probability
    2·P(Binomial(n, ½) < k); k is the largest that keeps this at most ``1 - confidence``. Six values are the fewest for
    95 %: smallest to largest, which misses in 2 of 64 cases (3.1 %).
    Source: W. J. Conover, Practical Nonparametric Statistics, section 3.2.
    """
    k = _rank(len(values), confidence)
    ordered = sorted(values)
    return (ordered[k - 1], ordered[len(ordered) - k]) if k else None


@functools.cache
def _rank(n: int, confidence: float) -> int:
    k, tail = 0, 0.0
    while k < n // 2 and (tail := tail + math.comb(n, k) / 2**n) <= (1 - confidence) / 2:
        k += 1
    return k


def _middle(values: Iterable[float]) -> float:
    """Return the median, without ``statistics``, which imports fractions and decimals into every process that measures."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _median(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _middle(known) if known else None


@dataclass(frozen=True)
class Comparison:
    """A baseline and a candidate timed in turn on the same inputs. Times in seconds, memory in bytes."""

    name: str
    runs: tuple[Run, ...] = ()
    bytes_moved: int | None = None
    slow_call_s: float | None = None
    """One call took this long, too long to compare; then there are no runs."""
    note: str = ""

    @property
    def measured(self) -> bool:
        """False for a replayed comparison whose example was never recorded on the machine shown; its numbers are NaN."""
        return not (self.runs and math.isnan(self.runs[0].first_candidate_s))

    @functools.cached_property
    def ratio(self) -> float | None:
        """Median over processes of the median ratio baseline/candidate; above 1 the candidate is faster."""
        return _median(_middle(run.ratios) for run in self.runs)

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """At least 95 % interval of the ratio: between processes, or between pairs when only one process ran."""
        if len(self.runs) == 1:
            return median_interval(self.runs[0].ratios)
        return median_interval([_middle(run.ratios) for run in self.runs])

    @property
    def differs(self) -> bool | None:
        """Whether the interval, rounded as it is printed, excludes 1; None without an interval."""
        return None if self.interval is None or not self.measured else _excludes_one(*self.interval)

    @property
    def baseline_s(self) -> float | None:
        """Median seconds a baseline call."""
        return _median(_middle(run.baseline_s) for run in self.runs)

    @property
    def candidate_s(self) -> float | None:
        """Median seconds a candidate call."""
        return _median(_middle(run.candidate_s) for run in self.runs)

    @property
    def spread(self) -> float:
        """Relative half-width within which the times agree: between processes, or between pairs of the only one."""
        if len(self.runs) == 1:
            times = sorted(self.runs[0].baseline_s)
        else:
            times = sorted(_middle(run.baseline_s) for run in self.runs)
        return (times[-1] - times[0]) / (times[-1] + times[0]) if len(times) > 1 else 0.1

    @property
    def first_call_s(self) -> float | None:
        """First candidate call of the first process. Whether it built kernels too, only :attr:`kernels_built` knows."""
        return self.runs[0].first_candidate_s if self.runs else None

    @property
    def kernels_built(self) -> int | None:
        """Kernel files that this first call wrote; None where that wasn't, or can't be, counted."""
        return self.runs[0].built if self.runs else None

    @property
    def first_call_warm_s(self) -> float | None:
        """First candidate call in the later processes, which find the kernels on disk; None for a single process."""
        return _median(run.first_candidate_s for run in self.runs[1:])

    @property
    def first_call_baseline_s(self) -> float | None:
        """First baseline call of the first process."""
        return self.runs[0].first_baseline_s if self.runs else None

    @property
    def break_even(self) -> int | None:
        """Calls after which the time saved has paid for the first call; None when none is saved measurably."""
        first, base, cand = self.first_call_s, self.baseline_s, self.candidate_s
        if first is None or base is None or cand is None or not cand < base or self.differs is False:
            return None
        return max(1, math.ceil((first - cand) / (base - cand)))

    @property
    def copy_bandwidth(self) -> float | None:
        """Bytes per second, read plus written, of a large copy on this machine in the same processes."""
        return _median(run.copy_bandwidth for run in self.runs)

    def bandwidth(self, seconds: float | None) -> float | None:
        """Bytes per second when ``bytes_moved`` are moved in that time."""
        return None if self.bytes_moved is None or not seconds else self.bytes_moved / seconds

    def share(self, seconds: float | None) -> float | None:
        """The same as a share of the copy bandwidth; above 1 where the data stays in a cache."""
        rate, copy = self.bandwidth(seconds), self.copy_bandwidth
        return None if rate is None or copy is None else rate / copy

    @property
    def baseline_bandwidth(self) -> float | None:
        """Bytes per second of the baseline."""
        return self.bandwidth(self.baseline_s)

    @property
    def candidate_bandwidth(self) -> float | None:
        """Bytes per second of the candidate."""
        return self.bandwidth(self.candidate_s)

    @property
    def baseline_share(self) -> float | None:
        """Share of the copy bandwidth that the baseline reaches."""
        return self.share(self.baseline_s)

    @property
    def candidate_share(self) -> float | None:
        """Share of the copy bandwidth that the candidate reaches."""
        return self.share(self.candidate_s)

    @property
    def baseline_peak(self) -> int | None:
        """Bytes that one baseline call needs beyond what was held before it (temporaries and result)."""
        return max((run.baseline_peak for run in self.runs), default=None)

    @property
    def candidate_peak(self) -> int | None:
        """Bytes that one candidate call needs beyond what was held before it."""
        return max((run.candidate_peak for run in self.runs), default=None)

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say, as (label, text) pairs, each number to the digit that its interval supports."""
        if not self.measured:
            return [("result", UNMEASURED)]
        if self.slow_call_s is not None:
            return [("result", f"one call takes {format_time(self.slow_call_s)} here, not compared")]
        if not self.runs:
            return [("result", "not on this machine")]
        time_of = functools.partial(format_time, spread=self.spread)
        rows = [("speed-up", format_ratio(self.ratio, self.interval))]
        rows += [
            ("baseline", f"{time_of(self.baseline_s)} a call"),
            ("candidate", f"{time_of(self.candidate_s)} a call"),
        ]
        pays = "" if self.break_even is None else f", paid back after {format_calls(self.break_even)}"
        seen = f" ({words})" if (words := self.first_call_words()) else ""
        rows += [("first call", f"{format_time(self.first_call_s)}{seen}{pays}")]
        if self.baseline_share is not None and self.candidate_share is not None:
            rates = " → ".join(format_rate(r) for r in (self.baseline_bandwidth, self.candidate_bandwidth))
            shares = f"{self.baseline_share:.0%} → {self.candidate_share:.0%}"
            rows += [("bandwidth", f"{rates}, {shares} of a copy's {format_rate(self.copy_bandwidth)}")]
        rows += [("extra memory", f"{format_bytes(self.baseline_peak)} → {format_bytes(self.candidate_peak)}")]
        return [*rows, ("measured in", self._measured_in()), *([("note", self.note)] if self.note else [])]

    def first_call_words(self) -> str:
        """Return what was seen of kernels at the first call, "" when nothing: it is cold only where it wrote some."""
        if self.kernels_built is None:
            return CACHE_WORDS[self.runs[0].cache] if self.runs else ""
        files = f"{self.kernels_built or 'no'} kernel file{'' if self.kernels_built == 1 else 's'}"
        return f"wrote {files}"

    def _measured_in(self) -> str:
        pairs = sum(len(run.baseline_s) for run in self.runs)
        if len(self.runs) == 1:
            return f"1 process, {pairs} pairs; the interval knows nothing of other processes"
        return f"{len(self.runs)} processes, {pairs} pairs"

    def describe(self) -> str:
        """Return the plain-text summary that :func:`compare` prints."""
        return "\n".join([self.name, *(f"  {label:<13}{text}" for label, text in self.facts())])

    def _repr_html_(self) -> str:
        rows = (f"<tr><th scope='row'>{_escaped(k)}</th><td>{_escaped(v)}</td></tr>" for k, v in self.facts())
        caption = f"<caption>{_escaped(self.name)}</caption>"
        return f"<table class='guide-table guide-comparison'>{caption}<tbody>{''.join(rows)}</tbody></table>"


def _escaped(text: str) -> str:
    import html  # here, because pages and notebooks ask for it, and a process that measures never does

    return html.escape(text)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def format_time(seconds: float | None, spread: float = 0.01) -> str:
    """Return a time with its unit, to the digits that a relative spread supports (2 to 4)."""
    if not _known(seconds):
        return "—"
    digits = _digits(spread)
    seconds = float(f"{seconds:.{digits - 1}e}")  # rounded first: 999.6 µs is 1.00 ms
    units = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
    size, unit = next((u for u in units if seconds >= u[0]), (1e-9, "ns"))
    return f"{_significant(seconds / size, digits)} {unit}"


def format_per_second(count: float, seconds: float | None, spread: float = 0.01) -> str:
    """Return a rate such as "1,230 /s" of so many things in that time, to the digits that a relative spread supports."""
    if not _known(seconds) or not seconds:
        return "—"
    rate = float(_significant(count / seconds, _digits(spread)))
    return f"{rate:,.0f} /s" if rate >= 100 else f"{_significant(rate, _digits(spread))} /s"


def _digits(spread: float) -> int:
    """Digits of a number that a relative spread supports: 2 to 4."""
    return min(4, max(2, 1 + math.floor(-math.log10(max(spread, 1e-9)))))


def _significant(value: float, digits: int) -> str:
    if value <= 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(value))
    return f"{round(value, decimals):.{max(0, decimals)}f}"


def format_ratio(ratio: float | None, interval: tuple[float, float] | None) -> str:
    """Return "1.23× (1.21–1.26)" to the first digit that is uncertain; in words when the interval covers 1."""
    if not _known(ratio):
        return "not compared" if ratio is None else UNMEASURED
    if interval is None:
        return f"about {_significant(ratio, 2)}× (too few samples for an interval)"
    low, high = interval
    digits = _decimals(low, high)
    text = f"({low:.{digits}f}–{high:.{digits}f})"
    return f"{ratio:.{digits}f}× {text}" if _excludes_one(low, high) else f"no measurable difference {text}"


def _decimals(low: float, high: float) -> int:
    """Decimals that an interval of this width supports; more where rounding would hide that it excludes 1."""
    digits = min(3, max(0, -math.floor(math.log10(max((high - low) / 2, 1e-4)))))
    while digits < 3 and not low <= 1 <= high and round(low, digits) <= 1 <= round(high, digits):
        digits += 1
    return digits


def _excludes_one(low: float, high: float) -> bool:
    digits = _decimals(low, high)
    return not round(low, digits) <= 1 <= round(high, digits)


def format_count(count: int) -> str:
    """Return a count rounded to two digits, with thin grouping: 1234 → "1,200"."""
    return f"{round(count, 2 - len(str(count))) if count > 99 else count:,}"


def format_calls(count: int) -> str:
    """Return "1 call" or "1,200 calls"."""
    return f"{format_count(count)} call{'' if count == 1 else 's'}"


def format_rate(rate: float | None) -> str:
    """Return bytes per second as GB/s (10⁹ bytes) to two digits."""
    return f"{_significant(rate / 1e9, 2)} GB/s" if _known(rate) else "—"


def format_bytes(count: float | None) -> str:
    """Return a number of bytes with a decimal unit (1 MB is 10⁶ bytes)."""
    if not _known(count):
        return "—"
    unit, size = next(((u, s) for u, s in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if count >= s), ("B", 1))
    return f"{_significant(count / size, 3) if size > 1 else int(count)} {unit}"


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; ``str()`` aligns them, a notebook or sphinx-gallery shows them as HTML."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Return the table as aligned plain text."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = (self.header, tuple("-" * w for w in widths), *self.rows)
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{_escaped(cell)}</th>" for cell in self.header)
        body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        return f"<table class='guide-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(comparisons: Iterable[Comparison]) -> Table:
    """Return one row a comparison: name, both times, ratio with interval, first call, break-even."""
    rows = []
    for c in comparisons:
        times = [format_time(s, spread=c.spread) if s else "—" for s in (c.baseline_s, c.candidate_s)]
        here = bool(c.runs) or c.slow_call_s is not None
        pays = ("never" if here and c.measured else "—") if c.break_even is None else format_calls(c.break_even)
        ratio = format_ratio(c.ratio, c.interval) if here else "not on this machine"
        rows.append((c.name, *times, ratio, format_time(c.first_call_s), pays))
    return Table(("comparison", "baseline", "candidate", "speed-up", "first call", "break-even"), tuple(rows))


# Measuring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """How long to measure, and how finely: seconds for one comparison in this process, wanted relative half-width."""

    budget_s: float = 2.0
    half_width: float = 0.02
    cache: str = "unknown"
    slow: dict[str, float] = field(default_factory=dict)
    """Comparisons that an earlier process found too slow, with the seconds of one call: they aren't tried again."""
    comparisons: int = 0
    """How many an earlier process made in all: after as many :class:`Done` ends the script. 0: it runs to its end."""

    @property
    def cap_s(self) -> float:
        """Seconds that the fewest pairs of a slow comparison may take."""
        return HARD_CAP * max(self.budget_s, 1.0)


class Done(BaseException):
    """All that is measured in this process is in the sink: a script under a recorder has nothing left to do."""


def compare(
    name: str,
    baseline: Callable[..., Any],
    candidate: Callable[..., Any],
    *inputs: Any,
    fresh: bool = False,
    bytes_moved: int | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    compiled: bool = True,
    available: bool | None = None,
    budget: float = 2.0,
    half_width: float = 0.02,
) -> Comparison:
    """Time ``baseline(*inputs)`` against ``candidate(*inputs)`` in turn, after checking that they agree.

    Args:
        name: id of the comparison, unique in a gallery: lower-case letters, digits, ``-`` and ``_``.
        baseline: function that returns an array or a tree (list, tuple, dict) of arrays; every array is evaluated.
        candidate: the same for the function that should be faster, usually ``mx.compile(baseline)``.
        inputs: arguments of both, arrays of any shape or trees of them; they are evaluated before the clock starts.
        fresh: ``baseline(*inputs)`` and ``candidate(*inputs)`` each build fresh state and return the step to time, a
            function of no arguments that returns all that must be evaluated.
        bytes_moved: bytes that one call has to read and write at least; adds GB/s and the share of copy bandwidth.
        rtol: relative tolerance of the equality check.
        atol: absolute tolerance of the equality check.
        compiled: False when the comparison isn't about compiling, so compiling needn't be switched on.
        available: for a comparison that not every machine can make, whether this one can. Where it can't, nothing is
            called or recorded, and the comparison says "not on this machine"; so it does when a record without it is
            replayed. None: every machine can.
        budget: seconds to spend on pairs of blocks in this process.
        half_width: sampling stops early when half the interval is narrower than this share of the ratio.

    Returns:
        The comparison. With ``COMPILE_GUIDE_SINK=FILE`` set it is also appended to FILE as a JSON line (the file's
        first line may hold settings, among them after how many comparisons the script is to end); with
        ``COMPILE_GUIDE_REPLAY=FILE`` the record in FILE is read instead.

    Raises:
        ValueError: the name is malformed, or both functions return different values.
        RuntimeError: compiled functions run uncompiled in this process, or their kernels can't be built.
        LookupError: a replayed record has no comparison of this name.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"comparison name {name!r}: use lower-case letters, digits, '-' and '_', 64 at most")
    if replay := os.environ.get(REPLAY):
        return recorded(Path(replay), name, bytes_moved, optional=available is not None)
    settings, sink = Settings(budget, half_width), os.environ.get(SINK)
    if available is False:
        result = Comparison(name)
        if not sink:
            print(result.describe(), flush=True)
        return result
    if sink:
        settings = _settings_of(Path(sink), settings)
    if compiled:
        check_compiling()
    if name in settings.slow:  # not even its inputs are evaluated: they may be half of what made it slow
        result = Comparison(name, (), bytes_moved, slow_call_s=settings.slow[name])
    else:
        pair = _Pair(name, baseline, candidate, inputs, fresh, settings)
        slow = pair.first_calls(rtol, atol)
        result = pair.measure(bytes_moved) if slow is None else Comparison(name, (), bytes_moved, slow, pair.note)
    if sink:
        _report(Path(sink), result, settings)
    else:
        print(result.describe(), flush=True)
    return result


def _report(sink: Path, result: Comparison, settings: Settings) -> None:
    """Append a comparison to the sink, and end the script after the last one that is asked for."""
    with sink.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")
    if settings.comparisons and len(sink.read_text(encoding="utf-8").splitlines()) > settings.comparisons:
        raise Done


def recorded(file: Path, name: str, bytes_moved: int | None = None, *, optional: bool = False) -> Comparison:
    """Return the comparison of that name from a record (``docs/records/*.json``).

    Where the record has nothing of the script that is running, the comparison is :func:`unmeasured`. One that is
    missing beside others of its script is empty if that may be, else a LookupError.
    """
    entries = _entries(file, file.stat().st_mtime_ns)
    if name in entries:
        return from_dict(entries[name])
    if Path(sys.argv[0]).stem not in {entry.get("example") for entry in entries.values()}:
        ASKED.add(name)
        return unmeasured(name, bytes_moved)
    if optional:
        return Comparison(name)
    raise LookupError(f"{file.name} has no comparison {name!r}: record it again with 'python -m compile_guide record'")


def unmeasured(name: str, bytes_moved: int | None = None) -> Comparison:
    """Return a comparison of which nothing is known: its numbers are NaN, so that a script can go on and plot nothing."""
    nan: Any = math.nan
    run = Run((nan,) * 6, (nan,) * 6, nan, nan, baseline_peak=nan, candidate_peak=nan, copy_bandwidth=nan)
    return Comparison(name, (run,) * 6, bytes_moved)


@functools.lru_cache(maxsize=4)
def _entries(file: Path, _changed: int) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(file.read_text(encoding="utf-8"))["comparisons"]}


def from_dict(entry: dict[str, Any]) -> Comparison:
    """Build a comparison from its JSON form; keys that a comparison doesn't have, such as its example, are ignored."""
    runs = tuple(
        Run(**{**run, "baseline_s": tuple(run["baseline_s"]), "candidate_s": tuple(run["candidate_s"])})
        for run in entry["runs"]
    )
    return Comparison(entry["name"], runs, entry.get("bytes_moved"), entry.get("slow_call_s"), entry.get("note", ""))


def _settings_of(sink: Path, default: Settings) -> Settings:
    """The sink's first line, if it has one, is a JSON object of settings."""
    with sink.open(encoding="utf-8") as file:
        first = json.loads(file.readline() or "{}")
    return default if "runs" in first else Settings(**{**asdict(default), **first})


def check_compiling() -> None:
    """Raise RuntimeError with a remedy unless a compiled function really compiles here.

    With compiling switched off, or without a C++ compiler on the CPU backend (MLX 0.32.0 and later), MLX runs the
    Python body at every call and says nothing; a compiler that fails raises when the kernel is evaluated.
    """
    import mlx.core as mx

    traces = []

    def probe(x: mx.array) -> mx.array:
        traces.append(1)
        return mx.arctan(x) * 3 - x

    compiled, x = mx.compile(probe), mx.ones(2)
    try:
        for _ in range(3):  # a process's very first compiled call may trace twice, so two calls can't decide
            mx.eval(compiled(x))
    except RuntimeError as error:
        raise RuntimeError(f"MLX can't build a compiled kernel here; is g++ whole? MLX says: {error}") from error
    if len(traces) == 3:
        raise RuntimeError(
            "compiled functions run uncompiled here. Unset MLX_DISABLE_COMPILE, don't call mx.disable_compile(), and on"
            " MLX's CPU backend install a C++ compiler named g++ (Debian: apt-get install g++)"
        )


@functools.cache
def copy_bandwidth() -> float:
    """Return bytes per second, read plus written, of a large copy on the default device: the best of five.

    256 MiB are copied; where that is over in a moment, so that starting it would count, four and sixteen times as much,
    as far as it fits into a sixteenth of the memory.
    """
    import mlx.core as mx

    about = mx.device_info() if hasattr(mx, "device_info") else {}
    room = int(about.get("memory_size") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    size, seconds = COPY_BYTES, _copy_s(COPY_BYTES)
    while seconds < COPY_S and 4 * size <= min(room // 16, 16 * COPY_BYTES):
        size, seconds = 4 * size, _copy_s(4 * size)
    return 2 * size / seconds


def _copy_s(size: int) -> float:
    import mlx.core as mx

    half = mx.zeros(size // 8)
    mx.eval(half)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        mx.eval(mx.concatenate([half, half]))
        times.append(time.perf_counter() - start)
    return min(times)


def temp_folder() -> Path:
    """Return the folder for temporary files as MLX finds it: it takes what is named, be that writable or not."""
    return Path(next(filter(None, map(os.environ.get, ("TMPDIR", "TMP", "TEMP", "TEMPDIR"))), "/tmp"))


def kernel_files() -> int | None:
    """Count the kernels that MLX keeps as files, on CPU and CUDA; None where there are none, as with Metal."""
    import mlx.core as mx

    if mx.metal.is_available() and mx.default_device() != mx.Device(mx.cpu):
        return None  # its CPU side may have left some, which say nothing of what is measured
    folder = temp_folder() / "mlx" / getattr(mx, "__version__", "")
    folders = [folder / "cpu", Path(os.environ.get("MLX_PTX_CACHE_DIR") or folder / "ptx")]
    # check_compiling() has built a kernel already, so none at all means that they are kept elsewhere
    return sum(file.suffix in KERNEL_SUFFIXES for place in folders for file in place.rglob("*")) or None


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for key in tree:
            yield from _leaves(tree[key])
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from _leaves(part)
    else:
        yield tree


def _has_fused_kernels(result: Any) -> bool:
    """Whether the graph of a result that isn't evaluated yet holds a kernel that ``mx.compile`` fused."""
    import mlx.core as mx

    text = io.StringIO()
    mx.export_to_dot(text, *(leaf for leaf in _leaves(result) if isinstance(leaf, mx.array)))
    return '"Compiled' in text.getvalue()


def check_equal(name: str, expected: Any, seen: Any, rtol: float, atol: float) -> None:
    """Raise ValueError unless both trees hold the same shapes, dtypes and values."""
    import mlx.core as mx

    pairs = list(zip(list(_leaves(expected)), list(_leaves(seen)), strict=False))
    if len(pairs) != len(list(_leaves(expected))) or len(pairs) != len(list(_leaves(seen))):
        raise ValueError(f"{name}: baseline and candidate return different numbers of values")
    for index, (a, b) in enumerate(pairs):
        if not (isinstance(a, mx.array) and isinstance(b, mx.array)):
            close = isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=rtol, abs_tol=atol)
            same, what = close or a == b, f"{a!r} and {b!r}"
        elif (a.shape, a.dtype) != (b.shape, b.dtype):
            same, what = False, f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
        else:
            same = bool(mx.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True))
            what = "" if same else f"values that differ by up to {mx.max(mx.abs(a - b)).item():.3g}"
        if not same:
            raise ValueError(
                f"{name}: value {index} differs: {what}. A fast wrong function is worthless: mend it first"
            )


def _rounded(value: float) -> float:
    """Keep six digits: more than any clock here is good for."""
    return float(f"{value:.6g}")


class _Side:
    """One of the two functions: calls it, keeps its first call's time, its block length and its memory."""

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self.function, self.inputs = function, inputs
        self.first_s = self.call_s = 0.0
        self.calls, self.settle, self.peak = 1, 0, 0
        self.built: int | None = None

    def call(self) -> tuple[Any, float]:
        """Call once, evaluate all that it returns, and return that and the seconds."""
        import mlx.core as mx

        start = time.perf_counter()
        result = self.function(*self.inputs)
        mx.eval(result)
        return result, time.perf_counter() - start

    def first_call(self) -> tuple[Any, float]:
        """Call for the first time, and count the kernel files that this wrote."""
        before = kernel_files()
        result, self.first_s = self.call()
        self.built = None if before is None else max(0, (kernel_files() or 0) - before)
        return result, self.first_s

    def warm_call(self) -> None:
        """Call once more for the time of a warm call and the memory that it needs beyond what is held already."""
        import mlx.core as mx

        mx.reset_peak_memory()
        before = mx.get_active_memory()
        result, self.call_s = self.call()
        self.peak = max(0, mx.get_peak_memory() - before)
        del result

    def calibrate(self, target_s: float) -> None:
        """Choose how many calls a block takes, so that reading the clock and the loop are lost in it, and how many before."""
        if self.call_s < target_s:
            self.calls = max(1, math.ceil(target_s / 8 / self.call_s))
            self.call_s = min(self.call_s, self.block())
        self.calls = max(1, math.ceil(target_s / self.call_s))
        self.settle = 0 if self.call_s > LONG_S else min(SETTLE_CALLS, math.ceil(SETTLE_S / self.call_s))

    def block(self) -> float:
        """Time one block; return seconds a call. Nothing but the calls, or the single call, stands between the readings."""
        import mlx.core as mx

        evaluate, function, inputs, clock = mx.eval, self.function, self.inputs, time.perf_counter
        calls = repeat(None, self.calls)
        for _ in repeat(None, self.settle):
            evaluate(function(*inputs))
        if self.calls == 1:  # the harness is dearest here, and a loop makes it dearer
            start = clock()
            evaluate(function(*inputs))
            return clock() - start
        start = clock()
        for _ in calls:
            evaluate(function(*inputs))
        return (clock() - start) / self.calls


class _Pair:
    """A baseline and a candidate on their way to a :class:`Comparison`."""

    def __init__(
        self, name: str, baseline: Any, candidate: Any, inputs: tuple[Any, ...], fresh: bool, settings: Settings
    ) -> None:
        import mlx.core as mx

        self.name, self.settings, self.fresh = name, settings, fresh
        mx.eval([leaf for leaf in _leaves(inputs) if isinstance(leaf, mx.array)], mx.ones(2) + 1)
        if fresh:
            baseline, candidate, inputs = baseline(*inputs), candidate(*inputs), ()
        self.sides = (_Side(baseline, inputs), _Side(candidate, inputs))
        # mx.grad and mx.vmap return the same type as mx.compile, hence the look into the graph.
        suspicious = type(baseline) is type(mx.compile(abs)) and _has_fused_kernels(baseline(*inputs))
        self.note = "the baseline is a compiled function too" if suspicious else ""

    def first_calls(self, rtol: float, atol: float) -> float | None:
        """Time each side's first call and check that the results agree; steps with state are followed for three calls.

        Returns the seconds of the baseline's call when it is too slow for a pair under the hard cap, else None.
        """
        for number in range(3 if self.fresh else 1):
            results = []
            for side in self.sides:
                result, seconds = side.call() if side.first_s else side.first_call()
                if side is self.sides[0] and 3 * seconds > self.settings.cap_s:
                    # It may have built kernels: a second call decides. A step with state gets one in its turn.
                    if not self.fresh:
                        result, seconds = side.call()
                    if (number or not self.fresh) and 3 * seconds > self.settings.cap_s:
                        return float(f"{seconds:.3g}")
                results.append(result)
            check_equal(self.name, results[0], results[1], rtol, atol)
        return None

    def measure(self, bytes_moved: int | None) -> Comparison:
        """Sample pairs until the interval is narrow enough or the budget is spent."""
        for side in self.sides:
            side.warm_call()
            side.calibrate(max(5e-4, self.settings.budget_s / (2 * MAX_PAIRS)))
        seconds = [tuple(map(_rounded, side)) for side in self._samples()]
        baseline, candidate = self.sides
        run = Run(
            baseline_s=seconds[0],
            candidate_s=seconds[1],
            first_baseline_s=_rounded(baseline.first_s),
            first_candidate_s=_rounded(candidate.first_s),
            cache=self.settings.cache,
            baseline_calls=baseline.calls,
            candidate_calls=candidate.calls,
            baseline_peak=baseline.peak,
            candidate_peak=candidate.peak,
            copy_bandwidth=_rounded(copy_bandwidth()) if bytes_moved else None,
            built=candidate.built,
        )
        return Comparison(self.name, (run,), bytes_moved, note=self.note)

    def _samples(self) -> tuple[list[float], list[float]]:
        """Alternate blocks, the order of each pair drawn from a generator seeded with the name."""
        times: tuple[list[float], list[float]] = ([], [])
        order, budget = random.Random(self.name), self.settings.budget_s
        collecting, start = gc.isenabled(), time.perf_counter()
        gc.disable()
        try:
            while len(times[0]) < MAX_PAIRS:
                for index in order.sample((0, 1), 2):
                    times[index].append(self.sides[index].block())
                spent, pairs = time.perf_counter() - start, len(times[0])
                enough = pairs in LOOKS and narrow(times, self.settings.half_width)
                if enough or (spent >= budget and pairs >= 3) or spent >= self.settings.cap_s / 2:
                    break
        finally:
            if collecting:
                gc.enable()
        return times


def narrow(times: tuple[Sequence[float], Sequence[float]], half_width: float) -> bool:
    """Whether the interval of the pairs' ratios is narrower than the wanted relative half-width."""
    interval = median_interval([b / c for b, c in zip(*times, strict=True)])
    return interval is not None and interval[1] - interval[0] <= 2 * half_width * (interval[0] + interval[1]) / 2
