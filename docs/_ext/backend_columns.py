"""The directive ``by-backend``: a table whose last column, measured, stands there once for each backend."""

from __future__ import annotations

import functools
from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx

from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.machines import RecordsDirective, in_order
from compile_guide.sphinxext.nodes import on_machines, paragraph, text
from compile_guide.sphinxext.text import BACKENDS, processor

ABSENT = "not measured there"


class ByBackend(RecordsDirective):
    """``by-backend``: around a table, whose last column holds numbers of the record shown.

    Behind it comes a column of the same numbers for each other backend, from the record that has most of them. A machine
    that is chosen takes the column of its backend.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return what the directive contains, its tables with a column for each backend, named after the machine."""
        content, records = self.parse_content_to_nodes(), self.records()
        for table in [table for node in content for table in node.findall(nodes.table)] if records.shown else []:
            widen(table, records)
        return content


def widen(table: nodes.table, records: RecordSet) -> None:
    """Give a table the other backends' columns."""
    table["classes"].append("guide-by-backend")
    columns = one_of_each(records, list(table.findall(on_machines)))
    for group in table.findall(nodes.tgroup):
        last = [node for node in group if isinstance(node, nodes.colspec)][-1]
        place = group.index(last) + 1
        group[place:place] = [last.deepcopy() for _ in columns[1:]]
        group["cols"] += len(columns) - 1
    for row in table.findall(nodes.row):
        *_, own = row.findall(nodes.entry)
        if isinstance(row.parent, nodes.thead):
            row[row.index(own) :] = [nodes.entry("", paragraph(on_backend(machine, of, records))) for of in columns]
        else:
            row[row.index(own) :] = [cell(own, of, records) for of in columns]


def one_of_each(records: RecordSet, numbers: list[on_machines]) -> list[Record]:
    """Return the record shown, and one for each other backend: of those with most of these numbers, the newest."""
    best: dict[str, Record] = {}

    def has(record: Record) -> tuple[int, str]:
        return sum(said(number, record) is not None for number in numbers), record.created

    for record in in_order(records):
        known = best.setdefault(backend(record), record)
        if known is not records.shown:
            best[backend(record)] = max(known, record, key=has)
    return [record for record in best.values() if record is records.shown or has(record)[0]]


def backend(record: Record) -> str:
    """Return the name of a record's backend."""
    return BACKENDS[record.machine.backend]


def machine(record: Record) -> str:
    """Return a column's name, "NVIDIA H200 (CUDA)"."""
    return f"{processor(record.machine)} ({backend(record)})"


def said(number: on_machines, record: Record) -> str | None:
    """Return what a number is on another machine than the shown one; None where that machine has not measured it."""
    known: dict[str, str | None] = number["others"]
    return known.get(record.id, number.astext())


def on_backend(say: Callable[[Record], str | None], of: Record, records: RecordSet) -> on_machines:
    """Return text about one machine; another one that is chosen takes its place if it has the same backend."""
    own = say(of) or ABSENT
    alike = [record for record in records.records if backend(record) == backend(of) and record is not of]
    return on_machines(own, own, others={record.id: say(record) for record in alike})


def cell(entry: nodes.Element, of: Record, records: RecordSet) -> nodes.Element:
    """Return a cell with a machine's numbers, behind its backend's name for screens that are too narrow for columns."""
    made = entry.deepcopy()
    for number in list(made.findall(on_machines)):
        own = on_backend(functools.partial(said, number), of, records)
        own["classes"] = number["classes"]
        number.replace_self(own)
    for first in list(made.findall(nodes.paragraph))[:1]:
        first[:0] = [text(backend(of), "guide-column"), nodes.Text(" ")]
    return made


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("by-backend", ByBackend)
