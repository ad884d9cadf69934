"""What checks share: count traces and kernels, read graphs, catch exceptions, run a risky call in a child process."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, scrub

KERNEL_SUFFIXES = (".so", ".ptx", ".cubin")
NEEDS_GPU = Seen(None, "needs a GPU; this MLX runs on the CPU")
_CHILD = """
import importlib, json, sys
module, name, mx, arguments = sys.argv[1:5]
result = getattr(importlib.import_module(module), name)(importlib.import_module(mx), *json.loads(arguments))
print("\\n" + json.dumps(result))
"""


class Counted:
    """A function that counts how often its body ran: under ``mx.compile`` that is the number of traces."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        """Wrap ``fun``; do so before ``mx.compile`` gets it."""
        self.fun = fun
        self.runs = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body once more."""
        self.runs += 1
        return self.fun(*args, **kwargs)


def traces(mx: Any, body: Callable[..., Any], *calls: tuple[Any, ...], **options: Any) -> list[int]:
    """Compile ``body``, make the calls (tuples of arguments), and return the traces after each."""
    counted = Counted(body)
    compiled = mx.compile(counted, **options)
    runs = []
    for arguments in calls:
        compiled(*arguments)
        runs.append(counted.runs)
    return runs


def raised(thunk: Callable[[], Any]) -> str:
    """Return ``Type: message`` of the exception that the call raises, empty when it raises none."""
    try:
        thunk()
    except Exception as error:  # any type is an observation
        return scrub(f"{type(error).__name__}: {error}")
    return ""


def outcome(thunk: Callable[[], Any]) -> str:
    """Return the ``repr`` of what the call returns, or ``Type: message`` of what it raises."""
    try:
        return scrub(repr(thunk()))
    except Exception as error:
        return scrub(f"{type(error).__name__}: {error}")


def brief(text: str, limit: int = 160) -> str:
    """Return the text cut to ``limit`` characters: a build error goes on with command and compiler output."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def has(thing: Any, *names: str) -> Seen:
    """Holds when the thing has all the attributes; shows the message for the first that it lacks."""
    for name in names:
        message = raised(partial(getattr, thing, name))
        if message:
            return Seen(False, message)
    return Seen(True, f"it has {', '.join(names)}")


def missing(mx: Any, *names: str) -> Seen | None:
    """Return the outcome "cannot be decided" if this MLX lacks one of the names, else None."""
    for name in names:
        if not hasattr(mx, name):
            return Seen(None, f"no mx.{name} in this version")
    return None


def optional(name: str) -> Any:
    """Import a module that an old MLX may lack; None when it does."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def gpu(mx: Any) -> str:
    """Return "Metal" or "CUDA" when this MLX can use such a GPU, else an empty text."""
    for name, label in (("metal", "Metal"), ("cuda", "CUDA")):
        backend = getattr(mx, name, None)
        if backend is not None and backend.is_available():
            return label
    return ""


def near(mx: Any, left: Any, right: Any, tolerance: float = 1e-5) -> bool:
    """Say whether two arrays have one shape and dtype and the same values within a tolerance."""
    same = left.shape == right.shape and left.dtype == right.dtype
    return same and bool(mx.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True).item())


def kernel_files() -> set[str]:
    """Return the names of the kernels that MLX keeps in the temporary folder (CPU and CUDA backends)."""
    folder = Path(tempfile.gettempdir())
    return {path.stem for suffix in KERNEL_SUFFIXES for path in folder.rglob(f"*{suffix}")}


def kernels_built(thunk: Callable[[], Any]) -> int:
    """Run the call and return how many kernels appeared on disk; for an empty kernel cache only."""
    before = kernel_files()
    thunk()
    return len(kernel_files() - before)


def by_kernels(built: list[int], holds: bool, observed: str) -> Seen:
    """Return what was seen, or "cannot be decided" where no kernel file appeared at all."""
    return Seen(holds, observed) if any(built) else Seen(None, "no kernel file appeared in the temporary folder")


def graph(mx: Any, *arrays: Any) -> list[str]:
    """Return the operations in the graph of unevaluated arrays; a fused kernel is one ``Compiled…``."""
    dot = io.StringIO()
    mx.export_to_dot(dot, *arrays)
    return re.findall(r'\[label ="([^"]*)"', dot.getvalue())


def fused(mx: Any, *arrays: Any) -> int:
    """Return how many fused kernels the graph of unevaluated arrays holds."""
    return sum(name.startswith("Compiled") for name in graph(mx, *arrays))


def compiled_graph(mx: Any, fun: Callable[..., Any], *inputs: Any) -> list[str]:
    """Return the operations left after ``mx.compile`` has fused what it can, from evaluated inputs."""
    mx.eval(*inputs)
    outputs = mx.compile(fun)(*inputs)
    return graph(mx, *(outputs if isinstance(outputs, tuple) else (outputs,)))


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


def arrow(names: list[str]) -> str:
    """Return a graph's operations as one line."""
    return " → ".join(names)


@dataclass(frozen=True)
class Ended:
    """How a child process ended, by exit status or the signal's name, and what it returned."""

    how: str
    result: Any = None

    @property
    def crashed(self) -> bool:
        """True when a signal ended the process or a C++ exception aborted it."""
        return self.how.startswith("SIG")


def in_child(
    mx: Any, function: Callable[..., Any], *args: Any, env: dict[str, str] | None = None, limit_s: float = 60
) -> Ended:
    """Call a function of a module with MLX and ``args`` in a fresh process, where a crash harms nothing.

    Args:
        mx: the MLX module; the child imports it by its name.
        function: importable by name; takes ``mx`` and ``args``; returns something JSON can hold.
        args: what JSON can hold.
        env: environment variables to set in the child.
        limit_s: seconds after which the child is killed; that counts as SIGKILL.
    """
    argv = [function.__module__, function.__name__, mx.__name__, json.dumps(args)]
    path = os.pathsep.join(p for p in sys.path if p)
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, *argv],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, errors = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, errors = child.communicate()
    return _ended(child.returncode, out, errors)


def _ended(code: int, out: str, errors: str) -> Ended:
    if code == 0:
        return Ended("exit 0", json.loads(out.splitlines()[-1]))
    if code < 0:
        return Ended(signal.Signals(-code).name)
    last = errors.strip().splitlines()[-1:] or [""]
    return Ended(f"exit {code}: {scrub(last[0])}")


def survives(mx: Any, function: Callable[..., Any], expected: Any) -> Seen:
    """Run a check's risky part in a child process; holds when it comes back with ``expected``."""
    ended = in_child(mx, function)
    if ended.how == "exit 0":
        return Seen(ended.result == expected, f"the process ended well: {ended.result}")
    return Seen(False, brief(f"the process ended with {ended.how}"))
