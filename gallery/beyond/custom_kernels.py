"""
Custom kernels: in compile, out of it, and in many bands
========================================================

A custom kernel is GPU code in a string. You will learn what compiling does to a function that calls one, how it
compares with the same formula in compiled MLX, and what it costs to dispatch a kernel for many small bands instead of
once.
"""

# sphinx_gallery_tags = ["custom kernels", "fusion", "speed"]
import io
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Comparison, compare, table

# %%
# The question
# ------------
# People who port GPU programs to MLX bring kernels along, and run them thousands of times on parts of their data. One
# of them measured that this was slower than expected
# (`ml-explore/mlx#1828 <https://github.com/ml-explore/mlx/issues/1828>`__), others ask what else of MLX goes together with
# such kernels (`#2747 <https://github.com/ml-explore/mlx/issues/2747>`__). So: does compiling help, and what does a
# dispatch cost?
#
# The formula
# -----------
# A *gate* decides how much of a value passes. In language models each layer does it millions of times. In plain MLX it is
# a chain of elementwise operations, which compile fuses into one kernel.


def gated(gate: mx.array, value: mx.array) -> mx.array:
    return gate * mx.sigmoid(gate) * value


few = mx.array([[0.0, 1.0], [-2.0, 50.0]])
assert mx.allclose(gated(few, mx.ones((2, 2))), few / (1 + mx.exp(-few)), atol=1e-6)

# %%
# The same as a kernel
# --------------------
# :func:`mlx.core.fast.metal_kernel` takes the body of a Metal function, :func:`mlx.core.fast.cuda_kernel` that of a CUDA
# one; MLX writes the signature around it from the names of inputs and outputs. Each thread computes one element here.
# Metal starts as many threads as the grid says. CUDA fills up the last block, so that some threads have no element. The
# test in the second line is for them, and does no harm on Metal.

BODY = {
    "metal": """
        uint element = thread_position_in_grid.x;
        if (element >= uint(gate_shape[0]) * uint(gate_shape[1])) return;
        T g = gate[element];
        out[element] = g / (T(1) + metal::exp(-g)) * value[element];
    """,
    "cuda": """
        auto element = cooperative_groups::this_grid().thread_rank();
        if (element >= size_t(gate_shape[0]) * size_t(gate_shape[1])) return;
        T g = gate[element];
        out[element] = g / (T(1) + exp(-g)) * value[element];
    """,
}


def build_kernel() -> Callable[..., list[mx.array]] | None:
    """Return the kernel for the GPU that MLX uses here, or None where it uses none."""
    if mx.default_device() == mx.Device(mx.cpu):
        return None
    if mx.metal.is_available():
        return mx.fast.metal_kernel("gated", ["gate", "value"], ["out"], BODY["metal"])
    return mx.fast.cuda_kernel("gated", ["gate", "value"], ["out"], BODY["cuda"])


KERNEL = build_kernel()


def gated_by_kernel(gate: mx.array, value: mx.array) -> mx.array:
    """Return the gated values of two matrices of one shape; needs a GPU."""
    return KERNEL(
        inputs=[gate, value],
        template=[("T", gate.dtype)],
        grid=(gate.size, 1, 1),
        threadgroup=(256, 1, 1),
        output_shapes=[gate.shape],
        output_dtypes=[gate.dtype],
    )[0]


keys = mx.random.split(mx.random.key(0), 3)
gate, value, more = (mx.random.normal((512, 512), key=key) for key in keys)
if KERNEL:
    assert mx.allclose(
        gated_by_kernel(gate, value), gated(gate, value), rtol=1e-4, atol=1e-5
    )
    print("The kernel agrees with plain MLX.")
else:
    print("Not on this machine: MLX runs on the CPU here, which has no custom kernels.")

# %%
# A Metal kernel runs on Metal only, a CUDA kernel on CUDA only. One might expect that MLX translates them
# (:claim:`metal-kernel-elsewhere`, :claim:`cuda-kernel-elsewhere`); it doesn't, so a program for all machines keeps the
# plain version anyway.
#
# What compile does with it
# -------------------------
# Put the kernel between other operations, as it would be in a model. The graph of the result shows what is left to run.


def around_plain(gate: mx.array, value: mx.array, more: mx.array) -> mx.array:
    return gated(0.5 * gate + 1, value) * more + more


def around_kernel(gate: mx.array, value: mx.array, more: mx.array) -> mx.array:
    return gated_by_kernel(0.5 * gate + 1, value) * more + more


def boxes(result: mx.array) -> int:
    """Count what a result waits for, without broadcasts: they compute nothing."""
    graph = io.StringIO()
    mx.export_to_dot(graph, result)
    return graph.getvalue().count("shape=rectangle") - graph.getvalue().count(
        '"Broadcast"'
    )


mx.eval(gate, value, more)
for name, function in {
    "plain MLX": around_plain,
    "with the kernel": around_kernel,
}.items():
    if KERNEL or function is around_plain:
        plain = boxes(function(gate, value, more))
        compiled = boxes(mx.compile(function)(gate, value, more))
        print(f"{name}: {plain} operations, compiled {compiled}")
    else:
        print(f"{name}: not on this machine")

# %%
# Plain MLX becomes a single kernel. With the custom kernel there are three at best: one before it, itself, one after it.
# That compiling fuses the neighbors into it is a claim of the ledger (:claim:`fusion-into-kernel`), and so is what is left
# to gain around a kernel alone (:claim:`kernel-wrapper-parity`).
#
# Against the compiled plain version
# ----------------------------------
# Three comparisons. The first can be made everywhere: what fusing gains for plain MLX. The second is the kernel inside a
# compiled function against that same function without ``compile``. The third is the decision that matters: plain MLX
# compiled, against the kernel, also compiled.

moved = 4 * gate.nbytes
parts = (gate, value, more)
here = KERNEL is not None
fused = mx.compile(around_plain)
with_kernel = mx.compile(around_kernel)
loose = {"rtol": 1e-4, "atol": 1e-4}
versions = [
    compare("kernel-plain", around_plain, fused, *parts, bytes_moved=moved, **loose),
    compare(
        "kernel-compiled",
        around_kernel,
        with_kernel,
        *parts,
        available=here,
        bytes_moved=moved,
        **loose,
    ),
    compare(
        "kernel-against-plain",
        fused,
        with_kernel,
        *parts,
        available=here,
        bytes_moved=moved,
        **loose,
    ),
]
table(versions)

# %%
# The same on every machine that could make the comparison and has a record here:
#
# .. comparison:: kernel-compiled kernel-against-plain
#    :elsewhere:
#
# In the second of them a ratio below 1 means that plain MLX, compiled, is the faster one. For elementwise work it has all
# the advantages: it knows the neighbors. A kernel pays where MLX has no operation for what you do, or where several steps
# share data in a way that a chain of operations can't.
#
# Many bands
# ----------
# Data that come in bands tempt one to dispatch the kernel band by band. It is the same work, but each dispatch has a price
# of its own, which no compiler takes away. Here plain MLX's fused kernel runs on the whole matrix (the baseline), and on
# 4, 16 and 64 bands of its rows (the candidates). A candidate below 1 is the slower one.


def in_bands(count: int) -> Callable[..., list[mx.array]]:
    """Return a function that calls the fused kernel for each of ``count`` bands."""

    def banded(*inputs: mx.array) -> list[mx.array]:
        return [
            fused(*band) for band in zip(*(x.split(count) for x in inputs), strict=True)
        ]

    return banded


def whole_then_cut(count: int) -> Callable[..., list[mx.array]]:
    """Return a function that calls the fused kernel once and cuts its result."""
    return lambda *inputs: fused(*inputs).split(count)


def against_whole(count: int) -> Comparison:
    name = f"kernel-bands-{count}"
    return compare(name, whole_then_cut(count), in_bands(count), *parts, **loose)


BANDS = (4, 16, 64)
bands = [against_whole(count) for count in BANDS]
table(bands)

# %%
# The bands all have one shape, so there is one trace. The kernel is the one that was built above
# (:claim:`shape-reuses-kernel`).

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
made = [
    (count, c) for count, c in zip(BANDS, bands, strict=True) if c.ratio is not None
]
ax.plot(
    [n for n, _ in made],
    [1e3 * c.candidate_s for _, c in made],
    "o-",
    label="a dispatch for each band",
)
ax.plot(
    [n for n, _ in made],
    [1e3 * c.baseline_s for _, c in made],
    "s--",
    color="0.4",
    label="one dispatch, then cut",
)
ax.set_xscale("log", base=2)
ax.set_xticks(BANDS, [str(count) for count in BANDS])
ax.set(xlabel="bands", ylabel="ms for the whole matrix", ylim=(0, None))
ax.set_title("One matrix in more and more bands: what dispatches cost")
ax.legend()

# %%
# With and without CUDA graphs
# ----------------------------
# On CUDA, MLX doesn't start its kernels one by one: it collects them into a *CUDA graph*, which the GPU starts as a whole.
# ``MLX_USE_CUDA_GRAPHS=0`` switches that off (`#2545 <https://github.com/ml-explore/mlx/pull/2545>`__). A graph saves what
# compiling saves, too: the price of starting many kernels. Whether the two should be one thing has been discussed
# (`#2359 <https://github.com/ml-explore/mlx/issues/2359>`__). What do graphs gain for a plain chain of small operations,
# and what is left of that once the chain is compiled?
#
# MLX's source shows that a process reads the variable once. So each side is a process of its own, and a call makes it run
# the chain twenty times.

CHAIN = """
import sys
import mlx.core as mx

def chain(x):
    for _ in range(30):
        x = mx.sin(x) + x
    return x

step = mx.compile(chain) if sys.argv[1] == "compiled" else chain
x = mx.linspace(0, 1, 1000)
for _ in sys.stdin:
    for _ in range(20):
        y = step(x)
        mx.eval(y)
    print(mx.sum(y).item(), flush=True)
"""


class Worker:
    """Another process, started when it is first needed, that runs the chain."""

    def __init__(self, how: str, graphs: str) -> None:
        self.how, self.graphs = how, graphs

    @cached_property
    def process(self) -> subprocess.Popen[str]:
        env = {**os.environ, "MLX_USE_CUDA_GRAPHS": self.graphs}
        argv = [sys.executable, "-c", CHAIN, self.how]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, text=True)

    def __call__(self) -> mx.array:
        print(file=self.process.stdin, flush=True)
        return mx.array(float(self.process.stdout.readline()))


def with_and_without_graphs(how: str) -> Comparison:
    off, on = Worker(how, "0"), Worker(how, "1")
    cuda = here and not mx.metal.is_available()
    return compare(f"kernel-graphs-{how}", off, on, compiled=False, available=cuda)


table([with_and_without_graphs(how) for how in ("plain", "compiled")])

# %%
# The baseline runs without graphs, the candidate with them. Metal and the CPU have no such thing, so there the table says
# "not on this machine"; the end of this page has the numbers of machines with CUDA.
#
# Exported with its kernel
# ------------------------
# A function that calls a custom kernel could not be written to a file once; #2747 asked for it. Where there is a GPU, this
# tries it: export, import, compile again, compare.

if KERNEL:
    with TemporaryDirectory() as folder:
        mx.export_function(f"{folder}/gated.mlxfn", gated_by_kernel, gate, value)
        imported = mx.compile(mx.import_function(f"{folder}/gated.mlxfn"))
        (result,) = imported(gate, value)
        assert mx.allclose(result, gated(gate, value), rtol=1e-4, atol=1e-5)
    print("The imported kernel agrees with plain MLX.")
else:
    print("Not on this machine.")

# %%
# What to take away
# -----------------
# - Write the formula in plain MLX first, and compile it. That is the version that runs everywhere, and the one to beat.
# - Compiling a function with a custom kernel is fine. It fuses what is around the kernel, and leaves the kernel alone.
# - Neighbors that are cheap belong into the kernel's source: write what you multiply or add into it yourself.
# - Dispatch once over all data. Where bands can't be avoided, make them few.
# - On CUDA leave graphs on; switch them off to find out whether a fault is theirs.
#
# Where to go next
# ----------------
# *GELU* is about what fusion gains; *MetalFaiss notes* wraps a kernel that multiplies matrices; *Exporting* writes
# functions to files.
