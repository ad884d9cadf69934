"""The house's rules that can be read off the source: who imports whom, how long modules and functions are."""

from __future__ import annotations

from guide import ROOT

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LONGEST_FIRST

PACKAGE = ROOT / "src" / "compile_guide"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# Part of the house -> the parts of ours that it may import. A part is a module, or a folder of modules.
ARROWS: dict[str, set[str]] = {
    "__init__": set(),
    "timing": set(),  # it, tracing and shapeless_check travel with a copied script
    "tracing": set(),
    "shapeless_check": set(),
    "child": {"timing"},
    "claims": set(),
    "already_compiled": set(),
    "copying": set(),
    "process": set(),
    "heat": {"process"},
    "load": {"process"},
    "lock": set(),
    "elsewhere": set(),
    "needs": set(),
    "reproduce": {"elsewhere"},
    "releases": set(),
    "saving": set(),
    "shapeless_cases": set(),
    "shapeless": {"shapeless_cases", "shapeless_check"},
    "errors": {"claims"},
    "history": {"claims", "process", "releases", "saving"},
    "observations": {"already_compiled", "errors", "process", "record", "shapeless", "timing"},
    "machine": {"needs", "process", "timing"},
    "record": {"machine", "saving", "timing"},
    "report": {"record", "timing"},
    "agreement": {"report", "timing"},
    "revisions": {"record"},
    "export": {"record", "report", "timing"},
    "checking": {"machine", "record", "releases", "timing"},
    "reading": {"agreement", "checking", "export", "record", "recorder", "report", "revisions", "saving"},
    "ledger": {"claims", "process", "record", "saving", "timing"},
    "recorder": {"__init__", "child", "heat", "load", "machine", "process", "record", "timing"},
    "progress": {"recorder"},
    "bench": {"__init__", "child", "machine", "process", "record", "recorder", "saving", "timing"},
    "site": {"__init__", "bench", "claims", "copying", "errors", "history",
             "load", "lock", "needs", "record", "timing"},
}  # fmt: skip
ARROWS["__main__"] = set(ARROWS) - {"bench", "site"}

# Part of the house -> the packages of others that it may import, beside the standard library and MLX.
OTHERS: dict[str, set[str]] = {
    "record": {"msgspec"},
    "progress": {"rich"},
    "claims": {"numpy"},  # what MLX does with NumPy's numbers
    "site": {"cycler", "docutils", "furo", "jinja2", "matplotlib", "numpy", "sphinx", "sphinx_gallery"},
    "bench": {
        "matplotlib",
        "msgspec",
        "pyperf",
        "pytest",
        "rich",
        "torch",
    },  # what it is held against, where it is installed
    "__main__": {"rich"},
}

LONG_MODULES = {
    "timing.py": 810,  # one file by design, because it travels with a copied script
    "noxfile.py": 420,  # one file too: what nox reads first
}


def part(module: str) -> str:
    """Return the part of the house that a file belongs to."""
    return module.split("/")[0].removesuffix(".py")


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """Yield the dotted name of everything that a file imports, and whether importing the file does so."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    outside = {id(node) for node in at_import(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in outside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{origin(module, node)}.{alias.name}", id(node) in outside) for alias in node.names)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when the file is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


def origin(module: str, node: ast.ImportFrom) -> str:
    """Return the absolute name of what ``from … import`` imports from."""
    if not node.level:
        return node.module or ""
    folders = ["compile_guide", *module.split("/")[:-1]]
    return ".".join([*folders[: len(folders) - node.level + 1], *([node.module] if node.module else [])])


def own(name: str) -> str:
    """Return the part that ``compile_guide.something`` is; what is no module is defined in ``__init__``."""
    second = name.split(".")[1] if "." in name else "__init__"
    return second if second in ARROWS else "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_place_in_the_house_allows(module: str) -> None:
    here = part(module)
    assert here in ARROWS, "give the new module its place in ARROWS"
    names = [name for name, _ in imports(module)]
    ours = {own(name) for name in names if name.split(".")[0] == "compile_guide"} - {here}
    others = {name.split(".")[0] for name in names} - {"compile_guide", "mlx"} - set(sys.stdlib_module_names)
    assert ours - ARROWS[here] == set()
    assert others - OTHERS.get(here, set()) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_mlx_inside_functions_only(module: str) -> None:
    assert [name for name, early in imports(module) if early and name.split(".")[0] == "mlx"] == []


def test_records_and_the_site_are_imported_without_mlx() -> None:
    code = "import sys, compile_guide.records.schema, compile_guide.sphinxext; print('mlx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_process_that_measures_begins_without_what_only_pages_and_folders_need() -> None:
    needless = {"html", "matplotlib", "msgspec", "numpy", "shutil", "statistics", "subprocess", "tempfile"}
    code = (
        "import sys\nbefore = set(sys.modules)\n"  # an environment's .pth files may import what they like
        "import compile_guide.recorder.worker, compile_guide.shapeless_check, compile_guide.tracing\n"
        f"print(sorted({needless} & set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_arrows_form_no_circle() -> None:
    left = {name: set(targets) for name, targets in ARROWS.items()}
    while free := {name for name, targets in left.items() if not targets & set(left)}:
        left = {name: targets for name, targets in left.items() if name not in free}
    assert left == {}


@pytest.mark.parametrize("path", [*(f"src/compile_guide/{name}" for name in MODULES), "noxfile.py"])
def test_a_module_has_at_most_300_lines(path: str) -> None:
    limit = LONG_MODULES.get(path.removeprefix("src/compile_guide/"), 300)
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= limit


def test_the_files_of_tests_that_begin_first_exist() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / "tests" / f"{name}.py").is_file()] == []


def test_the_settings_of_sphinx_have_fewer_than_90_lines() -> None:
    assert len((ROOT / "conf.py").read_text(encoding="utf-8").splitlines()) < 90


@pytest.mark.parametrize("path", [*(f"src/compile_guide/{name}" for name in MODULES), "conf.py", "noxfile.py"])
def test_a_function_has_at_most_40_lines_beside_its_docstring(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node) for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(function) is None:
        return 0
    return (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
