"""Every format that Sphinx writes: a guest's pages are built without a warning, and each says its numbers and its machine."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import make_record
from site_builds import CONF, FAST, SLOW, Site, machine, put_records, write
from sphinx.application import Sphinx
from sphinx.util.console import strip_colors
from sphinx.util.docutils import docutils_namespace, patch_docutils
from test_site import put_claim

from compile_guide.records.schema import Verdict

BUILDERS = ("html", "dirhtml", "singlehtml", "epub", "latex", "text", "man", "texinfo", "gettext", "linkcheck")
PAGES = {
    "docs/index.md": "# T\n\nIt is {measured}`gelu` on {machine}`chip`, so {claim}`one`.\n\n```{comparison} gelu\n```\n\n"
    "```{toctree}\ndata/files\nmachines\nledger\n```\n",
    "docs/data/files.md": "# Files\n\n```{record-files}\n```\n",
    "docs/machines.md": "# Machines\n\n```{machines}\n```\n",
    "docs/ledger.md": "# Ledger\n\n```{claims}\n```\n",
}
MANY = 'man_pages = [("index", "t", "T", ["A"], 1)]\ntexinfo_documents = [("index", "t", "T", "A", "T", "T", "M")]\n'
EPUB = 'epub_title = "T"\nepub_author = "A"\nepub_show_urls = "no"\nversion = "1"\ncopyright = "2026, A"\n'


def built(folder: Path, builder: str) -> Site:
    """Build a folder in one format; formats share what was read."""
    out, warnings = folder / "out" / builder, io.StringIO()
    with patch_docutils(folder), docutils_namespace():
        doctrees = folder / (
            "doctrees-of-messages" if builder == "gettext" else "doctrees"
        )  # it alone can't share them
        app = Sphinx(folder / "docs", folder, out, doctrees, builder, status=None, warning=warnings)
        app.build()
    return Site(out, [line for line in strip_colors(warnings.getvalue()).splitlines() if line.strip()], app)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages with each thing of ours, and records of two machines."""
    folder = tmp_path_factory.mktemp("formats")
    seen = (Verdict("one", True, "one trace"),)
    put_records(folder, make_record(FAST, claims=seen), machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200"))
    settings = put_claim(folder) + MANY + EPUB
    write(folder, {**PAGES, "conf.py": CONF.format(more="", settings=settings)})
    return folder


@pytest.mark.parametrize("builder", BUILDERS)
def test_it_is_built_without_a_warning_twice(builder: str, folder: Path) -> None:
    assert [built(folder, builder).warnings for _ in range(2)] == [[], []]


TEXT = """
It is 1.23× (1.20–1.27) on Test Chip, so ✓ holds.

Test Chip, MLX 0.32.4

+------------+---------------+----------------+-------------------+-----------------+-------------------------+
| Comparison | Baseline (ms) | Candidate (ms) | Speed-up          | First call (ms) | Pays back after (calls) |
|============|===============|================|===================|=================|=========================|
| "gelu"     | 1.2           | **1.0**        | 1.23× (1.20–1.27) | 500             | 2,200                   |
+------------+---------------+----------------+-------------------+-----------------+-------------------------+

The same on 1 other machine

NVIDIA H200, MLX 0.32.4

+------------+---------------+----------------+-------------------+-----------------+-------------------------+
| Comparison | Baseline (ms) | Candidate (ms) | Speed-up          | First call (ms) | Pays back after (calls) |
|============|===============|================|===================|=================|=========================|
| "gelu"     | 3.03          | **1.00**       | 3.03× (2.99–3.07) | 500             | 250                     |
+------------+---------------+----------------+-------------------+-----------------+-------------------------+

gelu on 2 machines
"""


def test_plain_text_has_tables_that_can_be_read_each_under_its_machine(folder: Path) -> None:
    assert TEXT in (built(folder, "text").out / "index.txt").read_text(encoding="utf-8")


def test_a_manual_has_each_number_under_its_machine_and_each_line_in_a_paragraph_of_its_own(folder: Path) -> None:
    text = (built(folder, "man").out / "t.1").read_text(encoding="utf-8").replace("\\-", "-").replace("\\&", "")
    for line in (
        "It is 1.23× (1.20–1.27) on Test Chip, so ✓ holds.",
        "Test Chip, MLX 0.32.4",
        "NVIDIA H200, MLX 0.32.4",
    ):
        assert f"\n.sp\n{line}\n" in text
    assert text.index("Test Chip, MLX") < text.index("NVIDIA H200, MLX") < text.index("3.03×")


def test_texinfo_has_each_number_under_its_machine(folder: Path) -> None:
    text = (built(folder, "texinfo").out / "t.texi").read_text(encoding="utf-8")
    assert re.search(r"It is 1\.23× \(1\.20–1\.27\) on Test Chip, so @ref\{\w+,,✓ holds\}\.\n", text)
    assert re.search(r"\n\nThe same on 1 other machine\n\n@ref\{\w+,,NVIDIA H200\}, MLX 0\.32\.4\n", text)
    assert "@multitable {xxxxxxxxxxxx} {xxxxxxxxxxxxxxx}" in text


def test_latex_has_the_numbers_with_their_machine(folder: Path) -> None:
    (file,) = built(folder, "latex").out.glob("*.tex")
    text = file.read_text(encoding="utf-8")
    assert "1.23×" in text and "3.03×" in text and "NVIDIA H200" in text and r"\(\checkmark\)" in text


def test_an_e_book_is_well_formed_names_its_machine_and_leads_to_no_file_that_it_lacks(folder: Path) -> None:
    (file,) = built(folder, "epub").out.glob("*.epub")
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        pages = {name: archive.read(name).decode() for name in names if name.endswith(".xhtml")}
    trees = [ElementTree.fromstring(text) for text in pages.values()]
    links = {
        link.get("href", "").partition("#")[0]
        for tree in trees
        for link in tree.iter("{http://www.w3.org/1999/xhtml}a")
    }
    assert {
        link for link in links if link and "://" not in link and f"OEBPS/{link}" not in names and link not in names
    } <= {f"../{name}" for name in pages} | {name.rpartition("/")[2] for name in pages}
    assert "1.23×" in pages["index.xhtml"] and "Test Chip" in pages["index.xhtml"]
    assert not any(name.startswith("records/") for name in names)


@pytest.mark.parametrize(
    ("builder", "page"),
    [("html", "data/files.html"), ("dirhtml", "data/files/index.html"), ("singlehtml", "index.html")],
)
def test_links_to_records_lead_to_files_of_the_site(builder: str, page: str, folder: Path) -> None:
    out = built(folder, builder).out
    links = re.findall(r'href="([^"]*records/[^"]+\.json)"', (out / page).read_text(encoding="utf-8"))
    assert len(links) == 3
    assert all((out / page).parent.joinpath(link).is_file() for link in links)
