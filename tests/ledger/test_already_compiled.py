"""The table of what mlx.nn has compiled already: found by inspection, so another mlx.nn has another."""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import pytest

from claims import _already_compiled as already_compiled
from claims._already_compiled import Row


def row(name: str) -> Row | None:
    return next((row for row in already_compiled.already_compiled() if row.name == name), None)


def test_gelu_is_compiled_for_every_shape():
    assert row("gelu") == Row("gelu", "function", True, True)


def test_tanh_is_not_compiled():
    assert row("tanh") == Row("tanh", "function", False)


def test_prelu_is_called_with_both_its_arrays():
    assert row("prelu") == Row("prelu", "function", True, True)


def test_layer_names_the_function_that_it_uses():
    assert row("GELU") == Row("GELU", "layer", True, None, ("gelu", "gelu_approx", "gelu_fast_approx"))


def test_function_behind_a_decorated_class_is_found():
    assert row("Mish") == Row("Mish", "layer", True, None, ("mish",))


def test_default_argument_of_a_layer_counts():
    assert row("TransformerEncoderLayer") == Row("TransformerEncoderLayer", "layer", True, None, ("relu",))


def test_layer_that_calls_mlx_core_by_the_same_name_is_left_out():
    assert row("LSTM") is None  # it calls mx.sigmoid, which is not nn.sigmoid


def test_function_replaced_by_a_plain_one_is_reported_as_plain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nn, "gelu", lambda x: x)
    assert row("gelu") == Row("gelu", "function", False)


def test_function_compiled_by_shape_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    def double(x: mx.array) -> mx.array:
        return x * 2

    monkeypatch.setitem(double.__globals__, "__name__", "mlx.nn.test")
    monkeypatch.setattr(nn, "double", mx.compile(double), raising=False)
    assert row("double") == Row("double", "function", True, False)
    monkeypatch.setattr(nn, "double", partial(mx.compile, shapeless=True)(double))
    assert row("double") == Row("double", "function", True, True)


def test_gradient_has_the_same_type_and_is_not_compiled(monkeypatch: pytest.MonkeyPatch):
    def total(x: mx.array) -> mx.array:
        return mx.sum(x)

    monkeypatch.setitem(total.__globals__, "__name__", "mlx.nn.test")
    monkeypatch.setattr(nn, "total", mx.grad(total), raising=False)
    assert row("total") == Row("total", "function", False)


def test_switched_off_compilation_leaves_shapeless_open():
    mx.disable_compile()
    try:
        assert row("gelu") == Row("gelu", "function", True, None)
    finally:
        mx.enable_compile()


def test_old_mlx_without_a_type_for_compiled_functions_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mx, "compile", lambda fun: mx.exp)
    with pytest.raises(RuntimeError, match="gives compiled functions no type of their own"):
        already_compiled.already_compiled()
