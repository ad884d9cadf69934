"""The directives that show the benchmark of estimators."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from docutils import nodes
from made_benches import PEER, make_bench, make_series
from site_builds import Site, build, put_records, write
from sphinx.errors import ExtensionError

from _ext.estimator_tables import BEFORE, NOW, OURS, Goal, fold_title, goals, overview, place, setting
from benchmarks.estimators import METHOD
from benchmarks.figures import INTERVALS_SINCE
from benchmarks.results import Bench, save


def unbroken(text: str) -> str:
    """The same with the space at which no line ends."""
    return text.replace(" %", "\u00a0%")


def build_page(folder: Path, *directives: str) -> Site:
    """Build a page with these directives over the files in ``folder/docs/bench``."""
    blocks = "\n\n".join(f"```{directive}\n```" for directive in directives)
    write(folder, {"docs/index.md": f"# Bench\n\n{blocks}\n"})
    put_records(folder)
    return build(folder, settings='extensions.append("_ext.estimator_tables")')


def save_bench(folder: Path, bench: Bench, name: str = "one") -> Path:
    """Save a bench where the pages of ``folder`` find it, and return its file."""
    file = folder / "docs" / "bench" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    save(bench, file)
    return file


def save_validation(folder: Path, bench: Bench) -> None:
    """Save a bench among the measurements that test the intervals."""
    file = folder / "docs" / "bench" / "validation" / "one.json"
    file.parent.mkdir(parents=True)
    save(bench, file)


def test_the_page_shows_the_figures_of_the_files_and_nothing_else(tmp_path: Path) -> None:
    save_bench(tmp_path, make_bench())
    site = build_page(tmp_path, "{bench-summary}", "{bench-table} bias")
    assert site.warnings == []
    page = site.text()
    assert "Test Chip, 2 cores" in page and "5 estimates of each kind, 0.5 s each" in page
    assert "Each function on Test Chip, 2 cores, CPU backend, scalar only" in page
    assert "+10 % ± " in page and "0 % ± " in page
    assert "Other Chip" not in page


def test_a_page_without_a_file_fails_the_build_and_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ExtensionError, match="index: docs/bench holds no file: make one with 'nox -s bench'"):
        build_page(tmp_path, "{bench-summary}")


def test_a_broken_file_fails_the_build_and_is_named(tmp_path: Path) -> None:
    save_bench(tmp_path, make_bench()).write_text("{}", encoding="utf-8")
    with pytest.raises(ExtensionError, match=r"index: .*one\.json: .*schema"):
        build_page(tmp_path, "{bench-summary}")


def test_the_table_of_intervals_says_how_often_right_ones_would_hold_the_reference() -> None:
    coverage, agreement = (
        [
            [cell.astext() for cell in row.findall(nodes.entry)]
            for row in overview(make_bench(), figure).findall(nodes.row)
        ]
        for figure in ("coverage", "agreement")
    )
    assert coverage[1:3] == [[OURS[0], *[unbroken("60 % of 5")] * 2], ["right ones as wide", *[unbroken("22 %")] * 2]]
    assert len(coverage) == 1 + 2 * len(OURS) and len(agreement) == 1 + len(OURS)


def test_a_file_of_an_earlier_version_shows_both_what_its_intervals_held_and_what_the_present_ones_would() -> None:
    older = msgspec.structs.replace(make_bench(), method=INTERVALS_SINCE - 1)
    rows = [
        [cell.astext() for cell in row.findall(nodes.entry)] for row in overview(older, "coverage").findall(nodes.row)
    ]
    assert rows[1:5] == [
        [OURS[0], *[unbroken("60 % of 5")] * 2],
        ["right ones as wide", *[unbroken("22 %")] * 2],
        ["the same, intervals of version 4 computed from these", *[unbroken("100 % of 5")] * 2],
        ["right ones as wide", *[unbroken("42 %")] * 2],
    ]


def test_a_single_function_folds_beside_several_of_the_same_backend() -> None:
    single = make_bench()
    more = tuple(msgspec.structs.replace(s, workload="chain-4M") for s in single.series)
    several = msgspec.structs.replace(single, series=single.series + more)
    assert fold_title(single, [single]) is None and fold_title(several, [several, single]) is None
    assert fold_title(single, [several, single]) == "Also measured: Test Chip, 2 cores, CPU backend, scalar only"
    metal = msgspec.structs.replace(several, machine={**several.machine, "backend": "metal"})
    assert fold_title(single, [single, metal]) is None
    older = msgspec.structs.replace(single, method=METHOD - 1)
    assert fold_title(older, [older, single]) == f"What it was before: {place(older)}"
    assert fold_title(older, [older]) is None


def test_a_file_that_comes_or_goes_shows_on_the_page_without_a_change_to_it(tmp_path: Path) -> None:
    one = save_bench(tmp_path, make_bench())
    pages = ("{bench-summary}", "{bench-goals}")
    assert "Other Chip" not in build_page(tmp_path, *pages).text()
    machine = {**make_bench().machine, "chip": "Other Chip"}
    save_bench(tmp_path, msgspec.structs.replace(make_bench(), machine=machine, note="Pinned."), "two")
    page = build_page(tmp_path, *pages).text()
    assert "Test Chip, 2 cores" in page and "Other Chip, 2 cores" in page and "Pinned." in page
    one.unlink()
    assert "Test Chip" not in build_page(tmp_path, *pages).text()


def test_an_earlier_version_of_the_method_lies_in_a_fold_with_its_note(tmp_path: Path) -> None:
    save_bench(tmp_path, make_bench())
    machine = {**make_bench().machine, "chip": "Other Chip"}
    older = msgspec.structs.replace(make_bench(), machine=machine, note="Pinned.", method=METHOD - 1)
    save_bench(tmp_path, older, "two")
    page = build_page(tmp_path, "{bench-summary}", "{bench-goals}").page()
    now, before = (page.partition(title)[2].partition("</details>")[0] for title in (NOW, BEFORE))
    assert "on Test Chip, 2 cores, MLX" in now and "on Other Chip, 2 cores, MLX" in before
    unfolded = re.sub(r"(?s)<details.*?</details>", "", page)
    assert "on Test Chip, 2 cores, CPU" in unfolded and "Other Chip" not in unfolded
    title = f"What it was before: Other Chip, 2 cores, CPU backend, scalar only, version {METHOD - 1}"
    assert "Pinned." in page.partition(title)[2].partition("</details>")[0]


def test_a_goal_has_its_value_what_stands_beside_it_and_whether_it_is_met() -> None:
    assert goals(make_bench(), "disturbed", 0.5) == [
        Goal(unbroken("1.0 %"), unbroken(f"best other tool 3.6 %: {PEER}"), "met"),
        Goal(unbroken("0 %"), unbroken("± 2.7 %"), "met"),
        Goal(unbroken("60.0 %"), unbroken("± 22 %; right ones 22 %"), "missed"),
    ]
    assert goals(make_bench(), "quiet", 2.0) == []


def test_the_page_shows_a_row_for_each_case_a_column_for_each_goal_and_counts_the_outcomes(tmp_path: Path) -> None:
    save_bench(tmp_path, make_bench())
    site = build_page(tmp_path, "{bench-goals}")
    assert site.warnings == []
    page = site.text().replace("’", "'")  # smartquotes changes some cells
    assert f"{OURS[0]}, on Test Chip, 2 cores, CPU backend, scalar only: 4 of 6 goals met and 2 missed" in page
    wanted = "no more than the best other tool's; disturbed: at most 50 % of it under 0.50 % at least 95 % of them"
    assert f"wanted {wanted}" in page
    row = f"✓ met: 1.0 % best other tool 3.6 %: {PEER} ✓ met: 0 % ± 2.7 % ✗ missed: 60.0 % ± 22 %; right ones 22 %"
    assert f"quiet, 0.5 s {row}" in page and f"disturbed, 0.5 s {row}" in page


def test_a_file_of_an_earlier_version_says_so_and_how_often_each_budget_was_measured() -> None:
    bench = make_bench()
    more = msgspec.structs.replace(bench.series[0], seconds=2.0)
    older = msgspec.structs.replace(bench, method=METHOD - 1, series=(*bench.series, more))
    assert place(older) == f"{bench.place}, version {METHOD - 1}" and place(bench) == bench.place
    assert f"version {METHOD - 1} of the estimators: 5 estimates of each kind, 0.5 s and 2 s each" in setting(older)
    fewer = msgspec.structs.replace(more, ratios=more.ratios[:3])
    older = msgspec.structs.replace(bench, series=(*bench.series, fewer))
    assert "estimates of each kind: 5 of 0.5 s each and 3 of 2 s each, in a new random order" in setting(older)


def test_a_goal_that_the_error_may_hide_says_so() -> None:
    bench = make_bench()
    moved = tuple(
        msgspec.structs.replace(s, ratios=tuple(r * 1.01 for r in s.ratios)) if s.estimator == OURS[0] else s
        for s in bench.series
    )
    bias = goals(msgspec.structs.replace(bench, series=moved), "disturbed", 0.5)[1]
    assert bias == Goal(unbroken("1.0 %"), unbroken("± 2.7 %"), "missed by less than the error")
    far = tuple(msgspec.structs.replace(s, ratios=tuple(r * 1.1 for r in s.ratios)) for s in moved)
    assert goals(msgspec.structs.replace(bench, series=far), "disturbed", 0.5)[1].outcome == "missed"


def test_coverage_just_below_what_was_wanted_does_not_look_like_enough() -> None:
    bench = make_bench()
    ours = make_series("quiet", OURS[0], (2.0,) * 37 + (2.5,) * 2, 0.015)
    others = tuple(s for s in bench.series if (s.condition, s.estimator) != ("quiet", OURS[0]))
    coverage = goals(msgspec.structs.replace(bench, series=(*others, ours)), "quiet", 0.5)[2]
    assert (coverage.value, coverage.outcome) == (unbroken("94.9 %"), "missed by less than the error")


def test_a_file_with_several_sittings_says_how_many() -> None:
    bench = make_bench()
    later = tuple(msgspec.structs.replace(one, sitting="later") for one in bench.series)
    both = msgspec.structs.replace(bench, series=bench.series + later)
    assert "in a new random order each time, in 2 sittings, each with a reference of its own." in setting(both)
    assert "sittings" not in setting(bench)


def test_new_measurements_stand_in_a_table_of_their_own_with_the_error_of_counting(tmp_path: Path) -> None:
    save_validation(tmp_path, make_bench())
    site = build_page(tmp_path, "{bench-validation}")
    assert site.warnings == []
    page = site.text()
    assert "3 of 5: 60 % ± 17 %" in page
    assert "quiet, 0.5" in page and "disturbed, 0.5" in page
    assert "new measurements" in page and "5 estimates of each kind, 0.5 s each" in page
