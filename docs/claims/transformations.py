"""Transformations: grad, vmap and their kin inside and outside of mx.compile, and nesting."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, fused, graph, missing, near, outcome
from ._sources import DOCS, GUIDE

CHAPTER = f"{DOCS}, Transformations with Compile"


def _wave(mx: Any) -> Callable[[Any], Any]:
    """A function from an array to a scalar, of two element-wise operations and a sum."""
    return lambda x: mx.sum(mx.sin(mx.exp(x)))


def _input(mx: Any) -> Any:
    x = mx.array([1.0, 2.0])
    mx.eval(x)
    return x


def _inside(mx: Any, transform: Callable[[Any], Any]) -> Seen:
    """mx.compile(transform(f)): holds if it is traced once and gives what transform(f) gives."""
    x = _input(mx)
    counted = Counted(_wave(mx))
    compiled = mx.compile(transform(counted))
    values = [compiled(x) for _ in range(2)]
    runs, kernels = counted.runs, fused(mx, values[1])
    right = near(mx, values[1], transform(_wave(mx))(x))
    return Seen(runs == 1 and right, f"two calls, body runs {runs}, fused kernels {kernels}, values {_word(right)}")


def _outside(mx: Any, transform: Callable[[Any], Any]) -> tuple[list[int], int, bool]:
    """transform(mx.compile(f)): body runs after two calls, fused kernels, and if the values are right."""
    x = _input(mx)
    counted = Counted(_wave(mx))
    transformed = transform(mx.compile(counted))
    runs = []
    for _ in range(2):
        value = transformed(x)
        runs.append(counted.runs)
    return runs, fused(mx, value), near(mx, value, transform(_wave(mx))(x))


def _word(right: bool) -> str:
    return "right" if right else "wrong"


@claim(
    "compile-grad",
    "mx.compile(mx.grad(f)) works.",
    source=CHAPTER,
    answer="Yes: the gradient's operations are fused, and the body runs once.",
)
def _(mx: Any) -> Seen:
    return _inside(mx, mx.grad)


@claim(
    "compile-vmap",
    "mx.compile(mx.vmap(f)) works.",
    source=CHAPTER,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return _inside(mx, lambda f: mx.vmap(lambda v: f(v)))


@claim(
    "compile-second-derivative",
    "mx.compile works on a gradient of a gradient.",
    source=CHAPTER,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return _inside(mx, lambda f: mx.grad(lambda x: mx.sum(mx.grad(f)(x))))


@claim(
    "compile-value-and-grad",
    "mx.compile(mx.value_and_grad(f)) gives value and gradient in one trace.",
    source=CHAPTER,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    x = _input(mx)
    counted = Counted(_wave(mx))
    compiled = mx.compile(mx.value_and_grad(counted))
    compiled(x)
    both = compiled(x)
    plain = mx.value_and_grad(_wave(mx))(x)
    right = all(near(mx, a, b) for a, b in zip(both, plain, strict=True))
    return Seen(counted.runs == 1 and right, f"two calls, body runs {counted.runs}, values {_word(right)}")


@claim(
    "grad-of-compiled",
    "mx.grad of a compiled function gives the right gradient.",
    source=CHAPTER,
    answer="Yes; see the next claim for its price.",
)
def _(mx: Any) -> Seen:
    _, _, right = _outside(mx, mx.grad)
    return Seen(right, f"gradient {_word(right)}")


@claim(
    "grad-of-compiled-is-compiled",
    "mx.grad of a compiled function is compiled.",
    source=f"a common reading; {CHAPTER} says no",
    answer="No: the body runs at every call and nothing is fused; compile the gradient instead.",
)
def _(mx: Any) -> Seen:
    runs, kernels, _ = _outside(mx, mx.grad)
    return Seen(runs == [1, 1] and kernels > 0, f"body runs after calls 1 and 2: {runs}; fused kernels {kernels}")


@claim(
    "vmap-of-compiled-is-compiled",
    "mx.vmap of a compiled function is compiled.",
    source=f"a common reading; {CHAPTER} says no",
    answer="No: the body runs at every call and nothing is fused.",
)
def _(mx: Any) -> Seen:
    runs, kernels, _ = _outside(mx, lambda f: mx.vmap(lambda v: f(v)))
    return Seen(runs == [1, 1] and kernels > 0, f"body runs after calls 1 and 2: {runs}; fused kernels {kernels}")


@claim(
    "checkpoint-of-compiled",
    "mx.checkpoint of a compiled function keeps it compiled.",
    source=GUIDE,
    answer="Yes, in the forward pass: other than grad and vmap, it leaves the fused kernel alone.",
)
def _(mx: Any) -> Seen:
    runs, kernels, right = _outside(mx, mx.checkpoint)
    return Seen(
        runs == [1, 1] and kernels > 0 and right,
        f"body runs after calls 1 and 2: {runs}; fused kernels {kernels}; value {_word(right)}",
    )


@claim(
    "compile-checkpoint-grad",
    "mx.compile works on the gradient of a checkpointed function.",
    source=GUIDE,
    answer="Yes; the body runs twice in one trace, forward and once more for the backward pass.",
)
def _(mx: Any) -> Seen:
    x = _input(mx)
    counted = Counted(_wave(mx))
    compiled = mx.compile(mx.grad(mx.checkpoint(counted)))
    compiled(x)
    first = counted.runs
    value = compiled(x)
    right = near(mx, value, mx.grad(_wave(mx))(x))
    return Seen(
        right and counted.runs == first,
        f"body runs after calls 1 and 2: {[first, counted.runs]}; values {_word(right)}",
    )


@claim(
    "custom-gradient-kept",
    "A custom gradient (mx.custom_function) survives mx.compile.",
    source=GUIDE,
    answer="Yes, compiled inside grad or around it.",
)
def _(mx: Any) -> Seen:
    @mx.custom_function  # type: ignore[untyped-decorator]  # mx may be any MLX
    def fun(x: Any) -> Any:
        return mx.sin(x)

    @fun.vjp  # type: ignore[untyped-decorator]  # the same
    def _rule(primals: Any, cotangents: Any, outputs: Any) -> Any:
        return mx.full((2,), 100.0)

    x = _input(mx)
    calls = {
        "compile(grad)": mx.compile(mx.grad(lambda x: mx.sum(fun(x)))),
        "grad(compile)": mx.grad(mx.compile(lambda x: mx.sum(fun(x)))),
    }
    shown = {name: call(x).tolist() for name, call in calls.items()}
    words = ", ".join(f"{name} {value}" for name, value in shown.items())
    return Seen(all(value == [100, 100] for value in shown.values()), f"a rule that says 100: {words}")


@claim(
    "compile-outermost",
    "Compiling the outermost function fuses more than compiling the inner one.",
    source=CHAPTER,
    answer="Yes: one kernel instead of one for each inner call.",
)
def _(mx: Any) -> Seen:
    inner = mx.compile(lambda x: mx.exp(-mx.abs(x)))
    x = _input(mx)
    inside = fused(mx, inner(inner(x)))
    around = fused(mx, mx.compile(lambda x: inner(inner(x)))(x))
    return Seen(around == 1 < inside, f"fused kernels: inner compiled {inside}, outer compiled {around}")


@claim(
    "documented-outer-returns",
    "The documentation's example outer(x), which calls inner twice, returns the result.",
    source=CHAPTER,
    answer="No: its body lacks the return, so it gives None, compiled or not.",
)
def _(mx: Any) -> Seen:
    def inner(x: Any) -> Any:
        return mx.exp(-mx.abs(x))

    def outer(x: Any) -> Any:
        inner(inner(x))

    x = mx.array(1.0)
    shown = [outcome(lambda: outer(x)), outcome(lambda: mx.compile(outer)(x))]
    return Seen("None" not in shown, f"as printed: plain {shown[0]}, compiled {shown[1]}")


@claim(
    "nested-inlined",
    "A compiled function called inside another compiled function keeps its own trace.",
    source=GUIDE,
    answer="No: its body is run again and becomes part of the outer trace, whatever it had in its own cache.",
)
def _(mx: Any) -> Seen:
    x = _input(mx)
    counted = Counted(lambda x: mx.exp(x))
    inner = mx.compile(counted)
    inner(x)
    outer = mx.compile(lambda x: mx.sin(inner(x)))
    before = counted.runs
    outer(x)
    outer(x)
    names = graph(mx, outer(x))
    return Seen(
        counted.runs == before,
        f"inner traces before {before}, after the outer's calls {counted.runs}; {', '.join(names)}",
    )


@claim(
    "nested-capture-followed",
    "State captured by an inner compiled function is followed inside an outer one.",
    source="a common expectation",
    answer="No: for the outer trace it is a constant; capture it where you compile the outermost function.",
)
def _(mx: Any) -> Seen:
    state = [mx.array([1.0])]
    inner = mx.compile(lambda x: mx.abs(state[0]), inputs=state)
    outer = mx.compile(lambda x: mx.abs(inner(x)))
    x = _input(mx)
    values = [outer(x).item()]
    state[0] = mx.array([5.0])
    values.append(outer(x).item())
    return Seen(values == [1, 5], f"state 1, then 5: the outer function gives {values[0]:g}, then {values[1]:g}")


@claim(
    "export-compiled",
    "A compiled function can be exported to a file, and comes back compiled.",
    source="a common expectation",
    answer="It can be exported, but what is imported is not fused; compile the imported function again.",
)
def _(mx: Any) -> Seen:
    absent = missing(mx, "export_function", "import_function")
    if absent:
        return absent
    x = _input(mx)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "wave.mlxfn")
        mx.export_function(file, mx.compile(lambda x: mx.sin(mx.exp(x))), x)
        imported = mx.import_function(file)
        plain, again = imported(x)[0], mx.compile(imported)(x)[0]
        right = near(mx, plain, mx.sin(mx.exp(x)))
    words = f"imported: {', '.join(graph(mx, imported(x)[0]))}; compiled again: {', '.join(graph(mx, again))}"
    return Seen(right and fused(mx, imported(x)[0]) > 0, f"value {_word(right)}; {words}")
