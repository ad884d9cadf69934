"""
CPU and GPU in one function: streams
====================================

Each operation of MLX runs on a stream, a queue of work that belongs to a device. One compiled function may use
several, even of two devices. You will see where fusion stops then, what makes such a function trace again, and what a
change of streams costs or gains.
"""

# sphinx_gallery_tags = ["streams and threads", "fusion", "traces"]
import io
import re

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Comparison, compare, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# One might expect that arrays have to be moved to a device (:claim:`to-device`), but MLX asks where to run each operation
# instead, so each device could do what it does best. Yet compiled functions used to run for ever on the stream of their
# first call
# (`ml-explore/mlx#1624 <https://github.com/ml-explore/mlx/issues/1624>`__, mended in
# `#1644 <https://github.com/ml-explore/mlx/pull/1644>`__), and people found that going back and forth isn't free
# (`#1979 <https://github.com/ml-explore/mlx/issues/1979>`__). What holds today?
#
# Two streams
# -----------
# ``HERE`` is the default. ``THERE`` is another one: the CPU's where MLX uses a GPU, else a second stream on the CPU. The
# script is the same for both, but what it measures is not: on a CPU the two share their cores and nothing else changes
# hands.

HERE = mx.default_stream(mx.default_device())
ONLY_CPU = mx.default_device() == mx.Device(mx.cpu)
THERE = mx.new_stream(mx.cpu)
print(
    "two streams on the CPU: no GPU on this machine"
    if ONLY_CPU
    else "one stream on the GPU, one on the CPU"
)

# %%
# A function with a detour
# ------------------------
# ``stream=`` says where one operation runs. Everything else runs on the default stream.


def straight(x: mx.array) -> mx.array:
    return mx.exp(-mx.abs(mx.sqrt(mx.abs(x) + 1) - 2))


def detour(x: mx.array) -> mx.array:
    """The same, with the square root somewhere else."""
    return mx.exp(-mx.abs(mx.sqrt(mx.abs(x) + 1, stream=THERE) - 2))


x = mx.random.normal((1_000_000,), key=mx.random.key(0))
assert mx.allclose(detour(x), straight(x), atol=1e-5)
assert mx.allclose(mx.compile(detour)(x), straight(x), atol=1e-5)

# %%
# MLX makes one stream wait for the other where values pass between them, so the result is right, compiled or not
# (:claim:`mixed-devices` for two devices). Fusion, however, stops at the change (:claim:`stream-change-stops`): a kernel
# runs on one stream. The graphs show it.


def operations(result: mx.array) -> str:
    graph = io.StringIO()
    mx.export_to_dot(graph, result)
    names = re.findall(r'label ="(\w+)"', graph.getvalue())
    return " → ".join(name for name in names if name != "Broadcast")


print("straight:", operations(mx.compile(straight)(x)))
print("detour:  ", operations(mx.compile(detour)(x)))

# %%
# The default stream is part of the key
# -------------------------------------
# A compiled function looks up its trace by the default stream as well (:claim:`stream-retraces`). So the same function
# serves both, after a trace for each:

watched = watch(straight)
step = mx.compile(watched)
mx.eval(step(x))
with mx.stream(THERE):
    mx.eval(step(x))
    mx.eval(step(x + 1))
mx.eval(step(x))
print(watched)
assert watched.traces == 2

# %%
# A stream that is made anew for each call would be a new trace for each call. Make streams once.
#
# What a change of streams costs
# ------------------------------
# Both sides are compiled. The candidate takes the detour, so it runs three kernels instead of one, and waits twice.

there_and_back = compare(
    "streams-detour", mx.compile(straight), mx.compile(detour), x, atol=1e-5
)
there_and_back

# %%
# What two streams gain
# ---------------------
# Work that doesn't depend on each other can run side by side. Here two arrays are sorted: one after the other on the
# default stream, or the second of them on ``THERE``.


def in_turn(left: mx.array, right: mx.array) -> tuple[mx.array, mx.array]:
    return mx.sort(left), mx.sort(right)


def side_by_side(left: mx.array, right: mx.array) -> tuple[mx.array, mx.array]:
    return mx.sort(left), mx.sort(right, stream=THERE)


left, right = (mx.random.normal((300_000,), key=mx.random.key(seed)) for seed in (1, 2))
for expected, got in zip(in_turn(left, right), side_by_side(left, right), strict=True):
    assert mx.array_equal(expected, got)
sorted_apart = compare(
    "streams-side-by-side", mx.compile(in_turn), mx.compile(side_by_side), left, right
)

# %%
# And the same with unequal halves of one job: nine tenths of an elementwise function stay, one tenth goes. On two devices
# of unequal speed the best share is to be found by trying.


def all_here(x: mx.array) -> tuple[mx.array, mx.array]:
    cut = x.size * 9 // 10
    return straight(x[:cut]), straight(x[cut:])


def a_tenth_there(x: mx.array) -> tuple[mx.array, mx.array]:
    cut = x.size * 9 // 10
    first = straight(x[:cut])
    with mx.stream(THERE):
        return first, straight(x[cut:])


tenth = compare(
    "streams-a-tenth", mx.compile(all_here), mx.compile(a_tenth_there), x, atol=1e-5
)
table([there_and_back, sorted_apart, tenth])

# %%
# A speed-up above 1 means that the second stream paid for itself. On a CPU this takes an idle core; a GPU with a CPU
# beside it is done when the slower of the two is.

figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")


def draw(place: int, comparison: Comparison) -> None:
    """Draw the ratio as a dot and its interval as a line."""
    if comparison.ratio is not None:
        low, high = comparison.interval or (comparison.ratio, comparison.ratio)
        ax.plot(
            [low, high],
            [place, place],
            color=f"C{place}",
            linewidth=3,
            solid_capstyle="round",
        )
        ax.plot(comparison.ratio, place, "o", color=f"C{place}", markersize=9)


LABELS = ("detour in a chain", "two sorts side by side", "a tenth of the elements")
for place, comparison in enumerate((there_and_back, sorted_apart, tenth)):
    draw(place, comparison)
ax.axvline(1, color="black", linewidth=0.8)
ax.set_xlim(left=0)
ax.set_yticks(range(3), LABELS)
ax.set_ylim(2.5, -0.5)
ax.set_xlabel("times as fast as on one stream")
ax.set_title("A second stream: what it costs in a chain, what it gains side by side")

# %%
# A record of a machine with a GPU shows the other case, a CPU stream beside a GPU:
#
# .. comparison:: streams-detour streams-side-by-side streams-a-tenth
#    :elsewhere:
#
# What to take away
# -----------------
# - ``stream=`` works inside compiled functions, for two devices, too. Values stay right without your doing.
# - Each change of stream ends a fused kernel. Put a detour where fusion stops anyway: at a sort, a product, an operation
#   that only the CPU has (:claim:`linalg-needs-cpu-stream`).
# - Send away whole, independent jobs, not steps of a chain.
# - Make streams once, and keep the default stream still: it is part of the signature.
#
# Where to go next
# ----------------
# *MetalFaiss notes* uses a CPU-only operation amid GPU work; *Compile basics* lists what else is part of the signature.
