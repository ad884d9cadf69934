"""
Lazy closures: the missing ``mx.eval`` that costs everything
============================================================

A compiled function that reads an array from outside keeps that array as it was when it was traced. If the array hadn't
been computed yet, the function keeps its computation instead, and repeats it at every call. One ``mx.eval`` avoids
that. You will see where it belongs, and what it saves.
"""

# sphinx_gallery_tags = ["speed", "state", "pitfalls"]
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn

from compile_guide.timing import Comparison, compare, table

# %%
# The question
# ------------
# Newcomers ask what ``mx.eval(model.parameters())`` is for, since everything works without
# (`mlx-examples#268 <https://github.com/ml-explore/mlx-examples/issues/268>`__, and `ml-explore/mlx#114
# <https://github.com/ml-explore/mlx/issues/114>`__ about the call in a loop). In plain MLX that is nearly true. In
# front of a compiled function it isn't.
#
# MLX is lazy: an operation returns a node of a graph, and the values are computed when somebody wants them. The
# table below tells how much flows between the nodes of a network in so many steps. To make it, a matrix is
# multiplied by itself, round after round.

NODES = 64


def flow_table(rounds: int) -> mx.array:
    """Return the flow matrix after 2 ** rounds steps, as a recipe, not computed yet."""
    flow = mx.random.uniform(shape=(NODES, NODES), key=mx.random.key(0))
    flow = flow / mx.sum(flow, axis=1, keepdims=True)
    mx.eval(flow)
    for _ in range(rounds):
        flow = flow @ flow
    return flow


def products(*results: mx.array) -> int:
    """Count the matrix products to compute before these arrays have values."""
    dot = io.StringIO()
    mx.export_to_dot(dot, *results)
    return dot.getvalue().count('"Matmul"')


start = mx.zeros((1, NODES)).at[0, 0].add(1)
mx.eval(start)
lazy, ready = flow_table(8), flow_table(8)
mx.eval(ready)
# GPUs may multiply with fewer digits
assert mx.allclose(mx.sum(start @ ready), mx.array(1.0), atol=0.05)
print(
    "products in the recipe:",
    products(lazy),
    " in the evaluated table:",
    products(ready),
)

# %%
# Plain and compiled
# ------------------
# The plain function pays for the recipe once: when its first result is evaluated, the table's values are there,
# and they stay with the array. The compiled function keeps the *graph* that its trace saw
# (:claim:`unevaluated-closure-recomputed`). Count what each call has to compute:


def spread(start: mx.array, table: mx.array) -> mx.array:
    return start @ table


def products_in_three_calls(call: Callable[[], mx.array]) -> list[int]:
    counts = []
    for _ in range(3):
        result = call()
        counts.append(products(result))
        mx.eval(result)
    return counts


def every_way() -> dict[str, list[int]]:
    """Hand the table to a compiled function in each way, each with its own recipe."""
    closed = flow_table(8)
    evaluated = flow_table(8)
    given = flow_table(8)
    held = {"table": flow_table(8)}
    mx.eval(evaluated)
    from_closure = mx.compile(lambda start: spread(start, closed))
    from_evaluated = mx.compile(lambda start: spread(start, evaluated))
    as_argument = mx.compile(lambda start, table: spread(start, table))
    as_capture = mx.compile(lambda start: spread(start, held["table"]), inputs=held)
    return {
        "plain": products_in_three_calls(lambda: spread(start, lazy)),
        "compiled, closed over": products_in_three_calls(lambda: from_closure(start)),
        "compiled, evaluated first": products_in_three_calls(
            lambda: from_evaluated(start)
        ),
        "compiled, as an argument": products_in_three_calls(
            lambda: as_argument(start, given)
        ),
        "compiled, captured by inputs=": products_in_three_calls(
            lambda: as_capture(start)
        ),
    }


ways = every_way()
for way, counts in ways.items():
    print(f"{way:31}", *(f"{count:2}" for count in counts))
assert ways["compiled, closed over"] == [9, 9, 9]
assert (
    ways["compiled, as an argument"]
    == ways["compiled, captured by inputs="]
    == [9, 1, 1]
)

# %%
# One line stands out. An argument and a captured array are *inputs*: a call evaluates them, and afterwards they
# have values like any other array. A closed-over array is a part of the trace.
#
# Evaluating too late
# -------------------
# Once the trace is there, it is too late. The array gets its values, and the trace goes on with the recipe; only a
# new trace, here for another shape, finds the values.

late = flow_table(8)
fast_spread = mx.compile(lambda start: spread(start, late))
mx.eval(fast_spread(start))
mx.eval(late)
print("products after a late mx.eval: ", products(fast_spread(start)))
print(
    "products in a call that traces:",
    products(fast_spread(mx.concatenate([start, start]))),
)

# %%
# What it costs
# -------------
# The longer the recipe, the more each call computes that the evaluated table has ready. Both sides are compiled;
# all that differs is one ``mx.eval`` before the first call.

ROUNDS = (1, 4, 16)


def compare_recipe(rounds: int) -> Comparison:
    lazy, ready = flow_table(rounds), flow_table(rounds)
    mx.eval(ready)
    with_recipe = mx.compile(lambda start: spread(start, lazy))
    with_values = mx.compile(lambda start: spread(start, ready))
    return compare(
        f"lazy-rounds-{rounds}", with_recipe, with_values, start, rtol=1e-3, atol=1e-4
    )


by_rounds = [compare_recipe(rounds) for rounds in ROUNDS]
table(by_rounds)

# %%
# The baseline computes the table at each call, the candidate has it. That takes memory as well as time: the
# right half shows what a call holds at most, beyond what was held before it.

made = [(n, c) for n, c in zip(ROUNDS, by_rounds, strict=True) if c.runs]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axes, unit, label, of in (
    (left, 1e6, "µs a call", lambda c: (c.baseline_s, c.candidate_s)),
    (right, 1e-3, "kB held by one call", lambda c: (c.baseline_peak, c.candidate_peak)),
):
    recipe, values = zip(
        *((unit * a, unit * b) for a, b in (of(c) for _, c in made)), strict=True
    )
    axes.plot(
        [n for n, _ in made], recipe, "^--", color="C1", label="recipe closed over"
    )
    axes.plot([n for n, _ in made], values, "o-", label="evaluated first")
    axes.set_xlabel("products in the recipe")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
left.legend()
figure.suptitle("What a call pays for a table that was never evaluated")
plt.show()

# %%
# A fresh model is a recipe
# -------------------------
# A new layer's weights are random numbers that haven't been drawn yet. Compile a function around such a model
# without capturing it, and each call draws the weights again; it doesn't even look wrong, since the key is frozen
# along with the rest.


def random_operations(result: mx.array) -> int:
    dot = io.StringIO()
    mx.export_to_dot(dot, result)
    return dot.getvalue().count('"RandomBits"')


for evaluate in (False, True):
    model = nn.Linear(NODES, NODES)
    if evaluate:
        mx.eval(model.parameters())
    forward = mx.compile(lambda x, model=model: model(x))
    forward(start)
    draws = random_operations(forward(start))
    print(
        f"evaluated first: {evaluate!s:5}  "
        f"random operations in the second call: {draws}"
    )

# %%
# What to take away
# -----------------
# * ``mx.eval`` whatever a compiled function closes over, *before* its first call: tables, masks, weights.
# * Or hand it in: an argument or a captured container is evaluated once, by the first call that needs it.
# * Evaluating after the first call changes nothing until the function is traced again.
# * When a compiled function is slower than a plain one, look at its graph for work that you thought was done.
#
# Where to go next
# ----------------
# *State capture* has the rest of what a trace freezes. *When compile loses* collects the other ways to make a
# compiled function slower than the plain one.
