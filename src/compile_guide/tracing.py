"""How often did MLX trace my function, and why?  A log of traces for functions that ``mx.compile`` compiles.

MLX runs a compiled function's Python body on placeholders, once for each new signature, and keeps the graph
it gets: that run is a *trace*. MLX counts none and names no reason.

It needs the standard library and mlx alone. MLX 0.32.4 decides between a trace and a cached call by the thread, the function
object, the default stream, number, dtypes and shapes of all arrays, and, for the arguments only, containers, keys in their
order, keyword spelling, and the bits of Python numbers and strings.
"""

from __future__ import annotations

import functools
import gc
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from types import FrameType, MethodType
from typing import Any

from compile_guide import CompileGuideError, mx

SHOWN, KEPT, NEAR = 60, 10_000, 16
"""Rows that a table shows, rows that are kept, and latest traces that a new one is compared with."""
LOOKED_AT, DEPTH, FRAMES, YOUNG, JUST_COLLECTED = 16, 100, 100, 50_000, 100
"""At most so many arrays of a call, levels of a tree, calling frames and young objects are looked at; fewer young ones than the
last mean that the garbage collector has just run."""
Keys = tuple[Any, ...]
EAGER, OFF = "eager call (not compiled here)", "eager call (compiling is off)"
INLINED = "run inside the trace of another compiled function"


class TooManyTraces(CompileGuideError, RuntimeError):
    """A function was traced more often than ``max_traces`` of :func:`watch` allows."""


@dataclass(frozen=True)
class _Node:
    """An argument or a part of one, as MLX's cache sees it: ``key`` and parts are compared, ``text`` is printed."""

    kind: str
    key: Any
    text: str = field(compare=False)
    parts: tuple[_Node, ...] = ()


@dataclass(frozen=True)
class _Signature:
    arguments: _Node
    keywords: _Node
    captured: tuple[tuple[str, _Node], ...]
    batch: int | None  # size of the axis over which a compiled mx.vmap maps the function
    owner: int | None  # for a method, its object's id
    thread: int
    stream: str | None
    """None: the thread had no default stream yet, because it had done no MLX work (MLX 0.32.3 and later)."""


def watch(fun: Callable[..., Any], inputs: Any = None, max_traces: int | None = None) -> Watched:
    """Wrap a function so that each run of its Python body is counted and explained; compile the result.

    Args:
        fun: the function to be compiled; its arguments may be whatever ``mx.compile`` takes.
        inputs: the tree that ``mx.compile`` gets as ``inputs=``, if any. Only read, to name changes in it.
        max_traces: how many traces are right; the next one raises. None: any number.

    Returns:
        A callable to hand to ``mx.compile``. Called without it, or with compiling off, it runs ``fun`` as is. As a
        decorator of a method, it is bound as the method would be.

    Raises:
        TypeError: ``fun`` cannot be called.
        TooManyTraces: at the trace that is one too many, with the reason; so a test may say how many traces are right.

    ::

        watched = watch(train_step, max_traces=1)
        step = mx.compile(watched)
        for batch in batches:
            step(batch)  # raises TooManyTraces where a batch is traced anew
        print(watched)
    """
    if not callable(fun):
        raise TypeError(f"watch() needs a function, but got {type(fun).__name__}")
    return Watched(fun, inputs, max_traces)


class Watched:
    """A function that keeps a log of its traces; made by :func:`watch`.

    Limits: a call that never reaches Python is not seen: a cached one, one that MLX refuses before it runs the body
    (an integer beyond 64 bits), any where the watched function is compiled already. Eager calls look like traces under
    ``mx.vmap``, and where neither the arguments nor ``inputs`` hold an array. A change of captured inputs that
    ``inputs`` doesn't name, and a new function compiled around this one, look like a flushed cache. With
    ``shapeless=True`` a reason may name a shape beside the true cause.
    """

    def __init__(self, fun: Callable[..., Any], inputs: Any = None, max_traces: int | None = None) -> None:
        """Keep the function; see :func:`watch`."""
        self._fun, self._inputs, self._max_traces = fun, inputs, max_traces
        self._threads: set[int] = set()
        self.reset()
        functools.update_wrapper(self, fun, updated=())

    def reset(self) -> None:
        """Forget all that was seen. MLX's cache stays, so signatures that it knows are not traced again."""
        self._traces = self._runs = 0
        self._rows: list[tuple[int | None, str]] = []
        self._recent: deque[_Signature] = deque(maxlen=NEAR)
        self._known: dict[tuple[int, str | None], int] = {}
        self._ended: dict[int, str] = {}

    @property
    def traces(self) -> int:
        """How often MLX traced the function; eager calls, and runs inside other functions' traces, are left out."""
        return self._traces

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the Python body ran: one text a run, in order; an eager call's starts with ``eager call``. The first 10,000."""
        return tuple(reason for _, reason in self._rows)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function and log why. What it raises is logged by name and raised on."""
        number, reason = self._log(args, kwargs)
        try:
            if self._max_traces is not None and number is not None and number > self._max_traces:
                raise TooManyTraces(f"{self._name()}: trace {number}, but max_traces is {self._max_traces}: {reason}")
            return self._fun(*args, **kwargs)
        except BaseException as error:
            if number is not None and len(self._ended) < KEPT:
                ended = f"trace {number} ended with {type(error).__name__}"
                ours = isinstance(error, Exception)
                self._ended[number] = ended if ours else f"the trace before was interrupted: {ended}"
            raise

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """Bind as a method, like the function itself."""
        return self if owner is None else MethodType(self, owner)

    def __getattr__(self, name: str) -> Any:
        """Return what the function has under a name that this object lacks."""
        if name == "_fun":
            raise AttributeError(name)  # while a copy is made
        return getattr(self._fun, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle as the function would be: by its name where a module has this object under it."""
        found: Any = sys.modules.get(str(self.__dict__.get("__module__")))
        for part in str(self.__dict__.get("__qualname__")).split("."):
            found = getattr(found, part, None)
        return self.__qualname__ if found is self else super().__reduce_ex__(protocol)

    def _log(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int | None, str]:
        """Note a run of the body; return the trace's number, None where it is none, and the reason."""
        owner = None
        if args and getattr(type(args[0]), self.__dict__.get("__name__", ""), None) is self:  # called as its method
            owner, args = id(args[0]), args[1:]
        # twice where that makes the thread's stream, thrice where nothing is compiled
        runs = _runs(probes()[0], (), 3)
        if reason := OFF if runs == 3 else self._untraced(args, kwargs):
            with _LOCK:
                self._note(None, reason)
            return None, reason
        stream = None if runs == 2 else str(mx.default_stream(mx.default_device()))
        captured = tuple(
            ("captured inputs" + "".join(f"[{_text(key)}]" for key in keys), describe(array))
            for keys, array in arrays_of(self._inputs)
        )
        arguments, keywords, batch = describe(args), describe(kwargs), _batch_size(args)
        with _LOCK:
            self._threads.add(_THREAD.number)
            new = _Signature(arguments, keywords, captured, batch, owner, _THREAD.number, stream)
            call = hash(replace(new, stream=None))
            reason = self._reason(new, call)
            if reason.startswith("cache was") and _batch_size(args, placeholders=False):
                reason = f"mx.vmap ran it uncompiled, or the {reason}"
            self._traces += 1
            self._recent.append(new)
            if len(self._known) < KEPT or (call, stream) in self._known:
                self._known[call, stream] = self._traces
            self._note(self._traces, reason)
            return self._traces, reason

    def _untraced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return why a run of the body is no trace, "" where it is one."""
        arrays = first_arrays((args, kwargs)) or first_arrays(self._inputs)
        if arrays and _real(arrays):
            return EAGER
        if arrays and _inside_another(arrays):
            return INLINED
        return "" if _compilable((args, kwargs)) else EAGER

    def _note(self, number: int | None, reason: str) -> None:
        self._runs += 1
        if len(self._rows) < KEPT:
            self._rows.append((number, reason))

    def _reason(self, new: _Signature, call: int) -> str:
        """Look for an earlier trace of the same call; else compare with the nearest of the latest traces."""
        if not self._recent:
            return "first call"
        number = self._known.get((call, new.stream), self._known.get((call, None)))
        if number is None:
            changes = min((_changes(old, new) for old in reversed(self._recent)), key=len)
            return "; ".join(changes) or "cache was flushed"
        if number in self._ended:
            return f"{self._ended[number]} (same arguments)"
        if (call, new.stream) not in self._known:
            return f"trace {number} was its thread's first MLX work (same arguments)"
        return f"cache was flushed (same arguments as trace {number})"

    def _name(self) -> str:
        return str(getattr(self, "__name__", type(self._fun).__name__))

    def _table(self) -> tuple[str, list[tuple[str, str]]]:
        rows = [(str(number or "-"), reason) for number, reason in self._rows[:SHOWN]]
        if more := self._runs - len(rows):
            rows.append(("…", f"and {more} more"))
        return f"{self._name()}: {self._traces} trace{'' if self._traces == 1 else 's'}", rows

    def __repr__(self) -> str:
        """Return a plain table: number of the trace, reason."""
        title, rows = self._table()
        return "\n".join([title, "trace  reason", *(f"{number:>5}  {reason}" for number, reason in rows)])


def describe(value: Any) -> _Node:
    """Describe a value as MLX's key does: a tuple is a list, True is 1, but 1 and 1.0 are two values."""
    if isinstance(value, sys.modules["mlx.core"].array):
        dtype = str(value.dtype).rpartition(".")[2]
        return _Node("array", (dtype, value.shape), f"{dtype} array {value.shape}")
    if isinstance(value, list | tuple):
        return _Node("list", len(value), f"sequence of {len(value)}", tuple(map(describe, value)))
    if isinstance(value, dict):
        names = ", ".join(map(_text, value)) or "no keys"
        return _Node("dict", tuple(value), f"dict of {names}", tuple(map(describe, value.values())))
    if isinstance(value, float):
        return _Node("value", struct.unpack("<q", struct.pack("<d", value))[0], _text(value))
    known = isinstance(value, int | str | None)
    return _Node("value", value if known else type(value).__qualname__, _text(value))


def _text(value: Any) -> str:
    """Return how a value is printed, 40 characters at most; NaN with its sign and bits, of which MLX takes notice."""
    if isinstance(value, float) and value != value:
        bits = struct.pack(">d", value).hex()
        return {"7ff8": "nan", "fff8": "-nan"}.get(bits.rstrip("0"), f"nan (bits {bits})")
    try:
        text = repr(value[:41] if type(value) is str else value)
    except Exception:  # another's repr may do as it likes; the watched program must not notice
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= 40 else text[:39] + "…"


def _changes(old: _Signature, new: _Signature) -> list[str]:
    """Name the differences that make MLX trace again, in the order of the call."""
    a, b = old.arguments, new.arguments
    found = [f"number of arguments {a.key} → {b.key}"] if a.key != b.key else []
    for index, (x, y) in enumerate(zip(a.parts, b.parts, strict=False), start=1):
        found += _differences(f"argument {index}", x, y)
    a, b = old.keywords, new.keywords
    if a.key != b.key:
        found.append(f"keywords {', '.join(a.key) or 'none'} → {', '.join(b.key) or 'none'}")
    before = dict(zip(a.key, a.parts, strict=True))
    for name, y in zip(b.key, b.parts, strict=True):
        found += _differences(f"keyword {name}", before.get(name, y), y)
    if len(old.captured) != len(new.captured):
        found.append(f"captured inputs: {len(old.captured)} → {len(new.captured)} arrays")
    else:
        for (_, x), (path, y) in zip(old.captured, new.captured, strict=True):
            found += _differences(path, x, y)
    if old.batch != new.batch:
        found.append(f"batch size {old.batch} → {new.batch}")
    if old.owner != new.owner:
        found.append("method of another object")
    if old.thread != new.thread:
        found.append("other thread")
    elif old.stream != new.stream and None not in (old.stream, new.stream):
        found.append("other default stream")
    return found


def _differences(path: str, old: _Node, new: _Node) -> list[str]:
    if old == new:
        return []
    if old.kind != new.kind:
        return [f"{path}: {old.text} → {new.text}"]
    if old.kind == "array":
        pairs = zip(("dtype", "shape"), old.key, new.key, strict=True)
        return [f"{path}: {what} {before} → {after}" for what, before, after in pairs if before != after]
    if old.key != new.key:
        return [f"{path}: {'value ' if old.kind == 'value' else ''}{old.text} → {new.text}"]
    parts = zip(new.key if new.kind == "dict" else range(new.key), old.parts, new.parts, strict=True)
    return [change for key, x, y in parts for change in _differences(f"{path}[{_text(key)}]", x, y)]


def arrays_of(tree: Any, path: Keys = (), around: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Walk over the arrays of a tree with the keys that lead to them, into lists, tuples and dicts, as MLX does."""
    if isinstance(tree, sys.modules["mlx.core"].array):
        yield path, tree
    elif isinstance(tree, list | tuple | dict) and id(tree) not in around and len(around) < DEPTH:
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from arrays_of(part, (*path, key), (*around, id(tree)))  # a list may hold itself


def first_arrays(tree: Any, number: int = LOOKED_AT) -> list[Any]:
    """Return the first arrays of a tree."""
    return [array for _, array in islice(arrays_of(tree), number)]


def _compilable(tree: Any, depth: int = 0) -> bool:
    """Return whether MLX's compiled functions take a tree as arguments: with other values, nothing compiled made the call."""
    if isinstance(tree, list | tuple | dict):
        parts = tree.values() if isinstance(tree, dict) else tree
        return depth < DEPTH and all(_compilable(part, depth + 1) for part in parts)
    return isinstance(tree, sys.modules["mlx.core"].array | bool | int | float | str | None)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.number = next(_THREADS)  # an ident may be given to a later thread
        self.runs = 0  # of bodies of our own compiled functions: that tells what MLX is doing, and evaluates nothing


_LOCK, _THREADS = threading.RLock(), count(1)
_THREAD = _Thread()


@functools.cache
def probes() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a compiled function without arguments and one of any arrays; they live as long as the process."""

    def body(*arrays: Any) -> list[Any]:
        _THREAD.runs += 1
        return [] if arrays else [mx.zeros(())]

    return mx.compile(lambda: body()), mx.compile(lambda *arrays: body(*arrays), shapeless=True)


def _runs(compiled: Callable[..., Any], arrays: Sequence[Any], calls: int) -> int:
    """Call a function of ours until it runs no more, at most so many times; return how often it ran."""
    before = _THREAD.runs
    for number in range(1, calls + 1):
        compiled(*arrays)
        if _THREAD.runs - before < number:
            break
    return _THREAD.runs - before


def are_placeholders(arrays: Sequence[Any]) -> bool:
    """Return whether an array stands for a later one: a compiled function called with such runs its body each time."""
    return _runs(probes()[1], arrays, 2) == 2


def _real(arrays: list[Any]) -> bool:
    """Return whether arrays have values: all but the placeholders of mx.compile and mx.vmap, which refuse evaluation."""
    if not are_placeholders(arrays):
        return True
    try:
        sys.modules["mlx.core"].eval(arrays)
    except (ValueError, RuntimeError) as error:
        return "during function transformations" not in str(error)
    return True


def _inside_another(arrays: list[Any]) -> bool:
    """Return whether the call stands in another compiled function's trace: a caller then holds placeholders, and not ours.

    MLX makes new objects of them for each compiled function; where the caller holds ours, it is a plain function around it.
    """
    array, ours = sys.modules["mlx.core"].array, set(map(id, arrays))
    frame: FrameType | None = sys._getframe(1)
    for _ in range(FRAMES):
        if frame and frame.f_globals.get("__name__") != __name__:
            values = list(frame.f_locals.values())
            held = chain(values, *(value for value in values if type(value) is tuple))
            others = [value for value in held if isinstance(value, array) and id(value) not in ours]
            if any(are_placeholders([other]) for other in others[:LOOKED_AT]):
                return True
        frame = frame and frame.f_back
    return False


def _batch_size(args: tuple[Any, ...], placeholders: bool = True) -> int | None:
    """Return the size of the axis that a compiled ``mx.vmap`` maps over, None where there is none.

    ``mx.vmap`` hides it. But the tuple of arguments that it got from ``mx.compile`` is among the youngest objects: its
    arrays are placeholders, with one axis more. Without ``placeholders``, an ``mx.vmap`` that isn't compiled is looked for.
    """
    inner = first_arrays(args, len(args) + LOOKED_AT)
    if not inner or gc.get_count()[0] > YOUNG:
        return None
    young = gc.get_objects(0) + (gc.get_objects(1) if gc.get_count()[0] < JUST_COLLECTED else [])
    first = next(index for index, argument in enumerate(args) if first_arrays(argument))
    tuples = [value for value in young if type(value) is tuple and len(value) == len(args)]
    young.clear()
    for value in (value for value in tuples if type(value[first]) is type(args[first])):
        outer = first_arrays(value, len(inner) + 1)
        if len(outer) == len(inner):
            sizes = {_extra_axis(a.shape, b.shape) for a, b in zip(outer, inner, strict=True)} - {0}
            if len(sizes) == 1 and -1 not in sizes and are_placeholders(outer) is placeholders:
                return sizes.pop()
    return None


def _extra_axis(outer: tuple[int, ...], inner: tuple[int, ...]) -> int:
    """Return the size of the one axis that a shape has more, 0 if the shapes are equal, -1 if they don't fit."""
    fitting = [n for axis, n in enumerate(outer) if outer[:axis] + outer[axis + 1 :] == inner]
    return 0 if outer == inner else fitting[0] if fitting else -1
