"""What measuring, building and recording cost: how it is measured, its file, and what the page shows of it."""

from __future__ import annotations

from guide import ROOT

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from _ext import wanted
from _ext.costed import setting, show_scale
from benchmarks import __main__ as command
from benchmarks import builds, cases, cores, parts, past, recording, scale, watched
from benchmarks.builds import NAMES, Cost
from benchmarks.costs import PARTS, Costs, Part, load, put
from benchmarks.harness import BARE, OURS, harness
from benchmarks.workloads import WORKLOADS
from site_builds import build, put_records, write

from compile_guide.recorder.machine import Machine, machine

on_two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="a process can choose between two cores on Linux only, where there are two",
)
MACHINE: dict[str, str | int] = {"chip": "Test Chip", "cores": 2, "backend": "cpu", "python": "3.12.0"}


def part(**values: tuple[float, ...]) -> Part:
    return Part("2026-11-22T00:00:00Z", MACHINE, {"mlx": "0.32.4"}, {k.replace("_", " "): v for k, v in values.items()})


def test_a_part_takes_the_place_of_an_older_one_and_leaves_the_others(tmp_path: Path) -> None:
    file = tmp_path / "costs" / "one.json"
    put(file, "scale", part(a=(1.0,)))
    put(file, "harness", part(b=(2.0,)))
    put(file, "scale", part(a=(3.0, 5.0)))
    found = load(file)
    assert list(found.parts) == ["harness", "scale"]
    assert found.parts["scale"].median("a") == 4.0
    assert [one.name for one in file.parent.iterdir()] == ["one.json"]


def test_how_large_builds_are_is_measured_before_the_machine_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def measure(repeats: int) -> parts.Values:
        order.append(f"measured {repeats}")
        return {"1 scripts, 1 records, wall": (1.0,)}

    def look() -> Machine:
        order.append("looked")
        return machine()

    monkeypatch.setitem(parts.MEASURED, "scale", (measure, 3, ()))
    monkeypatch.setattr(parts, "machine", look)
    assert parts.main("scale", ["--repeats", "2", "--out", str(tmp_path / "one.json")]) == 0
    assert order == ["measured 2", "looked"]  # copies of memory make this process larger than a small build


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"schema": 1, "parts": {"scale": {}}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"one\.json: .*created.*nox -s bench -- harness"):
        load(file)


def test_a_ratio_is_taken_run_by_run() -> None:
    found = part(ours=(2.0, 4.0, 12.0), theirs=(1.0, 2.0, 4.0)).ratio("ours", "theirs")
    assert found == (2.0, 2.0, 2.5)


def test_a_timed_call_costs_less_than_a_fifth_of_a_microsecond(tmp_path: Path) -> None:
    assert command.main(["harness", "--repeats", "15", "--out", str(tmp_path / "one.json")]) == 0
    found = load(tmp_path / "one.json").parts["harness"]
    best = {name: min(values) for name, values in found.values.items()}  # neighbors make others longer
    assert best[OURS] - best[BARE] < 0.2e-6
    assert len(best) == 3 and found.machine["python"] == sys.version.split()[0]


def test_time_within_a_part_is_not_counted_for_the_part_around_it() -> None:
    watch = watched.Watch()
    inner = watch.within("inner", lambda: time.sleep(0.05))

    def both() -> None:
        inner()
        time.sleep(0.02)

    watch.within("outer", both)()
    assert watch.seconds["inner"] >= 0.05
    assert 0.02 <= watch.seconds["outer"] < watch.seconds["inner"]


def test_kinds_of_builds_take_turns() -> None:
    order: list[str] = []

    def kind(name: str, seconds: float) -> Cost:
        order.append(name)
        return Cost(seconds, 2 * seconds)

    found = builds.interleaved({"a": lambda: kind("a", 1.0), "b": lambda: kind("b", 3.0)}, 4)
    assert [sorted(order[n : n + 2]) for n in range(0, 8, 2)] == [["a", "b"]] * 4
    assert found["b, wall"] == (3.0,) * 4 and found["a, processor"] == (2.0,) * 4


def test_each_clean_build_comes_with_five_without_a_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Quick(builds.Sources):
        def __init__(self, root: Path, folder: Path, way: str) -> None:
            self.folder = folder
            if way == "gallery":
                (folder / "docs" / "gallery").mkdir(parents=True)

        def build(self) -> Cost:
            return Cost(1.0, 1.0)

        def anew(self) -> Cost:
            return Cost(10.0, 10.0)

    monkeypatch.setattr(builds, "Sources", Quick)
    monkeypatch.setattr(builds, "weights", lambda guide: {"page index.html, 1 machine": (1.0,)})
    found = builds.builds(tmp_path, tmp_path, 2)
    walls = {name.removesuffix(", wall"): times for name, times in found.items() if name.endswith(", wall")}
    clean = {f"{builds.RENDER}{NAMES[way]}": (10.0,) * 2 for way in ("ours", "gallery")}
    assert walls == clean | {f"{builds.REBUILD}{name}": (1.0,) * 10 for name in NAMES.values()}
    assert found["page index.html, 1 machine"] == (1.0,)


def test_how_often_builds_were_repeated_is_said_of_the_short_ones_and_of_the_long() -> None:
    times = {"clean build": (1.0,) * 8, "build without a change": (1.0,) * 40, "page index.html": (1.0,)}
    assert ": 8 to 40 repeats of each" in setting(part(**times))
    assert ": 3 repeats of each" in setting(part(one=(1.0,) * 3, page=(1.0,)))
    assert ": 1 repeat of each" in setting(part(one=(1.0,)))


def test_a_plain_build_knows_the_names_of_all_roles_and_directives() -> None:
    from compile_guide.sphinxext import DIRECTIVES, ROLES

    conf = builds.plain_conf("gallery")
    assert all(f"'{name}'" in conf for name in (*ROLES, *DIRECTIVES, "examples", "graph", "diagram"))
    compile(conf, "conf.py", "exec")


def test_a_plain_side_loads_no_more_of_the_guide_than_its_settings_name(tmp_path: Path) -> None:
    bare = builds.Sources(ROOT, tmp_path / "bare", "bare")
    code = "import sys, compile_guide.sphinxext.gallery; print([m for m in sys.modules if 'site.roles' in m or 'observed' in m])"
    env = {**os.environ, **bare.env}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True, cwd=tmp_path).strip() == "[]"
    assert list((tmp_path / "bare" / "src").rglob("*.pyc")), "the next build would compile the modules again"


def test_a_made_up_guide_is_rendered_with_its_numbers(tmp_path: Path) -> None:
    scale.make(tmp_path, 3, 2)
    cost = scale.render(tmp_path)
    page = (tmp_path / "out" / "gallery" / "topic000" / "example_0002.html").read_text(encoding="utf-8")
    assert "Made-up chip 0" in page and "Made-up chip 1" in page and "not measured" not in page
    assert cost.cpu_s > 0 and cost.peak > 10e6


def test_a_build_smaller_than_the_process_that_starts_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SCRIPTS", (2,))
    monkeypatch.setattr(scale, "RECORDS", (1,))
    found = iter((Cost(2.0, 1.5, 1e12), Cost(2.0, 1.5, 1e3)))
    monkeypatch.setattr(scale, "render", lambda folder: next(found))
    assert scale.growth(tmp_path / "one", 1) == {
        scale.kind(2, 1, what): (value,) for what, value in (("wall", 2.0), ("processor", 1.5), ("peak", 1e12))
    }
    assert (tmp_path / "one" / "2-1" / "gallery" / "topic000" / "example_0001.py").exists()
    with pytest.raises(RuntimeError, match="how large that was can't be told"):
        scale.growth(tmp_path / "two", 1)


def test_an_exponent_is_one_where_twice_the_size_costs_twice() -> None:
    assert scale.exponent(3.0, 12.0, 4) == pytest.approx(1)
    assert scale.exponent(1.0, 16.0, 4) == pytest.approx(2)


def test_the_page_shows_each_part_and_says_which_nobody_has_measured(tmp_path: Path) -> None:
    directives = "\n\n".join(f"```{{bench-cost}} {name}\n```" for name in (*PARTS, "goals"))
    write(tmp_path, {"docs/index.md": f"# Costs\n\n{directives}\n"})
    put_records(tmp_path)
    file = tmp_path / "docs" / "bench" / "costs" / "one.json"
    assert build(tmp_path).text().count("Not measured yet.") == len(PARTS) + 1
    put(file, "harness", Part("2026-11-22", MACHINE, {}, {BARE: (1e-7, 1e-7, 1e-7), "ours": (2e-7, 2.2e-7, 2.4e-7)}))
    case = {
        f"{way}{name}, {what}": (n + 2.0,)
        for way in (builds.RENDER, builds.REBUILD)
        for n, name in enumerate(NAMES.values())
        for what in ("wall", "processor")
    }
    put(file, "builds", Part("2026-11-22", MACHINE, {}, {**case, "page index.html, 40 machines": (25_000.0,)}))
    seconds = {watched.MEASURING: (8.0,), watched.KERNELS: (1.0,), watched.REST: (1.0,), recording.WALL: (10.0,)}
    put(file, "record", Part("2026-11-22", MACHINE, {}, seconds))
    grown = {
        scale.kind(n, m, w): (float(n * m),)
        for n in scale.SCRIPTS
        for m in scale.RECORDS
        for w in ("wall", "processor", "peak")
    }
    put(file, "scale", Part("2026-11-22", MACHINE, {}, grown))
    for name, chosen in (("past", past.PASTS), ("cores", cores.CASES)):
        seen = {
            cases.kind(w, c, f): (2e-3 if f == "plain" else 1e-3,) * 3
            for w in WORKLOADS
            for c in chosen
            for f in cases.FUNCTIONS
        }
        put(file, name, Part("2026-11-22", MACHINE, {}, seen))
    site = build(tmp_path)
    assert site.warnings == []
    said = site.text()
    assert "ours 220 ns (210 ns – 230 ns) 120 ns (110 ns – 130 ns)" in said
    assert "clean build, plain sphinx-gallery" in said and "0.67 (0.67 – 0.67)" in said
    assert "index.html, 40 machines 25.0 kB" in said
    for case in ("eight sines", "two cores, after pauses"):
        assert f"scalar {case} 2.00 ms (2.00 ms – 2.00 ms) 1.00 ms (1.00 ms – 1.00 ms) 2.00 (2.00 – 2.00)" in said
    assert "together, measuring and the compiler 90.0 %" in said
    assert "exponent, 200 to 800 scripts 1.00 1.00 1.00" in said
    assert "Not measured yet." not in said
    assert "What we wanted of measuring and building, and what was seen; Test Chip, 2 cores" in said
    assert "recording at least 90 % of the time in measuring and the compiler that MLX calls 90.0 % ✓ met" in said


def goals_of(name: str, values: dict[str, float]) -> list[tuple[str, str, bool]]:
    part = Part("2026-11-22", MACHINE, {}, {kind: (value,) * 3 for kind, value in values.items()})
    return [(what, seen, enough) for what, _, seen, enough in wanted.rows(Costs(parts={name: part}))]


def builds_of(clean: float, unchanged: float, page: float) -> dict[str, float]:
    sides = {
        f"{builds.RENDER}{NAMES['ours']}, wall": clean,
        f"{builds.RENDER}{NAMES['gallery']}, wall": 1.0,
        f"{builds.REBUILD}{NAMES['ours']}, wall": unchanged,
        f"{builds.REBUILD}{NAMES['bare']}, wall": 1.0,
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
    found = goals_of("builds", values)
    assert [enough for *_, enough in found] == outcomes
    assert found[0][:2] == ("clean build", "{0:.2f} (half of the repeats: {0:.2f} – {0:.2f})".format(*values.values()))


@pytest.mark.parametrize(("alone", "met"), [(2.9e-7, True), (3.1e-7, False)])
def test_every_way_of_timing_a_call_must_meet_the_goal(alone: float, met: bool) -> None:
    found = goals_of("harness", {BARE: 1e-7, "compare(), in a block": 1.2e-7, "compare(), alone": alone})
    assert found == [("a timed call", f"20\u00a0ns (in a block), {alone * 1e9 - 100:.0f}\u00a0ns (alone)", met)]


@pytest.mark.parametrize(("rest", "met"), [(1.0, True), (1.1, False)])
def test_recording_is_held_against_its_share(rest: float, met: bool) -> None:
    values = {watched.MEASURING: 8.0, watched.KERNELS: 1.0, watched.REST: rest, recording.WALL: 9.0 + rest}
    assert goals_of("record", values) == [("recording", f"{900 / (9 + rest):.1f}\u00a0%", met)]


@pytest.mark.parametrize(("power", "met"), [(1.04, True), (1.06, False)])
def test_growth_is_held_against_its_largest_power(power: float, met: bool) -> None:
    grown = {
        scale.kind(n, m, w): n ** (power if w == "peak" and m == 40 else 1.0)
        for n in scale.SCRIPTS
        for m in scale.RECORDS
        for w in ("wall", "processor", "peak")
    }
    assert [row[1:] for row in goals_of("scale", grown)] == [("1.000 – 1.000", True), (f"1.000 – {power:.3f}", met)]


@pytest.mark.parametrize("measured", [past, pytest.param(cores, marks=on_two_cores)])
def test_each_case_is_seen_as_often_the_first_round_apart(measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def answer(module: str, workload: str, case: str, temp: str) -> list[float]:
        asked.append((module, workload, case))
        return [float(len(asked)), 1.0]

    monkeypatch.setattr(cases, "one_process", answer)
    measure, chosen = (past.past, past.PASTS) if measured is past else (cores.cores, cores.CASES)
    found = measure(2)
    count = len(WORKLOADS) * len(chosen)
    assert len(asked) == 3 * count and len(set(asked)) == count
    assert {module for module, *_ in asked} == {measured.__name__}
    assert {len(values) for values in found.values()} == {2}
    assert min(min(v) for k, v in found.items() if k.endswith("plain")) == count + 1


@pytest.mark.parametrize("before", past.PASTS)
def test_a_process_with_a_past_gives_both_times(before: str, tmp_path: Path) -> None:
    plain, compiled = cases.one_process(past.MODULE, "scalar", before, str(tmp_path))
    assert 1e-7 < compiled < 1 and 1e-7 < plain < 1


@on_two_cores
@pytest.mark.parametrize("case", cores.CASES)
def test_a_process_on_so_many_cores_gives_both_times(case: str, tmp_path: Path) -> None:
    plain, compiled = cases.one_process(cores.MODULE, "scalar", case, str(tmp_path))
    assert 1e-7 < compiled < 1 and 1e-7 < plain < 1


def test_a_process_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)nothing in the case 'eight sines' failed: .*KeyError"):
        cases.one_process(past.MODULE, "nothing", "eight sines", str(tmp_path))


@on_two_cores
def test_a_busy_core_is_busy_as_long_as_both_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    second = cores.two()[1]

    def busy() -> float:
        line = Path("/proc/stat").read_text(encoding="utf-8").split(f"cpu{second} ")[1].split("\n")[0]
        return float(line.split()[0])  # hundredths of a second in programs

    def wait(_: object) -> tuple[float, float]:
        before = busy()
        time.sleep(0.5)
        return busy() - before, 1.0

    monkeypatch.setattr(cores, "steadily", wait)
    assert cores.CASES["two cores, one of them busy"][1]((None, None))[0] > 20  # type: ignore[arg-type]


def test_after_pauses_both_are_called_at_once_each_as_often_first(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: events.append("pause"))
    both = tuple((lambda _: None, lambda name=name: events.append(name), ()) for name in "bk")
    monkeypatch.setattr(cores, "BURST_S", 1e-9)
    cores.after_pauses(both)  # type: ignore[arg-type]
    rounds = "".join(events).split("pause")[1:]
    assert rounds == ["bk", "kb"] * (cores.PAUSES // 2) + ["bk"] * (cores.PAUSES % 2)


@pytest.mark.parametrize(
    ("allowed", "said"), [(None, "only Linux lets a process choose"), ({3}, "this process may use one core only")]
)
def test_where_there_are_no_two_cores_to_choose_from_one_line_says_so(
    allowed: set[int] | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    if allowed is None:
        monkeypatch.delattr(os, "sched_getaffinity")
    assert command.main(["cores"]) == 2
    assert capsys.readouterr().err.startswith(f"benchmarks: {said}")


def test_harness_times_every_kind_as_often() -> None:
    assert {len(values) for values in harness(2).values()} == {2}


@pytest.mark.parametrize(
    ("builds", "said"),
    [
        ((2.0,), "(one build of each size)"),
        ((1.9, 2.0, 2.1), "(medians of 3 builds, which lie 10 % apart for the median size, 50 % at most)"),
    ],
)
def test_sizes_say_how_far_their_builds_lie_apart(builds: tuple[float, ...], said: str) -> None:
    kinds = [(n, m) for n in scale.SCRIPTS for m in scale.RECORDS]
    far = (1.5, 2.0, 2.5) if len(builds) > 1 else builds
    values = {
        scale.kind(n, m, what): far if (n, m) == kinds[-1] else builds
        for n, m in kinds
        for what in ("processor", "peak")
    }
    shown = show_scale(Part("2026-11-22T00:00:00Z", MACHINE, {}, values))
    times, memory = (" ".join(made.astext().split()) for made in shown)
    assert times.startswith("Processor time of a clean build of a made-up gallery " + said) and said in memory
