"""
What fuses: graphs before and after
===================================

Compiling joins elementwise operations into one kernel, until something ends the chain: a reduction, a matrix product,
a reshape, or a limit of how much one kernel holds. Count what is left of your own function before you measure it, and
you know what compiling can do for it.
"""

# sphinx_gallery_tags = ["fusion", "speed"]
import io
import re
from collections.abc import Callable
from functools import reduce

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, table

# %%
# The question
# ------------
# "I compiled it and nothing got faster": `ml-explore/mlx#2509 <https://github.com/ml-explore/mlx/issues/2509>`__ is one
# of many threads with that title in other words. The first thing to know is what there was to gain, and the graph tells
# (:claim:`graph-shows-fusion`): a fused kernel is one node whose name starts with ``Compiled``. Nodes that only change
# how an array is read are left out here, since they compute nothing.

READS_ONLY = {
    "Broadcast",
    "ExpandDims",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Flatten",
    "Unflatten",
}


def kernels(result: mx.array) -> list[str]:
    """Return what has to run before an array has values, in order."""
    dot = io.StringIO()
    mx.export_to_dot(dot, result)
    return [
        name
        for name in re.findall(r'\[label ?= ?"(\w+)"', dot.getvalue())
        if name not in READS_ONLY
    ]


# %%
# Five functions, each a little further from the perfect case. All of them take a matrix and return one.


def swish(x: mx.array) -> mx.array:
    return x / (1 + mx.exp(-x))


def rms_norm(x: mx.array) -> mx.array:
    return x * mx.rsqrt(mx.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def softmax(x: mx.array) -> mx.array:
    e = mx.exp(x - mx.max(x, axis=-1, keepdims=True))
    return e / mx.sum(e, axis=-1, keepdims=True)


def gated(x: mx.array) -> mx.array:
    return mx.tanh(x + 1) * mx.sigmoid(-x) @ x


def products(x: mx.array) -> mx.array:
    return x @ x @ x


small = mx.random.normal((8, 8), key=mx.random.key(0))
mx.eval(small)
assert mx.allclose(softmax(small), mx.softmax(small, axis=-1), atol=1e-6)
assert mx.allclose(rms_norm(small), mx.fast.rms_norm(small, None, 1e-5), atol=1e-5)

FUNCTIONS = (swish, rms_norm, softmax, gated, products)
graphs = {
    f.__name__: (kernels(f(small)), kernels(mx.compile(f)(small))) for f in FUNCTIONS
}
for name, (plain, compiled) in graphs.items():
    print(f"{name}\n  plain:    {', '.join(plain)}\n  compiled: {', '.join(compiled)}")

# %%
# The names of a fused node say what is in it. Drawn, with one box a kernel:


def contents(node: str, known: set[str]) -> list[str]:
    """Return a node's operations: itself, or those in a fused node's name."""
    names = "|".join(sorted(known | READS_ONLY, key=len, reverse=True))
    found = (
        re.findall(names, node.removeprefix("Compiled"))
        if node.startswith("Compiled")
        else [node]
    )
    return [name for name in found if name not in READS_ONLY]


def draw_boxes(ax: plt.Axes, y: float, nodes: list[str], known: set[str]) -> None:
    left = 0
    for node in nodes:
        width = len(contents(node, known))
        color = "C0" if node.startswith("Compiled") else "0.8"
        ax.barh(y, width - 0.12, 0.36, left=left + 0.06, color=color)
        left += width


figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for row, (plain, compiled) in enumerate(graphs.values()):
    draw_boxes(ax, row - 0.2, plain, set(plain))
    draw_boxes(ax, row + 0.2, compiled, set(plain))
ax.set_yticks(range(len(graphs)), list(graphs))
ax.set_xlabel("operations; one box is one kernel, colored where operations were fused")
ax.invert_yaxis()
ax.grid(visible=False)
ax.set_title("Five functions: kernels plain (above) and compiled (below)")
plt.show()

# %%
# ``swish`` is one kernel. ``rms_norm`` and ``softmax`` are cut by their reductions (:claim:`reduction-stops`,
# :claim:`softmax-three-parts`): an operation before the mean stands alone, and what comes after it is joined. ``gated``
# is joined up to the product (:claim:`matmul-stops`), and of ``products`` nothing changes.
#
# What the library has ready
# --------------------------
# :func:`mlx.core.softmax` is one operation. A compiled softmax of one's own doesn't get there:

print("mx.softmax:", ", ".join(kernels(mx.softmax(small, axis=-1))))
x = mx.random.normal((1024, 512), key=mx.random.key(1))
mx.eval(x)


def ready_softmax(x: mx.array) -> mx.array:
    return mx.softmax(x, axis=-1)


fast_softmax = mx.compile(softmax)
by_hand = compare("fuses-softmax", softmax, fast_softmax, x)
from_library = compare(
    "fuses-softmax-library", fast_softmax, ready_softmax, x, rtol=1e-4
)
table([by_hand, from_library])

# %%
# The first line is the gain of compiling the one written by hand, the second the gain of taking the library's in its
# place.
#
# A split that isn't needed
# -------------------------
# A reshape moves no data. Still it ends the chain (:claim:`reshape-stops`), and what comes before it is written to
# memory and read again. Moved to the front, it does no harm:


def decay(x: mx.array) -> mx.array:
    return mx.exp(-x)


def reshape_between(x: mx.array) -> mx.array:
    return decay(decay(x).reshape(-1))


def reshape_first(x: mx.array) -> mx.array:
    return decay(decay(x.reshape(-1)))


for function in (reshape_between, reshape_first):
    print(f"{function.__name__:16}", ", ".join(kernels(mx.compile(function)(small))))
split = compare(
    "fuses-reshape", mx.compile(reshape_between), mx.compile(reshape_first), x
)
table([split])

# %%
# Limits
# ------
# A kernel holds a limited chain (:claim:`chain-limit`) and reads a limited number of arrays (:claim:`input-limit`).
# Neither is documented, so they are counted: chains of one to forty operations, and the largest of two to forty arrays.


def chain(length: int) -> Callable[[mx.array], mx.array]:
    return lambda x: reduce(
        lambda value, step: mx.sin(value) if step % 2 else mx.exp(value),
        range(length),
        x,
    )


def largest(*arrays: mx.array) -> mx.array:
    """Return the elementwise maximum, pair by pair: that keeps the chain short."""
    while len(arrays) > 1:
        pairs = zip(arrays[::2], arrays[1::2], strict=False)
        arrays = (
            *(mx.maximum(a, b) for a, b in pairs),
            *(arrays[-1:] if len(arrays) % 2 else ()),
        )
    return arrays[0]


def arrays(count: int) -> list[mx.array]:
    made = [small + i for i in range(count)]
    mx.eval(made)
    return made


COUNTS = range(2, 41)
of_length = [len(kernels(mx.compile(chain(n))(small))) for n in COUNTS]
of_inputs = [len(kernels(mx.compile(largest)(*arrays(n)))) for n in COUNTS]
longest = max(n for n, count in zip(COUNTS, of_length, strict=True) if count == 1)
most = max(n for n, count in zip(COUNTS, of_inputs, strict=True) if count == 1)
print(f"longest chain in one kernel: {longest} operations")
print(f"most arrays in one kernel:   {most}")
print("count              ", *(f"{n:3}" for n in COUNTS if n % 4 == 0))
print(
    "kernels for a chain",
    *(f"{k:3}" for n, k in zip(COUNTS, of_length, strict=True) if n % 4 == 0),
)
print(
    "kernels for inputs ",
    *(f"{k:3}" for n, k in zip(COUNTS, of_inputs, strict=True) if n % 4 == 0),
)

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.step(COUNTS, of_length, where="mid", label="operations in a chain")
ax.step(COUNTS, of_inputs, where="mid", linestyle="--", label="arrays read")
ax.set_ylim(bottom=0)
ax.set_xlabel("operations, or arrays")
ax.set_ylabel("kernels after compiling")
ax.legend()
ax.set_title("Kernels after compiling, by length of the chain and number of inputs")
plt.show()

# %%
# Both are generous for code written by hand; loops that are unrolled while tracing (:claim:`python-loop-unrolled`) and
# sums over many arrays do reach them. Then there are two kernels in place of one, and nothing worse.
#
# What to take away
# -----------------
# - Print the graph of a compiled call before you time it. As many kernels as before means nothing to gain but Python's
#   time.
# - Move reshapes, transposes and slices to the beginning or the end of a chain.
# - A reduction costs a kernel whatever you do, but what follows it is joined.
# - Look for a function in ``mx`` or ``mx.fast`` before you write a reduction with trimmings yourself.
#
# Where to go next
# ----------------
# *GELU* measures the perfect case over all sizes. *Outer or inner* asks which of several nested functions to compile.
