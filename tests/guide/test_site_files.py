"""The files of a published site beside its pages: they need its address, and they take no other file's place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from site_builds import Site, build, put_records, write

ADDRESS = "https://guide.example/x"
ROBOTS = f"User-agent: *\nAllow: /\nSitemap: {ADDRESS}/sitemap.xml\n"
MINE = "User-agent: *\nDisallow: /\n"


def published(folder: Path, address: str = ADDRESS, settings: str = "") -> Site:
    write(folder, {"docs/index.md": "# T\n\n```{toctree}\na\n```\n", "docs/a.md": "# A\n"})
    put_records(folder)
    return build(folder, guide=True, settings=settings, html_baseurl=address)


def test_the_map_names_every_page_and_robots_may_read_all(tmp_path: Path) -> None:
    out = published(tmp_path).out
    assert re.findall("<loc>(.*?)</loc>", (out / "sitemap.xml").read_text(encoding="utf-8")) == [
        f"{ADDRESS}/a.html", f"{ADDRESS}/index.html",
    ]  # fmt: skip
    assert (out / "robots.txt").read_text(encoding="utf-8") == ROBOTS


def test_without_an_address_there_are_none_and_earlier_ones_are_deleted(tmp_path: Path) -> None:
    names = ("sitemap.xml", "robots.txt", "404.html")
    out = published(tmp_path, "").out
    assert not any((out / name).exists() for name in names)
    published(tmp_path)
    assert published(tmp_path, "").warnings == []
    assert not any((out / name).exists() for name in names)


def test_a_users_own_file_stands_instead_of_ours_and_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path, {"out/robots.txt": MINE})
    for _ in range(2):
        site = published(tmp_path)
        assert site.warnings == [
            f"WARNING: {tmp_path}/out/robots.txt is somebody else's file, so nothing is written there: "
            "delete it to have ours [compile_guide.file]"
        ]
    published(tmp_path, "")
    assert (tmp_path / "out" / "robots.txt").read_text(encoding="utf-8") == MINE


@pytest.mark.parametrize("before", [True, False])
def test_a_file_among_the_extra_ones_stands_instead_of_ours(before: bool, tmp_path: Path) -> None:
    if before:  # then ours was there first
        published(tmp_path)
    write(tmp_path, {"extra/robots.txt": MINE})
    for _ in range(2):
        site = published(tmp_path, settings='html_extra_path = ["extra"]\n')
        assert site.warnings == []
        assert (site.out / "robots.txt").read_text(encoding="utf-8") == MINE


def test_the_page_for_lost_readers_leads_to_the_address_whatever_was_asked_for(tmp_path: Path) -> None:
    settings = 'extensions.append("notfound.extension")\nnotfound_urls_prefix = "/x/"\nhtml_theme = "furo"\n'
    page = (published(tmp_path, settings=settings).out / "404.html").read_text(encoding="utf-8")
    assert 'href="/x/index.html"' in page and 'href="/x/_static/' in page
    assert 'href="index.html"' not in page
