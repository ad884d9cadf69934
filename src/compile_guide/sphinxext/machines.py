"""The machines of the records: their table and names, and one thing on several machines, this site's record first.

Without scripts the others stand in a part that unfolds; this guide's ``guide.js`` makes a choice of machine of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import note_place, place_link
from compile_guide.sphinxext.nodes import Cell, fields, folded, paragraph, table, text
from compile_guide.sphinxext.roles import noted_records
from compile_guide.sphinxext.text import BACKENDS, MACHINE, disturbances, processor

Panel = tuple[Record, Sequence[nodes.Node]]


def machine_link(record: Record) -> pending_xref:
    """Return the machine's name, linked to its place on the page of machines."""
    return place_link(f"machine-{record.id}", text(processor(record.machine), "machine"))


def machine_name(record: Record) -> str:
    """Return the machine's name and its MLX in one line of text."""
    return f"{processor(record.machine)}, MLX {record.machine.mlx}"


def in_order(records: RecordSet) -> list[Record]:
    """Return the record shown, then the others: Metal, CUDA, CPU, the fullest first, then by id."""

    def place(record: Record) -> tuple[object, ...]:
        backend = list(BACKENDS).index(record.machine.backend)
        return record is not records.shown, backend, -len(record.comparisons), record.id

    return sorted(records.records, key=place)


def tabs(panels: Sequence[Panel], *, titled: bool = True, classes: Sequence[str] = ()) -> nodes.container:
    """Return what each machine has to show, the first one seen at once; with one machine, its content alone."""
    first, *others = (_panel(record, content, titled) for record, content in panels)
    made = nodes.container("", first, classes=["guide-switch", *classes])
    if others:
        rest = folded(f"The same on {len(others)} other machine{'' if len(others) == 1 else 's'}", *others)
        rest["classes"].append("guide-others")
        made += rest
    return made


def _panel(record: Record, content: Sequence[nodes.Node], titled: bool) -> nodes.container:
    classes = ["guide-panel", f"machine-{record.id}", f"backend-{record.machine.backend}"]
    title = paragraph(machine_link(record), f", MLX {record.machine.mlx}", classes=["guide-panel-title"])
    return nodes.container("", *([title] if titled else []), *content, classes=classes)


class RecordsDirective(SphinxDirective):
    """A directive over all records; the page is read again when one of them changes, comes or goes."""

    def records(self) -> RecordSet:
        """Return the records, noted as read."""
        return noted_records(self.env, self.config)


class Machines(RecordsDirective):
    """``machines``: a table of all records, each a place to link to; the other facts are folded below it."""

    columns: ClassVar[dict[str, str]] = {
        "Backend": "backend", "Memory": "memory", "Copy": "copy_bandwidth", "MLX": "mlx", "Measured": "date",
    }  # fmt: skip
    facts: ClassVar[dict[str, str]] = {
        "Record": "id", "Processor": "chip", "Cores": "cores", "GPU": "gpu", "GPU cores": "gpu_cores", "Architecture": "arch",
        "System": "os", "Python": "python", "C++ compiler": "compiler", "Power": "power", "Low-power mode": "low_power",
        "Processes a comparison": "processes", "Time a comparison": "budget", "Comparisons": "comparisons",
        "Claims": "claims", "Version of compile_guide": "guide",
    }  # fmt: skip

    def run(self) -> list[nodes.Node]:
        """Return the table and the folded facts."""
        found = self.records()
        rows: list[list[Cell]] = []
        folds: list[nodes.Node] = []
        for record in in_order(found):
            place, name = f"machine-{record.id}", processor(record.machine)
            note_place(self.env, place)
            cell = paragraph(nodes.strong("", name), " (shown on this site)" if record is found.shown else "")
            cell["ids"].append(place)
            rows.append([cell, *(MACHINE[field](record) for field in self.columns.values())])
            facts = fields((fact, MACHINE[field](record)) for fact, field in self.facts.items())
            folds.append(folded(f"All about {machine_name(record)}", facts))
        return [table(["Machine", *self.columns], rows, numbers=tuple(self.columns)[1:]), *folds] if rows else []


class MeasuredOn(RecordsDirective):
    """``measured-on``: one line that says where this page's numbers come from."""

    def run(self) -> list[nodes.Node]:
        """Return the line."""
        records = self.records()
        return [measured_on(records, Path(self.env.docname).name)] if records.shown else []


def measured_on(records: RecordSet, page: str) -> nodes.container:
    """Return the line that says where the numbers of ``page`` come from, for each machine; a choice of machine starts here."""
    lines = [(record, [_measured_on(record, page)]) for record in in_order(records)]
    return tabs(lines, titled=False, classes=["guide-page-switch"])


def _measured_on(record: Record, page: str) -> nodes.paragraph:
    words = f", {BACKENDS[record.machine.backend]} backend, MLX {record.machine.mlx}, {record.machine.os}, "
    care = disturbances(record, page)
    more: list[Cell] = [" ", text(care, "disturbed")] if care else []
    link = machine_link(record)
    return paragraph("Measured on ", link, words + record.created[:10] + ".", *more, classes=["measured-on"])
