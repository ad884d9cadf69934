"""Layers and optimizers: habits from PyTorch about modules, losses and updates."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import has, optional, outcome, raised
from ._sources import GUIDE, METALFAISS
from .habits import HABIT, PYTORCH


def _layer() -> tuple[Any, Any, Any]:
    """Return a linear layer, a plain SGD optimizer and gradients of ones for the layer."""
    core = optional("mlx.core")
    nn = optional("mlx.nn")
    optim = optional("mlx.optimizers")

    return nn.Linear(2, 2), optim.SGD(0.5), {"weight": core.ones((2, 2)), "bias": core.ones((2,))}


@claim(
    "zero-grad",
    "Gradients add up until they are set to zero.",
    source=HABIT,
    answer="No: each call of value_and_grad returns fresh ones, and optimizers have no zero_grad.",
)
def _(mx: Any) -> Seen:
    grad = mx.grad(lambda x: x * x)
    twice = [grad(mx.array(3.0)).item() for _ in range(2)]
    return Seen(twice[0] != twice[1], f"two calls: {twice}; {has(_layer()[1], 'zero_grad').observed}")


@claim(
    "apply-gradients-returns",
    "optimizer.apply_gradients(grads, params) returns new parameters.",
    source=GUIDE,
    answer="Yes: that is the functional form.",
)
def _(mx: Any) -> Seen:
    _, optimizer, grads = _layer()
    out = optimizer.apply_gradients(grads, {"weight": mx.ones((2, 2)), "bias": mx.ones((2,))})
    return Seen(
        isinstance(out, dict) and out["bias"].tolist() == [0.5, 0.5],
        f"SGD, step 0.5: bias {out['bias'].tolist()}",
    )


@claim(
    "state-is-a-method",
    "module.state() returns parameters and buffers.",
    source=PYTORCH,
    answer="It is an attribute, module.state, without parentheses; the optimizer's likewise.",
)
def _(mx: Any) -> Seen:
    _, optimizer, _ = _layer()
    message = raised(lambda: optimizer.state())
    return Seen(not message, message or "it can be called")


@claim(
    "optimizer-step",
    "optimizer.step() updates the parameters.",
    source=HABIT,
    answer="No: step is the count of updates so far; update(model, grads) is the call.",
)
def _(mx: Any) -> Seen:
    message = raised(lambda: _layer()[1].step())
    return Seen(not message, message or "it can be called")


@claim(
    "convolution-channels-first",
    "Convolutions take (N, C, H, W).",
    source=PYTORCH,
    answer="No: channels come last, (N, H, W, C), and the weight is (out, H, W, in).",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    layer = nn.Conv2d(3, 16, kernel_size=3)
    first, last = mx.zeros((1, 3, 8, 8)), mx.zeros((1, 8, 8, 3))
    message = raised(lambda: layer(first))
    shape = outcome(lambda: tuple(layer(last).shape))
    return Seen(not message, f"(1, 3, 8, 8): {message or 'works'}; (1, 8, 8, 3): {shape}")


@claim(
    "cross-entropy-mean",
    "nn.losses.cross_entropy returns the mean.",
    source=HABIT,
    answer='No: one loss a sample; pass reduction="mean" or take mx.mean.',
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    shape = tuple(nn.losses.cross_entropy(mx.zeros((3, 4)), mx.array([0, 1, 2])).shape)
    return Seen(shape == (), f"of 3 samples: shape {shape}")


@claim(
    "flatten-layer",
    "nn.Flatten() goes into a Sequential.",
    source=f"{PYTORCH} (its example)",
    answer="There is no such layer; put a function there, say lambda x: x.flatten(1).",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    shape = tuple(nn.Sequential(lambda x: x.flatten(1))(mx.zeros((2, 3, 4))).shape)
    seen = has(nn, "Flatten")
    return Seen(seen.holds, f"{seen.observed}; a function in its place gives {shape}")


@claim(
    "tree-map-place",
    "tree_map is in mx.utils.",
    source=f"{METALFAISS}, training patterns",
    answer="No: from mlx.utils import tree_map; mx.utils, that is mlx.core.utils, doesn't exist.",
)
def _(mx: Any) -> Seen:
    return has(mx, "utils")


@claim(
    "linear-weight-layout",
    "nn.Linear keeps its weight as (outputs, inputs), like PyTorch's.",
    source=HABIT,
    answer="Yes: it can be copied over unchanged.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    shape = tuple(nn.Linear(3, 5).weight.shape)
    return Seen(shape == (5, 3), f"nn.Linear(3, 5).weight has shape {shape}")


@claim(
    "starts-in-training",
    "A new module is in training mode.",
    source=HABIT,
    answer="Yes: call model.eval() before inference, and before compiling it.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")

    layer = nn.Dropout(0.5)
    before, _ = layer.training, layer.eval()
    return Seen(before, f"training is {before}, after eval() {layer.training}")


@claim(
    "parameter-groups",
    "Different parameters can't have different optimizers.",
    source=PYTORCH,
    answer="They can: optim.MultiOptimizer gives each group one.",
)
def _(mx: Any) -> Seen:
    optim = optional("mlx.optimizers")

    seen = has(optim, "MultiOptimizer")
    return Seen(not seen.holds, seen.observed)
