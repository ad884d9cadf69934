"""A reader without a mouse: Tab through a page, search, copy; each stop has to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, TimeoutError

from browser.findings import Finding
from browser.visit import SCRIPT, context

MAX_STOPS = 400
CHECK = "keyboard and focus"


def stops(tab: Page) -> Iterator[dict[str, Any]]:
    """Yield where Tab leads to, until it has been everywhere on the page."""
    for _ in range(MAX_STOPS):
        tab.keyboard.press("Tab")
        stop: dict[str, Any] | None = tab.evaluate("guideChecks.focus()")
        if stop is None:
            return
        yield stop


def walk(tab: Page, home: str, name: str) -> tuple[int, list[Finding]]:
    """Tab through a page; return the number of stops and those that can't be seen."""
    tab.goto(home + name)
    tab.evaluate(SCRIPT)
    found = list(stops(tab))
    unseen = dict.fromkeys(stop["name"] for stop in found if not stop["seen"])
    return len(found), [Finding(CHECK, name, f"focus can't be seen on {one}") for one in unseen]


def search_by_keyboard(tab: Page, home: str, words: str) -> list[Finding]:
    """Reach the search box with Tab, search, and follow the first result with Enter."""
    tab.goto(home + "index.html")
    tab.evaluate(SCRIPT)
    if not any("sidebar-search" in stop["classes"] for stop in stops(tab)):
        return [Finding(CHECK, "index.html", "Tab doesn't reach the search box")]
    tab.keyboard.type(words)
    tab.keyboard.press("Enter")
    try:
        tab.wait_for_selector("ul.search li a", timeout=20_000)
        tab.evaluate(SCRIPT)
        if not any(stop["found"] for stop in stops(tab)):
            return [Finding(CHECK, "search.html", "Tab doesn't reach a result")]
        tab.keyboard.press("Enter")
        tab.wait_for_url(lambda url: "search.html" not in url, timeout=20_000)
    except TimeoutError as late:
        return [Finding(CHECK, "search.html", f"a search by keyboard ends nowhere: {late.message.splitlines()[0]}")]
    return []


def copy_by_keyboard(tab: Page, home: str, name: str) -> list[Finding]:
    """Reach the first copy button with Tab, press it, and look into the clipboard."""
    tab.goto(home + name)
    tab.evaluate(SCRIPT)
    if not any("copybtn" in stop["classes"] for stop in stops(tab)):
        return [Finding(CHECK, name, "Tab reaches no copy button")]
    tab.keyboard.press("Enter")
    tab.wait_for_timeout(200)
    copied, code = tab.evaluate(
        "async () => [await navigator.clipboard.readText(), document.querySelector('.highlight pre').innerText]"
    )
    return [] if copied.strip() and copied.strip() in code else [Finding(CHECK, name, f"copied {copied[:60]!r}")]


def by_keyboard(browser: Browser, home: str, walked: list[str], example: str) -> tuple[int, list[Finding]]:
    """Do all of it; return how many stops there were, and the findings."""
    own = context(browser, permissions=["clipboard-read", "clipboard-write"])
    tab, total, findings = own.new_page(), 0, []
    for name in walked:
        count, found = walk(tab, home, name)
        total += count
        findings += found
    findings += search_by_keyboard(tab, home, "uncaptured inputs")
    findings += copy_by_keyboard(tab, home, example)
    own.close()
    return total, findings
