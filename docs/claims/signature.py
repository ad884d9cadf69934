"""What a trace's key holds besides shapes and dtypes, and which keys collide."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, in_child, near, raised, traces
from ._sources import GUIDE, NOTES, issue


def _body(mx: Any) -> Any:
    """A body of one operation on its first array, whatever else it gets."""
    return lambda x, *rest, **named: mx.exp(x[0] if isinstance(x, (list, tuple)) else x)


def _retraces(mx: Any, first: tuple[Any, ...], second: tuple[Any, ...]) -> list[int]:
    """Traces after calling with the first arguments twice, the second arguments, and the first again."""
    return traces(mx, _body(mx), first, first, second, first)


@claim(
    "signature-is-shapes-only",
    "What decides about compiling again is the count, dtype, rank and shape of the inputs.",
    source=NOTES,
    answer="Incomplete: values of Python numbers and strings, the tree of containers, the spelling of "
    "keywords and the "
    "default stream decide too.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    cases = {"number": ((x, 2), (x, 3)), "string": ((x, "a"), (x, "b")), "tree": ((x, [x]), (x, [[x]]))}
    seen = {name: _retraces(mx, *pair) for name, pair in cases.items()}
    again = [name for name, runs in seen.items() if runs == [1, 1, 2, 2]]
    return Seen(not again, "same arrays, traced again for another: " + (", ".join(again) or "none"))


def _decide(mx: Any, first: tuple[Any, ...], second: tuple[Any, ...]) -> Seen:
    runs = _retraces(mx, first, second)
    return Seen(runs == [1, 1, 2, 2], f"traces after first, first, second, first arguments: {runs}")


@claim(
    "python-number-retraces",
    "Another value of a Python number argument is another trace.",
    source=GUIDE,
    answer="Yes, for int and float alike; earlier values stay cached.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    ints, floats = _decide(mx, (x, 2), (x, 3)), _decide(mx, (x, 0.5), (x, 0.25))
    return Seen(ints.holds and floats.holds, f"int: {ints.observed}; float: {floats.observed}")


@claim(
    "string-retraces",
    "Another value of a string argument is another trace.",
    source=GUIDE,
    answer="Yes, so a mode given as a string is safe to branch on.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    return _decide(mx, (x, "sum"), (x, "mean"))


@claim(
    "bool-retraces",
    "True and False as arguments are two traces.",
    source=GUIDE,
    answer="Yes, so a flag such as training=True is safe to branch on.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    return _decide(mx, (x, True), (x, False))


@claim(
    "none-argument",
    "None may be passed to a compiled function.",
    source=f"{issue(2621)} and #825",
    answer="Yes since 0.29.2; before, it was refused with a ValueError.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    message = raised(lambda: traces(mx, _body(mx), (x, None)))
    return Seen(False, message) if message else _decide(mx, (x, None), (x, 1))


@claim(
    "container-tree-retraces",
    "The tree of containers is part of the key: {'a': x} and {'b': x} are two traces.",
    source=GUIDE,
    answer="Yes for dictionary keys and for nesting, no for everything (see the collisions).",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    keys = traces(mx, lambda d: mx.exp(next(iter(d.values()))), ({"a": x},), ({"a": x},), ({"b": x},))
    return Seen(keys == [1, 1, 2], f"traces for keys a, a, b: {keys}")


@claim(
    "keyword-spelling-retraces",
    "f(x, y) and f(x, b=y) are the same call to the cache.",
    source="a common expectation",
    answer="No: an argument passed by position and by keyword is two traces; pick one spelling.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    counted = Counted(lambda a, b: mx.exp(a))
    compiled = mx.compile(counted)
    compiled(x, x)
    compiled(x, x)
    before = counted.runs
    compiled(x, b=x)
    return Seen(counted.runs == before, f"by position twice: {before} trace(s); then by keyword: {counted.runs}")


@claim(
    "keyword-order-retraces",
    "The order of keyword arguments does not matter to the cache.",
    source="a common expectation",
    answer="It does: f(x, b=…, c=…) and f(x, c=…, b=…) are two traces.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    counted = Counted(lambda a, b, c: mx.exp(a))
    compiled = mx.compile(counted)
    compiled(x, b=x, c=x)
    compiled(x, b=x, c=x)
    before = counted.runs
    compiled(x, c=x, b=x)
    return Seen(counted.runs == before, f"b, c twice: {before} trace(s); then c, b: {counted.runs}")


@claim(
    "stream-retraces",
    "The default stream is part of the key.",
    source=GUIDE,
    answer="Yes: the same call under another default stream is another trace, whose operations run on that stream.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    counted = Counted(_body(mx))
    compiled = mx.compile(counted)
    compiled(x)
    compiled(x)
    before = counted.runs
    with mx.stream(mx.new_stream(mx.default_device())):
        compiled(x)
    other = counted.runs
    compiled(x)
    runs = [before, other, counted.runs]
    return Seen(runs == [1, 2, 2], f"traces after the default stream twice, a new stream, the default stream: {runs}")


def _collision(mx: Any, fun: Any, first: tuple[Any, ...], second: tuple[Any, ...]) -> Seen:
    """Make two calls that differ; holds when the second gets a trace, and so an answer, of its own."""
    runs = traces(mx, fun, first, first, second)
    compiled = mx.compile(fun)
    compiled(*first)
    right = near(mx, compiled(*second), fun(*second))
    return Seen(runs[-1] == 2 and right, f"traces: {runs}; second result {'right' if right else 'wrong'}")


@claim(
    "collision-nesting",
    "f([a], b) and f([a, b]) are told apart.",
    source="a common expectation",
    answer="No: they share a trace, so a function that looks at how its arguments are grouped answers the "
    "second call like the first.",
)
def _(mx: Any) -> Seen:
    def fun(group: list[Any], *rest: Any) -> Any:
        return mx.exp(group[0]) if rest else mx.sin(group[0])

    a, b = mx.zeros((4,)), mx.ones((4,))
    return _collision(mx, fun, ([a], b), ([a, b],))


@claim(
    "collision-list-tuple",
    "A list and a tuple of arrays are told apart.",
    source="a common expectation",
    answer="No: both share a trace, so do not branch on the container's type.",
)
def _(mx: Any) -> Seen:
    def fun(group: Any) -> Any:
        return mx.exp(group[0]) if isinstance(group, list) else mx.sin(group[0])

    a = mx.zeros((4,))
    return _collision(mx, fun, ([a],), ((a,),))


@claim(
    "collision-true-one",
    "True and 1 are told apart as arguments.",
    source="a common expectation",
    answer="No: they share a trace.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    return _collision(mx, lambda x, n: mx.exp(x) if n is True else mx.sin(x), (x, True), (x, 1))


@claim(
    "collision-float-int-bits",
    "A float and an int are told apart as arguments.",
    source="a common expectation",
    answer="Not if both have the same bits, for the key holds bits, not types. 0 and 0.0 do, so f(x, 0) makes a trace "
    "for integers that f(x, 0.0) then runs; 2.0 and 2**62 do, too.",
)
def _(mx: Any) -> Seen:
    x, counts = mx.zeros((4,)), mx.array([1, 2])
    bits = _collision(mx, lambda x, n: mx.exp(x) if isinstance(n, float) else mx.sin(x), (x, 2.0), (x, 2**62))
    zeros = _collision(mx, lambda x, n: x + n, (counts, 0), (counts, 0.0))
    return Seen(
        bits.holds and zeros.holds, f"2.0, 2.0, 2**62: {bits.observed}; x + 0, x + 0, x + 0.0: {zeros.observed}"
    )


@claim(
    "collision-zeros",
    "0, 0.0, False and an empty string are told apart as arguments.",
    source="a common expectation",
    answer="No: they share one trace, so a default of 0 or '' hides what a call with another of them asks for; None has a "
    "trace of its own.",
)
def _(mx: Any) -> Seen:
    zeros = {"0": 0, "0.0": 0.0, "False": False, "''": ""}
    counted = Counted(lambda x, value: mx.full((1,), float(list(map(repr, zeros.values())).index(repr(value)))))
    compiled, x = mx.compile(counted), mx.zeros((4,))
    got = {name: list(zeros)[int(compiled(x, value).item())] for name, value in zeros.items()}
    words = ", ".join(f"{name} as {seen}" for name, seen in got.items())
    return Seen(counted.runs == len(zeros), f"{counted.runs} trace(s) for four arguments; each was answered: {words}")


@claim(
    "results-vary-by-argument",
    "A compiled function may return another number of values for another Python argument.",
    source=issue(2632),
    answer="Yes: since 0.29.3 each trace keeps its own tree of results; before, the first call's number stayed.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, result_lengths)
    return Seen(child.result == [1, 2, 3, 1], f"results for 1, 2, 3, 1: {child.result or child.how}")


def result_lengths(mx: Any) -> list[int]:
    """Return how many arrays a compiled function returns when it is asked for 1, 2, 3 and again 1."""
    compiled = mx.compile(lambda x, count: [mx.exp(x)] * count)
    return [len(compiled(mx.ones((2,)), count)) for count in (1, 2, 3, 1)]
