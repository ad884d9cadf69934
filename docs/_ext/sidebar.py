"""Furo's sidebar, made once instead of once for each page.

It names every page of the site, so making it anew for each page takes a time that grows with the square of their number:
with fifty pages a seventh of a build, with hundreds nearly all of it. Pages of one folder have the same links; what
differs is which entry is marked as the page at hand. So the sidebar is made as seen from a page of the top folder that
doesn't exist, each other folder changes the links in that text, and each page marks its own entries in its folder's, as
Sphinx and furo would have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

KEY = "furo_navigation_tree"
NOWHERE = "~"
"""Name of the page that doesn't exist."""
TOP = "."
LINK = re.compile(r'(<a\b[^>]*? href=")([^"]*)')
TAG = re.compile(r"<(/?)(ul|li|a|input)\b([^>]*)>")
Edit = tuple[int, int, str]


@dataclass
class Item:
    """An entry of the sidebar: where its own tag, its list's, its link's and its box's lie in the text."""

    parent: Item | None
    tags: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sidebar:
    """A folder's sidebar in which no entry is marked, and its entries by the address that they lead to."""

    html: str
    items: dict[str, list[Item]]

    def marked(self, uri: str) -> str:
        """Return the sidebar as the page at ``uri`` shows it."""
        edits: dict[int, Edit] = {}
        found = self.items.get(uri, [])
        for item in found:
            self._mark(item, edits)
        if found:
            # furo marks the last entry in the text that is current: the page's own, which stands below its ancestors
            start, end = found[-1].tags["li"]
            edits[start] = (start, end, _with_class(edits[start][2], "current-page", last=True))
        parts, at = [], 0
        for start, end, tag in sorted(edits.values()):
            parts += [self.html[at:start], tag]
            at = end
        return "".join([*parts, self.html[at:]])

    def _mark(self, own: Item, edits: dict[int, Edit]) -> None:
        item: Item | None = own
        start, end = own.tags["a"]
        link = re.sub(r'href="[^"]*"', 'href="#"', _with_class(self.html[start:end], "current", last=False))
        edits[start] = (start, end, link)
        while item:
            for name in ("ul", "li", "input"):
                if name in item.tags:
                    start, end = item.tags[name]
                    edits[start] = (start, end, CHANGES[name](self.html[start:end]))
            item = item.parent


def _with_class(tag: str, name: str, *, last: bool) -> str:
    if ' class="' not in tag:
        return f'{tag[:-1]} class="{name}">'
    return re.sub(r' class="([^"]*)"', lambda m: f' class="{f"{m[1]} {name}" if last else f"{name} {m[1]}"}"', tag)


CHANGES: dict[str, Callable[[str], str]] = {
    "ul": lambda tag: _with_class(tag, "current", last=True),
    "li": lambda tag: re.sub(r"(toctree-l\d+)", r"\1 current", tag),
    "input": lambda tag: tag.replace(" class=", ' checked="" class=', 1),
}


def parse(html: str) -> Sidebar:
    """Find the entries in furo's sidebar."""
    items: dict[str, list[Item]] = {}
    lists: list[tuple[int, int]] = []
    open_items: list[Item] = []
    for found in TAG.finditer(html):
        closing, name, attributes = found.groups()
        if name == "ul":
            lists.pop() if closing else lists.append(found.span())
        elif name == "li" and closing:
            open_items.pop()
        elif name == "li":
            tags = {"ul": lists[-1], "li": found.span()}
            open_items.append(Item(open_items[-1] if open_items else None, tags))
        elif not closing and open_items and name not in open_items[-1].tags:
            open_items[-1].tags[name] = found.span()
            if name == "a" and (href := re.search(r'href="([^"]*)"', attributes)):
                items.setdefault(href[1], []).append(open_items[-1])
    return Sidebar(html, items)


def _take_over(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """Before furo: keep it from making this page's sidebar."""
    if app.config.html_theme == "furo" and "toctree" in context:
        context["_compile_guide_toctree"] = context["toctree"]
        context["toctree"] = lambda **_: ""


def _give_back(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: nodes.document | None
) -> None:
    """After furo: put in the folder's sidebar, this page's entries marked."""
    if (toctree := context.pop("_compile_guide_toctree", None)) is None:
        return
    context["toctree"] = toctree
    if KEY in context:
        folder = PurePosixPath(page).parent.as_posix()
        context[KEY] = sidebar_of(app, folder).marked(app.builder.get_relative_uri(_nowhere(folder), page))


def _nowhere(folder: str) -> str:
    return NOWHERE if folder == TOP else f"{folder}/{NOWHERE}"


def sidebar_of(app: Sphinx, folder: str) -> Sidebar:
    """Return the sidebar of a folder's pages."""
    made: dict[str, Sidebar] = app.__dict__.setdefault("_compile_guide_sidebars", {})
    if folder not in made:
        made[folder] = parse(_made_anew(app) if folder == TOP else _moved(app, sidebar_of(app, TOP).html, folder))
    return made[folder]


def _made_anew(app: Sphinx) -> str:
    """Let Sphinx and furo make the sidebar of the top folder."""
    from furo.navigation import get_navigation_tree

    builder: Any = app.builder
    seen = {"collapse": False, "titles_only": True, "maxdepth": -1, "includehidden": True}
    tree: str = get_navigation_tree(builder._get_local_toctree(_nowhere(TOP), **seen))
    return tree


def _moved(app: Sphinx, html: str, folder: str) -> str:
    """Return the top folder's sidebar with its links to pages as another folder's pages have them."""
    to = app.builder.get_relative_uri
    links = {to(_nowhere(TOP), page): to(_nowhere(folder), page) for page in app.env.found_docs}
    return LINK.sub(lambda found: found[1] + links.get(found[2], found[2]), html)


def setup(app: Sphinx) -> None:
    """Work around furo's own handler, which has priority 500."""
    app.connect("html-page-context", _take_over, priority=400)
    app.connect("html-page-context", _give_back, priority=600)
