"""Pitfalls: code that runs, and does something else than it says."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, arrow, brief, compiled_graph, graph, optional, outcome, raised
from ._sources import GUIDE, METALFAISS

PITFALLS = f"{METALFAISS}, common pitfalls"


@claim(
    "broadcast-mismatch-raises",
    "Subtracting a vector (n,) from a column (n, 1) raises an error.",
    source=f"{PITFALLS} (warns of it)",
    answer="No: it broadcasts to (n, n); compare shapes with an assert, which costs nothing once the "
    "function is traced.",
)
def _(mx: Any) -> Seen:
    shape = outcome(lambda: tuple((mx.ones((3, 1)) - mx.ones((3,))).shape))
    return Seen(shape != "(3, 3)", f"(3, 1) - (3,) has shape {shape}")


@claim(
    "vector-loss",
    "A loss may be a vector; mx.grad sums it.",
    source=f"{PITFALLS} (warns of it)",
    answer="No: reduce it to a scalar with mx.mean or mx.sum.",
)
def _(mx: Any) -> Seen:
    message = raised(lambda: mx.grad(lambda x: x * x)(mx.ones((3,))))
    return Seen(not message, message or "works")


@claim(
    "gradients-missing",
    "Gradients that lack some of the model's parameters make the optimizer fail.",
    source=PITFALLS,
    answer="No: it updates the parameters that have one and leaves the others; a parameter too many is a KeyError.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")
    optim = optional("mlx.optimizers")

    model, optimizer = nn.Linear(2, 2), optim.SGD(0.5)
    some = {"weight": mx.ones((2, 2))}
    few = raised(lambda: optimizer.update(model, some))
    many = raised(lambda: optimizer.update(model, {**some, "scale": mx.ones((2,))}))
    return Seen(
        bool(few),
        f"without the bias: {few or 'no error'}; with one that the model lacks: {many or 'no error'}",
    )


@claim(
    "closure-made-from-argument",
    "A compiled function may close over an array that was computed from its argument.",
    source=GUIDE,
    answer="Only after mx.eval of that array: otherwise its graph leads back to the argument, and tracing fails.",
)
def _(mx: Any) -> Seen:
    x = mx.ones((3,))
    mx.eval(x)
    scale = mx.sum(mx.exp(x))
    lazy = raised(lambda: mx.compile(lambda x: x / scale)(x))
    mx.eval(scale)
    ready = raised(lambda: mx.compile(lambda x: x / scale)(x))
    return Seen(not lazy, f"not yet evaluated: {lazy or 'works'}; evaluated: {ready or 'works'}")


@claim(
    "closure-widens-dtype",
    "A float16 function stays float16 when it closes over a table made by mx.array.",
    source=f"{METALFAISS}, common pitfalls, addendum (dtype drift)",
    answer="No: the table is float32 unless told otherwise, and so is the result.",
)
def _(mx: Any) -> Seen:
    table = mx.array([0.5, 0.25])
    dtype = mx.compile(lambda x: x * table)(mx.ones((2,), dtype=mx.float16)).dtype
    return Seen(dtype == mx.float16, f"float16 times the table is {dtype}")


@claim(
    "generator-compiles",
    "A generator function can be compiled.",
    source="a habit from Python",
    answer="No: calling it runs nothing, so what it yields later are leftover placeholders.",
)
def _(mx: Any) -> Seen:
    def parts(x: Any) -> Any:
        yield x + 1

    seen = outcome(lambda: [part.tolist() for part in mx.compile(parts)(mx.zeros((2,)))])
    return Seen(seen == "[[1.0, 1.0]]", brief(seen))


@claim(
    "compile-twice",
    "Compiling a function that is compiled already does harm.",
    source=GUIDE,
    answer="No: its body is traced once, and the value is right.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    twice, x = mx.compile(mx.compile(counted)), mx.zeros((2,))
    values = [twice(x).tolist() for _ in range(2)]
    return Seen(values != [[1.0, 1.0]] * 2 or counted.runs != 1, f"two calls: {values}, {counted.runs} trace(s)")


@claim(
    "compile-inside-function",
    "mx.compile may be called inside a function that is called often.",
    source=f"{METALFAISS}, Compile Guide (advises against it)",
    answer="It traces anew at each call, because the wrapper's cache dies with it: compile once, at module level.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))

    def often(x: Any) -> Any:
        return mx.compile(counted)(x)

    x = mx.zeros((2,))
    for _ in range(3):
        often(x)
    return Seen(counted.runs == 1, f"three calls: {counted.runs} trace(s)")


@claim(
    "call-has-finished",
    "When a compiled call returns, its work is done, so a clock around it measures the work.",
    source="a habit from NumPy",
    answer="No: it returns a graph that waits; put mx.eval inside the timed part.",
)
def _(mx: Any) -> Seen:
    compiled, x = mx.compile(lambda x: mx.exp(-x) + 1), mx.zeros((2,))
    mx.eval(compiled(x))
    waiting = [name for name in graph(mx, compiled(x)) if name.startswith("Compiled")]
    return Seen(not waiting, f"after the call there waits: {arrow(waiting) or 'nothing'}")


@claim(
    "loop-without-eval",
    "A loop of compiled calls needs no mx.eval until its end.",
    source="a habit from other frameworks",
    answer="It runs, but the graph grows with each round; evaluate once a round, or memory grows with it.",
)
def _(mx: Any) -> Seen:
    compiled, x = mx.compile(lambda x: mx.exp(-x) + 1), mx.zeros((2,))
    mx.eval(x)
    lengths = []
    for _ in range(3):
        x = compiled(x)
        lengths.append(sum(name.startswith("Compiled") for name in graph(mx, x)))
    return Seen(lengths[0] == lengths[-1], f"kernels waiting after rounds 1, 2, 3: {lengths}")


@claim(
    "element-loop-fuses",
    "Compiling turns a Python loop over an array's elements into one kernel.",
    source=f"{PITFALLS} (advises mx.where)",
    answer="No: each element becomes work of its own; write the operation on the whole array.",
)
def _(mx: Any) -> Seen:
    def each(x: Any) -> Any:
        return mx.stack([mx.maximum(x[i], 0.1 * x[i]) for i in range(8)])

    loop = compiled_graph(mx, each, mx.ones((8,)))
    whole = compiled_graph(mx, lambda x: mx.maximum(x, 0.1 * x), mx.ones((8,)))
    return Seen(len(loop) == len(whole), f"for 8 elements {len(loop)} operations; on the whole array {len(whole)}")


@claim(
    "strided-input-wrong",
    "A slice or a transpose must be made contiguous before it enters a compiled function.",
    source=f"{PITFALLS} (for speed)",
    answer="Not for the result's sake: strides are followed.",
)
def _(mx: Any) -> Seen:
    x = mx.arange(12).reshape(3, 4).astype(mx.float32)
    views = {"x.T": x.T, "x[:, ::2]": x[:, ::2], "x[::-1]": x[::-1]}
    compiled = mx.compile(lambda x: -mx.abs(x))
    wrong = [name for name, view in views.items() if compiled(view).tolist() != (-view).tolist()]
    return Seen(bool(wrong), f"wrong for {', '.join(wrong)}" if wrong else f"right for {', '.join(views)}")


@claim(
    "argument-containers-change",
    "A list or dictionary passed to a compiled function can be added to inside it.",
    source="a habit from Python",
    answer="Not for the caller: the function gets containers of its own; return what is new.",
)
def _(mx: Any) -> Seen:
    def fun(items: Any, named: Any) -> Any:
        items.append(items[0] * 2)
        named["b"] = items[0]
        return items[1]

    items, named = [mx.ones((2,))], {"a": mx.ones((2,))}
    value = mx.compile(fun)(items, named).tolist()
    return Seen(
        len(items) == 2 and "b" in named,
        f"returns {value}; the list has {len(items)} entry, the dictionary {sorted(named)}",
    )
