"""Layers of mlx.nn, and nested compiled functions, under shapeless=True.

A shapeless function that isn't made for another size may write beyond an array's end, so each case runs in a child
process, on sizes that MLX survives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import in_child, near, optional
from ._sources import API, GUIDE

RIGHT, AT_ONCE, LATER, WRONG = "right", "raises at the first call", "raises at the second size", "silently wrong"


def sequence(n: int) -> tuple[int, ...]:
    """Return the shape of two sequences of this length with four features."""
    return 2, n, 4


def image(n: int) -> tuple[int, ...]:
    """Return the shape of an image of this many rows and columns with three channels."""
    return 1, n, n, 3


def square(n: int) -> tuple[int, ...]:
    """Return the shape of attention scores of four heads at this length."""
    return 1, 4, n, n


LAYERS: dict[str, tuple[Callable[[Any], Any], Callable[[int], tuple[int, ...]]]] = {
    "nn.GRU": (lambda nn: nn.GRU(4, 4), sequence),
    "nn.LSTM": (lambda nn: nn.LSTM(4, 4), sequence),
    "nn.RNN": (lambda nn: nn.RNN(4, 4), sequence),
    "nn.RoPE": (lambda nn: nn.RoPE(4), sequence),
    "nn.GLU": (lambda nn: nn.GLU(), sequence),
    "nn.MaxPool1d": (lambda nn: nn.MaxPool1d(2, 2), sequence),
    "nn.AvgPool2d": (lambda nn: nn.AvgPool2d(2, 2), image),
    "nn.GroupNorm": (lambda nn: nn.GroupNorm(2, 4), sequence),
    "nn.LayerNorm": (lambda nn: nn.LayerNorm(4), sequence),
    "nn.RMSNorm": (lambda nn: nn.RMSNorm(4), sequence),
    "nn.BatchNorm": (lambda nn: nn.BatchNorm(4), sequence),
    "nn.InstanceNorm": (lambda nn: nn.InstanceNorm(4), sequence),
    "nn.MultiHeadAttention": (lambda nn: nn.MultiHeadAttention(4, 2), sequence),
    "nn.MultiHeadAttention with bias": (lambda nn: nn.MultiHeadAttention(4, 2, bias=True), sequence),
    "nn.TransformerEncoderLayer": (lambda nn: nn.TransformerEncoderLayer(4, 2), sequence),
    "nn.Upsample by 2, nearest": (lambda nn: nn.Upsample(2, "nearest"), image),
    "nn.Upsample by 2, linear": (lambda nn: nn.Upsample(2, "linear"), image),
    "nn.Upsample by 2, cubic": (lambda nn: nn.Upsample(2, "cubic"), image),
    "nn.Upsample by 1.5, nearest": (lambda nn: nn.Upsample(1.5, "nearest"), image),
    "nn.ALiBi": (lambda nn: nn.ALiBi(), square),
}
MORE: dict[str, int] = {"nn.MultiHeadAttention": 3, "nn.MultiHeadAttention with bias": 3}
"""How often a layer wants its input, where not once."""


def layer_outcome(mx: Any, name: str) -> str:
    """Compile a layer shapeless, call it with length 6 and then with 8, and say what comes of it."""
    nn = optional("mlx.nn")
    make, shape = LAYERS[name]
    layer = make(nn)
    if hasattr(layer, "parameters"):
        mx.eval(layer.parameters())
    times, extra = MORE.get(name, 1), (None,) if "Encoder" in name else ()

    def call(x: Any) -> Any:
        result = layer(*[x] * times, *extra)
        return result[0] if isinstance(result, tuple) else result

    return _outcome(mx, call, *(mx.random.uniform(shape=shape(n)) for n in (6, 8)))


def _outcome(mx: Any, call: Callable[..., Any], first: Any, second: Any) -> str:
    compiled = mx.compile(call, shapeless=True)
    try:
        mx.eval(compiled(first))
    except ValueError:
        return AT_ONCE
    try:
        seen = compiled(second)
        mx.eval(seen)
    except ValueError:
        return LATER
    return RIGHT if near(mx, seen, call(second), 1e-4) else WRONG


def _layers(mx: Any, expected: str, *names: str) -> Seen:
    """Holds when each of the layers has the expected outcome; shows the outcome of each."""
    if not hasattr(optional("mlx.nn"), "Upsample"):
        return Seen(None, "mlx.nn of this version lacks some of these layers")
    ended = {name: in_child(mx, layer_outcome, name) for name in names}
    seen = {name: one.result or f"the process ended with {one.how}" for name, one in ended.items()}
    return Seen(all(one == expected for one in seen.values()), "; ".join(f"{k}: {v}" for k, v in seen.items()))


@claim(
    "shapeless-recurrent-layers",
    "nn.GRU, nn.LSTM and nn.RNN may be compiled with shapeless=True, for sequences of any length.",
    source="a common expectation",
    answer="No: they raise at the first call, since they slice the sequence step by step.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.GRU", "nn.LSTM", "nn.RNN")


@claim(
    "shapeless-rope-glu",
    "nn.RoPE and nn.GLU may be compiled with shapeless=True.",
    source="a common expectation",
    answer="No on the CPU: they raise at the first call, one for a slice and one for a split inside.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.RoPE", "nn.GLU")


@claim(
    "shapeless-pooling-layers",
    "Pooling layers may be compiled with shapeless=True.",
    source="a common expectation",
    answer="No: the first call passes and the second size raises, because pooling reshapes by the first size.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.MaxPool1d", "nn.AvgPool2d")


@claim(
    "shapeless-group-norm",
    "nn.GroupNorm under shapeless=True is as safe as nn.LayerNorm.",
    source="a common expectation",
    answer="No: it raises at the second size; LayerNorm, RMSNorm, BatchNorm and InstanceNorm are right.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.GroupNorm", "nn.LayerNorm")


@claim(
    "shapeless-norm-layers",
    "nn.LayerNorm, RMSNorm, BatchNorm and InstanceNorm are right under shapeless=True.",
    source=GUIDE,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.LayerNorm", "nn.RMSNorm", "nn.BatchNorm", "nn.InstanceNorm")


@claim(
    "shapeless-attention-layers",
    "Attention layers of mlx.nn may be compiled with shapeless=True.",
    source="a common expectation",
    answer="Only without biases: nn.MultiHeadAttention with bias=True and nn.TransformerEncoderLayer raise at the "
    "second size.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.MultiHeadAttention", "nn.MultiHeadAttention with bias", "nn.TransformerEncoderLayer")


@claim(
    "shapeless-upsample",
    "nn.Upsample under shapeless=True raises when the size changes.",
    source=f"{API}: unsupported functions throw",
    answer="Only in its simplest form (nearest, by a whole number): with mode linear or cubic, or a scale of 1.5, it "
    "silently returns an image of the first size.",
)
def _(mx: Any) -> Seen:
    names = [name for name in LAYERS if name.startswith("nn.Upsample")]
    return _layers(mx, LATER, *names)


@claim(
    "shapeless-alibi",
    "nn.ALiBi, which adds a bias by distance, is right under shapeless=True.",
    source="a common expectation",
    answer="No: the bias is made for the first length and added to a longer one without a word.",
)
def _(mx: Any) -> Seen:
    return _layers(mx, RIGHT, "nn.ALiBi")


def nested(mx: Any, shapeless_inside: bool) -> list[float]:
    """Return what nested compiled functions give for means of ones over 2, 4 and 3 rows; 1 is right."""
    inner = mx.compile(lambda x: mx.sum(x, axis=0) / x.shape[0], shapeless=shapeless_inside)
    outer = mx.compile(lambda x: inner(x) * 1, shapeless=not shapeless_inside)
    return [float(outer(mx.ones((rows, 2)))[0].item()) for rows in (2, 4, 3)]


@claim(
    "nested-by-shape",
    "A function compiled by shape, called inside a shapeless one, keeps a trace for each shape.",
    source="a common expectation",
    answer="No: the inner function dissolves in the outer one, so what it makes of a size is frozen, silently.",
)
def _(mx: Any) -> Seen:
    means = in_child(mx, nested, False)
    return Seen(means.result == [1, 1, 1], f"means of ones over 2, 4 and 3 rows: {means.result or means.how}")


@claim(
    "nested-shapeless",
    "A shapeless function called inside a function compiled by shape is frozen at the first size.",
    source="a common expectation",
    answer="No: the outer function decides, and it is traced for each shape, so the result is right.",
)
def _(mx: Any) -> Seen:
    means = in_child(mx, nested, True)
    return Seen(means.result != [1, 1, 1], f"means of ones over 2, 4 and 3 rows: {means.result or means.how}")
