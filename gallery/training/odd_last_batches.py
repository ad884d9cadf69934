"""
Odd last batches, and a batch that fails
========================================

The rows of a data set seldom divide evenly, so an epoch's last batch has a shape of its own. You will see what that
costs in a compiled training step and what to do about it, and then a worse kind of odd batch: one that raises an error,
and leaves the model broken.
"""

# sphinx_gallery_tags = ["training", "traces", "debugging"]
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

from compile_guide.timing import Table, compare, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# Somebody compiled a training step, and with Adam it failed in each epoch at the last batch, the smaller one: an array
# "without a primitive" (`ml-explore/mlx#1160 <https://github.com/ml-explore/mlx/issues/1160>`_). With plain SGD it worked.
# The report is from an old version. What does such a batch do today?
#
# Data that doesn't divide
# ------------------------
# A regression problem of 200 rows, in batches of 32: six whole ones, and eight rows left over.

ROWS, BATCH, FEATURES = 200, 32, 16
x = mx.random.normal((ROWS, FEATURES), key=mx.random.key(0))
y = mx.sin(mx.sum(x, axis=1, keepdims=True))
mx.eval(x, y)

Batch = tuple[mx.array, mx.array, mx.array]


def as_they_come() -> Iterator[Batch]:
    """Yield inputs, targets and a weight for each row, which is 1."""
    for start in range(0, ROWS, BATCH):
        rows = slice(start, start + BATCH)
        yield x[rows], y[rows], mx.ones(len(x[rows]))


def without_last() -> Iterator[Batch]:
    """Leave out what doesn't fill a batch."""
    return (batch for batch in as_they_come() if len(batch[0]) == BATCH)


def padded() -> Iterator[Batch]:
    """Fill the last batch with rows of zeros, which get the weight 0."""
    for x, y, weights in as_they_come():
        missing = BATCH - len(x)
        yield (
            mx.pad(x, [(0, missing), (0, 0)]),
            mx.pad(y, [(0, missing), (0, 0)]),
            mx.pad(weights, (0, missing)),
        )


assert [len(x) for x, _, _ in as_they_come()] == [32, 32, 32, 32, 32, 32, 8]
assert {len(x) for x, _, _ in padded()} == {32}

# %%
# The step
# --------
# The loss is a mean with weights, so rows that padding added don't count. The recipe is that of *Training graph*: make the
# optimizer's state first, then capture both states.

Model = tuple[nn.Module, optim.Optimizer]
Step = Callable[[mx.array, mx.array, mx.array], mx.array]


def start() -> Model:
    """Return the model and its optimizer, always in the same state."""
    mx.random.seed(3)
    model = nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = optim.Adam(learning_rate=0.02)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.state, optimizer.state)
    return model, optimizer


def plain_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    def loss_of(x: mx.array, y: mx.array, weights: mx.array) -> mx.array:
        errors = mx.mean(mx.square(model(x) - y), axis=1)
        return mx.sum(weights * errors) / mx.sum(weights)

    loss_and_gradients = nn.value_and_grad(model, loss_of)

    def step(x: mx.array, y: mx.array, weights: mx.array) -> mx.array:
        loss, gradients = loss_and_gradients(x, y, weights)
        optimizer.update(model, gradients)
        return loss

    return step


def compiled_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    state = [model.state, optimizer.state]
    return mx.compile(plain_step(model, optimizer), inputs=state, outputs=state)


# %%
# Adam and an odd last batch work. So do the three ways to treat it; they differ in what is traced, and in the rows that are
# used (:claim:`last-batch-retraces`):


def train(
    step: Step, model: Model, batches: Callable[[], Iterator[Batch]], epochs: int = 1
) -> list[float]:
    """Return the loss of each batch."""
    losses = []
    for _ in range(epochs):
        for batch in batches():
            loss = step(*batch)
            mx.eval(loss, model[0].state, model[1].state)
            losses.append(loss.item())
    return losses


def look_at(batches: Callable[[], Iterator[Batch]]) -> tuple[str, ...]:
    model, optimizer = start()
    state = [model.state, optimizer.state]
    watched = watch(plain_step(model, optimizer), inputs=state)
    train(
        mx.compile(watched, inputs=state, outputs=state),
        (model, optimizer),
        batches,
        epochs=2,
    )
    used = sum(int(mx.sum(weights).item()) for _, _, weights in batches())
    computed = sum(len(x) for x, _, _ in batches())
    return (
        batches.__name__.replace("_", " "),
        str(watched.traces),
        str(computed),
        str(used),
    )


rows = [look_at(batches) for batches in (as_they_come, without_last, padded)]
assert [traces for _, traces, _, _ in rows] == ["2", "1", "1"]
Table(("batches", "traces in 2 epochs", "rows computed", "rows used"), tuple(rows))

# %%
# Padding changes nothing about the training, as long as no layer mixes rows (a batch normalization does):

model = start()
expected = train(plain_step(*model), model, as_they_come, epochs=10)
model = start()
assert mx.allclose(
    mx.array(train(compiled_step(*model), model, padded, epochs=10)),
    mx.array(expected),
    rtol=1e-2,
)

# %%
# What it costs
# -------------
# An epoch in four versions. "First" compiles at its start, as a program does in its first epoch; "later" goes on with a step
# that is compiled already.

Epoch = Callable[[], Any]


def later_epochs(
    make_step: Callable[..., Step], batches: Callable[[], Iterator[Batch]]
) -> Epoch:
    """Return a function that trains for one epoch with a step that is made once."""
    model = start()
    step = make_step(*model)
    return lambda: (train(step, model, batches), model[0].parameters())


def first_epochs(batches: Callable[[], Iterator[Batch]]) -> Epoch:
    """Return a function that makes a new step and trains for one epoch."""
    model = start()
    return lambda: (train(compiled_step(*model), model, batches), model[0].parameters())


def plain_epochs() -> Epoch:
    return later_epochs(plain_step, as_they_come)


def odd_epochs() -> Epoch:
    return later_epochs(compiled_step, as_they_come)


def padded_epochs() -> Epoch:
    return later_epochs(compiled_step, padded)


def odd_first_epochs() -> Epoch:
    return first_epochs(as_they_come)


def padded_first_epochs() -> Epoch:
    return first_epochs(padded)


CLOSE = {"fresh": True, "rtol": 1e-3, "atol": 1e-4}
costs = [
    compare("last-batch-compiled", plain_epochs, odd_epochs, **CLOSE),
    compare("last-batch-first-epoch", odd_first_epochs, padded_first_epochs, **CLOSE),
    compare("last-batch-later-epoch", odd_epochs, padded_epochs, **CLOSE),
]
table(costs)

# %%
# The first row is a plain epoch against a compiled one, both with the odd batch. The others compare the odd batch with the
# padded one. In the first epoch padding saves a trace: :measured:`last-batch-first-epoch.ratio`. Later the trace is there,
# and going back to it is free (:claim:`going-back-is-free`), while padding goes on computing rows in vain:
# :measured:`last-batch-later-epoch.ratio`. One odd size is no reason to worry; padding pays where sizes are many.
#
# The batch that fails
# --------------------
# Now a batch with a column missing. It is a new shape, so the step is traced, and while MLX traces, the model holds
# placeholders instead of its weights. The error leaves them there. May training go on with the next batch
# (:claim:`wrong-batch-breaks-model`)?

good = next(as_they_come())
bad = (good[0][:, 1:], *good[1:])


def say(call: Callable[..., Any], *arguments: Any) -> str:
    """Return "fine", or the kind of error and the beginning of its message."""
    try:
        mx.eval(call(*arguments))
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:72]}"
    return "fine"


model = start()
step = compiled_step(*model)
print("a good batch:    ", say(step, *good))
print("the bad one:     ", say(step, *bad))
print("a good one again:", say(step, *good))
print(
    "reading weights: ",
    say(lambda: [weight + 0 for weight in model[0].layers[0].parameters().values()]),
)

# %%
# After hours of training the weights can't be read, let alone saved. It is the message of the question.
#
# Keep and put back
# -----------------
# ``kept`` remembers the arrays of model and optimizer, and puts them back if anything interrupts the step
# (:claim:`exception-snapshot-repairs`). It copies no numbers: a step puts new arrays in the place of the old ones.
# ``BaseException`` includes the interruption from the keyboard, which may come in the middle of a trace, too.


@contextmanager
def kept(model: nn.Module, optimizer: optim.Optimizer) -> Iterator[None]:
    """Leave model and optimizer as they were when the block raises."""
    weights, moments = (
        tree_map(lambda leaf: leaf, tree)
        for tree in (model.parameters(), optimizer.state)
    )
    try:
        yield
    except BaseException:
        model.update(weights)
        optimizer.state.update(moments)
        raise


def train_on(model: Model, batches: list[Batch]) -> tuple[list[float], list[int]]:
    """Train on what works; return the losses, and which batches were refused."""
    step, losses, refused = compiled_step(*model), [], []
    for number, batch in enumerate(batches):
        try:
            with kept(*model):
                loss = step(*batch)
            mx.eval(loss, model[0].state, model[1].state)
            losses.append(loss.item())
        except ValueError:
            refused.append(number)
    return losses, refused


run = [batch for _ in range(6) for batch in as_they_come()]
clean, _ = train_on(start(), run)
STRUCK = 20
survived, refused = train_on(start(), [*run[:STRUCK], bad, *run[STRUCK:]])
print("refused:", refused)
assert refused == [STRUCK]
assert mx.allclose(mx.array(survived), mx.array(clean)), (
    "the bad batch leaves no trace in the run"
)

# %%
# The run goes on as if the bad batch had never been there. Up to that batch both runs are the same; without ``kept`` it ends
# there, as shown above:

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(
    range(len(survived)),
    survived,
    color="C2",
    linewidth=5,
    alpha=0.45,
    label="with kept: refused, and on",
)
ax.plot(range(STRUCK), clean[:STRUCK], color="C0", label="without: ends here")
ax.plot(STRUCK - 1, clean[STRUCK - 1], "X", color="C1", markersize=14)
for last in range(6, len(survived), 7):
    ax.axvline(
        last,
        color="gray",
        linestyle=":",
        linewidth=1,
        label="the odd last batch" if last == 6 else None,
    )
ax.set_ylim(bottom=0)
ax.set_xlabel("batch")
ax.set_ylabel("loss")
ax.set_title("A bad batch ends one run; the other takes no notice of it")
ax.legend()

# %%
# The losses around that batch, in numbers:

around = range(STRUCK - 2, STRUCK + 2)
Table(
    ("batch", "without kept", "with kept"),
    tuple(
        (str(n), f"{clean[n]:.3f}" if n < STRUCK else "ended", f"{survived[n]:.3f}")
        for n in around
    ),
)

# %%
# Better still is a check in front of the step, since it names the cause:


def checked(x: mx.array, y: mx.array, weights: mx.array) -> Batch:
    if x.shape[1:] != (FEATURES,) or x.dtype != mx.float32 or len(x) != len(y):
        raise ValueError(f"a batch of {x.dtype} {x.shape} can't be trained on")
    return x, y, weights


print(say(checked, *good))
print(say(checked, *bad))

# %%
# What to take away
# -----------------
# - One odd last batch is one more trace, once. Accept it, or drop it if rows are plenty.
# - With many odd sizes pad, and give the added rows the weight 0.
# - An error in a trace destroys the weights in memory. Check batches in front of the step, and keep what a step may destroy.
# - Make the optimizer's state before the first step, and capture it.
#
# Where to go next
# ----------------
# *Training graph* has a guard that saves the random generator as well, and measures what guarding costs. *Variable lengths*
# takes on data in which each batch is odd.
