"""Faults planted in small pages: each kind of check finds its own, and nothing on a page without fault."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser import __main__, downloads, keyboard, lanes, lighthouse, links, needs, search, serve, validity, visit
from browser.chromium import chromium
from browser.findings import Finding, Row, report

CSP = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'self'; style-src 'self' 'unsafe-inline'\">"
PALE = "<style>.b { color: #bbb }</style>"
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>A page</title><link rel="icon" href="data:,">{head}</head>
<body><main><article><h1>A page</h1>
<p>Words enough.</p>{body}
</article></main></body>
</html>
"""


def put(root: Path, name: str = "index.html", body: str = "", head: str = "") -> None:
    """Write a page without fault, but for what is added to it."""
    (root / name).write_text(PAGE.format(body=body, head=head), encoding="utf-8")


@pytest.fixture(scope="module")
def modules() -> Path:
    """The npm packages that the session has installed."""
    return needs.node_modules(Path(os.environ.get("GUIDE_BROWSER_CACHE", ".nox/browser")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def visited(browser: Browser, modules: Path, root: Path) -> visit.Visited:
    """Visit the page as the session does."""
    axe = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with serve.served(root) as home:
        visitor = visit.Visitor.of(browser, root, home, axe)
        seen = visitor.visit("index.html")
        for tab in (visitor.tab, visitor.plain):
            tab.context.close()
    return seen


def test_a_page_without_fault_has_no_finding(browser: Browser, modules: Path, tmp_path: Path) -> None:
    put(tmp_path, head=CSP)
    assert visited(browser, modules, tmp_path).findings == []


@pytest.mark.parametrize(
    ("check", "part", "where", "body", "head"),
    [
        ("axe", "color-contrast", "light, 320 px", "<p style='color:#aaa'>Pale on white.</p>", ""),
        ("axe", "color-contrast", "light, 1280 px", "<details><summary>x</summary><p style='color:#aaa'>Pale</p></details>", ""),
        (
            *("axe", "color-contrast", "dark, 320 px", "<p class=pale>Pale in the dark alone.</p>"),
            "<style>@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } .pale { color: #333 } }</style>",
        ),
        (
            *("axe", "color-contrast", "light, 320 px", "<p class=pale>Pale on a phone alone.</p>"),
            "<style>@media (max-width: 400px) { .pale { color: #bbb } }</style>",
        ),
        (
            *("axe", "color-contrast", "dark, 1280 px", "<p class=pale>Pale in the dark of a desk.</p>"),
            "<style>@media (prefers-color-scheme: dark) and (min-width: 900px) { .pale { color: #ccc } }</style>",
        ),
        ("axe", "color-contrast: b:", "light, 320 px", "<pre><code>a <b style='color:#bbb'>pale</b> word</code></pre>", ""),
        ("axe", "image-alt", "1280 px", "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' width=9 height=9>", ""),
        ("axe", "target-size", "320 px", "<button style='{tiny}'>a</button><button style='{tiny}'>b</button>", ""),
        ("axe", "heading-order", "1280 px", "<h4>Three levels down</h4>", ""),
        (
            *("axe", "button-name", "320 px", "</article><button class=phone></button><article>"),
            "<style>@media (min-width: 400px) { .phone { display: none } }</style>",
        ),
        ("axe", "scrollable-region-focusable", "320 px", "<pre style='overflow-x:auto'>" + "wide " * 30 + "</pre>", ""),
        ("axe", "link-name", "1280 px", f"<table>{'<tr><td><a href=#>x</a>' * 9}<tr><td><a href=#></a></table>", ""),
        ("axe", "color-contrast", "320 px", f"<table>{'<tr><td>x' * 9}<tr><td style='color:#aaa'>Pale</table>", ""),
        ("axe", "color-contrast", "320 px", f"<pre>x {'<a class=a href=#>y</a>' * 9} <a class=b href=#>Pale</a></pre>", "{pale}"),
        ("overflow at 320 px", "div#wide", "", "<div id=wide style='width:500px;height:9px'></div>", ""),
        (
            *("overflow at 320 px", "p#wide", ""),
            "<div style='overflow:auto'><p id=wide style='position:absolute;width:500px;clip-path:inset(50%)'>x</p></div>",
            "",
        ),
        ("reduced motion", "p.moves", "", "<p class=moves>Moves.</p>", "<style>.moves { transition: color 1s }</style>"),
        ("requests to third parties", "http://127.0.0.1:9/x.js", "", "<script src='http://127.0.0.1:9/x.js'></script>", ""),
        ("console and policy", "Executing inline script", "", "<script>document.title = 'x'</script>", CSP),
        ("console and policy", "oh no", "", "<script>console.error('oh no')</script>", ""),
        ("console and policy", "404", "", "", "<link rel=stylesheet href=gone.css>"),
        ("without JavaScript", "p.js-only", "", "<p class=js-only style='display:none'>Only with scripts.</p>", ""),
        ("weight of first view", "KB after gzip", "", "", "<style>{heavy}</style>"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found_by_its_check(
    browser: Browser, modules: Path, tmp_path: Path, check: str, part: str, where: str, body: str, head: str
) -> None:
    heavy = "/*" + os.urandom(80_000).hex() + "*/"  # hex of noise packs to half
    body = body.replace("{tiny}", "width:12px;height:12px;padding:0;margin:0;border:0;font-size:8px")
    put(tmp_path, body=body, head=head.replace("{heavy}", heavy * 2).replace("{pale}", PALE))
    seen = visited(browser, modules, tmp_path)
    found = [one.what for one in seen.findings if one.check == check]
    assert any(part in what and where in what for what in found), seen.findings


def test_a_link_or_anchor_to_nowhere_is_found(tmp_path: Path) -> None:
    put(
        tmp_path,
        body="<a href='gone.html'>a</a> <a href='#gone'>b</a> <a href='other.html#here'>c</a> <img src='x.svg' alt=''>",
    )
    put(tmp_path, "other.html", body="<p id=here>d</p>")
    assert sorted(map(str, links.lost_links(tmp_path, ["index.html", "other.html"]))) == [
        "index.html: #gone: no such place", "index.html: gone.html: no such file", "index.html: x.svg: no such file",
    ]  # fmt: skip


def test_invalid_html_is_found(modules: Path, tmp_path: Path) -> None:
    put(tmp_path, body="<p id=one>x</p><p id=one>y</p>")
    jar = modules / "vnu-jar" / "build" / "dist" / "vnu.jar"
    assert any("Duplicate ID" in one.what for one in validity.invalid(tmp_path, ["index.html"], jar))
    put(tmp_path)
    assert list(validity.invalid(tmp_path, ["index.html"], jar)) == []


def test_downloads_that_cannot_be_used_are_found(tmp_path: Path) -> None:
    (tmp_path / "_downloads").mkdir()
    (tmp_path / "records").mkdir()
    with zipfile.ZipFile(tmp_path / "_downloads" / "one.zip", "w") as archive:
        archive.writestr("one.py", "import torch\nfrom compile_guide.timing import compare\n")
        archive.writestr("compile_guide/__init__.py", "")  # this Python has the package installed: come before that
        archive.writestr("compile_guide/tracing.py", "import mlx_that_nobody_has\n")
        archive.writestr("README.txt", "One line.\n")
    (tmp_path / "_downloads" / "one.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    (tmp_path / "records" / "schema.json").write_text(json.dumps({"properties": {"id": {"type": "string"}}}))
    (tmp_path / "records" / "a.json").write_text(json.dumps({"id": 1}))
    assert sorted(map(str, downloads.faults(tmp_path))) == [
        "_downloads/one.ipynb: The notebook is invalid and is missing an expected key: cells",
        "_downloads/one.zip: imports torch, which its README.txt doesn't ask for",
        "_downloads/one.zip: its README.txt has 1 lines, and the last should say how to run one.py",
        "_downloads/one.zip: lacks compile_guide/timing.py",
        "records/a.json: $.id: 1 is not of type 'string'",
    ]
    assert list(map(str, downloads.runs(tmp_path, Path(sys.executable)))) == [
        "_downloads/one.zip: exit status 1: ModuleNotFoundError: No module named 'mlx_that_nobody_has'"
    ]


def test_a_stop_that_cannot_be_seen_is_found(browser: Browser, tmp_path: Path) -> None:
    put(tmp_path, body="<a href='#'>seen</a> <button style='outline:none'>unseen</button>")
    with serve.served(tmp_path) as home:
        count, found = keyboard.walk(visit.context(browser).new_page(), home, "index.html")
    assert count == 2
    assert [one.what for one in found] == ['focus can\'t be seen on button "unseen"']


def test_a_search_that_finds_another_page_first_is_found(browser: Browser, tmp_path: Path) -> None:
    put(tmp_path, "search.html", body="<ul class=search><li><a href='other.html?highlight=x'>Other</a></li></ul>")
    with serve.served(tmp_path) as home:
        lost = list(search.missed(browser, home, [search.Query("x", "name", ("wanted.html",))]))
        assert [one.what for one in lost] == ["'x': other.html, not wanted.html"]
        assert not list(search.missed(browser, home, [search.Query("x", "name", ("wanted.html", "other.html"))]))


def test_a_search_summary_about_downloads_is_found(browser: Browser, tmp_path: Path) -> None:
    said = {"good.html": "A loss.", "bad.html": "Go to the end to download the full example code."}
    rows = [f"<li><a href='{name}'>Title</a><p class=context>{words}</p></li>" for name, words in said.items()]
    put(tmp_path, "search.html", body=f"<ul class=search>{''.join(rows)}</ul>")
    with serve.served(tmp_path) as home:
        found = [finding.what for finding in search.badly_summed_up(browser, home, "x")]
    assert found == ["'x': bad.html: Go to the end to download the full example code."]


def test_a_low_score_is_found_with_what_lowered_it() -> None:
    parts = {kind: {"score": 1, "auditRefs": []} for kind in lighthouse.WANTED}
    parts["seo"] = {"score": 0.9, "auditRefs": [{"id": "meta", "weight": 1}]}
    scores, found = lighthouse.judge(
        "a.html", {"categories": parts, "audits": {"meta": {"score": 0, "title": "No description"}}}
    )
    assert scores["seo"] == 0.9
    assert [one.what for one in found] == ["seo 0.90, 1.00 wanted: No description"]


def test_a_folder_without_a_site_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path} holds no built site: run `nox -s render` first\n"


def test_the_table_counts_findings_and_names_the_first() -> None:
    rows = [
        Row("axe", "1 page", tuple(Finding("axe", "a.html", f"fault {n}") for n in range(14))),
        Row("links", "2", (), "x"),
    ]
    lines = report(rows).splitlines()
    assert lines[:2] == ["axe", "  a.html: fault 0"]
    assert lines[13] == "  … and 2 more"
    assert lines[-2:] == ["axe    1 page           14", "links  2                 0  x"]


def test_a_slow_page_is_asked_about_again_and_its_best_score_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [0.5, 0.9, 0.7]

    def ask(*_: object) -> lighthouse.Report:
        parts = {kind: {"score": 1, "auditRefs": []} for kind in lighthouse.WANTED}
        return {"categories": {**parts, "performance": {"score": scores.pop(0), "auditRefs": []}}, "audits": {}}

    monkeypatch.setattr(lighthouse, "ask", ask)
    found, wrong = lighthouse.audit("http://127.0.0.1/", "a.html", Path("modules"))
    assert (found["performance"], len(wrong), scores) == (0.9, 1, [])


def test_an_error_in_one_lane_ends_the_other_and_goes_on() -> None:
    begun: list[int] = []

    def task(number: int, lane: lanes.Lane) -> int:
        begun.append(number)
        if number == 1:
            raise RuntimeError("no report")
        lane.browser.new_page().close()
        return number

    with pytest.raises(RuntimeError, match="no report"):
        lanes.side_by_side([partial(task, number) for number in (1, *range(2, 500))], lanes=2)
    assert len(begun) < 400
    assert lanes.side_by_side([partial(task, number) for number in (5, 4, 3)], lanes=2) == [5, 4, 3]
