"""Collectives of mx.distributed (all_sum, all_max, all_gather) under compile, gradients, vmap and export."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import arrow, compiled_graph, graph, near, optional, outcome, raised
from ._sources import GUIDE
from ._two_processes import on_two

EXPECTED = "a common expectation"


def compiled_sum(mx: Any, rank: int) -> list[Any]:
    """Return the values of a compiled function around all_sum, and its graph."""

    def fun(x: Any) -> Any:
        return mx.distributed.all_sum(mx.exp(x) * 2) * 3 + 1

    x = mx.array([float(rank)])
    right = float(mx.abs(mx.compile(fun)(x) - fun(x)).item()) < 1e-3
    return [right, arrow(compiled_graph(mx, fun, x))]


@claim(
    "collective-compiles",
    "mx.distributed.all_sum may be used in a compiled function.",
    source=GUIDE,
    answer="Yes: the sum is right on each process, and fusion stops at it as at a reduction.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, compiled_sum)
    if isinstance(seen, Seen):
        return seen
    return Seen(all(right for right, _ in seen), f"values right: {[right for right, _ in seen]}; {seen[0][1]}")


def shapeless_sum(mx: Any, rank: int) -> str:
    """Return the sizes that come out of a shapeless all_sum, or what it raises."""
    compiled = mx.compile(lambda x: mx.distributed.all_sum(x) * 2, shapeless=True)
    return outcome(lambda: [compiled(mx.ones((n,))).size for n in (2, 3)])


@claim(
    "collective-shapeless",
    "mx.distributed.all_sum may be compiled with shapeless=True.",
    source=EXPECTED,
    answer="No: on two processes it raises at the first call; on one process, where no message is sent, the same code "
    "passes.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, shapeless_sum)
    if isinstance(seen, Seen):
        return seen
    alone = shapeless_sum(mx, 0)
    return Seen(seen == ["[2, 3]"] * 2, f"two processes: {seen[0]}; one process: {alone}")


def exported_sum(mx: Any, rank: int) -> str:
    """Return what exporting a function with all_sum raises, empty when it raises nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "sum.mlxfn"))
        return raised(lambda: mx.export_function(file, lambda x: mx.distributed.all_sum(x), mx.ones((2,))))


@claim(
    "collective-exports",
    "A function with a collective in it can be exported to a file.",
    source=EXPECTED,
    answer="No: on two processes the export raises; on one process it writes a file from which the collective is gone.",
)
def _(mx: Any) -> Seen:
    if not hasattr(mx, "export_function"):
        return Seen(None, "no mx.export_function in this version")
    seen = on_two(mx, exported_sum)
    if isinstance(seen, Seen):
        return seen
    alone = exported_sum(mx, 0)
    shown = [text.partition(":")[0] or "no exception" for text in (seen[0], alone)]
    return Seen(not any(seen), f"two processes: {shown[0]}; one process: {shown[1]}")


def gradients(mx: Any, rank: int) -> list[Any]:
    """Return the gradients of all_max and of all_sum, the loss of each process multiplied by its rank + 1."""
    x = mx.array([float(rank)])
    highest = mx.grad(lambda x: mx.distributed.all_max(x).sum())
    total = mx.grad(lambda x: (mx.distributed.all_sum(x) * (rank + 1)).sum())
    return [outcome(lambda: highest(x).tolist()), outcome(lambda: total(x).tolist())]


@claim(
    "collective-gradient-max",
    "The gradient of mx.distributed.all_max goes to the process that holds the maximum.",
    source=EXPECTED,
    answer="No: every process gets it, whatever its value, and nothing warns.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, gradients)
    if isinstance(seen, Seen):
        return seen
    highest = [one[0] for one in seen]
    return Seen(highest == ["[0.0]", "[1.0]"], f"values 0 and 1; gradients: {highest[0]} and {highest[1]}")


@claim(
    "collective-gradient-sum",
    "The gradient of mx.distributed.all_sum adds up what the processes send back.",
    source=EXPECTED,
    answer="No: each process keeps the gradient of its own loss; average or sum the gradients yourself, "
    "as nn.average_gradients does.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, gradients)
    if isinstance(seen, Seen):
        return seen
    total = [one[1] for one in seen]
    return Seen(total == ["[3.0]"] * 2, f"losses times 1 and times 2; gradients: {total[0]} and {total[1]}")


def gathered_rows(mx: Any, rank: int) -> str:
    """Return the shape of all_gather under vmap over two rows of three values, or what it raises."""
    return outcome(lambda: tuple(mx.vmap(mx.distributed.all_gather)(mx.zeros((2, 3))).shape))


@claim(
    "collective-vmap-gather",
    "mx.vmap of mx.distributed.all_gather gathers row by row.",
    source=EXPECTED,
    answer="No: it returns what it returns without vmap, the processes' rows below one another: another shape, silently.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, gathered_rows)
    if isinstance(seen, Seen):
        return seen
    return Seen(seen[0] == "(2, 6)", f"two rows of three on each of two processes: {seen[0]}")


def messages(mx: Any, rank: int) -> list[int]:
    """Return how many collectives average_gradients makes for four arrays: of one dtype, and of two."""
    nn = optional("mlx.nn")
    if not hasattr(nn, "average_gradients"):
        return []
    counts = []
    for last in (mx.float32, mx.float16):
        gradients = {**{name: mx.ones((2,)) for name in "abc"}, "d": mx.ones((2,), dtype=last)}
        averaged = nn.average_gradients(gradients)
        counts.append(sum("AllReduce" in name for name in graph(mx, *averaged.values())))
        mx.eval(averaged)
    return counts


@claim(
    "average-gradients-mixed",
    "nn.average_gradients sends small gradients in one message.",
    source="MLX documentation, average_gradients",
    answer="Only if all have one dtype: a single float16 array among them makes it one message for each array.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, messages)
    if isinstance(seen, Seen) or not all(seen):
        return seen if isinstance(seen, Seen) else Seen(None, "no nn.average_gradients in this version")
    same, mixed = seen[0]
    return Seen(same == mixed == 1, f"messages for four arrays: of one dtype {same}, one of another dtype {mixed}")


def equal_sums(mx: Any, rank: int) -> list[int]:
    """Return how many messages a compiled function makes of two equal sums, and how many exponentials of two equal ones."""

    def fun(x: Any) -> Any:
        return mx.distributed.all_sum(x) * mx.distributed.all_sum(x) + mx.sum(mx.exp(x)) * mx.sum(mx.exp(x))

    names = compiled_graph(mx, fun, mx.array([float(rank)]))
    return [sum(part in name for name in names) for part in ("AllReduce", "Exp")]


@claim(
    "collectives-merged",
    "mx.compile merges two equal collectives into one message, as it merges other work that is done twice.",
    source=EXPECTED,
    answer="No: each one in the code is a message of its own; sum once and use the result twice.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, equal_sums)
    if isinstance(seen, Seen):
        return seen
    sums, exponentials = seen[0]
    return Seen(
        sums == 1,
        f"in the compiled graph: messages for two equal sums: {sums}; kernels for two equal exponentials: {exponentials}",
    )


def unused_sum(mx: Any, rank: int) -> list[str]:
    """Return the graph of a plain and of a compiled function that doesn't return the sum that it asks for."""

    def fun(x: Any) -> Any:
        mx.distributed.all_sum(x * 5)
        return x + 1

    x = mx.array([float(rank)])
    mx.eval(x)
    return [arrow(graph(mx, fun(x))), arrow(compiled_graph(mx, fun, x))]


@claim(
    "collective-unused",
    "A compiled function sends every collective in it, whether it returns the result or not.",
    source=EXPECTED,
    answer="No: what isn't needed for the returned arrays isn't sent, compiled or plain. A process that needs the result "
    "while another doesn't waits for it.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, unused_sum)
    if isinstance(seen, Seen):
        return seen
    plain, compiled = seen[0]
    return Seen("AllReduce" in compiled, f"graph of the plain function: {plain}; of the compiled one: {compiled}")


def trained_weights(mx: Any, average: Callable[[Any], Any], *, compiled: bool) -> list[Any]:
    """Return six weights of one size after three steps."""
    nn, optim = optional("mlx.nn"), optional("mlx.optimizers")
    mx.random.seed(0)
    model = nn.Sequential(*[part for _ in range(6) for part in (nn.Linear(8, 8, bias=False), nn.Tanh())])
    optimizer = optim.AdamW(learning_rate=0.01)
    optimizer.init(model.trainable_parameters())
    state, x = [model.state, optimizer.state], mx.random.normal((4, 8), key=mx.random.key(1))
    mx.eval(state, x)
    loss_and_grad = nn.value_and_grad(model, lambda x: mx.mean((model(x) - 1) ** 2))

    def step(x: Any) -> Any:
        loss, gradients = loss_and_grad(x)
        optimizer.update(model, average(gradients))
        return loss

    step = mx.compile(step, inputs=state, outputs=state) if compiled else step
    for _ in range(3):
        mx.eval(step(x), state)
    return [layer.weight for layer in model.layers[::2]]


def mixed_pair(mx: Any, rank: int) -> list[bool]:
    """Return whether averaged gradients train right: compiled on both processes, then plain on the second alone.

    Both have the same data, so one process without messages tells what is right. All messages have one size: another
    process's wrong one is added instead of waited for.
    """
    nn = optional("mlx.nn")
    right = trained_weights(mx, lambda gradients: gradients, compiled=False)
    pairs = [
        zip(trained_weights(mx, lambda one: nn.average_gradients(one, None, 0), compiled=compiled), right, strict=True)
        for compiled in (True, rank == 0)
    ]
    return [all(near(mx, weight, wanted, 1e-3) for weight, wanted in pair) for pair in pairs]


@claim(
    "compiled-beside-plain",
    "Whether a step is compiled is each process's own business: one may compile it while another doesn't.",
    source=EXPECTED,
    answer="No: a compiled step may send its messages in another order than a plain one. A process then adds what belongs "
    "to another message, and nothing warns.",
)
def _(mx: Any) -> Seen:
    if not hasattr(optional("mlx.nn"), "average_gradients"):
        return Seen(None, "no nn.average_gradients in this version")
    seen = on_two(mx, mixed_pair)
    if isinstance(seen, Seen):
        return seen
    both, mixed = ("right" if all(one[place] for one in seen) else "wrong" for place in (0, 1))
    return Seen(
        mixed == "right",
        f"weights after three steps, both processes compiled: {both}; one compiled, one plain: {mixed}",
    )


def sum_graph(mx: Any, rank: int) -> list[str]:
    """Return the operations of an all_sum that nothing has evaluated."""
    x = mx.ones((2,))
    mx.eval(x)
    total = mx.distributed.all_sum(x)
    names = graph(mx, total)
    mx.eval(total)
    return names


@claim(
    "collective-one-process",
    "A program with collectives that passes on one process shows that they work.",
    source=EXPECTED,
    answer="No: on one process a collective returns its argument and leaves no trace in the graph; test with two.",
)
def _(mx: Any) -> Seen:
    seen = on_two(mx, sum_graph)
    if isinstance(seen, Seen):
        return seen
    alone = sum_graph(mx, 0)
    return Seen(alone == seen[0], f"graph on two processes: {arrow(seen[0])}; on one: {arrow(alone) or 'nothing'}")
