"""Whether the gallery's pages still stand as the last build made them: then sphinx-gallery needn't look at its scripts.

It would parse every script and write every index, back reference and archive anew, only to find that nothing changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FILES = ".files"
"""File in the generated folder: the digest of what the pages were made from, and size and time of each file made."""


def digest_of(app: Sphinx) -> str:
    """Return a digest of what sphinx-gallery reads itself: the examples' folder, the builder, the command line."""
    found = hashlib.sha256(f"{app.builder.name} {sorted(app.config.overrides.items())}".encode())
    for file in files_below(Path(app.srcdir) / app.config.sphinx_gallery_conf["examples_dirs"]):
        found.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def note(folder: Path, digest: str) -> None:
    """Write down what lies in the generated folder, and what it was made from."""
    found = {"from": digest, "files": {str(file.relative_to(folder)): _state(file) for file in files_below(folder)}}
    found["files"].pop(FILES, None)  # type: ignore[attr-defined]
    (folder / FILES).write_text(json.dumps(found), encoding="utf-8")


def made_from(folder: Path) -> str:
    """Return the digest that :func:`note` was given last; an empty text when there is no note."""
    return str(_noted(folder).get("from", ""))


def is_whole(folder: Path) -> bool:
    """Say whether the folder holds all that :func:`note` saw, unchanged; more may lie there."""
    try:
        return all(_state(folder / name) == state for name, state in _noted(folder).get("files", {}).items())
    except OSError:
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, in one order, without what Python leaves behind."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _state(file: Path) -> list[int]:
    seen = file.stat()
    return [seen.st_size, seen.st_mtime_ns]


def _noted(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / FILES).read_bytes())
        return found if isinstance(found["files"], dict) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
