"""The plain functions behind compiled ones: MLX's objects don't show what they wrap, so that is kept when it is compiled."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Original:
    """A compiled function: MLX's object, the plain function, and the options that it was compiled with."""

    compiled: Any
    plain: Callable[..., Any]
    inputs: Any = None
    outputs: Any = None
    shapeless: bool = False

    @property
    def how(self) -> str:
        """Return in words how it is compiled."""
        words = ("shapeless" if self.shapeless else "", "state" if self.inputs is not None else "")
        return " and ".join(filter(None, words)) or "plain"

    def compile_anew(self, function: Callable[..., Any]) -> Any:
        """Compile another function as this one is compiled."""
        import mlx.core as mx

        return mx.compile(function, self.inputs, self.outputs, self.shapeless)


KEPT: list[Original] = []
"""All that was compiled while :func:`kept` was on; the compiled objects live in it, so that none is mistaken for another."""


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep the plain function of whatever is compiled meanwhile; what MLX itself compiles when it is imported is left alone."""
    import mlx.core as mx
    import mlx.nn  # noqa: F401 - its activations compile themselves

    original = mx.compile

    def keep(fun: Callable[..., Any], inputs: Any = None, outputs: Any = None, shapeless: bool = False) -> Any:
        KEPT.append(Original(original(fun, inputs, outputs, shapeless), fun, inputs, outputs, shapeless))
        return KEPT[-1].compiled

    mx.compile = keep
    try:
        yield
    finally:
        mx.compile = original


def original_of(compiled: Any) -> Original:
    """Return what was kept of a compiled function. Raises LookupError where it was compiled at another time."""
    return next(one for one in KEPT if one.compiled is compiled)


def find(path: str) -> Original:
    """Import ``module:name`` and return what is known of that compiled function.

    Raises:
        ImportError: the module, or what it needs, is not installed.
        LookupError: there is no such function, or it isn't compiled.
    """
    module, _, name = path.partition(":")
    with kept():
        found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    try:
        return original_of(found)
    except StopIteration:
        raise LookupError(f"{path} is no compiled function") from None
