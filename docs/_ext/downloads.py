"""Downloads of an example, the same bytes from every build: the notebook, and a zip that runs by itself."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from compile_guide.examples import HERE, helpers_of

README = """{title}
Needs Python 3.11 or later and: pip install mlx matplotlib  (on Linux "mlx[cpu]" instead of mlx)
Run it in this folder: python {script}
"""


def rewrite_downloads(folder: Path, scripts: Sequence[Path]) -> None:
    """Rewrite the notebook and the zip of each script in a folder of generated pages, and the zips of all of them."""
    for script in scripts:
        notebook = script.with_suffix(".ipynb")
        put(notebook, steady_notebook(notebook.read_text(encoding="utf-8")).encode())
        write_zip(script.with_suffix(".zip"), parts_of(script))
    for kind, ending in (("python", ".py"), ("jupyter", ".ipynb")):
        archive, parts = folder / f"{folder.name}_{kind}.zip", dict[str, bytes]()
        for script in scripts if archive.exists() else ():
            file = script.with_suffix(ending)
            parts |= {name: data for name, data in parts_of(script).items() if name.startswith("compile_guide/")}
            parts[file.name] = file.read_bytes()
        if parts:
            write_zip(archive, parts)
            # sphinx-gallery has just written it, as it does in every build: with that time, the page that offers it is old
            newest = max(script.stat().st_mtime_ns for script in scripts)
            os.utime(archive, ns=(newest, newest))


def steady_notebook(text: str) -> str:
    """Return a notebook without the Python version that happened to build it."""
    data = json.loads(text)
    data["metadata"]["language_info"]["version"] = "3"
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def parts_of(script: Path) -> dict[str, bytes]:
    """Return what an example's zip holds: the script, the helpers it imports, three lines of instructions."""
    text = script.read_text(encoding="utf-8")
    helpers = helpers_of(text)
    files = [HERE / f"{name}.py" for name in (["__init__", *helpers] if helpers else [])]
    title = next(line for line in text.splitlines() if line.strip(" \"'=rR"))
    return {
        script.name: script.read_bytes(),
        "README.txt": README.format(title=title.strip(), script=script.name).encode(),
        **{f"compile_guide/{file.name}": file.read_bytes() for file in files},
    }


def write_zip(file: Path, parts: dict[str, bytes]) -> None:
    """Write a zip without times, stored uncompressed, because compressors differ from build to build."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(parts):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, parts[name])
    put(file, made.getvalue())


def put(file: Path, data: bytes) -> None:
    """Write a file unless it is right already: a new time would make Sphinx read its page again."""
    if not file.exists() or file.read_bytes() != data:
        file.write_bytes(data)
