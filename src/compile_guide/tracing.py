"""How often did MLX trace my function, and why?  A log of traces for functions that ``mx.compile`` compiles.

MLX runs a compiled function's Python body on placeholders, once for each new signature, and keeps the graph
it gets: that run is a *trace*. MLX counts none and names no reason. Wrap a function before compiling it::

    watched = watch(step)
    fast_step = mx.compile(watched, inputs=state)
    ...
    print(watched)

This file needs the standard library and mlx alone, so it can be copied next to a script.

What decides between a trace and a cached call was found by running each case on MLX 0.32.4, and agrees with
``python/src/transforms.cpp`` and ``mlx/compile.cpp`` of MLX: the thread, the function object, the default
stream, number, dtypes and shapes of all arrays (arguments first, captured ones last), and, for the arguments
only, containers, keys in their order, keyword spelling, and the bits of Python numbers and strings.
"""

from __future__ import annotations

import functools
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SHOWN = 60
"""Rows that a table shows at most."""


@dataclass(frozen=True)
class _Node:
    """An argument or a part of one, as MLX's cache sees it: ``key`` is compared, ``text`` is printed."""

    kind: str
    key: Any
    text: str
    parts: tuple[_Node, ...] = ()


@dataclass(frozen=True)
class _Signature:
    arguments: _Node
    keywords: _Node
    captured: tuple[tuple[str, _Node], ...]
    thread: int
    stream: str | None
    """None: the thread had no default stream yet, because it had done no MLX work (MLX 0.32.3 and later)."""


@dataclass(frozen=True)
class _Run:
    """One run of the Python body. ``trace`` counts traces from 1; None is an eager call."""

    trace: int | None
    signature: _Signature
    reason: str


def watch(fun: Callable[..., Any], inputs: Any = None) -> Watched:
    """Wrap a function so that each run of its Python body is counted and explained; compile the result.

    Args:
        fun: the function to be compiled; its arguments may be whatever ``mx.compile`` takes.
        inputs: the tree that ``mx.compile`` gets as ``inputs=``, if any. Only read, to name changes in it.

    Returns:
        A callable to hand to ``mx.compile``. Called without it, or with compiling off, it runs ``fun`` as is.

    Raises:
        TypeError: ``fun`` cannot be called.
    """
    if not callable(fun):
        raise TypeError(f"watch() needs a function, but got {type(fun).__name__}")
    return Watched(fun, inputs)


class Watched:
    """A function that keeps a log of its traces; made by :func:`watch`.

    Limits: a cached call never reaches Python, so it is not seen; nor is any trace if the watched function is
    compiled already. Eager calls look like traces under ``mx.vmap``, and where neither the arguments nor
    ``inputs`` hold an array. With ``shapeless=True`` a reason may name a shape beside the true cause. Eager
    calls' arguments get evaluated.
    """

    def __init__(self, fun: Callable[..., Any], inputs: Any = None) -> None:
        """Keep the function; see :func:`watch`."""
        self._fun, self._inputs = fun, inputs
        self._lock, self._threads, self._local = threading.Lock(), 0, threading.local()
        self.reset()
        functools.update_wrapper(self, fun, updated=())

    def reset(self) -> None:
        """Forget all that was seen. MLX's cache stays, so signatures that it knows are not traced again."""
        self._runs: list[_Run] = []
        self._raised: dict[int, str] = {}

    @property
    def traces(self) -> int:
        """How often MLX traced the function; eager calls are left out."""
        return sum(run.trace is not None for run in self._runs)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the Python body ran: one text a trace, in order; an eager call's starts with ``eager call``."""
        return tuple(run.reason for run in self._runs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and log why. What it raises is logged by name and raised on."""
        number = self._log(args, kwargs)
        try:
            return self._fun(*args, **kwargs)
        except Exception as error:
            if number is not None:
                self._raised[number] = type(error).__name__
            raise

    def _log(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
        captured = tuple(_arrays("captured inputs", self._inputs))
        stream, compiling = _stream()
        eager = not compiling or _eager([*_arrays("", args), *_arrays("", kwargs), *captured])
        with self._lock:
            if not hasattr(self._local, "number"):  # a thread's ident may be given to a later thread
                self._local.number = self._threads = self._threads + 1
            nodes = tuple((path, _node(array)) for path, array in captured)
            new = _Signature(_node(args), _node(kwargs), nodes, self._local.number, stream)
            number = None if eager else self.traces + 1
            off = "not compiled here" if compiling else "compiling is off"
            self._runs.append(_Run(number, new, f"eager call ({off})" if eager else self._reason(new)))
        return number

    def _reason(self, new: _Signature) -> str:
        """Compare with the nearest earlier trace, the latest one if several are as near."""
        traces = [run for run in reversed(self._runs) if run.trace is not None]
        if not traces:
            return "first call"
        changes, old = min(((_changes(r.signature, new), r) for r in traces), key=lambda pair: len(pair[0]))
        if changes:
            return "; ".join(changes)
        if old.trace in self._raised:
            return f"trace {old.trace} ended with {self._raised[old.trace]} (same arguments)"
        if old.signature.stream is None and new.stream is not None:
            return f"trace {old.trace} was its thread's first MLX work (same arguments)"
        return f"cache was flushed (same arguments as trace {old.trace})"

    def _table(self) -> tuple[str, list[tuple[str, str]]]:
        name, traces = getattr(self, "__name__", type(self._fun).__name__), self.traces
        rows = [(str(run.trace or "-"), run.reason) for run in self._runs[:SHOWN]]
        if len(self._runs) > SHOWN:
            rows.append(("…", f"and {len(self._runs) - SHOWN} more"))
        return f"{name}: {traces} trace{'' if traces == 1 else 's'}", rows

    def __str__(self) -> str:
        """Return a plain table: number of the trace, reason."""
        title, rows = self._table()
        return "\n".join([title, "trace  reason", *(f"{number:>5}  {reason}" for number, reason in rows)])

    def _repr_html_(self) -> str:
        import html  # here, because pages and notebooks ask for it, and a process that measures never does

        title, rows = self._table()
        body = "".join(f"<tr><td>{number}</td><td>{html.escape(reason)}</td></tr>" for number, reason in rows)
        head = "<thead><tr><th scope='col'>trace</th><th scope='col'>reason</th></tr></thead>"
        caption = f"<caption>{html.escape(title)}</caption>"
        return f"<table class='guide-table'>{caption}{head}<tbody>{body}</tbody></table>"


def _node(value: Any) -> _Node:
    """Describe a value as MLX's key does: a tuple is a list, True is 1, but 1 and 1.0 are two values."""
    import mlx.core as mx

    if isinstance(value, mx.array):
        dtype = str(value.dtype).rpartition(".")[2]
        return _Node("array", (dtype, value.shape), f"{dtype} array {value.shape}")
    if isinstance(value, list | tuple):
        return _Node("list", len(value), f"sequence of {len(value)}", tuple(map(_node, value)))
    if isinstance(value, dict):
        names = ", ".join(map(repr, value)) or "no keys"
        return _Node("dict", tuple(value), f"dict of {names}", tuple(map(_node, value.values())))
    bits = struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else value
    text = repr(value)
    return _Node("value", bits, text if len(text) <= 40 else text[:39] + "…")


def _changes(old: _Signature, new: _Signature) -> list[str]:
    """Name the differences that make MLX trace again, in the order of the call."""
    found, a, b = [], old.arguments, new.arguments
    if a.key != b.key:
        found.append(f"number of arguments {a.key} → {b.key}")
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
    if old.thread != new.thread:
        found.append("other thread")
    elif old.stream != new.stream and None not in (old.stream, new.stream):
        found.append("other default stream")
    return found


def _differences(path: str, old: _Node, new: _Node) -> list[str]:
    if old.kind != new.kind:
        return [f"{path}: {old.text} → {new.text}"]
    if old.kind == "array":
        pairs = zip(("dtype", "shape"), old.key, new.key, strict=True)
        return [f"{path}: {what} {before} → {after}" for what, before, after in pairs if before != after]
    if old.key != new.key:
        return [f"{path}: {'value ' if old.kind == 'value' else ''}{old.text} → {new.text}"]
    keys = new.key if new.kind == "dict" else range(len(new.parts))
    parts = zip(keys, old.parts, new.parts, strict=True)
    return [change for key, x, y in parts for change in _differences(f"{path}[{key!r}]", x, y)]


def _arrays(path: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """Walk over the arrays of a tree with their paths, into lists, tuples and dicts, as MLX does."""
    import mlx.core as mx

    if isinstance(tree, mx.array):
        yield path, tree
    elif isinstance(tree, list | tuple | dict):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _arrays(f"{path}[{key!r}]", part)


def _eager(arrays: list[tuple[str, Any]]) -> bool:
    """Whether the arrays are real: a trace's placeholders refuse evaluation with a message of their own."""
    import mlx.core as mx

    try:
        mx.eval([array for _, array in arrays])
    except (ValueError, RuntimeError) as error:
        return "during function transformations" not in str(error)
    return bool(arrays)


def _stream() -> tuple[str | None, bool]:
    """Return the default stream (None where the thread has none yet), and whether compiling is on.

    A compiled function tells both by how often three calls trace it: once; twice where the first call makes
    the thread's stream, which is part of the key; thrice where MLX compiles nothing. Nothing gets evaluated.
    """
    import mlx.core as mx

    runs: list[int] = []

    def probe() -> mx.array:
        runs.append(1)
        return mx.zeros(())

    compiled = mx.compile(probe)
    for _ in range(3):
        compiled()
    return None if len(runs) == 2 else str(mx.default_stream(mx.default_device())), len(runs) < 3
