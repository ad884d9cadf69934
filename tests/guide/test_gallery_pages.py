"""What this guide makes of its gallery's pages: cards, figures for light and dark pages, topics, downloads."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from site_builds import HEAD, INVENTORIES, SCRIPT, Site, build, put_gallery, write

from _ext.figures import LIGHT_TO_DARK, for_dark
from compile_guide.sphinxext.downloads import write_zip

PAGE = "gallery/one/example"
CARDS = "# T\n\n```{examples}\n```\n\n```{toctree}\ngallery/index\n```\n"


def rendered(folder: Path) -> Site:
    """Build with the gallery and all that this guide adds to it."""
    return build(folder, gallery=True, guide=True, settings=INVENTORIES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A built gallery with one example."""
    folder = tmp_path_factory.mktemp("gallery")
    put_gallery(folder, example=SCRIPT)
    write(folder, {"docs/index.md": CARDS})
    return rendered(folder)


def test_no_page_takes_anything_from_another_site(site: Site) -> None:
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


def test_a_card_is_a_link_with_text_and_the_first_paragraph(site: Site) -> None:
    assert site.warnings == []
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
    put_gallery(tmp_path, example=SCRIPT, plain=HEAD.format(title="Plain", line="=====") + "\nprint(1)\n")
    cards = "# {}\n\n```{{examples}} {}\n```\n"
    write(tmp_path, {"docs/index.md": cards.format("T", "compile_guide.timing.compare")})
    write(tmp_path, {"docs/none.md": cards.format("N", "compile_guide.timing.table")})
    site = rendered(tmp_path)
    assert site.text().endswith("An example What it shows & why. speed")
    assert site.text("none") == "N ¶"


# Figures


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


def test_a_figure_without_title_is_a_warning(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT.replace('ax.set_title("A rising line")', ""))
    warning = "WARNING: example.py: figure 1 has no title, so nobody who can't see it learns what it shows"
    assert f"{warning} [compile_guide.figure]" in rendered(tmp_path).warnings


def test_a_figure_of_what_was_never_recorded_says_so(tmp_path: Path) -> None:
    plot = """\nfigure, ax = plt.subplots()
for draw in (ax.bar, ax.loglog):
    draw([result.ratio], [result.ratio])
ax.set(xscale="log", yscale="log", title="The ratio")
"""
    put_gallery(tmp_path, example=SCRIPT.replace("gelu", "brand-new") + plot)
    site = rendered(tmp_path)
    assert site.warnings == []
    figures = [file.read_text(encoding="utf-8") for file in (site.out / "_images").glob("sphx_glr_example_*.svg")]
    assert sorted("not measured on this machine yet" in figure for figure in figures) == [False, False, True, True]


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


# Deleted examples


def test_a_deleted_example_leaves_no_page(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=SCRIPT, plain=HEAD.format(title="Plain", line="=====") + "\nprint(1)\n")
    rendered(tmp_path)
    (tmp_path / "gallery" / "one" / "plain.py").unlink()
    site = rendered(tmp_path)
    assert "Plain" not in site.text("gallery/index")
    assert "gallery/one/plain" not in site.app.env.found_docs
    assert not (site.out / "gallery" / "one" / "plain.html").exists()


# Downloads


def test_downloads_are_the_same_bytes_from_every_build(tmp_path: Path, site: Site) -> None:
    put_gallery(tmp_path, example=SCRIPT)
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
            "compile_guide/comparison.py",
            "compile_guide/formatting.py",
            "compile_guide/timing.py",
            "example.ipynb",
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


def test_a_users_own_script_notebook_and_zip_among_the_pages_are_neither_changed_nor_packed(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=HEAD.format(title="Plain", line="=====") + "\nprint(1)\n")
    notebook = json.dumps({"metadata": {"language_info": {"version": "3.0.1"}}})
    mine = {
        "one/mine.py": "print('secret')\n",
        "one/mine.ipynb": notebook,
        "mine.zip": "a zip",
        "one/mine.zip": "a zip",
    }
    write(tmp_path, {f"docs/gallery/{name}": text for name, text in mine.items()})
    site = rendered(tmp_path)
    assert {name: (tmp_path / "docs" / "gallery" / name).read_text(encoding="utf-8") for name in mine} == mine
    (file,) = site.out.rglob("gallery_python.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["one/example.py"]
