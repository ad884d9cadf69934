"""Pages as sphinx-gallery made them, mended for every reader; the line that says where numbers come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from _ext.cards import mend_thumbnails
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from compile_guide.sphinxext.comparisons import by_machine, facts_by_machine, side_by_side
from compile_guide.sphinxext.machine_tabs import switch
from compile_guide.sphinxext.machines import measured_on
from compile_guide.sphinxext.nodes import literal_block, paragraph
from compile_guide.sphinxext.roles import generated, noted_shelf

Kind = TypeVar("Kind", bound=nodes.Element)

ONE = re.compile(r"guide-comparison'><caption>(?P<name>[a-z0-9_-]+)</caption>")
SEVERAL = re.compile(r"<thead><tr><th scope='col'>comparison</th>.*?<tbody>(?P<rows>.*)</tbody>", re.DOTALL)
ROW = re.compile(r"<tr><td>([a-z0-9_-]+)</td>")
"""What :class:`compile_guide.timing.Comparison` and ``table()`` give sphinx-gallery to capture."""


def mend_page(app: Sphinx, doctree: nodes.document) -> None:
    """Rework a page that was just read (``doctree-read``), before Sphinx collects its images and titles."""
    page, gallery = app.env.docname, app.config.sphinx_gallery_conf["gallery_dirs"]
    mend_thumbnails(app, doctree)
    if page == f"{gallery}/index":
        nest_topics(doctree)
        add_measured_on(app, doctree)
    if page.startswith(f"{gallery}/"):
        mend_example(app, doctree)
    elif next(_having(doctree, nodes.inline, "measured"), None) is not None:
        add_measured_on(app, doctree)


def mend_example(app: Sphinx, doctree: nodes.document) -> None:
    """Finish an example's page: what it was measured on, how to take it along, tags without a picture."""
    for tags in _having(doctree, nodes.paragraph, "sphx-glr-example-tags"):
        tags.children[:] = [nodes.Text(tags.astext().replace("\N{LABEL} ", ""))]
    footer = next(_having(doctree, nodes.container, "sphx-glr-footer-example"), None)
    if footer is None:
        return
    show_captured(app, doctree)
    add_measured_on(app, doctree)
    add_every_machine(app, doctree, footer)
    command = app.config.compile_guide_copy.format(name=Path(app.env.docname).name)
    own = [paragraph("Take it into your own project:"), literal_block(command, "console")]
    footer.insert(0, nodes.container("", *own, classes=["guide-copy"]))


def show_captured(app: Sphinx, doctree: nodes.document) -> None:
    """Show the comparisons that a block returned as a table for each machine.

    sphinx-gallery captures HTML of the record that is replayed; the names in it are all that is kept.
    """
    shelf, examples = noted_shelf(app.env, app.config), generated(app.env, app.config)
    for raw in list(doctree.findall(nodes.raw)):
        one, several = ONE.search(raw.astext()), SEVERAL.search(raw.astext())
        names = [one["name"]] if one else ROW.findall(several["rows"]) if several else []
        if panels := facts_by_machine(names[0], shelf, examples) if one else by_machine(names, shelf, examples):
            raw.replace_self(switch(panels))


def add_every_machine(app: Sphinx, doctree: nodes.document, footer: nodes.container) -> None:
    """Put a section before the footer: each comparison of this example on all machines that have measured it."""
    shelf, example = noted_shelf(app.env, app.config), Path(app.env.docname).name
    names = [entry.name for entry in shelf.shown.by_example.get(example, ())] if shelf.shown else []
    folds = [fold for name in names if (fold := side_by_side(name, shelf))]
    if folds:
        title = "On every machine"
        words = "Each row is a machine of its own: compare within a row, not down a column."
        section = nodes.section("", nodes.title(title, title), paragraph(words), *folds, ids=["on-every-machine"])
        doctree.note_explicit_target(section)
        footer.parent.insert(footer.parent.index(footer), section)


def nest_topics(doctree: nodes.document) -> None:
    """Put the topics below the gallery's title: underlined alike, they come as its equals."""
    sections = [node for node in doctree.children if isinstance(node, nodes.section)]
    for other in sections[1:]:
        doctree.remove(other)
        if next(_having(other, nodes.container, "guide-cards"), None) is not None:
            sections[0] += other
        else:  # an empty topic; the last section holds the index's table of contents, too
            sections[0] += list(other.findall(addnodes.toctree))


def add_measured_on(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line under the page's title, unless the page has one already."""
    shelf = noted_shelf(app.env, app.config)
    title = next(iter(doctree.findall(nodes.title)), None)
    if next(_having(doctree, nodes.paragraph, "measured-on"), None) is not None or title is None:
        return
    if shelf.shown:
        section = title.parent
        section.insert(section.index(title) + 1, measured_on(shelf, Path(app.env.docname).name))


def _having(doctree: nodes.Element, kind: type[Kind], name: str) -> Iterator[Kind]:
    return (node for node in doctree.findall(kind) if name in node["classes"])
