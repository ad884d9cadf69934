"""Pages with several machines: who stands first, what is one choice away, what it weighs."""

from __future__ import annotations

import gzip
import html
import json
import re
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record
from guide import all_claims
from site_builds import (
    CLAIMED,
    FAST,
    INVENTORIES,
    OVERVIEWS,
    RATIO,
    SCRIPT,
    SLOW,
    SLOW_RATIO,
    Site,
    build,
    machine,
    put_gallery,
    put_records,
    write,
)

from compile_guide.records.schema import Record, Verdict
from compile_guide.sphinxext.text import Unit

NAMES = [f"gelu-{number}" for number in range(12)]
H200 = machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200")
PHONE = machine("cpu-phone", "cpu", make_entry("other"), chip="A phone")


def many(count: int) -> list[Record]:
    """Records of many machines with numbers of their own."""
    made = []
    for number in range(count):
        ratios = [tuple(1 + 0.013 * number + 0.11 * i + 0.01 * j for j in range(6)) for i in range(len(NAMES))]
        entries = [make_entry(name, "example", ratio) for name, ratio in zip(NAMES, ratios, strict=True)]
        backend = ("cpu", "cuda", "metal")[number % 3]
        made.append(machine(f"{backend}-chip-{number}", backend, *entries, chip=f"A chip with number {number}"))
    return made


# Example pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An example, measured on two machines; a third has measured other things."""
    folder = tmp_path_factory.mktemp("machines")
    put_gallery(folder, example=SCRIPT)
    put_records(folder, make_record(msgspec.structs.replace(FAST, example="example")), H200, PHONE)
    return build(folder, gallery=True, settings=INVENTORIES)


PAGE = "gallery/one/example"


def test_an_example_shows_its_own_record_and_folds_the_others(site: Site) -> None:
    captured = site.page(PAGE).partition('class="guide-switch recorded-result')[2].partition("<details")
    assert "1.23×" in captured[0] and "3.03×" not in captured[0]
    folded = captured[2].partition("</details>")[0]
    assert "The same on 1 other machine" in folded and "3.03×" in folded
    assert site.warnings == []


def test_what_was_captured_is_not_shown_twice(site: Site) -> None:
    assert "output_html" not in site.page(PAGE)


def test_an_example_ends_with_every_machine_side_by_side(site: Site) -> None:
    text = site.text(PAGE)
    section = text[text.index("On every machine") :]
    assert "gelu on 2 machines" in section
    assert f"Test Chip (this page) 0.32.4 1.2 1.0 {RATIO}" in section
    assert f"NVIDIA H200 0.32.4 3.03 1.00 {SLOW_RATIO}" in section
    assert 'href="#on-every-machine"' in site.page(PAGE)


def test_a_number_in_a_sentence_knows_what_the_other_machines_say(site: Site) -> None:
    found = re.search(rf'data-others="([^"]+)">{re.escape(RATIO)}</span>', site.page(PAGE))
    assert found
    assert json.loads(html.unescape(found[1])) == {"cuda-h200": SLOW_RATIO, "cpu-phone": None}


def test_a_page_offers_its_machines_in_a_steady_order(site: Site) -> None:
    top = site.page(PAGE).partition("guide-page-switch")[2].partition("</details>")[0]
    assert re.findall(r"machine-([a-z0-9-]+) backend-(\w+)", top) == [
        ("cpu-test-chip-mlx-0-32-4", "cpu"), ("cuda-h200", "cuda"), ("cpu-phone", "cpu"),
    ]  # fmt: skip


def test_a_site_with_one_machine_offers_no_choice(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu`\n\n```{comparison} gelu\n```\n"})
    put_records(tmp_path, make_record(FAST))
    page = build(tmp_path).page()
    assert "<details" not in page and "data-others" not in page


def test_the_start_page_has_tiles_for_each_machine_that_has_them_all(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{headline}\ngelu | GELU\n```\n"})
    put_records(tmp_path, make_record(FAST), H200, PHONE)
    site = build(tmp_path, settings=OVERVIEWS)
    assert site.warnings == []
    assert site.page().count('class="headline') == 2
    tiles = site.page().partition("guide-quiet")[2]
    assert "machine-cuda-h200" in tiles and "machine-cpu-phone" not in tiles


def test_what_this_sites_machine_has_not_measured_is_not_passed_off_as_its_own(tmp_path: Path) -> None:
    text = SCRIPT.replace("mx.ones(4))", "mx.ones(4), available=False)").replace(
        "Measured: :measured:`gelu.ratio`, by", "By"
    )
    put_gallery(tmp_path, example=text.replace("print(result.ratio)\n", ""))
    put_records(tmp_path, make_record(make_entry("other")), H200)
    site = build(tmp_path, gallery=True, settings=INVENTORIES)
    assert site.warnings == []
    shown, _, folded = site.page(PAGE).partition('class="guide-switch recorded-result')[2].partition("<details")
    assert "Not measured on this machine." in shown and "3.03×" not in shown
    assert "3.03×" in folded


def test_a_table_of_what_another_machine_alone_has_measured_starts_with_that_machine_by_its_name(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{comparison} gelu\n```\n"})
    put_records(tmp_path, make_record(make_entry("other")), H200, PHONE)
    site = build(tmp_path, settings=INVENTORIES)
    first = site.page().partition("guide-comparisons")[2].partition("<details")[0]
    assert re.findall(r"guide-panel machine-([a-z0-9-]+)", first) == ["cuda-h200"]
    assert "NVIDIA H200" in first.partition("guide-panel-title")[2].partition("</p>")[0]


# Many machines


@pytest.mark.parametrize("machines", [40])
def test_a_page_with_forty_machines_weighs_at_most_250_kb(tmp_path: Path, machines: int) -> None:
    tables = "\n\n".join(f"```{{comparison}} {' '.join(NAMES[i : i + 4])}\n```" for i in (0, 4, 8))
    roles = " ".join(f"{{measured}}`{name}`" for name in NAMES)
    write(tmp_path, {"docs/index.md": f"# T\n\n{roles}\n\n{tables}\n"})
    put_records(tmp_path, *many(machines))
    site = build(tmp_path)
    assert site.warnings == []
    assert f"gelu-0 on {machines} machines" in site.text()
    switches = site.page().count(f"The same on {machines - 1} other machines")
    assert switches == 1 + 3  # the line below the title, and plain tables, for whom no script runs
    assert len(gzip.compress((site.out / "index.html").read_bytes(), 6)) < 250_000


def test_a_ledger_of_forty_machines_weighs_at_most_250_kb_and_joins_those_that_saw_the_same(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{claims}\n```\n"})
    records = [
        msgspec.structs.replace(
            record, claims=tuple(Verdict(id, number % 3 > 0, f"{id}: {number % 3} traces") for id in all_claims())
        )
        for number, record in enumerate(many(40))
    ]
    put_records(tmp_path, *records)
    site = build(tmp_path, settings=CLAIMED)
    first = site.page().partition('class="claim-entry')[2].partition("</table>")[0]
    assert re.findall(r"and (\d+) others", first) == ["13", "12", "12"]
    assert first.count("<tr") == 4
    assert len(gzip.compress((site.out / "index.html").read_bytes(), 6)) < 250_000


# Units


def test_times_of_a_column_share_a_unit_unless_they_are_too_far_apart() -> None:
    near, apart = Unit.of([2e-3, 7e-5, 0.04]), Unit.of([1e-6, 3.0])
    assert (near.header("Baseline"), near.say(0.0412), near.say(7.02e-5)) == ("Baseline (ms)", "41.2", "0.0702")
    assert (apart.header("Baseline"), apart.say(3.0), apart.say(None)) == ("Baseline", "3.00 s", "—")


def test_a_long_time_in_a_small_unit_is_grouped_and_keeps_its_digits() -> None:
    assert Unit("ms", 1e-3).say(12.3456, spread=0.01) == "12,300"


def test_two_sizes_of_one_apple_chip_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{comparison} gelu\n```\n"})
    sizes = [
        machine(f"metal-m9-{cores}", "metal", FAST, chip="Apple M9", gpu="Apple M9", gpu_cores=cores)
        for cores in (30, 40)
    ]
    put_records(tmp_path, make_record(FAST), *sizes)
    text = build(tmp_path).text()
    assert "Apple M9, 30-core GPU" in text and "Apple M9, 40-core GPU" in text
