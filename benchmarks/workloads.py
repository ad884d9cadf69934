"""What is timed: pairs of a plain function and its compiled self, from nothing but overhead to nothing but work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compile_guide.timing import check_equal

SEED = 7
Side = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]
"""What evaluates, a function, and its inputs."""


@dataclass(frozen=True)
class Workload:
    """A plain function, its compiled self, and their evaluated inputs."""

    baseline: Callable[..., Any]
    candidate: Callable[..., Any]
    inputs: tuple[Any, ...]


def scalar() -> Workload:
    """Four operations on one number: Python and MLX's overhead, hardly any arithmetic."""
    import mlx.core as mx

    return _compiled(lambda x: mx.exp(mx.sin(x)) * 2 + 1, mx.array(0.5))


def chain_small() -> Workload:
    """Six elementwise operations on 100,000 values, which fit a cache."""
    return _chain(100_000)


def chain_large() -> Workload:
    """Six elementwise operations on 4,000,000 values, which don't."""
    return _chain(4_000_000)


def block() -> Workload:
    """Two products of 256 × 256 matrices with a bias, a ReLU and a sum between: bound by the products."""
    import mlx.core as mx

    x, v, w = (mx.random.normal((256, 256), key=mx.random.key(SEED + n)) / 16 for n in range(3))
    return _compiled(lambda x, v, w: x + mx.maximum(x @ v + 1, 0) @ w, x, v, w)


def training() -> Workload:
    """A training step of a two-layer network with 32 inputs: loss, gradients, new weights."""
    import mlx.core as mx

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        hidden = mx.tanh(x @ weights[0] + weights[1])
        return mx.mean(mx.square(hidden @ weights[2] - y))

    def step(weights: list[Any], x: Any, y: Any) -> list[Any]:
        value, gradients = mx.value_and_grad(loss)(weights, x, y)
        return [value, *(w - 0.01 * g for w, g in zip(weights, gradients, strict=True))]

    shapes = ((32, 64), (64,), (64, 1), (128, 32), (128, 1))
    *weights, x, y = (mx.random.normal(s, key=mx.random.key(SEED + n)) for n, s in enumerate(shapes))
    return _compiled(step, weights, x, y)


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "scalar": scalar,
    "chain-100k": chain_small,
    "chain-4M": chain_large,
    "matmul-block": block,
    "training-step": training,
}


def make(name: str) -> Workload:
    """Build a workload and call both functions twice, so that traces, kernels and memory are there.

    Raises:
        KeyError: there is no workload of that name.
    """
    import mlx.core as mx

    found = WORKLOADS[name]()
    mx.eval(found.inputs)
    for _ in range(2):
        mx.eval(found.baseline(*found.inputs), found.candidate(*found.inputs))
    return found


def sides(name: str) -> tuple[Side, Side]:
    """Return what evaluates, the function and its inputs, for baseline and candidate.

    Both have been compared, as :func:`compile_guide.timing.compare` does before it measures. Comparing evaluates a graph
    of its own, and from then on some functions take other times in that process (seen: a plain one up to a quarter less,
    or a tenth more). So every estimator's process has the same past; :mod:`benchmarks.past` measures what it does.

    Raises:
        ValueError: they return different values.
    """
    found = make(name)
    check(name, found)
    return both_sides(found)


def check(name: str, found: Workload) -> None:
    """Raise ValueError when the two functions return different values."""
    check_equal(name, found.baseline(*found.inputs), found.candidate(*found.inputs), rtol=1e-3, atol=1e-6)


def both_sides(found: Workload) -> tuple[Side, Side]:
    """Return a workload's functions with their inputs and what evaluates."""
    import mlx.core as mx

    return (mx.eval, found.baseline, found.inputs), (mx.eval, found.candidate, found.inputs)


def calls(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return :func:`sides` as two functions of no arguments, for tools that want such."""

    def call(side: Side) -> Callable[[], object]:
        evaluate, function, inputs = side
        return lambda: evaluate(function(*inputs))

    baseline, candidate = sides(name)
    return call(baseline), call(candidate)


def _chain(size: int) -> Workload:
    import mlx.core as mx

    def chain(x: Any) -> Any:
        return mx.abs(mx.square(x * 0.5 + 1) - x) * 0.25

    return _compiled(chain, mx.random.uniform(shape=(size,), key=mx.random.key(SEED)))


def _compiled(function: Callable[..., Any], *inputs: Any) -> Workload:
    import mlx.core as mx

    return Workload(function, mx.compile(function), inputs)
