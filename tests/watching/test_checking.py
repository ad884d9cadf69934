"""``--check``: known silent faults are found, and nothing right is called wrong."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest

from compile_guide.watching.checking import Observer
from compile_guide.watching.compiler import Compiler, Site

ROW = mx.arange(4, dtype=mx.float32)
SETTINGS = {"scale": 2.0}
NUMBERS = iter(range(9))


@pytest.fixture(autouse=True)
def some_mlx_work_first() -> Iterator[None]:
    mx.random.seed(0)
    mx.eval(mx.zeros(1) + 1)
    yield
    mx.random.seed(0)  # a test may have left a placeholder


def checked(fun: Callable[..., Any], *calls: Any, **options: Any) -> list[str]:
    """Compile a function, call it with each of the arguments, and return what the checks found."""
    compiler = Compiler(observer=Observer(check=True, keep=False))
    compiled = compiler(fun, **options)
    for call in calls:
        call() if callable(call) else mx.eval(compiled(*call))
    (site,) = compiler.sites.values()
    return [finding for finding in site.findings if finding]


def test_a_function_that_is_right_is_called_right() -> None:
    compiler = Compiler(observer=Observer(check=True, keep=False))
    compiled = compiler(lambda x: mx.softmax(x * 2 + 1))
    for _ in range(40):
        compiled(ROW)
    (site,) = compiler.sites.values()
    assert site.findings == {"": 6}  # calls 1, 2, 4, 8, 16 and 32


def test_random_draws_that_a_trace_froze_are_found() -> None:
    (found,) = checked(lambda x: x + mx.random.uniform(shape=(4,)), (ROW,), (ROW,))
    assert found.startswith("frozen random numbers: ")


@pytest.mark.parametrize(
    ("half", "words"), [("inputs", "broken random numbers: "), ("outputs", "frozen random numbers: ")]
)
def test_random_state_that_is_captured_by_half_is_found(half: str, words: str) -> None:
    calls = [(ROW,)] * (1 if half == "inputs" else 2)  # the second would raise
    found = checked(lambda x: x + mx.random.uniform(shape=(4,)), *calls, **{half: mx.random.state})
    assert found and found[0].startswith(words)


def test_random_state_that_is_captured_is_right() -> None:
    state = [mx.random.state]
    assert checked(lambda x: nn.Dropout(0.5)(x + 1), (ROW,), (ROW,), (ROW,), inputs=state, outputs=state) == []


def test_a_number_that_a_trace_froze_is_named_with_both_values() -> None:
    (found,) = checked(lambda x: x * SETTINGS["scale"], (ROW,), lambda: SETTINGS.update(scale=3.0), (ROW,))
    SETTINGS["scale"] = 2.0
    assert found.startswith("frozen state: SETTINGS['scale']: 2.0 → 3.0; result: ")


def test_a_small_change_of_a_captured_learning_rate_is_found() -> None:
    class Step:
        rate = 1e-7

        def __call__(self, x: mx.array) -> mx.array:
            return x - self.rate * x

    step = Step()
    step.rate = 1e-6
    (found,) = checked(step, (ROW,), lambda: setattr(step, "rate", 2e-6), (ROW,))
    assert "rate: 1e-06 → 2e-06" in found


def test_weights_that_are_replaced_after_the_trace_are_found() -> None:
    model = nn.Linear(4, 2)
    (found,) = checked(model, (ROW,), lambda: model.update({"weight": mx.ones((2, 4))}), (ROW,))
    assert "['weight']: an array → an array" in found


def test_weights_that_are_captured_may_change() -> None:
    model = nn.Linear(4, 2)
    calls = [(ROW,), lambda: model.update({"weight": mx.ones((2, 4))}), (ROW,)]
    assert checked(model, *calls, inputs=model.state) == []


def test_a_model_that_ignores_eval_is_found() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    (found,) = checked(model, (ROW + 1,), model.eval, (ROW + 1,), inputs=mx.random.state, outputs=mx.random.state)
    assert "_training: True → False" in found or "frozen random" in found


def test_a_counter_in_python_that_the_result_needs_is_found() -> None:
    state = {"n": 0}

    def step(x: mx.array) -> mx.array:
        state["n"] += 1
        return x + state["n"]

    (found,) = checked(step, (ROW,), (ROW,))
    assert found.startswith("frozen state: ") and state == {"n": 1}


def test_a_shapeless_function_that_is_wrong_at_the_second_size_is_found() -> None:
    (found,) = checked(lambda x: x / x.shape[0], (mx.ones(4),), (mx.ones(8),), shapeless=True)
    assert found.startswith("wrong at another size: traced with (4,), called with (8,); result: ")


def test_a_shapeless_function_that_is_right_at_the_second_size_is_right() -> None:
    assert checked(lambda x: mx.exp(x) * 2, (mx.ones(4),), (mx.ones(8),), shapeless=True) == []


def clock() -> float:
    """Return the part of a second: float32 holds hours to no more than some milliseconds."""
    return time.perf_counter() % 1


@pytest.mark.parametrize("draw", [random.random, np.random.rand, clock])
def test_what_changes_from_call_to_call_outside_of_mlx_is_found(draw: Callable[[], float]) -> None:
    (found,) = checked(lambda x: x + draw(), (ROW,), (ROW,))
    assert found.startswith("frozen state: ")


def test_random_numbers_of_python_and_numpy_go_on_as_without_a_check() -> None:
    random.seed(1)
    np.random.seed(1)
    wanted = [random.random(), np.random.rand(), random.random(), np.random.rand()]
    random.seed(1)
    np.random.seed(1)
    checked(lambda x: x + random.random() + np.random.rand(), (ROW,), (ROW,))
    assert [random.random(), np.random.rand()] == wanted[2:]


def test_state_is_what_it_would_be_without_a_check() -> None:
    def train(make: Callable[..., Any]) -> Any:
        mx.random.seed(3)
        model, optimizer, runs = nn.Linear(4, 1), optim.SGD(1e-2, momentum=0.9), []
        optimizer.init(model.trainable_parameters())
        state = [model.state, optimizer.state, mx.random.state]
        gradient = nn.value_and_grad(model, lambda x: mx.mean(mx.square(model(x) + mx.random.normal((8, 1)))))

        def step(x: mx.array) -> mx.array:
            runs.append(1)
            loss, gradients = gradient(x)
            optimizer.update(model, gradients)
            return loss

        compiled = make(step, inputs=state, outputs=state)
        losses = [compiled(mx.ones((8, 4)) * number).item() for number in range(9)]
        return losses, mx.random.uniform().item(), model.weight.tolist(), len(runs)

    compiler = Compiler(observer=Observer(check=True, keep=False))
    assert train(compiler) == train(mx.compile)
    (site,) = (site for site in compiler.sites.values() if site.name.endswith("step"))
    assert set(site.findings) == {""}


def test_an_array_that_the_function_changes_in_place_is_put_back() -> None:
    total, given = [mx.zeros(4)], mx.ones(4)

    def add(x: mx.array) -> mx.array:
        x += 1
        total[0] += x
        return total[0]

    assert checked(add, (given,), (given,), inputs=total, outputs=total) == []
    assert (total[0].tolist(), given.tolist()) == ([4.0] * 4, [1.0] * 4)


def test_what_a_body_prints_is_printed_when_it_is_traced_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(x: mx.array) -> mx.array:
        print("traced")
        return x + 1

    assert checked(loud, (ROW,), (ROW,)) == []
    assert capsys.readouterr().out == "traced\n"


@pytest.mark.parametrize(
    ("fun", "words"),
    [
        (lambda x: x + next(NUMBERS), "it can reach NUMBERS, a range_iterator"),
        (lambda x: x + len(input("")), "its code names input"),
    ],
)
def test_a_function_that_cannot_be_run_twice_is_not_checked_and_said_so(
    fun: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", str)
    (found,) = checked(fun, (ROW,), (ROW,))
    assert found.startswith("not checked: ") and words in found


def test_a_plain_function_that_raises_is_not_checked() -> None:
    broken = []

    def step(x: mx.array) -> mx.array:
        if broken:
            raise ValueError("only the plain function raises")
        return x + 1

    (found,) = checked(step, (ROW,), lambda: broken.append(1), (ROW,))
    assert found == "not checked: ValueError: only the plain function raises"


def test_a_result_that_hangs_on_rounding_is_no_fault() -> None:
    x = mx.random.normal((64, 64), key=mx.random.key(0)) * 1e3

    def edge(x: mx.array) -> mx.array:
        y = mx.exp(mx.sin(x) * mx.cos(x) / 3) - mx.exp(mx.sin(2 * x) / 6)
        return mx.sign(y)  # y is 0 but for rounding

    assert checked(edge, (x,), (x,)) == []


def test_calls_inside_another_trace_or_a_transformation_are_not_checked() -> None:
    compiler = Compiler(observer=Observer(check=True, keep=False))
    inner = compiler(lambda x: x + mx.random.uniform())
    mx.grad(lambda x: inner(x).sum())(ROW)
    sites: list[Site] = [*compiler.sites.values()]
    assert sites[0].findings == {}


def test_a_call_with_compiling_switched_off_is_not_counted_as_checked() -> None:
    compiler = Compiler(observer=Observer(check=True, keep=False))
    compiled = compiler(lambda x: x + 1)
    mx.disable_compile()
    compiled(ROW)
    mx.enable_compile()
    (site,) = compiler.sites.values()
    assert (site.findings, site.eager) == ({}, 1)


def test_a_fault_at_many_calls_is_told_once_with_their_number() -> None:
    compiler = Compiler(observer=Observer(check=True, keep=False))
    compiled = compiler(lambda x: x * SETTINGS["scale"])
    for number in range(5):
        SETTINGS["scale"] = 2.0 + number
        compiled(ROW)
    SETTINGS["scale"] = 2.0
    (site,) = compiler.sites.values()
    assert [count for finding, count in site.findings.items() if finding.startswith("frozen state: ")] == [2]


def test_state_that_the_first_call_makes_is_no_fault() -> None:
    state: dict[str, mx.array] = {}

    def step(x: mx.array) -> mx.array:
        state["total"] = x + state.get("total", mx.zeros(4)) + state.get("other", mx.zeros(4))
        state["other"] = x * 2
        return x + 1

    assert checked(step, (ROW,), (ROW,), (ROW,), inputs=state, outputs=state) == []


def test_kernels_of_traces_are_counted() -> None:
    compiler = Compiler(observer=Observer(check=True, keep=False))
    compiled = compiler(lambda x: mx.exp(x) * 2 + 1)
    compiled(ROW)
    compiled(ROW)
    (site,) = compiler.sites.values()
    assert site.kernels == 1
