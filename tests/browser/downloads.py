"""What readers take along: each zip holds what its script needs, notebooks are valid, records fit their schema."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import nbformat

from browser.findings import Finding

CHECK = "downloads and records"
README_LINES = 3
INSTALLED = {"compile_guide", "matplotlib", "mlx"}  # the first lies in the zip, and README.txt asks for the others
RUN = ("seeing_inside",)  # a quick one that measures; of the others, the helpers are imported
GALLERY = ("_python", "_jupyter")  # zips of the whole gallery
LIMIT_S = 240


def faults(root: Path) -> Iterator[Finding]:
    """Yield what is wrong with a download or a record of the site."""
    for file in files(root):
        name = file.relative_to(root).as_posix()
        for what in _CHECKS[file.suffix](file):
            yield Finding(CHECK, name, what)


def files(root: Path) -> list[Path]:
    """Return all downloads and records."""
    found = [*(root / "_downloads").rglob("*"), *(root / "records").glob("*")]
    return sorted(path for path in found if path.suffix in _CHECKS and path.name != "schema.json")


def _zip(file: Path) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        held = {name: archive.read(name).decode() for name in archive.namelist()}
    scripts = [name for name in held if "/" not in name and name.endswith(".py")]
    if file.stem.endswith(GALLERY):
        yield from () if held else ("is empty",)
    elif scripts != [f"{file.stem}.py"]:
        yield f"holds {', '.join(scripts) or 'no script'}, not {file.stem}.py"
    else:
        yield from _alone(held, scripts[0])


def _alone(held: dict[str, str], script: str) -> Iterator[str]:
    """Yield what keeps an unpacked script from running by itself."""
    wanted = {f"compile_guide/{name}.py" for name in re.findall(r"from compile_guide\.(\w+) import", held[script])}
    yield from (f"lacks {name}" for name in sorted(wanted - set(held)))
    roots = {name.partition(".")[0] for name in _imported(held[script])} - set(sys.stdlib_module_names)
    yield from (f"imports {name}, which its README.txt doesn't ask for" for name in sorted(roots - INSTALLED))
    lines = held.get("README.txt", "").splitlines()
    if len(lines) != README_LINES or f"python {script}" not in lines[-1]:
        yield f"its README.txt has {len(lines)} lines, and the last should say how to run {script}"


def _imported(script: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def runs(root: Path, python: Path) -> Iterator[Finding]:
    """Yield zips that fail when they are unpacked into an empty folder and run by a Python that has nothing of ours.

    Those not named in ``RUN`` import their helpers, but measure nothing.
    """
    for file in (file for file in files(root) if file.suffix == ".zip" and not file.stem.endswith(GALLERY)):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
            helpers = [f"compile_guide.{path.stem}" for path in Path(folder, "compile_guide").glob("*.py")]
            what = [f"{file.stem}.py"] if file.stem in RUN else ["-c", f"import {', '.join(['sys', *helpers])}"]
            env = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "MPLBACKEND": "agg"}
            ended = subprocess.run(
                [str(python), *what],
                cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False,
            )  # fmt: skip
        if ended.returncode:
            said = (ended.stderr.strip() or "nothing").splitlines()[-1]
            yield Finding(CHECK, file.relative_to(root).as_posix(), f"exit status {ended.returncode}: {said}")


def _notebook(file: Path) -> Iterator[str]:
    try:
        nbformat.validate(nbformat.read(str(file), as_version=4))
    except (nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        yield str(error).splitlines()[0]


def _record(file: Path) -> Iterator[str]:
    schema = json.loads((file.parent / "schema.json").read_bytes())
    for error in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(file.read_bytes())):
        yield f"{error.json_path}: {error.message[:120]}"


_CHECKS = {".zip": _zip, ".ipynb": _notebook, ".json": _record}
