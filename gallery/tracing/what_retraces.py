"""
What retraces: all that MLX looks at in a call
==============================================

Each call of a compiled function either finds a trace that fits or makes a new one. Here nineteen changes to a call are
tried one by one, and the calls that were traced are counted. Then you see what a trace costs, and how that grows with
the length of the function.
"""

# sphinx_gallery_tags = ["traces", "streams and threads"]
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Comparison, Table, compare, format_time, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# MLX keeps no log of its traces (:claim:`recompile-log`); people have asked for one in
# `ml-explore/mlx#4464 <https://github.com/ml-explore/mlx/issues/4464>`__, and in
# `#825 <https://github.com/ml-explore/mlx/issues/825>`__ which arguments count and how. Many texts answer
# with "dtype and shape" (:claim:`signature-is-shapes-only`). The function below takes whatever a call may
# hold: arrays alone or in containers, numbers, a string, an optional argument.

offset = {"number": 0.0}


def score(
    rows: Any, scale: Any = 1.0, how: str = "sum", bias: mx.array | None = None
) -> mx.array:
    """Score an array, or those of a list, tuple or dict: sum or average, then scale."""
    if isinstance(rows, dict):
        rows = list(rows.values())
    arrays = rows if isinstance(rows, list | tuple) else [rows]
    reduce = {"sum": mx.sum, "mean": mx.mean}[how]
    total = sum(reduce(array) for array in arrays)
    return scale * (total if bias is None else total + bias) + offset["number"]


x = mx.arange(16.0).reshape(4, 4)
mx.eval(x)  # a compiled call that is a thread's first MLX work would be traced twice
assert score(x).item() == 120
assert score([x, x], 2.0, how="mean", bias=mx.array(1.0)).item() == 32

# %%
# The changes
# -----------
# A change is a pair of calls, one before and one after it. ``other_stream`` and ``other_thread`` make the
# same call from somewhere else, ``other_number`` changes what the function closes over.

Call = Callable[[Callable[..., mx.array]], Any]
stream = mx.new_stream(mx.default_device())
worker = ThreadPoolExecutor(max_workers=1)
worker.submit(lambda: mx.eval(mx.zeros(1))).result()  # the thread's first MLX work


def other_stream(f: Callable[..., mx.array]) -> None:
    with mx.stream(stream):
        f(x)


def other_thread(f: Callable[..., mx.array]) -> None:
    worker.submit(f, x).result()


def other_number(f: Callable[..., mx.array]) -> None:
    offset["number"] = 1.0
    f(x)
    offset["number"] = 0.0


def plain_call(f: Callable[..., mx.array]) -> None:
    f(x)


CHANGES: dict[str, tuple[Call, Call]] = {
    "shape": (plain_call, lambda f: f(x[:3])),
    "number of dimensions": (plain_call, lambda f: f(x[None])),
    "dtype": (plain_call, lambda f: f(x.astype(mx.float16))),
    "one argument more": (plain_call, lambda f: f(x, 1.0)),
    "Python float": (lambda f: f(x, 2.0), lambda f: f(x, 3.0)),
    "string": (lambda f: f(x, how="sum"), lambda f: f(x, how="mean")),
    "None, or left out": (plain_call, lambda f: f(x, bias=None)),
    "keyword, or by position": (lambda f: f(x, 2.0), lambda f: f(x, scale=2.0)),
    "order of keywords": (
        lambda f: f(x, scale=2.0, how="sum"),
        lambda f: f(x, how="sum", scale=2.0),
    ),
    "key of a dict": (lambda f: f({"a": x}), lambda f: f({"b": x})),
    "length of a list": (lambda f: f([x]), lambda f: f([x, x])),
    "default stream": (plain_call, other_stream),
    "thread": (plain_call, other_thread),
    "values in an array": (plain_call, lambda f: f(x + 1)),
    "memory layout": (plain_call, lambda f: f(x.T)),
    "number as an array": (
        lambda f: f(x, mx.array(2.0)),
        lambda f: f(x, mx.array(3.0)),
    ),
    "list, or tuple": (lambda f: f([x]), lambda f: f((x,))),
    "True, or 1": (lambda f: f(x, True), lambda f: f(x, 1)),
    "a number closed over": (plain_call, other_number),
}

# %%
# Each change is tried on a function that MLX has never seen. Four calls: before, after, after, before. The
# last two ask whether both kinds of call are remembered (:claim:`going-back-is-free`).


def traced_calls(before: Call, after: Call) -> tuple[list[bool], str]:
    """Make four calls; say which were traced, and why the second trace happened."""
    watched = watch(score)
    compiled = mx.compile(watched)
    seen = []
    for call in (before, after, after, before):
        known = watched.traces
        call(compiled)
        seen.append(watched.traces > known)
    return seen, watched.reasons[1] if watched.traces > 1 else "—"


outcomes = {change: traced_calls(*calls) for change, calls in CHANGES.items()}
worker.submit(mx.clear_streams).result()  # hands back what MLX made for that thread
worker.shutdown()
rows = [
    (name, *("trace" if t else "cached" for t in seen[1:]), why)
    for name, (seen, why) in outcomes.items()
]
print(Table(("what changes", "after", "again", "back", "reason"), tuple(rows)))
assert all(seen[0] and not any(seen[2:]) for seen, _ in outcomes.values())

# %%
# Every change that was traced was traced once: both kinds of call are kept.

figure, ax = plt.subplots(figsize=(7, 6.2), layout="constrained")
for y, (seen, _) in enumerate(outcomes.values()):
    for call, traced in enumerate(seen):
        ax.plot(
            call,
            y,
            "o",
            markersize=11,
            color="C0",
            fillstyle="full" if traced else "none",
        )
ax.set_xticks(range(4), ["before", "after", "after\nagain", "before\nagain"])
ax.set_yticks(range(len(outcomes)), list(outcomes))
ax.set_xlim(-0.5, 3.5)
ax.invert_yaxis()
ax.grid(visible=False)
ax.set_title("Four calls for each change: filled dots are traces")
plt.show()

# %%
# The last six changes start no trace. Three of them are as they should be: the values of arrays are data, a
# number that is an array is data too (:claim:`arrays-keep-one-trace`), and another memory layout asks for
# another *kernel* at most (:claim:`layout-builds-kernel`). The other three are traps. A list and a tuple share
# a trace (:claim:`collision-list-tuple`), so do ``True`` and ``1`` (:claim:`collision-true-one`), and ``0`` and ``0.0`` (:claim:`collision-zeros`): a function
# that treats them differently answers both like the first. And what is closed over is frozen
# (:claim:`global-number-updates`).

untraced = [name for name, (seen, _) in outcomes.items() if not seen[1]]
assert untraced == list(CHANGES)[13:]

compiled = mx.compile(lambda rows: score(rows))
compiled(x)
offset["number"] = 1000.0
print("compiled:", compiled(x).item(), " plain:", score(x).item())
offset["number"] = 0.0

# %%
# What a trace costs
# ------------------
# A trace runs the Python body and looks through the graph that it leaves. So it grows with the number of
# operations. The chain of matrix products below holds nothing to fuse (:claim:`matmul-stops`), and no kernel is
# built: the difference between the two sides is the trace alone. The baseline compiles a new ``lambda`` at each
# call (:claim:`lambda-in-loop-retraces`), the candidate was compiled once.

row, matrix = mx.ones((1, 16)), mx.eye(16)


def chain(length: int) -> Callable[[mx.array], mx.array]:
    def products(row: mx.array) -> mx.array:
        for _ in range(length):
            row = row @ matrix
        return row

    return products


def compare_traced(length: int) -> Comparison:
    body = chain(length)
    mx.eval(matrix)
    name = f"retraces-body-{length}"
    return compare(
        name, lambda row: mx.compile(lambda r: body(r))(row), mx.compile(body), row
    )


LENGTHS = (4, 32, 256)
by_length = [compare_traced(length) for length in LENGTHS]
table(by_length)

# %%
# Take the cached call away from the traced one, and what is left is the price of the trace:

prices = {
    n: c.baseline_s - c.candidate_s
    for n, c in zip(LENGTHS, by_length, strict=True)
    if c.runs
}
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
bars = ax.bar(range(len(prices)), [1e6 * price for price in prices.values()], width=0.5)
ax.bar_label(bars, [format_time(price, 0.1) for price in prices.values()], padding=3)
ax.set_xticks(range(len(prices)), [str(n) for n in prices])
ax.margins(y=0.15)
ax.set_xlabel("operations in the function")
ax.set_ylabel("µs a trace")
ax.set_title("The price of one trace, by the function's length")
plt.show()

# %%
# What to take away
# -----------------
# * Shapes, dtypes, containers, Python values, spelling, stream and thread: each difference is a trace, once.
# * Spell a call the same way everywhere; numbers that change go in as arrays.
# * Don't branch on list against tuple, nor on ``True`` against ``1``; pass a string.
# * A trace costs Python's time, and the longer the function, the more. It is paid once for each kind of call, so
#   what hurts is a kind that never comes back.
#
# Where to go next
# ----------------
# *Numbers as arguments* looks at the change that is easiest to make by accident. *What the first call costs*
# adds the kernels to the price.
