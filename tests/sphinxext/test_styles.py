"""What a guest's pages look like without a style sheet of the project's own, and what the extension leaves alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guide import PACKAGE
from site_builds import build, put_records, write

OURS = PACKAGE / "sphinxext" / "static" / "compile-guide.css"
INDEX = "# T\n\n```{comparison} gelu\n```\n"


@pytest.mark.parametrize("theme", ["alabaster", "basic", "furo"])
def test_a_guests_page_has_our_styles_and_no_policy(theme: str, tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": INDEX})
    put_records(tmp_path)
    site = build(tmp_path, settings=f"html_theme = {theme!r}\n")
    page = (site.out / "index.html").read_text(encoding="utf-8")
    assert site.warnings == []
    assert re.search(r'href="_static/compile-guide\.css\?v=\w+"', page)
    assert (site.out / "_static" / "compile-guide.css").read_bytes() == OURS.read_bytes()
    assert "Content-Security-Policy" not in page


def test_a_projects_own_file_of_that_name_stands_instead_of_ours(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": INDEX, "own/compile-guide.css": "/* mine */"})
    put_records(tmp_path)
    site = build(tmp_path, settings='html_static_path = ["own"]\n')
    assert site.warnings == []
    assert (site.out / "_static" / "compile-guide.css").read_text(encoding="utf-8") == "/* mine */"


def test_the_styles_name_no_color_but_tints_of_a_verdict_so_they_fit_light_and_dark_pages() -> None:
    named = re.findall(r"#[0-9a-f]{3,8}\b(?!-)|rgb\([^)]*\)", OURS.read_text(encoding="utf-8"))
    assert [color for color in named if "%)" not in color] == []
    assert "prefers-color-scheme" not in OURS.read_text(encoding="utf-8")
