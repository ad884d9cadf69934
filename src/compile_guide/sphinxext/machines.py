"""Directives about the records themselves: what machines there are, and which one a page is about."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import places
from compile_guide.sphinxext.machine_tabs import in_order, machine_link, tabs
from compile_guide.sphinxext.nodes import Cell, fields, folded, paragraph, table, text
from compile_guide.sphinxext.roles import noted_records
from compile_guide.sphinxext.text import BACKENDS, MACHINE, disturbances, processor


class RecordsDirective(SphinxDirective):
    """A directive over all records; the page is read again when one of them changes, comes or goes."""

    def records(self) -> RecordSet:
        """Return the records, noted as read."""
        return noted_records(self.env, self.config)


class Machines(RecordsDirective):
    """``machines``: a table of all records, each a place to link to; the other facts are folded below it."""

    columns: ClassVar[dict[str, str]] = {
        "Backend": "backend",
        "Memory": "memory",
        "Copy": "copy_bandwidth",
        "MLX": "mlx",
        "Measured": "date",
    }
    facts: ClassVar[dict[str, str]] = {
        "Record": "id", "Processor": "chip", "Cores": "cores", "GPU": "gpu", "GPU cores": "gpu_cores", "Architecture": "arch",
        "System": "os", "Python": "python", "C++ compiler": "compiler", "Power": "power", "Low-power mode": "low_power",
        "Processes a comparison": "processes", "Time a comparison": "budget", "Comparisons": "comparisons",
        "Claims": "claims", "Version of compile_guide": "guide",
    }  # fmt: skip

    def run(self) -> list[nodes.Node]:
        """Return the table and the folded facts."""
        found = self.records()
        records = in_order(found)
        rows = [self._row(record, record is found.shown) for record in records]
        if not rows:
            return []
        return [table(["Machine", *self.columns], rows, numbers=tuple(self.columns)[1:]), *map(self._all, records)]

    def _row(self, record: Record, shown: bool) -> list[Cell]:
        places(self.env).note_place(f"machine-{record.id}")
        cell = paragraph(nodes.strong("", processor(record.machine)), " (shown on this site)" if shown else "")
        cell["ids"].append(f"machine-{record.id}")
        return [cell, *(MACHINE[field](record) for field in self.columns.values())]

    def _all(self, record: Record) -> nodes.Node:
        title = f"All about {processor(record.machine)}, MLX {record.machine.mlx}"
        return folded(title, fields((name, MACHINE[field](record)) for name, field in self.facts.items()))


class MeasuredOn(RecordsDirective):
    """``measured-on``: one line that says where this page's numbers come from."""

    def run(self) -> list[nodes.Node]:
        """Return the line."""
        records = self.records()
        return [] if records.shown is None else [measured_on(records, Path(self.env.docname).name)]


def measured_on(records: RecordSet, page: str) -> nodes.container:
    """Return the line that says where the numbers of ``page`` come from, for each machine; a choice of machine starts here."""
    lines = [(record, [_measured_on(record, page)]) for record in in_order(records)]
    return tabs(lines, titled=False, classes=["guide-page-switch"])


def _measured_on(record: Record, page: str) -> nodes.paragraph:
    words = f", {BACKENDS[record.machine.backend]} backend, MLX {record.machine.mlx}, {record.machine.os}, "
    line = paragraph("Measured on ", machine_link(record), words + record.created[:10] + ".")
    if care := disturbances(record, page):
        line += [nodes.Text(" "), text(care, "disturbed")]
    line["classes"].append("measured-on")
    return line
