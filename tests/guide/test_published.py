"""What others have published: quoted as text with its source, beside our nearest measurement; and Apple silicon's place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record
from site_builds import FAST, RATIO, build, machine, put_records, write

from _ext import published

EVEN = make_entry("even", ratios=(0.98, 0.99, 1.0, 1.01, 1.02, 1.03))
H200 = machine("cuda-h200", "cuda", make_entry("gelu", ratios=(3.03,) * 6), gpu="NVIDIA H200")
PART = 'extensions.append("_ext.published")\n'
PUBLISHED = """
[[figure]]
topic = "gelu"
what = "A <b>bold</b> `claim`"
where = "M1, MLX not stated"
plain = "3 ms"
compiled = "1 ms"
source = "a page"
link = "https://example.org/x"
ours = "gelu"
why = "The <i>same</i> function."

[[figure]]
topic = "svd"
what = "SVD"
where = "M2"
plain = "2 ms"
compiled = "1 ms"
ratio = "2×"
note = "in prose"
source = "a script"
link = "javascript:alert(1)"
why = "No sizes given."
"""


def test_published_figures_are_quoted_with_their_source(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(FAST))
    site = build(tmp_path, settings=PART)
    assert "A <b>bold</b> `claim` Reported by a page . M1, MLX not stated 3 ms 1 ms —" in site.text()
    assert "SVD (in prose) Reported by a script . M2 2 ms 1 ms 2×" in site.text()
    assert 'href="https://example.org/x"' in site.page()
    assert "javascript" not in site.page()
    assert "<b>" not in site.page()
    assert site.warnings == []


def test_a_published_figure_stands_beside_our_nearest_measurement_or_says_why_not(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(FAST))
    text = build(tmp_path, settings=PART).text()
    ours = f"Our nearest, gelu : The <i>same</i> function. Test Chip, MLX 0.32.4 1.2 ms 1.0 ms {RATIO}"
    assert ours in text
    assert "Nothing of ours is near: No sizes given. — — —" in text


def test_a_published_figure_that_names_no_comparison_of_ours_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(EVEN))
    site = build(tmp_path, settings=PART)
    (warning,) = site.warnings
    message = "published figure 'A <b>bold</b> `claim`': no record has a comparison 'gelu' [compile_guide.name]"
    assert warning == f"index.md:3: WARNING: {message}"
    assert "Ours is not measured yet: The <i>same</i> function. — — —" in site.text()


def test_a_comparison_too_slow_to_make_says_so_beside_the_published_figure(tmp_path: Path) -> None:
    slow = msgspec.structs.replace(FAST, runs=(), slow_call_s=7.84)
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(slow))
    assert "Test Chip, MLX 0.32.4 — — not compared: one call takes 7.84 s" in build(tmp_path, settings=PART).text()


def test_one_topic_of_the_published_figures_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published} svd\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path)
    assert "bold" not in build(tmp_path, settings=PART).text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[[figure]]\nwhat = "x"',
            "published.toml: figure 1: missing 6 required positional arguments: 'topic',",
        ),
        (PUBLISHED + 'color = "red"', "published.toml: figure 2: got an unexpected keyword argument 'color'"),
        (PUBLISHED + "note2 = 1", "published.toml: figure 2: note2 is no text"),
        ("figure", "published.toml: "),
        ("#" * (published.MAX_BYTES + 1), "published.toml: larger than 200,000 bytes"),
    ],
)
def test_a_wrong_file_of_published_figures_is_a_warning(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": content})
    put_records(tmp_path)
    (warning,) = build(tmp_path, settings=PART).warnings
    assert warning.startswith(f"index.md:3: WARNING: {message}")


def test_a_topic_that_no_figure_has_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published} nothing\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(FAST))
    assert build(tmp_path, settings=PART).warnings == [
        "index.md:3: WARNING: no published figure has the topic 'nothing' [compile_guide.published]"
    ]


def test_the_file_of_published_figures_is_noted_as_a_dependency(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{published}\n```\n", "docs/published.toml": PUBLISHED})
    put_records(tmp_path, make_record(FAST))
    noted = build(tmp_path, settings=PART).app.env.dependencies["index"]
    assert {Path(file).name for file in noted} == {"published.toml", "cpu-test-chip-mlx-0-32-4.json"}


# Apple silicon

APPLE = "# T\n\n{measured}`gelu`\n\n```{apple-silicon} /contribute\n```\n"
FIGURE = (
    '[[figure]]\ntopic = "t"\nwhat = "W"\nwhere = "%s"\nplain = "2 ms"\ncompiled = "1 ms"\nsource = "S"\nwhy = "Y."\n'
)
PAGES = {
    "docs/index.md": APPLE + "\n```{toctree}\ncontribute\n```\n",
    "docs/contribute.md": "# C\n\n```{measured-on}\n```\n",
    "docs/published.toml": FIGURE % "M1 Max, MLX not stated" + FIGURE % "M2 Ultra",
}


def test_without_a_record_of_apple_silicon_a_page_says_so_beside_published_figures(tmp_path: Path) -> None:
    write(tmp_path, PAGES)
    put_records(tmp_path, make_record(FAST), H200)
    site = build(tmp_path, settings=PART)
    assert site.warnings == []
    assert "No Apple-silicon machine has recorded yet, so nothing here is claimed for one." in site.text()
    assert 'href="contribute.html"' in site.page()
    assert "M1 Max, MLX not stated 2 ms 1 ms" in site.text() and "M2 Ultra" not in site.text()
    assert 'href="index.html#apple-silicon-records"' in site.page("contribute")


def test_with_a_record_of_apple_silicon_nothing_is_missing(tmp_path: Path) -> None:
    write(tmp_path, PAGES)
    put_records(tmp_path, make_record(FAST), machine("metal-m9", "metal", FAST, chip="Apple M9", gpu="Apple M9"))
    site = build(tmp_path, settings=PART)
    assert "Apple silicon: Apple M9, MLX 0.32.4." in site.text()
    assert "M1 Max" not in site.text() and "No Apple-silicon" not in site.text("contribute")


def test_a_virtual_mac_is_named_as_one_and_the_published_figures_stay(tmp_path: Path) -> None:
    write(tmp_path, PAGES)
    gpu = "Apple Paravirtual device"
    put_records(tmp_path, make_record(FAST), machine("metal-lent", "metal", FAST, chip="Apple M1 (Virtual)", gpu=gpu))
    text = build(tmp_path, settings=PART).text()
    assert f"Apple silicon: {gpu}, MLX 0.32.4, which is a virtual machine," in text and "M1 Max, MLX not stated" in text
