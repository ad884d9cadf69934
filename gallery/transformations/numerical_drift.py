"""
Numerical drift: compiled against plain, in last digits
=======================================================

Does compiling change results? A fused kernel may round differently from separate kernels. This example counts by how
many steps of the last digit compiled values differ from plain ones, by operation and dtype, and how far both are from
the exact value, which is the measure of whether it matters.
"""

# sphinx_gallery_tags = ["fusion", "pitfalls"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Table, compare

# %%
# The question
# ------------
# A user found that a compiled function with a Python number in it differs from the plain one in the last digit of
# nearly every value: the number had been written into the kernel with too few digits
# (`ml-explore/mlx#4503 <https://github.com/ml-explore/mlx/issues/4503>`__). Others want to know whether compiled results
# may differ at all (:claim:`numeric-differences`). Both can be counted.
#
# A yardstick
# -----------
# Between two neighboring floating-point numbers lies nothing; their distance is called an *ulp*, a unit in the last
# place. A tolerance such as ``1e-5`` says little, because it means other things for other sizes and dtypes. Ulps mean
# the same for all: 0 is the same bits, 1 the next number. Read as integers, the bits of neighboring numbers are
# neighbors, which makes the distance a subtraction. Only the sign needs care.

INTEGERS = {mx.float32: mx.int32, mx.float16: mx.int16, mx.bfloat16: mx.int16}


def rank(x: mx.array) -> mx.array:
    """Return each number's place among all of its dtype, 0 for zero: an int64 array."""
    bits = x.view(INTEGERS[x.dtype]).astype(mx.int64)
    sign_bit = 1 << (8 * x.dtype.size - 1)
    return mx.where(bits < 0, -(bits + sign_bit), bits)


def ulps(a: mx.array, b: mx.array) -> mx.array:
    """Return how many steps lie between two arrays of one dtype, element by element."""
    return mx.abs(rank(a) - rank(b))


one = mx.array([1.0, -1.0, 0.0])
next_one = mx.array([1.0 + 2**-23, -1.0 - 2**-22, -0.0])
assert ulps(one, next_one).tolist() == [1, 2, 0]
assert (
    ulps(
        mx.array([1.0]).astype(mx.float16), mx.array([1.0 + 2**-10]).astype(mx.float16)
    ).item()
    == 1
)

# %%
# What is tried
# -------------
# Three chains of operations: one where a multiply meets an add, which a GPU may do in one go with a single rounding, an
# activation with several such places, and the constant of the question.


def multiply_add(x: mx.array, y: mx.array) -> mx.array:
    return x * y + x


def gelu_tanh(x: mx.array, y: mx.array) -> mx.array:
    return 0.5 * x * (1 + mx.tanh(0.7978845608 * (x + 0.044715 * x * y * y)))


def third(x: mx.array, y: mx.array) -> mx.array:
    return x * y * (1 / 3)


CHAINS = {
    "x * y + x": multiply_add,
    "GELU by tanh": gelu_tanh,
    "x * y * (1 / 3)": third,
}
COUNT = 1 << 16
x, y = (mx.random.normal((COUNT,), key=mx.random.key(seed)) for seed in (0, 1))
mx.eval(x, y)

# %%
# The exact value is made in float64 from the very same inputs. Only the CPU has that dtype
# (:claim:`float64-cpu-only`), and MLX has a CPU everywhere. In the end it is rounded once, to the dtype of the result.

Chain = Callable[[mx.array, mx.array], mx.array]


def exact(chain: Chain, a: mx.array, b: mx.array) -> mx.array:
    """Return what the chain would give if only its result were rounded."""
    with mx.stream(mx.cpu):
        return chain(a.astype(mx.float64), b.astype(mx.float64)).astype(a.dtype)


def drift(chain: Chain, dtype: mx.Dtype) -> tuple[int, int, int, int]:
    """Return how many values differ, by how many ulps, and the worst errors of both."""
    a, b = x.astype(dtype), y.astype(dtype)
    mx.eval(a, b)
    plain, compiled, best = chain(a, b), mx.compile(chain)(a, b), exact(chain, a, b)
    between = ulps(plain, compiled)
    # Near zero two terms cancel and leave rounding errors: no place to count in ulps.
    sound = mx.abs(best) > 2**-6
    errors = [
        mx.max(mx.where(sound, ulps(result, best), 0)).item()
        for result in (plain, compiled)
    ]
    return (
        mx.sum(between > 0).item(),
        mx.max(mx.where(sound, between, 0)).item(),
        *errors,
    )


DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
seen = {
    (text, name): drift(chain, dtype)
    for text, chain in CHAINS.items()
    for name, dtype in DTYPES.items()
}
rows = tuple((text, name, *map(str, numbers)) for (text, name), numbers in seen.items())
header = (
    "chain",
    "dtype",
    f"differ of {COUNT}",
    "by ulps, at most",
    "plain is off by",
    "compiled is off by",
)
device = "CPU" if mx.default_device() == mx.Device(mx.cpu) else "GPU"
print(f"MLX {mx.__version__} on a {device}")
print(Table(header, rows))

# %%
# The table was counted where this page was made, with the MLX and on the device in its first line, and holds for no other
# backend. That ``x * y + x`` gives the same bits is a claim that each machine decides anew
# (:claim:`multiply-add-same-bits`), and so is the same of GELU (:claim:`tanh-gelu-same-bits`); the ledger shows what CUDA said.
# A chain without a product before a sum is the easier case (:claim:`exp-add-same-bits`).
#
# Read the last two columns together: where they are alike, compiling has made nothing worse, whatever the third column
# says. Both are roundings of the same exact value, and neither is *the* result. In ulps the short dtypes are no worse than
# float32, but their ulps are thousands of times as large: choosing a dtype decides about accuracy long before compiling
# does. Whether a fused kernel keeps more digits in between than the dtype has is a claim of its own
# (:claim:`half-precision-same-bits`).

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
places = range(len(CHAINS))
for index, (name, marker) in enumerate(zip(DTYPES, "os^", strict=True)):
    offset = 0.22 * (index - 1)
    plain_off = [seen[text, name][2] for text in CHAINS]
    compiled_off = [seen[text, name][3] for text in CHAINS]
    ax.plot(
        [p + offset - 0.04 for p in places],
        plain_off,
        marker,
        color=f"C{index}",
        fillstyle="none",
        markersize=10,
    )
    ax.plot(
        [p + offset + 0.04 for p in places],
        compiled_off,
        marker,
        color=f"C{index}",
        label=name,
    )
ax.plot(
    [], [], "o", color="0.4", fillstyle="none", markersize=10, label="plain: hollow"
)
ax.plot([], [], "o", color="0.4", label="compiled: filled")
ax.set_xticks(places, list(CHAINS))
ax.set_yscale("symlog", linthresh=1)
ax.set_ylim(
    -0.2, 3 * max(1, *(number for numbers in seen.values() for number in numbers[2:]))
)
ax.set_ylabel("worst error, in ulps")
ax.set_title("How far plain and compiled results are from the exact value")
figure.legend(loc="outside lower center", ncols=5)

# %%
# The constant of the question
# ----------------------------
# A constant that is a Python number becomes part of the kernel (:claim:`constants-in-kernel`). What the question
# found is that its text was too short on the way. Handed over as an array, no text is involved:


def scaled(x: mx.array, y: mx.array, scale: mx.array) -> mx.array:
    return x * y * scale


scale = mx.array(1 / 3)
plain = third(x, y)
for name, result in {
    "written into it": mx.compile(third)(x, y),
    "an argument": mx.compile(scaled)(x, y, scale),
}.items():
    differ = mx.sum(ulps(plain, result) > 0).item()
    print(f"constant {name + ':':<17}{differ} of {COUNT} values differ")

# %%
# An argument costs next to nothing, which the comparison confirms or refutes; both sides are compiled. It also spares
# the traces of a number that changes (:claim:`python-number-retraces`).

assert mx.allclose(mx.compile(third)(x, y), mx.compile(scaled)(x, y, scale), rtol=1e-6)
written_in, passed = mx.compile(lambda x, y, scale: third(x, y)), mx.compile(scaled)
compare("drift-constant", written_in, passed, x, y, scale)

# %%
# Does it add up?
# ---------------
# A difference in the last place is harmless once. A long computation may let it grow. The map below, a model of animals
# that breed and starve, multiplies differences with every step, as weather does. Written with ``multiply_add``, so that
# the kernel is there already, it counts the steps until plain and compiled have nothing in common any more.


def steps_in_common(fast: Chain, steps: int) -> int:
    """Return after how many steps the runs part by a hundredth; ``steps`` if never."""
    plain = compiled = mx.linspace(0.1, 0.4, 100)
    for step in range(steps):
        plain = multiply_add(plain, 2.9 - 3.9 * plain)
        compiled = fast(compiled, 2.9 - 3.9 * compiled)
        if mx.max(mx.abs(plain - compiled)).item() > 0.01:
            return step
    return steps


print("steps in common, of 200:", steps_in_common(mx.compile(multiply_add), 200))

# %%
# All of them, and the same bits are at work; fewer, and it was the last digits that grew. Even then neither run is wrong: a
# computation that lets rounding grow so fast has no right answer after that many steps.
#
# What to take away
# -----------------
# - Don't ask for equal bits, ask for a tolerance: a few ulps, or ``mx.allclose``. What is equal on one backend or version is
#   not on another.
# - Judge a difference by the distance from the exact value. Plain has one, too.
# - Numbers that need all their digits, or that change, are safe as arrays.
# - In half precision the dtype decides about accuracy; compiling is a detail.
#
# Where to go next
# ----------------
# *Grad, vmap, checkpoint* takes compiled functions through transformations; *GELU* measures what the fused chain gains.
