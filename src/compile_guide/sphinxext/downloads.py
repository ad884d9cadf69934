"""Downloads of examples that stand alone, for each script that uses this package; other downloads stay as they came.

A notebook carries the modules that it needs, and has as text what roles of ours say. A zip also holds the files that its
script reads. The same sources make the same bytes.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from string import Template

from sphinx.application import Sphinx

from compile_guide.examples import IMPORTS, files_of, measures
from compile_guide.formatting import UNMEASURED
from compile_guide.records.schema import Record
from compile_guide.sphinxext.machines import machine_name
from compile_guide.sphinxext.roles import galleries, measured, record_set
from compile_guide.sphinxext.text import MACHINE, MEASURED

TITLE = re.compile(r"[\"']{3}\W*(.*\w)")
ROLE = re.compile(r"``.+?``|:(?:\w+:)*(?P<role>[\w-]+):`(?P<text>[^`]+)`", re.DOTALL)
PANDOC = re.compile(r'(?::\w+)?`(?P<text>[^`]+)`\{\.interpreted-text\s+role="(?P<role>[\w:-]+)"\}')
DIRECTIVE = re.compile(r"^\.\. ([\w-]+)::[ \t]*(.*)\n(?:[ \t]+\S.*\n|[ \t]*\n(?=[ \t]+\S))*", re.MULTILINE)
PANDOC_BLOCK = re.compile(r"^::: \{?\.?([\w-]+).*\n(.*)\n:::\n", re.MULTILINE)
"""With sphinx-gallery's setting ``pypandoc``, pandoc has made this of a role and of a directive."""
PROSE = {"any", "doc", "numref", "ref", "term"}
"""Roles whose text is words; the others' is code."""


def _comparisons(app: Sphinx, names: str) -> str:
    """Return what the record shown says of comparisons, as :func:`compare` prints it."""
    known = shown.by_name if (shown := record_set(app.env, app.config).shown) else {}
    found = [known[name].comparison().describe() for name in names.split() if name in known]
    return "\n".join(["```text", *found, "```", ""]) if found else ""


def _measured(app: Sphinx, content: str) -> str:
    name, _, field = content.partition(".")
    return _of_shown(app, measured(name, MEASURED.get(field, MEASURED["ratio"])))


def _of_shown(app: Sphinx, say: Callable[[Record], str | None] | None) -> str:
    shown = record_set(app.env, app.config).shown
    return (say and shown and say(shown)) or UNMEASURED


BLOCKS: dict[str, Callable[[Sphinx, str], str]] = {"comparison": _comparisons}
"""What stands in a notebook for a directive, made from its arguments."""
WORDS: dict[str, Callable[[Sphinx, str], str | None]] = {
    "measured": _measured,
    "machine": lambda app, content: _of_shown(app, MACHINE.get(content)),
}
"""What stands there for a role, made from its text."""


def complete(app: Sphinx) -> None:
    """Complete the downloads that sphinx-gallery has just made, and its zips of whole galleries."""
    for scripts, made in galleries(app, app.config):
        packed, newest = dict[str, bytes](), 0
        for script in sorted(scripts.rglob("*.py")):
            copy = made / script.relative_to(scripts)
            if copy.exists() and measures(script) and "compile_guide/__init__.py" in (files := files_of(script)):
                parts = _complete_one(app, copy, files)
                packed |= {(copy.relative_to(made).parent / name).as_posix(): raw for name, raw in parts.items()}
                newest = max(newest, copy.stat().st_mtime_ns)
        for kind in ("python", "jupyter"):
            chosen = {name: raw for name, raw in packed.items() if name.endswith(".ipynb") == (kind == "jupyter")}
            if chosen and (archive := made / f"{made.name}_{kind}.zip").exists():
                write_zip(archive, read_zip(archive) | chosen)
                # sphinx-gallery writes it in every build: with that time, the page that offers it would be old
                os.utime(archive, ns=(newest, newest))


def _complete_one(app: Sphinx, copy: Path, files: Mapping[str, Path]) -> dict[str, bytes]:
    """Complete an example's notebook and zip; return what the zip holds beside its instructions."""
    parts = {name: file.read_bytes() for name, file in files.items()}
    modules = {name: raw.decode(errors="replace") for name, raw in parts.items() if name.endswith(".py")}
    title, packages = TITLE.search(modules[copy.name]), " ".join(_packages(modules.values()))
    readme = _filled("README.txt", title=title[1] if title else copy.stem, packages=packages, script=copy.name)
    if (notebook := copy.with_suffix(".ipynb")).exists():
        del modules[copy.name]
        made = standing_alone(app, notebook.read_text(encoding="utf-8"), modules, packages)
        _put(notebook, made.encode())
        parts[notebook.name] = made.encode()
    archive = copy.with_suffix(".zip")
    write_zip(archive, read_zip(archive) | parts | {"README.txt": readme.encode()})
    return parts


def _packages(modules: Iterable[str]) -> list[str]:
    """Return the distributions that modules import, as far as they are installed here."""
    names, known = {name for text in modules for name in IMPORTS.findall(text)}, _distributions()
    return sorted(name if name in known[name] else known[name][0] for name in names & known.keys() - {"compile_guide"})


_distributions = functools.cache(packages_distributions)


def standing_alone(app: Sphinx, notebook: str, modules: Mapping[str, str], packages: str) -> str:
    """Return a notebook with words in the place of roles, behind two cells: what it needs, and modules of its own."""
    data = json.loads(notebook)
    if "compile_guide" in data["metadata"]:  # an earlier build's
        return notebook
    for cell in data["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = [readable(app, "".join(cell["source"]))]
    shown = record_set(app.env, app.config).shown
    whose = f"were measured on {machine_name(shown)}" if shown else "are not measured yet"
    first = _filled("first_cell.md", packages=packages, modules=", ".join(modules), measured=whose)
    second = _filled("second_cell.txt", modules=json.dumps(modules, indent=1, ensure_ascii=False))
    data["cells"][:0] = json.loads(_filled("cells.json", first=json.dumps(first), second=json.dumps(second)))
    data["metadata"]["compile_guide"] = {}
    data["metadata"]["language_info"]["version"] = "3"  # not that of the Python that happens to build it
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def readable(app: Sphinx, text: str) -> str:
    """Return a notebook's text with words in the place of roles, and what directives of ours show."""
    text = PANDOC.sub(r":\g<role>:`\g<text>`", text)
    for pattern in (DIRECTIVE, PANDOC_BLOCK):
        text = pattern.sub(lambda found: BLOCKS[found[1]](app, found[2]) if found[1] in BLOCKS else found[0], text)
    return ROLE.sub(lambda found: _words(app, found["role"], found["text"]) if found["role"] else found[0], text)


def _words(app: Sphinx, role: str, content: str) -> str:
    """Return what stands for a role: of one that isn't ours its title, or the last part of a name that begins with ~."""
    if role in WORDS and (ours := WORDS[role](app, content)) is not None:
        return ours
    title, *target = re.split(r"\s+<", content)
    word = title.rpartition(".")[2] if title.startswith("~") else title.lstrip("!/")
    return word if target or role in PROSE else f"`{word}`"


def _filled(template: str, **values: str) -> str:
    text = (Path(__file__).parent / "templates" / template).read_text(encoding="utf-8")
    return Template(text).substitute(values)


def read_zip(archive: Path) -> dict[str, bytes]:
    """Return the files in a zip, by name; nothing where there is none."""
    if not archive.exists():
        return {}
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def write_zip(archive: Path, parts: Mapping[str, bytes]) -> None:
    """Write a zip without times, stored uncompressed, because compressors differ from build to build."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for name in sorted(parts):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            new.writestr(entry, parts[name])
    _put(archive, made.getvalue())


def _put(file: Path, raw: bytes) -> None:
    """Write a file unless it is right already: a new time would make Sphinx read its page again."""
    if not file.exists() or file.read_bytes() != raw:
        file.write_bytes(raw)
