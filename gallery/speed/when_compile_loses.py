"""
When compile loses: six cases, counted and timed
================================================

A compiled function has a price at every call: finding the trace, and handing over what it captures. If there is nothing
to gain, only this price is left, and if the trace is thrown away, each call pays for tracing again. Four cases in which
compiling promises little are measured against the plain call. In two more cases it promises a lot and can still lose,
because a fused kernel computes something small again and again.
"""

# sphinx_gallery_tags = ["speed", "pitfalls", "traces"]
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn

from compile_guide.timing import compare, table

# %%
# The question
# ------------
# "Compiled, it is slower": in `ml-explore/mlx#4435 <https://github.com/ml-explore/mlx/issues/4435>`__ it was a model
# wrapped in another library's objects, in `textpolicy#40 <https://github.com/teilomillet/textpolicy/issues/40>`__ a tiny
# language model, while a large one gained. Before anything is timed, two counts tell most of the story: how many kernels
# compiling removes, and how often a function is traced.

Function = Callable[[mx.array], mx.array]


def nodes(result: mx.array) -> int:
    """Count the operations left to compute; a compiled function has joined some."""
    dot = io.StringIO()
    mx.export_to_dot(dot, result)
    return dot.getvalue().count("shape=rectangle")


def traces_in_three_calls(
    make: Callable[[Function], Function], function: Function, x: mx.array
) -> int:
    """Count the traces of ``function`` in three calls of what ``make`` makes of it."""
    runs = []

    def counted(x: mx.array) -> mx.array:
        runs.append(x.shape)
        return function(x)

    compiled = make(counted)
    mx.eval(*[compiled(x) for _ in range(3)])
    return len(runs)


# %%
# The cases
# ---------
# *One product*: nothing to join, and all the time is spent in a kernel that stays the same (:claim:`matmul-stops`).

matrix = mx.random.normal((64, 64), key=mx.random.key(0))
row = mx.random.normal((1, 64), key=mx.random.key(1))


def one_product(x: mx.array) -> mx.array:
    return x @ matrix


# %%
# *A tiny model*: a few layers, a single row. The function captures the model's state, as it should if the model is to be
# trained on, so each call hands over all weights.

LAYERS = 6
model = nn.Sequential(
    *(part for _ in range(LAYERS) for part in (nn.Linear(64, 64), nn.Tanh()))
)


def tiny_model(x: mx.array) -> mx.array:
    return model(x)


def with_state(function: Function) -> Function:
    return mx.compile(function, inputs=model.state)


# %%
# *A wrapper rebuilt at each call*: the same model behind a helper that calls ``mx.compile`` when it is used. A library
# that wraps arrays in objects of its own does this easily. The wrapper's traces die with it
# (:claim:`compile-inside-function`).


def rebuilt(function: Function) -> Function:
    def call(x: mx.array) -> mx.array:
        return mx.compile(lambda y: function(y), inputs=model.state)(x)

    return call


# %%
# *An activation that is compiled already*: ``nn.silu`` is one kernel as it comes, and a second wrapper can't make it less
# than one. Its sister ``nn.gelu`` has been timed like that often enough (:claim:`nn-gelu-is-plain`).

wide = mx.random.normal((10_000,), key=mx.random.key(2))
# what is closed over has to have values before the first trace
mx.eval(matrix, row, wide, model.state)

CASES: dict[str, tuple[Function, Callable[[Function], Function], mx.array]] = {
    "product": (one_product, mx.compile, row),
    "tiny-model": (tiny_model, with_state, row),
    "rebuilt": (tiny_model, rebuilt, row),
    "activation": (nn.silu, mx.compile, wide),
}
print("case         nodes plain  compiled  traces in 3 calls")
for case, (function, make, x) in CASES.items():
    assert mx.allclose(make(function)(x), function(x), atol=1e-5)
    traced = traces_in_three_calls(make, function, x)
    print(
        f"{case:11}  {nodes(function(x)):11}  {nodes(make(function)(x)):8}  {traced:17}"
    )

# %%
# No case removes a node, and one is traced at each call. So what can the clock say? At most that a compiled call takes
# less of Python's time, since Python's body isn't run: against that stands the look-up.
#
# Measured
# --------
# Plain is the baseline, compiled the candidate: above 1 compiling has won, below 1 it has lost.

measured = {
    case: compare(f"loses-{case}", function, make(function), x)
    for case, (function, make, x) in CASES.items()
}
table(measured.values())

# %%
# "Never" in the last column: no number of calls pays for the first one. A case that wins a little is no contradiction
# to its count. The model runs through a dozen Python calls, and a compiled call through none.

made = {case: c for case, c in measured.items() if c.ratio is not None}
intervals = [c.interval or (c.ratio, c.ratio) for c in made.values()]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for y, (c, (low, high)) in enumerate(zip(made.values(), intervals, strict=True)):
    color = "C1" if high < 1 else "C0" if low > 1 else "0.55"
    ax.errorbar(
        c.ratio,
        y,
        xerr=[[c.ratio - low], [high - c.ratio]],
        fmt="o",
        capsize=4,
        color=color,
        markersize=9,
    )
ax.axvline(1, color="black", linewidth=1)
ax.set_yticks(range(len(made)), list(made))
ax.set_ylim(-0.6, len(made) - 0.4)
ax.invert_yaxis()
ax.set_xscale("log", base=2)
ax.set_xlim(1 / 8, 8)
ax.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["⅛", "¼", "½", "1", "2", "4", "8"])
ax.set_xlabel("plain time ÷ compiled time: left of 1 compiling loses, right of it wins")
ax.set_title("Compiled against plain, where there is little to gain")
plt.show()

# %%
# Something small, computed again
# -------------------------------
# Here the counts promise a gain: three nodes become one kernel, and so do seven. But a fused kernel computes all of its
# operations for each element of its result (:claim:`small-factor-once`). Plain, the exponential of one number is computed
# once, and that of a row once for each column. Fused, each is computed for every element of the array.

large = mx.random.normal((512, 2048), key=mx.random.key(3))
decay = mx.array([-0.5])
gate = mx.random.normal((2048,), key=mx.random.key(4))
mx.eval(large, decay, gate)


def one_number(x: mx.array, decay: mx.array) -> mx.array:
    return x * mx.exp(decay)


def one_row(x: mx.array, gate: mx.array) -> mx.array:
    return mx.maximum(x, 0) * mx.exp(-mx.exp(gate))


SMALL = {"one-number": (one_number, decay), "one-row": (one_row, gate)}
for name, (function, small) in SMALL.items():
    counts = [nodes(f(large, small)) for f in (function, mx.compile(function))]
    print(f"{name:10}  nodes plain {counts[0]}, compiled {counts[1]}")

again = [
    compare(f"loses-{name}", function, mx.compile(function), large, small)
    for name, (function, small) in SMALL.items()
]
table(again)

# %%
# Two remedies keep the rest compiled. One computes the small part outside and passes the result as an argument
# (:claim:`small-factor-argument`). The other stays inside: :py:func:`mlx.core.depends` ends a fusion, so the small part gets a
# kernel of its own (:claim:`depends-ends-fusion`).

rest = mx.compile(lambda x, factor: mx.maximum(x, 0) * factor)


def outside(x: mx.array, gate: mx.array) -> mx.array:
    return rest(x, mx.exp(-mx.exp(gate)))


@mx.compile
def apart(x: mx.array, gate: mx.array) -> mx.array:
    factor = mx.depends(mx.exp(-mx.exp(gate)), gate)
    return mx.maximum(x, 0) * factor


mended = [
    compare("loses-one-row-outside", one_row, outside, large, gate),
    compare("loses-one-row-apart", one_row, apart, large, gate),
]
table(mended)

# %%
# A normalization is such a function too: the factor of a row is joined to the multiplication of its elements. For the two
# common ones :py:func:`mlx.core.fast.rms_norm` and :py:func:`mlx.core.fast.layer_norm` are there.
#
# The remedies
# ------------
# The product and the activation need none: leave them plain, or let them be a part of something larger that is compiled.
# The rebuilt wrapper needs to be built once. A decorator or a line at module level will do, and inside a class a line in
# ``__init__`` (:claim:`bound-method`):


class Predictor:
    """Holds a model and its compiled forward pass, made once."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.forward = mx.compile(self._forward, inputs=model.state)

    def _forward(self, x: mx.array) -> mx.array:
        return self.model(x)

    def __call__(self, x: mx.array) -> mx.array:
        return self.forward(x)


assert mx.allclose(Predictor(model)(row), model(row), atol=1e-6)

# %%
# And the tiny model? Compile its whole training step rather than its forward pass: gradients and update are many small
# operations that can be joined, and the state is handed over once for all of them.
#
# What to take away
# -----------------
# - Count before you time: no node fewer means nothing to win but Python's share.
# - What is computed of a single number or a row costs as much in a fused kernel as what is computed of the whole array. Compute
#   it outside if it is more than an addition or a product.
# - A trace that is made at each call turns every call into a first call. Make the wrapper once, keep it.
# - Activations of ``mlx.nn`` are compiled; compile the function around them.
# - Small is no reason against compiling, and large none for it. What counts is how many operations can be joined.
#
# Where to go next
# ----------------
# *What fuses* says what can be joined. *What the first call costs* says when it pays. *Lazy closures* has the one way to
# lose that no count of traces shows.
