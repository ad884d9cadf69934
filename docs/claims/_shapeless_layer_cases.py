"""A case of the shapeless support table for each layer of the installed ``mlx.nn``, made from its signatures."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from ._shapeless_cases import Group, Sizes

VALUES = {
    "dims": 4, "hidden_size": 3, "in_channels": 4, "input1_dims": 4, "input2_dims": 4, "input_dims": 4, "input_size": 4,
    "kernel_size": 2, "num_decoder_layers": 1, "num_encoder_layers": 1, "num_features": 4, "num_groups": 2, "num_heads": 2,
    "num_layers": 1, "out_channels": 3, "output_dims": 3, "scale_factor": 2,
}  # fmt: skip
"""What a layer's constructor gets for its arguments of these names; every other argument keeps its default."""
LEFT_OUT = {
    "Module": "it computes nothing",
    "Sequential": "it is as safe as what it holds",
    "FullyShardedModule": "it is as safe as what it holds",
    "QQLinear": "it doesn't run on the CPU",
    "Embedding": "its argument holds integers: it has a case of its own",
    "QuantizedEmbedding": "its argument holds integers",
}
SMALL = {"Transformer": {"dims": 4, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1}}
"""Layers that get small values for arguments which have large defaults."""
WIDE = "Quantized"
"""How the names of layers begin that take rows of at least a quantized group's length."""
VARIANTS = {
    "nn.Linear(4, 3, bias=False)": "(x)",
    "nn.MultiHeadAttention(4, 2, bias=True)": "(x, x, x)",
    "nn.Upsample(1.5)": "(x)",
    "nn.Upsample(2, mode='linear')": "(x)",
    "nn.Upsample(2, mode='cubic')": "(x)",
}
"""Layers that do otherwise with other arguments, and how each is called."""
SEQUENCES = Sizes((2, 8, 4), ((1, 8, 4), (2, 6, 4)), ((3, 8, 4), (2, 11, 4)))
ROWS_OF_64 = Sizes((2, 8, 64), ((1, 8, 64), (2, 6, 64)), ((3, 8, 64), (2, 11, 64)))
IMAGES = Sizes((2, 6, 6, 4), ((1, 6, 6, 4), (2, 4, 4, 4)), ((3, 6, 6, 4), (2, 8, 9, 4)))
VOLUMES = Sizes((2, 4, 4, 4, 4), ((1, 4, 4, 4, 4), (2, 3, 3, 3, 4)), ((3, 4, 4, 4, 4), (2, 6, 6, 6, 4)))


def layer_groups() -> list[Group]:
    """Return the layers' cases, by the sizes that they are tried with: never two-dimensional ones.

    With two dimensions a layer that adds a bias may write beyond an array's end, as ``nn.Linear`` in the table shows.
    """
    nn = importlib.import_module("mlx.nn")
    groups: dict[Sizes, dict[str, str]] = {sizes: {} for sizes in (SEQUENCES, ROWS_OF_64, IMAGES, VOLUMES)}
    for name in public_layers(nn):
        if name not in LEFT_OUT:
            made, call = _case(name, getattr(nn, name))
            groups[_sizes(name)][made] = made + call
    groups[SEQUENCES] |= {made: made + call for made, call in VARIANTS.items()}
    return [Group("float32", (sizes,), cases) for sizes, cases in groups.items()]


def public_layers(nn: Any) -> list[str]:
    """Return the names of the public classes of ``mlx.nn`` that are modules."""
    kept = {name: value for name, value in vars(nn).items() if not name.startswith("_") and inspect.isclass(value)}
    return sorted(name for name, value in kept.items() if issubclass(value, nn.Module))


def made_layer(made: str, using: dict[str, Any]) -> Any:
    """Make and evaluate a layer; no bias stays zero, since a wrong sum with zeros looks right."""
    mx, tree_map = using["mx"], importlib.import_module("mlx.utils").tree_map
    layer = eval(made, using)
    key = mx.random.key(0)
    layer.update(
        tree_map(lambda p: p + mx.random.normal(p.shape, key=key) / 4 if _real(mx, p) else p, layer.parameters())
    )
    mx.eval(layer.parameters())
    return layer


def _real(mx: Any, parameter: Any) -> bool:
    return bool(parameter.dtype == mx.float32)


def _case(name: str, layer: Any) -> tuple[str, str]:
    """Return how a layer is made and how it is called: ``x`` for each argument that it needs, None for a mask."""
    parameters = list(inspect.signature(layer.__init__).parameters.values())[1:]
    values = {**VALUES, **({"dims": 64, "input_dims": 64} if name.startswith(WIDE) else {})}
    named = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    made = [str(value) for value in SMALL.get(name, {name: values[name] for name in named}).values()]
    needed = [p.name for p in list(inspect.signature(layer.__call__).parameters.values())[1:] if p.default is p.empty]
    call = ["None" if "mask" in name else "x" for name in needed]
    return f"nn.{name}({', '.join(made)})", f"({', '.join(call)})"


def _sizes(name: str) -> Sizes:
    by_ending = {"2d": IMAGES, "Bi": IMAGES, "3d": VOLUMES}
    return by_ending.get(name[-2:], ROWS_OF_64 if name.startswith(WIDE) else SEQUENCES)
