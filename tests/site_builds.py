"""Small Sphinx builds for the tests of the site: a folder of pages, a few records, what came out."""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass
from pathlib import Path

from conftest import make_record
from sphinx.application import Sphinx
from sphinx.util.console import strip_colors
from sphinx.util.docutils import docutils_namespace, patch_docutils

from compile_guide.records import schema as record
from compile_guide.records.schema import Record

CONF = """
extensions = ["myst_parser", {more}"compile_guide.sphinxext"]
html_theme = "basic"
html_copy_source = False
templates_path, html_static_path = [], []  # else sphinx-gallery adds to Sphinx's own lists
{settings}
"""
GALLERY = """
from compile_guide.sphinxext.gallery import gallery_conf
sphinx_gallery_conf = gallery_conf(("one",))
"""


@dataclass(frozen=True)
class Site:
    """What one build left: its folder, its warnings in lines, the pages it read and wrote."""

    out: Path
    warnings: list[str]
    app: Sphinx

    def page(self, name: str = "index") -> str:
        """The HTML of a page's main part."""
        text = (self.out / f"{name}.html").read_text(encoding="utf-8")
        return text[text.index('<div class="body"') : text.index('<div class="clearer">')]

    def text(self, name: str = "index") -> str:
        """The words of a page's main part, as a reader sees them."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.page(name))).split())


def write(folder: Path, files: dict[str, str]) -> None:
    """Write text files, making folders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def put_records(folder: Path, *records: Record) -> None:
    """Leave these records, and no others, in the pages' records folder."""
    for old in (folder / "docs" / "records").glob("*.json"):
        old.unlink()
    for one in records or (make_record(),):
        record.save(one, folder / "docs" / "records" / f"{one.id}.json")


def build(folder: Path, *, gallery: bool = False, settings: str = "", **overrides: str) -> Site:
    """Build ``folder/docs`` with a plain theme; a second build of a folder is an incremental one."""
    more = '"sphinx_gallery.gen_gallery", ' if gallery else ""
    conf = CONF.format(more=more, settings=(GALLERY if gallery else "") + settings)
    path = folder / "conf.py"
    if not path.exists() or path.read_text(encoding="utf-8") != conf:
        path.write_text(conf, encoding="utf-8")
    docs, out, warnings = folder / "docs", folder / "out", io.StringIO()
    with patch_docutils(folder), docutils_namespace():
        app = Sphinx(
            docs, folder, out, folder / "doctrees", "html",
            confoverrides=overrides, status=None, warning=warnings, freshenv=False,
        )  # fmt: skip
        app.build()
    lines = [strip_colors(line).replace(f"{docs}/", "") for line in warnings.getvalue().splitlines()]
    return Site(out, [line for line in lines if line.strip()], app)
