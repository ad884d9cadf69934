"""Backends: what the CPU, Metal and CUDA builds of MLX can do, and what they need for it."""

from __future__ import annotations

import sys
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import NEEDS_GPU, arrow, compiled_graph, gpu, missing, outcome, raised
from ._sources import DOCS, GUIDE, METALFAISS

NOTES_BACKENDS = f"{METALFAISS}, backend support"


@claim(
    "apple-only",
    "MLX runs on Apple hardware only.",
    source=f"{METALFAISS}, notes for PyTorch users",
    answer="No: there are CPU and CUDA builds for Linux.",
)
def _(mx: Any) -> Seen:
    if sys.platform == "darwin":
        return Seen(None, "this is Apple hardware")
    value = (mx.array([1.0]) + 1).tolist()
    return Seen(value != [2.0], f"on {sys.platform}, {gpu(mx) or 'CPU'}: 1 + 1 gives {value}")


@claim(
    "compile-needs-gpu",
    "mx.compile is of use on a GPU only.",
    source=GUIDE,
    answer="No: the CPU backend fuses too; what it gains there, the gallery measures.",
)
def _(mx: Any) -> Seen:
    with mx.stream(mx.cpu):
        names = compiled_graph(mx, lambda x: mx.exp(-x) + 1, mx.ones((4,)))
    return Seen(not names[0].startswith("Compiled"), f"exp(-x) + 1 on the CPU becomes {arrow(names)}")


@claim(
    "gpu-fuses",
    "mx.compile fuses on the GPU.",
    source=f"{DOCS}, Example Speedup",
    answer="Yes, on Metal and on CUDA.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU
    names = compiled_graph(mx, lambda x: mx.exp(-x) + 1, mx.ones((4,)))
    value = mx.compile(lambda x: mx.exp(-x) + 1)(mx.zeros((2,))).tolist()
    return Seen(
        names[0].startswith("Compiled") and value == [2.0, 2.0],
        f"on {gpu(mx)}: {arrow(names)}, value {value}",
    )


@claim(
    "gpu-everywhere",
    "mx.gpu can be named in any build; without a GPU, MLX falls back to the CPU.",
    source="a habit from PyTorch",
    answer="No: naming it without one raises; ask mx.is_available(mx.gpu), or leave the default device alone.",
)
def _(mx: Any) -> Seen:
    if gpu(mx):
        return Seen(None, "this machine has a GPU")
    seen = outcome(lambda: mx.exp(mx.zeros((2,)), stream=mx.gpu).tolist())
    return Seen(seen == "[1.0, 1.0]", seen)


@claim(
    "default-device-gpu",
    "MLX chooses the GPU by itself.",
    source=f"{METALFAISS}, devices and streams",
    answer="Yes where its build has one; a CPU build chooses the CPU.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU
    return Seen("gpu" in str(mx.default_device()), str(mx.default_device()))


@claim(
    "metal-question-anywhere",
    "mx.metal.is_available() fails where there is no Metal.",
    source=GUIDE,
    answer="No: it answers False, so it can be asked anywhere.",
)
def _(mx: Any) -> Seen:
    seen = outcome(mx.metal.is_available)
    return Seen(seen not in ("True", "False"), f"mx.metal.is_available(): {seen}")


def _call_kernel(mx: Any, name: str, source: str) -> str:
    """Make and run a custom kernel on the default device; return its values or the exception's text."""

    def run() -> Any:
        make = getattr(mx.fast, name)
        kernel = make(name="guide_copy", input_names=["inp"], output_names=["out"], source=source)
        x = mx.array([1.0, 2.0])
        shape = {
            "grid": (2, 1, 1),
            "threadgroup": (2, 1, 1),
            "output_shapes": [(2,)],
            "output_dtypes": [mx.float32],
        }
        return kernel(inputs=[x], **shape)[0].tolist()

    return outcome(run)


@claim(
    "metal-kernel-elsewhere",
    "mx.fast.metal_kernel is translated for other backends.",
    source="a habit from other frameworks",
    answer="No: it needs Metal; write a second kernel with mx.fast.cuda_kernel, or plain MLX operations as a fallback.",
)
def _(mx: Any) -> Seen:
    if gpu(mx) == "Metal":
        return Seen(None, "this backend is Metal itself")
    if not hasattr(mx.fast, "metal_kernel"):
        return Seen(None, "no mx.fast.metal_kernel in this version")
    seen = _call_kernel(mx, "metal_kernel", "uint i = thread_position_in_grid.x; out[i] = inp[i];")
    return Seen(seen == "[1.0, 2.0]", seen)


@claim(
    "cuda-kernel-elsewhere",
    "mx.fast.cuda_kernel is translated for other backends.",
    source="a habit from other frameworks",
    answer="No: it needs CUDA.",
)
def _(mx: Any) -> Seen:
    if gpu(mx) == "CUDA":
        return Seen(None, "this backend is CUDA itself")
    if not hasattr(mx.fast, "cuda_kernel"):
        return Seen(None, "no mx.fast.cuda_kernel in this version")
    index = "auto i = cooperative_groups::this_grid().thread_rank();"
    seen = _call_kernel(mx, "cuda_kernel", f"{index} out[i] = inp[i];")
    return Seen(seen == "[1.0, 2.0]", seen)


CPU_ONLY = ("softmax", "sort", "argsort", "argmax", "reshape", "squeeze", "expand_dims", "contiguous")


@claim(
    "listed-operations-cpu-only",
    "Softmax, sort, argmax, reshape and contiguous run on the CPU only.",
    source=NOTES_BACKENDS,
    answer="No: they run on the GPU as well.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU
    arguments = {"softmax": (1,), "reshape": ((2, 1),), "expand_dims": (0,)}
    x = mx.array([[2.0, 1.0]])

    def on_gpu(name: str) -> str:
        return raised(lambda: mx.eval(getattr(mx, name)(x, *arguments.get(name, ()), stream=mx.gpu)))

    failed = [name for name in CPU_ONLY if on_gpu(name)]
    return Seen(failed == list(CPU_ONLY), f"of {len(CPU_ONLY)} operations {len(failed)} fail on {gpu(mx)}: {failed}")


@claim(
    "linalg-needs-cpu-stream",
    "mx.linalg.svd and qr need stream=mx.cpu.",
    source=NOTES_BACKENDS,
    answer="On a GPU yes: without it they raise; a compiled function may hold both kinds of work.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU

    def on_default(name: str) -> str:
        return raised(lambda: mx.eval(getattr(mx.linalg, name)(mx.ones((2, 2)))))

    seen = {name: on_default(name) for name in ("svd", "qr")}
    return Seen(all(seen.values()), "; ".join(f"{name}: {text or 'works'}" for name, text in seen.items()))


@claim(
    "float64-cpu-only",
    "float64 works on the CPU only.",
    source=f"{METALFAISS}, notes for PyTorch users",
    answer="Yes: on a GPU an operation in float64 raises; give it stream=mx.cpu.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, "float64"):
        return absent
    if not gpu(mx):
        return NEEDS_GPU
    seen = raised(lambda: mx.eval(mx.exp(mx.array([0.1], dtype=mx.float64), stream=mx.gpu)))
    fine = raised(lambda: mx.eval(mx.exp(mx.array([0.1], dtype=mx.float64), stream=mx.cpu)))
    return Seen(bool(seen) and not fine, f"on the GPU: {seen or 'works'}; with stream=mx.cpu: {fine or 'works'}")
