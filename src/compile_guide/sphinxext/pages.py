"""What a page with measured numbers says beside them: the machine under its title, and below an example every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from docutils import nodes
from sphinx.application import Sphinx

from compile_guide.examples import measures
from compile_guide.sphinxext.comparisons import side_by_side
from compile_guide.sphinxext.machines import measured_on
from compile_guide.sphinxext.nodes import literal_block, paragraph
from compile_guide.sphinxext.roles import as_list, noted_records

Kind = TypeVar("Kind", bound=nodes.Element)
RESULT = "recorded-result"
"""Class of what stands for a block's result (see scraper.py)."""
MARKED = ("measured", "guide-comparisons", "guide-switch")
"""Classes of nodes that show measured numbers."""


def complete_page(app: Sphinx, doctree: nodes.document) -> None:
    """Complete a page that was just read (``doctree-read``), before Sphinx collects its images and titles."""
    put_behind_output(doctree)
    footer, script = next(having(doctree, nodes.container, "sphx-glr-footer-example"), None), script_of(app)
    if footer is not None and script is not None:
        if measures(script):
            add_recorded(app, doctree, footer, script.stem)
        add_copy_command(app, footer)
    if next(having(doctree, nodes.Element, *MARKED), None) is not None:
        add_measured_on(app, doctree)


def put_behind_output(doctree: nodes.document) -> None:
    """Put what a block returned behind what it printed; sphinx-gallery puts what scrapers give before that."""
    for shown in list(having(doctree, nodes.Element, RESULT)):
        place = shown.parent.index(shown)
        printed = shown.parent[place + 1] if place + 1 < len(shown.parent) else None
        if isinstance(printed, nodes.Element) and "sphx-glr-script-out" in printed.get("classes", ()):
            shown.parent[place : place + 2] = [printed, shown]


def galleries(app: Sphinx) -> list[tuple[Path, Path]]:
    """Return the galleries of sphinx-gallery: the folder of each one's scripts, and that of its pages."""
    conf = getattr(app.config, "sphinx_gallery_conf", {})
    pairs = zip(as_list(conf.get("examples_dirs", [])), as_list(conf.get("gallery_dirs", [])), strict=False)
    return [(Path(app.srcdir, scripts), Path(app.srcdir, made)) for scripts, made in pairs]


def script_of(app: Sphinx) -> Path | None:
    """Return the script that the page being read was made from; None for another page."""
    page = Path(app.srcdir, app.env.docname)
    inside = [(scripts, page.relative_to(made)) for scripts, made in galleries(app) if page.is_relative_to(made)]
    return next((file for scripts, name in inside if (file := scripts / f"{name}.py").is_file()), None)


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


def add_copy_command(app: Sphinx, footer: nodes.container) -> None:
    """Put the command that copies the example (``compile_guide_copy``) into the footer, if there is one."""
    if app.config.compile_guide_copy:
        command = app.config.compile_guide_copy.format(name=Path(app.env.docname).name)
        own = [paragraph("Take it into your own project:"), literal_block(command, "console")]
        footer.insert(0, nodes.container("", *own, classes=["guide-copy"]))


def add_measured_on(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line that names the machine under the page's title, unless the page has one already."""
    records = noted_records(app.env, app.config)
    title = next(iter(doctree.findall(nodes.title)), None)
    if next(having(doctree, nodes.paragraph, "measured-on"), None) is not None or title is None:
        return
    if records.shown:
        section = title.parent
        section.insert(section.index(title) + 1, measured_on(records, Path(app.env.docname).name))


def having(doctree: nodes.Element, kind: type[Kind], *names: str) -> Iterator[Kind]:
    """Yield the nodes of a kind that have one of these classes."""
    return (node for node in doctree.findall(kind) if set(names) & set(node["classes"]))
