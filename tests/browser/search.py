"""Searches that readers make, each with the page that has to come first: over http, and from the files alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

from playwright.sync_api import Browser, Page, TimeoutError

from browser.findings import Finding
from browser.visit import context

QUERIES = Path(__file__).with_name("queries.toml")
PATIENCE = 20_000  # ms
SUMMED_UP = 10
NO_SUMMARY = ("Note", "Go to the end", "Measured on", "...")
"""How a summary begins that doesn't say what its page says."""


@dataclass(frozen=True)
class Query:
    """What is typed, what kind of thing it is, and the page, or one of several, that has to come first."""

    words: str
    kind: str
    pages: tuple[str, ...]


def queries() -> list[Query]:
    """Return the searches from the file beside this module."""
    read = tomllib.loads(QUERIES.read_text(encoding="utf-8"))
    return [Query(one["words"], one["kind"], tuple(one["pages"])) for one in read["query"]]


def first_result(tab: Page, home: str, words: str) -> str:
    """Search as the form does, and return the first result's page; empty if there is none."""
    tab.goto(f"{home}search.html?q={quote_plus(words)}&check_keywords=yes&area=default")
    try:
        tab.wait_for_selector("ul.search li a", timeout=PATIENCE)
    except TimeoutError:
        return ""
    address = str(tab.eval_on_selector("ul.search li a", "link => link.href"))
    return address.removeprefix(home).partition("?")[0].partition("#")[0]


def missed(browser: Browser, home: str, wanted: list[Query]) -> Iterator[Finding]:
    """Yield searches whose first result is another page."""
    own = context(browser)
    tab, where = own.new_page(), home.partition(":")[0]
    for query in wanted:
        if (found := first_result(tab, home, query.words)) not in query.pages:
            expected = " or ".join(query.pages)
            yield Finding(f"search, {where}", "search.html", f"{query.words!r}: {found or 'nothing'}, not {expected}")
    own.close()


def badly_summed_up(browser: Browser, home: str, words: str) -> Iterator[Finding]:
    """Yield results whose summary is missing, or says what is no part of its page's subject."""
    own = context(browser)
    tab = own.new_page()
    first_result(tab, home, words)
    results = tab.locator("ul.search li").all()[:SUMMED_UP]
    for result in results:
        page = result.locator("a").get_attribute("href") or ""
        try:
            said = result.locator("p.context").inner_text(timeout=PATIENCE)
        except TimeoutError:
            said = ""
        if not said or said.startswith(NO_SUMMARY):
            yield Finding("search, summaries", "search.html", f"{words!r}: {page}: {said[:60] or 'no summary'}")
    own.close()
