"""
What the first call costs: trace, kernel, disk
==============================================

The first call of a compiled function is slow. What takes the time: tracing, building kernels, or the work itself? And
what takes it again: a new shape, a new dtype, the next process? Each case is measured here, and compared with what the
later calls save.
"""

# sphinx_gallery_tags = ["traces", "speed"]
import math

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Comparison, Table, compare, format_calls, format_time
from compile_guide.tracing import watch

# %%
# The question
# ------------
# That a first call takes long is the first thing that people notice, and those who start a program often ask about it
# (`ml-explore/mlx#2566 <https://github.com/ml-explore/mlx/issues/2566>`__ is a thread on the CUDA and CPU backends).
# Later calls find a cache (:claim:`later-calls-cached`). Two things can happen in it. The call *traces*: the Python
# body runs once, and leaves a graph. When the result is evaluated, MLX *builds* a kernel for each fused part of
# that graph, unless it has it (:claim:`kernel-built-at-eval`). They are kept apart, and they cost differently. The
# function is the error of a forecast that forgives small misses:


def forgiving_error(forecast: mx.array, seen: mx.array) -> mx.array:
    """Return each element's error; below one its square counts, above it itself."""
    miss = mx.abs(forecast - seen)
    return mx.where(miss < 1, miss * miss, miss) * mx.rsqrt(1 + seen * seen)


assert mx.allclose(
    forgiving_error(mx.array([0.5, 3.0]), mx.zeros(2)), mx.array([0.25, 3.0])
)

# %%
# What is traced, and what is built
# ---------------------------------
# A new shape is traced and finds its kernel built (:claim:`shape-reuses-kernel`). A new dtype is traced and needs a
# kernel of its own (:claim:`dtype-builds-kernel`). Counted, the traces are the same:


def pair(size: int, dtype: mx.Dtype) -> tuple[mx.array, mx.array]:
    """Return a forecast and what was seen, each of ``size`` values."""
    made = [
        mx.random.normal((size,), key=mx.random.key(seed)).astype(dtype)
        for seed in (0, 1)
    ]
    mx.eval(made)
    return made[0], made[1]


SIZE, OTHER_SIZE = 100_000, 90_000
watched = watch(forgiving_error)
fast_error = mx.compile(watched)
for size, dtype in (
    (SIZE, mx.float32),
    (OTHER_SIZE, mx.float32),
    (SIZE, mx.float16),
    (SIZE, mx.float32),
):
    fast_error(*pair(size, dtype))  # traced, never evaluated: so no kernel is built yet
print(watched)
assert watched.traces == 3

# %%
# Measured
# --------
# Three first calls of one process, in this order: everything is new; another shape; another dtype. For each,
# ``compare`` times the first call apart and then goes on with the cached ones. This site records each comparison in
# several processes: the first starts with an *empty* kernel cache, the later ones find what it left on disk, if
# their backend leaves anything there.


def first_calls(name: str, size: int, dtype: mx.Dtype, tolerance: float) -> Comparison:
    compiled = mx.compile(lambda forecast, seen: forgiving_error(forecast, seen))
    return compare(
        name,
        forgiving_error,
        compiled,
        *pair(size, dtype),
        rtol=tolerance,
        atol=tolerance,
    )


new = first_calls("first-call-new", SIZE, mx.float32, 1e-5)
shape = first_calls("first-call-shape", OTHER_SIZE, mx.float32, 1e-5)
half = first_calls("first-call-dtype", SIZE, mx.float16, 1e-2)


def calls_to_pay(comparison: Comparison, first_s: float | None) -> str:
    """Say after how many calls a first call of so many seconds has paid."""
    base, cached = comparison.baseline_s, comparison.candidate_s
    if first_s is None or base is None or cached is None:
        return "—"
    saves = comparison.differs and cached < base
    return (
        format_calls(max(1, math.ceil((first_s - cached) / (base - cached))))
        if saves
        else "never"
    )


FIRST_CALLS = {
    "all new": (new, new.first_call_s),
    "another dtype": (half, half.first_call_s),
    "another shape": (shape, shape.first_call_s),
    "later process, all new to it": (new, new.first_call_warm_s),
    "later process, another dtype": (half, half.first_call_warm_s),
    "later process, another shape": (shape, shape.first_call_warm_s),
}
rows = [
    (
        what,
        format_time(c.baseline_s),
        format_time(first),
        format_time(c.candidate_s),
        calls_to_pay(c, first),
    )
    for what, (c, first) in FIRST_CALLS.items()
]
Table(
    ("first call", "plain call", "first call", "cached call", "has paid after"),
    tuple(rows),
)

# %%
# A call has *paid* when the time that the cached calls saved makes up for the first one:
#
# ``calls = (first call - cached call) / (plain call - cached call)``
#
# A dash in the lines of the later processes means that only one process ran, as when you start this script by
# itself; then the lines above them may be warm as well. In this record the first process began with its kernel
# cache in the following state:

print(new.runs[0].cache if new.runs else "not compared")

# %%
# The work itself is a part of every first call, so the plain call is drawn along:

drawn = {
    "plain call": new.baseline_s,
    **{what: first for what, (_, first) in FIRST_CALLS.items()},
}
drawn |= {"cached call": new.candidate_s}
times = {what: seconds for what, seconds in drawn.items() if seconds is not None}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
colors = ["C1" if "new" in what or "another" in what else "C0" for what in times]
bars = ax.barh(list(times), list(times.values()), color=colors)
ax.bar_label(
    bars, [format_time(seconds, new.spread) for seconds in times.values()], padding=4
)
ax.set_xscale("log")
ax.margins(x=0.2)
ax.invert_yaxis()
ax.set_xlabel("seconds (logarithmic)")
ax.set_title("First calls against plain and cached ones")
plt.show()

# %%
# Where kernels stay
# ------------------
# What a second process finds depends on the backend (:claim:`processes-share-kernels`):

KEPT = {
    "cpu": "g++ builds it; kept as a file in the temporary folder (TMPDIR)",
    "cuda": "NVRTC builds it; kept as a file in MLX_PTX_CACHE_DIR, "
    "else in the temporary folder",
    "metal": "macOS builds it; kept by the system, MLX leaves no file",
}


def backend() -> str:
    if mx.default_device() == mx.Device(mx.cpu):
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


for name, where in KEPT.items():
    print(f"{name:6}{where}{'' if name == backend() else ' (not on this machine)'}")

# %%
# Metal's own store can't be emptied from a program, so a record from a Mac doesn't know whether its first process
# was cold, and says ``unknown`` above. CUDA's folder got its name, and MLX's version into its path, with
# `ml-explore/mlx#2352 <https://github.com/ml-explore/mlx/pull/2352>`__; who builds a kernel was read in MLX's source, to
# which the guide's page on backends has links. The same comparisons from every machine that has recorded them; each
# row's first call is that of a first process:
#
# .. comparison:: first-call-new first-call-shape first-call-dtype
#    :caption: First calls on every machine: everything new, another shape, another dtype
#
# Warm up on purpose
# ------------------
# A program that answers somebody should make its first calls before anybody asks. A kernel fits all sizes, so small
# arrays will do for building it. The traces belong to shapes, and are made for those that will come.


def warm_up(sizes: tuple[int, ...], dtypes: tuple[mx.Dtype, ...]) -> None:
    """Build each dtype's kernel with a small array, then trace each size, no more."""
    for dtype in dtypes:
        mx.eval(fast_error(*pair(2, dtype)))
        for size in sizes:
            fast_error(mx.zeros(size, dtype), mx.zeros(size, dtype))


warm_up((SIZE, OTHER_SIZE), (mx.float32, mx.float16))
watched.reset()
fast_error(*pair(OTHER_SIZE, mx.float16))
print("traces after warming up:", watched.traces)
assert watched.traces == 0

# %%
# What to take away
# -----------------
# * Tracing is the small part of a first call, building kernels the large one, wherever a compiler has to run.
# * A new shape is a trace; a new dtype is a trace and a kernel.
# * Where kernels are files, keep the folder: a container that starts with an empty one pays at each start.
# * Compile what is called more often than the break-even. What runs once, leave plain.
#
# Where to go next
# ----------------
# *What retraces* lists all that makes a first call out of a later one. *When compile loses* has the cases where no
# number of calls pays.
