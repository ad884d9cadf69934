"""What a process has evaluated before, and what that does to the time that two functions take from then on.

``python -m benchmarks.past WORKLOAD PAST`` is one process: it prints the seconds of a plain and a compiled call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from benchmarks.cases import in_turn
from benchmarks.estimators import stretches
from benchmarks.workloads import Workload, both_sides, check, make

MODULE = "benchmarks.past"
SECONDS = 0.5


def past(repeats: int) -> dict[str, tuple[float, ...]]:
    """Return seconds a call after each past, as :func:`benchmarks.cases.in_turn` does."""
    return in_turn(MODULE, PASTS, repeats)


def wide(found: Workload) -> None:
    """Evaluate the sum of eight sines of an input: more arrays at a time than a function of the workloads has."""
    import mlx.core as mx

    mx.eval(sum(mx.sin(found.inputs[-1] * factor) for factor in range(1, 9)))


PASTS: dict[str, Callable[[str, Workload], None]] = {
    "nothing else": lambda name, found: None,
    "eight sines": lambda name, found: wide(found),
    "a check that both agree": check,
}
"""What a process has evaluated besides two calls of each function, before the clock starts."""


if __name__ == "__main__":
    name, before = sys.argv[1:]
    made = make(name)
    PASTS[before](name, made)
    print(json.dumps(stretches(both_sides(made), SECONDS)))
