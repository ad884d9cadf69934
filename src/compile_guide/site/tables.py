"""Directives that show records as tables: comparisons, machines, what others have published."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from compile_guide.record import Record
from compile_guide.site.nodes import Cell, fields, folded, note, paragraph, place_link, table, text, warn
from compile_guide.site.roles import generated, shelf_of
from compile_guide.site.shelf import Shelf
from compile_guide.site.wording import BACKENDS, MACHINE, MEASURED, NOTHING, processor
from compile_guide.timing import UNMEASURED, Comparison, unmeasured

MAX_BYTES = 200_000


class RecordsDirective(SphinxDirective):
    """A directive over all records; the page is read again when one of them changes, comes or goes."""

    def shelf(self) -> Shelf:
        """Return the records, noted as read."""
        found = shelf_of(self.env, self.config)
        note(self.env).listed = tuple(file.name for file in found.files)
        for file in found.files:
            self.env.note_dependency(file)
        return found


def machine_link(record: Record) -> place_link:
    """Return the machine's name, linked to its place on the page of machines."""
    return place_link("", "", text(processor(record.machine), "machine"), key=f"machine-{record.id}")


class ComparisonTable(RecordsDirective):
    """``comparison``: one row for each of the names given and each record.

    ``:elsewhere:`` is for comparisons that not every machine can make: where no record has one, a line says so.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged, "elsewhere": directives.flag}
    columns: ClassVar[dict[str, str]] = {
        "Baseline": "baseline",
        "Candidate": "candidate",
        "Speed-up": "ratio",
        "First call": "first_call",
        "Pays": "break_even",
        "Share of copy": "share",
    }

    def run(self) -> list[nodes.Node]:
        """Return the table; names that no record has are warned of."""
        names, found = self.arguments[0].split(), self.shelf()
        rows: list[list[Cell]] = []
        for name in names:
            measured = [record for record in found.records if name in {e.name for e in record.comparisons}]
            if (
                "elsewhere" not in self.options
                and found.shown
                and found.unmeasured(name, generated(self.env, self.config))
            ):
                rows.append([nodes.literal(name, name), *self._unmeasured(found.shown)])
            elif not measured and "elsewhere" not in self.options:
                warn(f"no record has a comparison {name!r}", "name", self.get_location())
            rows += [self._row(name, record, record.comparison(name)) for record in measured]
        header = ["Comparison", "Machine", "MLX", *self.columns]
        if len(names) == 1:
            header, rows = header[1:], [row[1:] for row in rows]
        if rows and not any(row[-1] != NOTHING for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        if not rows:
            nobody = paragraph("No machine with a record here can make this comparison.")
            return [nobody] if "elsewhere" in self.options else []
        numbers = ("MLX", *self.columns)
        return [table(header, rows, numbers=numbers, caption=self.options.get("caption", ""))]

    def _unmeasured(self, record: Record) -> list[Cell]:
        """A row for the record shown, which lacks this comparison; the others' rows follow."""
        said = [UNMEASURED if field == "ratio" else NOTHING for field in self.columns.values()]
        return [machine_link(record), record.machine.mlx, *said]

    def _row(self, name: str, record: Record, comparison: Comparison) -> list[Cell]:
        said = [MEASURED[field](comparison).removeprefix("after ") for field in self.columns.values()]
        return [nodes.literal(name, name), machine_link(record), record.machine.mlx, *said]


class Headline(RecordsDirective):
    """``headline``: a few large numbers. A line is ``name [name …] | what it is | page of the example``.

    Of several names the first counts that could be compared on this machine.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return one tile a line; a line without a comparison that there is, is warned of."""
        shelf = self.shelf()
        shown = shelf.shown
        known = {entry.name: entry.comparison() for entry in shown.comparisons} if shown else {}
        tiles: list[nodes.Node] = []
        for line in filter(str.strip, self.content):
            names, label, page = (part.strip() for part in f"{line}||".split("|")[:3])
            found = [known[name] for name in names.split() if name in known]
            if not found and any(shelf.unmeasured(name, generated(self.env, self.config)) for name in names.split()):
                found = [unmeasured(names)]
            if found:
                tiles.append(self._tile(next((c for c in found if c.ratio), found[0]), label, page))
            else:
                warn(f"this site's record has no comparison {names!r}", "name", self.get_location())
        return [nodes.container("", *tiles, classes=["headline"])] if tiles else []

    @staticmethod
    def _tile(comparison: Comparison, label: str, page: str) -> nodes.container:
        what: nodes.Node = text(label)
        if page:
            target = {
                "refdomain": "std",
                "reftype": "doc",
                "reftarget": page,
                "refexplicit": True,
                "refwarn": True,
            }
            what = addnodes.pending_xref("", what, **target)
        if not comparison.measured:
            missing = paragraph(text(UNMEASURED, "measured", "in-words", "unmeasured"))
            return nodes.container("", missing, paragraph(what), classes=["tile"])
        said = {field: MEASURED[field](comparison) for field in ("ratio", "baseline", "candidate")}
        ratio, _, interval = said["ratio"].partition(" (")
        size = ["measured"] if "×" in ratio else ["measured", "in-words"]
        number = paragraph(text(ratio, *size), *([text(f" ({interval}", "measured", "interval")] if interval else []))
        times = paragraph(f"{said['baseline']} → {said['candidate']} a call", classes=["times"])
        return nodes.container("", number, paragraph(what), times, classes=["tile"])


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
        "Claims": "claims", "Version of this guide": "guide",
    }  # fmt: skip

    def run(self) -> list[nodes.Node]:
        """Return the table and the folded facts."""
        found = self.shelf()
        rows = [self._row(record, record == found.shown) for record in found.records]
        if not rows:
            return []
        return [
            table(["Machine", *self.columns], rows, numbers=tuple(self.columns)[1:]),
            *map(self._all, found.records),
        ]

    def _row(self, record: Record, shown: bool) -> list[Cell]:
        note(self.env).places.add(f"machine-{record.id}")
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
        shown = self.shelf().shown
        return [] if shown is None else [measured_on(shown)]


def measured_on(record: Record) -> nodes.paragraph:
    """Return the line that says where a page's numbers come from."""
    words = f", {BACKENDS[record.machine.backend]} backend, MLX {record.machine.mlx}, {record.machine.os}, "
    line = paragraph("Measured on ", machine_link(record), words + record.created[:10] + ".")
    line["classes"].append("measured-on")
    return line


@dataclass(frozen=True)
class Figure:
    """A number that somebody else reported, as the file has it."""

    topic: str
    what: str
    where: str
    plain: str
    compiled: str
    source: str
    link: str = ""
    ratio: str = ""
    note: str = ""


def read_published(file: Path) -> list[Figure]:
    """Read published figures from a TOML file of ``[[figure]]`` tables.

    Raises:
        ValueError: the file is too large, isn't TOML, or a field is unknown, missing or no text.
    """
    with file.open("rb") as opened:
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    found = []
    for number, given in enumerate(tomllib.loads(raw.decode("utf-8")).get("figure", ()), start=1):
        if wrong := [name for name, value in given.items() if not isinstance(value, str)]:
            raise ValueError(f"figure {number}: {wrong[0]} is no text")
        try:
            found.append(Figure(**given))
        except TypeError as error:
            raise ValueError(f"figure {number}: {str(error).partition('() ')[2]}") from None
    return found


class Published(SphinxDirective):
    """``published``: what others have reported, all of it or one topic, each with its source."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; a topic that no figure has is warned of."""
        file = Path(self.env.srcdir) / self.config.compile_guide_published
        self.env.note_dependency(file)
        try:
            figures = read_published(file)
        except (OSError, ValueError) as error:
            warn(f"{file.name}: {error}", "published", self.get_location())
            return []
        topic = self.arguments[0] if self.arguments else None
        chosen = [figure for figure in figures if topic in (None, figure.topic)]
        if not chosen:
            warn(f"no published figure has the topic {topic!r}", "published", self.get_location())
            return []
        header = ["What", "Where", "Plain", "Compiled", "Speed-up", "Source"]
        return [table(header, map(self._row, chosen), numbers=("Plain", "Compiled", "Speed-up"))]

    @staticmethod
    def _row(figure: Figure) -> list[Cell]:
        source: Cell = figure.source
        if figure.link.startswith("https://"):
            source = nodes.reference(figure.source, figure.source, refuri=figure.link)
        what = f"{figure.what} ({figure.note})" if figure.note else figure.what
        return [what, figure.where, figure.plain, figure.compiled, figure.ratio or NOTHING, source]
