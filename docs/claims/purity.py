"""Purity: what a trace freezes without a word, what cannot be looked at while tracing."""

from __future__ import annotations

import os
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, graph, outcome, raised
from ._sources import DOCS, GUIDE


def _frozen(read: Any, change: Any) -> Seen:
    """Read, change what is read, and read again: holds when the second reading shows the change."""
    first = outcome(read)
    change()
    second = outcome(read)
    return Seen(first != second, f"before the change {first}, after it {second}")


@claim(
    "global-number-updates",
    "A compiled function sees the current value of a Python number that it closes over.",
    source="a common expectation",
    answer="No: the number is written into the trace; pass it as an argument.",
)
def _(mx: Any) -> Seen:
    scale = [2.0]
    compiled = mx.compile(lambda x: mx.full((1,), scale[0]))
    return _frozen(lambda: compiled(mx.array(1.0)), lambda: scale.__setitem__(0, 3.0))


@claim(
    "mutable-default-updates",
    "A mutable default argument keeps state from call to call, as it does in Python.",
    source="a common expectation",
    answer="No: the default is read and changed while tracing only.",
)
def _(mx: Any) -> Seen:
    def count(x: Any, seen: list[int] = [0]) -> Any:  # noqa: B006 - the claim is about this very habit
        seen[0] += 1
        return mx.full((1,), float(seen[0]))

    compiled = mx.compile(count)
    first, second = outcome(lambda: compiled(mx.array(1.0))), outcome(lambda: compiled(mx.array(1.0)))
    return Seen(first != second, f"calls 1 and 2 give {first} and {second}")


@claim(
    "clock-updates",
    "time.perf_counter() inside a compiled function tells the time of the call.",
    source="a common expectation",
    answer="No: it tells the time of the trace, at every call.",
)
def _(mx: Any) -> Seen:
    ticks = iter(range(1, 100))

    def clock() -> float:
        return float(next(ticks))

    compiled = mx.compile(lambda x: (mx.exp(x), clock()))
    first, second = compiled(mx.array(1.0))[1], compiled(mx.array(1.0))[1]
    return Seen(first != second, f"a clock that ticks at each look: calls 1 and 2 give {first} and {second}")


@claim(
    "environment-updates",
    "An environment variable read inside a compiled function is read at every call.",
    source="a common expectation",
    answer="No: it is read while tracing.",
)
def _(mx: Any) -> Seen:
    name = "COMPILE_GUIDE_CHECK"
    os.environ[name] = "1"
    compiled = mx.compile(lambda x: mx.full((1,), float(os.environ[name])))
    try:
        return _frozen(lambda: compiled(mx.array(1.0)), lambda: os.environ.__setitem__(name, "2"))
    finally:
        del os.environ[name]


@claim(
    "non-array-returns-update",
    "A Python value that a compiled function returns is computed at each call.",
    source="a common expectation",
    answer="No: only arrays are computed again; a number, string or object returned beside them is the one "
    "of the trace.",
)
def _(mx: Any) -> Seen:
    calls = [0]

    def fun(x: Any) -> Any:
        calls[0] += 1
        return mx.exp(x), calls[0]

    compiled = mx.compile(fun)
    second = [compiled(mx.array(1.0))[1] for _ in range(2)]
    return Seen(second == [1, 2], f"the number returned by calls 1 and 2: {second}")


@claim(
    "random-draws-differ",
    "mx.random inside a compiled function draws new numbers at each call.",
    source="a common expectation",
    answer="Not unless mx.random.state is captured as input and output: otherwise each call repeats the "
    "first one's draw.",
)
def _(mx: Any) -> Seen:
    mx.random.seed(0)
    compiled = mx.compile(lambda: mx.random.permutation(1000))
    drawn = {tuple(compiled().tolist()) for _ in range(3)}
    return Seen(len(drawn) == 3, f"three calls draw {len(drawn)} different permutation(s)")


@claim(
    "random-key-argument",
    "A random key passed as an argument gives reproducible randomness without capturing any state.",
    source=GUIDE,
    answer="Yes: another key is another draw, the same key the same one, in one trace.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda key: mx.random.permutation(1000, key=key))
    compiled = mx.compile(counted)
    drawn = [compiled(mx.random.key(seed)).tolist() for seed in (0, 1, 0)]
    right = drawn[0] == drawn[2] != drawn[1]
    return Seen(
        right and counted.runs == 1,
        f"keys 0, 1, 0: {'repeatable' if right else 'not repeatable'}, {counted.runs} trace(s)",
    )


@claim(
    "closed-array-is-constant",
    "An array that a compiled function closes over is a constant: after state changes, the function still gives 2.",
    source=f"{DOCS}, Pure Functions",
    answer="Yes, for as long as the inputs keep their shapes.",
)
def _(mx: Any) -> Seen:
    state = [mx.array(1.0)]
    compiled = mx.compile(lambda x: mx.add(x, state[0]))
    first = compiled(mx.array(1.0)).item()
    state[0] = mx.array(5.0)
    second = compiled(mx.array(1.0)).item()
    return Seen((first, second) == (2, 2), f"state 1, then 5: {first:g}, then {second:g}")


@claim(
    "closed-array-first-work",
    "The documentation's example of a closed-over array prints 2 and then 2 as a script of its own.",
    source=f"{DOCS}, Pure Functions",
    answer="From 0.32.3 on it prints 2 and 6, because the first MLX work of a process is traced twice.",
    first=True,
)
def _(mx: Any) -> Seen:
    state = [mx.array(1.0)]
    compiled = mx.compile(lambda x: mx.add(x, state[0]))
    first = compiled(mx.array(1.0)).item()
    state[0] = mx.array(5.0)
    second = compiled(mx.array(1.0)).item()
    return Seen((first, second) == (2, 2), f"no MLX work before it; state 1, then 5: {first:g}, then {second:g}")


@claim(
    "closed-array-stale-by-shape",
    "Once frozen, a closed-over array is the same constant in every trace of the function.",
    source=GUIDE,
    answer="No: each trace keeps the array it met, so results of one function disagree about it by input shape.",
)
def _(mx: Any) -> Seen:
    state = [mx.array(1.0)]
    compiled = mx.compile(lambda x: mx.add(mx.sum(x), state[0]))
    one, two = mx.ones((1,)), mx.ones((1, 1))
    values = [compiled(one).item()]
    state[0] = mx.array(5.0)
    values += [compiled(x).item() for x in (one, two, one)]
    return Seen(
        len(set(values)) == 1,
        f"state 1, then 5; old, old, new, old shape: {[f'{v:g}' for v in values]}".replace("'", ""),
    )


@claim(
    "closed-array-as-input",
    "inputs=state makes a compiled function see the current state: the example then gives 6.",
    source=f"{DOCS}, Pure Functions",
    answer="Yes: captured arrays are read at each call.",
)
def _(mx: Any) -> Seen:
    state = [mx.array(1.0)]
    compiled = mx.compile(lambda x: mx.add(x, state[0]), inputs=state)
    first = compiled(mx.array(1.0)).item()
    state[0] = mx.array(5.0)
    second = compiled(mx.array(1.0)).item()
    return Seen((first, second) == (2, 6), f"state 1, then 5: {first:g}, then {second:g}")


@claim(
    "closed-array-as-argument",
    "Passing the state as an argument works as well as capturing it.",
    source=f"{DOCS}, Pure Functions",
    answer="Yes, and it needs no options.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x, state: mx.add(x, state[0]))
    compiled = mx.compile(counted)
    values = [compiled(mx.array(1.0), [mx.array(s)]).item() for s in (1.0, 5.0)]
    return Seen(
        values == [2, 6] and counted.runs == 1,
        f"state 1, then 5: {values[0]:g}, then {values[1]:g}; {counted.runs} trace(s)",
    )


@claim(
    "closed-array-passed-too",
    "A compiled function may be called with an array that it also closes over.",
    source="a common expectation",
    answer="Not at the call that traces: an input that also comes in by the closure raises; pass it twice, "
    "or trace with another array.",
)
def _(mx: Any) -> Seen:
    shared = mx.ones((2, 2))
    mx.eval(shared)
    message = raised(lambda: mx.compile(lambda x: x @ shared)(shared))
    later = mx.compile(lambda x: x @ shared)
    later(mx.zeros((2, 2)))
    after = raised(lambda: later(shared))
    return Seen(
        not message,
        f"tracing call: {message or 'no exception'} A call once it is traced: {after or 'no exception'}",
    )


@claim(
    "unevaluated-closure-recomputed",
    "A closed-over array is computed once, however many calls use it.",
    source="a common expectation",
    answer="Only if it was evaluated before the trace: otherwise its whole computation becomes part of the "
    "graph of every call.",
)
def _(mx: Any) -> Seen:
    base = mx.ones((2, 2))
    found = {}
    for name in ("evaluated", "never evaluated"):
        weight = base @ base @ base
        if name == "evaluated":
            mx.eval(weight)
        found[name] = _products(mx, weight)
    words = ", ".join(f"{name} {count}" for name, count in found.items())
    return Seen(
        found["never evaluated"] == found["evaluated"],
        f"products in the second call's graph, weight: {words}",
    )


def _products(mx: Any, weight: Any) -> int:
    """Count the matrix products in the graph of a second call of a function that closes over ``weight``."""
    compiled = mx.compile(lambda x: mx.exp(x) @ weight)
    mx.eval(compiled(mx.ones((2, 2))))
    return graph(mx, compiled(mx.ones((2, 2)))).count("Matmul")
