"""The shapeless support table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from claims import _shapeless as shapeless
from claims._shapeless import ENDS, FIRST, RIGHT, SECOND, UNTRIED, WRONG, Trial
from claims._shapeless_cases import GROUPS
from claims._shapeless_layer_cases import LEFT_OUT, VARIANTS, layer_groups, made_layer, public_layers

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's C library that notices the damage")


def judged(compile: Callable[..., Any], code: str = "mx.exp(x)") -> str:
    """The outcome for a function under an MLX whose compile is another one."""
    stand_in = SimpleNamespace(**{**vars(mx), "compile": compile})
    outcome, _ = shapeless.judge(stand_in, shapeless.function(code, {"mx": mx}), "float32", (4, 6), (2, 6))
    return outcome


def test_no_two_functions_of_the_table_have_one_name():
    names = [name for group in (*GROUPS, *layer_groups()) for name in group.cases]
    assert len(names) == len(set(names)) > 190


def test_every_layer_of_mlx_nn_has_a_case_or_a_reason_why_not():
    tried = {name.partition("(")[0].removeprefix("nn.") for name in shapeless.groups_by_name() if "(" in name}
    layers = set(public_layers(nn))
    assert layers - tried == layers & LEFT_OUT.keys()
    assert VARIANTS.keys() <= shapeless.groups_by_name().keys()


def test_layer_is_made_before_it_is_traced_and_its_bias_is_not_zero():
    layer = made_layer("nn.Linear(4, 3)", {"mx": mx, "nn": nn})
    assert mx.all(layer.bias != nn.Linear(4, 3).bias).item()
    traced = mx.compile(shapeless.function("nn.Dropout()(x)", {"mx": mx, "nn": nn}))
    assert traced(mx.ones((2, 3))).shape == (2, 3)


def test_cut_that_cuts_nothing_at_first_leaves_longer_inputs_uncut():
    (row,) = shapeless.support(["x[:2]"])
    assert (row.smaller, row.larger) == (FIRST, WRONG)
    assert "(2, 6) then (3, 6): silently wrong: shape (3, 6) instead of (2, 6)" in row.seen
    assert "(2, 6) then (2, 10): right" in row.seen


def test_side_without_sizes_is_not_tried():
    (row,) = shapeless.support(["mx.addmm to a full matrix"])
    assert (row.smaller, row.larger) == (UNTRIED, RIGHT)


def test_each_outcome_is_seen_on_the_installed_mlx():
    names = ["mx.exp", "mx.split", "mx.tile", "x[0]"]
    outcomes = {row.name: row.smaller for row in shapeless.support(names)}
    assert outcomes == {
        "mx.exp": RIGHT,
        "mx.split": FIRST,
        "mx.tile": SECOND,
        "x[0]": WRONG,
    }


@LINUX
def test_a_function_that_spoils_the_heap_ends_its_process():
    (row,) = shapeless.support(["nn.Linear"])
    assert row.smaller == ENDS


def test_row_says_what_each_size_did():
    (row,) = shapeless.support(["x[0]"])
    assert row.code == "x[0]"
    assert row.seen[:2] == (
        "(4, 6) then (2, 6): right",
        "(4, 6) then (4, 4): silently wrong: shape (6,) instead of (4,)",
    )


def test_rows_are_alike_in_two_runs():
    names = ["mx.addmm", "x[:, 0] = 0", "Python loop over rows", "mx.tril"]
    assert shapeless.support(names) == shapeless.support(names)


def test_unknown_name_is_refused():
    with pytest.raises(KeyError, match=r"mx\.nothing"):
        shapeless.support(["mx.nothing"])


@LINUX
def test_trial_that_kills_its_batch_costs_itself_alone():
    trials = [Trial(name, (4, 6), (2, 6)) for name in ("mx.exp", "nn.Linear", "mx.sum")]
    assert [outcome for outcome, _ in shapeless._run(trials).values()] == [RIGHT, ENDS, RIGHT]


def test_fault_of_the_table_itself_is_no_outcome():
    with pytest.raises(RuntimeError, match=r"KeyError: 'mx\.nothing'"):
        shapeless._child([Trial("mx.nothing", (4, 6), (2, 6))])


def test_function_that_always_compiles_anew_is_right():
    assert judged(lambda fun, shapeless: fun, "x[0] / x.shape[0]") == RIGHT


def test_function_that_keeps_its_first_result_is_wrong():
    kept: list[Any] = []

    def frozen(fun: Callable[[Any], Any], shapeless: bool) -> Callable[[Any], Any]:
        return lambda x: kept[0] if kept else kept.append(fun(x)) or kept[0]

    assert judged(frozen) == WRONG


def test_function_that_refuses_to_trace_throws_at_the_first_call():
    def refusing(fun: Callable[[Any], Any], shapeless: bool) -> Callable[[Any], Any]:
        return lambda x: mx.reshape(x, (0,))

    assert judged(refusing) == FIRST


def test_statements_before_the_result_are_run():
    double = shapeless.function("y = x + x; y + one", {"one": 1})
    assert double(2) == 5
