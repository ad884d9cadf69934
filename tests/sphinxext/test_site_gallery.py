"""A guest's gallery: replayed timings, a clean state for each example, comparisons as directives, no page of yesterday's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_record
from site_builds import (
    FAST,
    HEAD,
    RATIO,
    SCRIPT,
    SLOW,
    SLOW_RATIO,
    Site,
    build,
    conf,
    machine,
    put_gallery,
    put_records,
    write,
)

from compile_guide.sphinxext.gallery import NOTE

PAGE = "gallery/one/example"
PLAIN = HEAD.format(title="Plain", line="=====") + "\nprint(1)\n"


def rendered(folder: Path, settings: str = "") -> Site:
    """Build with the gallery."""
    return build(folder, gallery=True, settings=settings)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A built gallery with one example."""
    folder = tmp_path_factory.mktemp("gallery")
    put_gallery(folder, example=SCRIPT)
    return rendered(folder)


def test_an_example_shows_the_recorded_timing(site: Site) -> None:
    assert site.warnings == []
    assert f"speed-up {RATIO} baseline 1.2 ms a call candidate 1.0 ms a call" in site.text(PAGE)
    assert f"Measured: {RATIO} , by" in site.text(PAGE)
    assert "1.23\n</pre>" in site.page(PAGE)


def test_an_example_that_was_never_recorded_is_rendered_without_numbers(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT.replace("gelu", "brand-new"))
    index = (tmp_path / "docs" / "index.md").read_text(encoding="utf-8")
    write(tmp_path, {"docs/index.md": index + "\nCited: {measured}`brand-new.baseline`.\n"})
    site = rendered(tmp_path)
    assert site.warnings == []
    assert "Measured: not measured on this machine yet , by" in site.text(PAGE)
    assert "brand-new Not measured on this machine yet." in site.text(PAGE)
    assert "Cited: not measured on this machine yet ." in site.text()


def test_a_comparison_that_no_machine_of_the_records_can_make_says_so(tmp_path: Path) -> None:
    text = SCRIPT.replace('"gelu"', '"of-a-gpu"').replace("mx.ones(4))", "mx.ones(4), available=False)")
    put_gallery(
        tmp_path, gelu_speedup=text.replace("print(result.ratio)\n", "").replace(" :measured:`gelu.ratio`,", "")
    )
    site = rendered(tmp_path)
    assert site.warnings == []
    assert "of-a-gpu No machine with a record here can make this comparison." in site.text("gallery/one/gelu_speedup")


def test_the_environment_is_as_before_after_a_build(site: Site) -> None:
    assert "COMPILE_GUIDE_REPLAY" not in os.environ
    assert "doctrees" not in os.environ["TMPDIR"]


def test_an_example_says_what_it_was_measured_on(site: Site) -> None:
    assert "Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22." in site.text(PAGE)


def test_an_example_says_how_to_copy_it_where_the_settings_name_a_command(site: Site, tmp_path: Path) -> None:
    assert "Take it into your own project" not in site.text(PAGE)
    put_gallery(tmp_path, example=PLAIN)
    text = rendered(tmp_path, 'compile_guide_copy = "take {name} away"\n').text(PAGE)
    assert "Take it into your own project: take example away" in text


def test_a_page_holds_no_running_time(site: Site) -> None:
    assert "running time" not in site.text(PAGE)
    assert not (site.out / "sg_execution_times.html").exists()


# What a block returned

BLOCKS = (
    HEAD.format(title="Blocks", line="======")
    + """
import mlx.core as mx

from compile_guide.timing import compare, table
from compile_guide.tracing import watch

result = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))

# %%
# As a table.
table([result])

# %%
# A value of its own.
{"a number": 1}

# %%
# Traces.
double = watch(lambda x: x * 2)
_ = double(mx.ones(2)), double(mx.ones(3))
print("two sizes")
double
"""
)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An example whose blocks end in values of several kinds, on a site with two machines."""
    folder = tmp_path_factory.mktemp("blocks")
    put_gallery(folder, example=BLOCKS)
    put_records(folder, make_record(FAST), machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200"))
    return rendered(folder)


def test_a_table_of_comparisons_shows_each_machine(blocks: Site) -> None:
    assert blocks.warnings == []
    shown, _, folded = blocks.text(PAGE).partition("As a table.")[2].partition("The same on 1 other machine")
    assert f"gelu 1.2 1.0 {RATIO}" in shown and "3.03×" not in shown
    assert f"gelu 3.03 1.00 {SLOW_RATIO}" in folded


def test_a_table_of_traces_is_a_table(blocks: Site) -> None:
    page = blocks.page(PAGE).partition("Traces.")[2]
    assert '<table class="guide-table' in page and "two sizes\n</pre>" in page
    assert "<script" not in page and "output_html" not in page


def test_a_value_that_is_not_ours_is_shown_by_sphinx_gallery(blocks: Site) -> None:
    printed = blocks.page(PAGE).partition("A value of its own.")[2].partition("sphx-glr-script-out")[2]
    assert (
        "&#39;a number&#39;: 1" in printed.partition("</pre>")[0] or "{'a number': 1}" in printed.partition("</pre>")[0]
    )


def test_what_a_block_returned_stands_behind_what_it_printed(site: Site, blocks: Site) -> None:
    page = site.page(PAGE)
    assert page.index("1.23\n</pre>") < page.index("guide-comparison")
    traces = blocks.page(PAGE).partition("Traces.")[2]
    assert traces.index("two sizes\n</pre>") < traces.index('<table class="')


def test_no_comparison_is_shown_twice(site: Site, blocks: Site) -> None:
    for page in (site.page(PAGE), blocks.page(PAGE)):
        assert "output_html" not in page
    assert site.page(PAGE).count("guide-comparison") == 1


# What is somebody else's


def test_a_guest_leaves_the_pages_of_others_as_they_are(site: Site) -> None:
    page = site.page("gallery/one/index")
    assert "sphx-glr-thumbcontainer" in page and "An example" in page
    assert "sg-tags.js" in (site.out / "gallery" / "one" / "index.html").read_text(encoding="utf-8")
    assert sorted(site.out.glob("*.txt")) == []


def test_a_guests_own_files_stay_where_a_gallery_is_generated(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=PLAIN)
    mine = {
        "docs/gallery/mine.txt": "mine",
        "docs/gallery/one/mine.txt": "mine",
        "out/CNAME": "mine",
        "doctrees/x": "mine",
    }
    write(tmp_path, mine)
    rendered(tmp_path)
    put_records(tmp_path, make_record(SLOW))
    rendered(tmp_path)
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in mine} == mine


# What a change changes


def test_a_changed_record_changes_the_example_and_the_figure_of_a_sentence(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT)
    rendered(tmp_path)
    put_records(tmp_path, make_record(SLOW))
    text = rendered(tmp_path).text(PAGE)
    assert RATIO not in text
    assert text.count(SLOW_RATIO) == 2


def test_an_unchanged_gallery_runs_no_example_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"\nfrom pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    _ = f.write('x')\n"
    put_gallery(tmp_path, example=PLAIN + code)
    for _ in range(2):
        rendered(tmp_path)
    assert count.read_text(encoding="utf-8") == "x"


def test_examples_whose_build_was_killed_run_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"\nimport compile_guide\nfrom pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    _ = f.write('x')\n"
    put_gallery(tmp_path, example=PLAIN + code)
    rendered(tmp_path)
    (tmp_path / "docs" / "gallery" / NOTE).write_text("", encoding="utf-8")  # what a killed build leaves
    assert rendered(tmp_path).warnings == []
    assert count.read_text(encoding="utf-8") == "xx"


# Examples that misbehave


def in_a_process(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build as a user does."""
    write(folder, {"conf.py": conf(gallery=True)})
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-q", *options]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("code", ["import sys\nsys.exit(0)", "raise SystemExit('no GPU')", "exit()"])
def test_an_example_that_exits_early_fails_the_build(tmp_path: Path, code: str) -> None:
    put_gallery(tmp_path, early=HEAD.format(title="Early", line="=====") + f"\n{code}\n")
    done = in_a_process(tmp_path)
    assert done.returncode != 0
    assert "RuntimeError: the example ended itself before its last line" in done.stderr
    assert "early.py" in done.stderr


def test_a_comparison_that_a_recorded_example_lacks_fails_the_build(tmp_path: Path) -> None:
    put_gallery(tmp_path, gelu_speedup=SCRIPT.replace('"gelu"', '"silu"'))
    done = in_a_process(tmp_path)
    assert done.returncode != 0
    assert "has no comparison 'silu'" in done.stderr


NO_RECORD = "WARNING: there is no record, so no example shows a timing: 'compile-guide record' makes one"


def test_a_gallery_without_a_record_is_built_without_numbers_and_warned_of(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT.replace(" :measured:`gelu.ratio`,", ""))
    for file in (tmp_path / "docs" / "records").glob("*"):
        file.unlink()
    site = rendered(tmp_path)
    assert site.warnings == [f"{NO_RECORD} [compile_guide.record]"]
    assert "gelu Not measured on this machine yet." in site.text(PAGE)
    assert RATIO not in site.text(PAGE)
    put_records(tmp_path, make_record(FAST))
    assert rendered(tmp_path).warnings == []
    assert RATIO in rendered(tmp_path).text(PAGE)


def test_a_gallery_without_a_record_fails_a_strict_build(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT.replace(" :measured:`gelu.ratio`,", ""))
    (tmp_path / "docs" / "records" / "cpu-test-chip-mlx-0-32-4.json").write_text("{}", encoding="utf-8")
    done = in_a_process(tmp_path, "-W", "--keep-going")
    assert done.returncode == 1
    assert f"{NO_RECORD}; cpu-test-chip-mlx-0-32-4.json: " in done.stderr


LEAKY = """
import mlx.core as mx

mx.disable_compile()
mx.random.seed(7)
mx.set_default_stream(mx.new_stream(mx.default_device()))
"""
CLEAN = """
import mlx.core as mx

calls = []


@mx.compile
def count(x):
    calls.append(1)
    return x + 1


for _ in range(4):
    mx.eval(count(mx.ones(2)))
print("compiled:", len(calls) < 4, mx.default_stream(mx.default_device()))
print(mx.random.uniform().item())
"""


def test_mlx_is_reset_between_examples(tmp_path: Path) -> None:
    titled = HEAD.format(title="Example", line="=======")
    put_gallery(tmp_path, a_first=titled + CLEAN, b_leaks=titled + LEAKY, c_clean=titled + CLEAN)
    site = rendered(tmp_path)
    pages = [site.page(f"gallery/one/{name}") for name in ("a_first", "c_clean")]
    first, last = (page.partition("sphx-glr-script-out")[2].partition("</pre>")[0] for page in pages)
    assert "compiled: True" in first
    assert first == last
