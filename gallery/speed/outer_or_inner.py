"""
Outer or inner: which function to compile
=========================================

A large function calls a smaller one, which calls a still smaller one. Should you compile the small one, the large one,
or both? This example counts kernels and times calls for each choice, and shows the two limits of "the outermost":
captured state, and code that looks at values.
"""

# sphinx_gallery_tags = ["fusion", "speed"]
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, format_time, table

# %%
# The question
# ------------
# MLX's documentation says to compile the outermost function (:claim:`compile-outermost`), and compiled functions may
# call each other. What becomes of the inner one then was settled in
# `ml-explore/mlx#635 <https://github.com/ml-explore/mlx/pull/635>`__; that some code can't be inside at all is the
# subject of `#712 <https://github.com/ml-explore/mlx/issues/712>`__. An inner function and an outer one:

Function = Callable[[mx.array], mx.array]


def squash(x: mx.array) -> mx.array:
    """Bend large values towards 1 and -1."""
    return x * mx.rsqrt(1 + x * x)


def band_with(inner: Function) -> Function:
    """Return a function for values of middle size, which calls an inner one twice."""

    def band(x: mx.array) -> mx.array:
        return inner(4 * x) - inner(x)

    return band


band = band_with(squash)
assert mx.allclose(
    band(mx.array([0.0, 0.5, 100.0])), mx.array([0.0, 0.447214, 0.0]), atol=1e-4
)

# %%
# Counted
# -------
# Four choices. The third compiles the outer function alone, the fourth both.

CHOICES: dict[str, Function] = {
    "plain": band,
    "inner": band_with(mx.compile(squash)),
    "outer": mx.compile(band_with(squash)),
    "both": mx.compile(band_with(mx.compile(squash))),
}


def kernel_count(result: mx.array) -> int:
    """Count what has to run for an array's values; broadcasts don't run."""
    dot = io.StringIO()
    mx.export_to_dot(dot, result)
    return dot.getvalue().count("shape=rectangle") - dot.getvalue().count('"Broadcast"')


x = mx.random.normal((1_000_000,), key=mx.random.key(0))
mx.eval(x)
counts = {choice: kernel_count(function(x)) for choice, function in CHOICES.items()}
for choice, count in counts.items():
    print(f"{choice:6} kernels: {count}")
assert counts["outer"] == counts["both"] == 1 < counts["inner"] < counts["plain"]

# %%
# Compiling the inner function joins what is inside it, and no more: its results cross memory on their way to the plain
# caller (:claim:`plain-caller-unfused`). Inside a compiled caller the inner wrapper leaves no trace of itself: its body
# becomes part of the caller's graph (:claim:`inner-compiled-merges`, :claim:`nested-inlined`).
#
# Measured
# --------
# The baseline is the plain function each time.

inner, outer, both = (
    compare(f"nested-{choice}", band, CHOICES[choice], x, bytes_moved=2 * x.nbytes)
    for choice in ("inner", "outer", "both")
)
table([inner, outer, both])

# %%
# "Both" and "outer" run the same kernel, and one of them found it built by the other. A compiled library function inside
# your compiled function does no harm, then, and neither does a decorator that was there before.

times = {
    "plain": outer.baseline_s,
    "inner": inner.candidate_s,
    "outer": outer.candidate_s,
    "both": both.candidate_s,
}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for choice, marker in zip(CHOICES, "^sDo", strict=True):
    if times[choice] is not None:
        label = f"{choice}: {format_time(times[choice], outer.spread)}"
        ax.plot(
            counts[choice],
            1e3 * times[choice],
            marker,
            markersize=11,
            fillstyle="none",
            label=label,
        )
ax.set_xlim(0, counts["plain"] + 1)
ax.set_ylim(bottom=0)
ax.set_xlabel("kernels in a call")
ax.set_ylabel("ms a call")
ax.legend(title="compiled", loc="lower right")
ax.set_title("Time and kernels of a call, by which of two functions is compiled")
plt.show()

# %%
# The same holds for transformations: a gradient *of* a compiled function isn't compiled
# (:claim:`grad-of-compiled-is-compiled`), the compiled gradient is. Outermost counts:


def loss(x: mx.array) -> mx.array:
    return mx.sum(band(x))


row = mx.random.normal((8,), key=mx.random.key(1))
mx.eval(row)
print(
    "kernels of the compiled function's gradient:",
    kernel_count(mx.grad(mx.compile(loss))(row)),
)
print(
    "kernels of the compiled gradient:           ",
    kernel_count(mx.compile(mx.grad(loss))(row)),
)

# %%
# Limit one: state
# ----------------
# What the inner function captures by ``inputs=``, the outer one doesn't: for its trace the state is a constant
# (:claim:`nested-capture-followed`). Capture where you compile the outermost function.

state = {"shift": mx.array(1.0)}


def shifted(x: mx.array) -> mx.array:
    return x + state["shift"]


fast_shifted = mx.compile(shifted, inputs=state)
forgetful = mx.compile(lambda x: 2 * fast_shifted(x))
mindful = mx.compile(lambda x: 2 * fast_shifted(x), inputs=state)
zero = mx.array(0.0)
mx.eval(zero, state)
for value in (1.0, 5.0):
    state["shift"] = mx.array(value)
    print(
        f"shift {value}: forgetful {forgetful(zero).item()}, "
        f"mindful {mindful(zero).item()}"
    )

# %%
# Limit two: looking at values
# ----------------------------
# The outermost function of a program looks at values: it prints, it stops when the error is small. Such code can't be
# traced (:claim:`eval-inside`):


def until_small(x: mx.array) -> mx.array:
    while mx.max(mx.abs(x)).item() > 0.1:
        x = 0.25 * band(x)
    return x


try:
    mx.compile(until_small)(row)
except ValueError as error:
    print(f"ValueError: {error}")

# %%
# So compile the largest part that doesn't look: here the round, together with the number that the loop looks at.


@mx.compile
def one_round(x: mx.array) -> tuple[mx.array, mx.array]:
    x = 0.25 * band(x)
    return x, mx.max(mx.abs(x))


def until_small_by_rounds(x: mx.array) -> mx.array:
    size = mx.max(mx.abs(x))
    while size.item() > 0.1:
        x, size = one_round(x)
    return x


assert mx.allclose(until_small_by_rounds(row), until_small(row), atol=1e-6)

# %%
# What to take away
# -----------------
# - Compile the largest function that doesn't look at values: a whole training step, a whole round of a loop.
# - Compiled functions inside it are taken apart and joined with the rest; you needn't remove their decorators.
# - State belongs to the outermost ``mx.compile``.
# - Gradients and other transformations go inside, ``mx.compile`` goes around them.
#
# Where to go next
# ----------------
# *What fuses* shows where joining ends. *Training graph* compiles the largest function of a training program.
