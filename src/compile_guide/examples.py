"""The examples of a gallery: find them, and copy one with the helper files that it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from compile_guide import CompileGuideError

HERE = Path(__file__).parent
GALLERY = HERE.parents[1] / "gallery"
"""This guide's examples, which are there in a checkout."""


class ExampleError(CompileGuideError):
    """An example that can't be found or copied: one line that says what to do."""


def find_examples(gallery: Path, names: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the gallery's scripts in order of path, or those of the given names.

    Raises:
        ExampleError: there is no such folder or example, or two scripts have one name.
    """
    scripts = sorted(path for path in gallery.glob("*/*.py") if not path.name.startswith("_"))
    if not scripts:
        raise ExampleError(f"no examples under {gallery}: run this in the project's folder")
    known = {script.stem: script for script in scripts}
    if len(known) < len(scripts):
        raise ExampleError("two examples have one file name: a record tells examples apart by it")
    if unknown := sorted(set(names) - set(known)):
        raise ExampleError(f"no example {unknown[0]!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(scripts)


def helpers_of(script: str) -> list[str]:
    """Return the names of our modules that a script imports, and that those import, in alphabetical order."""
    found: dict[str, str] = {}
    texts = [script]
    while texts:
        for name in re.findall(r"^\s*from compile_guide\.(\w+) import", texts.pop(), re.MULTILINE):
            if name not in found and (HERE / f"{name}.py").is_file():
                found[name] = (HERE / f"{name}.py").read_text(encoding="utf-8")
                texts.append(found[name])
    return sorted(found)


def copy_example(script: Path, target: Path) -> list[Path]:
    """Copy the script and, in a folder ``compile_guide`` beside it, the helpers it needs; return the files.

    A file of the same content may be there already.

    Raises:
        ExampleError: something else is there, or the target can't be written; nothing is left of the copy then.
    """
    needed = helpers_of(script.read_text(encoding="utf-8"))
    helpers = [f"{name}.py" for name in ["__init__", *needed] if needed]
    files = {target / script.name: script, **{target / "compile_guide" / name: HERE / name for name in helpers}}
    for file, source in files.items():
        if (file.exists() or file.is_symlink()) and not (file.is_file() and file.read_bytes() == source.read_bytes()):
            raise ExampleError(f"{file} is there already and differs: move it away, or name another folder")
    made: list[Path] = []
    for file, source in files.items():
        try:
            _copy(source, file, made)
        except OSError as error:
            for path in reversed(made):
                path.rmdir() if path.is_dir() else path.unlink()
            raise ExampleError(f"can't write {error.filename or file}: {error.strerror}") from error
    return list(files)


def _copy(source: Path, file: Path, made: list[Path]) -> None:
    """Copy a file unless it is there; ``made`` gets each new folder and file before it is filled."""
    for folder in reversed(file.parents):
        if not folder.exists():
            folder.mkdir()
            made.append(folder)
    if not file.exists():
        with file.open("xb") as copy:
            made.append(file)
            copy.write(source.read_bytes())
