"""Fusion: which operations end up in one kernel, and what that does to memory.

Everything here is counted in the graph that a compiled function returns, before anything is evaluated: there,
a fused kernel is one node.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import arrow, compiled_graph, gpu, graph, kernels, missing, optional
from ._sources import DOCS, GUIDE, METALFAISS, NOTES, issue
from .numerics import gelu


def _scaled(mx: Any, x: Any, a: Any) -> Any:
    return x * mx.exp(a)


def _seconds(mx: Any, fun: Any, *inputs: Any) -> float:
    start = time.perf_counter()
    mx.eval(fun(*inputs))
    return time.perf_counter() - start


def _fastest(mx: Any, fun: Any, *inputs: Any) -> float:
    """Return the seconds of the fastest of five calls, after one that builds kernels."""
    mx.eval(fun(*inputs))
    return min(_seconds(mx, fun, *inputs) for _ in range(5))


def _one_kernel(mx: Any, fun: Any, *inputs: Any) -> Seen:
    """Holds when the compiled function is one fused kernel and nothing else."""
    left = kernels(compiled_graph(mx, fun, *inputs))
    plain = len(kernels(graph(mx, fun(*inputs))))
    one = len(left) == 1 and left[0].startswith("Compiled")
    return Seen(one, f"plain: {plain} kernels; compiled: {arrow(left)}")


@claim(
    "gelu-one-kernel",
    "GELU fuses into one kernel.",
    source=f"{DOCS}, Example Speedup; {METALFAISS}",
    answer="Yes: five kernels become one; what that is worth in time, the gallery measures.",
)
def _(mx: Any) -> Seen:
    return _one_kernel(mx, gelu(mx), mx.ones((4,)))


@claim(
    "gelu-five-times-faster",
    "Compiling GELU makes it five times as fast.",
    source=f"{DOCS}, Example Speedup (on an M1 Max); {METALFAISS}",
    answer="The gallery measures it on each machine; counted here is what compiling can save: kernels.",
)
def _(mx: Any) -> Seen:
    return Seen(None, f"a time, not decided here; {_one_kernel(mx, gelu(mx), mx.ones((4,))).observed}")


@claim(
    "nn-gelu-is-plain",
    "Timing nn.gelu against mx.compile(nn.gelu) shows what compiling gains.",
    source=f"{NOTES}; {issue(2509)}",
    answer="No: nn.gelu is compiled already, so both sides run the same kernel.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")
    x = mx.ones((4,))
    mx.eval(x)
    plain, compiled = kernels(graph(mx, nn.gelu(x))), kernels(compiled_graph(mx, nn.gelu, x))
    return Seen(len(plain) > len(compiled), f"kernels of nn.gelu(x): {len(plain)}; compiled: {len(compiled)}")


@claim(
    "exp-add-one-kernel",
    "exp(-x) + y fuses into one kernel.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes: three element-wise operations, one kernel.",
)
def _(mx: Any) -> Seen:
    return _one_kernel(mx, lambda x, y: mx.exp(-x) + y, mx.ones((4,)), mx.ones((4,)))


@claim(
    "casts-fuse",
    "A change of dtype inside a chain is a kernel of its own.",
    source=GUIDE,
    answer="No: astype fuses like any element-wise operation.",
)
def _(mx: Any) -> Seen:
    seen = _one_kernel(mx, lambda x: mx.exp(-x.astype(mx.float16)).astype(mx.float32), mx.ones((4,)))
    return Seen(not seen.holds, seen.observed)


@claim(
    "broadcast-fuses",
    "Broadcasting a row over a matrix stops fusion.",
    source=GUIDE,
    answer="No: the fused kernel reads the row again for each line.",
)
def _(mx: Any) -> Seen:
    seen = _one_kernel(mx, lambda x, row: mx.exp(-x) + mx.exp(row), mx.ones((4, 6)), mx.ones((6,)))
    return Seen(not seen.holds, seen.observed)


@claim(
    "small-factor-joins",
    "What a function computes of a single number stays out of the kernel that uses it for a whole array.",
    source=GUIDE,
    answer="No: it becomes a part of that kernel, which has as many elements as its result.",
)
def _(mx: Any) -> Seen:
    x, a = mx.ones((64, 64)), mx.ones((1,))
    mx.eval(x, a)
    plain, compiled = kernels(graph(mx, _scaled(mx, x, a))), kernels(compiled_graph(mx, partial(_scaled, mx), x, a))
    apart = any("Exp" in name for name in compiled) and len(compiled) > 1
    return Seen(apart, f"plain: {arrow(plain)}; compiled: {arrow(compiled)}")


@claim(
    "small-factor-once",
    "A fused kernel computes a factor that is a single number once.",
    source=GUIDE,
    answer="No: once for each element of the result. Plain, it is computed once, so compiling can make the function slower.",
)
def _(mx: Any) -> Seen:
    if gpu(mx):
        return Seen(None, "a time, and decided on the CPU backend: a GPU may hide what it computes again")

    def costly_factor(x: Any, a: Any) -> Any:
        for _ in range(5):
            a = mx.exp(mx.sin(a))
        return x * a

    x, a = mx.ones((512, 1024)), mx.ones((1,))
    plain, compiled = (_fastest(mx, function, x, a) for function in (costly_factor, mx.compile(costly_factor)))
    slower = compiled > 3 * plain
    return Seen(not slower, f"compiled at least three times as slow: {slower}")


@claim(
    "fused-maximum-fast",
    "A maximum with a number takes no longer in a fused kernel than without compiling.",
    source=GUIDE,
    answer="On the CPU it can take several times as long: the kernel branches on each value, which is slow where signs are "
    "mixed. That was seen for mx.minimum, mx.clip and a squared ReLU, too, but not for a leaky ReLU.",
)
def _(mx: Any) -> Seen:
    if gpu(mx):
        return Seen(None, "a time, and decided on the CPU backend")

    def rectified(x: Any) -> Any:
        return mx.maximum(x, 0) + 1

    mixed = mx.random.normal((1 << 20,), key=mx.random.key(0))
    inputs = [mixed, mx.sort(mixed)]
    mx.eval(inputs)
    plain, compiled = ([_fastest(mx, function, x) for x in inputs] for function in (rectified, mx.compile(rectified)))
    slower = compiled[0] > 3 * plain[0]
    return Seen(
        not slower,
        f"compiled at least three times as slow with mixed signs: {slower}; the same values sorted take at most half as "
        f"long compiled: {2 * compiled[1] < compiled[0]}",
    )


@claim(
    "small-factor-argument",
    "Passing a small factor as an argument, computed outside, keeps it out of the kernel.",
    source=GUIDE,
    answer="Yes, if it is evaluated before the call or computed outside the compiled function.",
)
def _(mx: Any) -> Seen:
    x, a = mx.ones((64, 64)), mx.ones((1,))
    mx.eval(x, a)
    names = kernels(graph(mx, mx.compile(lambda x, factor: x * factor + 1)(x, mx.exp(a))))
    return Seen("Exp" in names, f"kernels: {arrow(names)}")


@claim(
    "depends-ends-fusion",
    "mx.depends keeps what comes before it out of the kernel that comes after it.",
    source=GUIDE,
    answer="Yes: a small factor behind it is a kernel of its own, also in a compiled function.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, "depends"):
        return absent
    x, a = mx.ones((64, 64)), mx.ones((1,))
    mx.eval(x, a)
    left = kernels(compiled_graph(mx, lambda x, a: x * mx.depends(mx.exp(a), a) + 1, x, a))
    return Seen("Exp" in left, f"compiled: {arrow(left)}")


@claim(
    "where-fuses",
    "mx.where and comparisons fuse with what surrounds them.",
    source=METALFAISS,
    answer="Yes: comparison, selection and both branches are one kernel, and both branches are computed "
    "for every element.",
)
def _(mx: Any) -> Seen:
    return _one_kernel(mx, lambda x: mx.where(x > 0, mx.exp(x), -x), mx.ones((4,)))


@claim(
    "single-operation-unfused",
    "A compiled function of one operation becomes a fused kernel too.",
    source=GUIDE,
    answer="No: there is nothing to fuse with, and the operation stays as it is.",
)
def _(mx: Any) -> Seen:
    left = compiled_graph(mx, lambda x: mx.exp(x), mx.ones((4,)))
    return Seen(left[0].startswith("Compiled"), f"exp(x) becomes {arrow(left)}")


@claim(
    "common-work-merged",
    "Compiling merges work that the function does twice.",
    source=f"{DOCS}, introduction",
    answer="Yes: two sorts of the same array become one.",
)
def _(mx: Any) -> Seen:
    def twice(x: Any) -> Any:
        return mx.sort(x) * mx.sort(x)

    x = mx.ones((4,))
    left = compiled_graph(mx, twice, x)
    plain = graph(mx, twice(x))
    return Seen(plain.count("Sort") == 2 and left.count("Sort") == 1, f"plain {arrow(plain)}; compiled {arrow(left)}")


@claim(
    "two-outputs-one-kernel",
    "A function that returns a value and an intermediate of it needs two kernels.",
    source=GUIDE,
    answer="No: one kernel writes both.",
)
def _(mx: Any) -> Seen:
    def both(x: Any) -> Any:
        middle = mx.exp(-x)
        return middle, mx.sin(middle)

    left = compiled_graph(mx, both, mx.ones((4,)))
    return Seen(len(left) != 1, f"exp(-x) and sin(exp(-x)) together: {arrow(left)}")


@claim(
    "inner-compiled-merges",
    "A compiled function called by another compiled function becomes part of it.",
    source=f"{DOCS}, Transformations with Compile",
    answer="Yes: compile the outermost function; the inner one's operations fuse with the outer one's.",
)
def _(mx: Any) -> Seen:
    inner = mx.compile(lambda x: mx.exp(-x))
    left = compiled_graph(mx, lambda x: mx.sin(inner(x)), mx.ones((4,)))
    return Seen(len(left) == 1 and left[0].startswith("Compiled"), f"sin(inner(x)) becomes {arrow(left)}")


@claim(
    "plain-caller-unfused",
    "A plain function gains fusion across the compiled functions that it calls.",
    source=f"{DOCS}, Transformations with Compile (implied)",
    answer="No: each compiled function is fused by itself; its results cross memory in between.",
)
def _(mx: Any) -> Seen:
    inner = mx.compile(lambda x: mx.exp(-x))
    x = mx.ones((4,))
    mx.eval(x)
    names = graph(mx, inner(inner(x)))
    return Seen(len(names) == 1, f"inner(inner(x)) called by a plain function: {arrow(names)}")


@claim(
    "gelu-layer-in-chain",
    "nn.gelu called inside a compiled function is a kernel of its own.",
    source=GUIDE,
    answer="No: although nn.gelu is compiled already, it fuses with what surrounds it.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    left = compiled_graph(mx, lambda x: nn.gelu(x * 3) + 1, mx.ones((4,)))
    return Seen(len(kernels(left)) > 1, f"nn.gelu(x * 3) + 1 becomes {arrow(left)}")


def _temporaries(mx: Any, fun: Any) -> int:
    """Return by how many arrays of the input's size MLX's memory rises at most while ``fun`` runs."""
    x = mx.ones((1 << 18,))
    mx.eval(x)
    mx.eval(fun(x))
    _held(mx)
    mx.clear_cache()
    mx.reset_peak_memory()
    before = _held(mx)
    mx.eval(fun(x))
    arrays: int = round((mx.get_peak_memory() - before) / x.nbytes)
    return arrays


def _held(mx: Any) -> int:
    """Return the memory in use once it has stood still for a twentieth of a second.

    On CUDA memory that was freed counts a little longer: peaks of no array at all were seen.
    """
    seen: int = mx.get_active_memory()
    since, end = time.monotonic(), time.monotonic() + 1
    while time.monotonic() < min(since + 0.05, end):
        time.sleep(0.01)
        if (now := mx.get_active_memory()) != seen:
            seen, since = now, time.monotonic()
    return seen


MEMORY = ("get_peak_memory", "get_active_memory", "reset_peak_memory", "clear_cache")


@claim(
    "wide-memory",
    "Compiling lowers the memory that a function needs.",
    source=f"{DOCS}, introduction",
    answer="Yes where many intermediates live at once: eight temporaries become the one result.",
)
def _(mx: Any) -> Seen:
    def wide(x: Any) -> Any:
        parts = [mx.sin(x * i) for i in range(1, 9)]
        while len(parts) > 1:
            parts = [parts[i] + parts[i + 1] for i in range(0, len(parts), 2)]
        return parts[0]

    if absent := missing(mx, *MEMORY):
        return absent
    plain, compiled = _temporaries(mx, wide), _temporaries(mx, mx.compile(wide))
    return Seen(compiled < plain, f"arrays of the input's size at the peak: plain {plain}, compiled {compiled}")


@claim(
    "gelu-memory",
    "Compiling lowers the memory that GELU needs.",
    source=f"{DOCS}, introduction",
    answer="No, on the CPU and on CUDA: the plain chain reuses its buffers, and both need one array more.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, *MEMORY):
        return absent
    plain, compiled = _temporaries(mx, gelu(mx)), _temporaries(mx, mx.compile(gelu(mx)))
    return Seen(compiled < plain, f"arrays of the input's size at the peak: plain {plain}, compiled {compiled}")


@claim(
    "graph-gets-smaller",
    "Compiling makes the graph smaller.",
    source=f"{DOCS}, introduction",
    answer="Yes where there are element-wise operations; a function of matrix products alone keeps its graph.",
)
def _(mx: Any) -> Seen:
    def layer(x: Any, w: Any) -> Any:
        return mx.maximum(x @ w, 0) * 2 + 1

    x, w = mx.ones((4, 4)), mx.ones((4, 4))
    left = kernels(compiled_graph(mx, layer, x, w))
    plain = kernels(graph(mx, layer(x, w)))
    return Seen(len(left) < len(plain), f"plain {arrow(plain)}; compiled {arrow(left)}")


@claim(
    "unwanted-results-written",
    "Of several results of a compiled function, only those that are asked for are computed and kept.",
    source="a common expectation",
    answer="No: results that share a fused kernel are all written, so the last of eight needs the memory of all; return "
    "only what is used.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, *MEMORY):
        return absent
    x = mx.ones((1 << 20,))
    mx.eval(x)
    plain, compiled = (_arrays_for_last(mx, fun, x) for fun in (_eight(mx), mx.compile(_eight(mx))))
    return Seen(
        compiled <= plain, f"arrays at the peak for the last of eight results: {plain} plain, {compiled} compiled"
    )


def _eight(mx: Any) -> Any:
    """Return a function of eight results, each computed from the one before."""

    def fun(x: Any) -> list[Any]:
        results = [mx.sin(x)]
        for _ in range(7):
            results.append(mx.sin(results[-1]) + x)
        return results

    return fun


def _arrays_for_last(mx: Any, fun: Any, x: Any) -> int:
    """Return the memory, in arrays like x, that evaluating the last result takes at its peak."""
    mx.eval(fun(x)[-1])  # builds the kernels
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(fun(x)[-1])
    return round(float(mx.get_peak_memory() - before) / float(x.nbytes))
