"""
Train and eval: the flag that compile froze
===========================================

``model.eval()`` sets a Python flag, and a compiled function read that flag when it was traced. So a validation loss may
be computed with Dropout switched on, and nothing is raised. You will see how far off it is, and three cures with their
cost.
"""

# sphinx_gallery_tags = ["state", "training", "pitfalls"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

from compile_guide.timing import Table, compare, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# Why is my model worse in validation than without compiling, and why do two evaluations of one batch differ? That
# ``model.eval()`` reaches a function which is compiled already is what most people expect, and a claim of the ledger:
# :claim:`eval-mode-followed`. On GitHub we found the neighboring question only: what becomes of the side effects of a
# compiled function (`ml-explore/mlx#2900 <https://github.com/ml-explore/mlx/issues/2900>`_)?
#
# A model with two modes
# ----------------------
# A small classifier: which of two interleaved spirals does a point belong to? In training mode Dropout sets some values
# to zero; in evaluation mode it does nothing.

POINTS = 256


def spirals() -> tuple[mx.array, mx.array]:
    """Return points of shape (256, 2) and their labels, 0 or 1."""
    turn = mx.linspace(0.5, 2.5, POINTS // 2) * 3.14
    arm = mx.stack([turn * mx.cos(turn), turn * mx.sin(turn)], axis=1) / 4
    noise = 0.05 * mx.random.normal((POINTS, 2), key=mx.random.key(0))
    labels = mx.concatenate([mx.zeros(POINTS // 2), mx.ones(POINTS // 2)])
    return mx.concatenate([arm, -arm]) + noise, labels


def classifier() -> nn.Sequential:
    """Return a network from two coordinates to a score, each time the same."""
    mx.random.seed(1)
    model = nn.Sequential(
        nn.Linear(2, 64),
        nn.Tanh(),
        nn.Dropout(0.4),
        nn.Linear(64, 64),
        nn.Tanh(),
        nn.Linear(64, 1),
    )
    mx.eval(model.state)
    return model


x, y = spirals()
model = classifier()
state = [model.state, mx.random.state]


def loss_of(x: mx.array, y: mx.array) -> mx.array:
    return nn.losses.binary_cross_entropy(model(x).squeeze(-1), y)


mx.eval(x, y)
model.eval()
assert mx.array_equal(loss_of(x, y), loss_of(x, y)), (
    "in evaluation mode two calls agree"
)
model.train()
assert not mx.array_equal(loss_of(x, y), loss_of(x, y)), "in training mode they don't"

# %%
# The frozen flag
# ---------------
# One compiled function for both, and the mode switched from outside, as one does without compiling:

loss_either_way = mx.compile(loss_of, inputs=state, outputs=state)


def two_calls_agree(loss: Callable[..., mx.array], x: mx.array, y: mx.array) -> bool:
    return mx.array_equal(loss(x, y), loss(x, y)).item()


model.train()
print(
    "after train():            two calls agree:", two_calls_agree(loss_either_way, x, y)
)
model.eval()
print(
    "after eval():             two calls agree:", two_calls_agree(loss_either_way, x, y)
)
print(
    "after eval(), half batch: two calls agree:",
    two_calls_agree(loss_either_way, x[::2], y[::2]),
)
model.train()
print(
    "after train(), half batch:two calls agree:",
    two_calls_agree(loss_either_way, x[::2], y[::2]),
)

# %%
# The second line should say ``True``, the last one ``False``. The trace keeps the mode that the model was in when it was
# made, and each new shape is a trace of its own (:claim:`shape-retraces`). So a validation batch of another size may well
# come out right, until somebody changes the batch size.
#
# What it does to a training run
# ------------------------------
# The run below trains, and looks at the loss in evaluation mode after each epoch, once with the frozen function and once
# with the plain one, on the same weights.

optimizer = optim.Adam(learning_rate=0.01)
optimizer.init(model.trainable_parameters())
training_state = [model.state, optimizer.state, mx.random.state]


def train_step(x: mx.array, y: mx.array) -> mx.array:
    loss, gradients = nn.value_and_grad(model, loss_of)(x, y)
    optimizer.update(model, gradients)
    return loss


fast_step = mx.compile(train_step, inputs=training_state, outputs=training_state)


def evaluated(loss: Callable[..., mx.array]) -> float:
    model.eval()
    seen = loss(x, y).item()
    model.train()
    return seen


EPOCHS = 40
plain_losses, frozen_losses = [], []
for _ in range(EPOCHS):
    for _ in range(3):
        mx.eval(fast_step(x, y), training_state)
    plain_losses.append(evaluated(loss_of))
    frozen_losses.append(evaluated(loss_either_way))

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(frozen_losses, color="C1", label="compiled, the mode frozen")
ax.plot(plain_losses, color="C0", linewidth=3, label="plain, in evaluation mode")
ax.set_yscale("log")
ax.set_xlabel("epoch")
ax.set_ylabel("validation loss (logarithmic)")
ax.set_title(
    "The same weights, evaluated: the frozen flag adds noise and a false level"
)
ax.legend()

# %%
# The curve of the compiled function is that of a model which is still being disturbed. Whoever stops the training early,
# or picks the best epoch by it, picks by chance. How often was it wrong?

off = sum(
    abs(a - b) > 0.01 * b for a, b in zip(frozen_losses, plain_losses, strict=True)
)
print(f"more than one percent off in {off} of {EPOCHS} epochs")
assert off > EPOCHS / 2
some = range(0, EPOCHS, 8)
Table(
    ("epoch", "plain", "frozen"),
    tuple((str(n), f"{plain_losses[n]:.2g}", f"{frozen_losses[n]:.2g}") for n in some),
)

# %%
# Cure 1: a function for each mode
# --------------------------------
# Let each function set its own mode, in its body. The body runs at each trace, and a trace is when the mode matters. Nobody
# can forget to switch, and each function is traced once.


def in_training(x: mx.array, y: mx.array) -> mx.array:
    model.train()
    return loss_of(x, y)


def in_evaluation(x: mx.array, y: mx.array) -> mx.array:
    model.eval()
    return loss_of(x, y)


fast_in_training = mx.compile(in_training, inputs=state, outputs=state)
fast_in_evaluation = mx.compile(in_evaluation, inputs=state, outputs=state)

# %%
# Cure 2: the mode as an argument
# -------------------------------
# A Python value that is an argument is part of the signature (:claim:`bool-retraces`): one trace for each mode.


def in_mode(x: mx.array, y: mx.array, training: bool) -> mx.array:
    model.train(training)
    return loss_of(x, y)


watched = watch(in_mode, inputs=state)
fast_in_mode = mx.compile(watched, inputs=state, outputs=state)
for training in (True, False, True, False):
    fast_in_mode(x, y, training)
print(watched)
assert watched.traces == 2

# %%
# Cure 3: compile anew after the switch
# -------------------------------------
# If the code isn't yours to change, compile after ``eval()``. It has to be a *new* function: a second ``mx.compile`` of the
# same one finds the old trace, as long as the first compiled version lives (:claim:`temporary-beside-live-wrapper`).


def compiled_now() -> Callable[..., mx.array]:
    """Return the loss, compiled for the mode that the model is in."""
    return mx.compile(lambda x, y: loss_of(x, y), inputs=state, outputs=state)


model.eval()
same_again = mx.compile(loss_of, inputs=state, outputs=state)
print("the same function again: two calls agree:", two_calls_agree(same_again, x, y))
print(
    "a new function:          two calls agree:", two_calls_agree(compiled_now(), x, y)
)

# %%
# All three are right:

model.eval()
expected = loss_of(x, y)
for cured in (
    fast_in_evaluation,
    lambda x, y: fast_in_mode(x, y, False),
    compiled_now(),
):
    assert mx.allclose(cured(x, y), expected)

# %%
# What the cures cost
# -------------------
# A round is one loss in each mode. A seed at its start lets all versions drop the same values, so that they can be compared.

Losses = tuple[mx.array, mx.array]


def plain_round(x: mx.array, y: mx.array) -> Losses:
    mx.random.seed(2)
    return in_training(x, y), in_evaluation(x, y)


def round_of_functions(x: mx.array, y: mx.array) -> Losses:
    mx.random.seed(2)
    return fast_in_training(x, y), fast_in_evaluation(x, y)


def round_of_arguments(x: mx.array, y: mx.array) -> Losses:
    mx.random.seed(2)
    return fast_in_mode(x, y, True), fast_in_mode(x, y, False)


def round_of_new_functions(x: mx.array, y: mx.array) -> Losses:
    mx.random.seed(2)
    model.train()
    trained = compiled_now()(x, y)
    model.eval()
    return trained, compiled_now()(x, y)


rounds = [
    compare("modes-two-functions", plain_round, round_of_functions, x, y),
    compare("modes-argument", plain_round, round_of_arguments, x, y),
    compare("modes-compiled-anew", plain_round, round_of_new_functions, x, y),
]
table(rounds)

# %%
# The first two find their traces. The third makes two traces in each round; the kernels are built once all the same
# (:claim:`lambda-in-loop-one-kernel`). Where a mode is kept for thousands of calls, that is nothing; in a loop that
# switches at each step it is the whole gain, or more: :measured:`modes-compiled-anew.ratio` against plain, where two
# functions had :measured:`modes-two-functions.ratio`.
#
# What to take away
# -----------------
# - A compiled function keeps the mode of its trace. ``model.eval()`` afterwards changes nothing, except for shapes that are
#   traced later: that makes it look random.
# - Set the mode in the function's own body, one function for each mode. It is the cure that can't be forgotten.
# - ``model.freeze()`` and every other Python switch in a model behave in the same way (:claim:`freeze-followed`).
# - Test it: in evaluation mode, two calls on one batch must agree.
#
# Where to go next
# ----------------
# *State capture* lists what else goes stale, and what is followed. *Dropout and random state* is about the numbers that
# Dropout draws. The guide's page on training has the same rule for freezing layers.
