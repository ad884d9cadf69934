"""The sidebar that is made once is the one that furo makes for each page."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_builds import build, put_records, write

from _ext import sidebar

FURO = 'html_theme = "furo"\n'
PAGES = {
    "docs/index.md": "# Start\n\n```{toctree}\n:hidden:\n\none\ntopics/index\ntwo words\n```\n\n"
    "```{toctree}\n:caption: More\n\nlast\nhttps://mlx.example/\n```\n",
    "docs/one.md": "# One *and* a half\n\n## A heading\n\n## Another\n",
    "docs/two words.md": "# Two\n",
    "docs/last.md": "# Last\n",
    "docs/alone.md": "---\norphan: true\n---\n# In no list\n",
    "docs/topics/index.md": "# Topics\n\n```{toctree}\nfirst/index\nsecond/index\n```\n",
    "docs/topics/first/index.md": "# First\n\n```{toctree}\na\nb\n```\n",
    "docs/topics/first/a.md": "# A\n",
    "docs/topics/first/b.md": "# B & C\n",
    "docs/topics/second/index.md": "# Second\n\n```{toctree}\na\n```\n",
    "docs/topics/second/a.md": "# A again\n",
}


def pages(folder: Path) -> dict[str, str]:
    """Build the pages with furo and return all HTML by name."""
    write(folder, PAGES)
    put_records(folder)
    site = build(folder, guide=True, settings=FURO)
    assert site.warnings == []
    return {
        file.relative_to(site.out).as_posix(): file.read_text(encoding="utf-8") for file in site.out.rglob("*.html")
    }


def test_every_page_is_as_furo_makes_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = sidebar.parse
    monkeypatch.setattr(sidebar, "parse", lambda html: made.append(html) or real(html))
    ours = pages(tmp_path / "ours")
    assert len(made) == 4  # one for each folder, of thirteen pages
    monkeypatch.setattr(sidebar, "setup", lambda app: None)
    theirs = pages(tmp_path / "theirs")
    assert len(made) == 4
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name
    assert "current-page" in ours["topics/first/a.html"] and "current-page" not in ours["alone.html"]
