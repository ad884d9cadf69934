"""Comparisons on pages: a table a machine, all machines side by side, and what an example's block returned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, UNMEASURED, format_count, format_percent
from compile_guide.records.record_set import RecordSet
from compile_guide.sphinxext.machines import Panel, RecordsDirective, in_order, machine_link, tabs
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text, warn
from compile_guide.sphinxext.roles import generated
from compile_guide.sphinxext.text import MEASURED, Unit

RESULT = "recorded-result"
"""Class of what stands for a block's result (see gallery.py)."""
ABSENT = "not measured on this machine"
NOBODY = "No machine with a record here can make this comparison."


def ratio_cell(comparison: Comparison, best: bool = False) -> nodes.paragraph:
    """Return the ratio with its interval in a lighter tone; ``best`` is marked by a triangle and weight."""
    if not comparison.runs and comparison.slow_call_s is None:
        return paragraph(text(comparison.note, "in-words"), classes=["ratio-cell"])
    said, _, interval = MEASURED["ratio"](comparison).partition(" (")
    number = nodes.strong("", f"▲ {said}") if best else text(said, "ratio" if "×" in said else "in-words")
    return paragraph(number, *([text(f" ({interval}", "interval")] if interval else []), classes=["ratio-cell"])


def first_call(comparison: Comparison, unit: Unit) -> nodes.paragraph:
    """Return the time of the first call, and how many kernel files it wrote, where that was counted."""
    count = comparison.kernels_built
    kernels = text(f" {count or 'no'} kernel{'' if count == 1 else 's'}", "interval")
    return paragraph(unit.say(comparison.first_call_s), *([] if count is None else [kernels]))


def measures(comparisons: Sequence[Comparison], first: Sequence[Sequence[Cell]], header: Sequence[str]) -> nodes.table:
    """Return a table with the measured columns behind the ``first`` cells of each row; times share a unit."""
    unit = Unit.of(s for c in comparisons for s in (c.baseline_s, c.candidate_s))
    once = Unit.of(c.first_call_s for c in comparisons)
    names = [unit.header("Baseline"), unit.header("Candidate"), "Speed-up", once.header("First call")]
    shares = any(c.share(c.candidate_s) is not None for c in comparisons)
    names += ["Pays back after (calls)", *(["Share of copy"] if shares else [])]
    faster = [c for c in comparisons if c.differs and (c.ratio or 0) > 1]
    best = max(faster, key=lambda c: c.ratio or 0, default=None) if len(comparisons) > 2 else None
    rows: list[list[Cell]] = []
    for cells, c in zip(first, comparisons, strict=True):
        times = [_time(c, unit, c.baseline_s, c.candidate_s), _time(c, unit, c.candidate_s, c.baseline_s)]
        share = [format_percent(c.share(c.candidate_s))] if shares else []
        after = "never" if c.break_even is None else format_count(c.break_even)
        pays = NOTHING if c.differs is None else after
        rows.append([*cells, *times, ratio_cell(c, c is best), first_call(c, once), pays, *share])
    return table([*header, *names], rows, numbers=("MLX", *names))


def _time(comparison: Comparison, unit: Unit, seconds: float | None, other: float | None) -> Cell:
    """Return a time; the shorter of two that differ measurably is bold."""
    if seconds is None and comparison.slow_call_s is not None:
        return NOTHING
    said = unit.say(seconds, comparison.spread)
    faster = comparison.differs and seconds is not None and other is not None and seconds < other
    return nodes.strong("", said) if faster else said


def lacking(names: Sequence[str], records: RecordSet, examples: Sequence[Path]) -> dict[str, Comparison]:
    """Return what stands for comparisons that the record shown lacks: only a note that it does."""
    anywhere = {name for name in names if any(name in record.by_name for record in records.records)}
    words = {name: UNMEASURED if records.unmeasured(name, examples) else ABSENT for name in names}
    return {name: Comparison(name, note=word) for name, word in words.items() if name in anywhere or word == UNMEASURED}


def by_machine(names: Sequence[str], records: RecordSet, examples: Sequence[Path]) -> list[Panel]:
    """Return a panel for each machine that has one of the comparisons, a row each; where none has, this page's says so."""
    panels: list[Panel] = []
    for record in in_order(records):
        known = lacking(names, records, examples) if record is records.shown else {}
        known |= {name: record.by_name[name].comparison() for name in names if name in record.by_name}
        if found := [known[name] for name in names if name in known]:
            cells = [[nodes.literal(c.name, c.name)] for c in found]
            panels.append((record, [measures(found, cells, ["Comparison"])]))
    return [panel for panel in panels if any(name in panel[0].by_name for name in names)] or panels


def facts_by_machine(name: str, records: RecordSet, examples: Sequence[Path]) -> list[Panel]:
    """Return a panel for each machine that has the comparison, with all there is to say of it."""
    found = [(record, record.by_name[name]) for record in in_order(records) if name in record.by_name]
    panels: list[Panel] = [(record, [named(name), facts_table(entry.comparison())]) for record, entry in found]
    if found and records.shown and found[0][0] is not records.shown:
        words = lacking([name], records, examples)[name].note
        panels.insert(0, (records.shown, [named(name), paragraph(f"{words.capitalize()}.")]))
    return panels


def named(*names: str) -> nodes.paragraph:
    """Return a caption of comparisons' names."""
    parts = [part for name in names for part in (", ", nodes.literal(name, name))]
    return paragraph(*parts[1:], classes=["guide-caption"])


def facts_table(comparison: Comparison) -> nodes.table:
    """Return what a comparison says of itself, a line each."""
    rows = [[label, ratio_cell(comparison) if label == "speed-up" else said] for label, said in comparison.facts()]
    made = table((), rows)
    made["classes"].append("guide-comparison")
    next(made.findall(nodes.colspec))["stub"] = 1  # a column of row headers
    return made


def side_by_side(name: str, records: RecordSet) -> nodes.Element | None:
    """Return one comparison on every machine as a folded table, which knows its ``comparison``; None for one machine."""
    found = [(record, record.by_name[name].comparison()) for record in in_order(records) if name in record.by_name]
    if len(found) < 2:
        return None
    cells: list[list[Cell]] = []
    for record, _ in found:
        link = machine_link(record)
        here = [nodes.strong("", "", link), " (this page)"] if record is records.shown else [link]
        cells.append([paragraph(*here), record.machine.mlx])
    made = folded(f"{name} on {len(found)} machines", measures([c for _, c in found], cells, ["Machine", "MLX"]))
    made["comparison"] = name
    return made


class ComparisonTable(RecordsDirective):
    """``comparison``: the comparisons named, a table a machine, and each on all machines side by side.

    ``:elsewhere:`` is for comparisons that not every machine can make: where no record has one, a line says so.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged, "elsewhere": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the tables; names that no record has are warned of."""
        names, records = self.arguments[0].split(), self.records()
        examples = generated(self.env, self.config)
        known = {entry.name for record in records.records for entry in record.comparisons}
        for name in names:
            if name not in known and "elsewhere" not in self.options and not records.unmeasured(name, examples):
                warn(f"no record has a comparison {name!r}", "name", self.get_location())
        panels = by_machine(names, records, examples) if known & set(names) or "elsewhere" not in self.options else []
        if not panels:
            return [paragraph(NOBODY)] if "elsewhere" in self.options else []
        caption = [paragraph(self.options["caption"], classes=["guide-caption"])] if "caption" in self.options else []
        more = [side for name in names if (side := side_by_side(name, records))]
        return [nodes.container("", *caption, tabs(panels), *more, classes=["guide-comparisons"])]


class RecordedResult(RecordsDirective):
    """``recorded-result``: the comparisons named, on each machine; with ``:facts:`` all there is to say of the only one."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"facts": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return a panel for each machine; where no record has one of the comparisons, a line that says so."""
        names, records, examples = self.arguments[0].split(), self.records(), generated(self.env, self.config)
        one = "facts" in self.options
        panels = facts_by_machine(names[0], records, examples) if one else by_machine(names, records, examples)
        if panels:
            return [tabs(panels, classes=[RESULT])]
        yet = records.shown is None or any(records.unmeasured(name, examples) for name in names)
        words = f"{UNMEASURED.capitalize()}." if yet else NOBODY
        return [nodes.container("", named(*names), paragraph(words), classes=[RESULT])]


class TextTable(SphinxDirective):
    """``text-table``: one JSON object with a caption and rows of text, the first of them the header."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        found = json.loads("".join(self.content))
        header, *rows = found["rows"]
        made = table(header, rows, caption=found["caption"])
        made["classes"].append(RESULT)
        return [made]
