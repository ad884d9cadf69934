"""Habits from PyTorch: what people write on their first day with MLX, and what becomes of it."""

from __future__ import annotations

import copy
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, has, outcome, raised
from ._sources import GUIDE, METALFAISS

PYTORCH = f"{METALFAISS}, notes for PyTorch users"
HABIT = "a habit from PyTorch"


@claim(
    "arrays-immutable",
    "MLX arrays are immutable.",
    source=f"{PYTORCH} and for NumPy users",
    answer="No: x[0] = 9 changes x; what doesn't exist is a view through which another array changes with it.",
)
def _(mx: Any) -> Seen:
    x = mx.arange(4)
    message = raised(lambda: x.__setitem__(0, 9))
    return Seen(x.tolist() == [0, 1, 2, 3], message or f"x[0] = 9 makes [0, 1, 2, 3] into {x.tolist()}")


@claim(
    "mask-assignment-missing",
    "There is no boolean-mask assignment like x[mask] = v.",
    source=PYTORCH,
    answer="There is, in eager and in compiled code; mx.where gives the same as a new array.",
)
def _(mx: Any) -> Seen:
    def cleared(x: Any) -> Any:
        y = x + 0
        y[y > 1] = 0
        return y

    x = mx.arange(4)
    compiled = mx.compile(cleared)
    seen = {"eager": outcome(lambda: cleared(x).tolist()), "compiled": outcome(lambda: compiled(x).tolist())}
    shown = "; ".join(f"{name} {text}" for name, text in seen.items())
    return Seen(any(text != "[0, 1, 0, 0]" for text in seen.values()), f"y[y > 1] = 0 on [0, 1, 2, 3]: {shown}")


@claim(
    "at-set",
    "x.at[i].set(v) returns a changed copy, as in JAX.",
    source=f"{PYTORCH} and for NumPy users",
    answer="There is no .set: assign with x[i] = v, or use mx.where or mx.slice_update for a new array.",
)
def _(mx: Any) -> Seen:
    seen = outcome(lambda: mx.arange(4).at[1].set(9).tolist())
    return Seen(seen == "[0, 9, 2, 3]", seen)


@claim(
    "at-add",
    "x.at[i].add(v) adds every duplicate of an index; x[i] += v adds it once.",
    source=GUIDE,
    answer="Yes: that is what .at is for.",
)
def _(mx: Any) -> Seen:
    index = mx.array([0, 0])
    added = mx.zeros((2,)).at[index].add(1).tolist()
    x = mx.zeros((2,))
    x[index] += 1
    return Seen(
        [added, x.tolist()] == [[2.0, 0.0], [1.0, 0.0]],
        f".at[[0, 0]].add(1): {added}; x[[0, 0]] += 1: {x.tolist()}",
    )


@claim(
    "plus-equals-rebinds",
    "x += 1 makes a new array and leaves other names of the old one alone.",
    source=f"{PYTORCH} (no in-place operations)",
    answer="No: y = x; x += 1 changes y too, because both are one array object.",
)
def _(mx: Any) -> Seen:
    x = mx.arange(3)
    y = x
    x += 1
    return Seen(y.tolist() == [0, 1, 2], f"y = x; x += 1: y is {y.tolist()}")


@claim(
    "underscore-methods",
    "x.add_(1), x.zero_() and the like work in place.",
    source=HABIT,
    answer="No: MLX has none; write x += 1 or x[...] = 0.",
)
def _(mx: Any) -> Seen:
    return has(mx.zeros((2,)), "add_", "zero_")


@claim(
    "mx-copy",
    "Copy an array with mx.copy(x).",
    source=PYTORCH,
    answer="It doesn't exist; mx.array(x) copies.",
)
def _(mx: Any) -> Seen:
    seen = has(mx, "copy")
    x = mx.arange(3)
    y = mx.array(x)
    x[0] = 9
    return Seen(seen.holds, f"{seen.observed}; mx.array(x) stays {y.tolist()} when x[0] = 9")


@claim(
    "clone",
    "x.clone() copies an array.",
    source=HABIT,
    answer="No: use mx.array(x), or copy.copy(x).",
)
def _(mx: Any) -> Seen:
    seen = has(mx.arange(3), "clone")
    x = mx.arange(3)
    y = copy.copy(x)
    x[0] = 9
    return Seen(seen.holds, f"{seen.observed}; copy.copy(x) stays {y.tolist()} when x[0] = 9")


@claim(
    "backward",
    "loss.backward() fills in the gradients.",
    source=HABIT,
    answer="No: gradients come from a transformed function, mx.value_and_grad(loss_fn).",
)
def _(mx: Any) -> Seen:
    return has(mx.array(1.0), "backward", "grad")


@claim(
    "requires-grad",
    "x.requires_grad = True marks an array for differentiation.",
    source=HABIT,
    answer="No: which argument is differentiated is said to mx.grad, by argnums.",
)
def _(mx: Any) -> Seen:
    message = raised(lambda: setattr(mx.array(1.0), "requires_grad", True))
    return Seen(not message, message or "it can be set")


@claim(
    "detach",
    "x.detach() cuts an array off from differentiation.",
    source=HABIT,
    answer="No: mx.stop_gradient(x) does.",
)
def _(mx: Any) -> Seen:
    seen = has(mx.array(1.0), "detach")
    grad = mx.grad(lambda x: x * mx.stop_gradient(x))(mx.array(3.0)).item()
    return Seen(seen.holds, f"{seen.observed}; the gradient of x · stop_gradient(x) at 3 is {grad}")


@claim(
    "no-grad",
    "Inference needs a no_grad() context.",
    source=HABIT,
    answer="No: there is none, and without a gradient transformation nothing is recorded.",
)
def _(mx: Any) -> Seen:
    return has(mx, "no_grad")


@claim(
    "to-device",
    "x.to(device), .cuda() and .cpu() move an array.",
    source=HABIT,
    answer="No: an array lives in memory that all devices share; an operation gets its place by stream=.",
)
def _(mx: Any) -> Seen:
    return has(mx.zeros((2,)), "to", "cuda", "cpu")


@claim(
    "with-default-device",
    "with mx.default_device(mx.cpu): runs a block on the CPU.",
    source=PYTORCH,
    answer="No: mx.default_device takes no argument; with mx.stream(mx.cpu): does it.",
)
def _(mx: Any) -> Seen:
    def block() -> None:
        with mx.default_device(mx.cpu):
            mx.zeros((2,))

    message = raised(block)
    return Seen(not message, brief(message) or "the block runs")


@claim(
    "stream-scopes-device",
    "with mx.stream(mx.cpu): runs a block on the CPU.",
    source=GUIDE,
    answer="Yes, and sets the default device back at its end.",
)
def _(mx: Any) -> Seen:
    before = str(mx.default_device())
    with mx.stream(mx.cpu):
        inside = str(mx.default_device())
    after = str(mx.default_device())
    return Seen("cpu" in inside and before == after, f"inside: {inside}; set back: {before == after}")


@claim(
    "dim-and-keepdim",
    "Reductions take dim= and keepdim=.",
    source=HABIT,
    answer="No: axis= and keepdims=, as in NumPy.",
)
def _(mx: Any) -> Seen:
    x = mx.ones((2, 3))
    messages = [raised(lambda: mx.sum(x, dim=0)), raised(lambda: mx.sum(x, axis=0, keepdim=True))]
    good = tuple(mx.sum(x, axis=0, keepdims=True).shape)
    said = " and ".join(m.partition(":")[0] or "nothing" for m in messages)
    return Seen(not any(messages), f"dim= and keepdim= raise {said}; axis=0, keepdims=True gives {good}")
