"""The two caches: traces, which belong to a function, and kernels, which all functions share."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, by_kernels, in_child, kernels_built, missing, outcome, raised, traces
from ._sources import DOCS, GUIDE, METALFAISS, NOTES, issue


@claim(
    "temporary-beside-live-wrapper",
    "mx.compile(fun)(x) beside a live compiled fun does not compile again.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes: wrappers of one function share its traces.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    counted = Counted(lambda x: mx.exp(x))
    kept = mx.compile(counted)
    kept(x)
    mx.compile(counted)(x)
    return Seen(counted.runs == 1, f"live wrapper called, temporary one called: {counted.runs} trace(s)")


@claim(
    "dead-wrapper-flushes",
    "A temporary wrapper leaves the live one's cache alone when it goes away.",
    source=f"{DOCS}, Basics of Compile (implied)",
    answer="No: when any wrapper of a function dies, the traces of all its wrappers go with it, and the "
    "next call traces again.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    counted = Counted(lambda x: mx.exp(x))
    kept = mx.compile(counted)
    kept(x)
    mx.compile(counted)(x)
    gc.collect()
    kept(x)
    return Seen(counted.runs == 1, f"live, temporary, live again: {counted.runs} trace(s)")


@claim(
    "wrappers-share-traces",
    "Compiled wrappers have to be cached by shape and dtype in a dictionary of your own.",
    source=METALFAISS,
    answer="No need: two live wrappers of one function already share one cache, which tells shapes and dtypes apart.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    first, second = mx.compile(counted), mx.compile(counted)
    for x in (mx.zeros((4,)), mx.zeros((5,))):
        first(x)
        second(x)
    return Seen(counted.runs != 2, f"two live wrappers, two shapes each: {counted.runs} traces")


@claim(
    "lambda-in-loop-retraces",
    "Compiling a lambda inside a loop compiles it anew in each round.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes, it is traced in each round, since each round's lambda is a new function; the kernel is reused.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    x = mx.zeros((4,))
    for _ in range(5):
        mx.compile(lambda x: counted(x))(x)
    return Seen(counted.runs == 5, f"5 rounds, {counted.runs} traces")


@claim(
    "lambda-in-loop-leaks",
    "Compiling throw-away functions leaks them.",
    source=f"a worry behind {issue(3932)}",
    answer="No: when the wrapper goes, the function it held and its traces go too.",
)
def _(mx: Any) -> Seen:
    class Body:
        def __call__(self, x: Any) -> Any:
            return mx.exp(x)

    body = Body()
    seen = weakref.ref(body)
    compiled = mx.compile(body)
    compiled(mx.zeros((4,)))
    held = seen() is not None
    del body
    kept = seen() is not None
    del compiled
    gc.collect()
    alive = seen() is not None
    return Seen(
        alive,
        f"wrapper alive: function {'kept' if held and kept else 'gone'}; wrapper gone: {'kept' if alive else 'gone'}",
    )


@claim(
    "traces-never-evicted",
    "Old traces are dropped when a function has seen many shapes.",
    source=f"a hope behind {issue(3964)} and #4464",
    answer="No: every shape's trace is kept for as long as the function, so memory and look-up time grow "
    "with the number of shapes.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    compiled = mx.compile(counted)
    for n in range(1000):
        compiled(mx.zeros((n + 1,)))
    before = counted.runs
    compiled(mx.zeros((1,)))
    return Seen(
        counted.runs > before,
        f"{before} traces for 1000 shapes; back to the first shape: {counted.runs - before} more",
    )


@claim(
    "kernel-built-at-eval",
    "The kernel is built while the compiled function is called the first time.",
    source=f"{NOTES} (the first call is slow)",
    answer="No: the call only traces; the kernel is built when its result is evaluated, so time that first evaluation.",
    cold=True,
)
def _(mx: Any) -> Seen:
    kept: list[Any] = []
    compiled = mx.compile(lambda x: mx.exp(x) * 2)
    call = kernels_built(lambda: kept.append(compiled(mx.zeros((4,)))))
    evaluation = kernels_built(lambda: mx.eval(*kept))
    return by_kernels(
        [call, evaluation],
        call > 0,
        f"kernels built by the call: {call}; by mx.eval of its result: {evaluation}",
    )


def _builds(mx: Any, fun: Any, *inputs: Any) -> int:
    """Call a function, evaluate its result, and return how many kernels that built."""
    return kernels_built(lambda: mx.eval(fun(*inputs)))


@claim(
    "shape-reuses-kernel",
    "A new shape runs only part of the compilation again.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes: it is traced again, and the kernel that is there already serves it.",
    cold=True,
)
def _(mx: Any) -> Seen:
    return _kernels_of_second(mx, mx.zeros((5,)), 0, "of another length")


@claim(
    "dtype-builds-kernel",
    "A new dtype runs the whole compilation again.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes: a trace and a kernel.",
    cold=True,
)
def _(mx: Any) -> Seen:
    return _kernels_of_second(mx, mx.zeros((4,), dtype=mx.float16), 1, "of another dtype")


def _kernels_of_second(mx: Any, second: Any, expected: int, what: str) -> Seen:
    """Call a fused function on four float32 values, then on ``second``: what does that cost?"""
    counted = Counted(lambda x: mx.exp(x) * 2)
    compiled = mx.compile(counted)
    built = [_builds(mx, compiled, x) for x in (mx.zeros((4,)), mx.ones((4,)), second)]
    holds = counted.runs == 2 and built[:2] == [1, 0] and (built[2] > 0) == (expected > 0)
    return by_kernels(built, holds, f"first, second, and an input {what}: kernels built {built}, traces {counted.runs}")


@claim(
    "layout-builds-kernel",
    "Inputs of the same shape and dtype never cause another build.",
    source=f"{NOTES} (the signature is count, dtype, rank and shape)",
    answer="Not so on the CPU: a transposed input has another memory layout, which takes a kernel of its own without a "
    "trace. On CUDA one kernel serves both layouts.",
    cold=True,
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x, y: mx.exp(x) * y)
    compiled = mx.compile(counted)
    x = mx.ones((4, 3))
    turned = mx.ones((3, 4)).T
    mx.eval(x, turned)
    built = [_builds(mx, compiled, x, y) for y in (x, turned)]
    return by_kernels(
        built,
        built[1] == 0,
        f"row-major then transposed second input: kernels built {built}, {counted.runs} trace(s)",
    )


@claim(
    "functions-share-kernels",
    "Each compiled function builds kernels of its own.",
    source=GUIDE,
    answer="No: kernels are found by their operations, dtypes and constants, so a second function with the "
    "same chain reuses the first one's.",
    cold=True,
)
def _(mx: Any) -> Seen:
    functions = [lambda x: mx.exp(x) * 2, lambda value: mx.exp(value) * 2]
    compiled = [mx.compile(f) for f in functions]
    built = [_builds(mx, f, mx.zeros((4,))) for f in compiled]
    return by_kernels(built, built[1] > 0, f"kernels built by the first and by the second function: {built}")


@claim(
    "lambda-in-loop-one-kernel",
    "Compiling a lambda inside a loop builds its kernels anew in each round.",
    source=f"{DOCS}, Basics of Compile (compiles each time)",
    answer="No: five rounds trace five times and build one kernel.",
    cold=True,
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    built = [_builds(mx, mx.compile(lambda x: mx.exp(x) * 2), x) for _ in range(5)]
    return by_kernels(built, sum(built) > 1, f"kernels built in rounds 1 to 5: {built}")


@claim(
    "python-floats-build-kernels",
    "A Python float as an argument costs no more than an array.",
    source=f"a habit behind {issue(3964)}",
    answer="No: every new value is a new trace, and a new kernel because the value is written into it; pass "
    "what changes as mx.array.",
    cold=True,
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    seen = {}
    for name, kind in (("float", float), ("mx.array", mx.array)):
        counted = Counted(lambda x, scale: mx.exp(x) * scale)
        compiled = mx.compile(counted)
        built = sum(_builds(mx, compiled, x, kind(value)) for value in (0.25, 0.5, 0.75))
        seen[name] = (counted.runs, built)
    words = "; ".join(f"as {name} {runs} trace(s), {built} kernel(s)" for name, (runs, built) in seen.items())
    return by_kernels([b for _, b in seen.values()], seen["float"] <= seen["mx.array"], f"three values: {words}")


@claim(
    "constants-in-kernel",
    "A constant written into a compiled function is part of its kernel.",
    source=GUIDE,
    answer="Yes: the same chain with another constant builds another kernel.",
    cold=True,
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    functions = [mx.compile(lambda x, c=c: mx.exp(x) * c) for c in (2.0, 3.0, 2.0)]
    built = [_builds(mx, f, x) for f in functions]
    return by_kernels(built, built == [1, 1, 0], f"kernels built for the constants 2, 3, 2: {built}")


@claim(
    "arrays-keep-one-trace",
    "A number that changes from call to call should be passed as an mx.array.",
    source=issue(3964),
    answer="Yes: a hundred Python floats are a hundred traces, a hundred arrays one.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    values = [n / 8 for n in range(100)]
    floats = traces(mx, lambda x, s: mx.exp(x), *[(x, v) for v in values])[-1]
    arrays = traces(mx, lambda x, s: mx.exp(x), *[(x, mx.array(v)) for v in values])[-1]
    return Seen(arrays == 1 < floats, f"100 values: {floats} trace(s) as float, {arrays} as mx.array")


@claim(
    "closed-array-memory",
    "An array that a compiled function closes over is freed when the program drops it.",
    source="a common expectation",
    answer="No: the trace holds it, also after the name was given another array; it goes with the compiled function.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, "get_active_memory", "clear_cache"):
        return absent
    table = {"big": mx.ones((1 << 20,))}
    mx.eval(table)
    size, start = table["big"].nbytes, mx.get_active_memory()
    compiled = mx.compile(lambda x: x + table["big"])
    mx.eval(compiled(mx.ones((1,))))
    table["big"] = mx.ones((1,))
    held = _arrays_since(mx, start, size)
    del compiled
    freed = _arrays_since(mx, start, size)
    return Seen(held < 0, f"after the name got another array: {1 + held} held; after the function went: {1 + freed}")


def _arrays_since(mx: Any, start: int, size: int) -> int:
    """Return how many arrays of a size were added to, or freed from, the memory in use."""
    gc.collect()
    mx.clear_cache()
    return round(float(mx.get_active_memory() - start) / size)


@claim(
    "bound-method-traces",
    "Two compiled wrappers of one bound method share their traces, as those of one function do.",
    source="a common expectation",
    answer="No: obj.method is a new object each time it is looked up, so each wrapper traces for itself; keep one.",
)
def _(mx: Any) -> Seen:
    class Model:
        runs = 0

        def step(self, x: Any) -> Any:
            self.runs += 1
            return mx.exp(x)

    model = Model()
    wrappers = [mx.compile(model.step) for _ in range(2)]
    for wrapper in wrappers:
        wrapper(mx.zeros((4,)))
    return Seen(model.runs == 1, f"traces of two wrappers: {model.runs}")


@claim(
    "broadcast-builds-kernel",
    "Once built, a kernel serves its operations for every way in which its inputs are broadcast.",
    source="a common expectation",
    answer="No, on the CPU and GPU backends seen: a row or a scalar beside a matrix, and a broadcast over more "
    "dimensions, are built for themselves.",
    cold=True,
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda x, y: mx.exp(-x) + y)
    shapes = {"same shape": (4, 6), "row": (6,), "scalar": ()}
    built = {}
    for name, shape in shapes.items():
        inputs = mx.ones((4, 6)), mx.ones(shape)
        built[name] = kernels_built(partial(_evaluated, mx, compiled, *inputs))
    shown = ", ".join(f"{name} {count}" for name, count in built.items())
    return by_kernels(list(built.values()), sum(built.values()) == 1, f"kernels built for each: {shown}")


def _evaluated(mx: Any, compiled: Any, *inputs: Any) -> None:
    mx.eval(compiled(*inputs))


def raise_first(mx: Any) -> str:
    """Compile a function without arguments that raises in its first trace; say what the second call gives."""
    runs: list[int] = []

    def fun() -> Any:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("not yet")
        return mx.ones((1,)) + 1

    compiled = mx.compile(fun)
    raised(compiled)
    return outcome(compiled)


@claim(
    "no-argument-raise",
    "A compiled function without arguments works after its first call raised.",
    source="a common expectation",
    answer="Since 0.32.0; before, the second call raised as well or ended the process.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, raise_first)
    return Seen("array" in str(ended.result), f"second call: {ended.result or ended.how}")
