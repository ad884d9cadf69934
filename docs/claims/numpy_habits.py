"""Habits from NumPy: dtypes, lazy evaluation, random numbers, and the boundary between the two libraries."""

from __future__ import annotations

import math
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, graph, optional, outcome, raised
from ._sources import GUIDE, METALFAISS

NUMPY = f"{METALFAISS}, notes for NumPy users"
HABIT = "a habit from NumPy"
NEEDS_NUMPY = Seen(None, "needs NumPy, which isn't installed here")


@claim(
    "default-float64",
    "mx.array([1.0]) is float64, as in NumPy.",
    source=HABIT,
    answer="No: float32; and a float64 array from NumPy becomes float32 too.",
)
def _(mx: Any) -> Seen:
    numpy = optional("numpy")
    other = f"; from a NumPy float64 array {mx.array(numpy.ones(1)).dtype}" if numpy else ""
    return Seen("float64" in str(mx.array([1.0]).dtype), f"mx.array([1.0]) is {mx.array([1.0]).dtype}{other}")


@claim(
    "integers-widen-floats",
    "float32 plus int64 is float64, as in NumPy.",
    source=HABIT,
    answer="No: the float's width wins; float16 plus int64 stays float16.",
)
def _(mx: Any) -> Seen:
    long = mx.array([1], dtype=mx.int64)
    both = [str((mx.array([1.0], dtype=kind) + long).dtype) for kind in (mx.float32, mx.float16)]
    return Seen("float64" in both[0], f"float32 + int64 is {both[0]}, float16 + int64 is {both[1]}")


@claim(
    "python-float-keeps-dtype",
    "A Python float keeps float16 arrays float16.",
    source=HABIT,
    answer="Yes: Python numbers adapt to the array.",
)
def _(mx: Any) -> Seen:
    dtype = (mx.array([1.0], dtype=mx.float16) * 2.0).dtype
    return Seen(dtype == mx.float16, f"float16 times 2.0 is {dtype}")


@claim(
    "half-kinds-mix",
    "float16 plus bfloat16 is one of the two.",
    source=GUIDE,
    answer="No: neither holds the other's values, so the sum is float32.",
)
def _(mx: Any) -> Seen:
    dtype = (mx.array([1.0], dtype=mx.float16) + mx.array([1.0], dtype=mx.bfloat16)).dtype
    return Seen(dtype in (mx.float16, mx.bfloat16), f"float16 + bfloat16 is {dtype}")


@claim(
    "floor-division-signs",
    "-7 // 2 is -4 and -7 % 2 is 1, as in Python and NumPy.",
    source=HABIT,
    answer="Yes since 0.32.3; before, // rounded towards zero and gave -3, while % was right.",
)
def _(mx: Any) -> Seen:
    a = mx.array([-7])
    seen = [(a // 2).item(), (a % 2).item()]
    return Seen(seen == [-4, 1], f"-7 // 2 is {seen[0]}, -7 % 2 is {seen[1]}")


@claim(
    "out-argument",
    "mx.add(a, b, out=c) writes into c.",
    source=HABIT,
    answer="No: there is no out=; results are new arrays, and a fused kernel has no temporaries to save.",
)
def _(mx: Any) -> Seen:
    a = mx.ones((2,))
    message = raised(lambda: mx.add(a, a, out=a))
    return Seen(not message, brief(message, 60) or "accepted")


@claim(
    "operations-run-at-once",
    "An operation has been computed when its line is done.",
    source=HABIT,
    answer="No: it is a node of a graph until something needs its value, so time a call with mx.eval around it.",
)
def _(mx: Any) -> Seen:
    x = mx.zeros((2,))
    mx.eval(x)
    y = mx.exp(x)
    waiting = graph(mx, y)
    mx.eval(y)
    left = [name for name in graph(mx, y) if name == "Exp"]
    words = [", ".join(names) or "nothing" for names in (waiting, left)]
    return Seen("Exp" not in waiting, f"after y = exp(x) there waits: {words[0]}; after mx.eval(y): {words[1]}")


@claim(
    "shape-errors-at-eval",
    "Because evaluation is lazy, a shape error appears only at mx.eval.",
    source=f"{METALFAISS}, notes for PyTorch users",
    answer="No: shapes and dtypes are known at once, and the line itself raises.",
)
def _(mx: Any) -> Seen:
    message = raised(lambda: mx.zeros((2,)) + mx.zeros((3,)))
    return Seen(not message, f"at the line itself: {message or 'no error'}")


@claim(
    "numpy-shares-memory",
    "np.array(x, copy=False) shares memory with the MLX array.",
    source=NUMPY,
    answer="Yes: writing into it changes x behind MLX's back.",
)
def _(mx: Any) -> Seen:
    numpy = optional("numpy")
    if numpy is None:
        return NEEDS_NUMPY
    x = mx.array([3.0, 4.0])
    numpy.array(x, copy=False)[:] = 0
    return Seen(x.tolist() == [0.0, 0.0], f"x is {x.tolist()} after writing zeros into the NumPy array")


@claim(
    "numpy-writes-escape-gradients",
    "Writing through a NumPy view inside a differentiated function gives a wrong gradient.",
    source=NUMPY,
    answer="Yes: the value is 0 and its gradient 1; the write isn't part of the graph.",
)
def _(mx: Any) -> Seen:
    numpy = optional("numpy")
    if numpy is None:
        return NEEDS_NUMPY

    def fun(x: Any) -> Any:
        numpy.array(x, copy=False)[:] = 0
        return mx.sum(x)

    value, grad = mx.value_and_grad(fun)(mx.array([3.0]))
    return Seen([value.item(), grad.item()] == [0.0, 1.0], f"value {value.item()}, gradient {grad.item()}")


@claim(
    "numpy-functions",
    "np.exp(x) of an MLX array is an MLX array.",
    source=HABIT,
    answer="No: it is computed by NumPy and is a NumPy array; inside a compiled function it fails.",
)
def _(mx: Any) -> Seen:
    numpy = optional("numpy")
    if numpy is None:
        return NEEDS_NUMPY
    kind = type(numpy.exp(mx.array([1.0]))).__name__
    return Seen(kind == "array", f"np.exp(mx.array([1.0])) is a {kind}")


@claim(
    "bfloat16-to-numpy",
    "np.array(x) works for every dtype.",
    source=HABIT,
    answer="Not for bfloat16, which NumPy lacks: cast with astype(mx.float32) first.",
)
def _(mx: Any) -> Seen:
    numpy = optional("numpy")
    if numpy is None:
        return NEEDS_NUMPY
    message = raised(lambda: numpy.array(mx.array([1.0], dtype=mx.bfloat16)))
    return Seen(not message, message or "works")


@claim(
    "same-key-same-numbers",
    "Drawing twice with one key gives two different draws, as a generator would.",
    source=HABIT,
    answer="No: a key is a value, the same numbers come again; split it for new ones.",
)
def _(mx: Any) -> Seen:
    key = mx.random.key(0)
    same = mx.random.normal((3,), key=key).tolist() == mx.random.normal((3,), key=key).tolist()
    return Seen(not same, f"the second draw gives {'the same' if same else 'other'} numbers")


@claim(
    "one-seed-for-all",
    "No single global seed governs all random operations.",
    source=f"{METALFAISS}, notes for PyTorch users",
    answer="One does, within a thread: mx.random.seed governs whatever draws without a key.",
)
def _(mx: Any) -> Seen:
    def draws() -> Any:
        mx.random.seed(7)
        return [mx.random.uniform().item(), mx.random.normal().item(), mx.random.randint(0, 99).item()]

    same = draws() == draws()
    return Seen(not same, f"uniform, normal, randint after the same seed: {'the same' if same else 'other'} numbers")


@claim(
    "nan-equals-itself",
    "NaN is unequal to itself, compiled too.",
    source=HABIT,
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    x = mx.array([math.nan])
    seen = mx.compile(lambda x: (x + 0) == (x + 0))(x).tolist()
    return Seen(seen == [False], f"nan == nan: {seen}")


@claim(
    "numpy-operand-dtype",
    "A NumPy array on the right of an operator keeps its dtype: mx.array([1, 2]) * np.array([0.5, 0.5]) is [0.5, 1].",
    source=HABIT,
    answer="No: it is cast to the MLX array's dtype first, so 0.5 becomes 0; wrap it in mx.array. np.float32(0.5) too; "
    "np.float64(0.5) is a Python float and isn't cast.",
)
def _(mx: Any) -> Seen:
    np = optional("numpy")
    if np is None:
        return NEEDS_NUMPY
    shown = outcome(lambda: (mx.array([1, 2]) * np.array([0.5, 0.5])).tolist())
    wrapped = outcome(lambda: (mx.array([1, 2]) * mx.array(np.array([0.5, 0.5]))).tolist())
    return Seen(shown == "[0.5, 1.0]", f"as it is: {shown}; wrapped in mx.array: {wrapped}")


@claim(
    "numpy-operand-left",
    "np_array * mlx_array is an MLX array, as mlx_array * np_array is.",
    source=HABIT,
    answer="No: from the left NumPy computes, at once and in its own dtypes; so it can't be part of a compiled function.",
)
def _(mx: Any) -> Seen:
    np = optional("numpy")
    if np is None:
        return NEEDS_NUMPY
    left = type(np.array([0.5]) * mx.array([1])).__module__
    right = type(mx.array([1]) * np.array([0.5])).__module__
    return Seen(left == right, f"NumPy's array on the left: {left}; on the right: {right}")
