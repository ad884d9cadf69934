"""
Numbers as arguments: a Python float against an array
=====================================================

A weight that is annealed, a temperature, a position: many functions take a number that is new at each call. As a
Python float it is part of the signature, so each value is traced and kept for ever. As an array it is data. Here
both are counted, and then timed, with few values known and with many.
"""

# sphinx_gallery_tags = ["traces", "pitfalls"]
import itertools
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Comparison, compare, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# A program that decodes text got slower with each token, and `ml-explore/mlx#3964
# <https://github.com/ml-explore/mlx/issues/3964>`__ found out why: a compiled function was called with a
# position that was a new Python number each time. The same happens with a loss whose weight changes at each step:


def weighted_loss(error: mx.array, weight: float | mx.array) -> mx.array:
    """Return the weighted sum of squares of an error, a number."""
    return weight * mx.sum(mx.square(error))


error = mx.random.normal((256,), key=mx.random.key(0))
mx.eval(error)
assert mx.allclose(weighted_loss(error, 2.0), 2 * mx.sum(error * error))

# %%
# Counted
# -------
# Ten steps, ten weights, once as floats and once as arrays (:claim:`python-number-retraces`,
# :claim:`arrays-keep-one-trace`).

weights = [1 + step / 8 for step in range(10)]


def train(kind: Callable[[float], float | mx.array]) -> int:
    """Call once for each weight, check what comes back, and return the traces."""
    watched = watch(weighted_loss)
    fast_loss = mx.compile(watched)
    for weight in weights:
        assert mx.allclose(fast_loss(error, kind(weight)), weighted_loss(error, weight))
    return watched.traces


print("as floats:", train(float), "traces")
print("as arrays:", train(mx.array), "trace")

# %%
# One caution: an array has a dtype of its own, and a float has none (:claim:`constants-as-arrays`). With half
# precision, say which one you mean:

half = error.astype(mx.float16)
print("float:             ", weighted_loss(half, 2.0).dtype)
print("array:             ", weighted_loss(half, mx.array(2.0)).dtype)
print("array with a dtype:", weighted_loss(half, mx.array(2.0, dtype=half.dtype)).dtype)

# %%
# A value seen before
# -------------------
# Nothing that was traced is dropped (:claim:`traces-never-evicted`). MLX looks for a trace by going through those
# that the function has, so even a float that is *known* gets slower to find. Below, both functions have been
# called with so many weights; what is timed is a call with the last of them. ``fresh=True`` lets ``compare``
# fill each function's traces anew before it starts. Filling costs nothing but traces: what a call returns is
# never asked for, so no work is done.


def known_weights(
    kind: Callable[[float], float | mx.array], count: int
) -> Callable[[], mx.array]:
    """Return a call whose function has met ``count`` weights, the call's own last."""
    fast_loss = mx.compile(lambda error, weight: weighted_loss(error, weight))
    for step in range(count):
        fast_loss(error, kind(1 + step / count))
    last = kind(2 - 1 / count)
    mx.eval(last)
    return lambda: fast_loss(error, last)


def compare_known(count: int) -> Comparison:
    name = f"numbers-known-{count}"
    return compare(
        name,
        lambda n: known_weights(float, n),
        lambda n: known_weights(mx.array, n),
        count,
        fresh=True,
    )


COUNTS = (1, 100, 1000)
by_count = [compare_known(count) for count in COUNTS]
table(by_count)

# %%
# The baseline passes floats, the candidate arrays; both are compiled. The function is as kind to floats as a
# function can be. Its number meets one single operation, and a single operation isn't fused
# (:claim:`single-operation-unfused`), so no kernel is built. In a chain of elementwise operations a value
# becomes part of the kernel's source, and each new one is sent through a compiler
# (:claim:`python-floats-build-kernels`).

made = [
    (n, 1e6 * c.baseline_s, 1e6 * c.candidate_s)
    for n, c in zip(COUNTS, by_count, strict=True)
    if c.runs
]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(
    [n for n, *_ in made],
    [floats for _, floats, _ in made],
    "^--",
    color="C1",
    label="Python float",
)
ax.plot([n for n, *_ in made], [arrays for *_, arrays in made], "o-", label="array")
ax.set_xscale("log")
ax.set_ylim(bottom=0)
ax.set_xlabel("values that the function has met")
ax.set_ylabel("µs a call")
ax.legend()
ax.set_title("Time of one call, by how many numbers came before it")
plt.show()

# %%
# A new value at each call
# ------------------------
# That was the good case: the value had been there before. An annealed weight never comes back. Below a step is a
# run of fifty calls with fifty weights, on a function that was just compiled, so that each repetition does the
# same work; as floats that is fifty traces, as arrays one.

RUN = 50


def anneal(kind: Callable[[float], float | mx.array]) -> mx.array:
    """Return the losses of a run in which the weight grows at each call."""
    fast_loss = mx.compile(lambda error, weight: weighted_loss(error, weight))
    return mx.stack([fast_loss(error, kind(1 + step / RUN)) for step in range(RUN)])


def anneal_with_floats() -> mx.array:
    return anneal(float)


def anneal_with_arrays() -> mx.array:
    return anneal(mx.array)


assert mx.allclose(anneal_with_floats(), anneal_with_arrays())
annealed = compare("numbers-annealed", anneal_with_floats, anneal_with_arrays)
table([annealed])

# %%
# When the number is wanted as a number
# -------------------------------------
# Some arguments *have* to be Python numbers, because a shape or a loop depends on them: how many columns, how many
# rounds. Those belong in the signature. If they take few values, leave them. If they take many, round them up, as
# one pads lengths. Here a hundred limits, each used twice, need a handful of traces:


def top_sum(values: mx.array, rounded: int, count: mx.array) -> mx.array:
    """Add up the ``count`` largest of the ``rounded`` largest values."""
    largest = mx.sort(values)[-rounded:]
    return mx.sum(mx.where(mx.arange(rounded) >= rounded - count, largest, 0))


watched = watch(top_sum)
fast_top_sum = mx.compile(watched)
for count in itertools.chain(range(1, 101), range(100, 0, -1)):
    fast_top_sum(error, 1 << (count - 1).bit_length(), mx.array(count))
assert mx.allclose(
    top_sum(error, 64, mx.array(40)), mx.sum(mx.sort(error)[-40:]), atol=1e-4
)
print(watched)

# %%
# What to take away
# -----------------
# * A number that changes goes in as ``mx.array``, with a dtype where the arrays are half precision.
# * As Python floats, new values are traced, kept, and looked through at every later call.
# * A flag, or a size with a few values, is fine as a Python value; a size with many wants rounding up.
# * If a program gets slower the longer it runs, count its traces first.
#
# Where to go next
# ----------------
# *What retraces* has the other parts of the signature. *What the first call costs* shows the kernel's share,
# which this example kept out.
