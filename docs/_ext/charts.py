"""The chart of one comparison on several machines: a mark and an interval a machine, as SVG inside the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from docutils import nodes
from sphinx.application import Sphinx

from _ext.drawing import drawing
from _ext.drawing import setup as register_drawings
from compile_guide.formatting import format_ratio
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import place_link
from compile_guide.sphinxext.machines import in_order, machine_name
from compile_guide.sphinxext.nodes import details, paragraph, text
from compile_guide.sphinxext.roles import record_set
from compile_guide.sphinxext.text import BACKENDS, processor

APPLE = "No Apple-silicon machine has recorded this yet."

ROW, TOP, LABELS, PLOT, VALUES = 22, 8, 236, 300, 84
"""Pixels: height of a row, space above, widths of the three columns."""
MOST_LETTERS = 34
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
NEAREST_TICKS = 26
MARKS = {
    "metal": '<circle cx="{x}" cy="{y}" r="4.5"/>',
    "cuda": '<rect x="{left}" y="{top}" width="8" height="8"/>',
    "cpu": '<path d="M{x} {tip}l5 9h-10z"/>',
}
"""One shape a backend, so that color isn't needed to tell them apart."""


@dataclass(frozen=True)
class Row:
    """One machine: its name, its backend, the ratio with its interval, and whether this site shows its record."""

    label: str
    backend: str
    ratio: float
    interval: tuple[float, float] | None
    shown: bool = False

    @property
    def value(self) -> str:
        """The ratio in as few words as a chart has room for."""
        text = format_ratio(self.ratio, self.interval)
        return "no difference" if text.startswith("no ") else text.removeprefix("about ").partition(" ")[0]


def chart(title: str, rows: Sequence[Row]) -> drawing:
    """Return the chart; what it says in words names both ends, because a table with every value stands below it."""
    ordered = sorted(rows, key=lambda row: row.ratio)
    low, high = ordered[0], ordered[-1]
    ends = f"from {low.value} ({low.label})" + (f" to {high.value} ({high.label})" if len(rows) > 1 else "")
    count = f"{len(rows)} machine{'' if len(rows) == 1 else 's'}"
    words = f"Speed-up of {title} on {count}, {ends}; the table has every value."
    return drawing(svg=svg(rows, words), description=words)


def svg(rows: Sequence[Row], description: str) -> str:
    """Return the drawing as one SVG element with an axis in equal factors."""
    height = TOP + ROW * len(rows) + 30
    axis = Axis.around([end for row in rows for end in (row.interval or (row.ratio, row.ratio))])
    parts = [*(_tick(axis, tick, height) for tick in axis.ticks()), *(_row(axis, i, row) for i, row in enumerate(rows))]
    width = LABELS + PLOT + VALUES
    parts.append(_legend(rows, height))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="guide-chart" role="img" aria-label="{html.escape(description)}"'
    return f'{head} {size} font-size="12.5" fill="currentColor" stroke="none">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis; equal steps are equal factors, so twice as fast is as far from 1 as half as fast."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Axis:
        """Return an axis that holds the values, 1, and some room."""
        return cls(min(*values, 1) / 1.12, max(*values, 1) * 1.12)

    def x(self, ratio: float) -> float:
        """Return where a ratio lies, in pixels."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return round(LABELS + share * PLOT, 1)

    def ticks(self) -> list[float]:
        """Return the round ratios of the axis that have room for their numbers; 1 is always among them."""
        chosen: list[float] = [1]
        for tick in sorted(TICKS, key=lambda tick: (tick in (1.5, 3), tick)):
            if self.low <= tick <= self.high and all(abs(self.x(tick) - self.x(o)) >= NEAREST_TICKS for o in chosen):
                chosen.append(tick)
        return sorted(chosen)


def _tick(axis: Axis, tick: float, height: int) -> str:
    x, end = axis.x(tick), height - 24
    look = 'stroke-opacity="0.75" stroke-dasharray="4 3"' if tick == 1 else 'stroke-opacity="0.18"'
    line = f'<path d="M{x} 2V{end}" stroke="currentColor" {look}/>'
    return f'{line}<text x="{x}" y="{height - 8}" text-anchor="middle">{tick:g}×</text>'


def _row(axis: Axis, index: int, row: Row) -> str:
    y = TOP + ROW * index + ROW // 2
    x = axis.x(row.ratio)
    label = shortened(row.label)
    weight = ' font-weight="700"' if row.shown else ""
    name = f'<text x="{LABELS - 12}" y="{y + 4}" text-anchor="end"{weight}>{html.escape(label)}</text>'
    value = f'<text x="{LABELS + PLOT + 12}" y="{y + 4}"{weight}>{row.value}</text>'
    mark = MARKS[row.backend].format(x=x, y=y, left=round(x - 4, 1), top=y - 4, tip=y - 5)
    return f"{name}{_whisker(axis, row, y)}{mark}{value}"


def shortened(label: str) -> str:
    """Return a machine's name in as many letters as there is room for; a version of MLX at its end is kept."""
    name, mlx, version = label.rpartition(", MLX ")
    if len(label) <= MOST_LETTERS or not name:
        return label if len(label) <= MOST_LETTERS else label[: MOST_LETTERS - 1] + "…"
    return f"{name[: MOST_LETTERS - 1 - len(mlx + version)].rstrip()}…{mlx}{version}"


def _legend(rows: Sequence[Row], height: int) -> str:
    """Say which shape is which backend, left of the axis's numbers, where there are several."""
    backends = [name for name in MARKS if any(row.backend == name for row in rows)]
    parts, y = [], height - 12
    for place, name in enumerate(backends if len(backends) > 1 else []):
        x = 12 + 72 * place
        mark = MARKS[name].format(x=x, y=y, left=x - 4, top=y - 4, tip=y - 5)
        parts.append(f'{mark}<text x="{x + 10}" y="{y + 4}">{BACKENDS[name]}</text>')
    return "".join(parts)


def _whisker(axis: Axis, row: Row, y: int) -> str:
    if row.interval is None:
        return ""
    low, high = map(axis.x, row.interval)
    return f'<path d="M{low} {y}H{high}M{low} {y - 4}v8M{high} {y - 4}v8" stroke="currentColor" stroke-width="1.5"/>'


def complete_folds(app: Sphinx, doctree: nodes.document) -> None:
    """Put a chart above each table of a comparison on several machines, and say below it where Apple silicon is missing."""
    records = record_set(app.env, app.config)
    for fold in doctree.findall(details):
        if "comparison" in fold:
            name = fold["comparison"]
            found = [one for one in in_order(records) if name in one.by_name]
            if rows := _rows(name, found, records.shown):
                fold.insert(1, nodes.container("", chart(name, rows), classes=["guide-scroll"]))
            if all(record.machine.backend != "metal" for record in found):
                link = place_link("apple-silicon-records", text("What others have reported"))
                fold += paragraph(f"{APPLE} ", link)


def _rows(name: str, found: Sequence[Record], shown: Record | None) -> list[Row]:
    compared = [(record, record.by_name[name].comparison()) for record in found]
    return [
        Row(_label(record, found), record.machine.backend, c.ratio, c.interval, record is shown)
        for record, c in compared
        if c.ratio is not None
    ]


def _label(record: Record, found: Sequence[Record]) -> str:
    """Return the machine's name, with its MLX where another record has the same name."""
    name = processor(record.machine)
    return machine_name(record) if sum(processor(other.machine) == name for other in found) > 1 else name


def setup(app: Sphinx) -> None:
    """Register the hook, behind the extension's own."""
    register_drawings(app)
    app.connect("doctree-read", complete_folds, priority=450)
