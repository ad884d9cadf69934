"""Cards that lead to examples, each with the headline that ``headlines.toml`` has for it."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx

from _ext.blocks import page_link
from _ext.headlines import headline, noted_headlines
from _ext.listings import list_files
from compile_guide.sphinxext.machines import RecordsDirective
from compile_guide.sphinxext.nodes import paragraph, text, warn


@dataclass(frozen=True)
class Example:
    """An example as a card shows it: ``page`` is a path in the source, ``intro`` one sentence."""

    page: str
    title: str
    intro: str
    tags: tuple[str, ...]


def read_example(script: Path, generated: Path, source: Path) -> Example:
    """Read title, first sentence and tags from a script's head."""
    page = (generated / script.parent.name / script.stem).relative_to(source).as_posix()
    return Example(page, *_read(script, script.stat().st_mtime_ns))


@functools.cache
def _read(script: Path, _changed: int) -> tuple[str, str, tuple[str, ...]]:
    """Return title, first sentence and tags; many pages show the same card."""
    from sphinx_gallery import gen_rst, py_source_parser

    conf, blocks, *_ = py_source_parser.split_code_and_text_blocks(str(script))
    intro, title = gen_rst.extract_intro_and_title(str(script), blocks[0].content)
    return title, first_sentence(intro), tuple(conf.get("tags", ()))


def first_sentence(text: str) -> str:
    """Return a text up to the first period, question or exclamation mark that ends a sentence."""
    return re.split(r"(?<=[.?!…])\s+(?=[^a-z])", text.strip(), maxsplit=1)[0]


class CardsDirective(RecordsDirective):
    """A directive that makes cards of examples."""

    def card(self, script: Path) -> nodes.container:
        """Return the card of an example, noted as read: its headline, linked title, one sentence, tags."""
        conf, source = self.config.sphinx_gallery_conf, Path(self.env.srcdir)
        self.env.note_dependency(script)
        example = read_example(script, source / conf["gallery_dirs"], source)
        made = nodes.container(classes=["guide-card", *(f"tag-{tag.replace(' ', '-')}" for tag in example.tags)])
        if said := noted_headlines(self.env, self.get_location()).get(script.stem):
            made += headline(said, self.records())
        made += paragraph(page_link(f"/{example.page}", text(example.title)), classes=["guide-card-title"])
        made += paragraph(example.intro, classes=["guide-card-intro"])
        if example.tags:
            made += paragraph(" · ".join(example.tags), classes=["guide-card-tags"])
        return made


class example_card(nodes.container):
    """A card that sphinx-gallery's thumbnail has been replaced by."""


class ExampleCard(CardsDirective):
    """``example-card PAGE``: what stands in the place of sphinx-gallery's thumbnail.

    As it comes, a thumbnail's link has no text that a screen reader could read, and its introduction stands in an
    attribute that HTML doesn't know.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the card of the example on that page."""
        conf, page = self.config.sphinx_gallery_conf, PurePosixPath(self.arguments[0])
        found = self.card(Path(self.env.srcdir) / conf["examples_dirs"] / page.parent.name / f"{page.name}.py")
        return [example_card("", *found.children, classes=found["classes"])]


def group_cards(app: Sphinx, doctree: nodes.document) -> None:
    """Put cards that follow each other into one container (``doctree-read``)."""
    for first in [one for one in doctree.findall(example_card) if not isinstance(_before(one), example_card)]:
        parent, start = first.parent, first.parent.index(first)
        cards = list(takewhile(lambda node: isinstance(node, example_card), parent.children[start:]))
        made = nodes.container("", classes=["guide-cards", "guide-filtered"])
        parent[start : start + len(cards)] = [made]
        made += [nodes.container("", *one.children, classes=one["classes"]) for one in cards]


def _before(node: nodes.Element) -> nodes.Node | None:
    place = node.parent.index(node)
    return node.parent.children[place - 1] if place else None


class Examples(CardsDirective):
    """``examples``: cards for the examples that use the objects given (full names), for ``:only:`` those named, or all."""

    optional_arguments = 100
    option_spec: ClassVar[dict[str, Any]] = {"topic": directives.unchanged, "only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the cards, in the gallery's order; nothing when no example uses the objects."""
        conf, source = self.config.sphinx_gallery_conf, Path(self.env.srcdir)
        gallery = source / conf["examples_dirs"]
        scripts = [file for topic in self._topics(gallery, conf) for file in sorted(topic.glob("[!_]*.py"))]
        list_files(self.env, conf["examples_dirs"], "*/[!_]*.py")
        if self.arguments:
            users = self._users(source / conf["backreferences_dir"])
            scripts = [script for script in scripts if script.name in users]
        if wanted := self.options.get("only", "").split():
            known = {script.stem: script for script in scripts}
            if unknown := [name for name in wanted if name not in known]:
                warn(f"the gallery has no example {unknown[0]!r}", "example", self.get_location())
            scripts = [known[name] for name in wanted if name in known]
        cards = [self.card(script) for script in scripts]
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


def setup(app: Sphinx) -> None:
    """Register the directives; let sphinx-gallery write ours where it would write a thumbnail."""
    from sphinx_gallery import backreferences, gen_rst

    backreferences.THUMBNAIL_TEMPLATE = "\n.. example-card:: {doc_name}\n\n"  # see private_names.py
    gen_rst.THUMBNAIL_PARENT_DIV = gen_rst.THUMBNAIL_PARENT_DIV_CLOSE = "\n"
    app.add_directive("example-card", ExampleCard)
    app.add_directive("examples", Examples)
    app.connect("doctree-read", group_cards, priority=300)
