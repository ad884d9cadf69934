"""Is the compiled function faster, and by how much?  Paired, interleaved timing for MLX.

Blocks of baseline and candidate calls alternate in shuffled order; each pair of blocks gives one ratio, which a slow
drift of the machine cannot bend. :mod:`compile_guide.comparison` makes a ratio and its interval of them.

This file needs the standard library, mlx, and the two files that travel with it: comparison.py and formatting.py.
"""

from __future__ import annotations

import copy
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
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

from compile_guide import CompileGuideError, comparison, mx
from compile_guide.comparison import Comparison, Run, is_array, leaves, median_interval, table
from compile_guide.formatting import Table, format_bytes, format_calls, format_per_second, format_time, printable

__all__ = ["Comparison", "Table", "check_compiling", "compare", "copy_bandwidth", "format_bytes", "format_calls"]
__all__ += ["format_per_second", "format_time", "median_interval", "table"]

SINK, REPLAY = "COMPILE_GUIDE_SINK", "COMPILE_GUIDE_REPLAY"
KERNEL_SUFFIXES = {".so", ".ptx", ".cubin"}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_PAIRS = 48
LOOKS = (12, 24)  # pair counts at which sampling may stop early: few looks, so that stopping hardly bends the interval
WARM_UP_CALLS, WARM_UP_S, LONG_S = 4, 0.01, 0.1
"""Untimed calls before a block, as far as they fit so many seconds, and the seconds from which on a call needs none: after
the other function's calls a function finds its data gone from the caches."""
HARD_CAP = 10
"""A comparison may overrun its budget by this factor to get its fewest pairs; beyond it nothing is compared."""
LONGEST_CALL_S = 15.0
"""Seconds of the longest call that a process of the recorder compares: one pair of such calls is enough there."""
COPY_BYTES, COPY_S = 1 << 28, 0.004
ASKED: set[str] = set()  # names that a replay in this process couldn't give, because their example was never recorded
Tolerances = tuple[float | None, float | None]
SIDES = ("baseline", "candidate")
PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""What a result may hold beside its arrays: there is nothing to evaluate in it."""


class ComparisonError(CompileGuideError, ValueError):
    """Two functions can't be compared as they are: their name, what they return, or what they do to their inputs."""


class CompilingError(CompileGuideError, RuntimeError):
    """Compiled functions run uncompiled in this process, or their kernels can't be built."""


class RecordMissingError(CompileGuideError, LookupError):
    """A replayed record lacks a comparison."""


@dataclass(frozen=True)
class Settings:
    """How long to measure, and how finely: seconds for one comparison in this process, wanted relative half-width."""

    budget_s: float = 2.0
    half_width: float = 0.02
    cache: str = "unknown"
    slow: dict[str, float] = field(default_factory=dict)
    """Comparisons that an earlier process found too slow, with the seconds of one call: they aren't tried again."""
    long: tuple[str, ...] = ()
    """Comparisons whose calls all took more than :data:`LONG_S` in earlier processes: no warm call is made to choose blocks."""
    comparisons: int = 0
    """How many an earlier process made: after as many :class:`Done` ends the script, and their notes are known. 0: none did."""
    longest_call_s: float | None = None
    """Seconds of the longest call that is compared; None: three pairs of such calls must fit :attr:`cap_s`."""

    @property
    def cap_s(self) -> float:
        """Seconds that a comparison of slow calls may take; half of them end its sampling, were it after a single pair."""
        return HARD_CAP * max(self.budget_s, 1.0)

    def too_slow(self, seconds: float) -> bool:
        """Return whether a call is too slow to be compared."""
        return seconds > (self.cap_s / 3 if self.longest_call_s is None else self.longest_call_s)


class Done(BaseException):
    """All that is measured in this process is in the sink: a script under a recorder has nothing left to do."""


def compare(
    name: str,
    baseline: Callable[..., Any],
    candidate: Callable[..., Any],
    *inputs: Any,
    fresh: bool = False,
    bytes_moved: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    compiled: bool = True,
    available: bool | None = None,
    budget: float = 2.0,
    half_width: float = 0.02,
) -> Comparison:
    """Time ``baseline(*inputs)`` against ``candidate(*inputs)`` in turn, after checking that they agree.

    Args:
        name: id of the comparison, unique in a gallery: lower-case letters, digits, ``-`` and ``_``.
        baseline: function that returns an array or a tree (list, tuple, dict) of arrays, of MLX or NumPy. All are evaluated.
        candidate: the same for the function that should be faster, usually ``mx.compile(baseline)``.
        inputs: arguments of both, arrays of any shape or trees of them, evaluated before; neither function may change them.
        fresh: ``baseline(*inputs)`` and ``candidate(*inputs)`` each build fresh state and return the step to time, a
            function of no arguments that returns all that must be evaluated.
        bytes_moved: bytes that one call has to read and write at least; adds GB/s and the share of copy bandwidth.
        rtol: how far floating-point values may lie apart, relative to the larger one. None: by dtype, 1e-5 for float32.
        atol: how far they may lie apart besides. None: four steps of the dtype at the array's largest magnitude, or at 100
            times its median magnitude if that is less.
        compiled: False when the comparison isn't about compiling. When True, a candidate that isn't compiled gets a note.
        available: whether this machine can make the comparison; if not, nothing is called or recorded. None: every one can.
        budget: seconds to spend on pairs of blocks in this process.
        half_width: sampling stops early when half the interval is narrower than this share of the ratio.

    Returns:
        The comparison. With ``COMPILE_GUIDE_SINK=FILE`` set it is appended to FILE as a JSON line; with
        ``COMPILE_GUIDE_REPLAY=FILE`` the record in FILE is read instead.

    Raises:
        ComparisonError: a ValueError: the name is malformed, the functions return different values or no arrays, or
            one of them changes its inputs.
        CompilingError: a RuntimeError, see :func:`check_compiling`.
        RecordMissingError: a LookupError: a replayed record has no comparison of this name.
    """
    if not NAME.fullmatch(name):
        raise ComparisonError(f"comparison name {name!r}: use lower-case letters, digits, '-' and '_', 64 at most")
    if replay := os.environ.get(REPLAY):
        return recorded(Path(replay), name, bytes_moved, optional=available is not None)
    settings, sink = Settings(budget, half_width), os.environ.get(SINK)
    if available is False:
        result = Comparison(name)
    else:
        if sink:
            settings = _settings_of(Path(sink), settings)
        if compiled:
            check_compiling()
        if name in settings.slow:  # not even its inputs are evaluated: they may be half of what made it slow
            result = Comparison(name, (), bytes_moved, settings.slow[name])
        else:
            pair = _Pair(name, [baseline, candidate], inputs, fresh, settings)
            result = pair.measure((rtol, atol), bytes_moved, compiled)
        if sink:
            with Path(sink).open("a+", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
                file.seek(0)
                if settings.comparisons and len(file.readlines()) > settings.comparisons:
                    raise Done
    if not sink:
        print(printable(result.describe(), sys.stdout), flush=True)
    return result


def recorded(file: Path, name: str, bytes_moved: int | None = None, *, optional: bool = False) -> Comparison:
    """Return the comparison of that name from a record; where that has nothing of the running script, an unmeasured one.

    One that is missing beside others of its script is empty if it is optional, else a RecordMissingError.
    """
    entries = _entries(file, file.stat().st_mtime_ns)
    if name in entries:
        return comparison.from_dict(entries[name])
    if Path(sys.argv[0]).stem not in {entry.get("example") for entry in entries.values()}:
        ASKED.add(name)
        return comparison.unmeasured(name, bytes_moved)
    if optional:
        return Comparison(name)
    remedy = "record it again with 'python -m compile_guide record'"
    raise RecordMissingError(f"{file.name} has no comparison {name!r}: {remedy}")


@functools.lru_cache(maxsize=4)
def _entries(file: Path, _changed: int) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(file.read_text(encoding="utf-8"))["comparisons"]}


def _settings_of(sink: Path, default: Settings) -> Settings:
    """Return the settings in the sink's first line, if it has one; a recorder compares slower calls than a script."""
    with sink.open(encoding="utf-8") as file:
        first = json.loads(file.readline() or "{}")
    return Settings(**{**asdict(default), "longest_call_s": LONGEST_CALL_S, **({} if "runs" in first else first)})


def check_compiling() -> None:
    """Raise a CompilingError with a remedy unless a compiled function really compiles here.

    With compiling switched off, or without a C++ compiler on the CPU backend (MLX 0.32.0 and later), MLX runs the
    Python body at every call and says nothing; a compiler that fails raises when the kernel is evaluated.
    """
    traces = []

    def probe(x: Any) -> Any:
        traces.append(1)
        return mx.arctan(x) * 3 - x

    compiled, x = mx.compile(probe), mx.ones(2)
    try:
        for _ in range(3):  # a process's very first compiled call may trace twice, so two calls can't decide
            mx.eval(compiled(x))
    except RuntimeError as error:
        raise CompilingError(f"MLX can't build a compiled kernel here; is g++ whole? MLX says: {error}") from error
    if len(traces) == 3:
        raise CompilingError(
            "compiled functions run uncompiled here. Unset MLX_DISABLE_COMPILE, don't call mx.disable_compile(), and on"
            " MLX's CPU backend install a C++ compiler named g++ (Debian: apt-get install g++)"
        )


@functools.cache
def copy_bandwidth() -> float:
    """Return bytes per second, read plus written, of a large copy on the default device: the best of five.

    256 MiB are copied; where that is over in a moment, so that starting it would count, four and sixteen times as much,
    as far as it fits into a sixteenth of the memory.
    """
    about = mx.device_info()
    room = int(about.get("memory_size") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    size = COPY_BYTES
    while (seconds := _copy_s(size)) < COPY_S and 4 * size <= min(room // 16, 16 * COPY_BYTES):
        size *= 4
    return 2 * size / seconds


def _copy_s(size: int) -> float:
    mx.eval(half := mx.zeros(size // 8))
    side = _Side(lambda: mx.concatenate([half, half]), ())
    return min(side.block() for _ in range(5))


def temp_folder() -> Path:
    """Return the folder for temporary files as MLX finds it: it takes what is named, be that writable or not."""
    return Path(next(filter(None, map(os.environ.get, ("TMPDIR", "TMP", "TEMP", "TEMPDIR"))), "/tmp"))


def kernel_files(since: float = 0.0) -> int | None:
    """Count the kernels that MLX keeps as files, written since a time; None where there are none, as with Metal."""
    if mx.metal.is_available() and mx.default_device() != mx.Device(mx.cpu):
        return None  # its CPU side may have left some, which say nothing of what is measured
    folder = temp_folder() / "mlx" / getattr(mx, "__version__", "")
    folders = [folder / "cpu", Path(os.environ.get("MLX_PTX_CACHE_DIR") or folder / "ptx")]
    # check_compiling() has built a kernel already, so none at all means that they are kept elsewhere
    files = (file for place in folders for file in place.rglob("*") if file.suffix in KERNEL_SUFFIXES)
    return sum(not since or file.stat().st_mtime >= since for file in files) or None


def fused_kernels(result: Any) -> int:
    """Return how many kernels that ``mx.compile`` fused are in the graph of a result that isn't evaluated yet."""
    text, arrays = io.StringIO(), [leaf for _, leaf in leaves(result) if isinstance(leaf, mx.array)]
    if arrays:
        mx.export_to_dot(text, *arrays)
    return text.getvalue().count('"Compiled')


def _check_arrays(name: str, which: str, result: Any) -> None:
    """Raise a ComparisonError unless ``mx.eval`` reaches all that a function returned, and that holds an array."""
    found = list(leaves(result, dataclasses=False))
    strange = [(path, leaf) for path, leaf in found if not (is_array(leaf) or isinstance(leaf, PLAIN))]
    if not strange and any(is_array(leaf) for _, leaf in found):
        return
    path, leaf = strange[0] if strange else ("", None)
    what = type(leaf).__name__ if strange else f"{result!r:.60}, in which there is no array"
    what = f"the {which} returns {what}{f' (at {path})' if path else ''}; so nothing would be evaluated and timed"
    raise ComparisonError(f"{name}: {what}. Return an array, or a list, tuple or dict of arrays")


def _copies(inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values in a tuple of inputs by their places, copied: they stay when an input is changed in place."""
    return {path: copy.copy(leaf) for path, leaf in leaves(inputs) if is_array(leaf) or isinstance(leaf, PLAIN)}


def _rounded(value: float) -> float:
    """Keep six digits: more than any clock here is good for."""
    return float(f"{value:.6g}")


class _Side:
    """One of the two functions: calls it, keeps its first call's time, its block length and its memory."""

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self.function, self.inputs, self.evaluate = function, inputs, mx.eval
        self.first_s = self.call_s = 0.0
        self.calls, self.warm_ups, self.peak = 1, 0, 0
        self.built: int | None = None
        self.python: Counter[CodeType] = Counter()

    def call(self) -> Any:
        """Call once, evaluate all that it returns, and return that; keep the seconds."""
        start = time.perf_counter()
        result = self.function(*self.inputs)
        self.evaluate(result)
        self.call_s = time.perf_counter() - start
        return result

    def first_call(self) -> Any:
        """Call for the first time, and count the kernel files that this wrote."""
        before = kernel_files()
        result, self.first_s = self.note_peak(self.call), self.call_s
        self.built = None if before is None else max(0, (kernel_files() or 0) - before)
        return result

    def count_python(self) -> Counter[CodeType]:
        """Call once and count the Python functions that run, :meth:`call` among them; a compiled one's body is none."""
        calls, before = Counter[CodeType](), sys.getprofile()

        def count(frame: FrameType, event: str, _argument: object) -> None:
            calls[frame.f_code] += event == "call"

        sys.setprofile(count)
        try:
            self.call()
        finally:
            sys.setprofile(before)
        return calls

    def note_peak(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns; keep the memory that it needs beyond what is held already."""
        mx.reset_peak_memory()
        before, result = mx.get_active_memory(), call()
        self.peak = max(0, mx.get_peak_memory() - before)
        return result

    def calibrate(self, target_s: float) -> None:
        """Choose how many calls a block takes, so that reading the clock and the loop are lost in it, and how many before."""
        if self.call_s < target_s:
            self.calls = max(1, math.ceil(target_s / 8 / self.call_s))
            self.call_s = min(self.call_s, self.block())
        self.calls = max(1, math.ceil(target_s / self.call_s))
        self.warm_ups = 0 if self.call_s > LONG_S else min(WARM_UP_CALLS, math.ceil(WARM_UP_S / self.call_s))

    def block(self) -> float:
        """Time one block; return seconds a call. Nothing but the calls stands between the clock's readings."""
        evaluate, function, inputs, clock = self.evaluate, self.function, self.inputs, time.perf_counter
        for _ in repeat(None, self.warm_ups):
            evaluate(function(*inputs))
        start = clock()
        for _ in repeat(None, self.calls):
            evaluate(function(*inputs))
        return (clock() - start) / self.calls


class _Pair:
    """A baseline and a candidate on their way to a :class:`Comparison`."""

    def __init__(self, name: str, sides: list[Any], inputs: tuple[Any, ...], fresh: bool, settings: Settings) -> None:
        self.name, self.settings, self.fresh, self.inputs = name, settings, fresh, inputs
        mx.eval([leaf for _, leaf in leaves(inputs) if isinstance(leaf, mx.array)], mx.ones(2) + 1)
        if fresh:
            sides, inputs = [side(*inputs) for side in sides], ()
            for which, step in zip(SIDES, sides, strict=True):
                if not callable(step):
                    words = f"with fresh=True the {which} must return the step to time, a function of no arguments"
                    raise ComparisonError(f"{name}: {words}; it returns {type(step).__name__}")
        self.sides = (_Side(sides[0], inputs), _Side(sides[1], inputs))
        # mx.grad and mx.vmap return the same type as mx.compile, hence the look into the graph.
        suspicious = type(sides[0]) is type(mx.compile(abs)) and fused_kernels(sides[0](*inputs))
        self.note = "the baseline is a compiled function too" if suspicious else ""

    def first_calls(self, tolerances: Tolerances) -> float | None:
        """Time first calls and check that results agree, of steps with state thrice; return a too slow baseline's seconds."""
        before, (baseline, _) = _copies(self.inputs), self.sides
        for number in range(3 if self.fresh else 1):
            results = []
            for which, side in zip(SIDES, self.sides, strict=True):
                result = side.note_peak(side.call) if number else side.first_call()
                _check_arrays(self.name, which, result)
                results.append(copy.deepcopy(result))  # another call may fill the same arrays again
                if side is baseline and self.settings.too_slow(side.call_s):
                    if not self.fresh:
                        results = [copy.deepcopy(side.call())]  # the first may have built kernels
                    if (number or not self.fresh) and self.settings.too_slow(side.call_s):
                        return float(f"{side.call_s:.3g}")
                self._check_inputs(which, before)
            if words := comparison.difference(results[0], results[1], *tolerances):
                self._refuse(results, words, tolerances)
        return None

    def _check_inputs(self, which: str, before: dict[str, Any]) -> None:
        after = _copies(self.inputs)
        words = "" if before.keys() == after.keys() else f"{len(before)} values became {len(after)}"
        changes = ((path, comparison.unequal(before[path], after[path], 0, 0)) for path in before if not words)
        if words := words or next((f"inputs{path}: {change}" for path, change in changes if change), ""):
            remedy = "Work on a copy" if self.fresh else "Work on a copy, or build fresh state for each with fresh=True"
            words = f"the {which} changes its inputs ({words}), so the two functions don't get the same ones"
            raise ComparisonError(f"{self.name}: {words}. {remedy}")

    def _refuse(self, results: list[Any], words: str, tolerances: Tolerances) -> NoReturn:
        """Raise a ComparisonError that says whether a function disagrees with itself or with the other one."""
        for which, side, result in zip(SIDES, self.sides, results, strict=True):
            if not self.fresh and comparison.difference(result, side.call(), *tolerances):
                raise ComparisonError(
                    f"{self.name}: {words}. The {which} returns other values at its second call: it keeps state, or draws"
                    " random numbers. Build fresh state for each side with fresh=True, and set the seed there"
                )
        raise ComparisonError(
            f"{self.name}: {words}. The candidate must return what the baseline returns: correct it, or pass rtol= or"
            " atol= where the difference is one of rounding"
        )

    def measure(self, tolerances: Tolerances, bytes_moved: int | None, compiled: bool) -> Comparison:
        """Check both sides, then sample pairs until the interval is narrow enough or the budget is spent."""
        if (slow := self.first_calls(tolerances)) is not None:
            return Comparison(self.name, (), bytes_moved, slow, self.note)
        for side in self.sides:
            if self.name not in self.settings.long:  # once more, for the time and the Python of a warm call
                side.python = side.note_peak(side.count_python)
            side.calibrate(max(5e-4, self.settings.budget_s / (2 * MAX_PAIRS)))
        note = self.note or (self.uncompiled_note() if compiled and not self.settings.comparisons else "")
        baseline_s, candidate_s = (tuple(map(_rounded, times)) for times in self._samples())
        baseline, candidate = self.sides
        run = Run(
            *(baseline_s, candidate_s, _rounded(baseline.first_s), _rounded(candidate.first_s), self.settings.cache),
            *(baseline.calls, candidate.calls, baseline.peak, candidate.peak),
            copy_bandwidth=_rounded(copy_bandwidth()) if bytes_moved else None,
            built=candidate.built,
        )
        return Comparison(self.name, (run,), bytes_moved, note=note)

    def uncompiled_note(self) -> str:
        """Return a note if switching compiling off changes nothing in the candidate, or only what it does in the baseline."""
        baseline, candidate = self.sides
        plain, fast = baseline.python.total(), candidate.python.total()
        if fast < 2 and type(candidate.function) is not type(mx.exp):
            return ""  # a compiled function alone runs no Python
        mx.disable_compile()
        try:
            more_plain, more_fast = (side.count_python() - side.python for side in self.sides)
        finally:
            mx.enable_compile()
        if more_fast:  # both sides may call compiled functions such as nn.gelu, but most of what runs is not in them
            compiled = bool(more_fast - more_plain) or fast <= max(3, 2 * more_fast.total())
        else:
            compiled = fast < plain and fused_kernels(candidate.function(*candidate.inputs)) > 0
        much = "as much Python as the baseline's" if fast >= plain else "nearly the same Python with compiling off"
        return "" if compiled else f"the candidate isn't compiled in effect: each call runs {much}"

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
                if (spent >= budget and pairs >= 3) or spent >= self.settings.cap_s / 2:
                    break
                ends = median_interval([b / c for b, c in zip(*times, strict=True)]) if pairs in LOOKS else None
                if ends and ends[1] - ends[0] <= self.settings.half_width * (ends[0] + ends[1]):
                    break
        finally:
            if collecting:
                gc.enable()
        return times
