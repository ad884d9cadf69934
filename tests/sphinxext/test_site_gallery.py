"""The gallery: replayed timings, clean state, no page of yesterday's, downloads that stay the same."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from _ext.figures import LIGHT_TO_DARK, for_dark
from conftest import make_entry, make_record
from site_builds import CONF, GALLERY, Site, build, put_records, write
from sphinx.application import Sphinx
from sphinx_gallery import gen_gallery

from compile_guide.sphinxext.downloads import write_zip
from compile_guide.sphinxext.gallery import MARKER, GalleryError, clear_unless

HEAD = '"""\n{title}\n{line}\n\nWhat it shows & why.\n"""\n# sphinx_gallery_tags = ["speed"]\n'
SCRIPT = (
    HEAD.format(title="An example", line="=" * 10)
    + """
import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare

# %%
# Measured: :measured:`gelu.ratio`, by :func:`mlx.core.exp`.
result = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4))
print(result.ratio)
result

# %%
# A figure
# --------
figure, ax = plt.subplots()
ax.plot([1, 2], [1, 2], color="black")
ax.set_title("A rising line")
"""
)
HEADERS = {
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n",
    "gallery/one/GALLERY_HEADER.rst": "One\n===\n",
}
INDEX = "# T\n\n```{examples}\n```\n\n```{toctree}\ngallery/index\n```\n"
INVENTORIES = """
from pathlib import Path
from _ext.inventories import mapping
extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = mapping(Path(__file__).parent / "inventories")
"""
RATIO = "1.23× (1.21–1.26)"
FAST = make_entry("gelu", ratios=(1.21, 1.22, 1.23, 1.23, 1.24, 1.26))


def start(folder: Path, **scripts: str) -> None:
    """Write a gallery of one topic, a page that shows its cards, and a record."""
    write(folder, {**HEADERS, "docs/index.md": INDEX})
    write(folder, {f"gallery/one/{name}.py": text for name, text in scripts.items()})
    put_records(folder, make_record(FAST))


def rendered(folder: Path) -> Site:
    """Build with the gallery."""
    return build(folder, gallery=True, settings=INVENTORIES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A built gallery with one example."""
    folder = tmp_path_factory.mktemp("gallery")
    start(folder, example=SCRIPT)
    return rendered(folder)


PAGE = "gallery/one/example"


def test_an_example_shows_the_recorded_timing(site: Site) -> None:
    assert site.warnings == []
    assert f"speed-up {RATIO} baseline 1.2 ms a call candidate 1.0 ms a call" in site.text(PAGE)
    assert f"Measured: {RATIO} , by" in site.text(PAGE)
    assert "1.23\n</pre>" in site.page(PAGE)


def test_an_example_that_was_never_recorded_is_rendered_without_numbers(tmp_path: Path) -> None:
    plot = """\nfigure, ax = plt.subplots()
for draw in (ax.bar, ax.loglog):
    draw([result.ratio], [result.ratio])
ax.set(xscale="log", yscale="log", title="The ratio")
"""
    start(tmp_path, example=SCRIPT.replace("gelu", "brand-new") + plot)
    write(tmp_path, {"docs/index.md": INDEX + "\nCited: {measured}`brand-new.baseline`.\n"})
    site = rendered(tmp_path)
    assert site.warnings == []
    assert "<th scope='row'>result</th><td>not measured on this machine yet</td>" in site.page(PAGE)
    assert "Measured: not measured on this machine yet , by" in site.text(PAGE)
    assert "Cited: not measured on this machine yet ." in site.text()
    figures = [file.read_text(encoding="utf-8") for file in (site.out / "_images").glob("sphx_glr_example_*.svg")]
    assert sorted("not measured on this machine yet" in figure for figure in figures) == [False, False, True, True]


def test_the_environment_is_as_before_after_a_build(site: Site) -> None:
    assert "COMPILE_GUIDE_REPLAY" not in os.environ
    assert "doctrees" not in os.environ["TMPDIR"]


def test_an_example_says_what_it_was_measured_on_and_how_to_copy_it(site: Site) -> None:
    assert "Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22." in site.text(PAGE)
    assert "python -m compile_guide copy example FOLDER" in site.text(PAGE)


def test_a_page_holds_no_running_time_and_no_address_of_another_site(site: Site) -> None:
    assert "running time" not in site.text(PAGE)
    assert not (site.out / "sg_execution_times.html").exists()
    for page in site.out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert "sg-tags.js" not in text


def test_code_links_to_the_documentation_of_mlx_python_and_matplotlib(site: Site) -> None:
    page = site.page(PAGE)
    for target in (
        "https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.exp.html#mlx.core.exp",
        "https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.compile.html#mlx.core.compile",
        "https://matplotlib.org/stable/api/_as_gen/matplotlib.pyplot.subplots.html#matplotlib.pyplot.subplots",
    ):
        assert f'href="{target}"' in page


def test_a_figure_is_there_for_light_and_dark_pages_with_its_title_as_alternative_text(site: Site) -> None:
    page = site.page(PAGE)
    for word, name in (("only-light", "sphx_glr_example_001"), ("only-dark", "sphx_glr_example_001_dark")):
        image = next(part for part in page.split("<img ")[1:] if f"/{name}.svg" in part).partition(">")[0]
        assert 'alt="A rising line"' in image
        assert word in image
    light, dark = ((site.out / "_images" / f"{n}.svg").read_text(encoding="utf-8") for n in
                   ("sphx_glr_example_001", "sphx_glr_example_001_dark"))  # fmt: skip
    assert "#000000" in light
    assert "#000000" not in dark
    assert "<dc:date>" not in light


def test_a_card_is_a_link_with_text_and_the_first_paragraph(site: Site) -> None:
    for name in ("index", "gallery/index", "gallery/one/index"):
        assert "An example What it shows & why." in site.text(name)
        assert "tooltip=" not in site.page(name)
        assert "sg-tag-list" not in site.page(name)
        assert 'class="guide-card' in site.page(name)
    assert 'class="guide-card tag-speed' in site.page("gallery/index")


def test_topics_stand_below_the_title_of_the_gallery(site: Site) -> None:
    page = site.page("gallery/index")
    assert page.count("<h1>") == 1
    assert "<h2>One" in page


def test_examples_lists_those_that_use_an_object(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT, plain=HEAD.format(title="Plain", line="=====") + "\nprint(1)\n")
    cards = "# {}\n\n```{{examples}} {}\n```\n"
    write(tmp_path, {"docs/index.md": cards.format("T", "compile_guide.timing.compare")})
    write(tmp_path, {"docs/none.md": cards.format("N", "compile_guide.timing.table")})
    site = rendered(tmp_path)
    assert site.text().endswith("An example What it shows & why. speed")
    assert site.text("none") == "N ¶"


# What a change changes


def test_a_changed_record_changes_the_example_and_the_figure_of_a_sentence(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT)
    rendered(tmp_path)
    put_records(tmp_path, make_record(make_entry("gelu", ratios=(3.01, 3.02, 3.03, 3.03, 3.04, 3.05))))
    text = rendered(tmp_path).text(PAGE)
    assert RATIO not in text
    assert text.count("3.03× (3.01–3.05)") == 2


def test_a_deleted_example_leaves_no_page(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT, plain=HEAD.format(title="Plain", line="=====") + "\nprint(1)\n")
    rendered(tmp_path)
    (tmp_path / "gallery" / "one" / "plain.py").unlink()
    site = rendered(tmp_path)
    assert "Plain" not in site.text("gallery/index")
    assert "gallery/one/plain" not in site.app.env.found_docs


def test_an_unchanged_gallery_runs_no_example_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"\nfrom pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    _ = f.write('x')\n"
    start(tmp_path, example=HEAD.format(title="Plain", line="=====") + code)
    rendered(tmp_path)
    before = (tmp_path / "out" / "gallery" / "one" / "example.html").stat().st_mtime_ns
    rendered(tmp_path)
    assert count.read_text(encoding="utf-8") == "x"
    assert (tmp_path / "out" / "gallery" / "one" / "example.html").stat().st_mtime_ns == before


def looked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Build, and say whether sphinx-gallery was asked to look at the scripts."""
    asked: list[Sphinx] = []
    look = gen_gallery.generate_gallery_rst
    with monkeypatch.context() as patch:
        patch.setattr(gen_gallery, "generate_gallery_rst", lambda app: (asked.append(app), look(app)))
        assert rendered(folder).warnings == []
    return bool(asked)


CHANGES = {
    "a script": lambda folder: write(folder, {"gallery/one/example.py": SCRIPT + "\nprint(1234)\n"}),
    "a header": lambda folder: write(folder, {"gallery/one/GALLERY_HEADER.rst": "Two\n===\n"}),
    "a record": lambda folder: put_records(folder, make_record(FAST, created="2026-11-23T00:00:00Z")),
    "a page of the last build": lambda folder: write(folder, {"docs/gallery/one/example.rst": "Cut off"}),
    "a page gone": lambda folder: (folder / "docs/gallery/one/index.rst").unlink(),
    "the note of the last build": lambda folder: write(folder, {"docs/gallery/.files": '{"from": 1}'}),
}


@pytest.mark.parametrize("what", [None, *CHANGES])
def test_sphinx_gallery_looks_at_the_scripts_only_when_something_has_changed(
    what: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, example=SCRIPT)
    assert looked_again(tmp_path, monkeypatch)
    if what:
        CHANGES[what](tmp_path)
    assert looked_again(tmp_path, monkeypatch) is bool(what)
    page = (tmp_path / "out" / f"{PAGE}.html").read_text(encoding="utf-8")
    assert "A rising line" in page
    assert (">1234<" in page) is (what == "a script")


def test_pages_of_a_build_that_was_killed_are_made_anew(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT)
    rendered(tmp_path)
    generated = tmp_path / "docs" / "gallery"
    (generated / MARKER).write_text("", encoding="utf-8")
    for thumbnail in generated.rglob("*_thumb.svg"):
        thumbnail.unlink()
    assert rendered(tmp_path).warnings == []


def test_a_folder_that_was_not_generated_is_not_deleted(tmp_path: Path) -> None:
    write(tmp_path, {"gallery/mine.txt": "precious"})
    with pytest.raises(GalleryError, match="holds something else"):
        clear_unless(tmp_path / "gallery", "stamp")
    assert (tmp_path / "gallery" / "mine.txt").exists()


# Examples that misbehave


def in_a_process(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build as a user does."""
    more = '"sphinx_gallery.gen_gallery", '
    (folder / "conf.py").write_text(CONF.format(more=more, settings=GALLERY), encoding="utf-8")
    argv = [
        sys.executable,
        "-m",
        "sphinx",
        "-c",
        str(folder),
        str(folder / "docs"),
        str(folder / "out"),
        "-q",
    ]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("code", ["import sys\nsys.exit(0)", "raise SystemExit('no GPU')", "exit()"])
def test_an_example_that_exits_early_fails_the_build(tmp_path: Path, code: str) -> None:
    start(tmp_path, early=HEAD.format(title="Early", line="=====") + f"\n{code}\n")
    done = in_a_process(tmp_path)
    assert done.returncode != 0
    assert "RuntimeError: the example ended itself before its last line" in done.stderr
    assert "early.py" in done.stderr


def test_a_comparison_that_a_recorded_example_lacks_fails_the_build(tmp_path: Path) -> None:
    start(tmp_path, gelu_speedup=SCRIPT.replace('"gelu"', '"silu"'))
    done = in_a_process(tmp_path)
    assert done.returncode != 0
    assert "has no comparison 'silu'" in done.stderr


def test_a_gallery_without_a_record_ends_in_one_line(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT)
    for file in (tmp_path / "docs" / "records").glob("*"):
        file.unlink()
    done = in_a_process(tmp_path)
    assert done.returncode != 0
    assert "there is no record to replay: make one with 'nox -s docs'" in done.stderr


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
    start(tmp_path, a_first=titled + CLEAN, b_leaks=titled + LEAKY, c_clean=titled + CLEAN)
    site = rendered(tmp_path)
    pages = [site.page(f"gallery/one/{name}") for name in ("a_first", "c_clean")]
    first, last = (page.partition("sphx-glr-script-out")[2].partition("</pre>")[0] for page in pages)
    assert "compiled: True" in first
    assert first == last


def test_a_figure_without_title_is_a_warning(tmp_path: Path) -> None:
    start(tmp_path, example=SCRIPT.replace('ax.set_title("A rising line")', ""))
    warning = "WARNING: example.py: figure 1 has no title, so nobody who can't see it learns what it shows"
    assert f"{warning} [compile_guide.figure]" in rendered(tmp_path).warnings


# Downloads and figures


def test_downloads_are_the_same_bytes_from_every_build(tmp_path: Path, site: Site) -> None:
    start(tmp_path, example=SCRIPT)
    again = rendered(tmp_path)
    old, new = (
        {file.relative_to(one.out).as_posix(): file.read_bytes() for file in (one.out / "_downloads").rglob("*.*")}
        for one in (site, again)
    )
    assert {Path(name).name for name in new} >= {"example.py", "example.ipynb", "example.zip"}
    assert old == new


def test_the_zip_holds_all_that_the_example_needs(site: Site, tmp_path: Path) -> None:
    (file,) = site.out.rglob("example.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == [
            "README.txt",
            "compile_guide/__init__.py",
            "compile_guide/timing.py",
            "example.py",
        ]
        archive.extractall(tmp_path)
    readme = (tmp_path / "README.txt").read_text(encoding="utf-8")
    assert readme.splitlines()[0] == "An example"
    assert len(readme.splitlines()) == 3
    code = "import compile_guide.timing as t; print(t.__file__)"
    argv, env = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "compile_guide" / "timing.py")


def test_a_notebook_does_not_name_the_python_that_built_it(site: Site) -> None:
    (file,) = site.out.rglob("example.ipynb")
    assert json.loads(file.read_text(encoding="utf-8"))["metadata"]["language_info"]["version"] == "3"


def test_a_zip_does_not_depend_on_the_order_or_time_of_its_parts(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"x": b"1", "y": b"2"})
    write_zip(tmp_path / "b.zip", {"y": b"2", "x": b"1"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes())) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def luminance(color: str) -> float:
    """Relative luminance after WCAG 2.2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("page", "side"), [("#ffffff", 0), ("#131416", 1)])
def test_colors_of_figures_keep_their_contrast_on_both_pages(page: str, side: int) -> None:
    for pair in LIGHT_TO_DARK.items():
        one, two = sorted((luminance(pair[side]), luminance(page)))
        grid = pair[0] == "#d1d9e0"  # decoration, and meant to be faint
        assert (two + 0.05) / (one + 0.05) >= (1.2 if grid else 4.5), pair


def test_the_dark_figure_turns_black_and_gray_round_and_keeps_other_colors() -> None:
    light = '<svg height="1"><path style="fill: #000000; stroke: #808080"/><path style="fill: #1f77b4"/></svg>'
    dark = light.replace("#000000", "#e6e6e6").replace("#808080", "#7d7d7d")
    assert for_dark(light) == dark.replace("<svg ", '<svg fill="#e6e6e6" ')
