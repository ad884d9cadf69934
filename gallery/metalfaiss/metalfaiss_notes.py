"""
MetalFaiss notes: where the time of a power iteration goes
==========================================================

`MetalFaiss <https://github.com/SolaceHarmony/MetalFaiss>`_ compiles the inner loop of its singular value
decomposition, and its notes give rules and figures for it. This example builds that loop anew, times each
part plain and compiled, and checks the rules: which help, which aren't needed, and what helps more than
compiling.
"""

# sphinx_gallery_tags = ["custom kernels", "traces", "streams and threads"]
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, table
from compile_guide.tracing import watch

# %%
# The loop
# --------
# The leading singular directions of a matrix A are those that AᵀA stretches most. So multiply a few
# trial columns V by AᵀA, make them orthonormal again, and repeat. One step is a product and an
# orthonormalization.


def product(a: mx.array, v: mx.array) -> mx.array:
    """Return Z = Aᵀ(AV): two matrix products."""
    return a.T @ (a @ v)


def orthonormalize(z: mx.array) -> mx.array:
    """Gram–Schmidt: rid each column of what the earlier ones cover, scale it to 1."""
    basis = mx.zeros_like(z)
    for j in range(z.shape[1]):
        column = z[:, j]
        if j > 0:
            earlier = basis[:, :j]
            for _ in range(2):  # MetalFaiss does it twice, against rounding errors
                column = column - earlier @ (earlier.T @ column)
        length = mx.sqrt(mx.sum(column * column))
        basis[:, j] = column * mx.where(length > 0, 1 / length, 0.0)
    return basis


ITERATIONS = 3


def leading_directions(a: mx.array, v: mx.array) -> mx.array:
    """Return k orthonormal columns, A's leading directions (n × k), from a trial V."""
    for _ in range(ITERATIONS):
        v = orthonormalize(product(a, v))
    return v


# %%
# The matrix has the size of MetalFaiss's benchmark. It has rank 32, so 32 directions must rebuild all
# of it. That is the check: the columns are orthonormal, and projecting A on them changes nothing. The
# tolerance leaves room for GPUs, which multiply matrices with fewer digits.


def largest(x: mx.array) -> float:
    return mx.max(mx.abs(x)).item()


k = 32
a = mx.random.normal((512, k), key=mx.random.key(0)) @ mx.random.normal(
    (k, 256), key=mx.random.key(1)
)
v = mx.random.normal((256, k), key=mx.random.key(2))
found = leading_directions(a, v)
assert largest(found.T @ found - mx.eye(k)) < 1e-2
assert largest(a @ found @ found.T - a) < 1e-2 * largest(a)

# %%
# How large is the graph?
# -----------------------
# Compiling shortens the work around operations and merges elementwise ones. So count the operations
# first: :func:`mlx.core.export_to_dot` writes the graph of an array that isn't evaluated yet, with one
# box an operation.


def operations(result: mx.array) -> int:
    dot = io.StringIO()
    mx.export_to_dot(dot, result)
    return dot.getvalue().count("shape=rectangle")


print("operations          plain  compiled")
for function, inputs in (
    (product, (a, v)),
    (orthonormalize, (v,)),
    (leading_directions, (a, v)),
):
    plain = operations(function(*inputs))
    compiled = operations(mx.compile(function)(*inputs))
    print(f"{function.__name__:18}  {plain:5}  {compiled:8}")

# %%
# Nearly all of the graph is Gram–Schmidt: hundreds of tiny operations, each waiting for the one before.
# The product is three operations, and compiling leaves them three (:claim:`svd-product-fuses`).
#
# Each part measured
# ------------------

z = product(a, v)
whole = compare(
    "svd-whole", leading_directions, mx.compile(leading_directions), a, v, atol=1e-3
)
parts = [
    compare("svd-product", product, mx.compile(product), a, v, rtol=1e-3),
    compare(
        "svd-gram-schmidt", orthonormalize, mx.compile(orthonormalize), z, atol=1e-4
    ),
    whole,
]
table(parts)

# %%
# Three products and three orthonormalizations ought to add up to the whole.

COUNTS = (ITERATIONS, ITERATIONS, 1)
plain = [1e3 * n * part.baseline_s for n, part in zip(COUNTS, parts, strict=True)]
compiled = [1e3 * n * part.candidate_s for n, part in zip(COUNTS, parts, strict=True)]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.bar([i - 0.2 for i in range(3)], plain, 0.4, label="plain")
ax.bar([i + 0.2 for i in range(3)], compiled, 0.4, hatch="//", label="compiled")
ax.set_xticks(
    range(3), [f"{ITERATIONS} products", f"{ITERATIONS} Gram–Schmidt", "whole loop"]
)
ax.set_ylabel("ms")
ax.set_title("Where the time of the power iteration goes, plain and compiled")
ax.legend()

# %%
# The first compiled call of the whole loop took :measured:`svd-whole.first_call` here: it traced the
# loop and built its kernels. The parts found those kernels ready.
#
# What others have published
# --------------------------
# MetalFaiss's notes name a gain in prose (:claim:`svd-step-faster`), and its repository holds two
# tables of the same program that show a smaller one. They are quoted below as they were published, from
# other machines. Ours, measured here: :measured:`svd-whole.baseline` → :measured:`svd-whole.candidate`,
# speed-up :measured:`svd-whole.ratio`.
#
# .. published:: svd
#
# Another algorithm instead
# -------------------------
# :func:`mlx.core.linalg.qr` orthonormalizes in a single operation. MLX has it on the CPU only, so on a
# machine with a GPU it asks for ``stream=mx.cpu`` (:claim:`linalg-needs-cpu-stream`). That is no
# obstacle: one compiled function may mix streams, and MLX makes one wait for the other
# (:claim:`mixed-devices`). QR leaves the sign of each column open, so the last line chooses the one
# that Gram–Schmidt gives.


def orthonormalize_by_qr(z: mx.array) -> mx.array:
    q, r = mx.linalg.qr(z, stream=mx.cpu)
    return q * mx.sign(mx.diag(r))


def leading_directions_by_qr(a: mx.array, v: mx.array) -> mx.array:
    for _ in range(ITERATIONS):
        v = orthonormalize_by_qr(product(a, v))
    return v


if mx.default_device() == mx.gpu:
    print("Products on the GPU, QR on the CPU, in one compiled function.")
else:
    print("No GPU here: products and QR both run on the CPU.")

# %%
# Both sides are compiled this time; the ratio is that of the algorithms.

compare(
    "svd-qr",
    mx.compile(leading_directions),
    mx.compile(leading_directions_by_qr),
    a,
    v,
    atol=1e-3,
)

# %%
# A cache of compiled functions?
# ------------------------------
# The notes keep compiled functions in a dictionary, with sizes, dtype and device as the key. Nothing
# asks for it (:claim:`wrappers-share-traces`). Built as the notes say:


def step(a: mx.array, v: mx.array) -> mx.array:
    return orthonormalize(product(a, v))


watched = watch(step)
wrappers = {}


def step_from_dictionary(a: mx.array, v: mx.array) -> mx.array:
    key = (*a.shape, v.shape[1], a.dtype, mx.default_device())
    if key not in wrappers:
        wrappers[key] = mx.compile(watched)
    return wrappers[key](a, v)


sizes = [(64, 32, 4), (48, 16, 4), (64, 32, 4), (48, 16, 4)]
problems = [(mx.ones((m, n)), mx.ones((n, columns))) for m, n, columns in sizes]
mx.eval(problems)
mx.eval([step_from_dictionary(*problem) for problem in problems])
print(watched)
print(
    f"{len(sizes)} calls, {len(set(sizes))} sizes, "
    f"{len(wrappers)} entries in the dictionary"
)

# %%
# One trace a size, as it should be. If there are more entries than sizes, it was not the dictionary
# that found the traces: two ``Device`` objects may be equal and yet have different hashes, and then a
# key with a device in it is never found again.

here, again = mx.default_device(), mx.default_device()
print("devices equal:", here == again, "- equal hashes:", hash(here) == hash(again))

# %%
# What found the traces is MLX itself. It keeps such a dictionary inside: a compiled function files its
# traces under sizes, dtypes and the default stream, and all wrappers of one Python function share the
# files. So a single new wrapper has nothing left to trace:

single = mx.compile(watched)
watched.reset()
mx.eval([single(*problem) for problem in problems])
print("new traces:", watched.traces)

# %%
# A dictionary that drops entries even does harm. One might expect that a wrapper leaves the others'
# traces alone when it goes (:claim:`dead-wrapper-flushes`), but it flushes the traces of *all* wrappers
# of its function:

wrappers.popitem()
mx.eval([single(*problem) for problem in problems])
print("new traces:", watched.traces)

# %%
# A thin wrapper around a custom kernel
# -------------------------------------
# A custom kernel is GPU code that MLX builds from a string: :func:`mlx.core.fast.metal_kernel` on
# Metal, :func:`mlx.core.fast.cuda_kernel` on CUDA. This one computes leftᵀ·right, one thread an
# element. Only the line that asks for the thread's number differs between the two.

THREAD = {
    "metal": "int element = thread_position_in_grid.x;",
    "cuda": "int element = cooperative_groups::this_grid().thread_rank();",
}
BODY = """
    int rows = left_shape[0];
    int height = left_shape[1];
    int width = right_shape[1];
    if (element >= height * width) return;  // CUDA rounds the grid up to whole blocks
    float sum = 0;
    for (int r = 0; r < rows; ++r) {
        sum += left[r * height + element / width] * right[r * width + element % width];
    }
    out[element] = sum;
"""


def build_kernel() -> Callable[..., list[mx.array]] | None:
    """Return the kernel for this machine's GPU, or None without one."""
    if mx.default_device() != mx.gpu:
        return None
    metal = mx.metal.is_available()
    make = mx.fast.metal_kernel if metal else mx.fast.cuda_kernel
    source = THREAD["metal" if metal else "cuda"] + BODY
    return make("transposed_product", ["left", "right"], ["out"], source)


KERNEL = build_kernel()


def transposed_product(left: mx.array, right: mx.array) -> mx.array:
    """Return leftᵀ·right of two float32 matrices, on a GPU by the custom kernel."""
    if KERNEL is None:
        return left.T @ right
    shape = (left.shape[1], right.shape[1])
    return KERNEL(
        inputs=[left, right],
        grid=(shape[0] * shape[1], 1, 1),
        threadgroup=(256, 1, 1),
        output_shapes=[shape],
        output_dtypes=[left.dtype],
    )[0]


def product_by_kernel(a: mx.array, v: mx.array) -> mx.array:
    return transposed_product(a, a @ v)


assert largest(product_by_kernel(a, v) - product(a, v)) < 1e-2 * largest(product(a, v))
if KERNEL is None:
    print(
        "Custom kernels need a GPU. "
        "The same wrapper is measured around two matrix products instead."
    )
else:
    print("The second of the two products is the custom kernel.")

# %%
# Compiling calls the same kernel. Nothing around it is fused into it (:claim:`fusion-into-kernel`), so
# all that compiling can save is the wrapper's own work, which should be next to nothing
# (:claim:`kernel-wrapper-parity`).

compare(
    "svd-kernel-wrapper",
    product_by_kernel,
    mx.compile(product_by_kernel),
    a,
    v,
    rtol=1e-3,
)

# %%
# What to take away
# -----------------
# - Count operations before compiling. A few large ones leave nothing to merge; many small ones leave
#   much.
# - Measure the parts. What compiling does to the whole is decided by the part that takes the time.
# - One wrapper a function, made once and kept. No dictionary.
# - Compiling a wrapper around a custom kernel can't speed up the kernel.
# - Hundreds of small operations that wait for each other ask for another algorithm first.
#
# Where to go next
# ----------------
# *GELU speed-up* shows the opposite case, where nearly all operations merge; *Compile basics* shows
# what else causes a trace.
