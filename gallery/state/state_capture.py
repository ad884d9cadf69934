"""
State capture: what a compiled function remembers
=================================================

A compiled function uses everything as it was when it was traced, except its arguments and the state that it captures.
You will see what is frozen, how to capture what must not be, which message each mistake gives, and which mistakes give
none.
"""

# sphinx_gallery_tags = ["state", "random"]
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from compile_guide.timing import compare, format_time, table

# %%
# An array from outside is a constant
# -----------------------------------
# Of two nearly equal training programs one worked when it was compiled, the other failed, and their author
# could not see why (`ml-explore/mlx#712 <https://github.com/ml-explore/mlx/issues/712>`__). Such things
# happen where a function uses more than its arguments. So begin with the smallest case. The function below reads a weight that isn't one of its arguments. A trace runs the Python body, finds the
# weight of that moment, and keeps it (:claim:`closed-array-is-constant`).

x = mx.ones(3)
mx.eval(x)  # a compiled call that is a thread's first MLX work would be traced twice
weights = {"scale": mx.array(2.0)}


def scaled(x: mx.array) -> mx.array:
    return x * weights["scale"]


fast_scaled = mx.compile(scaled)
print("weight 2:           ", fast_scaled(x)[0].item())

weights["scale"] = mx.array(6.0)
print("weight 6:           ", fast_scaled(x)[0].item())
print("weight 6, new shape:", fast_scaled(mx.ones(4))[0].item())
print("weight 6, old shape:", fast_scaled(x)[0].item())

# %%
# A new shape is a new trace, so it finds the new weight, while the old shape goes on with the old one
# (:claim:`closed-array-stale-by-shape`). Nothing is raised.
#
# Argument or capture
# -------------------
# There are two ways out. Pass the weight as an argument, or name the container that holds it as
# ``inputs=``. Then its arrays are read anew at each call.


def scaled_by(x: mx.array, scale: mx.array) -> mx.array:
    return x * scale


with_argument = mx.compile(scaled_by)
with_capture = mx.compile(scaled, inputs=weights)
for value in (2.0, 6.0):
    weights["scale"] = mx.array(value)
    print(
        f"weight {value}:",
        with_argument(x, weights["scale"])[0].item(),
        with_capture(x)[0].item(),
    )
    assert mx.array_equal(with_capture(x), scaled(x))

# %%
# An argument is plain to read and hard to get wrong. Capturing pays where the state is a large tree that
# other code owns, such as the parameters of a model.
#
# A captured container is a list or a dict of any depth. A tuple or a bare array is refused, and so is
# ``model.parameters()``, because it builds a new dict at each call, which isn't the one that the model
# reads. The one to capture is ``model.state`` (:claim:`capture-model-parameters`).


def outcome(action: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return what a call gives as text, or its error's type and first line."""
    try:
        return str(action(*args, **kwargs))
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


pair = (mx.array(2.0), mx.array(6.0))
model = nn.Linear(3, 1)
mx.eval(model.state)


def straight(x: mx.array) -> mx.array:
    return pair[0] * x + pair[1]


print("a tuple:           ", outcome(mx.compile(straight, inputs=pair), x))
print("model.parameters():", outcome(mx.compile(model, inputs=model.parameters()), x))
assert mx.array_equal(mx.compile(model, inputs=model.state)(x), model(x))

# %%
# State that the function changes
# -------------------------------
# This function counts its calls in a container. What happens depends on how the container is captured:

state = {"calls": mx.array(0)}


def counted(x: mx.array) -> mx.array:
    state["calls"] = state["calls"] + 1
    return x * state["calls"]


def three_calls(**captured: Any) -> list[int]:
    """Compile the counting function, call it three times, return the counters."""
    state["calls"] = mx.array(0)
    fast_counted = mx.compile(counted, **captured)
    seen = []
    for _ in range(3):
        fast_counted(x)
        seen.append(state["calls"].item())
    return seen


print("nothing:           ", outcome(three_calls))
print("outputs:           ", outcome(three_calls, outputs=state))
print("inputs:            ", outcome(three_calls, inputs=state))
print("inputs and outputs:", outcome(three_calls, inputs=state, outputs=state))
assert three_calls(inputs=state, outputs=state) == [1, 2, 3]

# %%
# Without ``inputs=`` the counter of the trace is a constant, and nobody complains. With ``inputs=`` alone
# the body leaves a placeholder in the container, and nothing replaces it when the trace is over: the error
# comes later, when somebody reads the container, far from the line that is wrong
# (:claim:`capture-inputs-alone`). State that the function changes belongs in both.
#
# A container that is captured as ``outputs=`` gets what one trace left in it, at each call anew. So this
# list has one entry, however often the function is called (:claim:`outputs-list-grows`):

history: list[mx.array] = []


def remembered(x: mx.array) -> mx.array:
    history.append(x.sum())
    return 2 * x


fast_remembered = mx.compile(remembered, outputs=history)
for factor in (1, 2, 3):
    fast_remembered(factor * x)
print(f"{len(history)} entry after 3 calls: {history[0].item()}")

# %%
# Return the value instead, and append it outside.
#
# Random numbers
# --------------
# A random generator is state, too. ``nn.Dropout`` draws from MLX's global one; traced, it keeps the key of
# that moment and drops the same entries for ever. Captured as ``inputs=`` *and* ``outputs=``,
# ``mx.random.state`` moves on with each call (:claim:`dropout-needs-random-state`).

dropout = nn.Dropout(0.5)
many = mx.ones(1000)


def twice_the_same(fast_dropout: Callable[[mx.array], mx.array]) -> bool:
    return mx.array_equal(fast_dropout(many), fast_dropout(many)).item()


frozen = mx.compile(lambda x: dropout(x))
moving = mx.compile(
    lambda x: dropout(x), inputs=mx.random.state, outputs=mx.random.state
)
print("nothing captured, same entries dropped again:     ", twice_the_same(frozen))
print("random state captured, same entries dropped again:", twice_the_same(moving))

# %%
# A key of your own does the same without global state, and makes a run repeatable. The step below adds
# noise to an image. ``compare`` is told to build fresh state for each side, and follows three calls of both
# before it measures: plain and compiled draw the same numbers, in the same order.


def noisy_step(
    image: mx.array, compiled: bool
) -> Callable[[], tuple[mx.array, mx.array]]:
    """Return a step that adds noise to the image, a different one at each call."""
    state = {"key": mx.random.key(0)}

    def noisy(image: mx.array) -> mx.array:
        state["key"], key = mx.random.split(state["key"])
        return mx.clip(image + 0.1 * mx.random.normal(image.shape, key=key), 0, 1)

    step = mx.compile(noisy, inputs=state, outputs=state) if compiled else noisy
    return lambda: (step(image), state["key"])


image = mx.random.uniform(shape=(512, 512), key=mx.random.key(1))
noise = compare(
    "state-noise",
    lambda image: noisy_step(image, compiled=False),
    lambda image: noisy_step(image, compiled=True),
    image,
    fresh=True,
)
noise

# %%
# What matters here isn't the gain, it is that compiling changed none of the numbers.
#
# A constant that was never computed
# ----------------------------------
# MLX is lazy: an array is a recipe until somebody asks for its values. A closed-over array that is still a
# recipe when the function is traced becomes part of the graph, and the recipe is carried out at *each* call
# (:claim:`unevaluated-closure-recomputed`). One ``mx.eval`` before the first call is all it takes.


def projection() -> mx.array:
    """Return a matrix that takes a while to compute."""
    # each row's sum is near 1
    matrix = mx.random.uniform(shape=(128, 128), key=mx.random.key(2)) / 64
    for _ in range(4):
        matrix = matrix @ matrix
    return matrix


recipe, values = projection(), projection()
mx.eval(values)
with_recipe = mx.compile(lambda row: mx.tanh(row @ recipe))
with_values = mx.compile(lambda row: mx.tanh(row @ values))

row = mx.random.normal((1, 128), key=mx.random.key(3))
lazy = compare("state-unevaluated-constant", with_recipe, with_values, row)
table([noise, lazy])

# %%
# Drawn, the price of the missing ``mx.eval``:

figure, ax = plt.subplots(figsize=(7, 1.8), layout="constrained")
calls = {"kept as a recipe": lazy.baseline_s, "kept as values": lazy.candidate_s}
times = [format_time(seconds, lazy.spread) for seconds in calls.values()]
milliseconds = [1e3 * (seconds or 0) for seconds in calls.values()]
ax.bar_label(ax.barh(list(calls), milliseconds, color=["C1", "C0"]), times, padding=4)
ax.margins(x=0.15)
ax.invert_yaxis()
ax.set_xlabel("ms a call")
ax.set_title("A compiled call whose closed-over matrix is a recipe, or has values")
plt.show()

# %%
# So evaluate the parameters of a model before its first compiled call: those of a fresh
# :class:`mlx.nn.Linear` are recipes, too.
#
# What is followed, and what goes stale
# -------------------------------------
# Even inside a captured container MLX looks at arrays only. What else the body reads is frozen when it is
# traced, without a word (:claim:`capture-other-leaves`). ``follows`` tries it: it compiles a function,
# calls it, makes a change, and looks whether the compiled function still answers as the plain one does.


def follows(
    function: Callable[[mx.array], mx.array], captured: Any, change: Callable[[], Any]
) -> str:
    """Say whether a compiled function notices a change after its first call."""
    compiled = mx.compile(function, inputs=captured, outputs=captured)
    mx.eval(compiled(many))
    change()
    return "followed" if mx.allclose(compiled(many), function(many)) else "stale"


class Gain(nn.Module):
    """A normalizing layer, and a Python number to multiply with."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(1000)
        self.factor = factor

    def __call__(self, x: mx.array) -> mx.array:
        return self.factor * self.norm(x)


settings = {"array": mx.array(2.0), "number": 2.0}
holder = {"settings": settings}
sgd = optim.SGD(learning_rate=0.5)
sgd.init({})
gain = Gain(factor=2.0)
mx.eval(gain.state)


def add_array(x: mx.array) -> mx.array:
    return x + settings["array"]


def add_number(x: mx.array) -> mx.array:
    return x + settings["number"]


def add_held(x: mx.array) -> mx.array:
    return x + holder["settings"]["array"]


def descend(x: mx.array) -> mx.array:
    return x - sgd.learning_rate


cases = [
    (
        "an array in a captured dict",
        add_array,
        settings,
        lambda: settings.update(array=mx.array(3.0)),
    ),
    (
        "an optimizer's learning rate",
        descend,
        sgd.state,
        lambda: setattr(sgd, "learning_rate", 0.25),
    ),
    (
        "a weight of a model",
        gain,
        gain.state,
        lambda: gain.norm.update({"weight": 2 * many}),
    ),
    (
        "a whole layer of a model",
        gain,
        gain.state,
        lambda: setattr(gain, "norm", nn.RMSNorm(1000)),
    ),
    (
        "a number in a captured dict",
        add_number,
        settings,
        lambda: settings.update(number=3.0),
    ),
    (
        "another dict under the same name",
        add_held,
        settings,
        lambda: holder.update(settings={"array": x[0]}),
    ),
    ("a number in a model", gain, gain.state, lambda: setattr(gain, "factor", 3.0)),
    ("a model's switch to eval()", dropout, mx.random.state, lambda: dropout.eval()),
]
for what, function, captured, change in cases:
    print(f"{what:<36}{follows(function, captured, change)}")

# %%
# What is stale stays so until something else starts a new trace. Make such a thing an array, make it an
# argument (a Python number as an argument is part of the signature), or compile a second function for the
# second mode: one for training and one for evaluation.
#
# What to take away
# -----------------
# * Prefer an argument. Where state is a large tree, capture its container: ``model.state``, not
#   ``model.parameters()``.
# * What the function reads belongs in ``inputs=``; what it changes, in ``inputs=`` *and* ``outputs=``, the
#   random state included.
# * Evaluate what is closed over before the first call.
# * Change arrays in place of numbers, and contents in place of containers.
#
# Where to go next: *Training graph* captures a model, its optimizer and the random state in one compiled
# step, and puts things right after an exception.
