"""
A transformer block: forward, backward, update
==============================================

A transformer block is a few matrix products with short elementwise chains between them. Compiling can make the chains
faster, but not the products. You will take a block apart, compile its forward pass, its gradients and its whole
training step, and see which of them gains, and why.
"""

# sphinx_gallery_tags = ["models", "training", "speed"]
import io
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

from compile_guide.timing import Comparison, Table, compare, table

# %%
# The question
# ------------
# One project measured that compiling made the training of a language model faster and that of a tiny one several times
# slower, so it left compiling off (`textpolicy#40 <https://github.com/teilomillet/textpolicy/issues/40>`_). Another saw a
# gain in speed and in memory (`mlx-lm#53 <https://github.com/ml-explore/mlx-lm/pull/53>`_). What is there to gain in a
# block, and where?
#
# The block
# ---------
# Attention and a gated feed-forward layer, each behind a normalization and with its input added to the result: the block of
# most language models of today. On a GPU it is as wide as that of a small language model; on a CPU it is narrow, for
# products take long there.

ON_GPU = mx.default_device() == mx.gpu
WIDTH, HEADS, BATCH, TOKENS = (1024, 16, 8, 512) if ON_GPU else (64, 4, 2, 32)


class Block(nn.Module):
    """A pre-norm transformer block: (batch, tokens, width) in, the same out."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.RMSNorm(WIDTH)
        self.before_feeding = nn.RMSNorm(WIDTH)
        self.to_heads = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.from_heads = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.widen = (
            nn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(2)
        )
        self.narrow = nn.Linear(3 * WIDTH, WIDTH, bias=False)

    def attend(self, x: mx.array) -> mx.array:
        heads = self.to_heads(x).reshape(BATCH, TOKENS, 3 * HEADS, -1).swapaxes(1, 2)
        queries, keys, values = mx.split(heads, 3, axis=1)
        scale = (WIDTH // HEADS) ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(
            queries, keys, values, scale=scale, mask="causal"
        )
        return self.from_heads(mixed.swapaxes(1, 2).flatten(2))

    def feed(self, x: mx.array) -> mx.array:
        gate = self.gate(x)
        return self.narrow(gate * mx.sigmoid(gate) * self.widen(x))

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.attend(self.before_attention(x))
        return x + self.feed(self.before_feeding(x))


def make_block() -> Block:
    """Return a block, always with the same weights."""
    mx.random.seed(0)
    block = Block()
    mx.eval(block.state)
    return block


x, target = (
    mx.random.normal((BATCH, TOKENS, WIDTH), key=mx.random.key(i)) for i in (0, 1)
)
mx.eval(x, target)

# %%
# A causal block must not look ahead: a change in the last token leaves all earlier ones as they were.

block = make_block()
changed = mx.concatenate([x[:, :-1], x[:, -1:] + 1], axis=1)
assert mx.allclose(block(changed)[:, :-1], block(x)[:, :-1], atol=1e-4)
assert not mx.allclose(block(changed)[:, -1], block(x)[:, -1], atol=1e-4)

# %%
# Three things to compile
# -----------------------
# The forward pass, as in inference. The gradients of a loss. And the training step, which updates the weights with AdamW.

Call = Callable[[], Any]


def loss_of(block: Block) -> mx.array:
    return mx.mean(mx.square(block(x) - target))


def forward(compiled: bool) -> Call:
    block = make_block()
    run = mx.compile(lambda x: block(x), inputs=block.state) if compiled else block
    return lambda: run(x)


def gradients(compiled: bool) -> Call:
    block = make_block()
    run = nn.value_and_grad(block, lambda: loss_of(block))
    return mx.compile(run, inputs=block.state, outputs=block.state) if compiled else run


def training_step(compiled: bool) -> Call:
    block, optimizer = make_block(), optim.AdamW(learning_rate=0.0001)
    optimizer.init(block.trainable_parameters())
    state = [block.state, optimizer.state]
    mx.eval(state)
    loss_and_gradients = nn.value_and_grad(block, lambda: loss_of(block))

    def step() -> mx.array:
        loss, found = loss_and_gradients()
        optimizer.update(block, found)
        return loss

    run = mx.compile(step, inputs=state, outputs=state) if compiled else step
    return lambda: (run(), block.parameters(), optimizer.state)


PARTS = {
    "forward": forward,
    "forward and backward": gradients,
    "whole step": training_step,
}

# %%
# ``x`` and ``target`` are closed over here. They are evaluated and don't change, so that is as good as passing them.
#
# What is in the graph
# --------------------
# Before anything is timed: how many operations does MLX have to start, and how many of them are products? A fused kernel is
# one operation, whatever it holds.

VIEWS = (
    "Broadcast",
    "Reshape",
    "Transpose",
    "Split",
    "Flatten",
    "Unflatten",
    "ExpandDims",
    "Squeeze",
    "Slice",
)


def kind(name: str) -> str:
    if name.startswith("Compiled"):
        return "fused"
    return "product" if name in ("Matmul", "AddMM") else "other"


def operations(call: Call) -> Counter[str]:
    """Count a call's operations by kind, without views: these compute nothing."""
    text = io.StringIO()
    mx.export_to_dot(text, *(array for _, array in tree_flatten(call())))
    names = re.findall(r'label ?= ?"(\w+)", shape ?= ?rectangle', text.getvalue())
    return Counter(kind(name) for name in names if name not in VIEWS)


counts = {
    (part, way): operations(make(way == "compiled"))
    for part, make in PARTS.items()
    for way in ("plain", "compiled")
}
KINDS = ("product", "fused", "other")
rows = [
    (part, way, *(str(count[kind]) for kind in KINDS))
    for (part, way), count in counts.items()
]
Table(
    ("what", "how", "matrix products", "fused kernels", "other operations"), tuple(rows)
)

# %%
# Compiling leaves each product as it is (:claim:`matmul-stops`), and joins what lies between two of them
# (:claim:`graph-gets-smaller`). The update is where the small operations are: AdamW does the same dozen for each weight.
# Where a backend has a kernel for attention or normalization, that is one operation already, and nothing of it is left to
# fuse; the CPU makes them of small ones, which are counted here.
#
# Measured
# --------
# Each side builds a block of its own. ``compare`` follows three calls of both and checks results and weights, then it
# measures. The tolerance of the weights is a few steps wide: AdamW divides a gradient by its size, so where a gradient is
# nearly zero, its last digits decide which way a weight goes.


def compare_part(name: str, make: Callable[[bool], Call]) -> Comparison:
    plain, compiled = (lambda: make(False)), (lambda: make(True))
    atol = 1e-3 if make is training_step else 1e-4
    return compare(
        f"block-{name.replace(' ', '-')}",
        plain,
        compiled,
        fresh=True,
        rtol=1e-3,
        atol=atol,
    )


parts = [compare_part(name, make) for name, make in PARTS.items()]
table(parts)

# %%
# What compiling gains in time, it gains in the operations that have gone. So put both into one picture:

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.4, 3.6), layout="constrained", sharey=True
)
labels = [f"{part}, {way}" for part, way in counts]
done = [0.0] * len(labels)
for number, of_kind in enumerate(KINDS):
    lengths = [count[of_kind] for count in counts.values()]
    left.barh(labels, lengths, left=done, color=f"C{number}", label=of_kind)
    done = [a + b for a, b in zip(done, lengths, strict=True)]
times = [seconds for c in parts for seconds in (c.baseline_s, c.candidate_s)]
right.barh(
    labels,
    [1e3 * (seconds or 0) for seconds in times],
    color=["0.7", "C3"] * len(parts),
)
left.invert_yaxis()
left.set_xlabel("operations")
right.set_xlabel("time, ms")
left.legend(fontsize="small")
figure.suptitle(
    "A transformer block: the operations that compiling removes, and the time"
)

# %%
# The step as a whole: :measured:`block-whole-step.ratio`; the forward pass alone: :measured:`block-forward.ratio`. The first
# compiled step took :measured:`block-whole-step.first_call`, some of it for kernels; it has paid for itself:
# :measured:`block-whole-step.break_even`.
#
# Why can the same step of another model lose? Products grow with the square of the width, everything else with the width. In
# a wide block the products take the time, and compiling doesn't touch them. In a tiny one everything is overhead, and
# compiling removes much of it, but only if the step is compiled once: a step that is compiled anew, or traced anew for each
# length, pays more for traces than its work is worth (:claim:`shape-stable-code`).
#
# What to take away
# -----------------
# - Compile the whole step. The update gains most, and it has no part of its own to be compiled in.
# - Count products before you hope: they stay.
# - Write activations and gates as plain arithmetic, and let compiling fuse them.
# - Measure at your own width and length. A tiny model says nothing about a large one.
#
# Where to go next
# ----------------
# *KV-cache decoding* runs such blocks token by token. *Training memory* looks at the memory of a step, *Training graph* at
# its state and its traces.
