"""The check that a function stays right under shapeless=True."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest

from compile_guide.shapeless_check import FIRST, RIGHT, SECOND, WRONG, Check, check_shapeless

SMALL, LARGE = mx.arange(12.0).reshape(3, 4) + 1, mx.arange(30.0).reshape(5, 6) + 1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.mean(axis=0), Check(RIGHT)),
        (lambda x: x[1:], Check(FIRST, "ValueError: [Primitive::output_shapes] Slice cannot infer output shapes.")),
        (lambda x: x.sum(axis=0) / x.shape[0], Check(WRONG, "other values")),
        (lambda x: {"parts": [x, mx.zeros(x.shape)]}, Check(WRONG, "shape (3, 4) instead of (5, 6)")),
    ],
)
def test_outcome_and_what_was_seen(function: Callable[[mx.array], Any], expected: Check) -> None:
    assert check_shapeless(function, SMALL, LARGE) == expected


def test_error_on_the_second_size_is_told_from_one_on_the_first() -> None:
    assert check_shapeless(lambda x: mx.tile(x, (2, 1)), SMALL, LARGE).outcome == SECOND


def test_several_arrays_are_given_as_a_tuple() -> None:
    assert check_shapeless(lambda x, y: x @ y.T, (SMALL, SMALL), (LARGE, LARGE)) == Check(RIGHT)


def test_a_check_reads_as_a_sentence() -> None:
    assert (str(Check(RIGHT)), str(Check(WRONG, "other values"))) == ("right", "silently wrong: other values")


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        (SMALL, LARGE[0], "same number of arrays, dimensions"),
        (SMALL, LARGE.astype(mx.float16), "dtypes"),
        (SMALL, (LARGE, LARGE), "same number of arrays"),
        (LARGE, SMALL, "no axis of the second size"),
    ],
)
def test_sizes_that_show_nothing_are_refused(small: Any, large: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_shapeless(mx.exp, small, large)


def test_compiling_switched_off_is_not_taken_for_right() -> None:
    mx.disable_compile()
    try:
        with pytest.raises(RuntimeError, match="compiling is off here"):
            check_shapeless(mx.exp, SMALL, LARGE)
    finally:
        mx.enable_compile()


def test_an_error_of_the_function_itself_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        check_shapeless(lambda x: x / (x.shape[0] - 5) if x.shape[0] != 5 else 1 / 0, SMALL, LARGE)
