"""Inventories for intersphinx, made from the packages installed here, so that a build needs no network.

An inventory lists names and the page that describes each. MLX, Python, NumPy and matplotlib all lay their
reference pages out by rule, so a name is enough to know its address. The rules for MLX were read off its
published pages (versions 0.31 and 0.32).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from platform import python_version_tuple
from types import ModuleType
from typing import Any

from sphinx.util import logging

from compile_guide._prerequisites import mlx_fault

MLX = "https://ml-explore.github.io/mlx/build/html/"
PYTHON = "https://docs.python.org/3/"
NUMPY = "https://numpy.org/doc/stable/"
MATPLOTLIB = "https://matplotlib.org/stable/"
ADDRESSES = {"python": PYTHON, "mlx": MLX, "numpy": NUMPY, "matplotlib": MATPLOTLIB}

MLX_MODULES = {
    "mlx.core": "ops", "mlx.core.fast": "fast", "mlx.core.fft": "fft", "mlx.core.linalg": "linalg",
    "mlx.core.random": "random", "mlx.core.metal": "metal", "mlx.core.cuda": "cuda",
    "mlx.core.distributed": "distributed",
    "mlx.nn": "nn", "mlx.nn.losses": "nn/losses", "mlx.nn.init": "nn/init",
    "mlx.optimizers": "optimizers", "mlx.utils": "tree_utils",
}  # fmt: skip
MLX_GUIDES = (
    "install", "usage/quick_start", "usage/lazy_evaluation", "usage/unified_memory", "usage/indexing",
    "usage/compile", "usage/function_transforms", "usage/numpy", "usage/using_streams", "usage/export",
    "dev/custom_metal_kernels",
)  # fmt: skip
MLX_OPTIMIZER = "mlx.optimizers.Optimizer"
MLX_METHODS = tuple(f"{MLX_OPTIMIZER}.{method}" for method in ("apply_gradients", "init", "state", "update"))
"""The methods of a class that have pages of their own; those of ``array`` and ``Module`` all have."""
MLX_PAGES = {
    "mlx.nn.Module": "nn/module",
    MLX_OPTIMIZER: "optimizers/optimizer",
    "mlx.core.Stream": "_autosummary/stream_class",
}
MLX_COMMON = (
    "mlx.nn.value_and_grad", "mlx.nn.quantize", "mlx.nn.average_gradients", "mlx.nn.fully_shard",
    "mlx.optimizers.clip_grad_norm",
)  # fmt: skip
PYTHON_DATA = (
    "os.environ",
    "sys.argv",
    "sys.executable",
    "sys.path",
    "sys.platform",
    "sys.stderr",
    "sys.stdout",
)
PYTHON_MODULES = (
    "argparse", "ast", "collections", "collections.abc", "contextlib", "copy", "dataclasses", "functools",
    "gc", "inspect", "io", "itertools", "json", "math", "operator", "os", "os.path", "pathlib", "platform",
    "random", "re", "shutil", "signal", "statistics", "subprocess", "sys", "tempfile", "textwrap",
    "threading", "time", "timeit", "types", "typing",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One line of an inventory: a name, its role (``py:function``), its address below the base address."""

    name: str
    role: str
    address: str


def mlx_address(name: str) -> str:
    """Return where MLX describes a name such as ``mlx.nn.Linear``, below its base address.

    Functions of ``mlx.nn`` stand in a folder of their own, as do optimizers; what belongs to neither is in
    the common one. ``mlx.core.Stream`` has a file name of its own because ``mlx.core.stream`` would be the
    same file on macOS.
    """
    if page := MLX_PAGES.get(name):
        return f"python/{page}.html#{name}"
    owner, _, member = name.rpartition(".")
    if owner.rpartition(".")[2][0].isupper() and owner != "mlx.nn.Module" and name not in MLX_METHODS:
        return mlx_address(owner).partition("#")[0]
    folder = "python/_autosummary"
    if owner.startswith("mlx.nn") and name not in MLX_COMMON:
        function = owner == "mlx.nn.losses" or (owner == "mlx.nn" and member[0].islower())
        folder = "python/nn/_autosummary_functions" if function else "python/nn/_autosummary"
    elif owner.startswith("mlx.optimizers") and name not in MLX_COMMON:
        folder = "python/optimizers/_autosummary"
    return f"{folder}/{name}.html#{name}"


def mlx_items() -> Iterator[Item]:
    """Yield every public name of the installed MLX that its documentation describes."""
    for module_name, page in MLX_MODULES.items():
        yield Item(module_name, "py:module", f"python/{page}.html")
        module = _module(module_name)
        for name, role in _members(module, module_name) if module else ():
            yield Item(name, role, mlx_address(name))
    core: Any = importlib.import_module("mlx.core")
    for name, value in inspect.getmembers(core):
        if isinstance(value, core.Dtype | core.DtypeCategory):
            yield Item(f"mlx.core.{name}", "py:attribute", "python/data_types.html")
    for name in ("cpu", "gpu"):
        yield Item(f"mlx.core.{name}", "py:attribute", "python/devices_and_streams.html")
    yield Item("mlx.core.random.state", "py:attribute", "python/random.html")
    yield from (Item(page, "std:doc", f"{page}.html") for page in MLX_GUIDES)


def python_items() -> Iterator[Item]:
    """Yield exceptions and the names of the standard library's modules that examples use.

    Plain types (``int``, ``list`` …) are left out: sphinx-gallery would link every variable that holds one.
    """
    for name, value in inspect.getmembers(importlib.import_module("builtins"), inspect.isclass):
        if issubclass(value, BaseException):
            yield Item(name, "py:exception", f"library/exceptions.html#{name}")
    for module_name in PYTHON_MODULES:
        yield Item(module_name, "py:module", f"library/{module_name}.html#module-{module_name}")
        for name, role in _members(importlib.import_module(module_name), module_name):
            yield Item(name, role, f"library/{module_name}.html#{name}")
    yield from (Item(name, "py:data", f"library/{name.partition('.')[0]}.html#{name}") for name in PYTHON_DATA)


def numpy_items() -> Iterator[Item]:
    """Yield NumPy's functions, classes and array methods."""
    scalar = importlib.import_module("numpy").generic
    for module_name in ("numpy", "numpy.linalg"):
        module = importlib.import_module(module_name)
        for name, role in _members(module, module_name):
            owner = getattr(module, name.split(".")[1], None)
            if not inspect.isclass(owner):
                yield Item(name, role, f"reference/generated/{name}.html#{name}")
            elif issubclass(owner, scalar) and role == "py:class":
                yield Item(name, role, f"reference/arrays.scalars.html#{name}")
            elif owner.__name__ == "ndarray":
                yield Item(name, role, f"reference/generated/{name}.html#{name}")


def matplotlib_items() -> Iterator[Item]:
    """Yield pyplot's functions and the methods of axes and figures."""
    for module_name in ("matplotlib.pyplot", "matplotlib.axes", "matplotlib.figure"):
        for name, role in _members(importlib.import_module(module_name), module_name):
            if name.startswith(("matplotlib.pyplot.", "matplotlib.axes.Axes", "matplotlib.figure.Figure")):
                yield Item(name, role, f"api/_as_gen/{name}.html#{name}")


def _module(name: str) -> ModuleType | None:
    """A module, or a namespace such as ``mlx.core.fast`` that can't be imported by itself."""
    head, _, tail = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ImportError:
        return getattr(importlib.import_module(head), tail, None)


def _members(module: ModuleType, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield (name, role) of a module's public functions and classes, and of the classes' public members."""
    home = prefix.partition(".")[0] if prefix.startswith(("numpy", "matplotlib")) else module.__name__
    for name in sorted(getattr(module, "__all__", None) or vars(module)):
        value = getattr(module, name, None)
        if name.startswith("_") or not callable(value) or not _belongs(module, name, value):
            continue
        if not inspect.isclass(value):
            yield f"{prefix}.{name}", "py:function"
            continue
        yield f"{prefix}.{name}", "py:exception" if issubclass(value, BaseException) else "py:class"
        own = [vars(cls) for cls in value.__mro__ if cls.__module__.startswith(home)]
        for member in sorted({m for names in own for m in names if not m.startswith("_")}):
            role = "py:method" if callable(getattr(value, member, None)) else "py:attribute"
            yield f"{prefix}.{name}.{member}", role


def _belongs(module: ModuleType, name: str, value: Any) -> bool:
    """Whether the value is the module's own; ``mlx.optimizers`` also holds functions of ``mlx.utils``."""
    home = getattr(value, "__module__", None)
    return name in getattr(module, "__all__", ()) or home is None or f"{home}.".startswith(f"{module.__name__}.")


def inventory(project: str, number: str, items: Iterable[Item]) -> bytes:
    """Return an inventory in Sphinx's format, version 2: four lines of text, then compressed lines."""
    head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: {number}\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    lines = sorted({f"{item.name} {item.role} 1 {item.address} -\n" for item in items})
    return head.encode() + zlib.compress("".join(lines).encode(), 9)


MADE_FROM = "made-from"
"""File beside the inventories: a digest of them and of what they were made from."""


def mapping(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the inventories into a folder, where they aren't right already; return intersphinx's setting.

    Making them imports MLX, NumPy and matplotlib, so it is done once for each set of versions, and in a process of its
    own: examples run in copies of Sphinx's process, which MLX doesn't survive. Without a fitting MLX there are none,
    and a warning.
    """
    if fault := mlx_fault():
        logging.getLogger(__name__).warning(fault)
        return {}
    stamp = folder / MADE_FROM
    if not stamp.exists() or stamp.read_bytes() != _digest(folder).encode():
        _make_apart(folder)
        stamp.write_text(_digest(folder), encoding="utf-8")
    return {name: (address, str(folder / f"{name}.inv")) for name, address in ADDRESSES.items()}


def _make_apart(folder: Path) -> None:
    code = f"from {__name__} import make; import pathlib, sys; make(pathlib.Path(sys.argv[1]))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(folder)], env=env, check=True)


def make(folder: Path) -> None:
    """Write the inventories into a folder."""
    projects = {
        "python": inventory("Python", ".".join(python_version_tuple()[:2]), python_items()),
        "mlx": inventory("MLX", version("mlx"), mlx_items()),
        "numpy": inventory("NumPy", version("numpy"), numpy_items()),
        "matplotlib": inventory("Matplotlib", version("matplotlib"), matplotlib_items()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in projects.items():
        file = folder / f"{name}.inv"
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)


def _digest(folder: Path) -> str:
    """Return a digest of the inventories and of what they are made from: packages, Python, and this file."""
    core = find_spec("mlx.core")  # built for another device, the same version may hold other names
    built = Path(core.origin) if core and core.origin else Path(__file__)
    known = [sys.version, str(built), str(built.stat().st_mtime_ns)]
    known += [version(name) for name in ("mlx", "numpy", "matplotlib")]
    found = hashlib.sha256("\n".join(known).encode())
    for file in (Path(__file__), *(folder / f"{name}.inv" for name in ADDRESSES)):
        found.update(file.read_bytes() if file.exists() else b"missing")
    return found.hexdigest()
