"""What timing costs: seconds a call in a block of ``compare()`` and in a loop written by hand around the same call.

The call is the cheapest there is: a Python function that returns its argument, an array that is evaluated already.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from compile_guide.timing import _Side

CALLS = 2000
SINGLE = "one call a block"
BARE, OURS, SHORT = "loop by hand", f"compare(), {CALLS} calls a block", f"compare(), {SINGLE}"
Sample = Callable[[], float]


def harness(repeats: int) -> dict[str, tuple[float, ...]]:
    """Return seconds a call, ``repeats`` of each kind in turn, each the median of some samples."""
    import mlx.core as mx

    x = mx.ones(2)
    mx.eval(x)
    sides = {calls: _Side(identity, (x,)) for calls in (1, CALLS)}
    for calls, side in sides.items():
        side.calls, side.settle = calls, 1
    samples: dict[str, Sample] = {
        BARE: lambda: by_hand(identity, x, mx.eval, CALLS),
        OURS: sides[CALLS].block,
        SHORT: lambda: statistics.median(sides[1].block() for _ in range(CALLS // 4)),
    }
    dice, seen = random.Random(0), dict[str, list[float]]()
    for _ in range(repeats + 1):  # the first warms up
        for name in dice.sample(list(samples), len(samples)):
            seen.setdefault(name, []).append(statistics.median(samples[name]() for _ in range(7)))
    return {name: tuple(seen[name][1:]) for name in samples}


def identity(x: Any) -> Any:
    """Return the argument."""
    return x


def by_hand(function: Callable[[Any], Any], x: Any, evaluate: Callable[[Any], None], calls: int) -> float:
    """Return seconds a call, as one would time it without any helper."""
    start = time.perf_counter()
    for _ in range(calls):
        evaluate(function(x))
    return (time.perf_counter() - start) / calls
