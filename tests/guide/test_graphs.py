"""Drawings: graphs as MLX writes them, laid out without Graphviz, and diagrams on a grid."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from _ext import diagrams, drawing, graphs

CHAIN = """\
digraph {
{ rank=source; "x"; }
{ 94012 [label ="Negative", shape=rectangle]; }
"x" -> 94012
{ "E"; }
94012 -> "E"
{ 94007 [label ="Exp", shape=rectangle]; }
"E" -> 94007
{ rank=sink; "y"; }
94007 -> "y"
}"""

DIAMOND = """\
digraph {
{ rank=source; "x"; }
{ 1 [label ="Exp", shape=rectangle]; }
"x" -> 1
{ "B"; }
1 -> "B"
{ 2 [label ="Sin", shape=rectangle]; }
"B" -> 2
{ "C"; }
2 -> "C"
{ 3 [label ="Cos", shape=rectangle]; }
"C" -> 3
{ "D"; }
3 -> "D"
{ 4 [label ="CompiledAddMultiplyExp", shape=rectangle]; }
"B" -> 4
"D" -> 4
"x" -> 4
{ rank=sink; "y"; }
4 -> "y"
}"""


def drawn(dot: str) -> tuple[list[drawing.Box], list[drawing.Arrow]]:
    return graphs.draw(graphs.parse(dot)[0])


# Reading ---------------------------------------------------------------------------------------------------


def test_an_array_between_two_operations_becomes_an_arrow() -> None:
    (graph,) = graphs.parse(CHAIN)
    assert graph.edges == (("x", "94012"), ("94012", "94007"), ("94007", "y"))
    assert {name: box.kind for name, box in graph.boxes.items()} == {
        "x": "round", "y": "round", "94012": "box", "94007": "box",
    }  # fmt: skip


def test_a_fused_kernel_names_its_operations() -> None:
    box = graphs.parse(DIAMOND)[0].boxes["4"]
    assert box.lines == ("one kernel:", "Add Multiply", "Exp")
    assert box.kind == "strong"


def test_a_graph_is_said_in_words() -> None:
    assert graphs.parse(CHAIN)[0].describe() == "x goes into Negative; Negative goes into Exp; Exp goes into y."


def test_addresses_become_numbers_that_begin_anew_with_each_graph() -> None:
    two = f"{CHAIN}{CHAIN.replace('94012', '11').replace('94007', '94012')}"
    first, second = graphs.normal(two).split("\ndigraph")
    assert first == CHAIN.replace("94012", "op1").replace("94007", "op2")
    assert f"digraph{second}" == first


def test_what_is_normal_stays_as_it_is() -> None:
    assert graphs.normal(graphs.normal(DIAMOND)) == graphs.normal(DIAMOND)


@pytest.mark.parametrize(
    ("dot", "message"),
    [
        ("x -> y", "there is no 'digraph' to draw"),
        ("digraph {\n}", "a graph of 0 boxes can't be drawn"),
        ("digraph {\n" + "\n".join(f'"a{i}" -> "b{i}"' for i in range(31)) + "\n}", "a graph of 62 boxes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(dot: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graphs.parse(dot)


def test_a_circle_is_refused() -> None:
    circle = CHAIN.replace('"x" -> 94012', '94007 -> "x"\n"x" -> 94012')
    with pytest.raises(ValueError, match="leads back"):
        drawn(circle)


def test_mlx_still_writes_graphs_as_this_reads_them() -> None:
    import mlx.core as mx

    x, w = mx.ones((2, 2)), mx.ones((2, 2))
    mx.eval(x, w)
    text = io.StringIO()
    mx.export_to_dot(text, x=x, w=w, result=mx.exp(-x) @ w)
    (graph,) = graphs.parse(graphs.normal(text.getvalue()))
    assert graph.describe() == (
        "x goes into Negative; Negative goes into Exp; Exp goes into Matmul; w goes into Matmul; "
        "Matmul goes into result."
    )


# Laying out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dot", [CHAIN, DIAMOND])
def test_every_arrow_of_a_graph_leads_down(dot: str) -> None:
    _, arrows = drawn(dot)
    assert all(a[1] < b[1] for arrow in arrows for a, b in zip(arrow.points, arrow.points[1:], strict=False))


@pytest.mark.parametrize("dot", [CHAIN, DIAMOND])
def test_no_two_boxes_touch(dot: str) -> None:
    boxes, _ = drawn(dot)
    for a, b in combinations(boxes, 2):
        aside = abs(a.x - b.x) >= (a.width + b.width) / 2
        assert aside or abs(a.y - b.y) >= (a.height + b.height) / 2


def test_a_long_arrow_goes_around_the_boxes_it_passes() -> None:
    boxes, arrows = drawn(DIAMOND)
    (cos,) = [box for box in boxes if box.lines == ("Cos",)]
    passing = [p for arrow in arrows for p in arrow.points[1:-1] if abs(p[1] - cos.y) < cos.height / 2]
    assert passing
    assert all(abs(x - cos.x) > cos.width / 2 for x, _ in passing)


def test_a_chain_stands_upright() -> None:
    boxes, _ = drawn(CHAIN)
    assert max(box.x for box in boxes) - min(box.x for box in boxes) < 1


# Drawing ---------------------------------------------------------------------------------------------------


def test_a_drawing_is_the_same_each_time_and_in_the_colors_of_the_page() -> None:
    made = drawing.svg(*drawn(DIAMOND), "words")
    assert made == drawing.svg(*drawn(DIAMOND), "words")
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', made)) == {"none", "currentColor"}
    assert "#" not in made


def test_everything_is_inside_the_picture() -> None:
    boxes, arrows = drawn(DIAMOND)
    width, height = (float(n) for n in ET.fromstring(drawing.svg(boxes, arrows, "")).attrib["viewBox"].split()[2:])
    assert all(box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= width for box in boxes)
    assert all(box.y - box.height / 2 >= 0 and box.y + box.height / 2 <= height for box in boxes)


def test_text_is_text_whatever_it_holds() -> None:
    made = ET.fromstring(drawing.svg([drawing.Box(('<b> & "c"',), x=50, y=50)], [], 'say "<hi>"'))
    assert made.attrib["aria-label"] == 'say "<hi>"'
    assert [text.text for text in made.iter("{http://www.w3.org/2000/svg}text")] == ['<b> & "c"']


# Diagrams --------------------------------------------------------------------------------------------------


def test_boxes_of_a_diagram_stand_on_a_grid() -> None:
    boxes, _ = diagrams.read(["a 0,0 round: A", "b 0,1: long text | second line", "c 1,1 strong: C"])
    a, b, c = boxes
    assert (a.x, b.y) == (b.x, c.y)
    assert a.width == b.width
    assert b.lines == ("long text", "second line")
    assert [box.kind for box in boxes] == ["round", "box", "strong"]


def test_arrows_of_a_diagram_are_straight_or_have_one_corner() -> None:
    grid = ["a 0,0: A", "b 0,1: B", "c 1,0: C", "a -> b: yes", "a -> c", "c -> b"]
    (a, b, c), (down, across, corner) = diagrams.read(grid)
    assert down.points == ((a.x, a.y + a.height / 2), (b.x, b.y - b.height / 2))
    assert down.label == "yes"
    assert across.points == ((a.x + a.width / 2, a.y), (c.x - c.width / 2, c.y))
    assert corner.points == ((c.x, c.y + c.height / 2), (c.x, b.y), (b.x + b.width / 2, b.y))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a 0,0: A", "b is here"], "neither a box nor an arrow: 'b is here'"),
        (["a 0,0: A", "a -> b"], "no box 'b'"),
    ],
)
def test_a_mistake_in_a_diagram_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagrams.read(lines)
