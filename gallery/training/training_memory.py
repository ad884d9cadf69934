"""
Training memory: plain, compiled, checkpointed, accumulated
===========================================================

In training, most memory usually holds what the forward pass keeps for the backward pass, and not the weights. You will
measure the peak of one training step in five versions, together with what each costs in time, and see the one line that
gradient accumulation can't do without.
"""

# sphinx_gallery_tags = ["training", "memory"]
import math
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_map

from compile_guide.timing import Table, compare, format_bytes, format_time, table

# %%
# The question
# ------------
# Somebody added up the gradients of many small batches, and memory exploded at ``mx.eval``
# (`ml-explore/mlx#2305 <https://github.com/ml-explore/mlx/issues/2305>`_); for somebody else it grew with the number of
# batches (`#2840 <https://github.com/ml-explore/mlx/issues/2840>`_). And it was reported that compiling the step lowers
# the peak (`mlx-lm#53 <https://github.com/ml-explore/mlx-lm/pull/53>`_). How do these compare on one model?
#
# The model
# ---------
# A stack of residual blocks, with an activation that is written out. Each of its operations makes an array, and a plain
# step keeps most of them until the backward pass has used them. On a GPU the batch is larger, so that there is something to
# do.

ON_GPU = mx.default_device() == mx.gpu
ROWS, WIDTH, BLOCKS, PARTS = (16384, 256, 8, 4) if ON_GPU else (256, 32, 8, 4)


def gelu(x: mx.array) -> mx.array:
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)

    def __call__(self, x: mx.array) -> mx.array:
        return x + self.narrow(gelu(self.widen(x)))


class Network(nn.Module):
    """Residual blocks; a checkpointed one keeps its input and is computed twice."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.blocks = [Block() for _ in range(BLOCKS)]
        self.checkpointed = checkpointed

    def __call__(self, x: mx.array) -> mx.array:
        for block in self.blocks:
            x = nn.utils.checkpoint(block)(x) if self.checkpointed else block(x)
        return x


x, target = (mx.random.normal((ROWS, WIDTH), key=mx.random.key(i)) for i in (0, 1))
mx.eval(x, target)

# %%
# The step, whole and in parts
# ----------------------------
# The first builder makes a step over the whole batch; the second adds up the gradients of a few parts and updates once. Each
# starts from the same weights, and its step returns the loss and all that it changes.

Step = Callable[[], Any]


def model_and_gradients(
    checkpointed: bool = False,
) -> tuple[nn.Module, optim.Optimizer, Any]:
    mx.random.seed(0)
    model, optimizer = Network(checkpointed), optim.SGD(learning_rate=0.1)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.state, optimizer.state)
    return (
        model,
        optimizer,
        nn.value_and_grad(model, lambda x, target: mx.mean((model(x) - target) ** 2)),
    )


def whole_step(compiled: bool, checkpointed: bool = False) -> Step:
    """Return a step that takes the batch as one."""
    model, optimizer, loss_and_gradients = model_and_gradients(checkpointed)
    state = [model.state, optimizer.state]

    def step(x: mx.array, target: mx.array) -> mx.array:
        loss, gradients = loss_and_gradients(x, target)
        optimizer.update(model, gradients)
        return loss

    run = mx.compile(step, inputs=state, outputs=state) if compiled else step
    return lambda: (run(x, target), model.parameters())


def step_in_parts(evaluate_each: bool) -> Step:
    """Return a compiled step that adds up the parts' gradients and updates once."""
    model, optimizer, loss_and_gradients = model_and_gradients()
    state = [model.state, optimizer.state]

    def add(sums: Any, x: mx.array, target: mx.array) -> Any:
        return tree_map(mx.add, sums, loss_and_gradients(x, target))

    def update(sums: Any) -> mx.array:
        loss, gradients = tree_map(lambda total: total / PARTS, sums)
        optimizer.update(model, gradients)
        return loss

    fast_add = mx.compile(add, inputs=state, outputs=state)
    fast_update = mx.compile(update, inputs=state, outputs=state)

    def step() -> Any:
        sums = (mx.array(0.0), tree_map(mx.zeros_like, model.trainable_parameters()))
        for part in zip(mx.split(x, PARTS), mx.split(target, PARTS), strict=True):
            sums = fast_add(sums, *part)
            if evaluate_each:
                mx.eval(sums)
        return fast_update(sums), model.parameters()

    return step


# %%
# All versions take the same step:


def plain() -> Step:
    return whole_step(compiled=False)


def compiled() -> Step:
    return whole_step(compiled=True)


def checkpointed() -> Step:
    return whole_step(compiled=True, checkpointed=True)


def accumulated() -> Step:
    return step_in_parts(evaluate_each=True)


def accumulated_lazily() -> Step:
    return step_in_parts(evaluate_each=False)


expected, _ = plain()()
for version in (compiled, checkpointed, accumulated, accumulated_lazily):
    loss, _ = version()()
    assert mx.allclose(loss, expected, rtol=1e-4), version.__name__

# %%
# Measured
# --------
# ``compare`` notes the peak of memory that one call needs beyond what was held before it. The tolerance leaves room for
# sums that are taken in another order.

CLOSE = {"fresh": True, "rtol": 1e-3, "atol": 1e-4}
with_compile = compare("memory-compiled", plain, compiled, **CLOSE)
with_checkpoints = compare("memory-checkpointed", plain, checkpointed, **CLOSE)
in_parts = compare("memory-accumulated", accumulated_lazily, accumulated, **CLOSE)
table([with_compile, with_checkpoints, in_parts])

# %%
# In the last row both sides are compiled; they differ in the ``mx.eval`` after each part.

versions = {
    "plain": (with_compile.baseline_peak, with_compile.baseline_s),
    "compiled": (with_compile.candidate_peak, with_compile.candidate_s),
    "compiled, checkpointed": (
        with_checkpoints.candidate_peak,
        with_checkpoints.candidate_s,
    ),
    f"compiled, in {PARTS} parts": (in_parts.baseline_peak, in_parts.baseline_s),
    "the same, mx.eval after each": (in_parts.candidate_peak, in_parts.candidate_s),
}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.2), layout="constrained", sharey=True
)
left.barh(
    list(versions), [(peak or 0) / 1e6 for peak, _ in versions.values()], color="C0"
)
right.barh(
    list(versions),
    [1e3 * (seconds or 0) for _, seconds in versions.values()],
    color="C1",
)
left.invert_yaxis()
left.set_xlabel("peak memory, MB")
right.set_xlabel("time, ms")
figure.suptitle("Memory and time of one training step, in five versions")

# %%
spread = with_compile.spread
cells = [
    (name, format_bytes(peak), format_time(seconds, spread))
    for name, (peak, seconds) in versions.items()
]
Table(("version", "peak memory", "time of a step"), tuple(cells))

# %%
# What to see in it
# -----------------
# **Compiled:** a fused activation keeps no arrays between its operations (:claim:`wide-memory`). Here the peak went from :measured:`memory-compiled.baseline_peak` to
# :measured:`memory-compiled.peak`. In time it is
# :measured:`memory-compiled.ratio`.
#
# **Checkpointed:** each block remembers its input alone, and its forward pass is computed a second time
# (:claim:`compile-checkpoint-grad`). Peak: :measured:`memory-checkpointed.peak`. Compiled or not, the second forward pass
# has to be paid for. How much is saved depends on the model and on the machine, so measure with yours. These blocks hold
# no Dropout, which would draw another mask in the second pass (:claim:`checkpoint-dropout`).
#
# **In parts, without mx.eval:** the graph of all parts is built first and evaluated as one. Nothing forces the first part to
# be finished, and its memory to be free, before the second begins: :measured:`memory-accumulated.baseline_peak`. This is the
# trap of the question. That a loop needs no evaluation until its end is a claim of the ledger
# (:claim:`loop-without-eval`).
#
# **In parts, with mx.eval:** one part's memory is free before the next begins: :measured:`memory-accumulated.peak`.
#
# Watch your own step
# -------------------
# Without ``compare``, this is all it takes. The step must have run once before, else the making of the optimizer's state is
# counted with it.


def peak_of(step: Step) -> int:
    """Return the bytes that a step's second call needs beyond what is held before."""
    mx.eval(step())
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(step())
    return mx.get_peak_memory() - before


less = peak_of(accumulated()) < peak_of(compiled())
print("parts with mx.eval need less than the whole batch:", less)

# %%
# What to take away
# -----------------
# - Compile the step first: it may save memory, and gains time rather than losing it.
# - Then split the batch, add up gradients, and call ``mx.eval`` on the sums after each part. Without that line, splitting
#   saves little or nothing.
# - Checkpoint what is left, block by block, if time is cheaper than memory.
# - Measure the peak, not the memory that is held afterwards: ``mx.reset_peak_memory()`` and ``mx.get_peak_memory()``.
#
# Where to go next
# ----------------
# *Training graph* explains the compiled step. *Odd last batches* looks at the batch that doesn't divide evenly. The guide's
# page on training says why the adding step captures the state, too.
