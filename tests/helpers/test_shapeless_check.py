"""The check that a function stays right under shapeless=True."""

from __future__ import annotations

import collections
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from compile_guide import shapeless_check
from compile_guide.shapeless_check import ENDS, FIRST, RIGHT, SECOND, WRONG, Check, TrialError, check_shapeless

SMALL, LARGE = mx.arange(12.0).reshape(3, 4) + 1, mx.arange(30.0).reshape(5, 6) + 1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.mean(axis=0), Check(RIGHT)),
        (lambda x: x[1:], Check(FIRST, "ValueError: [Primitive::output_shapes] Slice cannot infer output shapes.")),
        (lambda x: x.sum(axis=0) / x.shape[0], Check(WRONG, "other values")),
        (lambda x: {"parts": [x, mx.zeros(x.shape)]}, Check(WRONG, "shape (3, 4) instead of (5, 6) at ['parts'][1]")),
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
    assert str(Check(WRONG, "other values", ("(3,)", "(6,)", "(9,)"))) == (
        "silently wrong: other values (traced with (3,), called with (6,), (9,))"
    )
    assert str(Check(RIGHT, sizes=("(3,)", "(6,)"), note="no pickle")) == (
        "right (traced with (3,), called with (6,)); tried in this process: no pickle"
    )


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        (SMALL, LARGE[0], "same number of arrays, dimensions"),
        (SMALL, LARGE.astype(mx.float16), "dtypes"),
        (SMALL, (LARGE, LARGE), "same number of arrays"),
        (LARGE, SMALL, "no axis of the second size"),
        (SMALL, SMALL + 1, "the two sizes are equal, so nothing would be checked"),
        ((SMALL, 2.0), (LARGE, 3.0), "the same numbers beside them"),
        ([SMALL], [LARGE, LARGE], "same number of arrays"),
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


@pytest.mark.parametrize("length", [3, 5])
def test_an_error_of_the_function_itself_comes_out_as_it_is(length: int) -> None:
    with pytest.raises(ZeroDivisionError):
        check_shapeless(lambda x: x if x.shape[0] != length else 1 / 0, SMALL, LARGE)


def row(n: int, dtype: mx.Dtype = mx.float32) -> mx.array:
    return mx.arange(n).astype(dtype)


class Pair(NamedTuple):
    """What a user's function may take and return."""

    x: mx.array
    k: float


@pytest.mark.parametrize(
    ("function", "small", "large", "expected"),
    [
        (lambda t: t + 32000 + t.shape[0], row(3, mx.int32), row(5, mx.int32), Check(WRONG, "other values")),
        (lambda t: 0 * t + t.shape[0], row(20000), row(20001), Check(WRONG, "other values")),
        (lambda x: {"y": x * 2, "n": x.shape[0]}, row(3), row(5), Check(WRONG, "3 instead of 5 at ['n']")),
        (
            lambda x: {f"{x.shape[0]} rows": x * 2},
            row(3),
            row(5),
            Check(WRONG, "a value at ['3 rows'] instead of ['5 rows']"),
        ),
        (lambda x: (x * 2, np.array(["a", "b"])), row(3), row(5), Check(RIGHT)),
        (lambda pair: pair.x * pair.k, Pair(row(3), 2.0), Pair(row(5), 2.0), Check(RIGHT)),
        (lambda x: Pair(x * 2, x.shape[0]), row(3), row(5), Check(WRONG, "3 instead of 5 at [1]")),
        (lambda x: (x * 2, None), row(3), row(5), Check(RIGHT)),
        (lambda x: (x * 2, "name", 2.5), row(3), row(5), Check(RIGHT)),
        (lambda parts: parts[0] + parts[1], [row(3), row(3)], [row(5), row(5)], Check(RIGHT)),
        (lambda given: given["x"] * given["k"], {"x": row(3), "k": 2.0}, {"x": row(5), "k": 2.0}, Check(RIGHT)),
        (lambda x, k: x * k / x.shape[0], (row(3), 2.0), (row(5), 2.0), Check(WRONG, "other values")),
    ],
)
def test_what_a_function_takes_and_returns_besides_arrays(
    function: Callable[..., Any], small: Any, large: Any, expected: Check
) -> None:
    assert check_shapeless(function, small, large) == expected


@dataclasses.dataclass
class Result:
    """What a user's function may return."""

    values: mx.array
    length: int


def test_arrays_in_a_dataclass_are_looked_at() -> None:
    check = check_shapeless(lambda x: Result(x * 2, 1), row(3), row(5))
    assert check.outcome == FIRST
    assert check.seen.startswith("RuntimeError: [eval] Attempting to eval an array without a primitive.")


def test_a_cut_that_begins_to_act_at_a_larger_size_is_found() -> None:
    check = check_shapeless(lambda x: x[:8] * 1.0, row(3), row(6))
    assert (check.outcome, check.seen) == (WRONG, "shape (9,) instead of (8,)")
    assert check.sizes == ("(3,)", "(6,)", "(9,)")


@pytest.mark.parametrize(
    ("function", "small", "large", "sizes"),
    [
        (lambda x: x * (x.shape[0] % 2 + 1), row(3), row(5), ["(5,)", "(7,)", "(4,)"]),
        (lambda x: x * (2 if x.shape[0] == 5 else 1), row(3), row(6), ["(6,)", "(9,)", "(4,)", "(5,)"]),
        (lambda x: x + mx.array(x.shape[0]).astype(mx.uint8), row(3, mx.uint8), row(259, mx.uint8), ["(259,)", "(515,)", "(4,)"]),
        (lambda x: x * (x.shape[1] - x.shape[0]), SMALL, LARGE, ["(5, 6)", "(7, 8)", "(5, 4)"]),
        (lambda x: x.sum() / x.shape[0], row(200000), row(200001), ["(200001,)", "(200002,)", "(200003,)"]),
        (lambda x: x[x.shape[0] - 1] * 1, mx.ones(3), mx.ones(5), ["(5,)", "(7,)"]),
        (lambda x: x * x.shape[0], mx.zeros(3, mx.int32), mx.zeros(5, mx.int32), ["(5,)", "(7,)"]),
    ],
)  # fmt: skip
def test_what_is_wrong_at_some_sizes_or_with_some_values_only_is_found(
    function: Callable[[mx.array], Any], small: mx.array, large: mx.array, sizes: list[str]
) -> None:
    check = check_shapeless(function, small, large)
    assert (check.outcome, list(check.sizes[1:])) == (WRONG, sizes)


def test_what_a_large_size_asks_for_is_not_made_many_times_larger() -> None:
    sizes = check_shapeless(lambda x: x * 2, row(1000), row(2_000_000)).sizes
    assert sizes == ("(1000,)", "(2000000,)", *(f"({n},)" for n in range(1001, 1009)))


def add_in_place(x: mx.array) -> mx.array:
    x += 1
    return x * 2


def append(parts: list[mx.array]) -> mx.array:
    parts.append(parts[0])
    return parts[0] * len(parts)


def test_a_function_may_change_its_arguments() -> None:
    small, large = row(3), row(6)
    assert check_shapeless(add_in_place, small, large) == Check(RIGHT)
    assert check_shapeless(append, [small], [large]) == Check(RIGHT)
    gradient = mx.grad(lambda x: (x * x).sum())
    assert check_shapeless(lambda x: gradient(add_in_place(x)), small, large).note  # it was tried in this process
    assert (large == row(6)).all()


def test_a_check_says_which_sizes_it_holds_for() -> None:
    check = check_shapeless(lambda x, y: x * y, (row(3), mx.ones((1, 3))), (row(4), mx.ones((2, 4))))
    assert check.outcome == RIGHT
    assert check.sizes[:5] == (
        *("(3,) and (1, 3)", "(4,) and (2, 4)", "(5,) and (3, 5)"),
        *("(4,) and (1, 4)", "(3,) and (2, 3)"),  # one length alone
    )
    assert check.sizes[-1] == "(67,) and (65, 67)"


def test_sizes_that_the_function_itself_does_not_take_are_left_out() -> None:
    def short(x: mx.array) -> mx.array:
        if x.shape[0] > 6:
            raise ValueError("too long")
        return x * 2

    assert check_shapeless(short, row(3), row(6)).sizes == ("(3,)", "(6,)", "(4,)", "(5,)")


@pytest.mark.parametrize(
    ("end", "seen"),
    [
        (lambda: os._exit(3), "exit status 3"),
        (lambda: os._exit(0), "exit status 0"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda: sys.exit("bye"), "exit status 1"),
    ],
)
def test_a_trial_that_ends_its_process_is_an_outcome(end: Callable[[], Any], seen: str) -> None:
    calls: list[int] = []

    def dies(x: mx.array) -> mx.array:
        calls.append(1)
        if len(calls) == 2:  # the first is the plain call
            end()
        return x * 2

    check = check_shapeless(dies, row(3), row(6))
    assert (check, check.sizes, calls) == (Check(ENDS, seen), ("(3,)", "(6,)"), [])


def test_a_plain_function_that_ends_its_process_is_told_from_a_trace() -> None:
    assert check_shapeless(lambda x: os._exit(3), row(3), row(6)) == Check(ENDS, "exit status 3, in the plain function")


def test_a_trial_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapeless_check, "LIMIT_S", 1.0)
    with pytest.raises(TrialError, match="took longer than 1 s"):
        check_shapeless(lambda x: subprocess.run(["sleep", "30"], check=False) and x, row(3), row(6))


SCALE = mx.array(2.0)


def twice(x: mx.array) -> mx.array:
    return x * SCALE


def factorial(x: mx.array, n: int = 3) -> mx.array:
    return x if n == 0 else factorial(x * n, n - 1)


class Layer(nn.Module):
    """A module with a function of a module in it."""

    def __call__(self, x: mx.array) -> mx.array:
        """Return the sigmoid of twice the values."""
        return nn.sigmoid(twice(x))


def make_closure(dtype: mx.Dtype) -> Callable[[mx.array], mx.array]:
    layer = Layer()

    def closure(x: mx.array) -> mx.array:
        return layer(x).astype(dtype) + recursive(x, 2)

    def recursive(x: mx.array, n: int) -> mx.array:
        return x if n == 0 else recursive(x + 1, n - 1)

    return closure


@pytest.mark.parametrize(
    "function", [mx.exp, nn.gelu, twice, factorial, Layer(), Layer().__call__, make_closure(mx.float16)]
)
def test_functions_of_every_kind_are_tried_in_a_process_of_their_own(function: Callable[..., Any]) -> None:
    check = check_shapeless(function, row(3), row(6))
    assert (check.outcome, check.note) == (RIGHT, "")


SCRIPT = """
import dataclasses, typing
import mlx.core as mx, mlx.nn as nn
from compile_guide.shapeless_check import check_shapeless
print("the script runs")
@dataclasses.dataclass
class Options:
    scale: float = 2.0
class Pair(typing.NamedTuple):
    x: mx.array
    n: int
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = mx.array(2.0)
        self.options = Options()
    @property
    def factor(self):
        return len(dataclasses.fields(self.options)) * self.options.scale
    @staticmethod
    def pair(x):
        return Pair(helper(x), 1)
    def __call__(self, x):
        return self.pair(x).x * self.scale * self.factor / x.shape[0]
def helper(x):
    return mx.exp(x)
print(check_shapeless(Net(), mx.zeros(3), mx.zeros(5)))
"""


def test_what_a_script_defines_is_sent_without_running_the_script_again(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout == "the script runs\nsilently wrong: other values (traced with (3,), called with (5,))\n"


def test_what_cannot_be_sent_is_tried_here_and_says_so() -> None:
    gradient = mx.grad(lambda x: (x * x).sum())
    check = check_shapeless(lambda x: gradient(x), row(3), row(6))
    assert (check.outcome, check.sizes) == (RIGHT, ("(3,)", "(6,)"))
    assert check.note == "PicklingError: a function made by mx.compile, mx.grad or mx.vmap can't be sent"


@pytest.mark.parametrize(
    ("make", "what"), [(object, "object"), (lambda: collections.deque([mx.ones(2)]), "deque")], ids=["object", "deque"]
)
def test_what_can_not_be_compared_is_not_called_wrong(make: Callable[[], Any], what: str) -> None:
    with pytest.raises(TrialError, match=f"returns what can't be compared, so nothing was checked: {what} at \\[1\\]"):
        check_shapeless(lambda x: (x, make()), row(3), row(6))


def test_what_the_function_prints_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert check_shapeless(lambda x: print("hello") or x, row(3), row(6)) == Check(RIGHT)  # type: ignore[func-returns-value]
    assert capfd.readouterr() == ("", "")
