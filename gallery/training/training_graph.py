"""
Training graph: the whole step in one
=====================================

A training step is a forward pass, its gradients, and the optimizer's update. Compiled as one function it becomes one
graph, without a return to Python in between. You will learn what must be captured for that, why a compiled step may be
traced twice, and how a model survives a batch that makes the step fail.
"""

# sphinx_gallery_tags = ["training", "state", "gradients", "traces"]
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from compile_guide.timing import Comparison, compare, table
from compile_guide.tracing import Watched, watch

Step = Callable[..., mx.array]
MakeModel = Callable[[], tuple[nn.Module, optim.Optimizer]]
MakeStep = Callable[[nn.Module, optim.Optimizer], Step]

# %%
# The step
# --------
# The *state* of a training run is all that a step changes: the model's parameters, and what the optimizer
# remembers (its momentum, its count of steps). The plain step below changes both in place and returns the
# loss. How such a step can be compiled as a whole was the reason why :func:`mlx.core.compile` learned to
# capture state (`ml-explore/mlx#629 <https://github.com/ml-explore/mlx/pull/629>`__), and whether it makes
# training faster is asked again and again
# (`#1531 <https://github.com/ml-explore/mlx/issues/1531>`__ is one thread).


def mean_squared_error(model: nn.Module, x: mx.array, y: mx.array) -> mx.array:
    return mx.mean((model(x) - y) ** 2)


def training_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    """Return a step that trains on one batch: forward pass, gradients, update."""
    loss_and_grad = nn.value_and_grad(model, mean_squared_error)

    def step(x: mx.array, y: mx.array) -> mx.array:
        loss, gradients = loss_and_grad(model, x, y)
        optimizer.update(model, gradients)
        return loss

    return step


# %%
# A compiled function takes an array that it isn't told about for a constant
# (:claim:`closed-array-is-constant`). ``inputs=`` names the state that it reads, ``outputs=`` the state
# that it changes; here both are the same (:claim:`capture-both`). ``optimizer.init`` makes the optimizer's
# part of the state *before* the first trace. What happens without it is shown further down.


def compiled_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    """Return the same step, compiled."""
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    mx.eval(state)
    return mx.compile(training_step(model, optimizer), inputs=state, outputs=state)


# %%
# Two models and some data
# ------------------------
# A small linear model with momentum, and a network with three layers and AdamW. Every parameter is drawn
# from a key of its own, so that each run starts from the same numbers.

FEATURES = 32


def start_again(model: nn.Module) -> nn.Module:
    """Draw all parameters anew, always the same."""
    named = tree_flatten(model.parameters())
    keys = mx.random.split(mx.random.key(0), len(named))
    drawn = [
        (name, mx.random.normal(old.shape, scale=0.1, key=key))
        for (name, old), key in zip(named, keys, strict=True)
    ]
    model.update(tree_unflatten(drawn))
    mx.eval(model.state)
    return model


def linear() -> tuple[nn.Module, optim.Optimizer]:
    return start_again(nn.Linear(FEATURES, 1)), optim.SGD(
        learning_rate=0.01, momentum=0.9
    )


def mlp() -> tuple[nn.Module, optim.Optimizer]:
    first = nn.Linear(FEATURES, 128)
    middle = nn.Linear(128, 128)
    last = nn.Linear(128, 1)
    model = nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)
    return start_again(model), optim.AdamW(learning_rate=0.001)


def batch(rows: int) -> tuple[mx.array, mx.array]:
    """Return inputs (rows, 32) and, as targets, their means with noise, (rows, 1)."""
    for_x, for_noise = mx.random.split(mx.random.key(1))
    x = mx.random.normal((rows, FEATURES), key=for_x)
    y = mx.mean(x, axis=1, keepdims=True) + 0.1 * mx.random.normal(
        (rows, 1), key=for_noise
    )
    mx.eval(x, y)
    return x, y


# %%
# Before anything is timed: does the plain step learn?


def losses(make_step: MakeStep, make_model: MakeModel, steps: int) -> list[float]:
    """Train from the start and return the loss before each update."""
    model, optimizer = make_model()
    step, (x, y) = make_step(model, optimizer), batch(64)
    seen = []
    for _ in range(steps):
        loss = step(x, y)
        mx.eval(loss, model.state, optimizer.state)
        seen.append(loss.item())
    return seen


STEPS = 60
plain_losses = {
    model.__name__: losses(training_step, model, STEPS) for model in (linear, mlp)
}
for name, curve in plain_losses.items():
    assert curve[-1] < curve[0] / 4, name

# %%
# Plain and compiled
# ------------------
# With ``fresh=True``, ``compare`` lets each side build a model of its own. It follows both for a few steps,
# and compares the loss and the whole state after each, before it times them. A compiled function may differ from the
# plain one in the last digits (:verdict:`numeric-differences` here; which functions do depends on the backend), and
# training passes such digits on from step to step; hence the wider tolerance.


def ready_to_train(
    make_step: MakeStep, make_model: MakeModel, rows: int
) -> Callable[[], Any]:
    """Return a function that trains one step and returns all that the step changes."""
    model, optimizer = make_model()
    step, (x, y) = make_step(model, optimizer), batch(rows)
    return lambda: (step(x, y), model.state, optimizer.state)


def plain(make_model: MakeModel, rows: int) -> Callable[[], Any]:
    return ready_to_train(training_step, make_model, rows)


def compiled(make_model: MakeModel, rows: int) -> Callable[[], Any]:
    return ready_to_train(compiled_step, make_model, rows)


compare(
    "training-linear", plain, compiled, linear, 64, fresh=True, rtol=1e-4, atol=1e-4
)

# %%
# The network, with batches from small to large:

BATCHES = (16, 128, 1024)


def compare_batch(rows: int) -> Comparison:
    name = f"training-mlp-{rows}"
    return compare(name, plain, compiled, mlp, rows, fresh=True, rtol=1e-4, atol=1e-4)


by_batch = [compare_batch(rows) for rows in BATCHES]
table(by_batch)

# %%
# The first row paid for building the kernels, the others found them built: another batch size is traced
# anew (:claim:`last-batch-retraces`), but runs the same kernels (:claim:`shape-reuses-kernel`). Compiling
# joins the many small elementwise operations of the update and saves Python's part of the work. It does
# nothing for the matrix products, and with a larger batch these take more and more of the time.

figure, ax = plt.subplots(figsize=(7, 4))
made = {
    rows: c for rows, c in zip(BATCHES, by_batch, strict=True) if c.ratio is not None
}
plain_ms = [1e3 * c.baseline_s for c in made.values()]
compiled_ms = [1e3 * c.candidate_s for c in made.values()]
ax.plot(list(made), plain_ms, "^--", color="black", label="plain")
ax.plot(list(made), compiled_ms, "o-", label="compiled")
ax.set_xscale("log", base=2)
ax.set_xticks(BATCHES, [str(rows) for rows in BATCHES])
ax.set_ylim(bottom=0)
ax.set(xlabel="rows in a batch", ylabel="ms a step")
ax.set_title("Time of one training step of the network, by batch size")
ax.legend()
figure.tight_layout()

# %%
# The same losses
# ---------------
# A few equal steps are a good sign (:claim:`step-equals-plain`); a whole run is a better one.

compiled_losses = {
    model.__name__: losses(compiled_step, model, STEPS) for model in (linear, mlp)
}
for name, curve in plain_losses.items():
    assert mx.allclose(
        mx.array(curve), mx.array(compiled_losses[name]), rtol=1e-2, atol=1e-4
    ), name

figure, ax = plt.subplots(figsize=(7, 4))
for index, (name, curve) in enumerate(plain_losses.items()):
    ax.plot(curve, color=f"C{index}", linewidth=5, alpha=0.35, label=f"{name}, plain")
    ax.plot(compiled_losses[name], color=f"C{index}", label=f"{name}, compiled")
ax.set_yscale("log")
ax.set_xlabel("step")
ax.set_ylabel("loss")
ax.set_title("The compiled step's losses lie on the plain step's")
ax.legend()
figure.tight_layout()

# %%
# Traced once or twice?
# ---------------------
# :func:`~compile_guide.tracing.watch` counts how often MLX runs the step's Python body, and says why.
# Without ``optimizer.init`` the optimizer makes its state in the first step, that is, within the first
# trace. The second call then meets more arrays than the first, and that is a new signature: the step is
# traced again (:claim:`optimizer-init-saves-trace`).


def watch_training(init_first: bool) -> Watched:
    """Train for three steps and return the log of traces."""
    model, optimizer = linear()
    if init_first:
        optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    watched = watch(training_step(model, optimizer), inputs=state)
    step = mx.compile(watched, inputs=state, outputs=state)
    for _ in range(3):
        mx.eval(step(*batch(64)), state)
    return watched


without_init = watch_training(init_first=False)
assert without_init.traces == 2
print(without_init)

# %%
# With ``optimizer.init`` the state has its final form from the start:

with_init = watch_training(init_first=True)
assert with_init.traces == 1
print(with_init)

# %%
# A batch that fails
# ------------------
# While MLX traces, the model and the optimizer hold placeholders in place of their arrays. If the step
# raises at that moment, for instance because a batch has the wrong shape, the placeholders stay behind. Can
# training go on with the next batch (:claim:`wrong-batch-breaks-model`)? Try it:


def message_of(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the first line of the error that a call raises, and its type."""
    try:
        mx.eval(call(*arguments))
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    raise AssertionError("this should have failed")


model, optimizer = mlp()
step = compiled_step(model, optimizer)
x, y = batch(64)
mx.eval(step(x, y), model.state, optimizer.state)
print("the bad batch:     ", message_of(step, x[:, 1:], y))
print("the next good one: ", message_of(step, x, y))
print("the weights:       ", message_of(lambda: model.layers[0].weight))

# %%
# The error of the bad batch is a fair one. The two after it are not: the trained weights are lost.
#
# The recipe
# ----------
# Keep a snapshot of the state while a step runs, and put it back if the step raises
# (:claim:`exception-snapshot-repairs`). A snapshot copies no numbers, only references to the arrays: a step
# puts new arrays in the place of the old ones and leaves the old ones whole.


def snapshot(state: Any) -> Any:
    """Return a tree of the same form that holds the same arrays."""
    return tree_map(lambda leaf: leaf, state)


def restore(state: Any, saved: Any) -> None:
    """Put a snapshot's arrays back in place: the step captured those containers."""
    for key, value in saved.items() if isinstance(saved, dict) else enumerate(saved):
        if isinstance(value, mx.array):
            state[key] = value
        elif isinstance(value, dict | list | tuple):
            restore(state[key], value)


def restore_random(key: mx.array) -> None:
    """Put the random generator's key back: its two numbers make a seed."""
    high, low = key.tolist()
    mx.random.seed(high << 32 | low)


def guarded(step: Step, state: Any) -> Step:
    """Return a step that leaves state and generator as they were when it raises."""

    def careful(*arguments: mx.array) -> mx.array:
        saved, key = snapshot(state), mx.random.state[0]
        try:
            return step(*arguments)
        except Exception:
            restore(state, saved)
            restore_random(key)
            raise

    return careful


# %%
# With it, a bad batch costs an error message and nothing else. The run goes on with the very losses of the
# plain one:


def guarded_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    """Return the compiled step in its guard."""
    return guarded(compiled_step(model, optimizer), [model.state, optimizer.state])


model, optimizer = mlp()
step = guarded_step(model, optimizer)
seen = []
for number in range(10):
    if number == 5:
        print("skipped:", message_of(step, x[:, 1:], y))
    seen.append(step(x, y).item())
    mx.eval(model.state, optimizer.state)
assert mx.allclose(mx.array(seen), mx.array(plain_losses["mlp"][:10]), rtol=1e-3)

# %%
# What does the guard cost? This time both sides are compiled, and only the candidate is guarded.


def with_guard(make_model: MakeModel, rows: int) -> Callable[[], Any]:
    return ready_to_train(guarded_step, make_model, rows)


compare("training-guard", compiled, with_guard, mlp, 16, fresh=True, compiled=False)

# %%
# What to take away
# -----------------
# - Compile the whole step, not its parts: forward pass, gradients and update in one function.
# - Name the model's and the optimizer's state in both ``inputs=`` and ``outputs=``, and evaluate it before
#   the first call.
# - Call ``optimizer.init(model.trainable_parameters())`` first, or pay for a second trace.
# - An error inside a trace leaves placeholders in the state. Guard the step with a snapshot.
# - The gain is largest where the step consists of many small operations. Measure with your own batch size.
#
# Where to go next
# ----------------
# *State capture* explains ``inputs=`` and ``outputs=``, random state and Dropout. *GELU speed-up* looks at
# the elementwise chains alone. The guard is yours to copy: ``snapshot``, ``restore``, ``restore_random``
# and ``guarded`` need nothing else of this script but its imports.
