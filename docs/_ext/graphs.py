"""Directives that draw: ``graph`` what ``mx.export_to_dot`` wrote, ``diagram`` boxes and arrows on a grid.

Graphviz may be missing where the site is built, and these graphs are small, so they are laid out here: boxes
in layers, each below all that it needs, in an order that keeps arrows from crossing. Source of the method:
K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical System Structures (1981).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from _ext import diagrams, drawing
from _ext.blocks import literal_block
from _ext.drawing import Arrow, Box, Point, drawings, figure
from compile_guide.sphinxext.nodes import folded, warn

STATEMENT = re.compile(
    r"(?P<op>\w+) \[label =\"(?P<label>\w+)\", shape=rectangle\]"
    r"|(?P<tail>\"[^\"]+\"|\w+) -> (?P<head>\"[^\"]+\"|\w+)"
)
GAP_X, GAP_Y = 22, 34
MOST_NODES = 60


@dataclass(frozen=True)
class Graph:
    """Boxes by name, and who needs whom: pairs of names. An array between two operations is an arrow."""

    boxes: dict[str, Box]
    edges: tuple[tuple[str, str], ...]

    def describe(self) -> str:
        """Return the graph in words, from its inputs to its results."""
        targets: dict[str, list[str]] = defaultdict(list)
        for tail, head in self.edges:
            targets[tail].append(self.name(head))
        parts = [f"{self.name(name)} goes into {' and '.join(into)}" for name, into in targets.items()]
        return "; ".join(parts) + "."

    def name(self, node: str) -> str:
        """Return what a box says, in one line."""
        return " ".join(self.boxes[node].lines)


def normal(dot: str) -> str:
    """Return graphs as text, the operations of each numbered: MLX writes addresses, which no two runs share.

    A graph begins anew, because MLX may give an address of the first one to an operation of the second.
    """
    parts = dot.split("digraph")
    text = "\ndigraph".join([parts[0], *map(_numbered, parts[1:])])
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _numbered(graph: str) -> str:
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"op{len(numbers) + 1}")

    return re.sub(r'(?<!["\w])\d+(?= \[| ->|$)', number, graph.strip("\n"), flags=re.MULTILINE)


def parse(dot: str) -> list[Graph]:
    """Read the graphs of a text as ``mx.export_to_dot`` writes them.

    Raises:
        ValueError: there is no graph in it, one is larger than can be drawn, or an arrow goes in a circle.
    """
    graphs = [_graph(part) for part in dot.split("digraph")[1:]]
    if not graphs:
        raise ValueError("there is no 'digraph' to draw")
    return graphs


def _graph(text: str) -> Graph:
    labels: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for found in STATEMENT.finditer(text):
        if found["op"]:
            labels[found["op"]] = found["label"]
        else:
            edges.append((found["tail"].strip('"'), found["head"].strip('"')))
    maker = {head: tail for tail, head in edges if tail in labels}
    users = {tail for tail, _ in edges if tail not in labels}
    between = set(maker) & users
    direct = [(maker.get(tail, tail), head) for tail, head in edges if head not in between]
    ends = dict.fromkeys(name for edge in direct for name in edge if name not in labels)
    boxes = {name: Box((name,), "round") for name in ends} | {op: _operation(label) for op, label in labels.items()}
    if not 0 < len(boxes) <= MOST_NODES:
        raise ValueError(f"a graph of {len(boxes)} boxes can't be drawn; 1 to {MOST_NODES} can")
    return Graph(boxes, tuple(dict.fromkeys(direct)))


def _operation(label: str) -> Box:
    if not label.startswith("Compiled"):
        return Box((label,))
    parts = re.findall(r"[A-Z][a-z0-9]*", label.removeprefix("Compiled"))
    return Box(("one kernel:", *(" ".join(parts[i : i + 2]) for i in range(0, len(parts), 2))), "strong")


def layers(graph: Graph) -> dict[str, int]:
    """Return each box's layer: an operation right below what it needs, an input right above its first use."""
    needs: dict[str, list[str]] = {name: [] for name in graph.boxes}
    used: dict[str, list[str]] = defaultdict(list)
    for tail, head in graph.edges:
        needs[head].append(tail)
        used[tail].append(head)
    depth: dict[str, int] = {}
    try:
        for name in TopologicalSorter(needs).static_order():
            depth[name] = max((depth[n] + 1 for n in needs[name]), default=0)
    except CycleError:
        raise ValueError("an arrow of the graph leads back to where it came from") from None
    for name in graph.boxes:
        if not needs[name] and used[name]:
            depth[name] = min(depth[head] for head in used[name]) - 1
    return depth


def draw(graph: Graph) -> tuple[list[Box], list[Arrow]]:
    """Place a graph's boxes and lead its arrows around them."""
    depth, boxes = layers(graph), dict(graph.boxes)
    chains = []
    for tail, head in graph.edges:
        over = [f"{tail}>{head}>{level}" for level in range(depth[tail] + 1, depth[head])]
        depth |= {name: depth[tail] + 1 + i for i, name in enumerate(over)}
        boxes |= {name: Box(("",), "point") for name in over}
        chains.append((tail, *over, head))
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in boxes:
        rows[depth[name]].append(name)
    links = [pair for chain in chains for pair in pairwise(chain)]
    _order(rows, links)
    x, y = _across(rows, links, boxes), _down(rows, boxes)
    placed = {name: box.at(x[name], y[depth[name]]) for name, box in boxes.items()}
    arrows = [Arrow(_way([placed[name] for name in chain]), bent=True) for chain in chains]
    return [placed[name] for name in graph.boxes], arrows


def _neighbors(links: list[tuple[str, str]], side: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for link in links:
        found[link[1 - side]].append(link[side])
    return found


def _order(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    """Sort each row by where its neighbors in the row above (then below, and again) stand."""
    for sweep in range(6):
        near = _neighbors(links, sweep % 2)
        place = {name: i / len(row) for row in rows for i, name in enumerate(row)}
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            want = {n: sum(place[m] for m in near[n]) / len(near[n]) if near[n] else place[n] for n in row}
            row.sort(key=want.__getitem__)
            place |= {name: i / len(row) for i, name in enumerate(row)}


def _across(rows: list[list[str]], links: list[tuple[str, str]], boxes: dict[str, Box]) -> dict[str, float]:
    """Return x of each box: near the mean of its neighbors, without touching the next one in its row.

    Operations pull harder than inputs, so that a chain of them stands upright.
    """
    above, below = _neighbors(links, 0), _neighbors(links, 1)
    pull = {name: {"round": 1, "point": 2}.get(box.kind, 12) for name, box in boxes.items()}
    x = dict.fromkeys(boxes, 0.0)
    for sweep in range(40):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            near = [above[name] + below[name] or [name] for name in row]
            means = [sum(pull[n] * x[n] for n in names) / sum(pull[n] for n in names) for names in near]
            right = float("-inf")
            for name, mean in zip(row, means, strict=True):
                x[name] = max(mean, right + boxes[name].width / 2)
                right = x[name] + boxes[name].width / 2 + GAP_X
            pulled = sum(pull[name] * (x[name] - mean) for name, mean in zip(row, means, strict=True))
            shift = pulled / sum(pull[name] for name in row)
            x |= {name: x[name] - shift for name in row}
    left = min(x[name] - box.width / 2 for name, box in boxes.items()) - drawing.MARGIN
    return {name: value - left for name, value in x.items()}


def _down(rows: list[list[str]], boxes: dict[str, Box]) -> list[float]:
    heights = [max(boxes[name].height for name in row) for row in rows]
    return [drawing.MARGIN + sum(heights[:i]) + GAP_Y * i + height / 2 for i, height in enumerate(heights)]


def _way(boxes: list[Box]) -> tuple[Point, ...]:
    first, *over, last = boxes
    points = [(first.x, first.y + first.height / 2), *((box.x, box.y) for box in over)]
    return (*points, (last.x, last.y - last.height / 2))


class GraphDirective(SphinxDirective):
    """``graph``: what ``mx.export_to_dot`` wrote; ``:captions:`` has one for each graph, between ``|``."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"captions": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return a figure for each graph, then the text folded; a mistake is warned of."""
        dot = "\n".join(self.content)
        captions = [line.strip() for line in self.options.get("captions", "").split("|")]
        try:
            graphs = parse(dot)
            if len(captions) != len(graphs):
                raise ValueError(f"{len(graphs)} graphs need as many captions, separated by '|', not {len(captions)}")
            figures = [figure(*draw(g), caption, g.describe()) for g, caption in zip(graphs, captions, strict=True)]
        except ValueError as error:
            warn(str(error), "graph", self.get_location())
            return []
        return [drawings("", *figures), folded("The same as text", literal_block(dot, "text"))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both directives and their node."""
    drawing.setup(app)
    app.add_directive("graph", GraphDirective)
    app.add_directive("diagram", diagrams.Diagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
