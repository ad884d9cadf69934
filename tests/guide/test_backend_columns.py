"""The directive ``by-backend``: which machines get a column, and what stands in it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from conftest import make_entry, make_record
from site_builds import FAST, RATIO, SLOW, SLOW_RATIO, Site, build, machine, put_records, ratio_of, write

from compile_guide.records.schema import Record

PART = 'extensions.append("_ext.backend_columns")\nmyst_enable_extensions = ["colon_fence"]\n'
ROW = "{measured}`row.ratio`"
PAGE = f"""# T

:::{{by-backend}}
| Function | Measured |
| --- | --- |
| GELU | {{measured}}`gelu.ratio` |
| a row | before {ROW}, after |
:::
"""
OTHERS = re.compile(r"""<t[hd](?:(?!</t[hd]>).)*data-others=["'](.*?)["'][ >]""", re.DOTALL)
ALIKE, TWICE = (make_entry("row", ratios=(ratio,) * 6) for ratio in (1.0, 2.0))
OWN = make_record(FAST, ALIKE)
H200 = machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200")


def table(folder: Path, *records: Record) -> list[list[str]]:
    """Build the page, without a warning, and return the words of each cell, by rows."""
    write(folder, {"docs/index.md": PAGE})
    put_records(folder, *records)
    site = build(folder, settings=PART)
    assert site.warnings == []
    return cells(site)


def cells(site: Site) -> list[list[str]]:
    """Return the words of each cell, by rows; the head first."""
    rows = [re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL) for row in site.page().split("<tr")[1:]]
    return [[" ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)).split()) for cell in row] for row in rows]


def test_each_other_backend_has_a_column_of_the_same_numbers(tmp_path: Path) -> None:
    mac = machine("metal-m9", "metal", FAST, TWICE, chip="Apple M9", gpu="Apple M9")
    assert table(tmp_path, OWN, H200, mac) == [
        ["Function", "Test Chip (CPU)", "Apple M9 (Metal)", "NVIDIA H200 (CUDA)"],
        ["GELU", f"CPU {RATIO}", f"Metal {RATIO}", f"CUDA {SLOW_RATIO}"],
        [
            "a row",
            f"CPU before {ratio_of(ALIKE)}, after",
            f"Metal before {ratio_of(TWICE)}, after",
            "CUDA before not measured there, after",
        ],
    ]


def test_of_several_machines_with_a_backend_the_one_with_most_of_the_numbers_has_the_column(tmp_path: Path) -> None:
    fuller = machine("cuda-h100", "cuda", SLOW, TWICE, gpu="NVIDIA H100")
    two = machine("cuda-two", "cuda", make_entry("other", example="other"), gpu="NVIDIA H200")
    assert table(tmp_path, OWN, H200, fuller, two)[0] == ["Function", "Test Chip (CPU)", "NVIDIA H100 (CUDA)"]


def test_a_machine_that_has_none_of_the_numbers_has_no_column(tmp_path: Path) -> None:
    two = machine("cuda-two", "cuda", make_entry("other", example="other"), gpu="NVIDIA H200")
    assert table(tmp_path, OWN, two)[0] == ["Function", "Test Chip (CPU)"]


def test_a_machine_that_is_chosen_takes_the_column_of_its_backend(tmp_path: Path) -> None:
    h100 = machine("cuda-h100", "cuda", FAST, TWICE, gpu="NVIDIA H100")
    other = machine("cpu-other", "cpu", SLOW, chip="Other Chip")
    write(tmp_path, {"docs/index.md": PAGE})
    put_records(tmp_path, OWN, H200, h100, other)
    chosen = [json.loads(html.unescape(found)) for found in OTHERS.findall(build(tmp_path, settings=PART).page())]
    assert chosen == [
        *({"cpu-other": "Other Chip (CPU)"}, {"cuda-h200": "NVIDIA H200 (CUDA)"}),
        *({"cpu-other": SLOW_RATIO}, {"cuda-h200": SLOW_RATIO}),
        *({"cpu-other": None}, {"cuda-h200": None}),
    ]
