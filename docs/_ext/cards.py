"""Cards that lead to examples, each with the example's own figure, or else with a few lines of its code."""

from __future__ import annotations

import functools
import html
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from compile_guide.sphinxext.nodes import note, page_link, paragraph, text, warn

EXCERPT_LINES = 6


@dataclass(frozen=True)
class Example:
    """An example as a card shows it: ``page`` is a path in the source, ``figure`` its first figure's without ending.

    ``intro`` is one sentence. Without a figure, ``code`` holds the lines that a reader knows it by.
    """

    page: str
    title: str
    intro: str
    tags: tuple[str, ...]
    figure: str = ""
    code: str = ""


def read_example(script: Path, generated: Path, source: Path) -> Example:
    """Read title, first sentence and tags from a script's head, and find its generated figure."""
    title, intro, tags, code = _read(script, script.stat().st_mtime_ns)
    figure = generated / script.parent.name / "images" / f"sphx_glr_{script.stem}_001"
    found = figure.relative_to(source).as_posix() if figure.with_suffix(".svg").exists() else ""
    page = (generated / script.parent.name / script.stem).relative_to(source).as_posix()
    return Example(page, title, intro, tags, found, "" if found else code)


@functools.cache
def _read(script: Path, _changed: int) -> tuple[str, str, tuple[str, ...], str]:
    """Return title, first sentence, tags and the lines that a reader knows it by; many pages show the same card."""
    from sphinx_gallery import gen_rst, py_source_parser

    conf, blocks, *_ = py_source_parser.split_code_and_text_blocks(str(script))
    intro, title = gen_rst.extract_intro_and_title(str(script), blocks[0].content)
    code = excerpt([block.content for block in blocks if block.type == "code"])
    return title, first_sentence(intro), tuple(conf.get("tags", ())), code


def first_sentence(text: str) -> str:
    """Return a text up to the first period, question or exclamation mark that ends a sentence."""
    return re.split(r"(?<=[.?!…])\s+(?=[^a-z])", text.strip(), maxsplit=1)[0]


def excerpt(blocks: Sequence[str]) -> str:
    """Return the few lines around the first ``mx.compile`` of a script's code, or its first lines."""
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"\s*(#|import |from )", line)]
    middle = next((i for i, line in enumerate(lines) if "mx.compile" in line), 0)
    start = max(0, min(middle - EXCERPT_LINES // 2, len(lines) - EXCERPT_LINES))
    return textwrap.dedent("\n".join(lines[start : start + EXCERPT_LINES]))


def card(example: Example) -> nodes.container:
    """Return the card: figure or code (decoration beside the linked title), title, one sentence, tags."""
    made = nodes.container(classes=["guide-card", *(f"tag-{tag.replace(' ', '-')}" for tag in example.tags)])
    if example.figure:
        made += themed(f"/{example.figure}")
    else:
        code = html.escape(example.code)
        made += nodes.raw("", f'<pre class="guide-card-code" aria-hidden="true">{code}</pre>', format="html")
    made += paragraph(page_link(f"/{example.page}", text(example.title)), classes=["guide-card-title"])
    made += paragraph(example.intro, classes=["guide-card-intro"])
    if example.tags:
        made += paragraph(" · ".join(example.tags), classes=["guide-card-tags"])
    return made


def mend_thumbnails(app: Sphinx, doctree: nodes.document) -> None:
    """Put our cards in the place of sphinx-gallery's thumbnails.

    As they come, a thumbnail's link has no text that a screen reader could read, its introduction stands in
    an attribute that HTML doesn't know, and the filter's empty box repeats its id once a topic.
    """
    for raw in [raw for raw in doctree.findall(nodes.raw) if "sg-tag-list" in raw.astext()]:
        raw.parent.remove(raw)
    for opening in [raw for raw in doctree.findall(nodes.raw) if 'class="sphx-glr-thumbnails"' in raw.astext()]:
        parent, start = opening.parent, opening.parent.index(opening)
        inside = list(takewhile(lambda node: not _closes(node), parent.children[start:]))
        links = [link for node in inside for link in node.findall(addnodes.pending_xref) if link["reftype"] == "doc"]
        cards = [card(_example_of(app, link["reftarget"])) for link in links]
        parent[start : start + len(inside) + 1] = (
            [nodes.container("", *cards, classes=["guide-cards", "guide-filtered"])] if cards else []
        )


def _closes(node: nodes.Node) -> bool:
    return isinstance(node, nodes.raw) and node.astext().strip() == "</div>"


def _example_of(app: Sphinx, page: str) -> Example:
    conf, source = app.config.sphinx_gallery_conf, Path(app.srcdir)
    script = source / conf["examples_dirs"] / Path(page).parent.name / f"{Path(page).name}.py"
    app.env.note_dependency(str(script))
    return read_example(script, source / conf["gallery_dirs"], source)


def themed(stem: str) -> list[nodes.Node]:
    """Return a figure's two images, for light and for dark pages, as decoration: without alternative text."""
    return [
        nodes.image(uri=f"{stem}{end}.svg", alt="", classes=[word], loading="lazy")
        for word, end in (("only-light", ""), ("only-dark", "_dark"))
    ]


def all_examples(config: Config, source: Path) -> tuple[str, ...]:
    """Return the paths of all scripts in the gallery, below it; none where there is no gallery."""
    if "sphinx_gallery_conf" not in config:
        return ()
    gallery = source / config.sphinx_gallery_conf["examples_dirs"]
    return tuple(sorted(file.relative_to(gallery).as_posix() for file in gallery.glob("*/[!_]*.py")))


class Examples(SphinxDirective):
    """``examples``: cards for the examples that use the objects given (full names), for ``:only:`` those named, or all."""

    optional_arguments = 100
    option_spec: ClassVar[dict[str, Any]] = {"topic": directives.unchanged, "only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the cards, in the gallery's order; nothing when no example uses the objects."""
        conf, source = self.config.sphinx_gallery_conf, Path(self.env.srcdir)
        gallery, generated = source / conf["examples_dirs"], source / conf["gallery_dirs"]
        scripts = [file for topic in self._topics(gallery, conf) for file in sorted(topic.glob("[!_]*.py"))]
        note(self.env).examples = all_examples(self.config, source)
        if self.arguments:
            users = self._users(source / conf["backreferences_dir"])
            scripts = [script for script in scripts if script.name in users]
        if wanted := self.options.get("only", "").split():
            known = {script.stem: script for script in scripts}
            if unknown := [name for name in wanted if name not in known]:
                warn(f"the gallery has no example {unknown[0]!r}", "example", self.get_location())
            scripts = [known[name] for name in wanted if name in known]
        for script in scripts:
            self.env.note_dependency(script)
        cards = [card(read_example(script, generated, source)) for script in scripts]
        return [nodes.container("", *cards, classes=["guide-cards"])] if cards else []

    def _topics(self, gallery: Path, conf: dict[str, Any]) -> list[Path]:
        if wanted := self.options.get("topic"):
            if not (gallery / wanted).is_dir():
                warn(f"the gallery has no topic {wanted!r}", "example", self.get_location())
            return [gallery / wanted]
        order = conf["subsection_order"]
        order = getattr(order, "ordered_list_start", order)
        first = [gallery / Path(path).name for path in order if path != "*"]
        return [*first, *(path for path in sorted(gallery.iterdir()) if path.is_dir() and path not in first)]

    def _users(self, folder: Path) -> set[str]:
        file = folder / "backreferences_all.json"
        self.env.note_dependency(file)
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return {entry[0] for name in self.arguments for entry in known.get(name, ())}
