"""Small Sphinx builds for the tests of the site: a folder of pages, a few records, what came out."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

import fork_server  # noqa: F401 - where MLX is loaded, examples run in children of its server
import msgspec
from conftest import make_entry, make_record
from guide import CLAIMS
from sphinx.application import Sphinx
from sphinx.util.console import strip_colors
from sphinx.util.docutils import docutils_namespace, patch_docutils

from _ext.private_names import PRIVATE_NAMES as GUIDES
from compile_guide.formatting import format_ratio
from compile_guide.records.schema import Entry, Record, save
from compile_guide.sphinxext.private_names import PRIVATE_NAMES as GUESTS

CONF = """
extensions = ["myst_parser", {more}"compile_guide.sphinxext"]
html_theme = "basic"
html_copy_source = False
templates_path, html_static_path = [], []  # else sphinx-gallery adds to Sphinx's own lists
{settings}
"""
"""A guest's settings: ``more`` extensions before ours. ``compile_guide.sphinxext`` is all of ours that it has."""
CITATIONS = '\nextensions.append("_ext.citations")\n'
"""Setting for the ledger, and for marks of claims, which are this guide's own."""
CLAIMS_OF_GUIDE = f"compile_guide_claims = {str(CLAIMS)!r}\n"
CLAIMED = f"{CITATIONS}{CLAIMS_OF_GUIDE}"
"""The ledger of this guide's claims."""
GUIDE = f'extensions += ["sphinx.ext.autodoc", "_ext"]\n{CLAIMS_OF_GUIDE}'
"""With these lines among the settings, a site has what this guide alone wants, too."""
GALLERY = """
from compile_guide.sphinxext.gallery import gallery_conf
sphinx_gallery_conf = gallery_conf(("one",))
"""
FIGURES = """
sphinx_gallery_conf |= {
    "image_scrapers": ("_ext.figures.scrape",), "reset_modules": ("matplotlib", "_ext.figures.use_style"),
    "capture_repr": ("_repr_html_",), "css": (), "doc_module": ("compile_guide",),
}
"""
"""How this guide's gallery differs from a guest's."""
INVENTORIES = """
from pathlib import Path
from _ext.inventories import mapping
extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = mapping(Path(__file__).parent / "inventories")
"""

HEAD = '"""\n{title}\n{line}\n\nWhat it shows & why.\n"""\n# sphinx_gallery_tags = ["speed"]\n'
SCRIPT = (
    HEAD.format(title="An example", line="=" * 10)
    + """
import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare

# %%
# Measured: :measured:`gelu.ratio`, by :func:`mlx.core.exp`.
result = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))
print(result.ratio)
result

# %%
# A figure
# --------
figure, ax = plt.subplots()
ax.plot([1, 2], [1, 2], color="black")
ax.set_title("A rising line")
"""
)
HEADERS = {
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n",
    "gallery/one/GALLERY_HEADER.rst": "One\n===\n",
}
INDEX = "# T\n\n```{toctree}\ngallery/index\n```\n"
FAST = make_entry("gelu", ratios=(1.21, 1.22, 1.23, 1.23, 1.24, 1.26))
SLOW = make_entry("gelu", ratios=(3.01, 3.02, 3.03, 3.03, 3.04, 3.05))


def ratio_of(entry: Entry) -> str:
    """Return what is said of a comparison's ratio, "1.23× (1.21–1.26)"."""
    found = entry.comparison()
    return format_ratio(found.ratio, found.interval)


RATIO, SLOW_RATIO = ratio_of(FAST), ratio_of(SLOW)


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
        save(one, folder / "docs" / "records" / f"{one.id}.json")


def put_gallery(folder: Path, **scripts: str) -> None:
    """Write a gallery of one topic, a page that leads to it, and a record."""
    write(folder, {**HEADERS, "docs/index.md": INDEX})
    write(folder, {f"gallery/one/{name}.py": text for name, text in scripts.items()})
    put_records(folder, make_record(FAST))


def machine(id: str, backend: str, *entries: Entry, **facts: object) -> Record:
    """Return a record of another machine, older than the one of :func:`make_record`."""
    made = make_record(*entries, id=id, created="2026-01-01T00:00:00Z")
    return msgspec.structs.replace(made, machine=msgspec.structs.replace(made.machine, backend=backend, **facts))


def conf(*, gallery: bool = False, guide: bool = False, settings: str = "") -> str:
    """Return the text of a ``conf.py``: a guest's, or with ``guide`` one that has this guide's own extension, too."""
    more = '"sphinx_gallery.gen_gallery", ' if gallery else ""
    return CONF.format(more=more, settings="".join([*_chosen(gallery, guide), settings]))


def _chosen(gallery: bool, guide: bool) -> list[str]:
    return [GALLERY] * gallery + [FIGURES] * (gallery and guide) + [GUIDE] * guide


@contextmanager
def patches_undone() -> Iterator[None]:
    """Undo what a build patches in sphinx-gallery: here guests and this guide are built in one process."""
    names = [name for name, _ in (*GUIDES, *GUESTS) if name.startswith("sphinx_gallery.")]
    owners = [(resolve_name(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in names]
    before = [getattr(owner, name) for owner, name in owners]
    try:
        yield
    finally:
        for (owner, name), value in zip(owners, before, strict=True):
            setattr(owner, name, value)


OVERVIEWS = '\nextensions.append("_ext.overviews")\n'
"""Setting for the directives `headline` and `claims-index`, which are this guide's own."""


def build(folder: Path, *, gallery: bool = False, guide: bool = False, settings: str = "", **overrides: str) -> Site:
    """Build ``folder/docs`` with a plain theme; a second build of a folder is an incremental one."""
    text = conf(gallery=gallery, guide=guide, settings=settings)
    path = folder / "conf.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    docs, out, warnings = folder / "docs", folder / "out", io.StringIO()
    with patch_docutils(folder), docutils_namespace(), patches_undone():
        app = Sphinx(
            docs, folder, out, folder / "doctrees", "html",
            confoverrides=overrides, status=None, warning=warnings, freshenv=False,
        )  # fmt: skip
        app.build()
    lines = [strip_colors(line).replace(f"{docs}/", "") for line in warnings.getvalue().splitlines()]
    return Site(out, [line for line in lines if line.strip()], app)
