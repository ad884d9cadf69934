"""Building blocks of pages: tables of plain text, folded parts, links to places that a page may offer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)
Cell = str | nodes.Node

# docutils names its nodes in lower case, and so do we.


class details(nodes.General, nodes.Element):
    """A part that the reader unfolds; its first child is the :class:`summary`."""


class summary(nodes.General, nodes.TextElement):
    """The line of a folded part that is always seen."""


class place_link(nodes.Inline, nodes.TextElement):
    """A link to the place ``key`` (``claim-…``, ``machine-…``) if a page has it, else its text."""


class on_machines(nodes.inline):
    """Text of this site's record; ``others`` says what stands in its place for each other record, by id."""


class citations(nodes.General, nodes.Element):
    """Stands for the list of pages that cite the claim ``claim``."""


@dataclass
class Notes:
    """What one page offers and uses: places on it, claims it cites, the record files and the examples it listed."""

    places: set[str] = field(default_factory=set)
    cites: set[str] = field(default_factory=set)
    listed: tuple[str, ...] | None = None
    examples: tuple[str, ...] | None = None


def notes(env: BuildEnvironment) -> dict[str, Notes]:
    """Return the notes of all pages, by page."""
    if not hasattr(env, "compile_guide_notes"):
        env.compile_guide_notes = {}  # type: ignore[attr-defined]
    return env.compile_guide_notes  # type: ignore[no-any-return, attr-defined]


def note(env: BuildEnvironment) -> Notes:
    """Return the notes of the page being read."""
    return notes(env).setdefault(env.docname, Notes())


def warn(message: str, subtype: str, location: Any = None) -> None:
    """Warn of a user's mistake; ``suppress_warnings = ["compile_guide.<subtype>"]`` silences it."""
    logger.warning(message, type="compile_guide", subtype=subtype, location=location)


def text(content: str, *classes: str) -> nodes.inline:
    """Return plain text; what it holds is never read as markup."""
    return nodes.inline(content, content, classes=list(classes))


def page_link(page: str, *content: nodes.Node) -> addnodes.pending_xref:
    """Return a link to a page by its path in the source."""
    facts = {"refdomain": "std", "reftype": "doc", "reftarget": page, "refexplicit": True, "refwarn": True}
    return addnodes.pending_xref("", *content, **facts)


def paragraph(*parts: Cell, classes: Sequence[str] = ()) -> nodes.paragraph:
    """Return a paragraph of plain text and nodes, which knows that no author wrote it."""
    made = nodes.paragraph(classes=list(classes), generated=True)
    made += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    return made


def literal_block(code: str, language: str) -> nodes.literal_block:
    """Return a block of code."""
    return nodes.literal_block(code, code, language=language)


def table(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Sequence[str] = (), caption: str = ""
) -> nodes.table:
    """Return a table; furo gives it a box that scrolls by itself on narrow pages.

    Strings are plain text. Columns whose header is in ``numbers`` are aligned to the right. Without header, all are
    words.
    """
    rows = list(rows)
    classes = ["number" if name in numbers else "words" for name in header] or ["words"] * len(rows[0])
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in classes), cols=len(classes))
    if header:
        group += nodes.thead("", _row(header, classes))
    group += nodes.tbody("", *(_row(row, classes) for row in rows))
    made = nodes.table("", classes=["guide-table"])
    if caption:
        made += nodes.title(caption, caption)
    made += group
    return made


def _row(cells: Sequence[Cell], classes: Sequence[str]) -> nodes.row:
    made = nodes.row()
    for cell, name in zip(cells, classes, strict=True):
        made += nodes.entry("", _inside(cell), classes=[name])
    return made


def _inside(cell: Cell) -> nodes.Node:
    """Return what stands in a cell. Plain words need no paragraph, and are most of the site's nodes; links do."""
    if isinstance(cell, str):
        return nodes.Text(cell)
    plain = isinstance(cell, nodes.inline | nodes.strong) and all(isinstance(part, nodes.Text) for part in cell)
    return cell if plain or isinstance(cell, nodes.paragraph | nodes.container) else paragraph(cell)


def fields(rows: Iterable[tuple[str, Cell]]) -> nodes.field_list:
    """Return names with what is to be said of each."""
    made = nodes.field_list(classes=["guide-facts"])
    for name, cell in rows:
        made += nodes.field("", nodes.field_name(name, name), nodes.field_body("", paragraph(cell)))
    return made


def folded(title: str, *content: nodes.Node) -> details:
    """Return content behind a line that unfolds it; it needs no script."""
    return details("", summary(title, title), *content)


class ResolvePlaces(SphinxPostTransform):
    """Turn place links into links, and citation lists into lists of links, when all pages are known."""

    default_priority = 6

    def run(self, **kwargs: Any) -> None:
        """Resolve what the page has of both."""
        where: dict[str, str] = getattr(self.env._app, "_compile_guide_places", None) or _places(self.env)
        for link in list(self.document.findall(place_link)):
            page = where.get(link["key"])
            link.replace_self(self._reference(page, f"#{link['key']}", link.children) if page else link.children)
        for listed in list(self.document.findall(citations)):
            listed.replace_self(self._cited(listed["claim"]))

    def _cited(self, claim: str) -> nodes.Node:
        pages = sorted(page for page, noted in notes(self.env).items() if claim in noted.cites)
        if not pages:
            return nodes.Text("no page yet")
        links: list[nodes.Node] = []
        for page in pages:
            links += [
                nodes.Text(", "),
                self._reference(page, "", [nodes.Text(self.env.titles[page].astext())]),
            ]
        return nodes.inline("", "", *links[1:])

    def _reference(self, page: str, anchor: str, children: Sequence[nodes.Node]) -> nodes.reference:
        target = self.env._app.builder.get_relative_uri(self.env.docname, page) + anchor
        return nodes.reference("", "", *children, refuri=target, internal=True)


def _places(env: BuildEnvironment) -> dict[str, str]:
    """Return the page that each place is on."""
    return {place: page for page, noted in sorted(notes(env).items()) for place in noted.places}


def _all_read(app: Sphinx, env: BuildEnvironment) -> None:
    """Look through all pages for places once, not again for each page that is written."""
    app._compile_guide_places = _places(env)  # type: ignore[attr-defined]


def _open_details(translator: Any, node: nodes.Element) -> None:
    translator.body.append(translator.starttag(node, "details"))


def _close_details(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</details>\n")


def _open_summary(translator: Any, node: nodes.Element) -> None:
    translator.body.append("<summary>")


def _close_summary(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</summary>\n")


def _open_span(translator: Any, node: nodes.Element) -> None:
    others = {"data-others": json.dumps(node["others"], ensure_ascii=False, sort_keys=True)} if node["others"] else {}
    translator.body.append(translator.starttag(node, "span", "", **others))


def _close_span(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</span>")


def _pass(translator: Any, node: nodes.Element) -> None:
    """Other formats show the content unfolded."""


def setup(app: Sphinx) -> None:
    """Register the nodes and the transform that resolves links."""
    seen = (_pass, _pass)
    app.add_node(details, html=(_open_details, _close_details), text=seen, latex=seen)
    app.add_node(summary, html=(_open_summary, _close_summary), text=seen, latex=seen)
    app.add_node(on_machines, html=(_open_span, _close_span), text=seen, latex=seen)
    app.add_post_transform(ResolvePlaces)
    app.connect("env-updated", _all_read)
