"""Which functions and layers of the installed ``mlx.nn`` are compiled already.

A function is compiled if it has the type that ``mx.compile`` returns and a second call doesn't run its body (``mx.grad``
returns that type too). It was compiled with ``shapeless=True`` if a call with another size doesn't trace it again. A layer
counts as compiled if its ``__call__`` uses such a function, or if an argument of its constructor has one as its default.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

SIZES = (61, 61, 67)  # unusual ones: for another size, the first call might find a trace of an earlier one


@dataclass(frozen=True)
class Row:
    """One public function or layer of ``mlx.nn``.

    ``shapeless`` is None where it can't be observed: not compiled, a layer, or compilation is switched off.
    ``through`` names the compiled functions that a layer uses.
    """

    name: str
    kind: str
    compiled: bool
    shapeless: bool | None = None
    through: tuple[str, ...] = ()


def already_compiled() -> tuple[Row, ...]:
    """Return every public function of the installed ``mlx.nn``, and every layer that uses a compiled one.

    Raises:
        RuntimeError: in an old MLX (0.21), whose compiled functions have the type of all its functions.
    """
    mx, nn = importlib.import_module("mlx.core"), importlib.import_module("mlx.nn")
    kind = type(mx.compile(lambda x: x))
    if isinstance(mx.exp, kind):
        raise RuntimeError(f"MLX {mx.__version__} gives compiled functions no type of their own: use a newer one")
    mx.eval(mx.array(1.0) + 1.0)  # a process whose first work is a compiled call may trace it twice
    functions = [_function(mx, name, value, kind) for name, value in _public(nn, _is_function)]
    layers = [_layer(name, value, kind) for name, value in _public(nn, inspect.isclass) if issubclass(value, nn.Module)]
    return tuple(functions + [row for row in layers if row.compiled])


def _public(module: ModuleType, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yield the module's public names of one kind, sorted, with capitals and small letters alike."""
    for name in sorted(vars(module), key=str.lower):
        value = getattr(module, name)
        if not name.startswith("_") and wanted(value):
            yield name, value


def _is_function(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value) and not inspect.ismodule(value)


def _function(mx: Any, name: str, value: Any, kind: type) -> Row:
    if not isinstance(value, kind):
        return Row(name, "function", False)
    more = [mx.array(0.25) for _ in _required(value)[1:]]
    _, again, other = (_bodies_run(value, mx.ones((size,)), *more) for size in SIZES)
    if again:
        return Row(name, "function", not _compiling(mx))
    return Row(name, "function", True, other == 0)


def _compiling(mx: Any) -> bool:
    """Return whether compilation is switched on: then a second call doesn't run the body."""
    runs: list[int] = []

    def body(x: Any) -> Any:
        runs.append(1)
        return x

    compiled = mx.compile(body)
    for _ in range(2):
        compiled(mx.ones((1,)))
    return len(runs) == 1


def _required(function: Any) -> list[str]:
    """Return the names of the function's arguments that have no default."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]


def _bodies_run(function: Any, *arguments: Any) -> int:
    """Call the function and return how many Python bodies ran; a compiled one's runs only to be traced."""
    runs = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal runs
        runs += event == "call" and frame.f_globals.get("__name__", "").startswith("mlx.nn.")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return runs


def _layer(name: str, layer: Any, kind: type) -> Row:
    through = sorted({*_used(layer.__call__, kind), *_defaults(layer, kind)})
    return Row(name, "layer", bool(through), None, tuple(through))


def _used(call: Any, kind: type) -> set[str]:
    """Return the compiled functions that a ``__call__`` reads from its module or from its closure."""
    if not hasattr(call, "__code__"):
        return set()
    read = {i.argval for i in dis.get_instructions(call) if i.opname in ("LOAD_GLOBAL", "LOAD_DEREF")}
    names = {**call.__globals__, **inspect.getclosurevars(call).nonlocals}
    return {names[name].__name__ for name in read if isinstance(names.get(name), kind)}


def _defaults(layer: Any, kind: type) -> set[str]:
    """Return the compiled functions that a layer's constructor uses unless told otherwise."""
    defaults: list[Any] = [p.default for p in inspect.signature(layer.__init__).parameters.values()]
    return {getattr(value, "__name__", "?") for value in defaults if isinstance(value, kind)}
