"""shapeless=True: functions that read a shape while tracing, and whether they throw or go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import in_child, raised
from ._sources import API, DOCS, GUIDE, issue
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
    if name.startswith("reshape"):
        return (2, 3, 4), (4, 3, 2)
    # tril reads beyond its frozen column numbers. Of nearly the same size, the memory there may be that of a plain call's,
    # and hold the right ones.
    return (4, 3), (4, 40 if name == "tril" else 5)


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
    answer="No: since 0.31.2 only as many columns as at first are added to; before, it threw.",
)
def _(mx: Any) -> Seen:
    return _right(mx, "x.at[0].add")


@claim(
    "shapeless-slice",
    "A slice such as x[1:] may be compiled with shapeless=True.",
    source="ml-explore/mlx#4296, which asked for it",
    answer="No: it throws at the first call. Worse, one that cuts nothing there, such as x[:2] of two rows, never enters the "
    "trace, and longer inputs come back uncut without a word.",
)
def _(mx: Any) -> Seen:
    throws, words = second_size(mx, lambda x: x[1:], (4, 3), (6, 3))
    uncut, more = second_size(mx, lambda x: x[:2], (2, 3), (6, 3))
    return Seen(throws == uncut == "right", f"x[1:]: {words}; x[:2]: {more}")


@claim(
    "shapeless-cut-begins-later",
    "An operation that changes nothing at the first size does its work at later ones, under shapeless=True.",
    source="a common expectation",
    answer="No: it isn't in the trace, so longer inputs come back whole, without a word. Trace with the largest size, and "
    "an operation that can't be shapeless throws.",
)
def _(mx: Any) -> Seen:
    functions = {
        "x[:2]": lambda x: x[:2],
        "x[-2:]": lambda x: x[-2:],
        "x[::2]": lambda x: x[::2],
        "topk of 2": lambda x: mx.topk(x, 2, axis=0),
        "split at 2": lambda x: mx.split(x, [2])[0],
    }
    firsts = {"x[::2]": (1, 3)}
    seen = {name: second_size(mx, f, firsts.get(name, (2, 3)), (6, 3))[0] for name, f in functions.items()}
    return Seen("wrong" not in seen.values(), "; ".join(f"{name}: {kind}" for name, kind in seen.items()))


@claim(
    "shapeless-partition-from-end",
    "mx.partition and mx.argpartition may count from the end under shapeless=True.",
    source="a common expectation",
    answer="Not on the CPU: a negative kth stays at the position that it had at the first length; a positive one is right. "
    "On CUDA both were right.",
)
def _(mx: Any) -> Seen:
    seen = {}
    for kth in (1, -1):
        compiled = mx.compile(lambda x, kth=kth: mx.partition(x, kth, axis=0), shapeless=True)
        message = raised(lambda compiled=compiled: mx.eval(compiled(mx.array([2.0, 1.0]))))  # type: ignore[misc]
        if message:
            return Seen(False, message)
        longer = mx.array([6.0, 3.0, 9.0, 1.0, 7.0, 2.0, 8.0, 5.0, 4.0])
        seen[kth] = compiled(longer)[kth].item()
    words = "after 2 values, of 1 to 9 the one at place 1 is {:g}, at place -1 {:g}".format(*seen.values())
    return Seen(seen == {1: 2, -1: 9}, words)


@claim(
    "shapeless-split-pad",
    "mx.split and mx.pad may be compiled with shapeless=True.",
    source=ASSUMED,
    answer="No: they throw at the first call; on 0.29.4 and 0.30.0 a single half of a split ended the process.",
)
def _(mx: Any) -> Seen:
    ended = {name: in_child(mx, split_or_pad, name) for name in ("split", "pad")}
    seen = {name: one.result or ["crash", f"the process ended with {one.how}"] for name, one in ended.items()}
    words = "; ".join(f"mx.{name}: {text}" for name, (_, text) in seen.items())
    return Seen(all(kind == "right" for kind, _ in seen.values()), words)


def split_or_pad(mx: Any, name: str) -> tuple[str, str]:
    """Return what comes of half of an ``mx.split``, or of an ``mx.pad``, under ``shapeless=True``."""
    functions = {"split": lambda x: mx.split(x, 2)[0], "pad": lambda x: mx.pad(x, 1)}
    return second_size(mx, functions[name], (4, 3), (6, 3))


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
    answer="Yes since 0.29.4; before, it threw.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: mx.zeros_like(x), (4, 3), (6, 5))
    return Seen(kind == "right", words)


@claim(
    "shapeless-matmul-3d",
    "A product of a 3-D array with a matrix keeps the middle length of the first call under shapeless=True.",
    source=issue(2607),
    answer="Up to 0.32.0; newer ones follow the length.",
)
def _(mx: Any) -> Seen:
    weight = mx.ones((4, 3))
    mx.eval(weight)
    kind, words = second_size(mx, lambda x: mx.matmul(x, weight), (1, 4, 4), (1, 6, 4))
    return Seen(kind == "wrong", words)


@claim(
    "shapeless-take-sum",
    "A sum over one taken element stays a sum over one under shapeless=True when more are taken.",
    source=issue(3201),
    answer="Up to 0.31.2; newer ones sum what is taken.",
)
def _(mx: Any) -> Seen:
    values = mx.array([10.0, 20.0, 30.0])
    compiled = mx.compile(lambda i: mx.sum(mx.take(values, i, axis=0)), shapeless=True)
    sums = [compiled(mx.arange(count)).item() for count in (1, 2, 3)]
    return Seen(sums != [10, 30, 60], f"sums of the first 1, 2, 3 of 10, 20, 30: {sums}")


@claim(
    "shapeless-cumsum",
    "mx.cumsum may not be compiled with shapeless=True.",
    source=issue(4460),
    answer="That was so up to 0.32.2, which threw at the first call.",
)
def _(mx: Any) -> Seen:
    kind, words = second_size(mx, lambda x: mx.cumsum(x, axis=0), (4, 3), (6, 5))
    return Seen(kind == "throws", words)
