"""A stand-in for ``mx.compile`` that keeps count, and what it hands back: objects that behave as MLX's own do."""

from __future__ import annotations

import functools
import itertools
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from compile_guide import mx
from compile_guide.tracing import EAGER, INLINED, LOOKED_AT, Watched, are_placeholders, arrays_of, first_arrays, probes

MOST_EVENTS, MOST_REASONS = 1_000, 100
"""Of one line that compiles, so many traces are kept with their time, and so many kinds of reasons."""
CHANGE = re.compile(r"(: (?:value|shape|dtype))? [^:;]* → [^;]*|(?<=trace )\d+")
"""What differs between two reasons of one kind: an old and a new value, the number of a trace."""


@dataclass(eq=False)
class Site:
    """A line of a program that compiles functions, and what was seen of them. Times are in seconds."""

    name: str
    file: str
    line: int
    functions: int = 0
    calls: Iterator[int] = field(default_factory=itertools.count)
    """What it yields next is the number of calls: unlike ``+=``, it loses none between threads."""
    traces: int = 0
    inlined: int = 0
    eager: int = 0
    total_s: float = 0.0
    tracing_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    """How often a body ran for a reason such as this one, the first of its kind."""
    kinds: dict[str, str] = field(default_factory=dict)  # the first reason of each kind
    events: list[tuple[float, str]] = field(default_factory=list)
    findings: Counter[str] = field(default_factory=Counter)
    """What a check has found, and at how many calls; "" where all was right."""
    kernels: int = 0  # fused kernels in the graphs of the traces that were checked

    def note(self, number: int | None, reason: str) -> None:
        """Count a run of a body: a trace, where it has a number."""
        self.traces += number is not None
        self.inlined += reason == INLINED
        self.eager += number is None and reason != INLINED
        if reason == "first call" and self.traces > 1:
            reason = "first call of another function that was compiled here"
        kind = CHANGE.sub(r"\1", reason) if len(self.kinds) < MOST_REASONS else "other reasons"
        self.reasons[self.kinds.setdefault(kind, reason)] += 1
        if number is not None and len(self.events) < MOST_EVENTS:
            self.events.append((time.time(), reason))


class Call:
    """A call of a compiled function; once it is made, it knows whether the body ran, and whether that was a trace."""

    def __init__(self, function: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs, self.ran, self.traced = function, args, kwargs, False, False
        self.held = () if function.inputs is None else first_arrays(function.inputs)  # a trace replaces them

    def has_placeholders(self) -> bool:
        """Return whether an array stands for a later one: then MLX runs the body as it is."""
        arrays = [array for _, array in arrays_of((self.args, self.kwargs, self.held))]
        return any(are_placeholders(arrays[i : i + LOOKED_AT]) for i in range(0, len(arrays), LOOKED_AT))


class _Local(threading.local):
    rehearsing = False  # A check runs the plain function: it is to be plain all through, and nothing of it is counted

    def __init__(self) -> None:
        self.calls: list[Call] = []


LOCAL = _Local()
_SHELLS: list[Any] = []


class _Body(Watched):
    """A function inside ``mx.compile``. It knows the call that runs it, so it needn't guess what kind of run it is."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        ours = LOCAL.rehearsing or not LOCAL.calls
        return self._fun(*args, **kwargs) if ours else super().__call__(*args, **kwargs)

    def _untraced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        call = LOCAL.calls[-1]
        if call.has_placeholders():
            return INLINED if any(outer.traced for outer in LOCAL.calls[:-1]) else EAGER
        self._inputs, call.traced = call.function.inputs, True
        return ""

    def _note(self, number: int | None, reason: str) -> None:
        super()._note(number, reason)
        LOCAL.calls[-1].ran = True
        LOCAL.calls[-1].function.site.note(number, reason)

    def __del__(self) -> None:
        # MLX forgets the traces of the thread alone that called last. So what several threads have traced stays as an empty
        # shell: another body that came to lie at its address would be given the traces that are left.
        if len(self.__dict__.get("_threads", ())) > 1:
            vars(self).clear()
            _SHELLS.append(self)


@dataclass(eq=False)
class Compiled:
    """A compiled function: the plain one, MLX's own object for it, which is never called, and the one that is."""

    fun: Callable[..., Any]
    native: Any
    counted: Any
    inputs: Any
    outputs: Any
    shapeless: bool
    site: Site
    observer: Any
    notes: dict[Any, Any] = field(default_factory=dict)  # what the observer remembers of it

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function as the program asks for, and count that."""
        if LOCAL.rehearsing:
            return self.fun(*args, **kwargs)
        next(self.site.calls)
        call = Call(self, args, kwargs)
        return self.run(call) if self.observer is None or LOCAL.calls else self.observer.observe(call)

    def run(self, call: Call) -> Any:
        """Call the function, and take the time."""
        start = time.perf_counter()
        LOCAL.calls.append(call)
        try:
            return self.counted(*call.args, **call.kwargs)
        finally:
            LOCAL.calls.pop()
            seconds = time.perf_counter() - start
            self.site.total_s += seconds
            self.site.tracing_s += seconds if call.traced else 0.0


class _Handle:
    """A compiled function in the hands of the program. Whatever it is asked for, MLX's own object answers."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Compiled) -> None:
        _keep(self, inner)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return _inner(self).call(args, kwargs)

    def __getattribute__(self, name: str) -> Any:
        return getattr(_inner(self).native, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_inner(self).native, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_inner(self).native, name)


_inner, _keep = _Handle.__dict__["_inner"].__get__, _Handle.__dict__["_inner"].__set__


class Compiler:
    """Stands in for ``mx.compile``: takes the same arguments, raises the same errors, and watches what it compiles."""

    def __init__(self, max_traces: int | None = None, observer: Any = None) -> None:
        probes()  # they are compiled by MLX itself
        self.original, self.max_traces, self.observer = mx.compile, max_traces, observer
        self.sites: dict[tuple[str, int, str], Site] = {}
        self.lock, self.bodies = threading.Lock(), WeakValueDictionary[int, _Body]()
        functools.update_wrapper(self, mx.compile)
        for name in ("__name__", "__qualname__", "__module__"):
            type.__setattr__(_Handle, name, getattr(type(mx.compile(abs)), name))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compile a function."""
        native, given = self.original(*args, **kwargs), _given(*args, **kwargs)
        if LOCAL.rehearsing:
            return native
        fun, frame = given[0], sys._getframe(1)
        with self.lock:  # one body for all that is compiled of a function, because MLX keeps its traces by the function
            body, site = self.bodies.get(id(fun)), self._site(fun, frame.f_code.co_filename, frame.f_lineno)
            if body is None or body.__dict__.get("_fun") is not fun:
                body = self.bodies[id(fun)] = _Body(fun, None, self.max_traces)
        return _Handle(Compiled(fun, native, self.original(body, *given[1:]), *given[1:], site, self.observer))

    def forget(self) -> None:
        """Begin anew in a forked process: what was counted before is its parent's."""
        for site in self.sites.values():
            Site.__init__(site, site.name, site.file, site.line)

    def _site(self, fun: Any, file: str, line: int) -> Site:
        while type(fun) is functools.partial:  # it has no name
            fun = fun.func
        name = str(getattr(fun, "__qualname__", type(fun).__qualname__)).replace("<locals>.", "")
        site = self.sites.setdefault((file, line, name), Site(name, file, line))
        site.functions += 1
        return site


def _given(fun: Any, inputs: Any = None, outputs: Any = None, shapeless: bool = False) -> tuple[Any, Any, Any, bool]:
    return fun, inputs, outputs, shapeless
