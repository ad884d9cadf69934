"""The workloads: pairs of a plain function and the same function compiled, from pure overhead to pure work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import BenchError
from compile_guide.comparison import difference

SEED = 7
Side = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]
"""``mx.eval``, a function, and its inputs."""


@dataclass(frozen=True)
class Workload:
    """A plain function, the same function compiled, and their evaluated inputs."""

    baseline: Callable[..., Any]
    candidate: Callable[..., Any]
    inputs: tuple[Any, ...]


def scalar() -> Workload:
    """Four operations on one number: Python and MLX's overhead, hardly any arithmetic."""
    import mlx.core as mx

    return _compiled(lambda x: mx.exp(mx.sin(x)) * 2 + 1, mx.array(0.5))


def chain_small() -> Workload:
    """Six elementwise operations on 100,000 values, which fit into a cache."""
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
    """Return a workload after two calls of both functions, which trace, build kernels and allocate memory.

    Raises:
        KeyError: there is no workload of that name.
    """
    import mlx.core as mx

    workload = WORKLOADS[name]()
    mx.eval(workload.inputs)
    for _ in range(2):
        mx.eval(workload.baseline(*workload.inputs), workload.candidate(*workload.inputs))
    return workload


def sides(name: str) -> tuple[Side, Side]:
    """Return baseline and candidate, each as a :data:`Side`.

    Both have been compared, as :func:`compile_guide.timing.compare` does before it measures. Comparing evaluates a graph
    of its own, and from then on some functions take other times in that process (one plain function took up to a quarter
    less, another a tenth more). So every estimator's process evaluates the same things before it measures.

    Raises:
        BenchError: they return different values.
    """
    import mlx.core as mx

    it = make(name)
    if words := difference(it.baseline(*it.inputs), it.candidate(*it.inputs), rtol=1e-3, atol=1e-6):
        raise BenchError(f"{name}: {words}")
    return (mx.eval, it.baseline, it.inputs), (mx.eval, it.candidate, it.inputs)


def calls(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return :func:`sides` as two functions without arguments, for tools that need such."""

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
