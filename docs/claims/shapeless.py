"""shapeless=True: what keeps its trace when shapes change, and what it is sound for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, in_child, near, optional, outcome, raised, traces
from ._sources import API, DOCS, GUIDE

CHAPTER = f"{DOCS}, Shapeless Compilation"


def counting(mx: Any, *shape: int) -> Any:
    """Return an evaluated float32 array of the shape that counts 1, 2, 3, …"""
    size = 1
    for length in shape:
        size *= length
    array = mx.arange(1, size + 1).astype(mx.float32).reshape(shape)
    mx.eval(array)
    return array


def second_size(mx: Any, fun: Callable[..., Any], first: tuple[int, ...], second: tuple[int, ...]) -> tuple[str, str]:
    """Compile shapeless, call with one shape, then with another; return what came of it, and why.

    On the CPU: what is silently wrong may read beyond an array's end, and a GPU is no place for that.
    """
    with mx.stream(mx.Device(mx.cpu)):
        return _second_size(mx, fun, first, second)


def _second_size(mx: Any, fun: Callable[..., Any], first: tuple[int, ...], second: tuple[int, ...]) -> tuple[str, str]:
    compiled = mx.compile(fun, shapeless=True)
    message = raised(lambda: mx.eval(compiled(counting(mx, *first))))
    if message:
        return "throws", f"{first} throws {message}"
    x = counting(mx, *second)
    message = raised(lambda: mx.eval(compiled(x)))
    if message:
        return "throws", f"after {first}, {second} throws {message}"
    got = compiled(x)
    mx.eval(got)  # before the plain call, whose freed memory may hold what a wrong one reads beyond an array's end
    want = fun(x)
    if near(mx, got, want):
        return "right", f"after {first}, {second} is right"
    shapes = f"shape {got.shape}, plain {want.shape}" if got.shape != want.shape else "wrong values"
    return "wrong", f"after {first}, {second} gives {shapes} without a word"


@claim(
    "shapeless-keeps-trace",
    "With shapeless=True a new shape does not compile again.",
    source=f"{CHAPTER}; {API}",
    answer="Yes, as long as the number of dimensions and the dtype stay.",
)
def _(mx: Any) -> Seen:
    shapes = [(4,), (5,), (400,), (1,)]
    runs = traces(mx, lambda x: mx.exp(x), *[(mx.zeros(s),) for s in shapes], shapeless=True)
    return Seen(runs == [1, 1, 1, 1], f"traces for lengths 4, 5, 400, 1: {runs}")


@claim(
    "shapeless-scalar-then-vector",
    "With shapeless=True, calling with scalars and then with vectors does not compile again.",
    source=CHAPTER,
    answer="No: another number of dimensions is traced again, as the API page says.",
)
def _(mx: Any) -> Seen:
    x = mx.array(1.0)
    runs = traces(mx, lambda x, y: mx.add(x, y), (x, x), (mx.ones((2,)), mx.ones((2,))), shapeless=True)
    return Seen(runs == [1, 1], f"traces after scalars, vectors: {runs}")


@claim(
    "shapeless-dtype-retraces",
    "With shapeless=True a new dtype compiles again.",
    source=API,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((4,))
    runs = traces(mx, lambda x: mx.exp(x), (x,), (mx.zeros((5,)),), (x.astype(mx.float16),), shapeless=True)
    return Seen(runs == [1, 1, 2], f"traces after float32, float32 of another length, float16: {runs}")


@claim(
    "shapeless-plain-apart",
    "A plain and a shapeless wrapper of one function keep their traces apart.",
    source=GUIDE,
    answer="On 0.25.2 and newer; 0.21.1 let each use the other's traces.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    plain, loose = mx.compile(counted), mx.compile(counted, shapeless=True)
    runs = []
    for compiled in (plain, loose, plain, loose):
        compiled(mx.zeros((4,)))
        runs.append(counted.runs)
    return Seen(runs == [1, 2, 2, 2], f"traces after plain, shapeless, plain, shapeless: {runs}")


@claim(
    "shapeless-state-shape",
    "shapeless=True covers captured state as well.",
    source=GUIDE,
    answer="Yes: captured arrays may change their shapes without a trace.",
)
def _(mx: Any) -> Seen:
    state = [mx.zeros((2,))]
    counted = Counted(lambda: mx.exp(state[0]))
    compiled = mx.compile(counted, inputs=state, shapeless=True)
    shapes = []
    for length in (2, 3):
        state[0] = mx.zeros((length,))
        shapes.append(tuple(compiled().shape))
    return Seen(
        shapes == [(2,), (3,)] and counted.runs == 1,
        f"state of lengths 2, 3: results {shapes}, {counted.runs} trace(s)",
    )


def _documented(mx: Any) -> Callable[[Any], Any]:
    return lambda x: mx.reshape(x, (x.shape[0] * x.shape[1], -1))


@claim(
    "shapeless-reshape-throws",
    "The documentation's shapeless reshape(x, (x.shape[0] * x.shape[1], -1)) fails on the shape (5, 5, 3).",
    source=CHAPTER,
    answer="Yes, with an error, because 75 values do not fill the frozen first length.",
)
def _(mx: Any) -> Seen:
    kind, seen = second_size(mx, _documented(mx), (2, 3, 4), (5, 5, 3))
    return Seen(kind == "throws", seen)


@claim(
    "shapeless-reshape-always-throws",
    "That reshape throws for every shape it is wrong for.",
    source=f"{CHAPTER} (implied)",
    answer="No: (4, 3, 2) has as many values as (2, 3, 4), so it silently gives the frozen shape.",
)
def _(mx: Any) -> Seen:
    kind, seen = second_size(mx, _documented(mx), (2, 3, 4), (4, 3, 2))
    return Seen(kind == "throws", seen)


@claim(
    "shapeless-flatten",
    "flatten(x, 0, 1) is the right way to write that reshape.",
    source=CHAPTER,
    answer="Yes: it is right for every shape.",
)
def _(mx: Any) -> Seen:
    shapes = [(5, 5, 3), (4, 3, 2), (1, 7, 2)]
    seen = [second_size(mx, lambda x: mx.flatten(x, 0, 1), (2, 3, 4), shape) for shape in shapes]
    return Seen(all(kind == "right" for kind, _ in seen), "; ".join(words for _, words in seen))


@claim(
    "shapeless-common-operations",
    "Reductions, softmax and matrix products are right under shapeless=True.",
    source=GUIDE,
    answer="Yes, unless the reduced axis is 1 long in one call and longer in another, in either order: then the process can "
    "end. The support table lists what else is right.",
)
def _(mx: Any) -> Seen:
    functions = {
        "mean": lambda x: mx.mean(x, axis=0),
        "softmax": lambda x: mx.softmax(x, axis=-1),
        "matmul": lambda x: mx.matmul(x, mx.transpose(x)),
    }
    seen = {name: second_size(mx, f, (4, 3), (6, 5))[0] for name, f in functions.items()}
    return Seen(set(seen.values()) == {"right"}, ", ".join(f"{name} {kind}" for name, kind in seen.items()))


@claim(
    "shapeless-gradient",
    "A gradient may be compiled with shapeless=True.",
    source="a common expectation",
    answer="Some may: those of sums, softmax and products are right. That of a flatten is silently wrong, although flatten "
    "itself is right, that of a concatenate throws, and nn.Linear with a bias spoils any.",
)
def _(mx: Any) -> Seen:
    losses = {
        "a sum": lambda x: mx.sum(mx.sin(x)),
        "softmax": lambda x: mx.sum(mx.square(mx.softmax(x, axis=-1))),
        "a product": lambda x: mx.sum(mx.square(x @ mx.transpose(x))),
        "flatten": lambda x: mx.sum(mx.square(mx.flatten(x))),
        "concatenate": lambda x: mx.sum(mx.square(mx.concatenate([x, x]))),
    }
    seen = {name: second_size(mx, mx.grad(loss), (4, 3), (6, 5))[0] for name, loss in losses.items()}
    return Seen(set(seen.values()) == {"right"}, "gradients of " + ", ".join(f"{n} {kind}" for n, kind in seen.items()))


@claim(
    "shapeless-vmap",
    "mx.vmap of a function that may be shapeless may be shapeless, too.",
    source="a common expectation",
    answer="No: vmap of row * row.sum() keeps the first call's shape to broadcast to, so it throws at a second size or is "
    "silently wrong; a plain sum over each row is right.",
)
def _(mx: Any) -> Seen:
    functions = {"sum": lambda row: mx.sum(row), "row * sum": lambda row: row * mx.sum(row)}
    seen = {
        name: [second_size(mx, mx.vmap(f), (4, 6), size)[0] for size in ((8, 6), (4, 4))]
        for name, f in functions.items()
    }
    words = "; ".join(
        f"{name}: {more} with more rows, {shorter} with shorter ones" for name, (more, shorter) in seen.items()
    )
    return Seen(all(kind == "right" for kinds in seen.values() for kind in kinds), f"after (4, 6): {words}")


@claim(
    "shapeless-addmm-full",
    "mx.addmm is wrong for a larger batch under shapeless=True.",
    source="what nn.Linear does",
    answer="With a bias, which has fewer dimensions, it is; with a c of the result's size it is right.",
)
def _(mx: Any) -> Seen:
    weight, bias = counting(mx, 3, 2), counting(mx, 2)
    functions = {
        "a bias": lambda x: mx.addmm(bias, x, weight),
        "a full-size c": lambda x: mx.addmm(x @ weight, x, weight),
    }
    seen = {name: second_size(mx, f, (4, 3), (6, 3))[0] for name, f in functions.items()}
    words = ", ".join(f"{name} {kind}" for name, kind in seen.items())
    return Seen("right" not in seen.values(), f"4 rows, then 6: with {words}")


@claim(
    "shapeless-linear-batches",
    "With three dimensions, as batches of texts have, nn.Linear with a bias is right under shapeless=True.",
    source="a common expectation",
    answer="No: it throws at the second size, where with two dimensions it is silently wrong.",
)
def _(mx: Any) -> Seen:
    layer = optional("mlx.nn").Linear(3, 2)
    mx.eval(layer.parameters())
    kind, words = second_size(mx, lambda x: layer(x), (2, 4, 3), (2, 6, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-broadcast-changes",
    "A length of 1 that appears or disappears in a second call broadcasts rightly under shapeless=True.",
    source=GUIDE,
    answer="Since 0.31.2; before, how the first call broadcast was frozen.",
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda x, y: mx.add(x, y), shapeless=True)
    compiled(counting(mx, 4, 3), counting(mx, 4, 3))
    x, y = counting(mx, 6, 3), counting(mx, 1, 3)
    right = outcome(lambda: near(mx, compiled(x, y), x + y))
    return Seen(right == "True", f"(4, 3) + (4, 3), then (6, 3) + (1, 3): right: {right}")


@claim(
    "shapeless-random-throws",
    "Dropout and other random draws of the input's shape may be compiled with shapeless=True.",
    source="a common expectation",
    answer="No: they throw at the first call.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    layer = nn.Dropout(0.5)
    compiled = mx.compile(lambda x: layer(x), shapeless=True)
    message = raised(lambda: compiled(mx.ones((4, 3))))
    return Seen(not message, message or "no exception")


@claim(
    "shapeless-linear-larger",
    "nn.Linear with a bias is right for a larger batch under shapeless=True.",
    source="ml-explore/mlx#3262, which made it possible",
    answer="No: since 0.31.2 the rows beyond the first size get no right bias; before, it threw.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, linear_rows, 4, 6)
    return Seen(ended.result == "right", f"4 rows, then 6: {ended.result or 'the process did not survive'}")


@claim(
    "shapeless-linear-smaller",
    "nn.Linear with a bias is right for a smaller batch under shapeless=True.",
    source=GUIDE,
    answer="No: since 0.31.2 it writes beyond the result and can kill the process; before, it threw. Use "
    "x @ weight.T + bias.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, linear_rows, 40, 2, limit_s=10)
    return Seen(ended.result == "right", f"40 rows, then 2: {ended.result or 'the process did not survive'}")


def linear_rows(mx: Any, first: int, second: int) -> str:
    """Call a shapeless nn.Linear with two numbers of rows, on the CPU: it may write where it must not."""
    nn = optional("mlx.nn")

    mx.set_default_device(mx.Device(mx.cpu))
    layer = nn.Linear(3, 2)
    layer.update({"bias": mx.array([1e6, 2e6])})
    mx.eval(layer.parameters())
    kind, words = second_size(mx, lambda x: layer(x), (first, 3), (second, 3))
    return words if kind == "throws" else kind


@claim(
    "shapeless-unevaluated-weights",
    "A new layer's weights may be used under shapeless=True right away.",
    source=GUIDE,
    answer="No: until they are evaluated, the random draw that makes them is part of the graph, and that "
    "cannot be "
    "shapeless; call mx.eval(layer.parameters()) first.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    layer = nn.Linear(3, 2, bias=False)
    before = raised(lambda: mx.compile(lambda x: layer(x), shapeless=True)(mx.ones((4, 3))))
    mx.eval(layer.parameters())
    after = raised(lambda: mx.compile(lambda x: layer(x), shapeless=True)(mx.ones((4, 3))))
    return Seen(not before, f"never evaluated: {before or 'no exception'} Evaluated: {after or 'no exception'}")


@claim(
    "shapeless-product-plus-bias",
    "x @ weight.T + bias is right under shapeless=True where nn.Linear is not.",
    source=GUIDE,
    answer="Yes: the product and the addition infer their shapes.",
)
def _(mx: Any) -> Seen:
    weight, bias = counting(mx, 2, 3), mx.array([1e6, 2e6])
    mx.eval(bias)
    seen = [second_size(mx, lambda x: x @ weight.T + bias, (4, 3), size) for size in ((6, 3), (2, 3))]
    return Seen(all(kind == "right" for kind, _ in seen), "; ".join(words for _, words in seen))
