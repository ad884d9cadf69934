"""The directive ``diagram``: boxes and arrows on a grid, written as lines of text.

``name column,row: text | second line`` is a box (``round`` or ``strong`` may stand before the colon),
``a -> b`` or ``a -> b: label`` an arrow: straight in a row or a column, else down and then across.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from _ext.drawing import MARGIN, Arrow, Box, Point, drawings, figure
from compile_guide.sphinxext.nodes import warn

BOX = re.compile(r"(?P<name>\w+) (?P<column>\d),(?P<row>\d\d?)(?: (?P<kind>round|strong))?: (?P<text>.+)")
ARROW = re.compile(r"(?P<tail>\w+) -> (?P<head>\w+)(?:: (?P<label>.+))?")
GAP_X, GAP_Y = 42, 34


def read(lines: list[str]) -> tuple[list[Box], list[Arrow]]:
    """Return the boxes and arrows that the lines describe.

    Raises:
        ValueError: a line is neither, or an arrow names no box.
    """
    cells: dict[str, tuple[int, int, Box]] = {}
    wanted: list[re.Match[str]] = []
    for line in filter(None, map(str.strip, lines)):
        if box := BOX.fullmatch(line):
            text = tuple(part.strip() for part in box["text"].split("|"))
            cells[box["name"]] = (int(box["column"]), int(box["row"]), Box(text, box["kind"] or "box"))
        elif arrow := ARROW.fullmatch(line):
            wanted.append(arrow)
        else:
            raise ValueError(f"neither a box nor an arrow: {line!r}")
    placed = _place(cells)
    if unknown := [name for arrow in wanted for name in (arrow["tail"], arrow["head"]) if name not in placed]:
        raise ValueError(f"there is no box {unknown[0]!r}")
    arrows = [Arrow(_way(placed[a["tail"]], placed[a["head"]]), a["label"] or "") for a in wanted]
    return list(placed.values()), arrows


def _place(cells: dict[str, tuple[int, int, Box]]) -> dict[str, Box]:
    """Give each box its place on the grid; boxes of one column are equally wide."""
    widths: dict[int, float] = {}
    heights: dict[int, float] = {}
    for column, row, box in cells.values():
        widths[column] = max(widths.get(column, 0.0), box.width)
        heights[row] = max(heights.get(row, 0.0), box.height)
    x = {c: MARGIN + sum(widths[o] + GAP_X for o in widths if o < c) + widths[c] / 2 for c in widths}
    y = {r: MARGIN + sum(heights[o] + GAP_Y for o in heights if o < r) + heights[r] / 2 for r in heights}
    return {name: Box(b.lines, b.kind, x[c], y[r], widths[c]) for name, (c, r, b) in cells.items()}


def _way(tail: Box, head: Box) -> tuple[Point, ...]:
    """Lead an arrow straight down or across; else down from the one and across to the other's side."""
    down, across = head.y > tail.y, head.x > tail.x
    if tail.x == head.x:
        half = 1 if down else -1
        return (tail.x, tail.y + half * tail.height / 2), (head.x, head.y - half * head.height / 2)
    side = -1 if across else 1
    end = (head.x + side * head.width / 2, head.y)
    if tail.y == head.y:
        return (tail.x - side * tail.width / 2, tail.y), end
    return (tail.x, tail.y + (1 if down else -1) * tail.height / 2), (tail.x, head.y), end


class Diagram(SphinxDirective):
    """``diagram``: what its lines describe; ``:alt:`` says the same in words and is required."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the figure; a mistake is warned of."""
        try:
            if "alt" not in self.options:
                raise ValueError("a diagram needs ':alt:', what it shows in words")
            boxes, arrows = read(list(self.content))
            if not boxes:
                raise ValueError("a diagram needs a box")
        except ValueError as error:
            warn(str(error), "graph", self.get_location())
            return []
        return [drawings("", figure(boxes, arrows, (self.arguments or [""])[0], self.options["alt"]))]
