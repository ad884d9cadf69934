"""
Shapeless compilation: one trace for every size
===============================================

A compiled function is traced again for every new shape of its inputs. With ``shapeless=True`` one trace
serves all sizes. This example measures what that saves, and then shows its price: a function that reads a
shape in Python keeps the first shape that it saw. Some such functions raise an error; others return wrong
values and say nothing.
"""

# sphinx_gallery_tags = ["shapeless", "traces", "pitfalls"]
import subprocess
import sys
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.shapeless_check import check_shapeless
from compile_guide.timing import Table, compare, table
from compile_guide.tracing import watch

# %%
# The idea
# --------
# *Tracing* means that MLX runs the Python function once on placeholders and keeps the graph of
# operations. The graph is filed under the shapes of the inputs (:claim:`shape-retraces`), so texts of
# varying length cause one trace a length. ``shapeless=True`` files the graph under the number of
# dimensions and the dtype alone.


def gated(x: mx.array) -> mx.array:
    """Scale each row to mean square 1, then weigh each value by its sigmoid."""
    x = x * mx.rsqrt(mx.mean(x * x, axis=-1, keepdims=True) + 1e-5)
    return x * mx.sigmoid(x)


def batches_with(distinct: int, count: int = 64, width: int = 8) -> list[mx.array]:
    """Return ``count`` texts (length, width), about 64 long, of so many lengths."""
    lengths = [64 - distinct // 2 + i % distinct for i in range(count)]
    batches = [
        mx.random.normal((length, width), key=mx.random.key(i))
        for i, length in enumerate(lengths)
    ]
    mx.eval(batches)
    return batches


# %%
# Each way below starts from nothing, as a program does: it compiles, then handles its batches one after
# the other.


def not_compiled(batches: list[mx.array]) -> list[mx.array]:
    return [gated(x) for x in batches]


def compiled(batches: list[mx.array]) -> list[mx.array]:
    step = mx.compile(gated)
    return [step(x) for x in batches]


def compiled_shapeless(batches: list[mx.array]) -> list[mx.array]:
    step = mx.compile(gated, shapeless=True)
    return [step(x) for x in batches]


# %%
# All three return the same values.

DISTINCT = (1, 4, 16, 64)
streams = {distinct: batches_with(distinct) for distinct in DISTINCT}
results = [way(streams[64]) for way in (not_compiled, compiled, compiled_shapeless)]
for expected, seen, seen_shapeless in zip(*results, strict=True):
    assert mx.allclose(seen, expected, atol=1e-5) and mx.allclose(
        seen_shapeless, expected, atol=1e-5
    )

# %%
# How many traces
# ---------------
# :func:`~compile_guide.tracing.watch` wraps a function before it is compiled and counts the runs of its
# Python body.


def count_traces(batches: list[mx.array], shapeless: bool) -> int:
    watched = watch(gated)
    step = mx.compile(watched, shapeless=shapeless)
    for x in batches:
        # a call traces; nothing is computed before somebody asks for the values
        step(x)
    return watched.traces


print("lengths among 64 batches   traces compiled   traces shapeless")
for distinct, batches in streams.items():
    for_each, for_all = count_traces(batches, False), count_traces(batches, True)
    print(f"{distinct:24}   {for_each:15}   {for_all:16}")

# %%
# Sizes alone are free (:claim:`shapeless-keeps-trace`). Another dtype is traced again
# (:claim:`shapeless-dtype-retraces`), and so is another number of dimensions. The documentation's
# example calls with scalars, then with vectors, and says that nothing is compiled again
# (:claim:`shapeless-scalar-then-vector`). MLX disagrees:

watched = watch(gated)
step = mx.compile(watched, shapeless=True)
for x in (
    mx.ones(3),
    mx.ones(5),
    mx.ones((5, 2)),
    mx.ones((5, 2), mx.float16),
    mx.ones(7),
):
    step(x)
print(watched)

# %%
# What the traces cost
# --------------------
# The same number of batches each time, with more and more different lengths among them.

comparisons = [
    compare(f"shapeless-distinct-{n}", compiled, compiled_shapeless, streams[n])
    for n in DISTINCT
]
table(comparisons)

# %%
# Is compiling worth it at all for such small arrays? Here the baseline isn't compiled, the candidate is
# compiled for each shape, and every length is new.

eager = compare("shapeless-distinct-64-eager", not_compiled, compiled, streams[64])
eager

# %%
# The three ways in one picture:


def microseconds(seconds: list[float]) -> list[float]:
    """Time for one batch of a stream."""
    return [1e6 * s / len(streams[1]) for s in seconds]


figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(
    DISTINCT,
    microseconds([c.baseline_s for c in comparisons]),
    "o-",
    label="compiled for each shape",
)
ax.plot(
    DISTINCT,
    microseconds([c.candidate_s for c in comparisons]),
    "s--",
    label="compiled once, shapeless",
)
ax.axhline(
    microseconds([eager.baseline_s])[0], color="C2", linestyle=":", label="not compiled"
)
ax.set_xscale("log", base=2)
ax.set_xticks(DISTINCT, [str(n) for n in DISTINCT])
ax.set_ylim(bottom=0)
ax.set_xlabel("different lengths among 64 batches")
ax.set_ylabel("µs a batch, traces included")
ax.set_title("Time for a batch against the number of different lengths")
ax.legend()

# %%
# The reshape that remembers
# --------------------------
# When MLX let more operations be shapeless, two were called dangerous, reshaping and broadcasting, because
# the graph holds the shape of their result as it was
# (`ml-explore/mlx#1653 <https://github.com/ml-explore/mlx/pull/1653>`__). Here is the first, the second will
# follow. This function merges the first two axes. It reads their sizes in Python, so they are ordinary
# numbers at the time of the trace, and stay what they were.


def merge_by_hand(x: mx.array) -> mx.array:
    return x.reshape(x.shape[0] * x.shape[1], -1)


step = mx.compile(merge_by_hand, shapeless=True)
print("first ", (2, 3, 4), "->", step(mx.zeros((2, 3, 4))).shape)

# %%
# A second size whose elements can't be dealt out over six rows raises an error
# (:claim:`shapeless-reshape-throws`):

try:
    mx.eval(step(mx.zeros((5, 5, 3))))
except ValueError as error:
    print("second", (5, 5, 3), "->", error)

# %%
# One whose elements happen to fit goes through, with the wrong shape. No error, no warning:

wrong, right = step(mx.zeros((4, 3, 2))), merge_by_hand(mx.zeros((4, 3, 2)))
print("third ", (4, 3, 2), "->", wrong.shape, "instead of", right.shape)

# %%
# ``flatten`` names the axes instead of their sizes, so nothing can freeze (:claim:`shapeless-flatten`):


def merge(x: mx.array) -> mx.array:
    return x.flatten(0, 1)


step = mx.compile(merge, shapeless=True)
for shape in ((2, 3, 4), (5, 5, 3), (4, 3, 2)):
    x = mx.random.normal(shape, key=mx.random.key(0))
    assert mx.array_equal(step(x), merge_by_hand(x))
    print(shape, "->", step(x).shape)

# %%
# Which functions are safe?
# -------------------------
# The API page says that functions which can't be compiled shapeless throw
# (:claim:`shapeless-unsupported-throws`). Don't rely on it; ask MLX. ``check_shapeless`` compiles a
# function, calls it with one size, then with a larger one, and compares with the function itself. Use it
# on your own functions before you switch ``shapeless`` on; *Check shapeless* shows how.

PATTERNS = {
    "x * mx.sigmoid(x)": lambda x: x * mx.sigmoid(x),
    "x - x.mean(axis=-1, keepdims=True)": lambda x: x - x.mean(axis=-1, keepdims=True),
    "mx.softmax(x, axis=-1)": lambda x: mx.softmax(x, axis=-1),
    "x @ x.T": lambda x: x @ x.T,
    "mx.concatenate([x, x])": lambda x: mx.concatenate([x, x]),
    "x.flatten()": lambda x: x.flatten(),
    "x[1:]": lambda x: x[1:],
    "x[:, :2]": lambda x: x[:, :2],
    "mx.pad(x, 1)": lambda x: mx.pad(x, 1),
    "mx.repeat(x, 2, axis=0)": lambda x: mx.repeat(x, 2, axis=0),
    "mx.logsumexp(x, axis=0)": lambda x: mx.logsumexp(x, axis=0),
    "x.reshape(-1, x.shape[1])": lambda x: x.reshape(-1, x.shape[1]),
    "x.reshape(x.shape[0], -1)": lambda x: x.reshape(x.shape[0], -1),
    "x[0]": lambda x: x[0],
    "x[-1]": lambda x: x[-1],
    "mx.take(x, mx.array([0, 1]), axis=0)": lambda x: mx.take(
        x, mx.array([0, 1]), axis=0
    ),
    "x.sum(axis=0) / x.shape[0]": lambda x: x.sum(axis=0) / x.shape[0],
    "mx.diag(x)": lambda x: mx.diag(x),
}
small, large = (
    mx.random.normal(shape, key=mx.random.key(1)) for shape in ((3, 4), (5, 6))
)
mx.eval(small, large)
checks = {
    text: check_shapeless(function, small, large) for text, function in PATTERNS.items()
}
rows = tuple((text, check.outcome, check.seen) for text, check in checks.items())
print(Table(("compiled shapeless", "verdict", "what was seen"), rows))

# %%
# The pattern behind the table: an operation that is told an *axis* works for every size, one that is
# told a *size* or an *index* keeps it. Among the silent ones, ``x[-1]`` takes the row that was last in
# the first call, and the division by ``x.shape[0]`` goes on dividing by the first batch's length.
# ``x.mean(axis=0)`` does the same without a size.

step = mx.compile(lambda x: x.mean(axis=0), shapeless=True)
assert all(mx.allclose(step(x), x.mean(axis=0)) for x in (small, large, small))

# %%
# A message about an operation that you never wrote has another cause. An array that was made, but not
# evaluated yet, is no constant for the trace: the operations that make it become part of the graph, and
# some of them can't be shapeless.

projection = mx.random.normal((4, 2), key=mx.random.key(2))


def project(x: mx.array) -> mx.array:
    return x @ projection


step = mx.compile(project, shapeless=True)
try:
    mx.eval(step(small))
except ValueError as error:
    print(error)

# %%
# Evaluating it now isn't enough, because the bad trace stays in the cache. Evaluate it and compile
# again:

mx.eval(projection)
step = mx.compile(project, shapeless=True)
assert mx.allclose(step(small), project(small))

# %%
# The parameters of a new ``mlx.nn`` layer are such arrays. Evaluate them before the first call. Without
# ``shapeless`` nothing would be raised, but don't count on their being computed only once
# (:claim:`unevaluated-closure-recomputed`).
#
# The dangerous one: a linear layer
# ---------------------------------
# ``mlx.nn.Linear`` with a bias stretches the bias to the batch at the time of the trace. For a larger
# batch it is too short then, and the other rows get no proper bias. For a smaller one it is too long,
# and is written beyond the end of the result, over whatever lies there: the process may die at once,
# later, or never. So this runs in a process of its own, on the CPU.

LINEAR = """
import sys
import mlx.core as mx
import mlx.nn as nn

mx.set_default_device(mx.cpu)
first, second = (mx.random.normal((int(rows), 512)) for rows in sys.argv[1:])
layer = nn.Linear(512, 512)
mx.eval(layer.parameters(), first, second)
traced = []

def forward(x):
    traced.append(x.shape)
    return layer(x)

step = mx.compile(forward, shapeless=True)
mx.eval(step(first))
result = step(second)
mx.eval(result)
if len(traced) > 1:
    print("not compiled on this machine's CPU")
else:
    right = mx.allclose(result, layer(second), atol=1e-4)
    print("all rows right" if right else "wrong rows")
"""


def linear_in_a_child(first_rows: int, second_rows: int) -> str:
    """Compile a linear layer shapeless in a new process; say how two batches end."""
    command = [sys.executable, "-c", LINEAR, str(first_rows), str(second_rows)]
    with TemporaryDirectory() as folder:  # where a core dump would go
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    return done.stdout.strip() if done.returncode == 0 else "the process died"


print("batch of   8, then   8:", linear_in_a_child(8, 8))
print("batch of   8, then 512:", linear_in_a_child(8, 512))
print("batch of 512, then   8:", linear_in_a_child(512, 8))

# %%
# If the last line says that all rows are right, the memory behind the result was overwritten all the
# same; only nobody missed it. Written out, the same layer is safe
# (:claim:`shapeless-product-plus-bias`): an addition stretches its operands anew at every call.


def linear(x: mx.array, weight: mx.array, bias: mx.array) -> mx.array:
    return x @ weight.T + bias


weight = mx.random.normal((64, 64), key=mx.random.key(2))
bias = mx.random.normal((64,), key=mx.random.key(3))
step = mx.compile(linear, shapeless=True)
for rows in (8, 512, 1):
    x = mx.random.normal((rows, 64), key=mx.random.key(rows))
    assert mx.allclose(step(x, weight, bias), mx.addmm(bias, x, weight.T), atol=1e-4)

# %%
# What to take away
# -----------------
# - ``shapeless=True`` saves traces where sizes keep changing. Where few sizes repeat, plain
#   ``mx.compile`` pays once for each, while a shapeless function works out its shapes anew at every
#   call: compare the table's first row.
# - Don't read ``x.shape`` and don't index with numbers inside a shapeless function. Name axes:
#   ``flatten``, ``mean``, ``softmax``, ``concatenate``.
# - "It didn't throw" proves nothing. Compare with the function itself on a second, larger size.
# - Keep layers with a bias out of shapeless functions, or write them out.
# - Padding inputs to a few fixed lengths needs no ``shapeless`` at all, and is often the simpler way.
#
# Where to go next
# ----------------
# What else causes a trace is shown in the example *Compile basics*; the rules for state in *State
# capture*. The API page of :func:`mlx.core.compile` has the official sentence on ``shapeless``.
