"""What a compiled function takes and gives back: types, methods, names, and switching it off."""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, in_child, near, optional, outcome, raised
from ._sources import API, GUIDE, NOTES, issue


def _accepted(mx: Any, value: Any) -> Seen:
    message = raised(lambda: mx.compile(lambda x, value: mx.exp(x))(mx.zeros((4,)), value))
    return Seen(not message, message or "accepted")


@claim(
    "numpy-scalar-argument",
    "A NumPy scalar may be passed where a Python number may.",
    source="a common expectation",
    answer="np.float32(1) is refused by its type's name; take .item() of it first.",
)
def _(mx: Any) -> Seen:
    import numpy as np

    return _accepted(mx, np.float32(1))


@claim(
    "numpy-float64-argument",
    "np.float64 is refused like the other NumPy scalars.",
    source="a common expectation",
    answer="No: it is a subclass of Python's float, so it passes, and each value is a trace.",
)
def _(mx: Any) -> Seen:
    import numpy as np

    seen = _accepted(mx, np.float64(1))
    return Seen(not seen.holds, seen.observed)


@claim(
    "numpy-array-argument",
    "A NumPy array may be passed to a compiled function.",
    source="a common expectation",
    answer="No: convert it with mx.array first; the message names the refused type.",
)
def _(mx: Any) -> Seen:
    import numpy as np

    return _accepted(mx, np.ones(3))


@claim(
    "complex-argument",
    "A Python complex number may be passed like other numbers.",
    source="a common expectation",
    answer="No: wrap it in mx.array.",
)
def _(mx: Any) -> Seen:
    return _accepted(mx, 1j)


@claim(
    "enum-argument",
    "A member of an Enum may be passed as a mode.",
    source="a common expectation",
    answer="No: it is refused by its class's name; pass its value (an IntEnum passes, being an int).",
)
def _(mx: Any) -> Seen:
    class Mode(enum.Enum):
        SUM = 1

    class Level(enum.IntEnum):
        ONE = 1

    plain, number = _accepted(mx, Mode.SUM), _accepted(mx, Level.ONE)
    return Seen(plain.holds, f"Enum: {plain.observed} IntEnum: {number.observed}")


@claim(
    "custom-object-argument",
    "An object of your own, such as a key-value cache, may be passed to a compiled function.",
    source=f"{issue(3499)} and #3500",
    answer="No: arguments are trees of lists, tuples and dictionaries; hand over the object's arrays.",
)
def _(mx: Any) -> Seen:
    class Cache:
        def __init__(self) -> None:
            self.keys = mx.zeros((4,))

    return _accepted(mx, Cache())


@claim(
    "container-arguments",
    "Lists, tuples and dictionaries of arrays, nested as you like, may be passed and returned.",
    source=API,
    answer="Yes: the result has the tree that the body built.",
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda tree: {"out": [mx.exp(tree["in"][0]), (tree["in"][1][0],)]})
    shown = outcome(lambda: compiled({"in": [mx.array(0.0), (mx.array(2),)]}))
    return Seen(shown == "{'out': [array(1, dtype=float32), (array(2, dtype=int32),)]}", shown)


@claim(
    "method-decorator",
    "@mx.compile works on a method.",
    source="a common expectation",
    answer="No: the wrapper does not bind self, so the call lacks an argument; compile the bound method in __init__.",
)
def _(mx: Any) -> Seen:
    class Model:
        @mx.compile  # type: ignore[untyped-decorator]  # mx may be any MLX
        def step(self, x: Any) -> Any:
            return mx.exp(x)

    message = raised(lambda: Model().step(mx.zeros((2,))))
    return Seen(not message, message or "no exception")


@claim(
    "bound-method",
    "self.step = mx.compile(self._step) in __init__ works.",
    source=GUIDE,
    answer="Yes; arrays that the method reads from self are constants of the trace unless captured.",
)
def _(mx: Any) -> Seen:
    class Model:
        def __init__(self) -> None:
            self.body = Counted(self._step)
            self.step = mx.compile(self.body)

        def _step(self, x: Any) -> Any:
            return mx.exp(x)

    model = Model()
    shown = outcome(lambda: [model.step(mx.array(0.0)) for _ in range(2)][1])
    return Seen(
        model.body.runs == 1 and shown == "array(1, dtype=float32)",
        f"two calls, {model.body.runs} trace(s), {shown}",
    )


@claim(
    "keeps-name",
    "A compiled function keeps its name and docstring.",
    source=GUIDE,
    answer="The docstring and __name__ yes, but there is no __wrapped__, so keep the plain function if you need it.",
)
def _(mx: Any) -> Seen:
    def wave(x: Any) -> Any:
        """Return the exponential."""
        return mx.exp(x)

    compiled = mx.compile(wave)
    name, doc = getattr(compiled, "__name__", None), getattr(compiled, "__doc__", None) or ""
    wrapped = hasattr(compiled, "__wrapped__")
    holds = name == "wave" and "exponential" in doc and compiled is not wave
    return Seen(
        holds,
        f"__name__ {name!r}, docstring {'kept' if 'exponential' in doc else 'lost'}, __wrapped__ {wrapped}",
    )


@claim(
    "toggle-affects-compiled",
    "mx.disable_compile() and mx.enable_compile() switch functions that are compiled already.",
    source=f"{API} of disable_compile; {NOTES}",
    answer="Yes: while disabled the body runs at each call; the traces are still there afterwards.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    compiled = mx.compile(counted)
    x = mx.zeros((4,))
    runs = []
    for switch in (mx.enable_compile, mx.disable_compile, mx.enable_compile):
        switch()
        compiled(x)
        compiled(x)
        runs.append(counted.runs)
    return Seen(runs == [1, 3, 3], f"body runs after two calls each enabled, disabled, enabled: {runs}")


def body_runs(mx: Any, enable: bool) -> int:
    """Return how often three calls run the body of a compiled function: 1 if compiled, 3 if not."""
    mx.eval(mx.array(1.0) + 1)
    if enable:
        mx.enable_compile()
    counted = Counted(lambda x: mx.exp(x))
    compiled = mx.compile(counted)
    for _ in range(3):
        compiled(mx.zeros((4,)))
    return counted.runs


def _with_variable(mx: Any, value: str, enable: bool = False) -> int:
    return int(in_child(mx, body_runs, enable, env={"MLX_DISABLE_COMPILE": value}).result)


@claim(
    "environment-disables",
    "MLX_DISABLE_COMPILE=1 in the environment switches compilation off.",
    source=f"{API} of disable_compile; {NOTES}",
    answer="Yes: the body runs at each call.",
)
def _(mx: Any) -> Seen:
    runs = _with_variable(mx, "1")
    return Seen(runs == 3, f"three calls with MLX_DISABLE_COMPILE=1: {runs} body run(s)")


@claim(
    "environment-zero-enables",
    "MLX_DISABLE_COMPILE=0 leaves compilation on.",
    source="a common expectation",
    answer="No: it is enough that the variable exists; 0 and the empty text disable as well.",
)
def _(mx: Any) -> Seen:
    zero, empty = _with_variable(mx, "0"), _with_variable(mx, "")
    return Seen(zero == 1, f"three calls: {zero} body run(s) with 0, {empty} with an empty value")


@claim(
    "enable-overrides-environment",
    "mx.enable_compile() switches compilation on although MLX_DISABLE_COMPILE is set.",
    source=f"{API} of enable_compile",
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    runs = _with_variable(mx, "1", enable=True)
    return Seen(runs == 1, f"three calls after enable_compile(): {runs} body run(s)")


@claim(
    "toggle-times-nothing",
    "Timing run() after mx.disable_compile() and again after mx.enable_compile() shows what compile gains.",
    source=NOTES,
    answer="No: run was never given to mx.compile, so nothing is compiled either way, and the difference is warm-up.",
)
def _(mx: Any) -> Seen:
    run = Counted(lambda: mx.exp(mx.zeros((4,))))
    runs = []
    for switch in (mx.disable_compile, mx.enable_compile):
        switch()
        for _ in range(3):
            run()
        runs.append(run.runs)
    wrapped = Counted(run.fun)
    compiled = mx.compile(wrapped)
    for _ in range(3):
        compiled()
    holds = runs[1] < 6
    return Seen(
        holds,
        f"body runs: disabled {runs[0]}, enabled {runs[1] - runs[0]}; once given to mx.compile {wrapped.runs}",
    )


@claim(
    "wrapping-run-freezes-random",
    "Giving a run() that draws its own random input to mx.compile measures the same work.",
    source=f"the repair of what the {NOTES} show",
    answer="No: without mx.random.state captured the random input is drawn from the same state at each "
    "call; pass the input in.",
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda: mx.random.uniform(shape=(4,)))
    first, second = compiled(), compiled()
    same = near(mx, first, second)
    return Seen(not same, f"two calls draw {'the same' if same else 'different'} numbers")


@claim(
    "module-argument",
    "An nn.Module may be passed to a compiled function as an argument.",
    source="a common expectation",
    answer="It passes, and arrives as a plain dictionary of its arrays that can't be called ('dict' object is not "
    "callable); capture the model instead: inputs=model.state.",
)
def _(mx: Any) -> Seen:
    layer, x = optional("mlx.nn").Linear(2, 2), mx.ones((1, 2))
    message = raised(lambda: mx.compile(lambda layer, x: layer(x))(layer, x))
    return Seen(not message, message or "called")


@claim(
    "dictionary-types-argument",
    "An argument keeps its type when it is a kind of dictionary, such as OrderedDict or defaultdict.",
    source="a common expectation",
    answer="No: each arrives as a plain dictionary, without defaults and methods of its own.",
)
def _(mx: Any) -> Seen:
    ordered, default = OrderedDict(a=mx.ones((1,))), defaultdict(list, a=mx.ones((1,)))
    seen = [_arrives(mx, value) for value in (ordered, default)]
    return Seen(seen == ["OrderedDict", "defaultdict"], f"OrderedDict and defaultdict arrive as {' and '.join(seen)}")


@claim(
    "named-tuple-argument",
    "A NamedTuple of arrays arrives in a compiled function as a NamedTuple.",
    source=GUIDE,
    answer="Yes on current versions: its fields can be used by name; on older ones it arrives as a plain tuple.",
)
def _(mx: Any) -> Seen:
    class Pair(NamedTuple):
        left: Any
        right: Any

    seen = _arrives(mx, Pair(mx.ones((1,)), mx.ones((1,))))
    return Seen(seen == "Pair", f"a NamedTuple called Pair arrives as {seen}")


def _arrives(mx: Any, value: Any) -> str:
    """Return the name of the type that a compiled function's body gets, or what the call raises."""
    seen: list[str] = []

    def body(value: Any) -> Any:
        seen.append(type(value).__name__)
        return mx.zeros((1,))

    return raised(lambda: mx.compile(body)(value)) or seen[0]


@claim(
    "large-integer-argument",
    "A 64-bit seed may be passed to a compiled function as a Python int.",
    source="a common expectation",
    answer="Only below 2**63, which half of all 64-bit numbers aren't: the rest raise std::bad_cast; pass a key.",
)
def _(mx: Any) -> Seen:
    messages = [_accepted(mx, number).observed for number in (2**63 - 1, 2**63)]
    return Seen(messages == ["accepted"] * 2, f"2**63 - 1: {messages[0]}; 2**63: {messages[1]}")
