"""Where fusion stops: operations that stay a kernel of their own, and how much one fused kernel holds."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import arrow, compiled_graph, graph, kernels, survives
from ._sources import GUIDE

OTHERS = "a habit from other compilers"


def _stops(mx: Any, middle: Any, shape: tuple[int, ...] = (4, 6)) -> Seen:
    """Put ``middle`` between two fusable pairs; holds when it keeps them apart."""
    left = compiled_graph(mx, lambda x: mx.exp(-middle(mx.exp(-x))), mx.ones(shape))
    parts = sum(name.startswith("Compiled") for name in left)
    return Seen(parts == 2, f"exp(-…(exp(-x))) becomes {arrow(left)}")


@claim(
    "reduction-stops",
    "Fusion stops at a reduction such as mx.sum.",
    source=GUIDE,
    answer="Yes: the sum stays a kernel, with one fused kernel before it and one after it.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, lambda x: mx.sum(x, axis=0))


@claim(
    "matmul-stops",
    "Fusion stops at a matrix product.",
    source=GUIDE,
    answer="Yes: nothing is fused into a matmul, neither before nor after it.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, lambda x: x @ x.T)


@claim(
    "reshape-stops",
    "A reshape costs nothing, so it doesn't stop fusion.",
    source=OTHERS,
    answer="It moves no data, but the element-wise operations before it and after it stay two kernels; "
    "reshape first or last.",
)
def _(mx: Any) -> Seen:
    seen = _stops(mx, lambda x: x.reshape(-1))
    return Seen(not seen.holds, seen.observed)


@claim(
    "transpose-stops",
    "A transpose costs nothing, so it doesn't stop fusion.",
    source=OTHERS,
    answer="It moves no data, but it splits the chain into two kernels.",
)
def _(mx: Any) -> Seen:
    seen = _stops(mx, lambda x: x.T)
    return Seen(not seen.holds, seen.observed)


@claim(
    "slice-stops",
    "Fusion stops at a slice.",
    source=GUIDE,
    answer="Yes: what is sliced is computed whole first; slice before the chain, not inside it.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, lambda x: x[1:3])


@claim(
    "concatenate-stops",
    "Fusion stops at mx.concatenate.",
    source=GUIDE,
    answer="Yes: the pieces are written before they are joined.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, lambda x: mx.concatenate([x, x]))


@claim(
    "gather-stops",
    "Fusion stops at mx.take.",
    source=GUIDE,
    answer="Yes: indexing by an array is a kernel between two fused ones.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, lambda x: mx.take(x, mx.array([1, 2]), axis=0))


@claim(
    "sort-stops",
    "Fusion stops at mx.sort.",
    source=GUIDE,
    answer="Yes, as at scans and partitions.",
)
def _(mx: Any) -> Seen:
    return _stops(mx, mx.sort)


@claim(
    "fast-layer-fuses",
    "mx.fast.layer_norm fuses with the element-wise operations around it.",
    source=OTHERS,
    answer="On a GPU no: there it is a kernel written by hand. The CPU backend has none, so its parts "
    "fuse like any others.",
)
def _(mx: Any) -> Seen:
    def layer(x: Any, w: Any, b: Any) -> Any:
        return mx.exp(-mx.fast.layer_norm(mx.exp(-x), w, b, 1e-5))

    left = compiled_graph(mx, layer, mx.ones((4, 6)), mx.ones((6,)), mx.zeros((6,)))
    return Seen(not any("LayerNorm" in name for name in left), arrow(left))


@claim(
    "stream-change-stops",
    "Fusion stops where the stream changes.",
    source=GUIDE,
    answer="Yes: an operation on another stream leaves the fused kernel.",
)
def _(mx: Any) -> Seen:
    other = mx.new_stream(mx.default_device())
    left = compiled_graph(mx, lambda x: mx.sin(-mx.exp(-x), stream=other), mx.ones((4,)))
    return Seen(left[-1] == "Sin", f"sin(-exp(-x)) with its sin on another stream becomes {arrow(left)}")


@claim(
    "chain-limit",
    "A chain of element-wise operations fuses however long it is.",
    source=OTHERS,
    answer="No: a fused kernel holds a chain of eleven operations; a longer chain becomes several kernels.",
)
def _(mx: Any) -> Seen:
    def chain(length: int) -> Any:
        def fun(x: Any) -> Any:
            for step in range(length):
                x = mx.sin(x) if step % 2 else mx.exp(x)
            return x

        return fun

    counts = {n: len(compiled_graph(mx, chain(n), mx.ones((4,)))) for n in (2, 4, 8, 10, 11, 12, 13, 24)}
    longest = max(n for n, count in counts.items() if count == 1)
    return Seen(
        len(set(counts.values())) == 1,
        f"longest chain in one kernel: {longest}; kernels for 24 operations: {counts[24]}",
    )


@claim(
    "input-limit",
    "A fused kernel reads as many arrays as there are.",
    source=OTHERS,
    answer="No: past two dozen inputs the expression is split into several kernels.",
)
def _(mx: Any) -> Seen:
    def highest(*xs: Any) -> Any:
        left = list(xs)
        while len(left) > 1:
            left = [mx.maximum(*left[i : i + 2]) if i + 1 < len(left) else left[i] for i in range(0, len(left), 2)]
        return left[0]

    counts = {n: len(compiled_graph(mx, highest, *(mx.ones((2,)) * i for i in range(n)))) for n in range(20, 33)}
    most = max(n for n, count in counts.items() if count == 1)
    return Seen(
        len(set(counts.values())) == 1,
        f"most inputs in one kernel: {most}; kernels for 32 inputs: {counts[32]}",
    )


@claim(
    "softmax-three-parts",
    "A softmax written by hand fuses into one kernel.",
    source=OTHERS,
    answer="No: its two reductions stay, with a fused kernel after each; mx.softmax over one axis is one "
    "kernel as it is.",
)
def _(mx: Any) -> Seen:
    def softmax(x: Any) -> Any:
        e = mx.exp(x - mx.max(x, axis=-1, keepdims=True))
        return e / mx.sum(e, axis=-1, keepdims=True)

    x = mx.ones((4, 6))
    left = kernels(compiled_graph(mx, softmax, x))
    ready = graph(mx, mx.softmax(x, axis=-1))
    return Seen(len(left) == 1, f"by hand: {arrow(left)}; mx.softmax(x, axis=-1): {arrow(ready)}")


def _complex(mx: Any) -> Any:
    try:
        return str(mx.compile(lambda z: z * z + z)(mx.array([1 + 1j, 2 + 0j])).tolist())
    except RuntimeError as error:
        return f"RuntimeError: {str(error)[:43]}"


@claim(
    "complex-fuses",
    "Complex numbers may be used in a fused kernel.",
    source=GUIDE,
    answer="Yes, on the CPU and on CUDA.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _complex, str([(1 + 3j), (6 + 0j)]))


def _complex_size(mx: Any) -> Any:
    try:
        return str(mx.compile(lambda z: mx.abs(z) * 2 + 1)(mx.array([3 + 4j, 2 + 0j])).tolist())
    except RuntimeError as error:
        text = str(error)
        return f"RuntimeError: {text[:24]} … {text[text.find('error:') :][:90]}"


@claim(
    "complex-abs-fuses",
    "A fused kernel may turn complex numbers into real ones, as mx.abs does.",
    source=GUIDE,
    answer="On the CPU yes; on CUDA (0.32.4) the kernel doesn't build, so keep mx.abs of complex numbers outside.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _complex_size, "[11.0, 5.0]")
