"""shapeless=True: functions that read a shape while tracing, and whether they throw or go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import Seen, claim
from ._sources import API, DOCS, GUIDE
from .shapeless import second_size

ASSUMED = "the API page's rule that what cannot be shapeless throws"


def _cases(mx: Any) -> dict[str, Callable[[Any], Any]]:
    return {
        "x[0]": lambda x: x[0],
        "take": lambda x: mx.take(x, mx.array([0, 1]), axis=0),
        "reshape(x.shape[0], -1)": lambda x: mx.reshape(x, (x.shape[0], -1)),
        "zeros(x.shape)": lambda x: mx.zeros(x.shape),
        "tril": lambda x: mx.tril(x),
        "diag": lambda x: mx.diag(x),
        "x.at[0].add": lambda x: x.at[0].add(1.0),
    }


def _sizes(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return ((2, 3, 4), (4, 3, 2)) if name.startswith("reshape") else ((4, 3), (4, 5))


@claim(
    "shapeless-unsupported-throws",
    "Functions that cannot be compiled shapeless throw.",
    source=API,
    answer="No: many are silently wrong instead, so compare with the plain function at several sizes before "
    "you trust one.",
)
def _(mx: Any) -> Seen:
    seen = {name: second_size(mx, fun, *_sizes(name))[0] for name, fun in _cases(mx).items()}
    words = "; ".join(f"{kind}: {', '.join(n for n in seen if seen[n] == kind)}" for kind in sorted(set(seen.values())))
    return Seen("wrong" not in seen.values(), words)


def _right(mx: Any, name: str) -> Seen:
    kind, words = second_size(mx, _cases(mx)[name], *_sizes(name))
    return Seen(kind == "right", words)


@claim(
    "shapeless-index",
    "x[0] is right under shapeless=True.",
    source=ASSUMED,
    answer="Only if the remaining axes keep their lengths: how much is copied is frozen.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "x[0]")


@claim(
    "shapeless-take",
    "mx.take of rows is right under shapeless=True.",
    source=ASSUMED,
    answer="Only if the row length stays.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "take")


@claim(
    "shapeless-reshape-by-shape",
    "x.reshape(x.shape[0], -1) is right under shapeless=True.",
    source=ASSUMED,
    answer="No: x.shape[0] is a Python number of the trace; use flatten.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "reshape(x.shape[0], -1)")


@claim(
    "shapeless-zeros",
    "mx.zeros(x.shape) has the shape of x under shapeless=True.",
    source=ASSUMED,
    answer="No: it keeps the first shape; use mx.zeros_like(x).",
)
def _(mx: Any) -> Seen:
    return _right(mx, "zeros(x.shape)")


@claim(
    "shapeless-tril",
    "mx.tril is right under shapeless=True, so causal masks may be built inside.",
    source=ASSUMED,
    answer="No: the mask has the first size; pass masks in.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "tril")


@claim(
    "shapeless-diag",
    "mx.diag is right under shapeless=True.",
    source=ASSUMED,
    answer="No: its index arithmetic uses the first size.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, _cases(mx)["diag"], (4, 3), (4, 5))
    return Seen(kind == "right", words)


@claim(
    "shapeless-at-add",
    "x.at[0].add is right under shapeless=True.",
    source=ASSUMED,
    answer="No on newer versions, where only as many columns as at first are added to; older versions threw.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "x.at[0].add")


@claim(
    "shapeless-slice",
    "A slice such as x[1:] may be compiled with shapeless=True.",
    source="ml-explore/mlx#4296, which asked for it",
    answer="No: it throws at the first call.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: x[1:], (4, 3), (6, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-split-pad",
    "mx.split and mx.pad may be compiled with shapeless=True.",
    source=ASSUMED,
    answer="No: they throw at the first call.",
)
def _(mx: Any) -> Seen:
    functions: list[Callable[[Any], Any]] = [lambda x: mx.split(x, 2)[0], lambda x: mx.pad(x, 1)]
    seen = [second_size(mx, fun, (4, 3), (6, 3)) for fun in functions]
    return Seen(all(kind == "right" for kind, _ in seen), "; ".join(words for _, words in seen))


@claim(
    "shapeless-divide-by-length",
    "Dividing by x.shape[0] is right under shapeless=True.",
    source="a common expectation",
    answer="No: the length is a Python number of the trace; use mx.mean.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: mx.sum(x, axis=0) / x.shape[0], (4, 3), (8, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-branch-on-shape",
    "A branch on a length is decided again for a new length under shapeless=True.",
    source=f"{DOCS}, Shapeless Compilation (warns of it)",
    answer="No: the first call's branch is taken for good.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: mx.exp(-x) if x.shape[0] > 4 else mx.sin(x), (4, 3), (6, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-loop-over-rows",
    "A Python loop over the rows visits all of them under shapeless=True.",
    source="a common expectation",
    answer="No: it visits as many as the first call had.",
)
def _(mx: Any) -> Seen:
    def total(x: Any) -> Any:
        result = mx.zeros((3,))
        for row in range(x.shape[0]):
            result = result + x[row]
        return result

    kind, words = second_size(mx, total, (2, 3), (4, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-last-row",
    "x[-1] is the last row under shapeless=True.",
    source="a common expectation",
    answer="No: it is the row with the first call's number; a smaller input is read beyond its end.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: x[-1], (4, 3), (6, 3))
    return Seen(kind == "right", words)


@claim(
    "shapeless-zeros-like",
    "mx.zeros_like(x) has the shape of x under shapeless=True.",
    source=GUIDE,
    answer="Yes on newer versions; old ones threw.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: mx.zeros_like(x), (4, 3), (6, 5))
    return Seen(kind == "right", words)
