"""Debugging: what may be looked at inside a compiled function, and how to find out what it does."""

from __future__ import annotations

import io
import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import Counted, arrow, brief, graph, in_child, raised, scrub
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
    answer="No: while MLX traces there is nothing to evaluate.",
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
    answer="No: they need a value, and a placeholder has none; return the array and read it outside.",
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
    answer="Only since 0.32.4; before, the error passed through NumPy's own code and broke the interpreter.",
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
    answer="No: pickle the plain function and compile it in each process.",
)
def _(mx: Any) -> Seen:
    seen = raised(lambda: pickle.dumps(mx.compile(os.path.join)))
    return Seen(not seen, seen or "pickled")


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
