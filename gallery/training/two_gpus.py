"""
Two GPUs: a compiled step over NCCL
===================================

*Many processes* trains with two processes on any machine. Here each of the two has an NVIDIA GPU of its own, and the gradients go
from one to the other through NCCL, NVIDIA's library of collectives. You will see what compiling gains then, when the second GPU
pays, what NCCL gains over the ring backend, and what large gradients change. All but the first comparison need two GPUs.
"""

# sphinx_gallery_tags = ["training", "gradients"]
import contextlib
import itertools
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

from compile_guide.timing import Comparison, compare, table

# %%
# A GPU for each process
# ----------------------
# Each process may see one GPU alone, as with ``mlx.launch``. CUDA reads the variable that says which when MLX is imported, so the
# variable is set before.


def visible_gpus() -> list[str]:
    """Return NVIDIA's GPUs as ``CUDA_VISIBLE_DEVICES`` names them."""
    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return named.split(",")
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    listed = subprocess.run(
        [command, "-L"], capture_output=True, text=True, check=False
    )
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


GPUS = visible_gpus()
if len(GPUS) > 1:
    os.environ["CUDA_VISIBLE_DEVICES"] = GPUS[0]

import mlx.core as mx  # noqa: E402
import mlx.nn as nn  # noqa: E402
import mlx.optimizers as optim  # noqa: E402

# %%
# The step, in four variants
# --------------------------
# A variant is a network's width, the rows of the whole batch, a backend (``alone`` is one process with all rows), and plain or
# compiled. As in *Many processes*, the loss is averaged together with the gradients, so all variants of one network return the same
# loss. MLX has had a backend for NCCL since
# `ml-explore/mlx#2476 <https://github.com/ml-explore/mlx/pull/2476>`__.

Variant = tuple[int, int, str, str]
Step = Callable[[], mx.array]


def make_step(width: int, rows: int, backend: str, how: str) -> Step:
    """Return a function that trains one step and returns the whole batch's loss."""
    mx.random.seed(0)
    hidden = [part for _ in range(3) for part in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(width, 1))
    optimizer = optim.AdamW(learning_rate=1e-5)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    x = mx.random.normal((rows, width), key=mx.random.key(1))
    y = mx.mean(x, axis=1, keepdims=True)
    group = None if backend == "alone" else mx.distributed.init(backend=backend)
    if group is not None:
        x, y = (mx.split(part, group.size())[group.rank()] for part in (x, y))
    mx.eval(state, x, y)
    loss_and_grad = nn.value_and_grad(model, lambda x, y: mx.mean((model(x) - y) ** 2))

    def step(x: mx.array, y: mx.array) -> mx.array:
        results = loss_and_grad(x, y)
        if group is not None:
            results = nn.average_gradients(results, group)
        loss, gradients = results
        optimizer.update(model, gradients)
        return loss

    if how == "compiled":
        step = mx.compile(step, inputs=state, outputs=state)

    def train_once() -> mx.array:
        loss = step(x, y)
        mx.eval(loss, state)
        return loss

    return train_once


# %%
# The small network keeps a GPU busy for a fraction of the time that starting its operations takes. The large one has so many rows
# that its matrix products fill an H200. The wide ones have few rows, so their gradients are large for the work that makes them.

SMALL, LARGE = (128, 128), (2048, 16_384)
WIDE = {width: (width, 64) for width in (2048, 8192)}


def check() -> None:
    """Assert that the small network's loss is the same plain and compiled."""
    losses = [make_step(*SMALL, "alone", how)().item() for how in ("plain", "compiled")]
    assert abs(losses[1] / losses[0] - 1) < 1e-3


# %%
# The second process
# ------------------
# The script starts itself once more, with the second GPU visible alone. The first process writes a variant's name to the second one:
# a new name asks for its step to be made, a known one for a step to be taken. A number makes the variants of each comparison new
# ones. Where MLX was imported before, as in a notebook, this process sees both GPUs; then nothing is measured on two.

NCCL = mx.distributed.is_available("nccl")
HERE = NCCL and len(GPUS) > 1 and mx.device_count(mx.gpu) == 1
Tell = Callable[[str], None]


def follow() -> None:
    """Join both groups and take the steps that the first process names."""
    join()
    steps: dict[str, Step] = {}
    for line in sys.stdin:
        if line in steps:
            steps[line]()
        else:
            _, width, rows, backend, how = line.split()
            steps[line] = make_step(int(width), int(rows), backend, how)


def join() -> None:
    """Join the group of each backend, and send a first message by itself.

    When the first message was part of a whole step, both processes waited for ever.
    """
    for backend in ("nccl", "ring"):
        group = mx.distributed.init(strict=True, backend=backend)
        mx.eval(mx.distributed.all_sum(mx.ones(1), group=group))


if os.environ.get("TWO_GPUS") == "follow":
    follow()
    sys.exit()

numbers = itertools.count()


def leading(variant: Variant, tell: Tell) -> Callable[[], Step]:
    """Return a function that makes the step of a variant in both processes."""

    def fresh() -> Step:
        name = " ".join(map(str, (next(numbers), *variant)))
        alone = "alone" in variant
        if not alone:
            tell(name)
        step = make_step(*variant)

        def together() -> mx.array:
            if not alone:
                tell(name)
            return step()

        return together

    return fresh


# %%
# NCCL's processes find each other at a port of the first, those of the ring in a file with the address of each. Both backends can be
# used side by side: ``mx.distributed.init(backend=…)`` returns the group of that backend.


def meeting_points(folder: str) -> dict[str, str]:
    """Return the variables by which two processes find each other, of both backends."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        first, second, third = (str(one.getsockname()[1]) for one in sockets)
    hosts = Path(folder, "hosts.json")
    hosts.write_text(json.dumps([[f"127.0.0.1:{first}"], [f"127.0.0.1:{second}"]]))
    ring = {"MLX_HOSTFILE": str(hosts), "MLX_RANK": "0"}
    nccl = {"NCCL_HOST_IP": "127.0.0.1", "NCCL_PORT": third, "MLX_WORLD_SIZE": "2"}
    return ring | nccl


@contextlib.contextmanager
def second_gpu() -> Iterator[Tell]:
    """Make this process the first of two; give a function that writes to the other."""
    with tempfile.TemporaryDirectory() as folder:
        here = meeting_points(folder)
        there = {"MLX_RANK": "1", "CUDA_VISIBLE_DEVICES": GPUS[1], "TWO_GPUS": "follow"}
        modules = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        env = {**os.environ, **here, **there, **modules}
        os.environ |= here
        script = [sys.executable, str(Path(__file__).resolve())]
        with subprocess.Popen(
            script, env=env, stdin=subprocess.PIPE, text=True
        ) as other:
            try:
                join()
                yield lambda line: print(line, file=other.stdin, flush=True)
            except BaseException:
                other.kill()  # it would wait for ever
                raise
            finally:
                for name in here:
                    del os.environ[name]


# %%
# The comparisons
# ---------------
# Both processes join the groups before anything is computed. The small network on one GPU, or on the CPU, is compared on every
# machine.


def no_other(line: str) -> None:
    raise RuntimeError(f"there is no other process for {line}")


second = second_gpu() if HERE else contextlib.nullcontext(no_other)


def measure(
    name: str, baseline: Variant, candidate: Variant, tell: Tell, **options: Any
) -> Comparison:
    """Compare two variants."""
    sides = leading(baseline, tell), leading(candidate, tell)
    return compare(f"two-gpus-{name}", *sides, fresh=True, rtol=1e-2, **options)


def compiling(
    name: str, network: tuple[int, int], backend: str, tell: Tell, **options: Any
) -> Comparison:
    """Compare the plain step of a network with the compiled one."""
    plain, compiled = (*network, backend, "plain"), (*network, backend, "compiled")
    # Without compiled=False, compare() would run the candidate plain in this process
    # alone, to see whether it is compiled, and the messages would get mixed up.
    return measure(name, plain, compiled, tell, compiled=False, **options)


def against(
    name: str, network: tuple[int, int], backend: str, tell: Tell
) -> Comparison:
    """Compare a compiled step with that of the same network over NCCL."""
    other, nccl = (*network, backend, "compiled"), (*network, "nccl", "compiled")
    return measure(name, other, nccl, tell, compiled=False, available=HERE)


with second as tell:
    check()
    alone = [
        compiling("alone-small", SMALL, "alone", tell),
        compiling("alone-large", LARGE, "alone", tell, available=HERE),
    ]
    both = [
        compiling("nccl-small", SMALL, "nccl", tell, available=HERE),
        compiling("nccl-large", LARGE, "nccl", tell, available=HERE),
    ]
    gained = [
        against("second-small", SMALL, "alone", tell),
        against("second-large", LARGE, "alone", tell),
    ]
    backends = [
        against("ring-small", SMALL, "ring", tell),
        against("ring-large", LARGE, "ring", tell),
    ]
    wide = [
        compiling(f"wide-{width}", network, "nccl", tell, available=HERE)
        for width, network in WIDE.items()
    ]
print(f"GPUs: {len(GPUS)}, NCCL: {NCCL}")

# %%
# One GPU
# -------
# One process trains alone with the whole batch, plain and compiled.

table(alone)

# %%
# Two GPUs
# --------
# Each GPU has half of the rows, and NCCL averages the gradients in the middle of the compiled step.

table(both)

# %%
# What the second GPU gains
# -------------------------
# The baseline is the compiled step on one GPU with all rows, the candidate the compiled step on two. A second GPU makes a step
# faster only where the work that it takes over lasts longer than the messages. The small step on one GPU takes longer here than in
# the first table, where it takes turns with the plain step; here it takes turns with a step over NCCL.

table(gained)

# %%
# The ring and NCCL
# -----------------
# The ring backend sends through sockets, so each gradient goes through the memory of the host. The baseline is the compiled step
# with the ring, the candidate the one with NCCL.

table(backends)

# %%
# Large gradients
# ---------------
# The wide networks, plain and compiled over NCCL: three layers of 2048² and of 8192² weights, and 64 rows. The update of the
# optimizer is elementwise and grows with the gradients, and compiling joins its operations.

table(wide)

# %%
# What to take away
# -----------------
# - Start your own script with ``mlx.launch -n 2 --backend nccl "$(which python)" script.py``; each process sees one GPU.
# - Average inside the compiled step, with NCCL as with the ring.
# - Evaluate a small ``all_sum`` right after ``init``, so that the processes connect before the first step.
# - Compare with one GPU before you take two: a small step gets slower.
#
# Where to go next
# ----------------
# *Many processes* checks that two processes train as one does, over NCCL too. The page *Training*, "Two GPUs", lists what works over
# the ring and not over NCCL.
