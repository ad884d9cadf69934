"""Two wrappers of one function: what they share that they should not."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import in_child, outcome
from ._sources import GUIDE


@claim(
    "wrappers-keep-inputs-apart",
    "Two wrappers of one function with different inputs= keep their traces apart.",
    source=GUIDE,
    answer="No: the second one runs the first one's trace and puts its own captured arrays where the first one's were.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, two_inputs)
    wanted = [11, 11]
    return Seen(child.result == wanted, f"wanted {wanted}, seen {child.result or child.how}")


def two_inputs(mx: Any) -> list[int]:
    """Compute x * 10 + 1 by two wrappers; the second captures a list that the function never reads."""
    mx.eval(mx.array(1.0) + 1.0)  # the first work of a process may be traced twice, which hides what is shown here
    ones, twos = [mx.array([1])], [mx.array([2])]

    def fun(x: Any) -> Any:
        return x * 10 + ones[0]

    first, second = mx.compile(fun, inputs=ones), mx.compile(fun, inputs=twos)
    return [wrapper(mx.array([1])).item() for wrapper in (first, second)]


@claim(
    "wrappers-keep-outputs-apart",
    "Two wrappers of one function, one with outputs= and one without, keep their traces apart.",
    source=GUIDE,
    answer="No: after a call of the one without, the other has nothing right to put into the state; wrap another function "
    "object, such as a lambda that calls the first.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, outputs_after_none)
    return Seen(child.result == "array([2], dtype=int32)", f"1 + 1 leaves in the state: {child.result or child.how}")


def outputs_after_none(mx: Any) -> str:
    """Add to a state by a wrapper with inputs= alone, reset it, and add by one with outputs= too."""
    mx.eval(mx.array(1.0) + 1.0)
    state = [mx.array([1])]

    def fun(x: Any) -> Any:
        state[0] = state[0] + x
        return state[0] * 10

    alone, both = mx.compile(fun, inputs=state), mx.compile(fun, inputs=state, outputs=state)
    alone(mx.array([1]))
    state[0] = mx.array([1])
    both(mx.array([1]))
    return outcome(lambda: state[0])
