"""Boxes and arrows as SVG inside the page, in the color of its text: readable on any background.

A width is estimated from the number of letters, so a drawing is the same wherever it is made.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import is_node_registered

FONT, LINE = 13, 17
LETTER = 7.4
"""Widest mean width of a letter at this font size, over the fonts that a system may have."""
MARGIN = 6
HEAD = 7
"""Length of an arrow's head."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Lines in a frame: a ``box``, ``round`` (what goes in and out) or ``strong`` (a fused kernel)."""

    lines: tuple[str, ...]
    kind: str = "box"
    x: float = 0.0
    y: float = 0.0
    """Center, in pixels."""
    least: float = 0.0
    """Least width."""

    @property
    def width(self) -> float:
        """Width in pixels."""
        return max(self.least, LETTER * max(map(len, self.lines)) + (24 if self.kind == "round" else 18))

    @property
    def height(self) -> float:
        """Height in pixels."""
        return LINE * len(self.lines) + 14

    def at(self, x: float, y: float) -> Box:
        """Return the box at another place."""
        return replace(self, x=x, y=y)


@dataclass(frozen=True)
class Arrow:
    """A line through points with a head at the last one; ``bent`` draws curves that start and end upright."""

    points: tuple[Point, ...]
    label: str = ""
    bent: bool = False


def svg(boxes: Iterable[Box], arrows: Iterable[Arrow], description: str) -> str:
    """Return the drawing as one SVG element; ``description`` is what a screen reader says in its place."""
    boxes = list(boxes)
    width = max(box.x + box.width / 2 for box in boxes) + MARGIN
    height = max(box.y + box.height / 2 for box in boxes) + MARGIN
    parts = [*map(_arrow, arrows), *map(_box, boxes)]
    size = f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'
    look = f'fill="none" stroke="currentColor" font-size="{FONT}" style="max-width:100%;height:auto"'
    label = html.escape(" ".join(description.split()))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size} {look}>'
    return "".join([head, *parts, "</svg>"])


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, more: str = 'text-anchor="middle"') -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="currentColor" stroke="none" {more}>{html.escape(text)}</text>'


def _box(box: Box) -> str:
    corner = {"round": box.height / 2}.get(box.kind, 4)
    look = ' stroke-width="2" fill="currentColor" fill-opacity="0.09"' if box.kind == "strong" else ""
    place = f'x="{_n(box.x - box.width / 2)}" y="{_n(box.y - box.height / 2)}"'
    frame = f'<rect {place} width="{_n(box.width)}" height="{_n(box.height)}" rx="{_n(corner)}"{look}/>'
    first = box.y - LINE * (len(box.lines) - 1) / 2 + FONT * 0.35
    return frame + "".join(_text(box.x, first + LINE * i, line) for i, line in enumerate(box.lines))


def _arrow(arrow: Arrow) -> str:
    points = arrow.points
    before, (x, y) = points[-2], points[-1]
    angle = math.pi / 2 if arrow.bent else math.atan2(y - before[1], x - before[0])
    back = [(x + HEAD * math.cos(angle + turn), y + HEAD * math.sin(angle + turn)) for turn in (2.72, -2.72)]
    head = " ".join(f"{_n(a)},{_n(b)}" for a, b in [(x, y), *back])
    label = ""
    if arrow.label:
        (ax, ay), (bx, by) = points[0], points[1]
        upright = abs(bx - ax) < 1
        place = (ax + 7, (ay + by) / 2 + 4) if upright else ((ax + bx) / 2, ay - 6)
        label = _text(*place, arrow.label, "" if upright else 'text-anchor="middle"')
    line = f'<path d="{_path(points, arrow.bent)}"/>'
    return f'{line}<polygon points="{head}" fill="currentColor" stroke="none"/>{label}'


def _path(points: Sequence[Point], bent: bool) -> str:
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for (ax, ay), (bx, by) in pairwise(points):
        middle = _n((ay + by) / 2)
        curve = f"C{_n(ax)} {middle} {_n(bx)} {middle} " if bent else "L"
        parts.append(f"{curve}{_n(bx)} {_n(by)}")
    return "".join(parts)


class drawing(nodes.General, nodes.Element):
    """An SVG element in ``svg``; formats without pictures get its ``description``."""


class drawings(nodes.General, nodes.Element):
    """Figures side by side where there is room."""


def figure(boxes: list[Box], arrows: list[Arrow], caption: str, description: str) -> nodes.figure:
    """Return a drawing with its caption, if it has one."""
    words = f"{caption}: {description}" if caption else description
    made = nodes.figure("", drawing(svg=svg(boxes, arrows, words), description=words))
    if caption:
        made += nodes.caption(caption, caption)
    return made


def _draw(translator: Any, node: nodes.Element) -> None:
    translator.body.append(node["svg"])


def _describe(translator: Any, node: nodes.Element) -> None:
    if hasattr(translator, "add_text"):
        translator.add_text(node["description"])


def _open_row(translator: Any, node: nodes.Element) -> None:
    style = "display:flex;flex-wrap:wrap;gap:1.5rem 3rem;align-items:flex-start;margin:1.5rem 0"
    translator.body.append(f'<div class="guide-drawings" style="{style}">')


def _close_row(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</div>\n")


def _done(translator: Any, node: nodes.Element) -> None:
    """Nothing is left to write."""


def setup(app: Sphinx) -> None:
    """Register the nodes, once for all parts that draw."""
    if is_node_registered(drawing):
        return
    formats = ("text", "latex", "man", "texinfo")
    nothing: dict[str, Any] = dict.fromkeys(formats, (_done, _done))
    described: dict[str, Any] = dict.fromkeys(formats, (_describe, _done))
    app.add_node(drawings, html=(_open_row, _close_row), **nothing)
    app.add_node(drawing, html=(_draw, _done), **described)
