"""The command that starts a project: ``init`` writes two measured examples and what makes a site of them."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from string import Template
from typing import Any

from compile_guide import __version__
from compile_guide.examples import write_new

TEMPLATES = Path(__file__).parent / "templates"
CONFS = ("conf.py", "doc*/conf.py", "doc*/source/conf.py")
"""Where a project keeps Sphinx's settings."""
ONE_LINE = '    extensions += ["compile_guide.sphinxext"]'
GALLERY_LINES = """\
    from compile_guide.sphinxext.gallery import gallery_conf
    extensions += ["sphinx_gallery.gen_gallery", "compile_guide.sphinxext"]
    sphinx_gallery_conf = gallery_conf()  # examples in ../gallery, seen from the pages"""
"""What settings lack that have no sphinx-gallery."""


def add_commands(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    about = "make a project of two measured examples, or say what one with docs has to add"
    one = commands.add_parser("init", help=about)
    one.add_argument("target", type=Path, metavar="DIR", help="the folder; it is made when missing")
    one.set_defaults(command=start_project)


def start_project(options: argparse.Namespace) -> int:
    """Write a project and say how to go on (see :func:`write_new`); where one has docs, print what to add to its settings."""
    folder = options.target
    if conf := next((file for pattern in CONFS for file in sorted(folder.glob(pattern))), None):
        print(what_to_add(conf))
        return 0
    files = project_files(folder)
    write_new(files)
    print(*(f"wrote {file}" for file in files), sep="\n")
    place = shlex.quote(str(folder))
    print(f"measure and build: cd {place} && compile-guide record && python -m sphinx -c . docs build/html")
    return 0


def project_files(folder: Path) -> dict[Path, bytes]:
    """Return the files of a new project, which is named after its folder."""
    facts = {"project": repr(folder.resolve().name), "version": __version__}
    files: dict[Path, bytes] = {}
    for template in sorted(TEMPLATES.rglob("*.txt")):
        name = template.relative_to(TEMPLATES).as_posix().replace("dot-", ".").removesuffix(".txt")
        files[folder / name] = Template(template.read_text(encoding="utf-8")).substitute(facts).encode()
    return files


def what_to_add(conf: Path) -> str:
    """Return the lines that settings of Sphinx lack, and what to do next."""
    text = conf.read_text(encoding="utf-8", errors="replace")
    if "compile_guide.sphinxext" in text:
        return f"{conf} has the extension already; nothing was written."
    lines = ONE_LINE if "sphinx_gallery" in text else GALLERY_LINES
    measure = f"compile-guide record --gallery FOLDER --out {shlex.quote(str(conf.with_name('records')))}"
    added = f"{conf} is there already, so nothing was written. Add at its end:\n\n{lines}"
    return f"{added}\n\nThen measure with: {measure}"
