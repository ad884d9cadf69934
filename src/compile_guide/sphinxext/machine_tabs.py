"""One thing on several machines: this site's record first, the others one choice away.

Without scripts the others stand one after the other in a part that unfolds. ``guide.js`` makes a choice of machine
of it that holds for every page. sphinx-design's tabs could keep such a choice too, but without scripts they hide all
but the first tab, and forty labels are no tab bar.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import place_link
from compile_guide.sphinxext.nodes import folded, paragraph, text
from compile_guide.sphinxext.text import processor

MOST_NAMED = 3
Panel = tuple[Record, Sequence[nodes.Node]]


def machine_link(record: Record) -> pending_xref:
    """Return the machine's name, linked to its place on the page of machines."""
    return place_link(f"machine-{record.id}", text(processor(record.machine), "machine"))


def machine_name(record: Record) -> str:
    """Return the machine's name and its MLX in one line of text."""
    return f"{processor(record.machine)}, MLX {record.machine.mlx}"


def in_order(records: RecordSet) -> list[Record]:
    """Return the record shown, then the others: Metal, CUDA, CPU, each by name and MLX version."""

    def place(record: Record) -> tuple[object, ...]:
        backend = ("metal", "cuda", "cpu").index(record.machine.backend)
        return record is not records.shown, backend, processor(record.machine), record.machine.mlx, record.id

    return sorted(records.records, key=place)


def grouped(records: Iterable[Record], seen: Callable[[Record], Hashable | None]) -> list[tuple[list[Record], Any]]:
    """Return what was seen and the records that saw it, in their order; None is nothing to tell."""
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        if (what := seen(record)) is not None:
            groups.setdefault(what, []).append(record)
    return [(group, what) for what, group in groups.items()]


def machines_cell(group: Sequence[Record]) -> nodes.container:
    """Return a cell that names the machines of a group: the first, and the others folded when they are many."""
    names = [machine_link(record) for record in group]
    if len(group) <= MOST_NAMED:
        return nodes.container("", *(paragraph(name) for name in names))
    rest = nodes.bullet_list("", *(nodes.list_item("", paragraph(name)) for name in names[1:]))
    return nodes.container("", paragraph(names[0]), folded(f"and {len(group) - 1} others", rest))


def versions(group: Sequence[Record]) -> str:
    """Return the versions of MLX in a group, each once."""
    return ", ".join(dict.fromkeys(record.machine.mlx for record in group))


def tabs(panels: Sequence[Panel], *, titled: bool = True, classes: Sequence[str] = ()) -> nodes.container:
    """Return what each machine has to show, the first one seen at once; with one machine, its content alone."""
    first, *others = (_panel(record, content, titled) for record, content in panels)
    made = nodes.container("", first, classes=["guide-switch", *classes])
    if others:
        count = f"{len(others)} other machine{'' if len(others) == 1 else 's'}"
        rest = folded(f"The same on {count}", *others)
        rest["classes"].append("guide-others")
        made += rest
    return made


def _panel(record: Record, content: Sequence[nodes.Node], titled: bool) -> nodes.container:
    classes = ["guide-panel", f"machine-{record.id}", f"backend-{record.machine.backend}"]
    title = paragraph(machine_link(record), f", MLX {record.machine.mlx}", classes=["guide-panel-title"])
    return nodes.container("", *([title] if titled else []), *content, classes=classes)
