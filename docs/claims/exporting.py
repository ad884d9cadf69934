"""Functions written to a file by mx.export_function: what becomes of state, random numbers and arguments."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import missing, outcome

EXPECTED = "a common expectation"


def _exported(mx: Any, fun: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Return a function after a way through a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "function.mlxfn"))
        mx.export_function(file, fun, *arguments)
        imported: Callable[..., Any] = mx.import_function(file)
    return imported


def _absent(mx: Any) -> Seen | None:
    return missing(mx, "export_function", "import_function")


@claim(
    "export-state-followed",
    "State that a function reads and changes goes on changing in the imported function.",
    source=EXPECTED,
    answer="No: the state is written as a constant, so every call of the imported function starts from it.",
)
def _(mx: Any) -> Seen:
    if absent := _absent(mx):
        return absent
    state = {"calls": mx.array(0)}

    def count(x: Any) -> Any:
        state["calls"] = state["calls"] + 1
        return x + state["calls"]

    imported = _exported(mx, count, mx.array(0))
    values = [imported(mx.array(0))[0].item() for _ in range(3)]
    return Seen(values == [2, 3, 4], f"a counter in three calls of the imported function: {values}")


@claim(
    "export-draws-differ",
    "An imported function that draws random numbers draws new ones at each call.",
    source=EXPECTED,
    answer="No: the generator's state was written as a constant; make the key an argument.",
)
def _(mx: Any) -> Seen:
    if absent := _absent(mx):
        return absent
    imported = _exported(mx, lambda x: x + mx.random.uniform(shape=(4,)), mx.zeros((4,)))
    first, second = imported(mx.zeros((4,)))[0], imported(mx.zeros((4,)))[0]
    same = bool(mx.array_equal(first, second).item())
    return Seen(not same, f"two calls draw {'the same' if same else 'different'} numbers")


@claim(
    "export-leaves-state",
    "Exporting a function leaves the program's state as it was.",
    source=EXPECTED,
    answer="No: the body runs once for each set of example arguments, so counters move on and the generator does too.",
)
def _(mx: Any) -> Seen:
    if absent := _absent(mx):
        return absent
    state = {"calls": mx.array(0)}

    def count(x: Any) -> Any:
        state["calls"] = state["calls"] + 1
        return x + state["calls"] + mx.random.uniform()

    before = [mx.random.state[0].tolist(), 0]
    _exported(mx, count, mx.array(0))
    after = [mx.random.state[0].tolist(), outcome(lambda: state["calls"].item())]
    moved = "moved on" if before[0] != after[0] else "as before"
    return Seen(after == [before[0], "0"], f"after one export: counter {after[1]}, generator {moved}")


@claim(
    "export-list-argument",
    "A list of arrays given to export_function is one argument, as it is for the function itself.",
    source=EXPECTED,
    answer="No: a list or tuple that stands alone is spread into positional arguments; write fun(*arrays).",
)
def _(mx: Any) -> Seen:
    if absent := _absent(mx):
        return absent
    pair = [mx.array(3.0), mx.array(1.0)]
    as_one = outcome(lambda: _exported(mx, lambda arrays: arrays[0] - arrays[1], pair)(*pair))
    spread = outcome(lambda: _exported(mx, lambda a, b: a - b, pair)(*pair)[0].item())
    return Seen("Error" not in as_one, f"fun(arrays): {as_one[as_one.rfind('>') + 1 :]}; fun(a, b): {spread}")


@claim(
    "export-number-argument",
    "Python numbers may be among the example arguments of export_function, as they may for mx.compile.",
    source=EXPECTED,
    answer="No: it takes arrays alone; wrap numbers in mx.array, or bind them with functools.partial before.",
)
def _(mx: Any) -> Seen:
    if absent := _absent(mx):
        return absent
    shown = outcome(lambda: _exported(mx, lambda a, b: a * b, mx.array(3.0), 2.0)(mx.array(3.0))[0].item())
    return Seen("Error" not in shown, shown)
