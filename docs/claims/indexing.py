"""Habits from NumPy about indexing: slices, masks, bounds, and results whose size depends on values."""

from __future__ import annotations

from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, missing, outcome, raised
from .numpy_habits import HABIT, NUMPY


@claim(
    "slices-are-views",
    "A slice is a view: writing into it changes the array.",
    source=HABIT,
    answer="No: v = x[1:3]; v[0] = 9 leaves x alone; write x[1] = 9.",
)
def _(mx: Any) -> Seen:
    x = mx.arange(4)
    v = x[1:3]
    v[0] = 9
    return Seen(x.tolist() == [0, 9, 2, 3], f"after v = x[1:3]; v[0] = 9: x is {x.tolist()}, v is {v.tolist()}")


@claim(
    "slice-assignment-ignored",
    "a[1:3] = ... does not change a.",
    source=NUMPY,
    answer="It does, as in NumPy.",
)
def _(mx: Any) -> Seen:
    a = mx.arange(4)
    a[1:3] = 9
    return Seen(a.tolist() == [0, 1, 2, 3], f"a[1:3] = 9 makes [0, 1, 2, 3] into {a.tolist()}")


@claim(
    "out-of-bounds-raises",
    "An index out of bounds raises IndexError.",
    source=HABIT,
    answer="No: nothing is checked, and what lies beside the array in memory comes back; test indices yourself.",
)
def _(mx: Any) -> Seen:
    whole = mx.arange(100)
    mx.eval(whole)
    part = whole[:4]  # its neighbors in memory are the rest of the hundred, so reading past its end is harmless here
    mx.eval(part)
    seen = outcome(lambda: mx.take(part, mx.array([5])).tolist())
    return Seen("Error" in seen, f"element 5 of 4: {seen}")


@claim(
    "slice-end-clipped",
    "A slice that ends past the array is cut off at its end.",
    source=HABIT,
    answer="Yes, as in Python.",
)
def _(mx: Any) -> Seen:
    seen = mx.arange(4)[2:10].tolist()
    return Seen(seen == [2, 3], f"arange(4)[2:10]: {seen}")


@claim(
    "mask-indexing",
    "x[mask] picks the elements where the mask is true.",
    source=HABIT,
    answer="No: the result's size would depend on values; use mx.where, or pick indices in NumPy.",
)
def _(mx: Any) -> Seen:
    seen = outcome(lambda: mx.arange(4)[mx.array([True, False, True, False])].tolist())
    return Seen(seen == "[0, 2]", seen)


@claim(
    "nonzero",
    "mx.nonzero, mx.argwhere and mx.where(condition) find indices.",
    source=HABIT,
    answer="No: the first two don't exist, and mx.where takes three arguments; sizes may not depend on values.",
)
def _(mx: Any) -> Seen:
    seen = [
        raised(lambda: mx.nonzero),
        raised(lambda: mx.argwhere),
        raised(lambda: mx.where(mx.array([True]))),
    ]
    return Seen(not all(seen), "; ".join(brief(text, 60) or "works" for text in seen))


@claim(
    "unique",
    "mx.unique(x) returns the values that occur in x.",
    source=HABIT,
    answer="It wants to know how many: mx.unique(x, size=n) keeps shapes independent of values.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, "unique"):
        return absent
    x = mx.array([2, 1, 2])
    message = raised(lambda: mx.unique(x))
    sized = outcome(lambda: mx.unique(x, size=2).tolist())
    return Seen(not message, f"{brief(message, 60) or 'works'}; with size=2: {sized}")


@claim(
    "python-list-index",
    "x[[0, 2]] takes elements by a Python list.",
    source=HABIT,
    answer="Yes, like an mx.array of indices.",
)
def _(mx: Any) -> Seen:
    seen = outcome(lambda: mx.arange(4)[[0, 2]].tolist())
    return Seen(seen == "[0, 2]", f"arange(4)[[0, 2]]: {seen}")


@claim(
    "integer-assignment-truncates",
    "Writing 2.7 into an integer array stores 2.",
    source=HABIT,
    answer="Yes: the array keeps its dtype.",
)
def _(mx: Any) -> Seen:
    x = mx.arange(3)
    x[0] = 2.7
    return Seen(x.tolist() == [2, 1, 2] and x.dtype == mx.int32, f"{x.tolist()}, {x.dtype}")


@claim(
    "array-truth",
    "if a == b: compares two arrays.",
    source=HABIT,
    answer="No, as in NumPy: more than one element has no truth value; use mx.array_equal(a, b).",
)
def _(mx: Any) -> Seen:
    a = mx.array([1, 2])
    message = raised(lambda: bool(a == a))
    return Seen(not message, f"{message or 'works'}; mx.array_equal: {mx.array_equal(a, a).item()}")


@claim(
    "topk-sorted",
    "mx.topk returns its values largest first.",
    source="a habit from PyTorch",
    answer="Don't rely on any order: sort what it returns.",
)
def _(mx: Any) -> Seen:
    values = mx.topk(mx.array([3, 1, 4, 1, 5, 9, 2, 6]), 3).tolist()
    return Seen(values == sorted(values, reverse=True), f"the three largest of 3 1 4 1 5 9 2 6: {values}")


@claim(
    "array-slice-bound",
    "x[:n] takes a slice whose end is an array.",
    source=HABIT,
    answer="No: shapes may not depend on values; pass n as a Python int, or mask by position with mx.where.",
)
def _(mx: Any) -> Seen:
    n = mx.array(2)
    message = raised(lambda: mx.arange(4)[:n])
    return Seen(not message, message or "works")
