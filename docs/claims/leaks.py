"""What leaks: state out of a trace, placeholders after an exception, memory of throw-away functions."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, in_child, outcome, raised
from ._sources import DOCS, GUIDE, issue


@claim(
    "leaked-state-crashes",
    "Printing state that a compiled function changed without capturing it crashes.",
    source=f"{DOCS}, Pure Functions",
    answer="It raises a RuntimeError that can be caught: the state holds a placeholder without a value.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, leak)
    return Seen(child.crashed, f"the process ended with {child.how}; the state shows {child.result}")


def leak(mx: Any) -> str:
    """Let a compiled function append to a list that is not captured, and look at the list."""
    state: list[Any] = []

    def fun(x: Any, y: Any) -> Any:
        state.append(mx.add(x, y))
        return mx.exp(state[-1])

    mx.compile(fun)(mx.array(1.0), mx.array(2.0))
    return outcome(lambda: state[0])


@claim(
    "returning-state-works",
    "Returning the state from a compiled function makes it usable.",
    source=f"{DOCS}, Pure Functions (a list outside that the function appends to and returns)",
    answer="Until another shape comes: that call appends to a list which still holds the last trace's placeholder, and "
    "what it returns raises. Return a list that the body makes.",
)
def _(mx: Any) -> Seen:
    state: list[Any] = []

    def fun(x: Any, y: Any) -> Any:
        state.append(mx.add(x, y))
        return mx.exp(state[-1]), state

    compiled, two = mx.compile(fun), mx.array([2.0, 2.0])
    first = outcome(lambda: [compiled(mx.array(2.0), mx.array(3.0))[1] for _ in range(2)][1])
    other = outcome(lambda: compiled(two, two)[1])
    return Seen("Error" not in first + other, f"the returned list shows {first}; at a call with another shape {other}")


@claim(
    "returned-arrays-work",
    "State that a compiled function gets as an argument, and returns, stays usable.",
    source=f"the repair of what {DOCS}, Pure Functions, shows",
    answer="Yes, at every shape.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x, state: (mx.exp(x), [mx.add(state[0], mx.sum(x))]))
    compiled, state = mx.compile(counted), [mx.array(0.0)]
    for x in (mx.array(2.0), mx.array(3.0), mx.array([2.0, 2.0])):
        _, state = compiled(x, state)
    shown = outcome(lambda: state[0].item())
    return Seen(shown == "9.0" and counted.runs == 2, f"after 2, 3 and [2, 2]: {shown}, {counted.runs} traces")


@claim(
    "outputs-state-works",
    "outputs=state makes a compiled function update a list of arrays at each call.",
    source=f"{DOCS}, Pure Functions",
    answer="Yes: after each call the list holds that call's arrays.",
)
def _(mx: Any) -> Seen:
    shown, _ = _appending(mx)
    return Seen(shown == ["[3]", "[7]"], f"state after x + y = 3 and 7: {', '.join(shown)}")


@claim(
    "outputs-list-grows",
    "A list that a compiled function appends to grows by one entry at each call.",
    source="a common reading of the documentation's example",
    answer="No: it is appended to while tracing; later calls replace the entry.",
)
def _(mx: Any) -> Seen:
    shown, length = _appending(mx)
    return Seen(length == 2, f"after two calls the list has {length} entry(ies): {shown[-1]}")


def _appending(mx: Any) -> tuple[list[str], int]:
    """Append x + y to a captured list in a compiled function; return the list's values after each call."""
    state: list[Any] = []

    def fun(x: Any, y: Any) -> Any:
        state.append(mx.add(x, y))
        return mx.exp(state[-1])

    compiled = mx.compile(fun, outputs=state)
    shown = []
    for x, y in ((1.0, 2.0), (3.0, 4.0)):
        compiled(mx.array(x), mx.array(y))
        shown.append(outcome(lambda: [int(s.item()) for s in state]))
    return shown, len(state)


@claim(
    "exception-breaks-state",
    "An exception in one call of a compiled function leaves the captured state as it was.",
    source="a common expectation",
    answer="No: if it comes while tracing, the state keeps placeholders, and every later look at it or call "
    "with it raises.",
)
def _(mx: Any) -> Seen:
    state = [mx.array([1.0])]
    error = _break(mx, state)
    shown = outcome(lambda: state[0].item())
    return Seen(shown == "1.0", f"the call raises {error}; afterwards the state shows {shown}")


@claim(
    "exception-breaks-generator",
    "With mx.random.state in inputs= and outputs=, an exception leaves the random generator usable.",
    source="a common expectation",
    answer="No: if it comes while tracing, the generator keeps a placeholder, and every later draw raises, compiled or not. "
    "Only mx.random.seed helps; a key as an argument is not concerned.",
)
def _(mx: Any) -> Seen:
    state = mx.random.state

    def draw(x: Any) -> Any:
        return mx.matmul(x, mx.random.uniform(shape=(1, 1)))

    compiled = mx.compile(draw, inputs=state, outputs=state)
    mx.eval(compiled(mx.ones((1, 1))))
    error = raised(lambda: compiled(mx.ones((1, 2))))
    plain = outcome(lambda: mx.random.uniform().item() >= 0)
    mx.random.seed(0)
    seeded = outcome(lambda: mx.random.uniform().item() >= 0)
    words = f"the call raises {error}; then a draw shows {plain}, after a new seed {seeded}"
    return Seen(bool(error) and plain == "True", words)


@claim(
    "exception-snapshot-repairs",
    "Putting a copy of the state back repairs it after an exception.",
    source=GUIDE,
    answer="Yes: keep the old arrays (a list or tree_map copy), and put them into the same container.",
)
def _(mx: Any) -> Seen:
    state = [mx.array([1.0])]
    kept = list(state)
    error = _break(mx, state)
    state[:] = kept
    shown = outcome(lambda: mx.compile(lambda: mx.abs(state[0]), inputs=state)().item())
    return Seen(bool(error) and shown == "1.0", f"the call raises {error}; put back, a compiled call reads {shown}")


def _break(mx: Any, state: list[Any]) -> str:
    """Call a compiled function with a wrong shape; return the exception."""
    compiled = mx.compile(lambda x: mx.matmul(x, state[0]), inputs=state)
    compiled(mx.ones((1, 1)))
    return raised(lambda: compiled(mx.ones((1, 2))))


@claim(
    "multi-output-leaks",
    "Compiling throw-away functions leaks memory if they hold an operation with several results, such as mx.split.",
    source=issue(3932),
    answer="It did from 0.29.4 to 0.32.2: the arrays that such a function closes over were never given back.",
)
def _(mx: Any) -> Seen:
    def halves(weight: Any) -> Any:
        return mx.compile(lambda x: mx.concatenate(mx.split(x @ weight, 2)[::-1]))

    x = mx.ones((64,))
    before, kept = _active(mx), []
    for number in range(5):
        weight = mx.full((64, 64), float(number))
        mx.eval(weight, x)
        held = _active(mx) - before
        mx.eval(halves(weight)(x))
        del weight
        kept.append(_active(mx))
    grown = [after - earlier for earlier, after in pairwise(kept)]
    if held <= 0:
        return Seen(None, "this version does not count this backend's memory")
    return Seen(min(grown) > 0, f"bytes kept after each of four more rounds: {grown}")


def _active(mx: Any) -> int:
    """Return the bytes that MLX holds, once Python has dropped what it can."""
    gc.collect()
    counter = getattr(mx, "get_active_memory", None) or mx.metal.get_active_memory  # in old releases it is there
    return int(counter())
