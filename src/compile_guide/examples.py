"""Copy an example into a reader's project, with the helper files that it needs."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
TRAVELS = ("timing", "tracing", "shapeless_check")


class CopyError(ValueError):
    """The copy can't be made, in one line that says what to do."""


def gallery_folder() -> Path:
    """Return the folder of the examples: in the source tree, or inside the installed package.

    Raises:
        CopyError: neither is there.
    """
    for folder in (HERE.parents[1] / "gallery", HERE / "gallery"):
        if folder.is_dir():
            return folder
    raise CopyError("the examples aren't installed with this package: run this in a checkout of the project")


def helpers_of(script: str) -> list[str]:
    """Return which of our modules a script imports, in a fixed order."""
    return [name for name in TRAVELS if re.search(rf"^from compile_guide\.{name} import", script, re.MULTILINE)]


def copy_example(script: Path, target: Path) -> list[Path]:
    """Copy the script and, in a folder ``compile_guide`` beside it, the helpers it imports; return what was written.

    Raises:
        CopyError: the target can't be written, or a file of another content is there already; nothing is written then.
    """
    needed = helpers_of(script.read_text(encoding="utf-8"))
    files = {target / script.name: script}
    for name in ["__init__", *needed] if needed else []:
        files[target / "compile_guide" / f"{name}.py"] = HERE / f"{name}.py"
    for file, source in files.items():
        if file.exists() and file.read_bytes() != source.read_bytes():
            raise CopyError(f"{file} is there already and differs: move it away, or name another folder")
    try:
        for file, source in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.read_bytes())
    except OSError as error:
        raise CopyError(f"can't write {error.filename}: {error.strerror}") from error
    return list(files)
