"""Pages as sphinx-gallery made them, mended for every reader; the line that says where numbers come from."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from docutils import nodes
from sphinx.application import Sphinx

from compile_guide.site.cards import themed
from compile_guide.site.nodes import literal_block, paragraph
from compile_guide.site.roles import shelf_of
from compile_guide.site.tables import measured_on

Kind = TypeVar("Kind", bound=nodes.Element)
CARD = re.compile(r"""sphx-glr-thumbcontainer" (?:data-sgtags='(?P<tags>[^']*)' )?tooltip="(?P<intro>[^"]*)">""")


def mend_page(app: Sphinx, doctree: nodes.document) -> None:
    """Rework a page that was just read (``doctree-read``), before Sphinx collects its images and titles."""
    page, gallery = app.env.docname, app.config.sphinx_gallery_conf["gallery_dirs"]
    mend_thumbnails(doctree, Path(app.srcdir))
    if page == f"{gallery}/index":
        nest_topics(doctree)
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
    add_measured_on(app, doctree)
    command = app.config.compile_guide_copy.format(name=Path(app.env.docname).name)
    own = [paragraph("Take it into your own project:"), literal_block(command, "console")]
    footer.insert(0, nodes.container("", *own, classes=["guide-copy"]))


def nest_topics(doctree: nodes.document) -> None:
    """Put the topics below the gallery's title: underlined alike, they come as its equals."""
    sections = [node for node in doctree.children if isinstance(node, nodes.section)]
    for other in sections[1:]:
        doctree.remove(other)
        sections[0] += other


def add_measured_on(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line under the page's title, unless the page has one already."""
    shown = shelf_of(app.env, app.config)
    title = next(iter(doctree.findall(nodes.title)), None)
    if next(_having(doctree, nodes.paragraph, "measured-on"), None) is not None or title is None:
        return
    if shown.shown and shown.shown_file:
        app.env.note_dependency(shown.shown_file)
        section = title.parent
        section.insert(section.index(title) + 1, measured_on(shown.shown))


def mend_thumbnails(doctree: nodes.document, source: Path) -> None:
    """Give sphinx-gallery's thumbnails the markup of cards.

    As they come, a thumbnail's link has no text that a screen reader could read, its introduction stands in
    an attribute that HTML doesn't know, and the filter's empty box repeats its id once a topic.
    """
    intro = ""
    for raw in list(doctree.findall(nodes.raw)):
        content = raw.astext()
        if found := CARD.search(content):
            intro = found["intro"]
            tags = " ".join(f"tag-{tag}" for tag in json.loads(found["tags"] or "[]"))
            _replace(raw, f'<div class="{f"guide-card sphx {tags}".strip()}">')
        elif "sphx-glr-thumbnail-title" in content:
            _replace(raw, f'<p class="guide-card-intro">{html.escape(html.unescape(intro))}</p></div>')
        elif "sg-tag-list" in content:
            _replace(raw, "")
        elif 'class="sphx-glr-thumbnails"' in content:
            _replace(raw, '<div class="guide-cards">')
    for image in list(doctree.findall(nodes.image)):
        stem = re.sub(r"/thumb/(.*)_thumb\.svg$", r"/\1_001", image["uri"])
        if stem != image["uri"] and (source / f"{stem}.svg".lstrip("/")).exists():
            image.replace_self(themed(stem))


def _having(doctree: nodes.document, kind: type[Kind], name: str) -> Iterator[Kind]:
    return (node for node in doctree.findall(kind) if name in node["classes"])


def _replace(raw: nodes.raw, content: str) -> None:
    raw.replace_self([nodes.raw("", content, format="html")] if content else [])
