"""Building blocks of pages: tables, folded parts, and text that differs from machine to machine; each in any format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)
Cell = str | nodes.Node
Write = Callable[[Any, nodes.Element], None]
MOST_LETTERS = 30


class details(nodes.container):  # docutils names its nodes in lower case, and so do we
    """A part that the reader unfolds; its first child is the :class:`summary`."""


class summary(nodes.paragraph):
    """The line of a folded part that is always seen."""


class on_machines(nodes.inline):
    """Text of this site's record; ``others`` says what stands in its place for each other record, by id."""


class SuitOtherFormats(SphinxPostTransform):
    """Puts words in cells into paragraphs, and dissolves our containers: formats that aren't HTML run words together else."""

    default_priority = 800
    formats = ("latex", "man", "texinfo", "text")

    def run(self, **kwargs: Any) -> None:
        """Change what is ours, by its classes."""
        for entry in self.document.findall(nodes.entry):
            if entry["classes"] in (["number"], ["words"]) and isinstance(entry[0], nodes.Text | nodes.Inline):
                entry[:] = [nodes.paragraph("", "", *entry.children)]
        for box in list(self.document.findall(nodes.container)):
            if isinstance(box, details) or any(name.startswith(("guide-", "claim-")) for name in box["classes"]):
                place = [nodes.target("", "", ids=box["ids"])] if box["ids"] else []
                box.replace_self([*place, *box.children])


def warn(message: str, subtype: str, location: Any = None) -> None:
    """Warn of a user's mistake; ``suppress_warnings = ["compile_guide.<subtype>"]`` silences it."""
    logger.warning(message, type="compile_guide", subtype=subtype, location=location)


def text(content: str, *classes: str) -> nodes.inline:
    """Return plain text; what it holds is never read as markup."""
    return nodes.inline(content, content, classes=list(classes))


def paragraph(*parts: Cell, classes: Sequence[str] = ()) -> nodes.paragraph:
    """Return a paragraph of plain text and nodes, which knows that no author wrote it."""
    made = nodes.paragraph(classes=list(classes), generated=True)
    made += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    return made


def table(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Sequence[str] = (), caption: str = ""
) -> nodes.table:
    """Return a table; columns whose header is in ``numbers`` are aligned to the right. Strings are plain text."""
    rows = list(rows)
    classes = ["number" if name in numbers else "words" for name in header] or ["words"] * len(rows[0])
    columns = zip(*([header] if header else []), *rows, strict=True)
    specs = [nodes.colspec(colwidth=max(map(_width, column))) for column in columns]
    head = [nodes.thead("", _row(header, classes))] if header else []
    body = nodes.tbody("", *(_row(row, classes) for row in rows))
    group = nodes.tgroup("", *specs, *head, body, cols=len(classes))
    return nodes.table("", *([nodes.title(caption, caption)] if caption else []), group, classes=["guide-table"])


def _width(cell: Cell) -> int:
    """Return the letters of a cell's longest line, which plain text and Texinfo make a column for."""
    words = cell if isinstance(cell, str) else cell.astext()
    return min(MOST_LETTERS, max(map(len, words.splitlines()), default=1))


def _row(cells: Sequence[Cell], classes: Sequence[str]) -> nodes.row:
    entries = (nodes.entry("", _inside(cell), classes=[name]) for cell, name in zip(cells, classes, strict=True))
    return nodes.row("", *entries)


def _inside(cell: Cell) -> nodes.Node:
    """Return what stands in a cell. Plain words need no paragraph, and are most of the site's nodes; links do."""
    if isinstance(cell, str):
        return nodes.Text(cell)
    plain = isinstance(cell, nodes.inline | nodes.strong) and all(isinstance(part, nodes.Text) for part in cell)
    return cell if plain or isinstance(cell, nodes.paragraph | nodes.container) else paragraph(cell)


def fields(rows: Iterable[tuple[str, Cell]]) -> nodes.field_list:
    """Return names with what is to be said of each."""
    pairs = ((nodes.field_name(name, name), nodes.field_body("", paragraph(cell))) for name, cell in rows)
    return nodes.field_list("", *(nodes.field("", *pair) for pair in pairs), classes=["guide-facts"])


def folded(title: str, *content: nodes.Node) -> details:
    """Return content behind a line that unfolds it; it needs no script."""
    return details("", summary(title, title), *content)


def _html(tag: str, begun: str, ended: str) -> tuple[Write, Write]:
    def visit(translator: Any, node: nodes.Element) -> None:
        others = node.get("others") and json.dumps(node["others"], ensure_ascii=False, sort_keys=True)
        translator.body.append(translator.starttag(node, tag, begun, **({"data-others": others} if others else {})))

    return visit, lambda translator, _: translator.body.append(f"</{tag}>{ended}")


def _offer_styles(app: Sphinx, config: Config) -> None:
    """Put our styles before the project's own files: one of the same name then stands instead of ours."""
    config.html_static_path = [str(Path(__file__).parent / "static"), *config.html_static_path]


def setup(app: Sphinx) -> None:
    """Register the nodes, and the styles of what we put on pages."""
    app.add_node(details, html=_html("details", "\n", "\n"))
    app.add_node(summary, html=_html("summary", "", "\n"))
    app.add_node(on_machines, html=_html("span", "", ""))
    app.connect("config-inited", _offer_styles)
    app.add_css_file("compile-guide.css")
    app.add_post_transform(SuitOtherFormats)
