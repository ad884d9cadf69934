"""The chart of a comparison on several machines: what it draws and says, and where it stands."""

from __future__ import annotations

import gzip
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import make_entry, make_record
from site_builds import FAST, Site, build, machine, put_records, write

from _ext.charts import Axis, Row, chart, shortened, svg

PART = 'extensions.append("_ext.charts")\n'
H200 = machine("cuda-h200", "cuda", make_entry("gelu", ratios=(3.03,) * 6), gpu="NVIDIA H200")


def compared(folder: Path, *others: object) -> Site:
    """Build a page with one comparison on this site's machine and others."""
    write(folder, {"docs/index.md": "# T\n\n```{comparison} gelu\n```\n"})
    put_records(folder, make_record(FAST), *others)  # type: ignore[arg-type]
    return build(folder, settings=PART)


def test_a_chart_stands_above_the_table_of_a_comparison_on_several_machines(tmp_path: Path) -> None:
    site = compared(tmp_path, H200)
    assert site.warnings == []
    side = site.page().partition("<summary>gelu on 2 machines</summary>")[2]
    assert side.index('class="guide-chart"') < side.index("<table")
    assert site.page().count('class="guide-chart"') == 1


def test_below_it_stands_where_apple_silicon_is_missing(tmp_path: Path) -> None:
    assert (
        compared(tmp_path, H200)
        .text()
        .endswith("No Apple-silicon machine has recorded this yet. What others have reported")
    )


def test_with_an_apple_silicon_machine_nothing_is_missing(tmp_path: Path) -> None:
    mac = machine("metal-m9", "metal", FAST, chip="Apple M9", gpu="Apple M9")
    assert "No Apple-silicon" not in compared(tmp_path, mac).text()


def test_a_chart_of_forty_machines_names_each_and_leaves_the_page_below_250_kb(tmp_path: Path) -> None:
    others = [
        machine(f"{backend}-chip-{number}", backend, FAST, chip=f"A chip with number {number}")
        for number, backend in enumerate(("cpu", "cuda", "metal") * 13)
    ]
    site = compared(tmp_path, *others)
    drawn = site.page().partition('class="guide-chart"')[2].partition("</svg>")[0]
    assert len(set(re.findall(r'text-anchor="end"[^>]*>([^<]+)<', drawn))) == 40
    assert len(gzip.compress((site.out / "index.html").read_bytes(), 6)) < 250_000


def rows() -> list[Row]:
    """One row a backend, one of them without interval."""
    return [
        Row("Mine & yours", "cpu", 1.23, (1.2, 1.3), shown=True),
        Row("A GPU", "cuda", 4.0, (3.9, 4.1)),
        Row("A Mac", "metal", 0.8, None),
    ]


def test_a_chart_is_well_formed_and_draws_each_interval_there_is() -> None:
    root = ElementTree.fromstring(svg(rows(), "words"))
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Mine & yours", "A GPU", "A Mac", "1.23×", "4.00×", "1×", "2×"} <= set(texts)
    whiskers = [node for node in root.iter("{http://www.w3.org/2000/svg}path") if node.get("stroke-width") == "1.5"]
    assert len(whiskers) == 2


def test_a_chart_says_in_words_what_its_ends_are() -> None:
    words = chart("gelu", rows())["description"]
    assert words == "Speed-up of gelu on 3 machines, from 0.80× (A Mac) to 4.00× (A GPU); the table has every value."


def test_a_chart_takes_its_colors_from_the_page() -> None:
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg(rows(), "words"))) == {"currentColor", "none"}


def test_a_long_name_keeps_what_tells_it_from_others() -> None:
    assert shortened("A short name, MLX 0.32.4") == "A short name, MLX 0.32.4"
    assert shortened("NVIDIA RTX 6000 Ada Generation, MLX 0.32.4") == "NVIDIA RTX 6000 Ada G…, MLX 0.32.4"
    assert shortened("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz") == "Intel(R) Xeon(R) Platinum 8488C C…"
    names = {shortened(f"A processor with a very long name, MLX 0.32.{number}") for number in range(12)}
    assert len(names) == 12 and max(map(len, names)) <= 34


def test_twice_as_fast_is_as_far_from_even_as_half_as_fast() -> None:
    axis = Axis.around([0.5, 2])
    assert axis.x(2) - axis.x(1) == pytest.approx(axis.x(1) - axis.x(0.5), abs=0.2)


def test_numbers_of_an_axis_do_not_touch() -> None:
    for high in (1.01, 1.6, 9, 900):
        axis = Axis.around([0.9, high])
        places = sorted(map(axis.x, axis.ticks()))
        assert all(b - a >= 26 for a, b in pairwise(places))
        assert axis.x(1) in places
