"""
Many processes: the compiled step of data-parallel training
===========================================================

In data-parallel training each process has the whole model and a part of the batch, and the processes average their gradients
before each update. You will compile such a step with the messages inside it, start it on two processes, see that it trains as
one process does, and measure what compiling gains. And you will see what passes on one process and fails on two.
"""

# sphinx_gallery_tags = ["training", "gradients", "traces"]
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

from compile_guide.timing import compare, table
from compile_guide.tracing import watch

# %%
# The step
# --------
# :func:`mlx.nn.average_gradients` sends each gradient to all processes and returns the averages. It stands between the gradients
# and the update, in the middle of the compiled function (:claim:`collective-compiles`). It takes any tree of arrays, so the loss
# travels with the gradients, and each process returns that of the whole batch. Everything else is as on one
# process: the state is captured, and the optimizer has its state before the first trace. Whether all this fits into one compiled
# function was shown in `ml-explore/mlx#2594 <https://github.com/ml-explore/mlx/pull/2594>`__.

FEATURES, ROWS = 32, 128
Step = Callable[[mx.array, mx.array], mx.array]


def make_model() -> nn.Module:
    """Return a network with the same parameters in each process."""
    mx.random.seed(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, 1),
    )
    mx.eval(model.state)
    return model


def mean_squared_error(model: nn.Module, x: mx.array, y: mx.array) -> mx.array:
    return mx.mean((model(x) - y) ** 2)


def make_step(model: nn.Module, optimizer: optim.Optimizer) -> Step:
    loss_and_grad = nn.value_and_grad(model, mean_squared_error)

    def step(x: mx.array, y: mx.array) -> mx.array:
        loss, gradients = nn.average_gradients(loss_and_grad(model, x, y))
        optimizer.update(model, gradients)
        return loss

    return step


def part_of_batch(rank: int, size: int) -> tuple[mx.array, mx.array]:
    """Return this process's rows of one batch: (ROWS / size, 32), (ROWS / size, 1)."""
    x = mx.random.normal((ROWS, FEATURES), key=mx.random.key(1))
    y = mx.mean(x, axis=1, keepdims=True)
    mine = slice(rank * ROWS // size, (rank + 1) * ROWS // size)
    return x[mine], y[mine]


# %%
# What each process does
# ----------------------
# It trains, counts the traces of its step, and then tries two things that a program may do with a compiled function: compile a
# function with a sum over all processes for all shapes, and export it.

STEPS = 30


def train(rank: int, size: int) -> dict[str, Any]:
    """Train with the compiled step; return what can be compared with others."""
    model, optimizer = make_model(), optim.SGD(learning_rate=0.05, momentum=0.9)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    mx.eval(state)
    watched = watch(make_step(model, optimizer), inputs=state)
    step = mx.compile(watched, inputs=state, outputs=state)
    x, y = part_of_batch(rank, size)
    losses = []
    for _ in range(STEPS):
        loss = step(x, y)
        mx.eval(loss, state)
        losses.append(loss.item())
    weights = [value for _, value in tree_flatten(model.parameters())]
    digest = hashlib.sha256(
        b"".join(bytes(memoryview(value)) for value in weights)
    ).hexdigest()
    return {
        "first": losses[0],
        "last": losses[-1],
        "traces": watched.traces,
        "digest": digest,
        "weights": sum(mx.sum(mx.abs(value)).item() for value in weights),
        "shapeless": attempt(
            lambda: mx.compile(sum_of_all, shapeless=True)(mx.ones(3))
        ),
        "export": attempt(export_sum),
    }


def sum_of_all(x: mx.array) -> mx.array:
    return mx.distributed.all_sum(x) * 2


def export_sum() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mx.export_function(str(Path(folder, "sum.mlxfn")), sum_of_all, mx.ones(3))


def attempt(call: Callable[[], Any]) -> str:
    """Return "passes", or the error in one line."""
    try:
        result = call()
        mx.eval([] if result is None else result)
    except (MemoryError, RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "passes"


# %%
# Later both processes take steps while the first one measures. They have to take the same ones, or one waits for ever. So before
# each step the first process writes a line to the other, through a pipe. A line that the other has not seen yet asks for a new
# model and its step; the same line again asks for one step.


def new_side(how: str) -> Callable[[], Any]:
    """Return a function that trains one step and returns all that the step changes."""
    group = mx.distributed.init()
    model, optimizer = make_model(), optim.AdamW(learning_rate=0.001)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    mx.eval(state)
    step = make_step(model, optimizer)
    if how == "compiled":
        step = mx.compile(step, inputs=state, outputs=state)
    x, y = part_of_batch(group.rank(), group.size())
    mx.eval(x, y)
    return lambda: (step(x, y), state)


def follow() -> None:
    """Do what the first process writes, until it closes the pipe."""
    sides: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        if line in sides:
            mx.eval(sides[line]())
        else:
            sides[line] = new_side(line.strip())


# %%
# The script is its own program for the other processes: a variable tells them what to do.

ROLE = os.environ.get("MANY_PROCESSES")
if ROLE == "train":
    group = mx.distributed.init()
    mx.eval(mx.distributed.all_sum(mx.ones(1), group=group))  # connect first
    report = train(group.rank(), group.size())
    everywhere = mx.distributed.all_gather(mx.array([int(report["digest"][:7], 16)]))
    report["equal"] = len(set(everywhere.tolist())) == 1
    if group.rank() == 0:
        print(json.dumps(report))
    sys.exit()
if ROLE == "follow":
    mx.distributed.init(strict=True, backend="ring")
    follow()
    sys.exit()

# %%
# One process and two
# -------------------
# ``mlx.launch -n 2`` starts the script twice on this machine. Where there are two NVIDIA GPUs, each process gets one, and they talk
# through *NCCL*. Elsewhere they talk through the *ring* backend, which needs nothing but a network interface; here it's the
# loopback. The launcher tells the processes in variables how to find each other.

GPUS = mx.device_count(mx.gpu)
BACKEND = "nccl" if GPUS > 1 and mx.distributed.is_available("nccl") else "ring"


def free_port(count: int) -> int:
    """Return the first of some neighboring ports at which nobody listens."""
    while True:
        first = 20_000 + int.from_bytes(os.urandom(2), "big") % 30_000
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in range(first, first + count):
                one = held.enter_context(socket.socket())
                one.bind(("127.0.0.1", port))
            return first


launcher = shutil.which(
    "mlx.launch",
    path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
)


def environment(role: str) -> dict[str, str]:
    """Return the variables of another process: its role, and where modules are."""
    modules = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "MANY_PROCESSES": role, "PYTHONPATH": modules}


SELF = [sys.executable, str(Path(__file__).resolve())]


def launch(processes: int) -> dict[str, Any] | None:
    """Return the first process's report; None where they can't be started."""
    if launcher is None:
        return None
    port = free_port(processes)
    ports = [f"--starting-port={port}", f"--nccl-port={port}"]
    command = [sys.executable, launcher, f"-n{processes}", f"--backend={BACKEND}"]
    ended = subprocess.run(
        [*command, *ports, "--", *SELF],
        env=environment("train"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode or not lines:
        print((ended.stderr or ended.stdout).strip()[-300:])
        return None
    return json.loads(lines[-1])


print(f"two processes talk through the backend {BACKEND}")
one, two = train(0, 1), launch(2)
for label, report in {"one process": one, "two processes": two}.items():
    if report is None:
        print(f"{label}: can't be started here")
        continue
    losses = f"loss {report['first']:.4f} → {report['last']:.4f}"
    print(f"{label}: {losses}, {report['traces']} trace(s)")
    print(f"  shapeless: {report['shapeless']}")
    print(f"  export:    {report['export']}")

if two is not None:
    assert two["equal"], "the processes have different weights"
    assert abs(two["weights"] / one["weights"] - 1) < 1e-4, (
        "two processes trained otherwise than one"
    )
    assert abs(two["last"] / one["last"] - 1) < 1e-3
    assert one["traces"] == two["traces"] == 1

# %%
# Two processes train as one does, and each traces the step once.
#
# On one process the collective operations vanish from the graph, and what fails on two processes passes: a shapeless
# function (:claim:`collective-shapeless`) and an exported one (:claim:`collective-exports`). So try a program on two processes before you rent eight.
#
# Measured
# --------
# This process becomes the first of two, over the ring on every machine.


@contextlib.contextmanager
def second_process() -> Iterator[Callable[[str], None]]:
    """Make this process the first of two; give a function that writes to the other."""
    port = free_port(2)
    with tempfile.TemporaryDirectory() as folder:
        hosts = Path(folder, "hosts.json")
        hosts.write_text(
            json.dumps([[f"127.0.0.1:{port}"], [f"127.0.0.1:{port + 1}"]]),
            encoding="utf-8",
        )
        os.environ |= {"MLX_HOSTFILE": str(hosts), "MLX_RANK": "0"}
        env = environment("follow") | {"MLX_RANK": "1"}
        with subprocess.Popen(SELF, env=env, stdin=subprocess.PIPE, text=True) as other:
            try:
                mx.distributed.init(strict=True, backend="ring")
                yield lambda line: print(line, file=other.stdin, flush=True)
            except BaseException:
                other.kill()  # it would wait for ever
                raise
            finally:
                del os.environ["MLX_HOSTFILE"], os.environ["MLX_RANK"]


def leading(how: str, tell: Callable[[str], None]) -> Callable[[], Callable[[], Any]]:
    """Return a function that makes a new side in both and returns their step."""

    def fresh() -> Callable[[], Any]:
        tell(how)
        step = new_side(how)

        def together() -> Any:
            tell(how)
            return step()

        return together

    return fresh


with second_process() as tell:
    measured = compare(
        "many-processes-step",
        leading("plain", tell),
        leading("compiled", tell),
        fresh=True,
        rtol=1e-4,
        atol=1e-4,
    )
table([measured])

# %%
# What to take away
# -----------------
# - Average the gradients inside the compiled step. One function has the gradients, the messages and the update.
# - Start all processes from the same weights; then each keeps the same ones, because it applies the same averages.
# - Don't use ``shapeless=True``, and don't export on several processes.
# - Compile in all processes or in none (:claim:`compiled-beside-plain`).
# - A step that one process skips leaves the others waiting. The last, smaller batch has to come everywhere or nowhere.
#
# Where to go next
# ----------------
# *Training graph* has the compiled step of one process, and what to do when a batch fails. *Training memory* says what it needs.
