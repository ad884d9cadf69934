"""The directive ``copy-shares``: how near functions that are bound by memory come to a copy's bandwidth."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from docutils import nodes
from sphinx.application import Sphinx

from _ext.blocks import page_link
from compile_guide.comparison import Run
from compile_guide.formatting import format_bytes, format_rate
from compile_guide.records.schema import Entry, Record
from compile_guide.sphinxext.machines import Panel, RecordsDirective, in_order, tabs
from compile_guide.sphinxext.nodes import Cell, paragraph, table, text

FEWEST_BYTES = 10_000_000
"""What a comparison must move to be bound by memory: less fits a cache, or is over before overhead stops to count."""


class CopyShares(RecordsDirective):
    """``copy-shares``: for each machine, bandwidth of the comparisons that say what they move, as a share of a copy's."""

    def run(self) -> list[nodes.Node]:
        """Return a table for each machine that has such comparisons."""
        panels: list[Panel] = [(r, [made]) for r in in_order(self.records()) if (made := self._table(r))]
        return [tabs(panels)] if panels else []

    def _table(self, record: Record) -> nodes.table | None:
        entries = [e for e in record.comparisons if e.runs and (e.bytes_moved or 0) >= FEWEST_BYTES]
        rows = [self._row(entry) for entry in sorted(entries, key=lambda e: (e.bytes_moved, e.name))]
        if not rows:
            return None
        header = ["Comparison", "Moves", "Copy", "Baseline", "Candidate"]
        caption = "Share of a copy’s bandwidth that baseline and candidate reach, and what the processes lie between"
        return table(header, rows, numbers=header[1:], caption=caption)

    def _row(self, entry: Entry) -> list[Cell]:
        comparison, conf = entry.comparison(), getattr(self.config, "sphinx_gallery_conf", {})
        name: Cell = nodes.literal(entry.name, entry.name)
        found = f"{conf.get('gallery_dirs', 'gallery')}/"
        pages = [p for p in sorted(self.env.found_docs) if p.startswith(found) and p.endswith(f"/{entry.example}")]
        if pages:
            name = page_link(f"/{pages[0]}", nodes.literal(entry.name, entry.name))
        plain = _shares(comparison.runs, comparison.bytes_moved, [run.baseline_s for run in comparison.runs])
        compiled = _shares(comparison.runs, comparison.bytes_moved, [run.candidate_s for run in comparison.runs])
        return [name, format_bytes(comparison.bytes_moved), format_rate(comparison.copy_bandwidth), plain, compiled]


def _shares(runs: Sequence[Run], moved: int | None, times: Sequence[Sequence[float]]) -> Cell:
    rates = [
        moved / statistics.median(seconds) / run.copy_bandwidth
        for run, seconds in zip(runs, times, strict=True)
        if moved and run.copy_bandwidth
    ]
    if not rates:
        return "—"
    between = f" ({min(rates):.0%} – {max(rates):.0%})" if len(rates) > 1 else ""
    return paragraph(f"{statistics.median(rates):.0%}", text(between, "interval"))


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("copy-shares", CopyShares)
