"""Comparisons on pages: a table a machine, all machines side by side, and the large numbers of the start page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives

from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, UNMEASURED, format_count, format_percent
from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.machine_tabs import Panel, in_order, machine_link, tabs
from compile_guide.sphinxext.machines import RecordsDirective
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text, warn
from compile_guide.sphinxext.roles import generated
from compile_guide.sphinxext.text import MEASURED, Unit

COLUMNS = ("Baseline", "Candidate", "Speed-up", "First call", "Pays back after (calls)", "Share of copy")
ABSENT = "not measured on this machine"
NOBODY = "No machine with a record here can make this comparison."


def ratio_cell(comparison: Comparison, best: bool = False) -> nodes.paragraph:
    """Return the ratio with its interval in a lighter tone; ``best`` is marked by a triangle and weight."""
    if not comparison.runs and comparison.slow_call_s is None:
        return paragraph(text(comparison.note, "in-words"), classes=["ratio-cell"])
    said, _, interval = MEASURED["ratio"](comparison).partition(" (")
    number = nodes.strong("", f"▲ {said}") if best else text(said, "ratio" if "×" in said else "in-words")
    return paragraph(number, *([text(f" ({interval}", "interval")] if interval else []), classes=["ratio-cell"])


def pays(comparison: Comparison) -> str:
    """Return the calls after which compiling has paid, for a column that is headed so."""
    if comparison.differs is None:
        return NOTHING
    return "never" if comparison.break_even is None else format_count(comparison.break_even)


def built(comparison: Comparison) -> list[nodes.Node]:
    """Return how many kernel files the first call wrote, where that was counted."""
    count = comparison.kernels_built
    if count is None:
        return []
    return [text(f" {count or 'no'} kernel{'' if count == 1 else 's'}", "interval")]


def measures(comparisons: Sequence[Comparison], first: Sequence[Sequence[Cell]], header: Sequence[str]) -> nodes.table:
    """Return a table with the measured columns behind the ``first`` cells of each row; times share a unit."""
    plain = Unit.of(s for c in comparisons for s in (c.baseline_s, c.candidate_s))
    once = Unit.of(c.first_call_s for c in comparisons)
    shares = any(c.share(c.candidate_s) is not None for c in comparisons)
    names = [plain.header("Baseline"), plain.header("Candidate"), "Speed-up", once.header("First call"), COLUMNS[4]]
    names += ["Share of copy"] if shares else []
    best = best_of(comparisons)
    rows: list[list[Cell]] = []
    for cells, c in zip(first, comparisons, strict=True):
        times = [
            _time(c, seconds, plain, other)
            for seconds, other in ((c.baseline_s, c.candidate_s), (c.candidate_s, c.baseline_s))
        ]
        call = paragraph(once.say(c.first_call_s), *built(c))
        row = [*cells, *times, ratio_cell(c, c is best), call, pays(c)]
        rows.append([*row, format_percent(c.share(c.candidate_s))] if shares else row)
    return table([*header, *names], rows, numbers=("MLX", *names))


def best_of(comparisons: Sequence[Comparison]) -> Comparison | None:
    """Return the one with the largest speed-up of three or more, if it is one."""
    ratios = [c for c in comparisons if c.ratio is not None and c.differs and c.ratio > 1]
    return max(ratios, key=lambda c: c.ratio or 0) if len(comparisons) > 2 and ratios else None


def _time(comparison: Comparison, seconds: float | None, unit: Unit, other: float | None) -> Cell:
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
    """Return a panel for each machine that has one of the comparisons, a row each, and say what this page's lacks."""
    panels: list[Panel] = []
    for record in in_order(records):
        known = {name: record.by_name[name].comparison() for name in names if name in record.by_name}
        if record is records.shown:
            known = lacking(names, records, examples) | known
        found = [known[name] for name in names if name in known]
        if found:
            cells = [[nodes.literal(c.name, c.name)] for c in found]
            panels.append((record, [measures(found, cells, ["Comparison"])]))
    return panels


def facts_by_machine(name: str, records: RecordSet, examples: Sequence[Path]) -> list[Panel]:
    """Return a panel for each machine that has the comparison, with all there is to say of it."""
    panels: list[Panel] = []
    for record in in_order(records):
        if found := record.by_name.get(name):
            panels.append((record, [named(name), facts_table(found.comparison())]))
    if panels and records.shown and panels[0][0] is not records.shown:
        words = lacking([name], records, examples)[name].note
        panels.insert(0, (records.shown, [named(name), paragraph(f"{words.capitalize()}.")]))
    return panels


def named(*names: str) -> nodes.paragraph:
    """Return a caption of comparisons' names."""
    parts = [part for name in names for part in (", ", nodes.literal(name, name))]
    return paragraph(*parts[1:], classes=["guide-caption"])


def facts_table(comparison: Comparison) -> nodes.table:
    """Return what a comparison says of itself, a line each."""
    rows: list[list[Cell]] = [
        [label, ratio_cell(comparison) if label == "speed-up" else said] for label, said in comparison.facts()
    ]
    made = table((), rows)
    made["classes"].append("guide-comparison")
    for spec in list(made.findall(nodes.colspec))[:1]:
        spec["stub"] = 1  # a column of row headers
    return made


def side_by_side(name: str, records: RecordSet) -> nodes.Element | None:
    """Return one comparison on every machine as a folded table, which knows its ``comparison``; None for one machine."""
    found = [(record, record.by_name[name].comparison()) for record in in_order(records) if name in record.by_name]
    if len(found) < 2:
        return None
    cells: list[list[Cell]] = [[_machine(record, records), record.machine.mlx] for record, _ in found]
    made = folded(f"{name} on {len(found)} machines", measures([c for _, c in found], cells, ["Machine", "MLX"]))
    made["comparison"] = name
    return made


def _machine(record: Record, records: RecordSet) -> nodes.paragraph:
    link = machine_link(record)
    return paragraph(nodes.strong("", "", link), " (this page)") if record is records.shown else paragraph(link)


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
