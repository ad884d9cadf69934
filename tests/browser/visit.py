"""One visit to each page: axe, overflow, requests, console, weight, motion, and the page without JavaScript."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from browser.findings import Finding

SCRIPT = Path(__file__).with_name("visit.js").read_text(encoding="utf-8")
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=320, height=800)
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
Scheme = Literal["light", "dark"]
LOOKS: tuple[tuple[Scheme, ViewportSize, str], ...] = (
    ("light", NARROW, "narrow"),
    ("dark", NARROW, "colors"),
    ("dark", WIDE, "colors"),
    ("light", WIDE, "rules"),
)
"""In which color scheme and width to look for what: see ``visit.js``. Each differs from the one before in one thing."""
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"
"""A page has to hear of its new size first, and move what it keeps beside it."""
FIRST_VIEW = ("document", "stylesheet", "script", "font")
WEIGHT_LIMIT = 120 * 1024  # bytes after gzip


@dataclass
class Visited:
    """What was seen of one page; ``weight`` in bytes after gzip, without figures."""

    page: str
    findings: list[Finding] = field(default_factory=list)
    weight: int = 0
    requests: int = 0

    def add(self, check: str, found: Iterable[str]) -> None:
        """Note findings of one check."""
        self.findings += [Finding(check, self.page, what) for what in found]


@dataclass
class Traffic:
    """What a tab asks for and complains of, since the last ``clear``."""

    home: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, tab: Page) -> None:
        """Listen to a tab."""
        tab.on("request", lambda request: self.requests.append(request))  # Playwright marks what it is given
        tab.on("console", lambda said: self.complain(said) if said.type == "error" else None)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))

    def complain(self, said: ConsoleMessage) -> None:
        """Note an error in the console with the address that it is about."""
        self.complaints.append(f"{said.text} ({said.location['url'].removeprefix(self.home)})")

    def clear(self) -> None:
        """Forget what was seen."""
        self.requests.clear()
        self.complaints.clear()

    def third_parties(self) -> list[str]:
        """Return addresses asked for that are neither this site's nor within a page."""
        own = (self.home, "data:", "blob:")
        return sorted({request.url for request in self.requests if not request.url.startswith(own)})

    def weight(self, root: Path) -> int:
        """Return the bytes, after gzip, of what a first view needs besides figures."""
        names = {
            request.url.removeprefix(self.home).partition("?")[0].partition("#")[0]
            for request in self.requests
            if request.resource_type in FIRST_VIEW and request.url.startswith(self.home)
        }
        return sum(packed_size(root / (name or "index.html")) for name in names)


def packed_size(file: Path) -> int:
    """Return a file's size after gzip; 0 if there is none, which is another check's finding."""
    if not file.is_file():
        return 0
    return len(gzip.compress(file.read_bytes(), 6)) if file.suffix != ".woff2" else file.stat().st_size


def context(browser: Browser, **options: Any) -> BrowserContext:
    """Return a fresh profile in which nothing moves."""
    return browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce", **options)


@dataclass
class Visitor:
    """A tab that looks at one page after the other, and a tab where no scripts run."""

    root: Path
    axe: str
    tab: Page
    plain: Page
    traffic: Traffic

    @classmethod
    def of(cls, browser: Browser, root: Path, home: str, axe: str) -> Visitor:
        """Open the tabs; the site below ``root`` is served at ``home``."""
        found = cls(root, axe, context(browser).new_page(), without_scripts(browser), Traffic(home))
        found.traffic.watch(found.tab)
        return found

    def visit(self, name: str) -> Visited:
        """Look at one page in both widths and both color schemes, and without scripts."""
        seen, tab = Visited(name), self.tab
        self.traffic.clear()
        tab.emulate_media(color_scheme="light")
        tab.set_viewport_size(NARROW)
        tab.goto(self.traffic.home + name, wait_until="load")
        seen.weight, seen.requests = self.traffic.weight(self.root), len(self.traffic.requests)
        tab.evaluate(self.axe)
        tab.evaluate(SCRIPT)
        seen.add("reduced motion", tab.evaluate("guideChecks.moving()"))
        seen.add("overflow at 320 px", tab.evaluate("guideChecks.overflow()"))
        seen.add("axe", violations(tab))
        seen.add("requests to third parties", self.traffic.third_parties())
        seen.add("console and policy", dict.fromkeys(self.traffic.complaints))
        if seen.weight > WEIGHT_LIMIT:
            seen.add(
                "weight of first view", [f"{seen.weight / 1024:.0f} KB after gzip, {WEIGHT_LIMIT // 1024} allowed"]
            )
        self.plain.goto(self.traffic.home + name, wait_until="domcontentloaded")
        self.plain.evaluate(SCRIPT)
        seen.add("without JavaScript", self.plain.evaluate("guideChecks.hidden()"))
        return seen


def without_scripts(browser: Browser) -> Page:
    """Return a tab where no scripts run; figures, which the other tab has asked for, aren't loaded again."""
    tab = context(browser, java_script_enabled=False).new_page()
    protocol = tab.context.new_cdp_session(tab)
    protocol.send("Network.enable")
    protocol.send("Network.setBlockedURLs", {"urls": ["*.svg", "*.png"]})
    return tab


def violations(tab: Page) -> Iterator[str]:
    """Yield what axe finds, as ``rule: element: what is wrong (where)``.

    Another color scheme can break the rules about colors alone, so it's those that are looked at in the dark.
    """
    before = NARROW
    for scheme, width, rules in LOOKS:
        tab.emulate_media(color_scheme=scheme)
        if width != before:
            tab.set_viewport_size(width)
            tab.wait_for_function("width => innerWidth === width", arg=width["width"])
            tab.evaluate(SETTLED)
        before = width
        found: list[str] = tab.evaluate(f"tags => guideChecks.{rules}(tags)", list(TAGS))
        yield from (f"{one} ({scheme}, {width['width']} px)" for one in found)
