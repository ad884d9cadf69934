"""Links and anchors of the built site, read from the files: each has to lead to a file and a place that there is."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from browser.findings import Finding

ADDRESSES = ("href", "src", "srcset", "action", "poster", "data")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


@dataclass
class Page(HTMLParser):
    """What one page offers and wants: its ids, and the addresses that it names."""

    ids: set[str] = field(default_factory=set)
    wanted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Set the parser up, which a dataclass doesn't do."""
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and addresses."""
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value or "")
            elif name in ADDRESSES and value:
                self.wanted.append(value.split()[0] if name == "srcset" else value)


@functools.cache
def read(file: Path) -> Page:
    """Return what a page offers and wants."""
    page = Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def lost_links(root: Path, names: list[str]) -> Iterator[Finding]:
    """Yield each address within the site that leads nowhere; other sites are not asked."""
    pages = {(root / name).resolve(): read((root / name).resolve()) for name in names}
    for file, page in pages.items():
        for address in dict.fromkeys(page.wanted):
            if not ELSEWHERE.match(address) and (why := _lost(file, address, pages)):
                yield Finding("links and anchors", file.relative_to(root.resolve()).as_posix(), f"{address}: {why}")


def _lost(file: Path, address: str, pages: dict[Path, Page]) -> str:
    path, _, place = address.partition("#")
    path = unquote(path.partition("?")[0])
    target = (file.parent / path).resolve() if path else file
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "no such file"
    known = pages.get(target)
    return "no such place" if place and known and unquote(place) not in known.ids | {"top"} else ""


def count(root: Path, names: list[str]) -> int:
    """Return how many addresses the pages name."""
    return sum(len(read((root / name).resolve()).wanted) for name in names)
