"""Captured state: what ``inputs=`` and ``outputs=`` accept, follow and miss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, in_child, outcome
from ._sources import API, DOCS, GUIDE


def _captures(mx: Any, wrap: Callable[[Any], Any], read: Callable[[Any], Any]) -> Seen:
    """Capture ``wrap(array)``, change it, and see whether the compiled function follows: 1, then 5."""
    box = wrap(mx.array([1]))
    compiled = mx.compile(lambda: mx.abs(read(box)), inputs=box)
    shown = [outcome(lambda: compiled().item())]
    if shown == ["1"]:
        read(box)[0] = 5
        shown.append(outcome(lambda: compiled().item()))
    return Seen(shown == ["1", "5"], f"reading a captured 1, then 5, gives {', then '.join(shown)}")


@claim(
    "capture-list-dict",
    "Captured state may be a list or a dictionary, nested as you like.",
    source=API,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return _captures(mx, lambda a: {"layers": [{"weight": a}]}, lambda box: box["layers"][0]["weight"])


@claim(
    "capture-tuple",
    "Captured state may be a tuple.",
    source="a common expectation",
    answer="No: a tuple is not looked into, so its arrays count as uncaptured; use a list.",
)
def _(mx: Any) -> Seen:
    return _captures(mx, lambda a: (a,), lambda box: box[0])


@claim(
    "capture-tuple-in-list",
    "A tuple inside a captured list is captured too.",
    source="a common expectation",
    answer="Yes on 0.25.2 and newer; on 0.21.1 it raises.",
)
def _(mx: Any) -> Seen:
    return _captures(mx, lambda a: [(a,)], lambda box: box[0][0])


@claim(
    "capture-bare-array",
    "A single array may be captured as it is: inputs=array.",
    source="a common expectation",
    answer="No: put it in a list.",
)
def _(mx: Any) -> Seen:
    return _captures(mx, lambda a: a, lambda box: box)


@claim(
    "capture-other-leaves",
    "Numbers in captured state are followed like arrays.",
    source=f"{API} (other leaves are ignored)",
    answer="No: they are ignored and go stale without a word; keep them as mx.array.",
)
def _(mx: Any) -> Seen:
    state: dict[str, Any] = {"weight": mx.array([1.0]), "scale": 2.0}
    compiled = mx.compile(lambda: mx.full((1,), state["scale"]), inputs=state)
    values = [compiled().item()]
    state["scale"] = 3.0
    values.append(compiled().item())
    return Seen(values == [2, 3], f"the number 2, then 3 in captured state: {values[0]:g}, then {values[1]:g}")


@claim(
    "capture-rebound-name",
    "After state = [new], the compiled function works on the new list.",
    source="a common expectation",
    answer="No: the list object given to inputs= is captured, not the name; change it in place.",
)
def _(mx: Any) -> Seen:
    state = [mx.array(1.0)]
    compiled = mx.compile(lambda: mx.abs(state[0]), inputs=state)
    values = [compiled().item()]
    state = [mx.array(5.0)]
    values.append(compiled().item())
    return Seen(values == [1, 5], f"state [1], then rebound to [5]: {values[0]:g}, then {values[1]:g}")


@claim(
    "capture-dict-order",
    "A captured dictionary is followed by its keys.",
    source="a common expectation",
    answer="No: by the order of its values, so a key that was removed and put back swaps the arrays: 21 instead of 12.",
)
def _(mx: Any) -> Seen:
    state = {"tens": mx.array([1.0]), "ones": mx.array([2.0])}
    compiled = mx.compile(lambda: mx.concatenate([state["tens"], state["ones"]]), inputs=state)
    values = ["".join(f"{v:g}" for v in compiled().tolist())]
    state["tens"] = state.pop("tens")
    values.append("".join(f"{v:g}" for v in compiled().tolist()))
    return Seen(
        values == ["12", "12"],
        f"tens 1, ones 2: {values[0]}; after removing and putting back tens: {values[1]}",
    )


@claim(
    "capture-growing-list",
    "State that gets another entry needs another mx.compile.",
    source="a common expectation",
    answer="No: the number and shapes of captured arrays are part of the key, so the next call traces again by itself.",
)
def _(mx: Any) -> Seen:
    state = [mx.array([1.0])]
    counted = Counted(lambda: mx.concatenate(state))
    compiled = mx.compile(counted, inputs=state)
    compiled()
    state.append(mx.array([2.0]))
    grown = compiled().tolist()
    return Seen(grown != [1, 2], f"after a second entry: {grown}, {counted.runs} traces")


@claim(
    "capture-inputs-alone",
    "inputs=state is enough for state that the function changes.",
    source="a common expectation",
    answer="No: the change stays a placeholder, and looking at it raises; name the state in outputs= as well.",
)
def _(mx: Any) -> Seen:
    shown = _stepped(mx, inputs=True, outputs=False)
    return Seen(shown[-1] == "4", f"a state of 1 that each call adds 1 to, after calls 1 to 3: {', '.join(shown)}")


@claim(
    "capture-outputs-alone",
    "outputs=state is enough for state that the function reads and changes.",
    source="a common expectation",
    answer="No: what it reads stays the value of the trace, so a counter sticks at its second value without a word.",
)
def _(mx: Any) -> Seen:
    shown = _stepped(mx, inputs=False, outputs=True)
    return Seen(shown[-1] == "4", f"a state of 1 that each call adds 1 to, after calls 1 to 3: {', '.join(shown)}")


@claim(
    "capture-both",
    "inputs=state with outputs=state makes a function that updates its state at each call.",
    source=f"{DOCS}, Compiling Training Graphs",
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    shown = _stepped(mx, inputs=True, outputs=True)
    return Seen(
        shown == ["2", "3", "4"],
        f"a state of 1 that each call adds 1 to, after calls 1 to 3: {', '.join(shown)}",
    )


def _stepped(mx: Any, *, inputs: bool, outputs: bool) -> list[str]:
    """Return what the state shows after each of three calls that add one to it, up to the first error."""
    state = [mx.array(1)]

    def step() -> None:
        state[0] = mx.add(state[0], mx.array(1))

    chosen = {name: state for name, wanted in (("inputs", inputs), ("outputs", outputs)) if wanted}
    compiled = mx.compile(step, **chosen)
    shown: list[str] = []
    for _ in range(3):
        compiled()
        shown.append(outcome(lambda: state[0].item()))
        if not shown[-1].isdigit():
            break
    return shown


@claim(
    "capture-second-holder",
    "An array is captured, whichever way the function reaches it.",
    source="ml-explore/mlx#946, where it crashed",
    answer="No: only the way through the captured container counts; reached through another list it is uncaptured.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, second_holder)
    return Seen(child.result == "1", f"read through a list that is not captured: {child.result or child.how}")


def second_holder(mx: Any) -> str:
    """Capture an array in one list and read it through another."""
    array = mx.array([1])
    captured, other = [array], [array]
    compiled = mx.compile(lambda: mx.abs(other[0]), inputs=captured, outputs=captured)
    return outcome(lambda: compiled().item())


@claim(
    "capture-keeps-objects",
    "A captured container still holds the same array objects after a call.",
    source="a common expectation",
    answer="No: tracing puts placeholders in and new array objects back, so a name that you kept no longer "
    "changes the state.",
)
def _(mx: Any) -> Seen:
    array = mx.array([1])
    state = [array]
    compiled = mx.compile(lambda: mx.abs(state[0]), inputs=state)
    compiled()
    same = state[0] is array
    array[0] = 5
    return Seen(same, f"same object: {same}; the kept name is set to 5, the state is {state[0].item()}")


@claim(
    "in-place-on-argument",
    "x[0] = value on an argument changes the caller's array, compiled or not.",
    source=GUIDE,
    answer="No: uncompiled it does, compiled it does not; return the changed array.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        x[0] = 5
        return mx.exp(x)

    seen = {}
    for name, f in (("plain", fun), ("compiled", mx.compile(fun))):
        x = mx.zeros((2,))
        f(x)
        seen[name] = x.tolist()
    words = ", ".join(f"{name} {values}" for name, values in seen.items())
    return Seen(seen["plain"] == seen["compiled"], f"the caller's [0, 0] after the call: {words}")


@claim(
    "in-place-on-state",
    "x[0] = value on captured state works.",
    source=GUIDE,
    answer="Yes, with the state in inputs= and outputs=.",
)
def _(mx: Any) -> Seen:
    state = [mx.zeros((2,))]

    def fun(value: Any) -> None:
        state[0][0] = value

    counted = Counted(fun)
    compiled = mx.compile(counted, inputs=state, outputs=state)
    shown = []
    for value in (5.0, 7.0):
        compiled(mx.array(value))
        shown.append(state[0].tolist())
    return Seen(shown == [[5, 0], [7, 0]] and counted.runs == 1, f"after 5 and 7: {shown}, {counted.runs} trace(s)")


@claim(
    "state-shape-retraces",
    "Captured state of another shape is traced again.",
    source=GUIDE,
    answer="Yes: captured arrays count as inputs.",
)
def _(mx: Any) -> Seen:
    state = [mx.zeros((2,))]
    counted = Counted(lambda: mx.exp(state[0]))
    compiled = mx.compile(counted, inputs=state)
    runs = []
    for array in (mx.zeros((2,)), mx.ones((2,)), mx.ones((3,))):
        state[0] = array
        compiled()
        runs.append(counted.runs)
    return Seen(runs == [1, 1, 2], f"traces for state of shape (2,), (2,), (3,): {runs}")
