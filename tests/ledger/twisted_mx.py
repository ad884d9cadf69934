"""A stand-in for ``mlx.core``: the real one, changed by the Python lines in the environment variable TWIST.

A check gets this module as its ``mx``. A check that starts a process of its own names the module there, so
that the twist holds in the child too. The lines see ``mx`` and the names below.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx


def off(value: Any) -> Any:
    """Return an array, or a tuple of arrays, with every value wrong."""
    if isinstance(value, tuple):
        return tuple(off(part) for part in value)
    return mx.logical_not(value) if value.dtype == mx.bool_ else value + mx.array(1, dtype=value.dtype)


def eager() -> None:
    """Compile nothing: a compiled function is the plain one."""
    mx.compile = lambda fun, *_, **__: fun


def wrong() -> None:
    """Let compiled functions return wrong values."""
    mx.compile = lambda fun, *_, **__: lambda *args: off(fun(*args))


class Kept:
    """A compiled function that can be copied and pickled, and that runs its body once."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        """Wrap a function, a bound method or an object that can be called."""
        self.fun = fun
        self.results: list[Any] = []
        self.__self__ = getattr(fun, "__self__", fun)

    def __call__(self, *args: Any) -> Any:
        """Return what the body gave at the first call."""
        if not self.results:
            self.results.append(self.fun(*args))
        return self.results[0]


def memo() -> None:
    """Run a compiled function's body once ever, whatever comes later."""
    seen: dict[Any, Any] = {}

    def compiled(fun: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        return lambda *args: seen[fun] if fun in seen else seen.setdefault(fun, fun(*args))

    mx.compile = compiled


def raising(kind: type[Exception] = ValueError) -> Callable[..., Any]:
    """Return a function that raises, whatever it gets."""

    def fail(*_: Any, **__: Any) -> Any:
        raise kind("twisted")

    return fail


def crash() -> None:
    """Let a compiled function end the process."""
    mx.compile = lambda fun, *_, **__: lambda *args: os.abort()


def one_node(name: str = "CompiledAll") -> None:
    """Let every graph look like this one operation."""
    mx.export_to_dot = lambda file, *_: file.write(f'{{ "1" [label ="{name}", shape=rectangle]; }}\n')


def counting(first: float = 0.0) -> Callable[..., Any]:
    """Return a function that returns another number at each call."""
    numbers = itertools.count(first)
    return lambda *_, **__: mx.array(float(next(numbers)))


def evaluated(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that evaluates what ``fun`` returns."""

    def run(*args: Any, **kwargs: Any) -> Any:
        value = fun(*args, **kwargs)
        mx.eval(value)
        return value

    return run


def with_gpu(alias: bool = True) -> None:
    """Say that there is a Metal GPU; with ``alias``, work sent to it is done by the CPU."""
    mx.metal.is_available = lambda: True
    if alias:
        mx.gpu = mx.cpu


def doubling_kernel(*_: Any, **__: Any) -> Any:
    """Stand in for mx.fast.metal_kernel: a kernel that doubles."""
    return lambda inputs, **_: [inputs[0] + inputs[0]]


def copying_kernel(*_: Any, **__: Any) -> Any:
    """Stand in for mx.fast.metal_kernel and cuda_kernel: a kernel that copies."""
    return lambda inputs, **_: [inputs[0] + 0]


def wipe_kernels() -> None:
    """Delete the kernels that earlier processes left in the temporary folder."""
    for path in Path(tempfile.gettempdir()).rglob("*.so"):
        path.unlink()


def leave_kernel_each_call() -> None:
    """Let every call of a compiled function leave another kernel file."""
    mx.compile = lambda fun, *_, **__: lambda *args: (_leave_kernel(), fun(*args))[1]


def _leave_kernel() -> None:
    file, _ = tempfile.mkstemp(suffix=".so")
    os.close(file)


def write_kernel_directly() -> None:
    """Let a compiled function call the compiler with the final file's name, as MLX did before 0.32.4."""
    argv = ["g++", "-x", "c++", "-shared", "-o", f"{tempfile.gettempdir()}/kernel.so", "/dev/null"]
    mx.compile = lambda fun, *_, **__: lambda *args: (subprocess.run(argv, check=True), fun(*args))[1]


exec(os.environ.get("TWIST", ""), {**globals(), "contextlib": contextlib, "glob": glob})


def __getattr__(name: str) -> Any:
    return getattr(mx, name)


def __dir__() -> list[str]:
    return dir(mx)
