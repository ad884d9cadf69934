"""What checks on backends, threads, numerics and fusion share: a thread, a GPU, a risky call, equal bits."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import Seen
from ._tools import graph, in_child, raised, scrub

NEEDS_GPU = Seen(None, "needs a GPU; this MLX runs on the CPU")


def brief(text: str, limit: int = 160) -> str:
    """Return the text cut to ``limit`` characters: a build error goes on with command and compiler output."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def gpu(mx: Any) -> str:
    """Return "Metal" or "CUDA" when this MLX can use such a GPU, else an empty text."""
    for name, label in (("metal", "Metal"), ("cuda", "CUDA")):
        backend = getattr(mx, name, None)
        if backend is not None and backend.is_available():
            return label
    return ""


def in_thread(thunk: Callable[[], Any]) -> Any:
    """Call ``thunk`` in a new thread and return what it returns, or ``Type: message`` of what it raises."""
    seen: list[Any] = []

    def run() -> None:
        try:
            seen.append(thunk())
        except Exception as error:  # any type is an observation
            seen.append(scrub(f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen[0]


def kernels(names: list[str]) -> list[str]:
    """Return the nodes of a graph that are work of their own: a change of shape alone computes nothing."""
    free = {
        "Broadcast",
        "Squeeze",
        "ExpandDims",
        "Reshape",
        "Flatten",
        "Unflatten",
        "Transpose",
        "StopGradient",
    }
    return [name for name in names if name not in free]


def compiled_graph(mx: Any, fun: Callable[..., Any], *inputs: Any) -> list[str]:
    """Return the operations left after ``mx.compile`` has fused what it can, from evaluated inputs."""
    mx.eval(*inputs)
    outputs = mx.compile(fun)(*inputs)
    return graph(mx, *(outputs if isinstance(outputs, tuple) else (outputs,)))


def arrow(names: list[str]) -> str:
    """Return a graph's operations as one line."""
    return " → ".join(names)


def spread(mx: Any, size: int = 4096, dtype: Any = None) -> tuple[Any, Any]:
    """Return two evaluated vectors of values between -6 and 6, the same on every machine."""
    dtype = mx.float32 if dtype is None else dtype
    steps = mx.arange(size)
    x = ((steps * 37 % size).astype(mx.float32) * (12 / size) - 6).astype(dtype)
    y = ((steps * 101 % size).astype(mx.float32) * (12 / size) - 6).astype(dtype)
    mx.eval(x, y)
    return x, y


def differing(mx: Any, fun: Callable[..., Any], *inputs: Any) -> tuple[int, float]:
    """Return in how many values the compiled function differs from the plain one, and by how much at most."""
    plain, compiled = fun(*inputs), mx.compile(fun)(*inputs)
    mx.eval(plain, compiled)
    count = int(mx.sum(plain != compiled).item())
    apart = mx.abs(plain.astype(mx.float32) - compiled.astype(mx.float32))
    return count, float(mx.max(apart).item())


def same_bits(mx: Any, fun: Callable[..., Any], *inputs: Any) -> Seen:
    """Compare the compiled function with the plain one, value by value; holds when no value differs."""
    count, most = differing(mx, fun, *inputs)
    words = f"{count} of {fun(*inputs).size} values differ" + (f", by {most:.1e} at most" if count else "")
    return Seen(count == 0, words)


def survives(mx: Any, function: Callable[..., Any], expected: Any) -> Seen:
    """Run a check's risky part in a child process; holds when it comes back with ``expected``."""
    ended = in_child(mx, function)
    if ended.how == "exit 0":
        return Seen(ended.result == expected, f"the process ended well: {ended.result}")
    return Seen(False, brief(f"the process ended with {ended.how}"))


def fake_compiler(script: str) -> str:
    """Write a program named ``g++`` into a folder of its own; return the folder, to be put before PATH."""
    folder = Path(tempfile.mkdtemp())
    program = folder / "g++"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(folder)


def double_kernel(mx: Any) -> Callable[[Any], Any]:
    """Return a function that doubles a float32 vector by a GPU kernel of our own, on Metal or CUDA.

    Source of the signatures: MLX's API pages of mx.fast.metal_kernel and mx.fast.cuda_kernel. The grid counts
    threads on both; one thread group covers the whole vector, so no index passes its end.
    """
    make, index = {
        "Metal": (getattr(mx.fast, "metal_kernel", None), "uint i = thread_position_in_grid.x;"),
        "CUDA": (
            getattr(mx.fast, "cuda_kernel", None),
            "auto i = cooperative_groups::this_grid().thread_rank();",
        ),
    }[gpu(mx)]
    assert make is not None, "gpu() says there is one, so MLX has the function"
    kernel = make(
        name="guide_double",
        input_names=["inp"],
        output_names=["out"],
        source=f"{index} out[i] = inp[i] + inp[i];",
    )

    def double(x: Any) -> Any:
        size = (x.size, 1, 1)
        out = kernel(inputs=[x], grid=size, threadgroup=size, output_shapes=[x.shape], output_dtypes=[x.dtype])
        return out[0]

    return double


def available_compiler() -> bool:
    """Say whether a C++ compiler named g++ is found, which MLX's CPU backend calls to build its kernels."""
    try:
        return subprocess.run(["g++", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def on_linux_cpu(mx: Any) -> bool:
    """Say whether kernels are built by g++ here: MLX's CPU backend on Linux."""
    return not gpu(mx) and sys.platform == "linux" and available_compiler()


def has(thing: Any, *names: str) -> Seen:
    """Holds when the thing has all the attributes; shows the message for the first that it lacks."""
    for name in names:
        message = raised(partial(getattr, thing, name))
        if message:
            return Seen(False, message)
    return Seen(True, f"it has {', '.join(names)}")
