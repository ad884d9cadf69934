"""The directive ``bench-cost``: what timing a call, building, recording and growing cost, for each machine measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from benchmarks.builds import NAMES
from benchmarks.cases import FUNCTIONS
from benchmarks.cases import kind as case_of
from benchmarks.cores import CASES
from benchmarks.costs import PARTS, Costs, Part, load
from benchmarks.harness import BARE
from benchmarks.past import PASTS
from benchmarks.recording import WALL
from benchmarks.scale import RECORDS, SCRIPTS, exponent, kind
from benchmarks.watched import KERNELS, MEASURING
from benchmarks.workloads import WORKLOADS
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext import wanted
from _ext.benched import FOLDER, listed, percent
from compile_guide.sphinxext.nodes import Cell, paragraph, table
from compile_guide.timing import format_bytes, format_time

ALL = "goals"


class BenchCost(SphinxDirective):
    """``bench-cost``: one of :data:`benchmarks.costs.PARTS`, or the goals of all, for each machine measured."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return where and how it was measured and what was seen; one sentence where nobody has measured it."""
        name = directives.choice(self.arguments[0], (*PARTS, ALL))
        files = listed(self.env, f"{FOLDER}/costs")
        for file in files:
            self.env.note_dependency(file)
        made: list[nodes.Node] = []
        for costs in self._read(files):
            if name == ALL:
                made += show_goals(costs)
            elif part := costs.parts.get(name):
                made += [paragraph(setting(part), classes=["measured-on"]), *SHOW[name](part)]
        return made or [paragraph("Not measured yet.")]

    def _read(self, files: list[Path]) -> list[Costs]:
        try:
            return [load(file) for file in files]
        except (OSError, ValueError) as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error


def show_goals(costs: Costs) -> list[nodes.Node]:
    """Return the table of what was wanted of measuring and building, and what was seen; nothing where there is none."""
    rows: list[list[Cell]] = [[*said, "✓ met" if enough else "✗ missed"] for *said, enough in wanted.rows(costs)]
    if not rows:
        return []
    machine = next(iter(costs.parts.values())).machine
    caption = (
        f"What we wanted of measuring and building, and what was seen; {machine['chip']}, {machine['cores']} cores"
    )
    found = table(["What", "Wanted", "Seen", "Outcome"], rows, caption=caption)
    found["classes"].append("guide-goals")
    return [found]


def setting(part: Part) -> str:
    """Say where a part was measured, with what, how often."""
    used = ", ".join(f"{name} {version}" for name, version in part.packages.items())
    counts = sorted({len(values) for values in part.values.values()} - {1}) or [1]  # a page is weighed once
    span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    repeats = f"{span} repeat{'' if span == '1' else 's'}"
    where = f"{part.machine['chip']}, {part.machine['cores']} cores, Python {part.machine['python']}"
    return f"Measured {part.created[:10]} on {where}, with {used}: {repeats} of each, in turn; the median, and in parentheses what half of the repeats lie between."


def spread(part: Part, name: str, say: Callable[[float], str]) -> str:
    """Return a median with its quartiles."""
    low, high = part.quartiles(name)
    return f"{say(part.median(name))} ({say(low)} – {say(high)})"


def ratio_words(found: tuple[float, float, float]) -> str:
    """Return "1.05 (1.04 – 1.07)"."""
    return f"{found[0]:.2f} ({found[1]:.2f} – {found[2]:.2f})"


def show_harness(part: Part) -> list[nodes.Node]:
    """Return the table of one call's cost."""
    rows: list[list[Cell]] = []
    for name in part.values:
        beyond = [value - other for value, other in zip(part.values[name], part.values[BARE], strict=True)]
        made = Part(part.created, part.machine, part.packages, {"": tuple(beyond)})
        rows.append([name, spread(part, name, nanoseconds), "—" if name == BARE else spread(made, "", nanoseconds)])
    header = ["Timed by", "A call takes", "beyond the loop by hand"]
    return [table(header, rows, numbers=header[1:], caption="What timing adds to a call")]


def nanoseconds(seconds: float) -> str:
    """Return whole nanoseconds."""
    return f"{seconds * 1e9:.0f} ns"


def show_past(part: Part) -> list[nodes.Node]:
    """Return the table of what both functions of a workload take after each past."""
    return _show_cases(part, PASTS, "Evaluated before", "The same two functions in processes with different pasts")


def show_cores(part: Part) -> list[nodes.Node]:
    """Return the table of what both functions of a workload take on one core and on two."""
    return _show_cases(part, CASES, "The process has", "The same two functions on one core and on two")


def _show_cases(part: Part, cases: Iterable[str], what: str, caption: str) -> list[nodes.Node]:
    """Return the table of what both functions of a workload take, and how many times faster one is, in each case."""
    rows: list[list[Cell]] = []
    for workload in WORKLOADS:
        for case in cases:
            plain, compiled = (case_of(workload, case, function) for function in FUNCTIONS)
            ratio = ratio_words(part.ratio(plain, compiled))
            rows.append([workload, case, spread(part, plain, format_time), spread(part, compiled, format_time), ratio])
    header = ["Function", what, "Plain", "Compiled", "Ratio"]
    return [table(header, rows, numbers=header[2:], caption=caption)]


def show_builds(part: Part) -> list[nodes.Node]:
    """Return the tables of builds and of page weights."""
    rows: list[list[Cell]] = []
    kinds = sorted({name.rpartition(", ")[0] for name in part.values if name.endswith(", wall")})
    for one in kinds:
        case = one.rpartition(", ")[0]
        others = [other for other in kinds if other.startswith(f"{case}, ") and other.endswith(NAMES["ours"])]
        cells = [spread(part, f"{one}, {what}", format_time) for what in ("wall", "processor")]
        against = [ratio_words(part.ratio(f"{others[0]}, {what}", f"{one}, {what}")) for what in ("wall", "processor")]
        rows.append([one, *cells, *(["—", "—"] if one in others else against)])
    header = ["Build", "On the clock", "Processor", "Ours / this, clock", "Ours / this, processor"]
    weights = [
        [name.removeprefix("page "), format_bytes(part.median(name))]
        for name in part.values
        if name.startswith("page ")
    ]
    return [
        table(header, rows, numbers=header[1:], caption="What a build takes, and how many times that ours takes"),
        table(["Page", "Packed"], weights, numbers=["Packed"], caption="The heaviest pages, packed by gzip"),
    ]


def show_record(part: Part) -> list[nodes.Node]:
    """Return the table of where the time of recording goes."""
    whole = part.median(WALL)
    rows: list[list[Cell]] = [
        [name, spread(part, name, format_time), percent(part.median(name) / whole, tenths=True)]
        for name in part.values
        if name != WALL
    ]
    rows.append(
        [
            "together, measuring and the compiler",
            "",
            percent((part.median(MEASURING) + part.median(KERNELS)) / whole, tenths=True),
        ]
    )
    return [
        table(["Part", "Time", "Share"], rows, numbers=["Time", "Share"], caption="Where the time of recording goes")
    ]


def show_scale(part: Part) -> list[nodes.Node]:
    """Return a table each for time and memory: scripts down, records across, and the powers they grow with."""
    made: list[nodes.Node] = []
    for what, word, say in (("processor", "Processor time", format_time), ("peak", "Largest memory", format_bytes)):
        rows = [[str(n), *(say(part.median(kind(n, m, what))) for m in RECORDS)] for n in SCRIPTS]
        for small, large in pairwise(SCRIPTS):
            powers = [
                exponent(part.median(kind(small, m, what)), part.median(kind(large, m, what)), large / small)
                for m in RECORDS
            ]
            rows.append([f"exponent, {small} to {large} scripts", *(f"{power:.2f}" for power in powers)])
        header = ["Scripts", *(f"{m} record{'' if m == 1 else 's'}" for m in RECORDS)]
        caption = f"{word} of a clean build of a made-up gallery ({_repeats(part, what)})"
        made.append(table(header, rows, numbers=header[1:], caption=caption))
    return made


def _repeats(part: Part, what: str) -> str:
    """Say how often each size was built, and how far its builds lie apart."""
    built = [part.values[kind(n, m, what)] for n in SCRIPTS for m in RECORDS]
    if len(built[0]) == 1:
        return "one build of each size"
    apart = [(max(values) - min(values)) / statistics.median(values) for values in built]
    return (
        f"medians of {len(built[0])} builds, which lie {percent(statistics.median(apart))} apart for the median size, "
        f"{percent(max(apart))} at most"
    )


SHOW: dict[str, Callable[[Part], list[nodes.Node]]] = {
    "harness": show_harness,
    "past": show_past,
    "cores": show_cores,
    "builds": show_builds,
    "record": show_record,
    "scale": show_scale,
}
