"""The whole site as one Markdown file, for language models and for grep: what a reader sees, not what was typed.

sphinx-llms-txt joins the sources of the pages, in which ``{measured}`` is a role and an example's table is HTML. Here
each page is written down once it is resolved, and the pages are joined in the order of the table of contents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from _ext.drawing import drawing
from _ext.site_files import write_texts
from compile_guide.sphinxext.nodes import details, summary

SILENT = (
    nodes.comment,
    nodes.target,
    nodes.substitution_definition,
    nodes.system_message,
    nodes.meta,
    addnodes.index,
    addnodes.toctree,
    addnodes.highlightlang,
)

SKIPPED = {"guide-others", "sphx-glr-download-link-note", "sphx-glr-footer"}
"""Classes of parts that repeat others, or that are about downloads."""


def markdown(doctree: nodes.Element) -> str:
    """Return a page that is resolved as Markdown, without the records that it only shows on request."""
    return "\n\n".join(_children(doctree, 1)) + "\n"


def inline(node: nodes.Node) -> str:
    """Return what stands within a line; links out of the site keep their target, a figure its alternative text."""
    if isinstance(node, nodes.Text):
        return " ".join(re.split(r"\s+", node.astext()))
    if isinstance(node, nodes.literal):
        return f"`{node.astext()}`"
    if isinstance(node, nodes.image):
        return _picture(node)
    if isinstance(node, (nodes.raw, *SILENT)):
        return ""
    inside = "".join(map(inline, node.children))
    if isinstance(node, nodes.reference) and re.match("https?:", node.get("refuri", "")):
        return f"[{inside}]({node['refuri']})"
    mark = "**" if isinstance(node, nodes.strong) else "*" if isinstance(node, nodes.emphasis) else ""
    return f"{mark}{inside}{mark}" if inside.strip() else inside


def _picture(node: nodes.image) -> str:
    alt = node.get("alt", "")
    return f"[Figure: {alt}]" if alt and "only-dark" not in node["classes"] else ""


def _children(node: nodes.Element, depth: int) -> list[str]:
    """Return the blocks of a node's children; what stands beside blocks without a paragraph becomes one."""
    found: list[str] = []
    line = ""
    for child in node.children:
        if isinstance(child, nodes.Text | nodes.Inline):
            line += inline(child)
            continue
        found += [line.strip(), *_block(child, depth)]
        line = ""
    return [block for block in [*found, line.strip()] if block]


def _block(node: nodes.Node, depth: int) -> list[str]:
    if isinstance(node, SILENT) or not isinstance(node, nodes.Element) or SKIPPED & set(node.get("classes", ())):
        return []
    if isinstance(node, nodes.TextElement) and "lang" in node:  # code in which sphinx-gallery has linked names
        return _code(node, depth)
    for kind, write in WRITERS:
        if isinstance(node, kind):
            return write(node, depth)
    return [inline(node).strip()] if isinstance(node, nodes.TextElement) else _children(node, depth)


def _section(node: nodes.Element, depth: int) -> list[str]:
    return _children(node, depth + 1)


def _title(node: nodes.Element, depth: int) -> list[str]:
    return [f"{'#' * min(6, max(1, depth - 1))} {inline(node)}"]


def _code(node: nodes.Element, depth: int) -> list[str]:
    language = str(node.get("language") or node.get("lang", "")).lower().replace("none", "").replace("default", "")
    return [f"```{language}\n{node.astext().rstrip()}\n```"]


def _list(node: nodes.Element, depth: int) -> list[str]:
    numbered = isinstance(node, nodes.enumerated_list)
    items = []
    for number, item in enumerate(node.children, start=1):
        mark = f"{number}. " if numbered else "- "
        items.append(_behind(mark, "\n\n".join(_children(item, depth)) if isinstance(item, nodes.Element) else ""))
    return ["\n".join(items)]


def _behind(mark: str, text: str) -> str:
    """Return a text behind a mark, its later lines as far in."""
    return mark + text.replace("\n", "\n" + " " * len(mark)).replace(" " * len(mark) + "\n", "\n")


def _definition(node: nodes.Element, depth: int) -> list[str]:
    terms = ", ".join(inline(child) for child in node.children if isinstance(child, nodes.term | nodes.field_name))
    bodies = [child for child in node.children if isinstance(child, nodes.definition | nodes.field_body)]
    said = "\n\n".join(block for body in bodies for block in _children(body, depth))
    return [_behind("- ", f"**{terms}**: {said}")]


def _quote(node: nodes.Element, depth: int) -> list[str]:
    kind = (
        "" if isinstance(node, nodes.block_quote | nodes.admonition) else f"**{type(node).__name__.capitalize()}**\n\n"
    )
    inside = kind + "\n\n".join(_children(node, 6))
    return ["> " + inside.replace("\n", "\n> ")]


def _table(node: nodes.Element, depth: int) -> list[str]:
    titles = [f"**{inline(title)}**" for title in node.findall(nodes.title)]
    rows = [[inline_cell(entry) for entry in row.findall(nodes.entry)] for row in node.findall(nodes.row)]
    headed = next(iter(node.findall(nodes.thead)), None) is not None
    return [*titles, pipes(rows if headed else [[""] * len(rows[0]), *rows])]


def inline_cell(entry: nodes.Element) -> str:
    """Return a cell's blocks in one line."""
    return " ".join(" ".join(_children(entry, 6)).split()).replace("|", "\\|")


def pipes(rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its first row the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def _summary(node: nodes.Element, depth: int) -> list[str]:
    return [f"**{inline(node)}**"]


def _signature(node: nodes.Element, depth: int) -> list[str]:
    return [f"`{' '.join(node.astext().split())}`"]


WRITERS: list[tuple[type | tuple[type, ...], Callable[[nodes.Element, int], list[str]]]] = [
    (nodes.section, _section),
    ((nodes.title, nodes.rubric), _title),
    ((nodes.literal_block, nodes.doctest_block), _code),
    ((nodes.bullet_list, nodes.enumerated_list), _list),
    ((nodes.definition_list_item, nodes.field), _definition),
    ((nodes.block_quote, nodes.Admonition), _quote),
    (nodes.table, _table),
    (nodes.raw, lambda node, _: []),
    (nodes.image, lambda node, _: [inline(node)]),
    (drawing, lambda node, _: [f"[Drawing: {node['description']}]"]),
    (summary, _summary),
    (addnodes.desc_signature, _signature),
    (details, _children),
]
"""What writes which node, the first that fits; others are gone through, or are a line of text."""


def in_order(env: BuildEnvironment, root: str) -> Iterator[str]:
    """Yield the pages in the order of the table of contents, then those that stand in none."""
    seen: set[str] = set()

    def below(page: str) -> Iterator[str]:
        if page in seen:
            return
        seen.add(page)
        yield page
        for child in env.toctree_includes.get(page, ()):
            yield from below(child)

    yield from below(root)
    yield from sorted(env.found_docs - seen)


def _folder(app: Sphinx) -> Path:
    return Path(app.doctreedir) / "plain"


def _note_page(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write one resolved page down; pages that a build leaves alone keep what an earlier one wrote."""
    if app.config.compile_guide_plain and app.builder.format == "html":
        file = _folder(app) / f"{page}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(markdown(doctree), encoding="utf-8")


def _join(app: Sphinx, error: Exception | None) -> None:
    if error is not None or not app.config.compile_guide_plain or app.builder.format != "html":
        return
    files = [(page, _folder(app) / f"{page}.md") for page in in_order(app.env, app.config.root_doc)]
    parts = [f"<!-- {page}.html -->\n\n{file.read_text(encoding='utf-8')}" for page, file in files if file.exists()]
    write_texts(app, {app.config.compile_guide_plain: "\n".join(parts)}, "compile-guide-plain.json")


def _note_written(app: Sphinx, page: str, *_: object) -> None:
    if page in app.env.found_docs:
        app._compile_guide_written = True  # type: ignore[attr-defined]


def _spare(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Let llms.txt stand when no page was written and none is gone, instead of reading all sources for it; adds no page.

    All settings of sphinx-llms-txt make Sphinx read every page again.
    """
    changed = hasattr(app, "_compile_guide_written")
    if not changed and (Path(app.outdir) / getattr(app.config, "llms_txt_filename", "")).is_file():
        for listener in list(app.events.listeners["build-finished"]):
            if listener.handler.__module__ == "sphinx_llms_txt":
                app.disconnect(listener.id)
    yield from ()


def setup(app: Sphinx) -> None:
    """Write ``compile_guide_plain`` (a file name, none by default) beside the pages; spare sphinx-llms-txt idle work."""
    app.add_config_value("compile_guide_plain", "", "env", str)
    app.connect("doctree-resolved", _note_page, priority=900)
    app.connect("html-page-context", _note_written)
    app.connect("html-collect-pages", _spare)
    app.connect("build-finished", _join)
