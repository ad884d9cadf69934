"""
GELU: one kernel instead of five
================================

GELU is an activation function built from five elementwise operations. Run plainly, each of them reads and writes whole
arrays; compiled, all five become one kernel. You will learn how much that gains from small arrays to large ones, what
limits it, and why ``mlx.nn.gelu`` leaves nothing to gain.
"""

# sphinx_gallery_tags = ["fusion", "speed"]
import io
import math
import re
import textwrap
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn

from compile_guide.timing import Comparison, compare, table

# %%
# The idea
# --------
# A *kernel* is one function that runs on the device over a whole array. Without :func:`mlx.core.compile`,
# MLX starts a kernel for each operation, and each result travels to memory and back. *Fusion* means that
# several operations become one kernel, which keeps the values in between in registers
# (:claim:`gelu-one-kernel`).


def gelu(x: mx.array) -> mx.array:
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


# %%
# First of all it has to be right. Python's own ``math.erf`` gives the values to compare with:

points = [-3.0, -1.0, 0.0, 0.5, 2.0]
expected = mx.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in points])
assert mx.allclose(gelu(mx.array(points)), expected, atol=1e-6)

# %%
# What the graph holds
# --------------------
# MLX is lazy: a call builds a graph, and nothing is computed before somebody asks for the values. So the
# graph can be read first. :func:`mlx.core.export_to_dot` writes it as text, with one box for each
# operation. (A *broadcast* stretches a number to an array's shape without copying anything, so it is left
# out.) People say that one can't see what was fused (:claim:`graph-shows-fusion`); see for yourself:


def operations(function: Callable[[mx.array], mx.array], x: mx.array) -> list[str]:
    """Return the names of the operations in the graph that one call builds."""
    text = io.StringIO()
    mx.export_to_dot(text, function(x))
    names = re.findall(r'label ?= ?"(\w+)", shape ?= ?rectangle', text.getvalue())
    return [name for name in names if name != "Broadcast"]


x = mx.array(points)
plain, compiled = operations(gelu, x), operations(mx.compile(gelu), x)
print("plain:   ", ", ".join(plain))
print("compiled:", ", ".join(compiled))
assert len(plain) == 5
assert len(compiled) == 1

# %%
# Counting gives a ceiling for the gain. Four of the operations read one array and write one, the product of
# two arrays reads two and writes one. The fused kernel reads ``x`` and writes the result. Where moving data
# is all that costs time, compiling can gain as much as the ratio of these passes over memory, and no more.

passes_plain, passes_compiled = 4 * 2 + 3, 2
ceiling = passes_plain / passes_compiled
print(
    "passes over memory:",
    passes_plain,
    "plain,",
    passes_compiled,
    "compiled; ceiling",
    ceiling,
)

# %%
# On one size
# -----------
# This is the size that MLX's documentation uses. ``bytes_moved`` says how much any implementation must read
# and write, and gives the *share of copy bandwidth*: how close a call comes to copying the array, the
# fastest thing that could possibly do the job. Before it measures, ``compare`` checks that both functions
# return the same values (:claim:`gelu-same-bits`).

x = mx.random.uniform(shape=(32, 1000, 4096), key=mx.random.key(0))
documented = compare("gelu", gelu, mx.compile(gelu), x, bytes_moved=2 * x.nbytes)
documented

# %%
# Where the box says that one call takes too long to be compared, a CPU did the work. The sizes below are
# smaller. Others have reported for their machines:
#
# .. published:: gelu
#
# Over sizes
# ----------
# A small array costs hardly more than starting the kernels; a large one costs moving and computing its
# values. The sweep goes from one end to the other.

del x  # half a gigabyte
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)


def against_plain(
    name: str, candidate: Callable[[mx.array], mx.array], size: int
) -> Comparison:
    """Compare a GELU with the plain one on an array of ``size`` numbers."""
    x = mx.random.uniform(shape=(size,), key=mx.random.key(0))
    return compare(f"{name}-{size}", gelu, candidate, x, bytes_moved=2 * x.nbytes)


sweep = [against_plain("gelu-sweep", mx.compile(gelu), size) for size in SIZES]
table(sweep)

# %%
# The compiled function is traced anew for each size, but its kernel is built once and serves them all
# (:claim:`shape-reuses-kernel`). So only the first comparison that called the compiled function paid for
# building it.
#
# The activations of ``mlx.nn``
# -----------------------------
# The third line of the plot below is ``mlx.nn.gelu`` as it comes. Its graph is a single operation, because
# the library has compiled it already. Inside another compiled function it fuses with its neighbors all the
# same (:claim:`gelu-layer-in-chain`). It isn't the only one that is compiled:

assert len(operations(nn.gelu, mx.array(points))) == 1
ready = [
    name
    for name, member in vars(nn).items()
    if isinstance(member, type(mx.compile(gelu)))
]
assert "gelu" in ready
print(len(ready), "functions of mlx.nn are compiled:")
print(textwrap.fill(", ".join(sorted(ready)), 90))

# %%
# Measured against the plain function, it gains what our own compiled function gains:

library = [against_plain("gelu-nn", nn.gelu, size) for size in SIZES[:-1]]
table(library)

# %%
# A benchmark of ``nn.gelu`` against ``mx.compile(nn.gelu)`` compares a thing with itself. Whatever it shows
# is the price of a second wrapper, or noise, but never what compiling gains. Somebody who repeated the
# documentation's measurement in this way saw next to no difference, and asked why:
# `ml-explore/mlx#2509 <https://github.com/ml-explore/mlx/issues/2509>`__.

x = mx.random.uniform(shape=(10**6,), key=mx.random.key(0))
assert len(operations(mx.compile(nn.gelu), x)) == len(operations(nn.gelu, x))
itself = compare("gelu-nn-itself", nn.gelu, mx.compile(nn.gelu), x)
itself

# %%
# What is the limit?
# ------------------
# Moving the values, or computing them? A control experiment tells. The next function makes the same passes
# over memory, but with the absolute value, which costs almost nothing, in place of the error function. If
# it gains more than GELU on an array of the same size, then the error function is what keeps GELU from
# gaining as much.


def without_erf(x: mx.array) -> mx.array:
    return x * (1 + mx.abs(x / math.sqrt(2))) / 2


x = mx.random.uniform(shape=(SIZES[-1],), key=mx.random.key(0))
assert len(operations(without_erf, x)) == len(operations(gelu, x))
control = compare(
    "gelu-control", without_erf, mx.compile(without_erf), x, bytes_moved=2 * x.nbytes
)
table([sweep[-1], control])

# %%
# All gains in one picture, with each comparison's interval. The ceiling is the one counted above. It knows
# nothing of the overhead that compiling saves on small arrays, nor of caches, so a point may lie above it.


def sizes_of(comparisons: list[Comparison]) -> list[int]:
    """Return how many values each array holds: four bytes, read and written once."""
    return [c.bytes_moved // 8 for c in comparisons]


def plot_gain(
    ax: plt.Axes, comparisons: list[Comparison], style: str, label: str
) -> None:
    """Plot the gain over the number of values, for the comparisons that were made."""
    made = [c for c in comparisons if c.ratio is not None]
    intervals = [c.interval or (c.ratio, c.ratio) for c in made]
    below = [c.ratio - low for c, (low, _) in zip(made, intervals, strict=True)]
    above = [high - c.ratio for c, (_, high) in zip(made, intervals, strict=True)]
    gains = [c.ratio for c in made]
    ax.errorbar(
        sizes_of(made), gains, [below, above], fmt=style, capsize=4, label=label
    )


figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ax.axhline(ceiling, color="gray", linestyle=":", label="ceiling set by memory")
plot_gain(ax, [*sweep, documented], "o-", "compiled")
plot_gain(ax, library, "s--", "mlx.nn.gelu")
plot_gain(ax, [control], "D", "compiled, without erf")
ax.axhline(1, color="black", linewidth=0.8, label="plain")
ax.set_xscale("log")
ax.set_ylim(bottom=0)
ax.set_xlabel("values in the array")
ax.set_ylabel("times as fast as plain")
ax.set_title("How much faster GELU gets, from small arrays to large ones")
figure.legend(loc="outside lower center", ncols=3)

# %%
# The share of copy bandwidth says how much is left to gain. Near 1, a call is as fast as a copy. Far above
# 1, the array fits into a cache. A small share on a small array means that overhead rules, and fusion helps
# by starting fewer kernels. A small share on a *large* array means that arithmetic rules, and fusion
# doesn't make arithmetic cheaper.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
made = [c for c in (*sweep, documented) if c.ratio is not None]
ax.axhline(1, color="gray", linestyle=":", label="a copy")
ax.plot(sizes_of(made), [c.share(c.candidate_s) for c in made], "o-", label="compiled")
ax.plot(
    sizes_of(made),
    [c.share(c.baseline_s) for c in made],
    "^--",
    color="black",
    label="plain",
)
ax.plot(
    sizes_of([control]),
    [control.share(control.candidate_s)],
    "D",
    color="C2",
    label="compiled, without erf",
)
ax.set_xscale("log")
ax.set_yscale("log")
ax.set_xlabel("values in the array")
ax.set_ylabel("share of copy bandwidth")
ax.set_title("How close GELU comes to copying its input")
figure.legend(loc="outside lower center", ncols=3)

# %%
# What to take away
# -----------------
# - Compiling fuses elementwise operations into one kernel. It saves passes over memory on large arrays, and
#   kernel starts on small ones. Memory is another question: “it lowers what GELU needs” (:verdict:`gelu-memory`).
# - Count the passes before you measure: they give the ceiling. The share of copy bandwidth tells how far
#   away you are.
# - A costly operation in the chain costs the same in both versions, so it hides the gain.
# - Use the activations of ``mlx.nn`` as they come. In your own elementwise chains there is something to
#   gain.
#
# Where to go next
# ----------------
# *Training graph* compiles a whole training step, in which such chains stand between matrix products.
# *Compile basics* shows what the first call does and what makes MLX trace again.
