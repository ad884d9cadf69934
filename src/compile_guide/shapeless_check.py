"""Does my function stay right under ``mx.compile(…, shapeless=True)``?  Ask before you switch it on.

A function compiled shapeless is traced at its first size and runs that trace for every other one. What it read from
a shape in Python is frozen then, and MLX rarely notices: many functions return wrong values without an error. So
compile, call with one size, then with a larger one, and compare with the plain function::

    print(check_shapeless(pool, small, large))

This file needs the standard library and mlx alone, so it can be copied next to a script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

RIGHT = "right"
FIRST = "throws at the first call"
SECOND = "throws on the second size"
WRONG = "silently wrong"


@dataclass(frozen=True)
class Check:
    """What a function did on its second size: one of the four outcomes above, and a few words on what was seen."""

    outcome: str
    seen: str = ""

    def __str__(self) -> str:
        """Return the outcome, with what was seen behind a colon."""
        return f"{self.outcome}: {self.seen}" if self.seen else self.outcome


def check_shapeless(
    fun: Callable[..., Any], small: Any, large: Any, *, rtol: float = 1e-4, atol: float = 1e-4
) -> Check:
    """Compile ``fun`` shapeless, call it with ``small``, then with ``large``, and compare with ``fun`` itself.

    Let no axis of ``large`` be shorter than in ``small``: where a trace is wrong for a smaller size, it may write
    beyond an array's end and take the process down. So a function that is found right here can still be wrong for
    sizes below the first; compile it at the smallest one.

    Args:
        fun: takes arrays (any number of them), returns an array or a tree (list, tuple, dict) of arrays.
        small: what to call it with first: an array, or a tuple of arrays, one an argument.
        large: the same with other sizes, but as many arrays, and each with its dtype and number of dimensions.
        rtol: relative tolerance of the comparison.
        atol: absolute tolerance of the comparison.

    Raises:
        ValueError: the two sizes would need two traces, or an axis of ``large`` is shorter.
        RuntimeError: compiled functions run uncompiled in this process, so there is nothing to see.
    """
    import mlx.core as mx

    sizes = [size if isinstance(size, tuple) else (size,) for size in (small, large)]
    _refuse_two_traces(*sizes)
    mx.eval(sizes, mx.zeros(1) + 1)  # the first work of a process would be traced twice
    runs: list[int] = []

    def counted(*arrays: Any) -> Any:
        runs.append(1)
        return fun(*arrays)

    found = try_sizes(mx, counted, *sizes, wanted=lambda: fun(*sizes[1]), rtol=rtol, atol=atol)
    if len(runs) > 1:
        raise RuntimeError("the function ran again for the second size, so compiling is off here: nothing was checked")
    return found


def try_sizes(
    mx: Any,
    fun: Callable[..., Any],
    first: tuple[Any, ...],
    second: tuple[Any, ...],
    *,
    wanted: Callable[[], Any],
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> Check:
    """Call ``fun`` compiled shapeless with two sizes and compare what the second gives with ``wanted()``."""
    compiled, outcome = mx.compile(fun, shapeless=True), FIRST
    try:
        mx.eval(compiled(*first))
        outcome = SECOND
        got = compiled(*second)
        mx.eval(got)
    except Exception as error:  # any type is an outcome
        return Check(outcome, words(error))
    return _compare(mx, list(_leaves(got)), list(_leaves(wanted())), rtol, atol)


def words(error: Exception) -> str:
    """Return an error's type and message on one line."""
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")


def _refuse_two_traces(small: tuple[Any, ...], large: tuple[Any, ...]) -> None:
    if [(a.dtype, a.ndim) for a in small] != [(a.dtype, a.ndim) for a in large]:
        raise ValueError("give both sizes the same number of arrays, dimensions and dtypes: else MLX traces again")
    if any(m < n for a, b in zip(small, large, strict=True) for n, m in zip(a.shape, b.shape, strict=True)):
        raise ValueError("let no axis of the second size be shorter than in the first: a wrong trace may crash there")


def _compare(mx: Any, got: list[Any], want: list[Any], rtol: float, atol: float) -> Check:
    if len(got) != len(want):
        return Check(WRONG, f"{len(got)} arrays instead of {len(want)}")
    for have, wish in zip(got, want, strict=True):
        if have.shape != wish.shape:
            return Check(WRONG, f"shape {tuple(have.shape)} instead of {tuple(wish.shape)}")
        if not mx.allclose(have, wish, rtol=rtol, atol=atol, equal_nan=True).item():
            return Check(WRONG, "other values")
    return Check(RIGHT)


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from _leaves(part)
    else:
        yield tree
