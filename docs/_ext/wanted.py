"""What was wanted of the guide's own costs, and what was seen: one row a goal, from the parts that a machine has measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from benchmarks.builds import MACHINES, NAMES, PAGE, REBUILD, RENDER
from benchmarks.costs import Costs, Part
from benchmarks.harness import BARE
from benchmarks.recording import WALL
from benchmarks.scale import RECORDS, SCRIPTS, exponent, kind
from benchmarks.watched import KERNELS, MEASURING

from _ext.benched import percent
from compile_guide.sphinxext.text import APART
from compile_guide.timing import format_bytes

CALL_S, CLEAN, UNCHANGED, MEASURED, POWER, PAGE_BYTES = 2e-7, 1.10, 1.2, 0.9, 1.05, 250e3
Row = tuple[str, str, str, bool]
"""What it is about, what was wanted, what was seen, and whether that is enough."""


def rows(costs: Costs) -> list[Row]:
    """Return the goals of all parts that were measured, in the order of the page."""
    return [row for name, found in costs.parts.items() if name in GOALS for row in GOALS[name](found)]


def _harness(part: Part) -> Iterator[Row]:
    beyond = {
        name: Part(part.created, part.machine, part.packages, {"": _less(part, name)}).median("")
        for name in part.values
        if name != BARE
    }
    seen = ", ".join(f"{seconds * 1e9:.0f}{APART}ns ({name.partition(', ')[2]})" for name, seconds in beyond.items())
    yield (
        "a timed call",
        f"less than {CALL_S * 1e9:.0f} ns more than in a bare loop",
        seen,
        max(beyond.values()) < CALL_S,
    )


def _less(part: Part, name: str) -> tuple[float, ...]:
    return tuple(value - other for value, other in zip(part.values[name], part.values[BARE], strict=True))


def _builds(part: Part) -> Iterator[Row]:
    for case, other, most in ((RENDER, "gallery", CLEAN), (REBUILD, "bare", UNCHANGED)):
        ours, theirs = (f"{case}{NAMES[side]}, wall" for side in ("ours", other))
        ratio, low, high = part.ratio(ours, theirs)
        wanted = f"at most {most:.2f} times {NAMES[other]}'s"
        yield case.rstrip(", "), wanted, f"{ratio:.2f} (half of the repeats: {low:.2f} – {high:.2f})", ratio <= most
    pages = {
        name: part.median(name) for name in part.values if name.startswith(PAGE) and f", {MACHINES} machines" in name
    }
    if pages:
        heaviest = max(pages.values())
        wanted = f"at most {format_bytes(PAGE_BYTES)} packed"
        yield f"a page with {MACHINES} machines", wanted, format_bytes(heaviest), heaviest <= PAGE_BYTES


def _record(part: Part) -> Iterator[Row]:
    share = (part.median(MEASURING) + part.median(KERNELS)) / part.median(WALL)
    wanted = f"at least {100 * MEASURED:.0f} % of the time in measuring and the compiler that MLX calls"
    yield "recording", wanted, percent(share, tenths=True), share >= MEASURED


def _scale(part: Part) -> Iterator[Row]:
    for what, word in (("processor", "processor time of a build"), ("peak", "its largest memory")):
        powers = [
            exponent(part.median(kind(small, records, what)), part.median(kind(large, records, what)), large / small)
            for records in RECORDS
            for small, large in pairwise(SCRIPTS)
        ]
        wanted = f"grows with the number of scripts to the power of at most {POWER}"
        yield word, wanted, f"{min(powers):.3f} – {max(powers):.3f}", max(powers) <= POWER


GOALS: dict[str, Callable[[Part], Iterator[Row]]] = {
    "harness": _harness,
    "builds": _builds,
    "record": _record,
    "scale": _scale,
}
