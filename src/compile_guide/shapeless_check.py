"""Does my function stay right under ``mx.compile(…, shapeless=True)``?  Ask before you switch it on.

A function compiled shapeless is traced at its first size and runs that trace for every other one. What it read from
a shape in Python is frozen then, and MLX rarely notices: many functions return wrong values without an error.

It needs the standard library, mlx, and comparison.py and formatting.py, which travel with it.
"""

from __future__ import annotations

import copy
import functools
import importlib
import io
import itertools
import json
import marshal
import math
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from compile_guide import CompileGuideError, mx
from compile_guide.comparison import difference, is_array, leaves

RIGHT = "right"
FIRST = "throws at the first call"
SECOND = "throws on the second size"
WRONG = "silently wrong"
ENDS = "ends the process"
RAISED, STRANGE = "the function itself raised an error", "the function returns what can't be compared"
FEW, MANY, LONGEST, LARGEST = 8, (4, 16, 64, 256), 1024, 2**16
"""How many of the smallest steps and of the steps from the small to the large size are made, and the longest axis and the most
values of an array that are made so: a cut such as ``x[:8]`` begins to act at some size only."""
ENOUGH_S, LIMIT_S = 2.0, 300.0  # seconds after which no further size is tried, and after which a trial is given up
Tolerances = tuple[float | None, float | None]
Trial = tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...], Tolerances]
"""A function, its arguments in the small and in the large size, and how far results may lie apart."""


class SizeError(CompileGuideError, ValueError):
    """The two sizes can't show whether a function is right."""


class TrialError(CompileGuideError, RuntimeError):
    """The trial could not be made."""


@dataclass(frozen=True)
class Check:
    """What a function did at larger sizes: one of the five outcomes above, and a few words on what was seen."""

    outcome: str
    seen: str = ""
    sizes: tuple[str, ...] = field(default=(), compare=False)
    """What the outcome holds for: the size of the trace, then those of the later calls."""
    note: str = field(default="", compare=False)  # why the trial ran in the caller's process, if it did

    def __str__(self) -> str:
        """Return the outcome, what was seen, and the sizes that this holds for."""
        text = f"{self.outcome}: {self.seen}" if self.seen else self.outcome
        if self.sizes:
            text += f" (traced with {self.sizes[0]}, called with {', '.join(self.sizes[1:]) or 'no other size'})"
        return f"{text}; tried in this process: {self.note}" if self.note else text


def check_shapeless(
    fun: Callable[..., Any], small: Any, large: Any, *, rtol: float | None = None, atol: float | None = None
) -> Check:
    """Compile ``fun`` shapeless, call it with ``small``, then with larger sizes, and compare with ``fun`` itself.

    After ``large``, sizes are tried between the two and beyond, as far as ``fun`` takes them: in the same direction, and
    with one length longer alone. An array of one value over and over gets several values there. The outcome holds for the
    sizes in ``Check.sizes``; nothing is known of others, above all of ones smaller than ``small``.

    A wrong trace may write beyond an array's end, so the trial runs in a fresh Python process, to which ``fun`` is sent by
    value; what ends that one is an outcome, too. What can't be sent (such as an open file, or a function compiled in a
    script) is tried in this process, with ``large`` alone, and ``Check.note`` says so. ``fun`` may change its arguments.

    Args:
        fun: returns an array or a tree (list, tuple, dict, dataclass) of arrays, numbers, text and None.
        small: its argument, or a tuple of its arguments, each an array or a tree (list, dict, named tuple) of arrays and numbers.
        large: the same with other sizes: no axis may be shorter, one must be longer; dtypes and numbers are the same.
        rtol: see :func:`compile_guide.timing.compare`; so is what counts as equal.
        atol: the same.

    Raises:
        SizeError: a ValueError: the two sizes would need two traces, are equal, or an axis of ``large`` is shorter.
        TrialError: a RuntimeError: compiled functions run uncompiled in this process, or the trial took too long.
    """
    first, second = (size if type(size) is tuple else (size,) for size in (small, large))
    _check_sizes(first, second)
    runs = itertools.count()
    probe = mx.compile(lambda: mx.array(next(runs)))
    for _ in range(3):  # the first call of a process may trace twice
        probe()
    if next(runs) == 3:
        raise TrialError("compiling is off here, so nothing can be checked")
    mx.eval(first, second)
    trial = (fun, first, second, (rtol, atol))
    try:
        check = _in_child(trial)
    except pickle.PicklingError as error:
        *_, check = _trial(trial, most=1)
        check = replace(check, note=str(error))
    if check.outcome == RAISED:
        for size in (first, second):
            fun(*_copied(size))  # raises here too, with its traceback
    if check.outcome in (RAISED, STRANGE):
        raise TrialError(f"{check.outcome}, so nothing was checked: {check.seen}")
    return check


def _trial(trial: Trial, most: int | None = None, seed: Callable[[int], Any] = lambda number: None) -> Iterator[Check]:
    """Try at most so many sizes until one is not right: yield the sizes before each trial, and the outcome at the end."""
    fun, small, large, tolerances = trial

    def seeded(*arguments: Any) -> Any:
        seed(0)  # so that a function that draws random numbers can be compared with itself
        return fun(*arguments)

    def plain(size: Any) -> Any:
        result = seeded(*_copied(size))
        mx.eval([leaf for _, leaf in leaves(result) if is_array(leaf)])
        return result

    mx.eval(small, mx.zeros(1) + 1)  # the first work of a process would be traced twice
    check, end = Check(RIGHT), math.inf
    sizes: tuple[str, ...] = (_shapes(small, small, large),)
    yield Check(ENDS, sizes=sizes)
    for size in itertools.islice(_sizes(small, large), most):
        try:
            wanted = plain(size)
        except Exception as error:
            if len(sizes) == 1:
                check = Check(RAISED, words(error))
                break
            continue  # the function itself takes no such size
        sizes += (_shapes(size, small, large),)
        yield Check(ENDS, sizes=sizes)
        arguments = (_copied(small), _copied(size))
        check = try_sizes(mx, seeded, *arguments, wanted=lambda result=wanted: result, tolerances=tolerances)  # type: ignore[misc]
        if check.outcome == FIRST:
            try:
                plain(small)
            except Exception as error:
                check = Check(RAISED, words(error))
        end = min(end, time.perf_counter() + ENOUGH_S)  # the first size may have built kernels
        if check.outcome != RIGHT or time.perf_counter() > end:
            break
    yield replace(check, sizes=sizes)


def try_sizes(mx: Any, fun: Any, first: Any, second: Any, *, wanted: Callable[[], Any], tolerances: Any = ()) -> Check:
    """Call ``fun`` compiled shapeless with two sizes and compare what the second gives with ``wanted()``."""
    compiled, outcome = mx.compile(fun, shapeless=True), FIRST
    try:
        for size in (first, second):
            got = compiled(*size)
            mx.eval([leaf for _, leaf in leaves(got) if isinstance(leaf, mx.array)])
            outcome = SECOND
    except Exception as error:  # any type is an outcome
        return Check(outcome, words(error))
    return _compare(got, wanted(), tolerances)


def words(error: Exception) -> str:
    """Return an error's type and message on one line."""
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")


def _compare(got: Any, wanted: Any, tolerances: Any) -> Check:
    have, want = list(leaves(got)), list(leaves(wanted))
    if len(have) != len(want):
        return Check(WRONG, f"{len(have)} arrays instead of {len(want)}")
    for (path, a), (other, b) in zip(have, want, strict=True):
        where = f" at {path}" if path else ""
        if path != other:
            return Check(WRONG, f"a value{where} instead of {other}")
        if is_array(a) and is_array(b) and tuple(a.shape) != tuple(b.shape):
            return Check(WRONG, f"shape {tuple(a.shape)} instead of {tuple(b.shape)}{where}")
        if not is_array(b) and b is not None and type(b).__eq__ is object.__eq__:  # type: ignore[comparison-overlap]
            return Check(STRANGE, f"{type(b).__name__}{where}")
        try:
            differs = difference(b, a, *tolerances)
        except Exception:  # whatever the == of a user's object raises
            return Check(STRANGE, f"{type(b).__name__}{where}")
        if differs:
            one_number = not is_array(a) and not is_array(b)
            return Check(WRONG, f"{a!r:.40} instead of {b!r:.40}{where}" if one_number else f"other values{where}")
    return Check(RIGHT)


def _check_sizes(small: tuple[Any, ...], large: tuple[Any, ...]) -> None:
    kinds = [
        [(path, (x.dtype, len(x.shape)) if is_array(x) else repr(x)) for path, x in leaves(size)]
        for size in (small, large)
    ]
    if kinds[0] != kinds[1]:
        same = "the same number of arrays, dimensions and dtypes, and the same numbers beside them"
        raise SizeError(f"give both sizes {same}: else MLX traces again")
    axes = [(n, m) for a, b in _array_pairs(small, large) for n, m in zip(a.shape, b.shape, strict=True)]
    if any(m < n for n, m in axes):
        raise SizeError("let no axis of the second size be shorter than in the first: a wrong trace may crash there")
    if all(m == n for n, m in axes):
        raise SizeError("the two sizes are equal, so nothing would be checked: let an axis of the second be longer")


def _array_pairs(small: Any, large: Any) -> list[tuple[Any, Any]]:
    return [(a, b) for (_, a), (_, b) in zip(leaves(small), leaves(large), strict=True) if is_array(a)]


def _shapes(size: Any, small: Any, large: Any) -> str:
    """Return the shapes of those arrays whose size varies, such as "(3, 4) and (3,)"."""
    triples = zip(_array_pairs(size, size), _array_pairs(small, large), strict=True)
    shapes = [str(tuple(x.shape)) for (x, _), (a, b) in triples if tuple(a.shape) != tuple(b.shape)]
    return " and ".join(dict.fromkeys(shapes))


def _map(function: Callable[..., Any], *trees: Any) -> Any:
    from mlx.utils import tree_map

    return tree_map(function, *trees, is_leaf=lambda part: isinstance(part, dict) and type(part) is not dict)


def _copied(tree: Any) -> Any:
    return _map(lambda leaf: copy.copy(leaf) if is_array(leaf) else leaf, tree)


def _lengths(pairs: list[tuple[int, int]]) -> list[dict[tuple[int, int], int]]:
    """Return the lengths of the axes that vary, each by its lengths in the small and in the large size."""
    step = math.gcd(*(m - n for n, m in pairs))
    numbers = dict.fromkeys((step, 2 * step, *range(1, FEW + 1), *(step * factor for factor in MANY)))
    together = [{(n, m): n + number * (m - n) // step for n, m in pairs} for number in numbers]
    alone = [{pair: pair[pair == longer] for pair in pairs} for longer in pairs]
    return [*together[:2], *(alone if len(pairs) > 1 else ()), *together[2:]]


def _sizes(small: Any, large: Any) -> Iterator[Any]:
    """Yield the large size, and others, filled with the large one's values over and over."""

    def fits(shape: list[tuple[int, int]], lengths: dict[tuple[int, int], int]) -> bool:
        new, known = [lengths.get(pair, pair[1]) for pair in shape], [m for _, m in shape]
        short = max(new, default=0) <= max(LONGEST, *(1.1 * m for m in known), 0)
        return short and math.prod(new) <= max(LARGEST, 1.1 * math.prod(known))

    shapes = [list(zip(a.shape, b.shape, strict=True)) for a, b in _array_pairs(small, large)]
    yield large
    for lengths in _lengths(list(dict.fromkeys((n, m) for shape in shapes for n, m in shape if n != m)))[1:]:
        if all(fits(shape, lengths) for shape in shapes):
            yield _map(functools.partial(_stretched, lengths), small, large)


def _stretched(lengths: dict[tuple[int, int], int], a: Any, b: Any) -> Any:
    if not isinstance(b, mx.array) or a.shape == b.shape:
        return b
    for axis, pair in enumerate(zip(a.shape, b.shape, strict=True)):
        if pair in lengths:
            b = mx.take(b, mx.arange(lengths[pair]) % pair[1], axis)
    whole, real = (mx.issubdtype(b.dtype, kind) for kind in (mx.integer, mx.floating))
    if (whole or real) and b.size and (b == (first := b.flatten()[0])).all():
        # Among equal values a frozen index would not show. Integers may be indices: few are valid, the next to 0 is.
        more = mx.arange(b.size) / b.size if real else mx.arange(b.size) % 2 * (-1 if first > 0 else 1)
        b = b + more.reshape(b.shape).astype(b.dtype)
    return b


# The process of a trial -----------------------------------------------------------------------------------------------


def _in_child(trial: Trial) -> Check:
    """Run a trial in a fresh Python process: the last line that it writes is the outcome.

    Raises PicklingError, which says why, where the trial can't be sent to another process.
    """
    import subprocess  # a process that measures does without

    code = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import _child; _child()"
    data = io.BytesIO()
    try:
        _Sender(data).dump((mx.default_device().type, trial))
    except Exception as error:  # whatever an object raises that doesn't want to be pickled
        raise pickle.PicklingError(words(error)) from error
    command = [sys.executable, "-c", code, *sys.path]
    try:
        child = subprocess.run(command, input=data.getvalue(), capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"the trial took longer than {LIMIT_S:.0f} s and was ended") from error
    lines = [json.loads(line) for line in child.stdout.decode().splitlines()]
    if not lines:
        raise pickle.PicklingError(child.stderr.decode().strip().rpartition("\n")[2] or "no process could be started")
    outcome, seen, sizes = lines[-1]
    check = Check(outcome, seen, tuple(sizes))
    if check.outcome == ENDS:
        end = child.returncode
        how = signal.Signals(-end).name if end < 0 else f"exit status {end}"
        check = replace(check, seen=how if len(check.sizes) > 1 else f"{how}, in the plain function")
    return check


def _child() -> None:
    """Run the trial that comes through standard input; write a line before each step that may end the process."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the function prints is no line of ours
    device, trial = pickle.load(sys.stdin.buffer)
    mx.set_default_device(device)
    for check in _trial(trial, seed=mx.random.seed):
        print(json.dumps([check.outcome, check.seen, check.sizes]), file=out, flush=True)


class _Sender(pickle.Pickler):
    """Pickles what can be imported by its name, and functions and classes that can't (lambdas, a script's own) by value."""

    def reducer_override(self, value: Any) -> Any:
        """Return how to make a value again, NotImplemented where pickle knows."""
        if isinstance(value, ModuleType):
            return importlib.import_module, (value.__name__,)
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if type(value).__name__ == "Dtype":
            module, _, name = str(value).rpartition(".")
        if module != "__main__" and module in sys.modules and name and _named(module, name) is value:
            return NotImplemented if type(value) in (FunctionType, type) else (_named, (module, name))
        for home in ("dataclasses", "types"):  # dataclasses.MISSING is known by its identity alone
            for held_as, held in vars(sys.modules[home]).items():
                if held is value:
                    return _named, (home, held_as)
        if type(value) is FunctionType:  # a function made by mx.compile claims to be one
            cells, known = value.__closure__ or (), value.__globals__
            variables = {name: known[name] for name in names_in(value.__code__) & known.keys()}
            kept = {**vars(value), "__defaults__": value.__defaults__, "__kwdefaults__": value.__kwdefaults__}
            state = (variables, [cell.cell_contents for cell in cells], kept)
            return _function, (marshal.dumps(value.__code__), len(cells)), state, None, None, _fill
        if isinstance(value, type):
            kept = {k: v for k, v in vars(value).items() if k not in ("__dict__", "__weakref__", "_abc_impl")}
            return type(value), (value.__name__, value.__bases__, {}), ({}, [], kept), None, None, _fill
        if isinstance(value, staticmethod | classmethod):
            return type(value), (value.__func__,)
        if isinstance(value, property):
            return property, (value.fget, value.fset, value.fdel)
        if isinstance(value, MappingProxyType):
            return MappingProxyType, (dict(value),)
        if type(value).__name__ == "_gc_func":
            raise pickle.PicklingError("a function made by mx.compile, mx.grad or mx.vmap can't be sent")
        return NotImplemented


def _named(module: str, name: str) -> Any:
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def names_in(code: CodeType) -> set[str]:
    """Return the names that a function and those within it look up: global variables, and attributes."""
    return set(code.co_names).union(*(names_in(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _function(code: bytes, cells: int) -> FunctionType:
    """Make a function without its variables; they come afterwards, because they may hold the function itself."""
    cell_types = tuple(CellType() for _ in range(cells))
    return FunctionType(marshal.loads(code), {"__name__": "__main__"}, None, None, cell_types)


def _fill(value: Any, state: tuple[dict[str, Any], list[Any], dict[str, Any]]) -> None:
    """Give a function its global variables, those of the functions around it, and its attributes; a class the last alone."""
    variables, contents, attributes = state
    if variables:
        value.__globals__.update(variables)
    for cell, content in zip(getattr(value, "__closure__", None) or (), contents, strict=True):
        cell.cell_contents = content
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
