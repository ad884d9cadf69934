"""The packages, and what each compiles: read off its installed source, which is not run for that."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from published_code.results import Package, Use

PLAIN, SHAPELESS, STATE = "plain", "shapeless", "state"


@dataclass(frozen=True)
class Published:
    """A package: its name on PyPI, the module that it installs, and what it is for."""

    name: str
    module: str
    what: str


PACKAGES = (
    Published("mlx-lm", "mlx_lm", "language models: generation, fine-tuning"),
    Published("mlx-vlm", "mlx_vlm", "models of images and text"),
    Published("mlx-audio", "mlx_audio", "speech: synthesis, recognition"),
    Published("mlx-lm-lora", "mlx_lm_lora", "training of language models by preferences"),
    Published("keras-mlx", "keras_mlx", "the MLX backend of Keras"),
    Published("mlx-optimizers", "mlx_optimizers", "optimizers beyond those of MLX"),
    Published("mlx-kfac", "mlx_kfac", "the optimizer K-FAC"),
    Published("mlx-diffuser", "mlx_diffuser", "diffusion models"),
    Published("mlx-vis", "mlx_vis", "t-SNE, UMAP and their kin"),
    Published("mlx-arsenal", "mlx_arsenal", "building blocks of models"),
)
OTHERS = ("keras-nightly", "transformers")
"""What else has a say in what is measured, and is named with its version."""


def version_of(name: str) -> str | None:
    """Return the installed version of a package, None where it isn't installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def folder_of(module: str) -> Path | None:
    """Return the folder of an installed module, which isn't imported; None where there is none."""
    found = importlib.util.find_spec(module)
    return Path(next(iter(found.submodule_search_locations))) if found and found.submodule_search_locations else None


def look(package: Published) -> Package:
    """Return what is installed of a package, and every place at which it compiles a function."""
    version, folder = version_of(package.name), folder_of(package.module)
    if version is None or folder is None:
        return Package(package.name, None)
    files = sorted(file for file in folder.rglob("*.py") if not {"tests", "test"} & {*file.relative_to(folder).parts})
    uses = (use for file in files for use in uses_in(file.read_text(encoding="utf-8"), _place(file, folder)))
    return Package(package.name, version, tuple(uses))


def _place(file: Path, folder: Path) -> str:
    return file.relative_to(folder.parent).as_posix()


def uses_in(source: str, file: str) -> list[Use]:
    """Return the uses of ``mx.compile`` in a module's source, in the order of lines.

    A use is a call of it, also through ``partial``, or a decorator. What is compiled as a variable is called by the text of
    the argument.
    """
    tree = ast.parse(source)
    names = _names_of_compile(tree)
    decorated = {id(mark): node.name for node in _functions(tree) for mark in node.decorator_list}
    found = [use for node in ast.walk(tree) if (use := _use(node, names, decorated, file))]
    return sorted(found, key=lambda use: use.line)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _names_of_compile(tree: ast.Module) -> set[str]:
    """Return the dotted names under which a module reaches ``mlx.core.compile``."""
    names = {"mlx.core.compile"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{alias.asname}.compile" for alias in node.names if alias.name == "mlx.core" and alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == "mlx":
            names |= {f"{alias.asname or alias.name}.compile" for alias in node.names if alias.name == "core"}
        elif isinstance(node, ast.ImportFrom) and node.module == "mlx.core":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "compile"}
    return names


def _use(node: ast.AST, names: set[str], decorated: dict[int, str], file: str) -> Use | None:
    """Return what a node compiles, None where it compiles nothing."""
    if not isinstance(node, ast.Call):  # a decorator without arguments
        is_use = isinstance(node, ast.expr) and id(node) in decorated and ast.unparse(node) in names
        return Use(file, node.lineno, decorated[id(node)], PLAIN) if is_use else None  # type: ignore[attr-defined]
    given = list(node.args)
    if ast.unparse(node.func) in ("partial", "functools.partial") and given and ast.unparse(given[0]) in names:
        given = given[1:]
    elif ast.unparse(node.func) not in names:
        return None
    name = decorated.get(id(node)) or (ast.unparse(given[0]) if given else "a function")
    return Use(file, node.lineno, " ".join(name.split())[:60], _how(given, node.keywords))


def _how(given: list[ast.expr], keywords: list[ast.keyword]) -> str:
    """Return in words how a function is compiled; arguments are ``inputs``, ``outputs`` and ``shapeless``, in this order."""
    named = {keyword.arg: keyword.value for keyword in keywords}
    values = dict(zip(("fun", "inputs", "outputs", "shapeless"), given, strict=False)) | named
    said = {name: ast.unparse(value) for name, value in values.items()}
    shapeless = said.get("shapeless") == "True"  # what a caller may choose is off by default
    state = any(said.get(name, "None") != "None" for name in ("inputs", "outputs"))
    return " and ".join([SHAPELESS] * shapeless + [STATE] * state) or PLAIN
