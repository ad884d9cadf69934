"""A plugin of pytest, which has the fixture ``max_traces`` wherever this package is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def max_traces(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Limit how often MLX may trace a function that is compiled in the rest of the test; one trace more raises.

    What is compiled before, such as by a decorator of a module that is imported already, is left alone::

        def test_the_training_step_is_traced_once(max_traces):
            max_traces(1)
            train(model, batches)  # compiles its step; raises TooManyTraces, with the reason, where a batch retraces it
    """

    def limit(number: int) -> None:
        import mlx.core as mx

        from compile_guide.watching.compiler import Compiler

        mx.eval(mx.zeros(1) + 1)  # the first MLX work of a process would be traced twice
        monkeypatch.setattr(mx, "compile", Compiler(number))

    return limit
