"""Debugging: what may be looked at inside a compiled function, and how to find out what it does."""

from __future__ import annotations

import copy
import io
import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim, scrub

from ._observing import Counted, arrow, brief, graph, in_child, outcome, raised
from ._sources import DOCS, GUIDE, METALFAISS, issue


def _looking(mx: Any, look: Callable[[Any], Any]) -> str:
    """Look at an intermediate inside a compiled function; return the exception's text, if there is one."""

    def fun(x: Any) -> Any:
        z = mx.exp(x)
        look(z)
        return z + 1

    return raised(lambda: mx.eval(mx.compile(fun)(mx.zeros((2,)))))


def _refused(mx: Any, look: Callable[[Any], Any]) -> Seen:
    """Holds when looking works."""
    message = _looking(mx, look)
    return Seen(not message, message or "no error")


def _print_inside(mx: Any) -> str:
    return _looking(mx, lambda z: print(z, file=io.StringIO()))


@claim(
    "print-inside-crashes",
    "Printing an array inside a compiled function crashes.",
    source=f"{DOCS}, Debugging",
    answer="No crash: a ValueError that can be caught, because the placeholder it prints has no value.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, _print_inside)
    return Seen(ended.crashed, ended.result if ended.how == "exit 0" else f"the process ended with {ended.how}")


@claim(
    "eval-inside",
    "mx.eval may be called inside a compiled function.",
    source=GUIDE,
    answer="Not on what depends on an argument or a captured array, for while MLX traces there is nothing to evaluate.",
)
def _(mx: Any) -> Seen:
    return _refused(mx, mx.eval)


@claim(
    "async-eval-inside",
    "mx.async_eval may be called inside a compiled function.",
    source=GUIDE,
    answer="No, with a message of its own.",
)
def _(mx: Any) -> Seen:
    return _refused(mx, mx.async_eval)


@claim(
    "item-inside",
    ".item() and .tolist() work inside a compiled function.",
    source="a habit from PyTorch",
    answer="Not on what depends on an argument or a captured array, for a placeholder has no value: return it, and read "
    "it outside. On anything else they work once, and their value is frozen.",
)
def _(mx: Any) -> Seen:
    messages = {_looking(mx, lambda z: z.tolist()), _looking(mx, lambda z: mx.sum(z).item())}
    return Seen(messages == {""}, " | ".join(sorted(messages)) or "no error")


@claim(
    "python-number-inside",
    "float(x) and bool(x > 0) work inside a compiled function.",
    source="a habit from PyTorch",
    answer="No, for the same reason; an if on an array is a bool() too.",
)
def _(mx: Any) -> Seen:
    messages = {_looking(mx, lambda z: float(mx.sum(z))), _looking(mx, lambda z: bool(mx.sum(z) > 0))}
    return Seen(messages == {""}, " | ".join(sorted(messages)) or "no error")


@claim(
    "value-inside-frozen",
    "Looking at an array's value inside a compiled function always raises.",
    source=GUIDE,
    answer="No: an array that depends on no argument and isn't captured has a value while MLX traces. Then item(), eval "
    "and an if on it pass, and later calls keep what they gave.",
)
def _(mx: Any) -> Seen:
    state = [mx.array(2.0)]
    calls = {
        "item()": mx.compile(lambda x: mx.full((1,), state[0].item())),
        "if": mx.compile(lambda x: mx.full((1,), 2.0 if state[0] > 0 else -3.0)),
        "eval": mx.compile(lambda x: (mx.eval(state[0]), mx.abs(state[0]))[1]),
    }
    x = mx.array(1.0)
    first = {name: outcome(lambda call=call: call(x).item()) for name, call in calls.items()}  # type: ignore[misc]
    state[0] = mx.array(-3.0)
    second = {name: outcome(lambda call=call: call(x).item()) for name, call in calls.items()}  # type: ignore[misc]
    words = "; ".join(f"{name}: {first[name]}, then {second[name]}" for name in calls)
    return Seen(all("Error" in text for text in first.values()), f"an array outside, 2, then -3: {words}")


@claim(
    "formatted-inside",
    "An f-string is safe inside a compiled function, because it prints nothing.",
    source=GUIDE,
    answer="No: making the text needs the values.",
)
def _(mx: Any) -> Seen:
    return _refused(mx, lambda z: f"{z}")


@claim(
    "shape-inside",
    "Nothing about an array can be looked at inside a compiled function.",
    source=f"{DOCS}, Debugging (implied)",
    answer="Its shape, dtype and size can: the placeholder knows them, so print those.",
)
def _(mx: Any) -> Seen:
    seen: list[str] = []
    message = _looking(mx, lambda z: seen.append(f"{tuple(z.shape)}, {z.dtype}, size {z.size}, nbytes {z.nbytes}"))
    return Seen(bool(message), message or seen[0])


def _numpy_inside(mx: Any) -> str:
    try:
        import numpy
    except ImportError:
        return "no NumPy"
    seen = {_looking(mx, numpy.array) for _ in range(3)}
    return " | ".join(sorted(seen)) or "no error"


@claim(
    "numpy-inside",
    "np.array(x) inside a compiled function raises an error that can be caught.",
    source=GUIDE,
    answer="Since 0.32.4. Before, the error passed through NumPy's own code and broke the interpreter, on some releases with "
    "Python 3.11 alone, on others with 3.12 too.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, _numpy_inside)
    if ended.result == "no NumPy":
        return Seen(None, "needs NumPy, which isn't installed here")
    caught = ended.how == "exit 0" and "Attempting to eval" in ended.result and "|" not in ended.result
    return Seen(caught, brief(ended.result if ended.how == "exit 0" else f"the process ended with {ended.how}"))


@claim(
    "print-when-disabled",
    "With compilation switched off, print inside the function shows the values.",
    source=f"{DOCS}, Debugging",
    answer="Yes: mx.disable_compile(), look, mx.enable_compile().",
)
def _(mx: Any) -> Seen:
    text = io.StringIO()
    mx.disable_compile()
    try:
        message = _looking(mx, lambda z: print(z, file=text))
    finally:
        mx.enable_compile()
    return Seen(not message, message or text.getvalue().strip())


def _runs_of_three_calls(mx: Any) -> int:
    mx.eval(mx.array(1.0) + 1.0)
    counted = Counted(lambda x: mx.exp(x))
    compiled = mx.compile(counted)
    for _ in range(3):
        compiled(mx.zeros((2,)))
    return counted.runs


@claim(
    "environment-empty-enables",
    "MLX_DISABLE_COMPILE set to an empty text leaves compilation on.",
    source="a habit from the shell",
    answer="No: it is enough that the variable exists; unset it.",
)
def _(mx: Any) -> Seen:
    ended = in_child(mx, _runs_of_three_calls, env={"MLX_DISABLE_COMPILE": ""})
    return Seen(ended.result == 1, f"set to an empty text: three calls run the body {ended.result} time(s)")


@claim(
    "return-to-inspect",
    "What you want to inspect must be returned from the compiled function.",
    source=METALFAISS,
    answer="That works, and costs no second kernel; returning it only while looking traces the function again.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        z = mx.cos(x)
        return z + 1, z

    seen = [out.tolist() for out in mx.compile(fun)(mx.zeros((2,)))]
    return Seen(seen == [[2.0, 2.0], [1.0, 1.0]], f"result and intermediate: {seen}")


@claim(
    "error-names-line",
    "An error inside a compiled function points at the line that raised it.",
    source=GUIDE,
    answer="Yes, while it is traced: the traceback ends in your function.",
)
def _(mx: Any) -> Seen:
    def guilty(x: Any) -> Any:
        return x + mx.zeros((3,))

    try:
        mx.compile(guilty)(mx.zeros((2,)))
    except ValueError as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Seen(last.name == "guilty", f"in {last.name}: {scrub(str(error))}")
    return Seen(False, "no error")


@claim(
    "error-type-kept",
    "An exception raised inside a compiled function comes out with its own type.",
    source=GUIDE,
    answer="Yes: the exception that you raise is the one that you catch.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        raise LookupError("mine")

    seen = raised(lambda: mx.compile(fun)(mx.zeros((2,))))
    return Seen(seen == "LookupError: mine", seen)


@claim(
    "assert-runs-each-call",
    "An assert inside a compiled function is checked at every call.",
    source="a habit from PyTorch",
    answer="No: only while tracing, so it can test shapes and Python values, not what later calls bring.",
)
def _(mx: Any) -> Seen:
    allowed = [True]

    def fun(x: Any) -> Any:
        assert allowed[0], "not allowed"
        return mx.exp(x)

    compiled, x = mx.compile(fun), mx.zeros((2,))
    compiled(x)
    allowed[0] = False
    seen = raised(lambda: compiled(x))
    return Seen(bool(seen), seen or "the second call passes although its assert would fail")


@claim(
    "recompile-log",
    "MLX can log when and why it traces a function again.",
    source=issue(4464),
    answer="No function of mlx.core does so; count the runs of the body, as this guide's watch() does.",
)
def _(mx: Any) -> Seen:
    words = ("compile", "trace_", "retrace", "log_")
    names = [n for n in dir(mx) if any(w in n for w in words) and n not in ("log_softmax",)]
    known = {"compile", "disable_compile", "enable_compile"}
    return Seen(bool(set(names) - known), f"functions of mlx.core about compiling: {', '.join(names)}")


@claim(
    "graph-shows-fusion",
    "One can't see what compile fused.",
    source=GUIDE,
    answer="One can: mx.export_to_dot writes the graph of an unevaluated result, with each fused kernel as one node.",
)
def _(mx: Any) -> Seen:
    names = graph(mx, mx.compile(lambda x: mx.exp(-x) + 1)(mx.zeros((2,))))
    return Seen(not any(name.startswith("Compiled") for name in names), arrow(names))


@claim(
    "compiled-pickles",
    "A compiled function can be pickled, say for a process pool.",
    source="a habit from Python",
    answer="A function raises. A bound method or an object that can be called is pickled, and comes back uncompiled. So "
    "pickle the plain one, and compile it in each process.",
)
def _(mx: Any) -> Seen:
    seen = raised(lambda: pickle.dumps(mx.compile(os.path.join)))
    runs, words = _runs_of_copy(mx, lambda compiled: pickle.loads(pickle.dumps(compiled)))
    return Seen(not seen and runs == 1, f"a function: {seen or 'pickled'}; a bound method: {words}")


class Steps:
    """Something that can be called, that can be pickled, and that counts how often its body runs."""

    def __init__(self) -> None:
        """Start at no run."""
        self.runs = 0

    def __call__(self, x: Any) -> Any:
        """Do the step."""
        return self.step(x)

    def step(self, x: Any) -> Any:
        """Run the body once more."""
        self.runs += 1
        return abs(x)


def _runs_of_copy(mx: Any, copied: Callable[[Any], Any], *, whole: bool = False) -> tuple[int, str]:
    """Copy a compiled bound method, or a ``whole`` compiled object; return the body's runs in three calls, and words."""
    steps = Steps()
    try:
        call = copied(mx.compile(steps if whole else steps.step))
        owner = getattr(call, "__self__", call)
        for _ in range(3):
            call(mx.array(1.0))
    except Exception as error:  # any type is an observation
        return 0, scrub(f"{type(error).__name__}: {error}")
    return owner.runs, f"three calls of its copy run the body {owner.runs} time(s)"


@claim(
    "compiled-copies-compiled",
    "copy.copy and copy.deepcopy of a compiled object, or of a model that holds one, give a compiled one.",
    source="a common expectation",
    answer="No: a compiled bound method or callable object comes back uncompiled, without a word, so compile again what "
    "you copied; a compiled function can't be copied, and a compiled gradient comes back empty.",
)
def _(mx: Any) -> Seen:
    seen = {
        "bound method, copied": _runs_of_copy(mx, copy.copy),
        "bound method, deep-copied": _runs_of_copy(mx, copy.deepcopy),
        "object, deep-copied": _runs_of_copy(mx, copy.deepcopy, whole=True),
    }
    words = "; ".join(f"{name}: {text}" for name, (_, text) in seen.items())
    return Seen(all(runs == 1 for runs, _ in seen.values()), words)


@claim(
    "compile-runs-nothing",
    "A mistake in the function shows up at mx.compile.",
    source="a habit from compiled languages",
    answer="No: nothing runs before the first call.",
)
def _(mx: Any) -> Seen:
    def wrong(x: Any) -> Any:
        return mx.no_such_function(x)

    early = raised(lambda: mx.compile(wrong))
    late = raised(lambda: mx.compile(wrong)(mx.zeros((2,))))
    return Seen(bool(early), f"at mx.compile: {early or 'nothing'}; at the call: {late}")
