"""Downloads of this guide's examples, the same bytes from every build; zips of the whole gallery hold the examples alone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from compile_guide.sphinxext.downloads import read_zip, write_zip


def settle_downloads(folder: Path, scripts: Sequence[Path]) -> None:
    """Rewrite the notebook and the zip of each script in a folder of generated pages, and the zips of all of them.

    Scripts that measure have complete ones already (see :mod:`compile_guide.sphinxext.downloads`).
    """
    books: dict[str, bytes] = {}
    for script in scripts:
        notebook = script.with_suffix(".ipynb")
        steady = steady_notebook(text := notebook.read_text(encoding="utf-8"))
        if steady != text:
            notebook.write_text(steady, encoding="utf-8")
        books[notebook.relative_to(folder).as_posix()] = steady.encode()
        write_zip(file := script.with_suffix(".zip"), read_zip(file) | {notebook.name: steady.encode()})
    known = {Path(name).with_suffix("") for name in books}
    for file in (folder / f"{folder.name}_{kind}.zip" for kind in ("python", "jupyter")):
        if parts := read_zip(file):
            foreign = {name for name in parts if (folder / name).exists() and Path(name).with_suffix("") not in known}
            write_zip(file, {name: books.get(name, raw) for name, raw in parts.items() if name not in foreign})
            newest = max((script.stat().st_mtime_ns for script in scripts), default=0)
            os.utime(file, ns=(newest, newest))  # see complete() there


def steady_notebook(text: str) -> str:
    """Return a notebook without the Python version that happened to build it."""
    data = json.loads(text)
    data["metadata"]["language_info"]["version"] = "3"
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
