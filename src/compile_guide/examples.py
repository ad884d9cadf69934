"""The examples of a project's galleries: find them, and copy one with the helper files that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compile_guide import CompileGuideError

HERE = Path(__file__).parent
GALLERY = HERE.parents[1] / "gallery"
"""This guide's examples, which are there in a checkout."""
GALLERIES: dict[str, Any] = {
    "type": Path, "action": "append", "metavar": "DIR", "help": "where examples are, once for each folder (default: gallery)"
}  # fmt: skip
"""The option ``--gallery`` of a command."""
IMPORTS = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
OURS = re.compile(r"^\s*(?:from|import) compile_guide(?:\.| import )(\w+)", re.MULTILINE)
QUOTED = re.compile(r"""["'](\w[\w -]*(?:[./][\w -]+)*)["']""")
"""What may be the name of a file: with no ``..`` in it, nor hidden."""


class ExampleError(CompileGuideError):
    """An example that can't be found or copied: one line that says what to do."""


def find_examples(galleries: Path | Sequence[Path] | None, names: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the scripts that measure, in order of path, or those of the given names, whether they measure or not.

    Raises:
        ExampleError: there is no such folder or example, or two of the scripts have one name.
    """
    scripts = scripts_of(galleries)
    if unknown := sorted(set(names) - {script.stem for script in scripts}):
        raise ExampleError(f"no example {unknown[0]!r}; there are: {', '.join(script.stem for script in scripts)}")
    found = [script for script in scripts if (script.stem in names if names else measures(script))]
    if not found:
        raise ExampleError(f"none of {len(scripts)} examples measures anything: call compare() in one")
    known = {script.stem: script for script in found}
    if len(known) < len(found):
        raise ExampleError("two examples have the same file name, by which a record tells examples apart: rename one")
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(found)


def scripts_of(galleries: Path | Sequence[Path] | None) -> list[Path]:
    """Return galleries' scripts at any depth by path, but names with ``_`` or ``.`` in front. Raises ExampleError for none."""
    folders = [galleries] if isinstance(galleries, Path) else galleries or [Path("gallery")]
    files = {file: file.relative_to(folder).parts for folder in folders for file in folder.rglob("*.py")}
    scripts = sorted(file for file, parts in files.items() if not any(part[0] in "_." for part in parts))
    if not scripts:
        raise ExampleError(f"no examples under {', '.join(map(str, folders))}: run this in the project's folder")
    return scripts


def measures(script: Path) -> bool:
    """Return whether a script uses this package: it, or a module beside it that it imports, names ``compile_guide``."""
    return any("compile_guide" in file.read_text(encoding="utf-8", errors="replace") for file in with_modules(script))


def with_modules(script: Path) -> list[Path]:
    """Return a script and the modules beside it that it imports, and those that these import."""
    return _with_imports([script], IMPORTS, script.parent)


def _with_imports(files: Sequence[Path], imports: re.Pattern[str], folder: Path) -> list[Path]:
    """Return files and the modules of a folder that they import, directly or through one another."""
    found = list(files)
    for file in found:  # it grows meanwhile
        names = imports.findall(file.read_text(encoding="utf-8", errors="replace"))
        modules = [folder / f"{name}.py" for name in dict.fromkeys(names)]
        found += [module for module in modules if module not in found and module.is_file()]
    return found


def files_of(script: Path) -> dict[str, Path]:
    """Return what an example needs elsewhere, by its place there: itself, modules beside it, our helpers, what it reads.

    It reads the files of its folder whose name, or whose folder's name, stands in quotes in it or in such a module.
    """
    modules = with_modules(script)
    files = {module.name: module for module in modules}
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in modules)
    if helpers := _with_imports(modules, OURS, HERE)[len(modules) :]:
        files |= {f"compile_guide/{file.name}": file for file in [HERE / "__init__.py", *sorted(helpers)]}
    for name in dict.fromkeys([*QUOTED.findall(text), *IMPORTS.findall(text)]):
        place = script.parent / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        named = [file for file in found if file.is_file() and file.suffix != ".pyc"]
        files |= {file.relative_to(script.parent).as_posix(): file for file in named}
    return files


def copy_example(script: Path, target: Path) -> list[Path]:
    """Copy the script and what it needs, helpers into a folder ``compile_guide`` beside it; return the files written."""
    files = {target / name: source.read_bytes() for name, source in files_of(script).items()}
    write_new(files)
    return list(files)


def write_new(files: Mapping[Path, bytes]) -> None:
    """Write files that aren't there; one of the same content may be.

    Where something else is there, or a file can't be written, ExampleError is raised and nothing is left of them.
    """
    for file, raw in files.items():
        if (file.exists() or file.is_symlink()) and not (file.is_file() and file.read_bytes() == raw):
            raise ExampleError(f"{file} is there already and differs: move it away, or name another folder")
    made: list[Path] = []
    try:
        for file, raw in files.items():
            for folder in [folder for folder in reversed(file.parents) if not folder.exists()]:
                folder.mkdir()
                made.append(folder)
            if not file.exists():
                with file.open("xb") as new:
                    made.append(file)
                    new.write(raw)
    except OSError as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        raise ExampleError(f"can't write {error.filename or file}: {error.strerror}") from error
