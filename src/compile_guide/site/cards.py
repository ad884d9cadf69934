"""Cards that lead to examples, each with the example's own figure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from compile_guide.site.nodes import page_link, paragraph, text, warn


@dataclass(frozen=True)
class Example:
    """An example as a card shows it; ``page`` and ``image`` (its first figure) are paths in the source."""

    page: str
    title: str
    intro: str
    tags: tuple[str, ...]
    image: str


def read_example(script: Path, generated: Path, source: Path) -> Example:
    """Read title, first paragraph and tags from a script's head, and find its generated figure."""
    from sphinx_gallery import gen_rst, py_source_parser

    conf, blocks, *_ = py_source_parser.split_code_and_text_blocks(str(script))
    intro, title = gen_rst.extract_intro_and_title(str(script), blocks[0].content)
    folder = generated / script.parent.name
    images = [folder / "images" / f"sphx_glr_{script.stem}_001.svg"]
    images += (folder / "images" / "thumb").glob(f"sphx_glr_{script.stem}_thumb.*")  # a stand-in, without a figure
    found = next((image.relative_to(source).as_posix() for image in images if image.exists()), "")
    page = (folder / script.stem).relative_to(source).as_posix()
    return Example(page, title, intro, tuple(conf.get("tags", ())), found)


def card(example: Example) -> nodes.container:
    """Return the card: figure (decoration beside the linked title), title, first paragraph."""
    made = nodes.container(classes=["guide-card", *(f"tag-{tag}" for tag in example.tags)])
    if example.image.endswith("_001.svg"):
        made += themed(f"/{example.image.removesuffix('.svg')}")
    elif example.image:
        made += nodes.image(uri=f"/{example.image}", alt="")
    link = page_link(f"/{example.page}", text(example.title))
    made += nodes.paragraph("", "", link, classes=["guide-card-title"])
    made += paragraph(example.intro, classes=["guide-card-intro"])
    return made


def themed(stem: str) -> list[nodes.Node]:
    """Return a figure's two images, for light and for dark pages, as decoration: without alternative text."""
    return [
        nodes.image(uri=f"{stem}{end}.svg", alt="", classes=[word])
        for word, end in (("only-light", ""), ("only-dark", "_dark"))
    ]


class Examples(SphinxDirective):
    """``examples``: cards for the examples that use the objects given (full names), or for all of them."""

    optional_arguments = 100
    option_spec: ClassVar[dict[str, Any]] = {"topic": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the cards, in the gallery's order; nothing when no example uses the objects."""
        conf, source = self.config.sphinx_gallery_conf, Path(self.env.srcdir)
        gallery, generated = source / conf["examples_dirs"], source / conf["gallery_dirs"]
        scripts = [file for topic in self._topics(gallery, conf) for file in sorted(topic.glob("[!_]*.py"))]
        if self.arguments:
            users = self._users(source / conf["backreferences_dir"])
            scripts = [script for script in scripts if script.name in users]
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
