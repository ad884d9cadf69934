"""What a page with measured numbers says beside them: the machine under its title, and below an example every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from docutils import nodes
from sphinx.application import Sphinx

from compile_guide.examples import measures
from compile_guide.sphinxext.comparisons import RESULT, side_by_side
from compile_guide.sphinxext.machines import measured_on
from compile_guide.sphinxext.nodes import paragraph
from compile_guide.sphinxext.roles import galleries, noted_records

Kind = TypeVar("Kind", bound=nodes.Element)


def complete_page(app: Sphinx, doctree: nodes.document) -> None:
    """Complete a page that was just read (``doctree-read``), before Sphinx collects its images and titles."""
    put_behind_output(doctree)
    footer, script = next(having(doctree, nodes.container, "sphx-glr-footer-example"), None), script_of(app)
    if footer is not None and script is not None:
        if measures(script):
            add_recorded(app, doctree, footer, script.stem)
        if app.config.compile_guide_copy:
            command = app.config.compile_guide_copy.format(name=script.stem)
            code = nodes.literal_block(command, command, language="console")
            words = paragraph("Take it into your own project:")
            footer.insert(0, nodes.container("", words, code, classes=["guide-copy"]))
    if next(having(doctree, nodes.Element, "measured", "guide-comparisons", "guide-switch"), None) is not None:
        add_measured_on(app, doctree)


def put_behind_output(doctree: nodes.document) -> None:
    """Put what a block returned behind what it printed; sphinx-gallery puts what scrapers give before that."""
    for shown in list(having(doctree, nodes.Element, RESULT)):
        printed = shown.next_node(nodes.Element, descend=False, siblings=True)
        if printed is not None and "sphx-glr-script-out" in printed["classes"]:
            shown.parent.remove(printed)
            shown.parent.insert(shown.parent.index(shown), printed)


def script_of(app: Sphinx) -> Path | None:
    """Return the script that the page being read was made from; None for another page."""
    page = Path(app.srcdir, app.env.docname)
    for scripts, made in galleries(app, app.config):
        if page.is_relative_to(made) and (script := scripts / f"{page.relative_to(made)}.py").is_file():
            return script
    return None


def add_recorded(app: Sphinx, doctree: nodes.document, footer: nodes.container, example: str) -> None:
    """Name the machine on an example's page if it was recorded, and put a section with all machines before the footer."""
    records = noted_records(app.env, app.config)
    names = [entry.name for entry in records.shown.by_example.get(example, ())] if records.shown else []
    if names:
        add_measured_on(app, doctree)
    if folds := [fold for name in names if (fold := side_by_side(name, records))]:
        title = "On every machine"
        words = "Each row is a machine of its own: compare within a row, not down a column."
        section = nodes.section("", nodes.title(title, title), paragraph(words), *folds, ids=["on-every-machine"])
        doctree.note_explicit_target(section)
        footer.parent.insert(footer.parent.index(footer), section)


def add_measured_on(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line that names the machine under the page's title, unless the page has one already."""
    records, title = noted_records(app.env, app.config), next(doctree.findall(nodes.title), None)
    there = next(having(doctree, nodes.paragraph, "measured-on"), None) is not None
    if records.shown and title is not None and not there:
        title.parent.insert(title.parent.index(title) + 1, measured_on(records, Path(app.env.docname).name))


def having(doctree: nodes.Element, kind: type[Kind], *names: str) -> Iterator[Kind]:
    """Yield the nodes of a kind that have one of these classes."""
    return (node for node in doctree.findall(kind) if set(names) & set(node["classes"]))
