"""The directives ``published-packages``, ``published-functions``, ``published-programs`` and ``watch-report``.

They show the files of ``docs/published_code/results``, one a machine: what packages that people use compile, and what that
does. A machine whose record has no such file says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from _ext.listings import list_files
from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, format_time
from compile_guide.records.schema import Record
from compile_guide.sphinxext.machines import Panel, RecordsDirective, in_order, machine_link, tabs
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text, warn
from compile_guide.sphinxext.text import MEASURED
from published_code.functions import CASES, Case
from published_code.packages import PACKAGES
from published_code.programs import PROGRAMS, Program
from published_code.results import Package, Reason, Report, Results, ResultsError, Seen, WatchedFunction, load

FOLDER = "published_code/results"
NOT_RUN, NOT_INSTALLED = "Not run here.", "not installed here"
FUNCTIONS = ("Function", "Plain / compiled", "Result", "Plain call", "Compiled call", "Compiled", "Traced")
PROGRAM = ("Program", "Off / on", "Result", "Compiling off", "Compiling on")
PACKAGE = ("Package", "Version", "Uses", "no options", "shapeless", "with state")
WATCHED = ("Function", "Compiled at", "Calls", "Traces", "Inlined", "Eager", "Kernels", "Tracing")
FIRST = "first call"


class PublishedDirective(RecordsDirective):
    """A directive over the results of all machines; the page is read again when one of them changes, comes or goes."""

    def results(self) -> dict[str, Results]:
        """Return the results by the id of their machine.

        Raises:
            ExtensionError: a file holds none.
        """
        files = list_files(self.env, FOLDER)
        for file in files:
            self.env.note_dependency(file)
        try:
            found = {results.record.id: results for results in (load(Path(file)) for file in files)}
        except ResultsError as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error
        known = {record.id for record in self.records().records}
        for strange in sorted(found.keys() - known):
            warn(f"{FOLDER}/{strange}.json: no record is of that machine", "published", self.get_location())
        return found

    def on_machines(self, show: Callable[[Results], Sequence[nodes.Node]]) -> list[nodes.Node]:
        """Return what each machine has to show, machines with results first."""
        found = self.results()
        records = sorted(in_order(self.records()), key=lambda record: record.id not in found)
        panels: list[Panel] = [
            (record, show(found[record.id]) if record.id in found else [paragraph(NOT_RUN)]) for record in records
        ]
        return [tabs(panels)] if panels else [paragraph(NOT_RUN)]

    def first(self, has: Callable[[Results], bool]) -> tuple[Record, Results] | None:
        """Return the first machine whose results have something, the one that the site shows before the others."""
        found = self.results()
        there = ((record, found[record.id]) for record in in_order(self.records()) if record.id in found)
        return next((pair for pair in there if has(pair[1])), None)


def measured_line(record: Record, results: Results, packages: str) -> nodes.paragraph:
    """Return where and when it was measured, and with what."""
    words = f", MLX {record.machine.mlx}, {results.record.created[:10]}, with {packages}."
    return paragraph("Seen on ", machine_link(record), words, classes=["measured-on"])


class PublishedPackages(PublishedDirective):
    """``published-packages``: each package, its version, and how often and how it compiles; every place is folded below."""

    def run(self) -> list[nodes.Node]:
        """Return the table and the places."""
        if (found := self.first(lambda results: bool(results.packages))) is None:
            return [paragraph(NOT_RUN)]
        packages = found[1].packages
        what = {package.name: package.what for package in PACKAGES}
        rows = [_package_row(package, what[package.name]) for package in packages if package.name in what]
        places = [_places(package) for package in packages if package.uses]
        versions = [
            f"{package.name} {package.version}" for package in packages if package.name not in what and package.version
        ]
        line = measured_line(*found, " and ".join(versions)) if versions else None
        return [table(PACKAGE, rows, numbers=PACKAGE[2:]), *([line] if line else []), folded("Every place", *places)]


def _package_row(package: Package, what: str) -> list[Cell]:
    if package.version is None:
        return [f"{package.name}: {what}", NOT_INSTALLED, *[NOTHING] * 4]
    hows = [use.how for use in package.uses]
    counts = [sum(word in how for how in hows) for word in ("plain", "shapeless", "state")]
    return [f"{package.name}: {what}", package.version, str(len(hows)), *map(str, counts)]


def _places(package: Package) -> nodes.Node:
    rows = [[f"{use.file}:{use.line}", use.name, options_of(use.how)] for use in package.uses]
    return folded(f"{package.name} {package.version}", table(("Where", "Function", "How"), rows))


class PublishedFunctions(PublishedDirective):
    """``published-functions``: for each machine, what each compiled function returns, how often it is traced, and its ratio."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        return self.on_machines(_functions)


class PublishedPrograms(PublishedDirective):
    """``published-programs``: for each machine, whole programs with compiling on against off."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        return self.on_machines(_programs)


def _functions(results: Results) -> list[nodes.Node]:
    rows = [_function_row(case, results) for case in CASES]
    return [
        paragraph(summary(results)),
        table(FUNCTIONS, rows, numbers=(FUNCTIONS[1], *FUNCTIONS[3:5])),
        _processes(results.record),
    ]


def summary(results: Results) -> str:
    """Return in a sentence or two how many functions are faster and slower compiled, and how their results agree."""
    found = [_seen(case.name, results) for case in CASES]
    speeds = Counter(_speed(comparison) for seen, comparison in found if seen)
    agree = Counter(seen.result.partition(":")[0] for seen, _ in found if seen)
    same, rounded = agree["the same bits"], agree["within rounding"]
    words = ", ".join(f"{count} {word}" for word, count in speeds.most_common())
    rest, count = agree.total() - same - rounded, agree.total()
    return (
        f"{count} function{'' if count == 1 else 's'}, compiled against plain: {words}. {same or 'None'} return the same bits, "
        f"{rounded or 'none'} differ within rounding, {rest or 'none'} beyond."
    )


def _speed(comparison: Comparison | None) -> str:
    if comparison is None or comparison.ratio is None:
        return "not timed"
    if comparison.differs is None:
        return "without an interval"
    return ("faster" if comparison.ratio > 1 else "slower") if comparison.differs else "without measurable difference"


def _programs(results: Results) -> list[nodes.Node]:
    rows = [_program_row(program, results) for program in PROGRAMS]
    return [table(PROGRAM, rows, numbers=(PROGRAM[1], *PROGRAM[3:])), _processes(results.record)]


def _processes(record: Record) -> nodes.paragraph:
    count, budget = record.settings.processes, record.settings.budget_s
    words = f"{count} process{'es' if count > 1 else ''} each, {budget:g} s for a comparison, {record.created[:10]}."
    return paragraph(words, classes=["measured-on"])


def _seen(name: str, results: Results) -> tuple[Seen | None, Comparison | None]:
    entry = results.record.by_name.get(name)
    return next((seen for seen in results.seen if seen.name == name), None), entry.comparison() if entry else None


def _name(function: str) -> nodes.literal:
    short = function.rpartition(":")[2].rpartition(".")[2]
    return nodes.literal(short, short)


def _function_row(case: Case, results: Results) -> list[Cell]:
    seen, comparison = _seen(case.name, results)
    what = paragraph(
        _name(case.function), f" of {case.package}", *([f": {seen.inputs}"] if seen and seen.inputs else [])
    )
    if seen is None:
        missing = NOT_INSTALLED if results.versions().get(case.package) is None else "not measured here"
        return [what, NOTHING, missing, *[NOTHING] * 4]
    ratio, *times = _times(comparison)
    return [what, ratio, seen.result, *times, options_of(seen.how), traced(seen)]


def _program_row(program: Program, results: Results) -> list[Cell]:
    seen, comparison = _seen(program.name, results)
    what = f"{program.package}: {program.what}" + (f"; {seen.inputs}" if seen and seen.inputs else "")
    if seen is None:
        missing = NOT_INSTALLED if results.versions().get(program.package) is None else "not measured here"
        return [what, NOTHING, missing, *[NOTHING] * 2]
    ratio, *times = _times(comparison)
    return [what, ratio, seen.result, *times]


def _times(comparison: Comparison | None) -> list[Cell]:
    if comparison is None:
        return [NOTHING] * 3
    times = (MEASURED[what](comparison) for what in ("baseline", "candidate"))
    return [text(MEASURED["ratio"](comparison), "measured"), *times]


def options_of(how: str) -> str:
    """Return in words how a function is compiled."""
    return PACKAGE[3] if how == "plain" else how


def traced(seen: Seen) -> str:
    """Return how often a function was traced in its calls, and why again, in few words."""
    if not seen.calls:
        return NOTHING
    why = "; ".join(short(reason.text) for reason in seen.reasons if reason.text != FIRST)
    return f"{seen.traces} in {seen.calls} calls" + (f": {why}" if why else "")


def short(reason: str) -> str:
    """Return a reason with its first change alone."""
    first, *more = reason.split("; ")
    return first + (f" and {len(more)} more" if more else "")


class WatchReport(PublishedDirective):
    """``watch-report NAME``: what ``compile-guide watch --check`` reports about a program, and where and with what it ran."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table of the report, and what it says of each function."""
        name = self.arguments[0]
        if (found := self.first(lambda results: _report(results, name) is not None)) is None:
            return [paragraph(NOT_RUN)]
        report = _report(found[1], name)
        assert report is not None
        rows = [_watched_row(function) for function in report.functions]
        made: list[nodes.Node] = [measured_line(*found, report.packages), table(WATCHED, rows, numbers=WATCHED[2:])]
        return [*made, *(part for function in report.functions for part in _said(function))]


def _report(results: Results, name: str) -> Report | None:
    return next((report for report in results.reports if report.name == name), None)


def _watched_row(function: WatchedFunction) -> list[Cell]:
    counts = [str(number) for number in (function.calls, function.traces, function.inlined, function.eager)]
    kernels = str(function.kernels) if function.findings else NOTHING
    tracing = format_time(function.tracing_s, 0.1) if function.tracing_s else NOTHING
    return [nodes.literal(function.name, function.name), function.place, *counts, kernels, tracing]


def _said(function: WatchedFunction) -> Iterator[nodes.Node]:
    """Yield what a report says of a function; of one that only ran inside other traces there is nothing to say."""
    if not function.traces and not function.advice:
        return
    lines = [
        *map(_reason, function.reasons),
        *map(_finding, function.findings),
        *(f"→ {words}" for words in function.advice),
    ]
    yield paragraph(nodes.literal(function.name, function.name), ":")
    yield nodes.bullet_list("", *(nodes.list_item("", paragraph(line)) for line in lines))


def _reason(reason: Reason) -> str:
    alike = " and the like" if reason.count > 1 and "→" in reason.text else ""
    return f"{reason.count} × {short(reason.text)}{alike}"


def _finding(finding: Reason) -> str:
    calls = f"{finding.count} call{'' if finding.count == 1 else 's'}"
    return f"check: {finding.text or 'right'} ({calls})"


def report_text(report: Report) -> Iterable[str]:
    """Yield the lines of a report as plain text, for a page that isn't built by Sphinx."""
    for function in report.functions:
        if function.traces:
            yield f"{function.name} ({function.place})"
            yield from (
                re.sub(r"^(\d+) ×", lambda count: f"{count[1]:>7} ×", _reason(reason)) for reason in function.reasons
            )
            yield from (f"  {_finding(finding)}" for finding in function.findings)
            yield from (f"  → {words}" for words in function.advice)


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("published-packages", PublishedPackages)
    app.add_directive("published-functions", PublishedFunctions)
    app.add_directive("published-programs", PublishedPrograms)
    app.add_directive("watch-report", WatchReport)
