"""What a comparison of two functions found: the data of its processes, and the statistics that are made of them.

The ratio is the median over processes of the median over pairs of blocks. Its interval comes from the differences
between processes where there are several, because processes differ by more than their pairs show, else between pairs.

This file needs the standard library and mlx alone. It travels with :mod:`compile_guide.timing`.
"""

from __future__ import annotations

import cmath
import contextlib
import functools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from compile_guide import formatting
from compile_guide.formatting import NOTHING, UNMEASURED, Table, escaped, format_calls, format_ratio, format_time

Interval = tuple[float, float] | None
CONFIDENCE = 0.95
SPREAD, GUARD = 1.15, 0.0125
"""What widens the interval of several processes, see :func:`process_interval`: a factor, and a share of the ratio."""
CACHE_WORDS = {
    "empty": "process began with an empty kernel cache",
    "warm": "an earlier process may have left kernels on disk",
}


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        """Return the number of pairs; the samples are many."""
        return f"<Run of {len(self.baseline_s)} pairs>"


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return a distribution-free interval for the median of independent values, None when they are too few.

    It is the sign test turned round: the k-th smallest and k-th largest of n values miss the median with probability
    2·P(Binomial(n, ½) < k); k is the largest that keeps this at most ``1 - confidence``. Six values are the fewest for
    95 %: smallest to largest, which misses in 2 of 64 cases (3.1 %).
    Source: W. J. Conover, Practical Nonparametric Statistics, section 3.2.
    """
    ordered, n, k, tail = sorted(values), len(values), 0, 0.0
    while k < n // 2 and (tail := tail + math.comb(n, k) / 2**n) <= (1 - confidence) / 2:
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def process_interval(medians: Sequence[float]) -> Interval:
    """Return an interval for a ratio from the medians of its processes, all above 0; None when they are fewer than six.

    It is :func:`~compile_guide.timing.median_interval`, wider, because that can't see what the processes have in common.
    The relative distance of each end from the median is multiplied by 1.15, which stands for what processes within minutes
    share, and combined with 0.0125, which stands for the systematic shift of alternating blocks, as the root of the sum of
    squares. Both constants come from the benchmark on the page *bench*, which says how often such intervals hold.
    """
    if (ends := median_interval(medians)) is None:
        return None
    middle = _middle(medians)
    below = math.hypot(SPREAD * (middle / ends[0] - 1), GUARD)
    above = math.hypot(SPREAD * (ends[1] / middle - 1), GUARD)
    return middle / (1 + below), middle * (1 + above)


def _interval(samples: Sequence[Sequence[float]]) -> Interval:
    """Return the interval between processes; of a single one, between its pairs, so that it knows nothing of others."""
    return median_interval(samples[0]) if len(samples) == 1 else process_interval(list(map(_middle, samples)))


def _middle(values: Iterable[float]) -> float:
    """Return the median, without ``statistics``, which imports fractions and decimals into every process that measures."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _median(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _middle(known) if known else None


@dataclass(frozen=True, repr=False)
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
    def interval(self) -> Interval:
        """Interval of the ratio between processes; of a single one, between its pairs, so that it knows nothing of others."""
        return _interval([run.ratios for run in self.runs])

    @property
    def time_interval(self) -> Interval:
        """Interval of :attr:`candidate_s`, made in the same way."""
        return _interval([run.candidate_s for run in self.runs])

    @property
    def differs(self) -> bool | None:
        """Whether the interval, rounded as it is printed, excludes 1; None without an interval."""
        return None if self.interval is None or not self.measured else formatting.excludes_one(*self.interval)

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
        one = len(self.runs) == 1
        times = self.runs[0].baseline_s if one else [_middle(run.baseline_s) for run in self.runs]
        return (max(times) - min(times)) / (max(times) + min(times)) if len(times) > 1 else 0.1

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
    def break_even(self) -> int | None:
        """Calls after which the time saved has paid for the first call; None unless the interval shows that some is saved."""
        first, base, cand = self.first_call_s or 0.0, self.baseline_s or 0.0, self.candidate_s or 0.0
        return max(1, math.ceil((first - cand) / (base - cand))) if self.differs and cand < base else None

    @property
    def copy_bandwidth(self) -> float | None:
        """Bytes per second, read plus written, of a large copy on this machine in the same processes."""
        return _median(run.copy_bandwidth for run in self.runs)

    def bandwidth(self, seconds: float | None) -> float | None:
        """Bytes per second when ``bytes_moved`` are moved in that time."""
        return self.bytes_moved / seconds if self.bytes_moved is not None and seconds else None

    def share(self, seconds: float | None) -> float | None:
        """The same as a share of the copy bandwidth; above 1 where the data stays in a cache."""
        rate, copy = self.bandwidth(seconds), self.copy_bandwidth
        return rate / copy if rate is not None and copy is not None else None

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
        times = (self.baseline_s, self.candidate_s)
        baseline, candidate = (f"{format_time(seconds, self.spread)} a call" for seconds in times)
        words = f" ({words})" if (words := self.first_call_words()) else ""
        pays = "" if self.break_even is None else f", paid back after {format_calls(self.break_even)}"
        rows = [("speed-up", format_ratio(self.ratio, self.interval)), ("baseline", baseline), ("candidate", candidate)]
        rows += [("first call", f"{format_time(self.first_call_s)}{words}{pays}")]
        if self.share(self.baseline_s) is not None:
            rates = " → ".join(formatting.format_rate(self.bandwidth(seconds)) for seconds in times)
            shares = " → ".join(formatting.format_percent(self.share(seconds)) for seconds in times)
            rows += [("bandwidth", f"{rates}, {shares} of a copy's {formatting.format_rate(self.copy_bandwidth)}")]
        peaks = (self.baseline_peak, self.candidate_peak)
        rows += [("extra memory", " → ".join(map(formatting.format_bytes, peaks)))]
        number, pairs = len(self.runs), f"{sum(len(run.baseline_s) for run in self.runs)} pairs"
        alone = f"1 process, {pairs}; the interval knows nothing of other processes"
        rows += [("measured in", alone if number == 1 else f"{number} processes, {pairs}")]
        return [*rows, ("note", self.note)] if self.note else rows

    def first_call_words(self) -> str:
        """Return what was seen of kernels at the first call, "" when nothing: it is cold only where it wrote some."""
        if self.kernels_built is None:
            return CACHE_WORDS.get(self.runs[0].cache, "") if self.runs else ""
        return f"wrote {self.kernels_built or 'no'} kernel file{'' if self.kernels_built == 1 else 's'}"

    def describe(self) -> str:
        """Return the plain-text summary that :func:`compare` prints."""
        return "\n".join([self.name, *(f"  {label:<13}{text}" for label, text in self.facts())])

    __str__ = describe

    def __repr__(self) -> str:
        """Return the name and the first fact; the samples are many."""
        return f"<Comparison {self.name}: {self.facts()[0][1]}>"

    def _repr_html_(self) -> str:
        rows = (f"<tr><th scope='row'>{escaped(k)}</th><td>{escaped(v)}</td></tr>" for k, v in self.facts())
        caption = f"<caption>{escaped(self.name)}</caption>"
        return f"<table class='guide-table guide-comparison'>{caption}<tbody>{''.join(rows)}</tbody></table>"


@dataclass(frozen=True)
class ComparisonTable(Table):
    """A ``Table`` that knows the comparisons in its rows."""

    comparisons: tuple[Comparison, ...] = field(default=(), repr=False)


def table(comparisons: Iterable[Comparison]) -> ComparisonTable:
    """Return one row a comparison: name, both times, ratio with interval, first call, break-even."""
    given, rows = tuple(comparisons), []
    for c in given:
        times = [format_time(seconds, c.spread) for seconds in (c.baseline_s, c.candidate_s)]
        ratio = format_ratio(c.ratio, c.interval) if c.runs or c.slow_call_s is not None else "not on this machine"
        pays = format_calls(c.break_even) if c.break_even is not None else NOTHING if c.differs is None else "never"
        rows.append((c.name, *times, ratio, format_time(c.first_call_s), pays))
    header = ("comparison", "baseline", "candidate", "speed-up", "first call", "break-even")
    return ComparisonTable(header, tuple(rows), given)


def unmeasured(name: str, bytes_moved: int | None = None) -> Comparison:
    """Return a comparison of which nothing is known: its numbers are NaN, so that a script can go on and plot nothing."""
    nan: Any = math.nan
    run = Run((nan,) * 6, (nan,) * 6, nan, nan, baseline_peak=nan, candidate_peak=nan, copy_bandwidth=nan)
    return Comparison(name, (run,) * 6, bytes_moved)


def from_dict(entry: dict[str, Any]) -> Comparison:
    """Build a comparison from its JSON form; keys that a comparison doesn't have, such as its example, are ignored."""
    runs: Any = [{key: tuple(v) if isinstance(v, list) else v for key, v in run.items()} for run in entry["runs"]]
    more = entry.get("bytes_moved"), entry.get("slow_call_s"), entry.get("note", "")
    return Comparison(entry["name"], tuple(Run(**run) for run in runs), *more)


# Do two results agree?  One rule for compare() and check_shapeless() ------------------------------------------------

TOLERANCE = {
    "float64": (1e-10, 2**-50, 1e-300),
    "float32": (1e-5, 2**-21, 1e-38),
    "float16": (4e-3, 2**-8, 1e-7),
    "bfloat16": (3e-2, 2**-5, 1e-38),
}
"""How far two values of a dtype may lie apart, relative to the larger one, relative to the largest of both arrays (four
steps of the dtype, for what is left where large values cancel), and at all, where a kernel may take a number for 0."""
OUTLIER = 100
"""The largest counts for no more than so many times the median of what isn't 0: a mask's -1e9 is no measure of the rest."""
TOLERANCE |= {"complex64": TOLERANCE["float32"], "complex128": TOLERANCE["float64"]}


def leaves(tree: Any, path: str = "", *, dataclasses: bool = True) -> Iterator[tuple[str, Any]]:
    """Walk over the values of a tree of lists, tuples, dicts and dataclasses, each with its path, such as ``['w'][0]``."""
    parts: list[tuple[str, Any]]
    if isinstance(tree, dict):
        parts = [(f"[{key!r}]", tree[key]) for key in sorted(tree, key=repr)]
    elif isinstance(tree, list | tuple):
        parts = [(f"[{index}]", part) for index, part in enumerate(tree)]
    elif dataclasses and is_dataclass(tree) and not isinstance(tree, type):
        parts = [(f".{part.name}", getattr(tree, part.name)) for part in fields(tree)]
    else:
        yield path, tree
        return
    for step, part in parts:
        yield from leaves(part, path + step, dataclasses=dataclasses)


def is_array(value: Any) -> bool:
    """Return whether a value is an array of numbers, of MLX or NumPy."""
    kind = _dtype(value).rstrip("0123456789_")
    return kind in ("bool", "int", "uint", "float", "bfloat", "complex") and hasattr(value, "flatten")


def _dtype(value: Any) -> str:
    """Return the name of an array's dtype, without its module and its order of bytes."""
    dtype = getattr(value, "dtype", "")
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def difference(expected: Any, actual: Any, rtol: float | None = None, atol: float | None = None) -> str:
    """Return in words where two trees differ first, "" when they agree.

    Integers, booleans and text must be equal; ``rtol`` and ``atol`` are those of :func:`compile_guide.timing.compare`. NaN
    equals NaN; an infinity equals itself alone. MLX arrays must have the same dtype; a NumPy array is compared by value.
    """
    left, right = list(leaves(expected)), list(leaves(actual))
    if len(left) != len(right):
        return f"different numbers of values, {len(left)} and {len(right)}"
    for number, ((path, a), (other, b)) in enumerate(zip(left, right, strict=True)):
        apart = path and other and path != other  # a list of one array may stand for the array
        if words := f"one is at {path}, one at {other}" if apart else unequal(a, b, rtol, atol):
            return f"value {number} differs: {words}"
    return ""


def unequal(a: Any, b: Any, rtol: float | None = None, atol: float | None = None) -> str:
    """Return in words how two values of a tree differ, "" when they agree; see :func:`difference`."""
    if not (is_array(a) and is_array(b)):
        a, b = (x.tolist() if hasattr(x, "tolist") and not (is_array(x) and x.shape) else x for x in (a, b))
    if not (is_array(a) or is_array(b)):
        return "" if _plain_agree(a, b, rtol, atol) else f"{a!r:.60} and {b!r:.60}"
    mlx: Any = sys.modules.get("mlx.core")
    both_mlx = mlx is not None and isinstance(a, mlx.array) and isinstance(b, mlx.array)
    kinds = [(x.dtype if both_mlx else None, tuple(x.shape)) if is_array(x) else None for x in (a, b)]
    if kinds[0] != kinds[1]:
        return " and ".join(f"{x.dtype} {tuple(x.shape)}" if is_array(x) else type(x).__name__ for x in (a, b))
    if not a.size or (both_mlx and mlx.array_equal(a, b, equal_nan=True)):  # one pass over large arrays, not a dozen
        return ""
    return _unequal_values(mlx if both_mlx else sys.modules["numpy"], a, b, rtol, atol)


def _plain_agree(a: Any, b: Any, rtol: float | None, atol: float | None) -> bool:
    numbers = all(isinstance(x, int | float | complex) for x in (a, b))
    if a == b or not numbers or all(isinstance(x, int) for x in (a, b)):
        return bool(a == b)
    if not (cmath.isfinite(a) and cmath.isfinite(b)):
        return bool(a != a and b != b)
    size = max(abs(a), abs(b))
    return bool(abs(a - b) <= _slack("float32", size, size, rtol, atol))  # it often comes from .item()


def _slack(dtype: str, size: Any, largest: Any, rtol: float | None, atol: float | None) -> Any:
    relative, floor, tiny = TOLERANCE[dtype]
    return (relative if rtol is None else rtol) * size + (floor * largest + tiny if atol is None else atol)


def _unequal_values(xp: Any, a: Any, b: Any, rtol: float | None, atol: float | None) -> str:
    names = [_dtype(x) for x in (a, b)]
    coarser = max((name for name in names if name in TOLERANCE), key=TOLERANCE.__getitem__, default=None)
    numpy = xp.__name__ == "numpy"
    if numpy:  # which knows no bfloat16, and would compare int64 with uint64 as doubles
        a, b = (xp.array(x.astype(sys.modules["mlx.core"].float32) if "bfloat" in _dtype(x) else x) for x in (a, b))
        wide = "complex128" if "c" in (a.dtype.kind, b.dtype.kind) else "float64" if coarser else None
        wide = wide or ("object" if "uint64" in names and names[0] != names[1] else None)
        a, b = (a.astype(wide), b.astype(wide)) if wide else (a, b)
    elif a.dtype in (xp.float16, xp.bfloat16):  # the difference of two may be too large for them
        a, b = a.astype(xp.float32), b.astype(xp.float32)
    with xp.errstate(all="ignore") if numpy else contextlib.nullcontext():
        if coarser:
            size = xp.maximum(xp.abs(a), xp.abs(b))  # that of a finite complex number may be infinite
            finite = xp.isfinite(size)
            size, gap = xp.where(finite, size, 0), xp.where(finite, xp.abs(a - b), 0)
            close = finite & (gap <= _slack(coarser, size, _magnitude(xp, size), rtol, atol))
            same = (a == b) | (xp.isnan(a) & xp.isnan(b)) | close
        else:
            same, gap = a == b, _integer_gap(xp, a, b)
    place = int(xp.argmin(same.flatten()).item())
    if same.flatten()[place].item():
        return ""
    pair = " and ".join(_text(x.flatten()[place], 10) for x in (a, b))
    worst = xp.where(same, 0, gap).max()
    return f"values that differ by up to {_text(worst, 3)}, first {pair}" if worst else f"first {pair}"


def _magnitude(xp: Any, sizes: Any) -> float:
    """Return the largest of some sizes, or :data:`OUTLIER` times the median of those above 0 if that is less."""
    some = xp.sort(sizes.flatten()[:: max(1, sizes.size >> 16)])
    typical = float(some[min(some.size - 1, (some.size + int((some == 0).sum().item())) // 2)].item())
    largest = float(sizes.max().item())
    return min(largest, OUTLIER * typical) if typical else largest


def _integer_gap(xp: Any, a: Any, b: Any) -> Any:
    if str(a.dtype) == "object":
        return abs(a - b)
    wide = xp.uint64 if xp.uint64 in (a.dtype, b.dtype) else xp.int64
    a, b = a.astype(wide), b.astype(wide)  # the difference of two int64 fits into a uint64 alone
    return xp.maximum(a, b).view(xp.uint64) - xp.minimum(a, b).view(xp.uint64)


def _text(value: Any, digits: int) -> str:
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, int) else f"{value:.{digits}g}"
