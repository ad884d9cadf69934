"""
Grad, vmap, checkpoint: what stays compiled
===========================================

Gradients, batches and checkpoints are transformations: they take a function and return another one. Compiling is one,
too, and the order decides whether anything stays compiled. You will see which orders leave nothing compiled, without an
error, what that costs, and what a checkpoint still saves inside a compiled function.
"""

# sphinx_gallery_tags = ["gradients", "memory"]
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, format_bytes, table

# %%
# The question
# ------------
# Somebody who teaches a network the laws of physics needs the derivative of a function at thousands of points, and
# asks for a way that is friendly to compiling, after a loop over the points with one gradient each
# (`ml-explore/mlx#1927 <https://github.com/ml-explore/mlx/issues/1927>`__). The answer has three parts: write the
# function for *one* point, let :func:`mlx.core.grad` differentiate it, and let :func:`mlx.core.vmap` do all points
# at once. Here the function is the energy of a ball on a spring, which also feels ripples of the ground.

Function = Callable[[mx.array], mx.array]


def energy(point: mx.array) -> mx.array:
    """Return the energy of one point (3,), a scalar."""
    return mx.sum(0.5 * point * point + mx.exp(-mx.abs(point)) * mx.sin(3 * point))


def slope_by_hand(p: mx.array) -> mx.array:
    """Return the derivative of the energy, worked out on paper."""
    return p + mx.exp(-mx.abs(p)) * (3 * mx.cos(3 * p) - mx.sign(p) * mx.sin(3 * p))


points = mx.random.normal((50_000, 3), key=mx.random.key(0))
slopes = mx.vmap(mx.grad(energy))
assert mx.allclose(slopes(points), slope_by_hand(points), atol=1e-4)

# %%
# Which order stays compiled?
# ---------------------------
# Two things tell: how often three calls run the Python body, and how many fused kernels the result waits for.
# :func:`mlx.core.export_to_dot` writes the graph of a result, and a fused kernel's name begins with ``Compiled``.


def fused_kernels(result: mx.array) -> int:
    graph = io.StringIO()
    mx.export_to_dot(graph, result)
    return graph.getvalue().count('"Compiled')


def look(transform: Callable[[Function], Function], argument: mx.array) -> str:
    """Return how often three calls ran ``energy``, and the graph's fused kernels."""
    runs = []

    def counted(point: mx.array) -> mx.array:
        runs.append(1)
        return energy(point)

    transformed = transform(counted)
    for _ in range(3):
        result = transformed(argument)
    return f"{len(runs):9}  {fused_kernels(result):13}"


few, one = points[:4], points[0]
mx.eval(few, one)
ORDERS: dict[str, tuple[Callable[[Function], Function], mx.array]] = {
    "grad(f)": (lambda f: mx.grad(f), one),
    "grad(compile(f))": (lambda f: mx.grad(mx.compile(f)), one),
    "compile(grad(f))": (lambda f: mx.compile(mx.grad(f)), one),
    "vmap(compile(f))": (lambda f: mx.vmap(mx.compile(f)), few),
    "compile(vmap(f))": (lambda f: mx.compile(mx.vmap(f)), few),
    "vmap(grad(compile(f)))": (lambda f: mx.vmap(mx.grad(mx.compile(f))), few),
    "vmap(compile(grad(f)))": (lambda f: mx.vmap(mx.compile(mx.grad(f))), few),
    "compile(vmap(grad(f)))": (lambda f: mx.compile(mx.vmap(mx.grad(f))), few),
}
print(f"{'':24}body runs  fused kernels")
seen = {name: look(*order) for name, order in ORDERS.items()}
for name, line in seen.items():
    print(f"{name:<24}{line}")
for name, line in seen.items():
    runs, kernels = (int(number) for number in line.split())
    assert (runs == 1 and kernels > 0) == name.startswith("compile"), name

# %%
# The pattern: only where ``compile`` stands outermost does the body run once, and only there are kernels fused.
# One might expect that a transformation of a compiled function is compiled
# (:claim:`grad-of-compiled-is-compiled`, :claim:`vmap-of-compiled-is-compiled`), but ``grad`` and ``vmap`` run the
# body again, on placeholders of their own, and pass by what compiling has made of it. The values are right
# (:claim:`grad-of-compiled`), so nothing warns.
#
# What it costs
# -------------
# The baseline is the same in both comparisons: all slopes, not compiled. The first candidate compiles the innermost
# function, the second the outermost.

inside = mx.vmap(mx.grad(mx.compile(energy)))
outside = mx.compile(mx.vmap(mx.grad(energy)))
orders = [
    compare("transform-compile-inside", slopes, inside, points, atol=1e-5),
    compare("transform-compile-outside", slopes, outside, points, atol=1e-5),
]
table(orders)

# %%
# Compiled inside: :measured:`transform-compile-inside.ratio`. Compiled outside: :measured:`transform-compile-outside.ratio`.

figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
times = [
    1e3 * (seconds or 0)
    for seconds in (orders[0].baseline_s, *(c.candidate_s for c in orders))
]
bars = ax.barh(
    ["not compiled", "compiled inside", "compiled outside"],
    times,
    color=["0.6", "C1", "C0"],
)
ax.bar_label(
    bars,
    ["vmap(grad(f))", "vmap(grad(compile(f)))", "compile(vmap(grad(f)))"],
    padding=4,
)
ax.invert_yaxis()
ax.margins(x=0.5)
ax.set_xlabel("ms for the slopes at all points")
ax.set_title("The same slopes: not compiled, compiled inside, compiled outside")
plt.show()

# %%
# And checkpoints?
# ----------------
# A gradient needs what the forward pass computed on its way, so all of that stays in memory until the backward pass
# has used it. :func:`mlx.core.checkpoint` keeps a function's input alone and computes the rest a second time. Other
# than ``grad`` and ``vmap``, it leaves a compiled function compiled in the forward pass
# (:claim:`checkpoint-of-compiled`). But the gradient is what one wants, so again ``compile`` goes outermost
# (:claim:`compile-checkpoint-grad`).

WIDTH, DEPTH = 64, 8


def layer(x: mx.array, weight: mx.array) -> mx.array:
    """Return a layer's output (rows, WIDTH): a product, a gate, the input added."""
    y = x @ weight
    return x + y * mx.sigmoid(y) * mx.tanh(y)


def loss_through(
    one_layer: Callable[[mx.array, mx.array], mx.array],
) -> Callable[[list[mx.array], mx.array], mx.array]:
    """Return the loss of a network that is made of such layers."""

    def loss(weights: list[mx.array], x: mx.array) -> mx.array:
        for weight in weights:
            x = one_layer(x, weight)
        return mx.mean(x * x)

    return loss


rows = mx.random.normal((512, WIDTH), key=mx.random.key(1))
weights = [
    mx.random.normal((WIDTH, WIDTH), scale=0.02, key=key)
    for key in mx.random.split(mx.random.key(2), DEPTH)
]
mx.eval(rows, weights)
all_kept = mx.grad(loss_through(layer))
checkpointed = mx.grad(loss_through(mx.checkpoint(layer)))
for expected, got in zip(
    all_kept(weights, rows), checkpointed(weights, rows), strict=True
):
    assert mx.allclose(expected, got, atol=1e-5)

# %%
# Compiling merges work that a function does twice (:claim:`common-work-merged`). Does it merge a checkpoint's second
# forward pass with the first one, and undo what the checkpoint was for? Measured with both sides compiled, the baseline
# keeping all:

saved = compare(
    "transform-checkpoint",
    mx.compile(all_kept),
    mx.compile(checkpointed),
    weights,
    rows,
    atol=1e-5,
)
saved

# %%
# The extra memory answers it: where the candidate's is the smaller one, the second pass has survived. It is paid for in
# time, since the forward pass runs twice.

figure, ax = plt.subplots(figsize=(7, 2.2), layout="constrained")
peaks = {"all kept": saved.baseline_peak, "checkpointed": saved.candidate_peak}
bars = ax.barh(
    list(peaks),
    [(peak or 0) / rows.nbytes for peak in peaks.values()],
    color=["0.6", "C0"],
)
ax.bar_label(bars, [format_bytes(peak) for peak in peaks.values()], padding=4)
ax.invert_yaxis()
ax.margins(x=0.2)
ax.set_xlabel("peak memory of one gradient, in arrays of the input's size")
ax.set_title("Memory that a compiled gradient needs, with and without checkpoints")
plt.show()

# %%
# What to take away
# -----------------
# - Transform first, compile last: ``compile(vmap(grad(f)))``. The other orders are right and plain.
# - A library function that is compiled already loses that under your ``grad`` or ``vmap``; compile around both.
# - One gradient a point, in a Python loop, is never needed: ``vmap`` makes the batch.
# - ``checkpoint`` and ``compile`` go together. Compare the peaks for your own network: what a checkpoint saves depends on
#   how much it covers. Leave Dropout out of it: the second pass draws another mask (:claim:`checkpoint-dropout`).
#
# Where to go next
# ----------------
# *Training graph* puts gradient and update into one compiled step; *Numerical drift* looks at whether compiled values
# are the same as plain ones.
