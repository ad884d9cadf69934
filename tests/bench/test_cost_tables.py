"""The directive that shows what builds, recordings and growth cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from site_builds import build, put_records, write

from _ext import cost_tables
from _ext.cost_tables import scale_tables, setting
from benchmarks import builds, scale
from benchmarks.builds import NAMES
from benchmarks.costs import PARTS, Costs, Part, put
from benchmarks.watched_worker import KERNELS, MEASURING, OWN_CODE, WALL

MACHINE: dict[str, str | int] = {"chip": "Test Chip", "cores": 2, "backend": "cpu", "python": "3.12.0"}
EXTENSION = 'extensions.append("_ext.cost_tables")'


def part(values: dict[str, tuple[float, ...]]) -> Part:
    return Part("2026-11-22T00:00:00Z", MACHINE, {}, values)


def grown(power: float = 1.0) -> dict[str, tuple[float, ...]]:
    """Values of ``scale``; the memory with 40 records grows with this power of the scripts, all else with 1."""
    return {
        scale.kind(n, m, what): (n ** (power if what == "peak" and m == 40 else 1.0),)
        for n in scale.SCRIPTS
        for m in scale.RECORDS
        for what in ("wall", "processor", "peak")
    }


def test_how_often_builds_were_repeated_is_said_of_the_short_ones_and_of_the_long() -> None:
    times = {"clean build": (1.0,) * 8, "build without a change": (1.0,) * 40, "page index.html": (1.0,)}
    assert ": 8 to 40 repeats of each" in setting(part(times))
    assert ": 3 repeats of each" in setting(part({"one": (1.0,) * 3, "page": (1.0,) * 3}))
    assert ": 1 repeat of each" in setting(part({"one": (1.0,)}))


def test_the_page_says_what_nobody_has_measured(tmp_path: Path) -> None:
    directives = "\n\n".join(f"```{{bench-cost}} {name}\n```" for name in (*PARTS, "goals"))
    write(tmp_path, {"docs/index.md": f"# Costs\n\n{directives}\n"})
    put_records(tmp_path)
    assert build(tmp_path, settings=EXTENSION).text().count("Not measured yet.") == len(PARTS) + 1


def test_the_page_shows_each_part_that_was_measured_and_its_goals(tmp_path: Path) -> None:
    directives = "\n\n".join(f"```{{bench-cost}} {name}\n```" for name in (*PARTS, "goals"))
    write(tmp_path, {"docs/index.md": f"# Costs\n\n{directives}\n"})
    put_records(tmp_path)
    file = tmp_path / "docs" / "bench" / "costs" / "one.json"
    times = {
        f"{way}{name}, {what}": (n + 2.0,)
        for way in (builds.CLEAN, builds.UNCHANGED, builds.EDITED)
        for n, name in enumerate(NAMES.values())
        for what in ("wall", "processor")
    }
    put(file, "builds", part({**times, "page index.html, 40 machines": (25_000.0,)}))
    put(file, "record", part({MEASURING: (8.0,), KERNELS: (1.0,), OWN_CODE: (1.0,), WALL: (10.0,)}))
    put(file, "scale", part(grown()))
    put(file, "since", replace(part(since_of(0.3, 1.0)), packages={builds.CHECKOUTS[1]: cost_tables.SINCE}))
    site = build(tmp_path, settings=EXTENSION)
    assert site.warnings == []
    page = site.text().replace("\u00a0", " ")
    assert "clean build, plain sphinx-gallery 3.00 s (3.00 s – 3.00 s)" in page and "0.67 (0.67 – 0.67)" in page
    assert "build after an edit, this guide 2.00 s" in page
    assert "index.html, 40 machines 25.0 kB" in page
    assert "together, measuring and the compiler 90.0 %" in page
    assert "exponent, 200 to 800 scripts 1.00 1.00 1.00" in page
    assert "clean build 300 ms (300 ms – 300 ms) 1.00 s (1.00 s – 1.00 s) 0.30 (0.30 – 0.30) 1.00 (1.00 – 1.00)" in page
    wanted = "at most 0.35 times that of commit 2882c8b 0.30 (half of the repeats: 0.30 – 0.30) ✓ met"
    assert f"clean build, after a recording, clock {wanted}" in page
    assert "Not measured yet." not in page
    assert "What we wanted of building and recording, and what was measured; Test Chip, 2 cores" in page
    assert "recording at least 90 % of the time in measuring and the compiler that MLX calls 90.0 % ✓ met" in page


def since_of(wall: float, memory: float) -> dict[str, tuple[float, ...]]:
    """Values of ``since``: this many times the other checkout's."""
    kinds = {"wall": wall, builds.MEMORY: memory}
    this, other = builds.CHECKOUTS
    return {
        f"{case}{side}, {what}": (ratio if side == this else 1.0,)
        for case in (builds.CLEAN, builds.EDITED, builds.EXAMPLE)
        for side in (this, other)
        for what, ratio in kinds.items()
    }


def goals_of(name: str, values: dict[str, float]) -> list[tuple[str, str, bool]]:
    """What each goal of a part is about, what was measured, and whether that is enough."""
    found = part({kind: (value,) * 3 for kind, value in values.items()})
    return [(what, value, enough) for what, _, value, enough in cost_tables.goals(Costs(parts={name: found}))]


def builds_of(clean: float, unchanged: float, page: float) -> dict[str, float]:
    sides = {
        f"{builds.CLEAN}{NAMES['ours']}, wall": clean,
        f"{builds.CLEAN}{NAMES['gallery']}, wall": 1.0,
        f"{builds.UNCHANGED}{NAMES['ours']}, wall": unchanged,
        f"{builds.UNCHANGED}{NAMES['bare']}, wall": 1.0,
    }
    return {**sides, "page a.html, 1 machine": 9e9, "page a.html, 40 machines": page, "page b.html, 40 machines": 1.0}


@pytest.mark.parametrize(
    ("values", "outcomes"),
    [
        (builds_of(1.1, 1.2, 250e3), [True, True, True]),
        (builds_of(1.11, 1.2, 250e3), [False, True, True]),
        (builds_of(1.1, 1.21, 250e3), [True, False, True]),
        (builds_of(1.1, 1.2, 251e3), [True, True, False]),
    ],
)
def test_each_goal_of_builds_is_met_up_to_its_limit(values: dict[str, float], outcomes: list[bool]) -> None:
    goals = goals_of("builds", values)
    assert [enough for *_, enough in goals] == outcomes
    assert goals[0][:2] == ("clean build", "{0:.2f} (half of the repeats: {0:.2f} – {0:.2f})".format(*values.values()))


@pytest.mark.parametrize(
    ("wall", "memory", "outcomes"),
    [
        (0.35, 1.1, [True, True, True, True, True, True]),
        (0.5, 1.1, [False, True, True, True, True, True]),
        (1.0, 1.2, [False, False, True, False, False, False]),
        (1.1, 1.0, [False, True, False, True, False, True]),
    ],
)
def test_renders_are_held_against_those_of_an_older_commit(wall: float, memory: float, outcomes: list[bool]) -> None:
    found = replace(part(since_of(wall, memory)), packages={builds.CHECKOUTS[1]: cost_tables.SINCE})
    assert [enough for *_, enough in cost_tables.goals(Costs(parts={"since": found}))] == outcomes
    other = replace(found, packages={builds.CHECKOUTS[1]: "abc1234"})
    assert cost_tables.goals(Costs(parts={"since": other})) == []  # they are about that commit


@pytest.mark.parametrize(("rest", "met"), [(1.0, True), (1.1, False)])
def test_recording_is_held_against_its_share(rest: float, met: bool) -> None:
    values = {MEASURING: 8.0, KERNELS: 1.0, OWN_CODE: rest, WALL: 9.0 + rest}
    assert goals_of("record", values) == [("recording", f"{900 / (9 + rest):.1f}\u00a0%", met)]


@pytest.mark.parametrize(("power", "met"), [(1.04, True), (1.06, False)])
def test_growth_is_held_against_its_largest_power(power: float, met: bool) -> None:
    values = {kind: value for kind, (value,) in grown(power).items()}
    assert [row[1:] for row in goals_of("scale", values)] == [("1.000 – 1.000", True), (f"1.000 – {power:.3f}", met)]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((2.0,), "(one build of each size)"),
        ((1.9, 2.0, 2.1), "(medians of 3 builds, which lie 10 % apart for the median size, 50 % at most)"),
    ],
)
def test_sizes_say_how_far_their_builds_lie_apart(times: tuple[float, ...], words: str) -> None:
    values = dict.fromkeys(grown(), times)
    if len(times) > 1:
        values |= {scale.kind(800, 40, what): (1.5, 2.0, 2.5) for what in ("processor", "peak")}
    time, memory = (" ".join(made.astext().split()) for made in scale_tables(part(values)))
    assert time.startswith(f"Processor time of a clean build of a made-up gallery {words}") and words in memory
