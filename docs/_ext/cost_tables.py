"""The directive ``bench-cost``: how long builds and recordings take and how that grows, for each machine measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.listings import list_files
from benchmarks import BenchError
from benchmarks.builds import (
    CHECKOUTS,
    CLEAN,
    EDITED,
    EXAMPLE,
    GALLERY,
    MACHINES,
    MEMORY,
    NAMES,
    OURS,
    PAGE,
    SPHINX,
    UNCHANGED,
)
from benchmarks.costs import PARTS, Costs, Part, load
from benchmarks.scale import RECORDS, SCRIPTS, exponent, kind
from benchmarks.watched_worker import KERNELS, MEASURING, WALL
from compile_guide.formatting import NOTHING, format_bytes, format_percent, format_time
from compile_guide.sphinxext.nodes import Cell, paragraph, table

FOLDER = "bench/costs"
GOALS = "goals"
SINCE = "2882c8b"
"""The commit whose builds the goals of later ones are about."""
MOST_SINCE = {CLEAN: 0.35, EDITED: 1.0, EXAMPLE: 0.5}
MOST_MEMORY_SINCE = 1.1
MOST_CLEAN, MOST_UNCHANGED, LEAST_MEASURED, MOST_POWER, MOST_PAGE_BYTES = 1.10, 1.2, 0.9, 1.05, 250e3
Row = tuple[str, str, str, bool]
"""What it is about, what was wanted, what was measured, and whether that is enough."""


class BenchCost(SphinxDirective):
    """``bench-cost PART``: one of :data:`benchmarks.costs.PARTS`, or the ``goals`` of all, for each machine measured."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return where and how it was measured, and the tables; one sentence where nobody has measured it."""
        name = directives.choice(self.arguments[0], (*PARTS, GOALS))
        content: list[nodes.Node] = []
        for costs in self._read():
            if name == GOALS:
                content += goals_table(costs)
            elif part := costs.parts.get(name):
                content += [paragraph(setting(part), classes=["measured-on"]), *TABLES[name](part)]
        return content or [paragraph("Not measured yet.")]

    def _read(self) -> list[Costs]:
        files = list_files(self.env, FOLDER)
        for file in files:
            self.env.note_dependency(file)
        try:
            return [load(file) for file in files]
        except (OSError, BenchError) as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error


def setting(part: Part) -> str:
    """Return in words where and when a part was measured, with what, and how often."""
    counts = sorted({len(values) for name, values in part.values.items() if not name.startswith(PAGE)})
    repeats = f"{counts[0]} to {counts[-1]} repeats" if len(counts) > 1 else f"{counts[0]} repeat{'s'[: counts[0] > 1]}"
    where = f"{part.machine['chip']}, {part.machine['cores']} cores, Python {part.machine['python']}"
    used = ", ".join(f"{name} {version}" for name, version in part.packages.items())
    return (
        f"Measured {part.created[:10]} on {where}, with {used}: {repeats} of each, in turn; the median, and in parentheses "
        "what half of the repeats lie between."
    )


def _with_quartiles(part: Part, name: str, say: Callable[[float], str]) -> str:
    low, high = part.quartiles(name)
    return f"{say(part.median(name))} ({say(low)} – {say(high)})"


def _ratio_words(ratio: float, low: float, high: float) -> str:
    return f"{ratio:.2f} ({low:.2f} – {high:.2f})"


def builds_tables(part: Part) -> list[nodes.Node]:
    """Return the tables of builds and of the heaviest pages."""
    rows: list[list[Cell]] = []
    for build in sorted({name.rpartition(", ")[0] for name in part.values if name.endswith(", wall")}):
        ours = f"{build.partition(', ')[0]}, {NAMES[OURS]}"
        cells = [_with_quartiles(part, f"{build}, {what}", format_time) for what in ("wall", "processor")]
        ratios = [_ratio_words(*part.ratio(f"{ours}, {what}", f"{build}, {what}")) for what in ("wall", "processor")]
        rows.append([build, *cells, *([NOTHING] * 2 if build == ours else ratios)])
    header = ["Build", "On the clock", "Processor", "Ours / this, clock", "Ours / this, processor"]
    pages = [name for name in part.values if name.startswith(PAGE)]
    weights = [[name.removeprefix(PAGE), format_bytes(part.median(name))] for name in pages]
    return [
        table(header, rows, numbers=header[1:], caption="What a build takes, and how many times that ours takes"),
        table(["Page", "Packed"], weights, numbers=["Packed"], caption="The heaviest pages, packed by gzip"),
    ]


def since_tables(part: Part) -> list[nodes.Node]:
    """Return the table that sets renders beside those of an older checkout."""
    rows: list[list[Cell]] = []
    for build in dict.fromkeys(name.partition(", ")[0] for name in part.values):
        walls, peaks = ([f"{build}, {side}, {what}" for side in CHECKOUTS] for what in ("wall", MEMORY))
        times = [_with_quartiles(part, wall, format_time) for wall in walls]
        rows.append([build, *times, *(_ratio_words(*part.ratio(*pair)) for pair in (walls, peaks))])
    header = ["Build", *(f"{side.capitalize()}" for side in CHECKOUTS), "This / other, clock", "This / other, memory"]
    return [table(header, rows, numbers=header[1:], caption="Renders after a recording, of two checkouts in turn")]


def record_tables(part: Part) -> list[nodes.Node]:
    """Return the table of where the time of recording goes."""
    whole = part.median(WALL)
    rows: list[list[Cell]] = [
        [name, _with_quartiles(part, name, format_time), format_percent(part.median(name) / whole, tenths=True)]
        for name in part.values
        if name != WALL
    ]
    rows.append(["together, measuring and the compiler", "", format_percent(_measuring_share(part), tenths=True)])
    caption = "Where the time of recording goes"
    return [table(["Part", "Time", "Share"], rows, numbers=["Time", "Share"], caption=caption)]


def _measuring_share(part: Part) -> float:
    return (part.median(MEASURING) + part.median(KERNELS)) / part.median(WALL)


def scale_tables(part: Part) -> list[nodes.Node]:
    """Return a table each for time and memory: scripts down, records across, and the powers with which they grow."""
    tables: list[nodes.Node] = []
    for what, word, say in (("processor", "Processor time", format_time), ("peak", "Largest memory", format_bytes)):
        rows = [[str(n), *(say(part.median(kind(n, m, what))) for m in RECORDS)] for n in SCRIPTS]
        for small, large in pairwise(SCRIPTS):
            powers = [f"{_power(part, small, large, m, what):.2f}" for m in RECORDS]
            rows.append([f"exponent, {small} to {large} scripts", *powers])
        header = ["Scripts", *(f"{m} record{'' if m == 1 else 's'}" for m in RECORDS)]
        caption = f"{word} of a clean build of a made-up gallery ({_repeats(part, what)})"
        tables.append(table(header, rows, numbers=header[1:], caption=caption))
    return tables


def _power(part: Part, small: int, large: int, records: int, what: str) -> float:
    costs = [part.median(kind(scripts, records, what)) for scripts in (small, large)]
    return exponent(costs[0], costs[1], large / small)


def _repeats(part: Part, what: str) -> str:
    """Return in words how often each size was built, and how far its builds lie apart."""
    sizes = [part.values[kind(n, m, what)] for n in SCRIPTS for m in RECORDS]
    if len(sizes[0]) == 1:
        return "one build of each size"
    ranges = [(max(values) - min(values)) / statistics.median(values) for values in sizes]
    return (
        f"medians of {len(sizes[0])} builds, which lie {format_percent(statistics.median(ranges))} apart for the median "
        f"size, {format_percent(max(ranges))} at most"
    )


TABLES: dict[str, Callable[[Part], list[nodes.Node]]] = {
    "builds": builds_tables,
    "record": record_tables,
    "scale": scale_tables,
    "since": since_tables,
}


def goals_table(costs: Costs) -> list[nodes.Node]:
    """Return the table of what was wanted and what was measured; nothing where nothing was measured."""
    rows: list[list[Cell]] = [[*cells, "✓ met" if enough else "✗ missed"] for *cells, enough in goals(costs)]
    if not rows:
        return []
    machine = next(iter(costs.parts.values())).machine
    caption = (
        f"What we wanted of building and recording, and what was measured; {machine['chip']}, {machine['cores']} cores"
    )
    made = table(["What", "Wanted", "Measured", "Outcome"], rows, caption=caption)
    made["classes"].append("guide-goals")
    return [made]


def goals(costs: Costs) -> list[Row]:
    """Return the goals of all parts that were measured, in the order of the page."""
    return [row for name, rows in GOALS_OF.items() if name in costs.parts for row in rows(costs.parts[name])]


def _builds_goals(part: Part) -> Iterator[Row]:
    for case, other, most in ((CLEAN, GALLERY, MOST_CLEAN), (UNCHANGED, SPHINX, MOST_UNCHANGED)):
        ours, theirs = (f"{case}{NAMES[side]}, wall" for side in (OURS, other))
        ratio, low, high = part.ratio(ours, theirs)
        wanted = f"at most {most:.2f} times {NAMES[other]}'s"
        yield case.rstrip(", "), wanted, f"{ratio:.2f} (half of the repeats: {low:.2f} – {high:.2f})", ratio <= most
    pages = [part.median(name) for name in part.values if name.startswith(PAGE) and f", {MACHINES} machines" in name]
    if pages:
        wanted = f"at most {format_bytes(MOST_PAGE_BYTES)} packed"
        yield f"a page with {MACHINES} machines", wanted, format_bytes(max(pages)), max(pages) <= MOST_PAGE_BYTES


def _record_goals(part: Part) -> Iterator[Row]:
    share = _measuring_share(part)
    wanted = f"at least {format_percent(LEAST_MEASURED)} of the time in measuring and the compiler that MLX calls"
    yield "recording", wanted, format_percent(share, tenths=True), share >= LEAST_MEASURED


def _scale_goals(part: Part) -> Iterator[Row]:
    for what, words in (("processor", "processor time of a build"), ("peak", "its largest memory")):
        powers = [_power(part, small, large, m, what) for m in RECORDS for small, large in pairwise(SCRIPTS)]
        wanted = f"grows with the number of scripts to the power of at most {MOST_POWER}"
        yield words, wanted, f"{min(powers):.3f} – {max(powers):.3f}", max(powers) <= MOST_POWER


def _since_goals(part: Part) -> Iterator[Row]:
    if not part.packages[CHECKOUTS[1]].startswith(SINCE):
        return
    for case, most in MOST_SINCE.items():
        for what, limit in (("wall", most), (MEMORY, MOST_MEMORY_SINCE)):
            ratio, low, high = part.ratio(*(f"{case}{side}, {what}" for side in CHECKOUTS))
            about = f"{case.rstrip(', ')}, after a recording, {'clock' if what == 'wall' else what}"
            wanted = f"at most {limit:.2f} times that of commit {SINCE}"
            yield about, wanted, f"{ratio:.2f} (half of the repeats: {low:.2f} – {high:.2f})", ratio <= limit


GOALS_OF: dict[str, Callable[[Part], Iterator[Row]]] = {
    "builds": _builds_goals,
    "record": _record_goals,
    "scale": _scale_goals,
    "since": _since_goals,
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("bench-cost", BenchCost)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
