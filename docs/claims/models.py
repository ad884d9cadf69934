"""Models of mlx.nn and compiled functions: which change of a model is noticed, and compiled layers inside a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import near, optional, raised
from ._sources import GUIDE

EXPECTED = "a common expectation"


def _small(mx: Any, nn: Any) -> Any:
    """Return a model with a norm, an activation and two linear layers."""

    class Small(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(8, 64), nn.LayerNorm(64)
            self.act, self.last = nn.ReLU(), nn.Linear(64, 64)

        def __call__(self, x: Any) -> Any:
            return self.last(self.act(self.norm(self.first(x))))

    mx.random.seed(0)
    model = Small()
    mx.eval(model.parameters())
    return model


def _compiled(mx: Any, model: Any) -> Any:
    return mx.compile(lambda x: model(x), inputs=model.state)


def _followed(mx: Any, **changes: Callable[[Any, Any], Any]) -> Seen:
    """Change a model after its compiled function was called; holds when the next call follows each change."""
    nn, seen = optional("mlx.nn"), {}
    for name, change in changes.items():
        model = _small(mx, nn)
        compiled = _compiled(mx, model)
        x = mx.arange(32).reshape(4, 8) / 32
        mx.eval(compiled(x))
        if trouble := raised(partial(change, nn, model)):
            return Seen(None, f"{name}: {trouble}")
        mx.eval(model.parameters())
        seen[name] = near(mx, compiled(x), model(x), 1e-3)
    shown = "; ".join(f"{name.replace('_', ' ')}: {'followed' if ok else 'not'}" for name, ok in seen.items())
    return Seen(all(seen.values()), shown)


@claim(
    "activation-swap-followed",
    "model.act = nn.GELU() after compiling changes what the compiled function computes (inputs=model.state).",
    source=EXPECTED,
    answer="No for sizes already seen: an activation has no arrays, so nothing in the captured state changes.",
)
def _(mx: Any) -> Seen:
    return _followed(mx, GELU_for_ReLU=lambda nn, model: setattr(model, "act", nn.GELU()))


@claim(
    "layer-swap-followed",
    "A layer replaced by another layer after compiling is used by the compiled function (inputs=model.state).",
    source=EXPECTED,
    answer="Only the weights are: a layer of another kind with weights of the same names and shapes computes as the "
    "old one did.",
)
def _(mx: Any) -> Seen:
    return _followed(
        mx,
        another_Linear=lambda nn, model: setattr(model, "last", nn.Linear(64, 64)),
        GroupNorm_for_LayerNorm=lambda nn, model: setattr(model, "norm", nn.GroupNorm(8, 64)),
    )


@claim(
    "layer-setting-followed",
    "A changed setting such as layer.eps is followed by the compiled function (inputs=model.state).",
    source=EXPECTED,
    answer="No: it is a Python number of the trace, which counts for sizes already seen.",
)
def _(mx: Any) -> Seen:
    return _followed(mx, eps=lambda nn, model: setattr(model.norm, "eps", 0.5))


@claim(
    "quantize-followed",
    "nn.quantize, set_dtype and a removed bias are followed by the compiled function (inputs=model.state).",
    source=GUIDE,
    answer="Yes: they change the number, shapes or dtypes of the captured arrays, so the next call is traced again.",
)
def _(mx: Any) -> Seen:
    return _followed(
        mx,
        quantize=lambda nn, model: nn.quantize(model, class_predicate=lambda path, _: path == "last"),
        set_dtype=lambda nn, model: model.set_dtype(mx.float16),
        bias_removed=lambda nn, model: model.last.pop("bias"),
    )


@claim(
    "compiled-layer-assigned",
    "model.layer = mx.compile(model.layer) leaves a model that works like any other.",
    source=EXPECTED,
    answer="No: it passes isinstance and lists its weights, but update, load_weights and gradients of the model raise; "
    "compile a function that calls the model.",
)
def _(mx: Any) -> Seen:
    nn = optional("mlx.nn")
    model = _small(mx, nn)
    model.last = mx.compile(model.last)
    listed = isinstance(model.last, nn.Module) and "last" in model.parameters()
    message = raised(lambda: model.update(model.parameters()))
    return Seen(listed and not message, f"a Module with parameters: {listed}; update: {message or 'no exception'}")


@claim(
    "compiled-layer-followed",
    "Weights given to a layer reach the compiled layer that was made of it.",
    source=EXPECTED,
    answer="No for sizes already seen: mx.compile(layer) keeps the weights of its trace.",
)
def _(mx: Any) -> Seen:
    layer, x = optional("mlx.nn").Linear(2, 2), mx.ones((1, 2))
    compiled = mx.compile(layer)
    mx.eval(compiled(x))
    layer.update({"weight": mx.zeros((2, 2)), "bias": mx.zeros((2,))})
    return Seen(near(mx, compiled(x), layer(x)), f"after update with zeros: all zero {not mx.any(compiled(x)).item()}")
