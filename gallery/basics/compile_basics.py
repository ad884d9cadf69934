"""
Compile basics: trace once, run many times
==========================================

A compiled function runs its Python body once for each kind of input; from then on MLX uses what that run recorded. You
will see that run, what it costs, what starts another one, and two habits that start one by accident.
"""

# sphinx_gallery_tags = ["basics", "traces"]
import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, format_time, table
from compile_guide.tracing import watch

# %%
# A function worth compiling
# --------------------------
# The Huber loss, element by element, is a parabola near zero and a straight line further out. A *kernel* is
# a function that runs on the device over whole arrays. MLX runs each operation below as a kernel of its
# own, and what one of them writes to memory the next one reads again. Compiled, the whole chain becomes one
# kernel.


def huber(prediction: mx.array, target: mx.array) -> mx.array:
    error = mx.abs(prediction - target)
    return mx.where(error < 1, 0.5 * error * error, error - 0.5)


near_and_far = mx.array([0.0, -0.5, 1.0, -3.0])
assert huber(near_and_far, mx.zeros(4)).tolist() == [0.0, 0.125, 0.5, 2.5]

# %%
# :func:`mlx.core.compile` takes a function and returns another one that is called in the same way. At this
# point nothing has been compiled yet.

fast_huber = mx.compile(huber)

# %%
# What tracing is
# ---------------
# At its first call MLX runs the Python body once, on *placeholders*: arrays that have a shape and a dtype,
# but no values. That run is a *trace*; its result is a graph of operations, and later calls use that graph.
# Whatever else the body does happens while it is traced, and only then. Here ``print`` runs once, although
# the function is called three times (:claim:`side-effects-once`).


def talkative_huber(prediction: mx.array, target: mx.array) -> mx.array:
    print(f"tracing with {prediction.dtype} {prediction.shape}")
    return huber(prediction, target)


key_of_prediction, key_of_target = mx.random.split(mx.random.key(0))
prediction = mx.random.normal((2048, 2048), key=key_of_prediction)
target = mx.random.normal((2048, 2048), key=key_of_target)

fast_talkative_huber = mx.compile(talkative_huber)
for _ in range(3):
    fast_talkative_huber(prediction, target)

# %%
# A placeholder has no values, so it can't be printed, turned into a Python number, or asked in an ``if``.
# MLX refuses all of that with one and the same message (:claim:`branch-on-array-recompiles`). An ``if`` on
# a shape or on a Python argument is fine.


def shortcut_huber(prediction: mx.array, target: mx.array) -> mx.array:
    if mx.all(prediction == target):
        return mx.zeros_like(prediction)
    return huber(prediction, target)


try:
    mx.compile(shortcut_huber)(prediction, target)
except ValueError as error:
    print(f"ValueError: {error}")

# %%
# First call, cached call, plain call
# -----------------------------------
# The first call traces the body, and builds the kernel when its result is evaluated. Later calls find both
# in a cache. A plain call runs the Python body each time, and then one kernel for each operation.
# ``compare`` first checks that both functions return the same values, then it measures. ``bytes_moved``
# tells it how much any implementation must read and write: two arrays in, one array out.

loss = compare(
    "basics-huber",
    huber,
    fast_huber,
    prediction,
    target,
    bytes_moved=3 * prediction.nbytes,
)
loss

# %%
# The first compiled call took :measured:`basics-huber.first_call` here, most of it for building the kernel;
# tracing is the small part. Compiling pays for itself :measured:`basics-huber.break_even`. A loss that is
# computed once isn't worth that. A loss in a training loop is.

times = {
    "plain call": loss.baseline_s,
    "first compiled call": loss.first_call_s,
    "cached compiled call": loss.candidate_s,
}
figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
seconds = [second or 0 for second in times.values()]
bars = axes.barh(list(times), seconds, color=["0.65", "0.4", "black"])
axes.bar_label(bars, [format_time(s, loss.spread) for s in seconds], padding=4)
axes.set_xscale("log")
axes.set_xlabel("seconds (logarithmic)")
axes.margins(x=0.2)
axes.invert_yaxis()
axes.set_title("Huber loss: plain, first compiled and cached compiled call")
plt.show()

# %%
# What starts another trace
# -------------------------
# MLX finds the trace by the *signature* of the call. ``watch`` wraps a function before it is compiled and
# notes why each trace happened. New values in an array are no reason, and going back to an earlier
# signature is free (:claim:`going-back-is-free`), so there are more calls below than traces.


def scaled_huber(
    prediction: mx.array, target: mx.array, scale: float | mx.array = 1.0
) -> mx.array:
    return scale * huber(prediction, target)


watched = watch(scaled_huber)
fast_scaled_huber = mx.compile(watched)
row, goal = prediction[0], target[0]

fast_scaled_huber(row, goal)
fast_scaled_huber(row + 1, goal - 1)  # other values: cached
fast_scaled_huber(row[:100], goal[:100])  # another shape
fast_scaled_huber(row, goal)  # the first shape again: cached
fast_scaled_huber(prediction, target)  # another number of dimensions
fast_scaled_huber(row.astype(mx.float16), goal)  # another dtype
fast_scaled_huber(row, goal, 2.0)  # one argument more
fast_scaled_huber(row, goal, 3.0)  # another Python number
fast_scaled_huber(row, goal, scale=3.0)  # the same number, spelled as a keyword
fast_scaled_huber(row, goal, mx.array(2.0))  # the number as an array
fast_scaled_huber(row, goal, mx.array(3.0))  # now its value doesn't matter: cached
with mx.stream(mx.new_stream(mx.default_device())):
    fast_scaled_huber(row, goal)  # the first signature, on another stream
print(watched)
assert watched.traces == 9

# %%
# Three of these surprise most people. A Python number is part of the signature *by its value*
# (:claim:`python-number-retraces`): a scale that changes at each call is traced at each call, and each
# value gets a kernel of its own. As an array it needs one trace and one kernel in all
# (:claim:`arrays-keep-one-trace`). A keyword makes another signature than the same value in its place. And
# a stream, or a thread, starts from nothing.
#
# Compiled inside the loop
# ------------------------
# MLX recognizes a function by its identity. A ``lambda`` inside a loop is a new function in each round, so
# MLX has never seen it before (:claim:`lambda-in-loop-retraces`). The same holds for a function that is
# defined inside another one. What counts as the same function was put down in
# `ml-explore/mlx#1650 <https://github.com/ml-explore/mlx/pull/1650>`__: a second wrapper of one function
# finds the traces of the first (:claim:`wrappers-share-traces`), as long as that one is alive.

traced = []


def noted_huber(prediction: mx.array, target: mx.array) -> mx.array:
    traced.append(prediction.shape)
    return huber(prediction, target)


for _ in range(5):
    mx.compile(lambda x, y: noted_huber(x, y))(row, goal)
print(f"compiled inside the loop: {len(traced)} traces for 5 calls")
assert len(traced) == 5

traced.clear()
fast_noted_huber = mx.compile(noted_huber)
for _ in range(5):
    fast_noted_huber(row, goal)
print(f"compiled before the loop: {len(traced)} trace for 5 calls")
assert len(traced) == 1

# %%
# The kernel isn't lost: kernels are cached by what they compute (:claim:`lambda-in-loop-one-kernel`). What
# is paid again in each round is the trace, and on a small array, where there is little to compute, that is
# much of the time.


def compiled_at_each_call(prediction: mx.array, target: mx.array) -> mx.array:
    return mx.compile(lambda x, y: huber(x, y))(prediction, target)


one_row = compare("basics-huber-row", huber, fast_huber, row, goal)
in_loop = compare("basics-lambda-in-loop", compiled_at_each_call, fast_huber, row, goal)
table([loss, one_row, in_loop])

# %%
# The first line is the large array from above. The second is the same function on a single row of it: so
# little data that starting kernels is what takes the time. The third is that row again, compiled at each
# call against compiled once. The last two find the kernel that the first one built, so their first calls
# are short.
#
# The dying second wrapper
# ------------------------
# Two wrappers of one function share their traces while both live. When one of them goes away, it takes the
# traces of *all* of them along (:claim:`dead-wrapper-flushes`). A wrapper that is used once and dropped is
# enough:

watched = watch(huber)
kept = mx.compile(watched)

kept(row, goal)
mx.compile(watched)(row, goal)  # uses the trace of the first call, then dies
kept(row, goal)
print(watched)
assert watched.traces == 2

# %%
# What to take away
# -----------------
# * Compile a function once, in the module or before the loop, and keep the result.
# * Keep shapes and dtypes stable, pass numbers that change as arrays, and spell a call always in the same
#   way.
# * In the body compute arrays and do nothing else: it isn't run again.
# * When a compiled function is slower than you thought, wrap it in ``watch`` and read the reasons.
#
# Where to go next: *State capture* shows what a compiled function remembers besides its arguments.
