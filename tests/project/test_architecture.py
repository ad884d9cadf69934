"""The house, as far as it can be read off the source: its rooms, who imports whom, what is touched of others' insides."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
from conftest import LONGEST_FIRST
from guide import PACKAGE, ROOT

from _ext.private_names import PRIVATE_NAMES as OF_THE_GUIDE
from compile_guide.sphinxext.private_names import PRIVATE_NAMES as OF_A_GUEST

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
EXTENSION = ROOT / "docs" / "_ext"
MOST_LINES = 7_000
"""The package stays below this. What this guide alone needs, such as the pages of the ledger, goes to docs/_ext."""

# Rooms

HELPERS = ("comparison", "formatting", "shapeless_check", "timing", "tracing")
"""The files that travel with a copied script."""
BASE = {"__init__", "_files", "_prerequisites", "_process"}
ARROWS: dict[str, set[str]] = {
    "__init__": set(),
    "_files": {"__init__"},
    "_prerequisites": set(),
    "_process": set(),
    "formatting": set(),
    "comparison": {"formatting"},
    "timing": {"__init__", "comparison", "formatting"},
    "tracing": {"__init__"},
    "shapeless_check": {"__init__", "comparison"},
    "examples": {"__init__"},
    "starter": set(),
    "watching": {"__init__", "_files", *HELPERS},
    "records": {*BASE, *HELPERS, "examples"},
    "recorder": {*BASE, *HELPERS, "examples", "records"},
    "ledger": {*BASE, *HELPERS, "records"},
    "sphinxext": {*BASE, *HELPERS, "examples", "records", "ledger"},
}
"""Each room, or module at the top, and those that it may import: of the helpers and of what it stands upon, nothing upward."""
COMMANDS = "commands"
"""The parts of the command line, one in each room: thin, so they may use every room but the Sphinx extension."""
ARROWS[COMMANDS] = set(ARROWS) - {"sphinxext"}
ARROWS["__main__"] = ARROWS[COMMANDS] | {COMMANDS}
OTHERS: dict[str, set[str]] = {
    "records": {"msgspec"},
    "recorder": {"mlx", "rich"},
    "watching": {"mlx", "pytest", "rich"},
    COMMANDS: {"rich"},
    "sphinxext": {"docutils", "mlx", "sphinx", "sphinx_gallery"},
    **{name: {"mlx"} for name in HELPERS},
}
"""What each may import of others' packages, beside the standard library."""
CONTENT = {"_ext", "benchmarks", "claims", "conf", "noxfile", "tests"}
"""What no part of the package may import: it is told where content lies."""
SPHINX = {"docutils", "furo", "myst_parser", "sphinx", "sphinx_gallery"}


def part(module: str) -> str:
    """Return the room that a file belongs to, or its own name at the top; commands are a part of their own."""
    return COMMANDS if module.endswith("/commands.py") else module.split("/")[0].removesuffix(".py")


@functools.cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the dotted name of everything that a file imports, and whether importing the file does so."""
    tree = parsed(file)
    outside = {id(node) for node in at_import(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in outside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((f"{origin}.{alias.name}", id(node) in outside) for alias in node.names)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when the file is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


def own(name: str) -> str:
    """Return the part that ``compile_guide.something`` is; what is no module is defined in ``__init__``."""
    second, *more = [*name.split(".")[1:], "__init__"]
    return COMMANDS if more[:1] == [COMMANDS] else second if second in ARROWS else "__init__"


def test_the_top_of_the_package_holds_the_helpers_the_rooms_and_little_else() -> None:
    there = {path.name for path in PACKAGE.iterdir() if not path.name.startswith((".", "__pycache__"))}
    wanted = ARROWS.keys() - {COMMANDS}
    assert there == {*(name if (PACKAGE / name).is_dir() else f"{name}.py" for name in wanted), "py.typed"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_place_in_the_house_allows(module: str) -> None:
    here = part(module)
    names = [name for name, _ in imports(PACKAGE / module)]
    ours = {own(name) for name in names if name.split(".")[0] == "compile_guide"} - {here}
    others = {name.split(".")[0] for name in names} - {"compile_guide"} - set(sys.stdlib_module_names)
    assert ours - ARROWS[here] == set()
    assert others - OTHERS.get(here, set()) == set()
    assert (others & CONTENT, [name for name in names if name.startswith(".")]) == (set(), [])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_mlx_inside_functions_only(module: str) -> None:
    assert [name for name, early in imports(PACKAGE / module) if early and name.split(".")[0] == "mlx"] == []


def test_the_arrows_form_no_circle() -> None:
    left = {name: set(targets) for name, targets in ARROWS.items()}
    while free := {name for name, targets in left.items() if not targets & set(left)}:
        left = {name: targets for name, targets in left.items() if name not in free}
    assert left == {}


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    known = {_dotted(module): module for module in MODULES}
    left = {name: _known(module, known) - {name} for name, module in known.items()}
    while free := {name for name, targets in left.items() if not targets & set(left)}:
        left = {name: targets for name, targets in left.items() if name not in free}
    assert left == {}


def _dotted(module: str) -> str:
    return ".".join(
        ["compile_guide", *module.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]
    ).strip(".")


def _known(module: str, known: dict[str, str]) -> set[str]:
    """Return the modules of ours that a module imports, as it is imported itself."""
    names = [name for name, early in imports(PACKAGE / module) if early]
    return {name if name in known else name.rpartition(".")[0] for name in names if name.startswith("compile_guide.")}


def python_files() -> list[Path]:
    """Return the files of this project, but for tests and what builds have made."""
    folders = ("src", "docs/_ext", "docs/claims", "benchmarks", "gallery", "requirements")
    return [*ROOT.glob("*.py"), *(file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))]


def users_of(packages: set[str]) -> set[str]:
    """Return the folders of the files that import one of these packages."""
    return {
        file.relative_to(ROOT).parent.as_posix()
        for file in python_files()
        if any(used.split(".")[0] in packages for used, _ in imports(file))
    }


def test_sphinx_is_imported_by_the_two_extensions_alone() -> None:
    assert users_of(SPHINX) == {"src/compile_guide/sphinxext", "docs/_ext"}


def test_msgspec_is_imported_where_files_are_read_alone() -> None:
    assert users_of({"msgspec"}) <= {"src/compile_guide/records", "benchmarks"}


def test_records_and_the_site_are_imported_without_mlx() -> None:
    rooms = "compile_guide.records.commands, compile_guide.records.schema, compile_guide.sphinxext"
    code = f"import sys, {rooms}.gallery; print('mlx' in sys.modules)"
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


# Sizes


def test_the_package_stays_small() -> None:
    assert sum(len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in MODULES) < MOST_LINES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_one_subject_of_at_most_600_lines(module: str) -> None:
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) <= 600


def test_the_settings_of_sphinx_have_fewer_than_90_lines() -> None:
    assert len((ROOT / "conf.py").read_text(encoding="utf-8").splitlines()) < 90


@pytest.mark.parametrize("path", [*(f"src/compile_guide/{name}" for name in MODULES), "conf.py", "noxfile.py"])
def test_a_function_has_at_most_40_lines_beside_its_docstring(path: str) -> None:
    functions = [
        node for node in ast.walk(parsed(ROOT / path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node) for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(function) is None:
        return 0
    return (function.body[0].end_lineno or 0) - function.body[0].lineno + 1


# Names

EACH = {"commands"}
"""A room may have its part of the command line under this name."""


def named(folder: Path) -> list[tuple[str, Path]]:
    """Return the name of each module and package in a folder."""
    return [(file.parent.name if file.stem == "__init__" else file.stem, file) for file in sorted(folder.rglob("*.py"))]


def test_no_two_modules_of_the_package_share_a_name() -> None:
    count = Counter(name for name, _ in named(PACKAGE))
    assert {name for name, times in count.items() if times > 1} - EACH == set()


def test_no_module_is_named_after_one_of_its_functions() -> None:
    found = []
    for name, file in [*named(PACKAGE), *named(EXTENSION)]:
        functions = [node for node in parsed(file).body if isinstance(node, ast.FunctionDef)]
        found += [f"{file.relative_to(ROOT)}:{node.lineno}" for node in functions if node.name == name]
    assert found == []


def test_the_files_of_tests_that_begin_first_exist() -> None:
    there = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    assert set(LONGEST_FIRST) - there == set()


# What is touched of others' insides

PLACES = {PACKAGE / "sphinxext": OF_A_GUEST, EXTENSION: OF_THE_GUIDE}
LISTED = [name for names in PLACES.values() for name, _ in names]
OURS = "_compile_guide"
"""What we keep on objects of Sphinx's begins so."""


def there_is(dotted: str) -> bool:
    """Whether a name exists in the version that is installed; an attribute may be one that a class gives its objects."""
    owner, _, name = dotted.rpartition(".")
    try:
        found = resolve_name(owner)
    except (AttributeError, ImportError):
        return False
    if hasattr(found, name):
        return True
    classes = inspect.getmro(found) if inspect.isclass(found) else ()
    texts = [inspect.getsource(cls) for cls in classes if cls.__module__ != "builtins"]
    return any(f"self.{name} =" in text or f"self.{name}:" in text for text in texts)


@pytest.mark.parametrize("name", LISTED)
def test_a_private_name_that_is_touched_still_exists(name: str) -> None:
    assert there_is(name), f"{name} is gone: see what replaces it, and mend or delete the entry"


@pytest.mark.parametrize(
    "name", ["sphinx.application.Sphinx._no_such", "sphinx.none.x", "sphinx.search.IndexBuilder.x"]
)
def test_a_name_that_an_upgrade_has_moved_is_noticed(name: str) -> None:
    assert not there_is(name)


@pytest.mark.parametrize("folder", PLACES, ids=lambda folder: folder.name)
def test_each_private_name_that_is_touched_is_listed_and_each_that_is_listed_is_touched(folder: Path) -> None:
    listed = {name.rpartition(".")[2] if not name.endswith("__") else name.split(".")[-2] for name, _ in PLACES[folder]}
    touched = {name for file in folder.glob("*.py") for name in insides(parsed(file), own_names(folder))}
    assert touched - listed == set()
    said = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py") if file.stem != "private_names")
    assert [name for name in listed if name not in said] == []


def own_names(folder: Path) -> set[str]:
    """Return the private names that this project defines itself, for its own objects."""
    trees = [parsed(file) for place in (PACKAGE, folder) for file in place.rglob("*.py")]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


def insides(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Yield what a file touches of others' insides: private attributes, private imports, attributes of modules it sets."""
    theirs = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
              if (node.module or "").split(".")[0] in SPHINX for alias in node.names}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith(("__", OURS)) and node.attr not in ours
            standard = isinstance(node.value, ast.Name) and node.value.id in sys.stdlib_module_names
            if private and not standard:
                yield node.attr
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SPHINX:
            inside = any(part.startswith("_") for part in (node.module or "").split("."))
            yield from (alias.name for alias in node.names if inside or alias.name.startswith("_"))
        for target in node.targets if isinstance(node, ast.Assign) else []:
            if isinstance(target, ast.Attribute) and not target.attr.startswith("__") and _root(target) in theirs:
                yield target.attr


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


PLANTED = {
    "app.builder._hidden": {"_hidden"},
    "from sphinx.util._hidden import thing": {"thing"},
    "from sphinx_gallery import gen_rst\ngen_rst.TEMPLATE = ''": {"TEMPLATE"},
    "from sphinx_gallery import gen_rst\ngen_rst._hidden.__call__ = None": {"_hidden"},
    "self._own()\napp._compile_guide_note = 1\nimport os\nos._exit = None": set(),
}


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_touch_is_noticed(code: str) -> None:
    assert set(insides(ast.parse(code), {"_own"})) == PLANTED[code]


def test_every_requirement_of_the_extension_is_in_its_extra() -> None:
    used = {name.split(".")[0] for file in (PACKAGE / "sphinxext").glob("*.py") for name, _ in imports(file)}
    needed = {
        name.partition(">")[0].replace("-", "_") for name in importlib.metadata.requires("mlx-compile-guide") or ()
    }
    assert used & SPHINX - {"docutils"} <= {name.partition(";")[0] for name in needed}
