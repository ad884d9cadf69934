"""A plugin of pytest, which has the fixture ``max_traces`` wherever this package is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def max_traces(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Limit how often MLX may trace a function that is compiled in the rest of the test: ``max_traces(1)``.

    One trace more raises TooManyTraces, with the reason. What is compiled before, such as by a decorator of a module that
    is imported already, is left alone.
    """

    def limit(number: int) -> None:
        import mlx.core as mx

        from compile_guide.watching.compiler import Compiler

        mx.eval(mx.zeros(1) + 1)  # the first MLX work of a process would be traced twice
        monkeypatch.setattr(mx, "compile", Compiler(number))

    return limit
