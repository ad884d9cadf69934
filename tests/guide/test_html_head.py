"""The head of a page: what it is about, and which scripts may run on it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from site_builds import build, put_records, write

LONG = "A sentence with many words says what the page is about, " * 6


def head(out: Path, name: str = "index") -> str:
    return (out / f"{name}.html").read_text(encoding="utf-8").partition("</head>")[0]


def test_a_page_is_described_by_its_first_paragraph_cut_behind_a_word(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": f"# T & U\n\n```{{measured-on}}\n```\n\n{LONG}\n"})
    put_records(tmp_path)
    text = head(build(tmp_path, guide=True).out)
    (said,) = re.findall('<meta name="description" content="(.*?)">', text)
    assert len(said) <= 160 and said.endswith("…") and said[:-1] in LONG
    assert f'<meta property="og:description" content="{said}">' in text
    assert '<meta property="og:title" content="T &amp; U">' in text


def test_a_paragraph_with_a_contributed_text_describes_no_page(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"docs/index.md": "# T\n\nIt was made on {machine}`chip` this time.\n\nA paragraph of our own words.\n"},
    )
    put_records(tmp_path)
    assert '<meta name="description" content="A paragraph of our own words.">' in head(build(tmp_path, guide=True).out)


def test_the_policy_lets_the_themes_script_run_by_its_hash_and_no_other(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\nWords.\n"})
    put_records(tmp_path)
    page = (build(tmp_path, guide=True, settings='html_theme = "furo"\n').out / "index.html").read_text(
        encoding="utf-8"
    )
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="(.*?)"', page)
    inline = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline}
    assert hashes and hashes == set(re.findall(r"sha256-([^&]+)&#x27;", policy))
    assert "default-src &#x27;none&#x27;" in policy and "unsafe-eval" not in policy


def test_the_search_page_loads_nothing_for_code_and_tabs(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\nWords.\n"})
    put_records(tmp_path)
    out = build(tmp_path, guide=True, settings='html_js_files = ["copybutton.js", "mine.js"]\n').out
    assert "mine.js" in head(out) and "copybutton.js" in head(out)
    assert "mine.js" in head(out, "search") and "copybutton.js" not in head(out, "search")
