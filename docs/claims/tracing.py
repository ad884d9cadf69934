"""Tracing: when MLX runs the Python body of a compiled function, and when it does not."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, graph, near, outcome, raised, traces
from ._sources import API, DOCS, GUIDE, NOTES
from .threads import in_thread


def _exp(mx: Any) -> Any:
    """A body of one operation: nothing is fused, so nothing is built."""
    return lambda x, *rest, **named: mx.exp(x)


@claim(
    "returns-callable",
    "mx.compile returns a function that is called like the one it was given.",
    source=f"{DOCS}; {API}",
    answer="Yes: the same arguments give the same values, and nothing has run until that call.",
)
def _(mx: Any) -> Seen:
    counted = Counted(_exp(mx))
    compiled = mx.compile(counted)
    before = counted.runs
    shown = outcome(lambda: compiled(mx.array(0.0)))
    return Seen(
        before == 0 and shown == "array(1, dtype=float32)",
        f"{before} runs at mx.compile; the call gives {shown}",
    )


@claim(
    "decorator",
    "mx.compile works as a decorator, with functools.partial where it needs options.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes: @mx.compile, and @partial(mx.compile, inputs=state) for options.",
)
def _(mx: Any) -> Seen:
    from functools import partial

    @partial(mx.compile, shapeless=True)
    @mx.compile  # type: ignore[untyped-decorator]  # mx may be any MLX
    def wave(x: Any) -> Any:
        return mx.cos(x)

    shown = outcome(lambda: wave(mx.array(0.0)))
    return Seen(shown == "array(1, dtype=float32)", shown)


@claim(
    "same-result",
    "A compiled function returns what the plain one returns: exp(-x) + y prints 2.36788 both ways.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes, up to the floating-point precision that the ledger's numerics part looks at.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any, y: Any) -> Any:
        return mx.exp(-x) + y

    x, y = mx.array(1.0), mx.array(2.0)
    plain, compiled = outcome(lambda: fun(x, y)), outcome(lambda: mx.compile(fun)(x, y))
    return Seen(plain == compiled == "array(2.36788, dtype=float32)", f"plain {plain}, compiled {compiled}")


@claim(
    "later-calls-cached",
    "The first call of a compiled function traces it; later calls with the same kind of input do not.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes: the Python body runs at the first call alone.",
)
def _(mx: Any) -> Seen:
    x = mx.array([1.0, 2.0])
    runs = traces(mx, _exp(mx), (x,), (x + 1,), (x + 2,))
    return Seen(runs == [1, 1, 1], f"traces after calls 1, 2, 3: {runs}")


@claim(
    "side-effects-once",
    "Side effects such as printing happen while the function is traced, not at every call.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes: what is not an array operation happens once a trace, so it is no place for counters or logs.",
)
def _(mx: Any) -> Seen:
    log: list[str] = []

    def fun(x: Any) -> Any:
        log.append("ran")
        return mx.exp(x)

    compiled = mx.compile(fun)
    for _ in range(3):
        compiled(mx.array(1.0))
    return Seen(len(log) == 1, f"3 calls, {len(log)} side effect(s)")


@claim(
    "first-work-traced-once",
    "The first call of a compiled function runs its body exactly once.",
    source=f"{DOCS} (its printed outputs assume it)",
    answer="Not always: from 0.32.3 on, if that call is the first MLX work of its thread, the second call traces once more. "
    "That goes for the main thread and for each new one.",
    first=True,
)
def _(mx: Any) -> Seen:
    x = mx.array([1.0, 2.0])
    counted = Counted(_exp(mx))
    compiled = mx.compile(counted)

    def three_calls() -> list[int]:
        before = counted.runs
        return [(compiled(x), counted.runs - before)[1] for _ in range(3)]

    main, other = three_calls(), in_thread(three_calls)
    words = f"no MLX work before it; traces after calls 1, 2, 3: {main}; in a new thread {other}"
    return Seen(main == [1, 1, 1] and other in ([0, 0, 0], [1, 1, 1]), words)


@claim(
    "shape-retraces",
    "Changing the shape of an input compiles the function again.",
    source=f"{DOCS}; {API}; {NOTES}",
    answer="Yes: one trace a shape, unless shapeless=True.",
)
def _(mx: Any) -> Seen:
    runs = traces(mx, _exp(mx), (mx.zeros((4,)),), (mx.ones((4,)),), (mx.zeros((5,)),))
    return Seen(runs == [1, 1, 2], f"traces for shapes (4,), (4,), (5,): {runs}")


@claim(
    "dtype-retraces",
    "Changing an input's dtype compiles the function again.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes: one trace a dtype, and a kernel of its own.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    runs = traces(mx, _exp(mx), (x,), (x + 1,), (x.astype(mx.float16),))
    return Seen(runs == [1, 1, 2], f"traces for float32, float32, float16: {runs}")


@claim(
    "rank-retraces",
    "Changing the number of dimensions of an input compiles the function again.",
    source=f"{DOCS}; {API}; {NOTES}",
    answer="Yes, and under shapeless=True as well.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    runs = traces(mx, _exp(mx), (x,), (x + 1,), (x[None],))
    loose = traces(mx, _exp(mx), (x,), (x + 1,), (x[None],), shapeless=True)
    return Seen(runs == loose == [1, 1, 2], f"traces for (4,), (4,), (1, 4): {runs}, shapeless {loose}")


@claim(
    "count-retraces",
    "Changing the number of inputs compiles the function again.",
    source=f"{DOCS}; {NOTES}",
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    runs = traces(mx, _exp(mx), (x,), (x + 1,), (x, x))
    return Seen(runs == [1, 1, 2], f"traces for one, one, two inputs: {runs}")


@claim(
    "going-back-is-free",
    "Going back to an earlier shape or dtype compiles a third time.",
    source="a common worry",
    answer="No: earlier traces are kept, going back costs a look-up.",
)
def _(mx: Any) -> Seen:
    x, longer, half = mx.zeros((4,)), mx.zeros((5,)), mx.zeros((4,), dtype=mx.float16)
    runs = traces(mx, _exp(mx), (x,), (longer,), (half,), (x,), (longer,), (half,))
    return Seen(runs[-1] > runs[2], f"traces for three kinds of input, each twice: {runs}")


@claim(
    "shape-stable-code",
    "Code whose shapes keep changing pays for compilation over and over.",
    source=NOTES,
    answer="Yes: twenty lengths are twenty traces; pad to a few sizes, or test whether the function is "
    "right under shapeless=True.",
)
def _(mx: Any) -> Seen:
    same = traces(mx, _exp(mx), *[(mx.zeros((8,)),) for _ in range(20)])[-1]
    varied = traces(mx, _exp(mx), *[(mx.zeros((n + 1,)),) for n in range(20)])[-1]
    return Seen(same == 1 and varied == 20, f"20 calls: one length {same} trace(s), twenty lengths {varied}")


@claim(
    "branch-on-array-recompiles",
    "A branch that depends on an input array forces a recompile.",
    source=NOTES,
    answer="No: it raises, because a placeholder has no value to branch on; use mx.where.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        return mx.exp(x) if x.sum() > 0 else x

    compiled = mx.compile(fun)
    message = raised(lambda: (compiled(mx.ones((2,))), compiled(-mx.ones((2,)))))
    return Seen(not message, message or "no exception")


@claim(
    "branch-on-python-value",
    "A branch on a Python argument is compiled once for each value.",
    source=f"the true half of what the {NOTES} say",
    answer="Yes: the value is part of the trace's key, so each branch taken is a trace of its own.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any, causal: bool) -> Any:
        return mx.exp(x) if causal else mx.sin(x)

    x = mx.zeros((2,))
    runs = traces(mx, fun, (x, True), (x, True), (x, False), (x, True))
    return Seen(runs == [1, 1, 2, 2], f"traces for True, True, False, True: {runs}")


@claim(
    "branch-on-shape",
    "A branch on an input's shape is decided while tracing and is safe.",
    source=f"{DOCS} (shapes are known while tracing)",
    answer="Yes without shapeless=True: a new shape is a new trace, so the branch is decided again.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        return mx.cos(x) if x.shape[0] > 3 else mx.sin(x)

    counted = Counted(fun)
    compiled = mx.compile(counted)
    first, second = compiled(mx.zeros((4,))), compiled(mx.zeros((2,)))
    right = near(mx, first, mx.ones((4,))) and near(mx, second, mx.zeros((2,)))
    compiled(mx.zeros((4,)))
    return Seen(
        right and counted.runs == 2,
        f"values {'right' if right else 'wrong'} for both sizes, {counted.runs} traces",
    )


@claim(
    "python-loop-unrolled",
    "A Python loop inside a compiled function is unrolled while tracing.",
    source=GUIDE,
    answer="Yes: five rounds are five copies in the graph, so long loops make long traces.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any, rounds: int) -> Any:
        for _ in range(rounds):
            x = x @ x
        return x

    counted = Counted(fun)
    compiled = mx.compile(counted)
    found = [graph(mx, compiled(mx.ones((2, 2)), n)).count("Matmul") for n in (1, 5, 5)]
    return Seen(
        found == [1, 5, 5] and counted.runs == 2,
        f"products for 1, 5, 5 rounds: {found}, {counted.runs} traces",
    )
