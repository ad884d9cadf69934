"""What this guide changes on the pages that sphinx-gallery makes: topics below the gallery's title, tags without a picture."""

from __future__ import annotations

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from compile_guide.sphinxext.pages import add_measured_on, having


def mend_page(app: Sphinx, doctree: nodes.document) -> None:
    """Rework a page that was just read (``doctree-read``)."""
    gallery = app.config.sphinx_gallery_conf["gallery_dirs"]
    for raw in [raw for raw in doctree.findall(nodes.raw) if "sg-tag-list" in raw.astext()]:
        raw.parent.remove(raw)  # sphinx-gallery's filter, whose box repeats its id once a topic; guide.js has ours
    if app.env.docname == f"{gallery}/index":
        nest_topics(doctree)
        add_measured_on(app, doctree)
    for tags in having(doctree, nodes.paragraph, "sphx-glr-example-tags"):
        tags.children[:] = [nodes.Text(tags.astext().replace("\N{LABEL} ", ""))]


def nest_topics(doctree: nodes.document) -> None:
    """Put the topics below the gallery's title: underlined alike, they come as its equals."""
    sections = [node for node in doctree.children if isinstance(node, nodes.section)]
    for other in sections[1:]:
        doctree.remove(other)
        if next(having(other, nodes.container, "guide-cards"), None) is not None:
            sections[0] += other
        else:  # an empty topic; the last section holds the index's table of contents, too
            sections[0] += list(other.findall(addnodes.toctree))


def setup(app: Sphinx) -> None:
    """Register the hook, behind the one that groups cards."""
    # guide.js filters by tag instead: with buttons, so that a keyboard reaches them
    app.registry.js_files[:] = [file for file in app.registry.js_files if file[0] != "sg-tags.js"]
    app.connect("doctree-read", mend_page, priority=350)
