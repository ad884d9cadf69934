"""Look at the built site in a browser: ``python -m browser build/html``. Exit status 1 if anything is wrong."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from playwright.sync_api import Error

from browser import downloads, keyboard, lighthouse, links, needs, search, serve, validity, visit
from browser.findings import Finding, Row, report
from browser.lanes import Lane, Task, side_by_side

VISITED = (
    *("axe", "overflow at 320 px", "without JavaScript", "reduced motion"),
    *("requests to third parties", "console and policy", "weight of first view"),
)
MOSTLY = ("index.html", "search.html", "gallery/index.html", "claims.html")
"""Pages that the keyboard walks through, besides an example, where the code is."""
SUMMED_UP = "training"
"""A search that finds examples, pages and parts of the ledger."""


def visits(root: Path, home: str, names: list[str], modules: Path) -> list[Task]:
    """Return a task for each page, the largest first; it returns what was seen."""
    axe = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    ended = itertools.count(1)

    def visit_one(name: str, lane: Lane) -> visit.Visited:
        if "visitor" not in lane.kept:
            lane.kept["visitor"] = visit.Visitor.of(lane.browser, root, home, axe)
        try:
            seen: visit.Visited = lane.kept["visitor"].visit(name)
        except Error as problem:  # the next page gets a tab of its own
            del lane.kept["visitor"]
            seen = visit.Visited(name)
            seen.add("console and policy", [f"can't be looked at: {problem.message.splitlines()[0]}"])
        print(f"\r{next(ended)} of {len(names)} pages", end="", file=sys.stderr, flush=True)
        return seen

    largest = sorted(names, key=lambda name: -(root / name).stat().st_size)
    return [partial(visit_one, name) for name in largest]


def as_rows(seen: list[visit.Visited]) -> list[Row]:
    """Return a row for each thing that the visits looked for; the heaviest page stands first."""
    figures = {
        "axe": "WCAG 2.2 AA and best practice; light and dark, 1280 and 320 px",
        "requests to third parties": f"{sum(one.requests for one in seen)} requests in all",
        "weight of first view": f"at most {seen[0].weight / 1024:.0f} of 120 KB: {seen[0].page}",
    }
    found = [finding for one in seen for finding in one.findings]
    return [Row(check, f"{len(seen)} pages", _of(check, found), figures.get(check, "")) for check in VISITED]


def _of(check: str, found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in found if finding.check == check)


def files(root: Path, names: list[str], modules: Path, python: Path) -> list[Task]:
    """Return tasks that need no browser: links, anchors, valid HTML, downloads, some of which ``python`` runs."""
    jar = modules / "vnu-jar" / "build" / "dist" / "vnu.jar"

    def html(lane: Lane) -> Row:
        return Row("valid HTML", f"{len(names)} pages", tuple(validity.invalid(root, names, jar)))

    def addresses(lane: Lane) -> Row:
        lost = tuple(links.lost_links(root, names))
        return Row("links and anchors", f"{links.count(root, names)} addresses", lost)

    def taken_along(lane: Lane) -> Row:
        found = (*downloads.faults(root), *downloads.runs(root, python))
        return Row(downloads.CHECK, f"{len(downloads.files(root))} files", found, "zips unpacked into empty folders")

    return [html, addresses, taken_along]


def as_reader(root: Path, home: str, names: list[str]) -> list[Task]:
    """Return tasks that use the site: by keyboard, and by searching, over http and without a server."""
    example = next((name for name in names if name.startswith("gallery/speed/")), "index.html")
    walked = [*(name for name in MOSTLY if name in names), example]

    def walk(lane: Lane) -> Row:
        stops, found = keyboard.by_keyboard(lane.browser, home, walked, example)
        return Row(keyboard.CHECK, f"{len(walked)} pages", tuple(found), f"{stops} stops; search, copy")

    def find(place: str, lane: Lane) -> Row:
        wanted = search.queries()
        lost = tuple(search.missed(lane.browser, place, wanted))
        share = 1 - len(lost) / len(wanted)
        hit = f"{len(wanted) - len(lost)} of {len(wanted)} find their page first: {share:.0%}"
        return Row(f"search, {place.partition(':')[0]}", f"{len(wanted)} queries", lost, hit)

    def sum_up(lane: Lane) -> Row:
        bad = tuple(search.badly_summed_up(lane.browser, home, SUMMED_UP))
        return Row("search, summaries", "10 results", bad, f"of {SUMMED_UP!r}")

    return [walk, partial(find, home), partial(find, root.as_uri() + "/"), sum_up]


def audits(home: str, names: list[str], modules: Path) -> Row:
    """Ask Lighthouse about these pages."""
    results = [lighthouse.audit(home, name, modules) for name in names]
    lowest = {kind: min(scores[kind] for scores, _ in results) for kind in lighthouse.WANTED}
    figure = ", ".join(f"{kind} {score:.2f}" for kind, score in lowest.items())
    return Row(lighthouse.CHECK, f"{len(names)} pages", tuple(one for _, found in results for one in found), figure)


def check(root: Path, cache: Path, *, with_lighthouse: bool) -> list[Row]:
    """Run every check on the site below ``root``; npm packages lie below ``cache``.

    Lighthouse measures speed, and so comes last, when nothing else runs.
    """
    modules, names = needs.node_modules(cache), serve.pages_of(root)
    with serve.served(root) as home:
        others = [*files(root, names, modules, needs.plain_python(cache)), *as_reader(root, home, names)]
        ended = side_by_side([*others, *visits(root, home, names, modules)])
        print(file=sys.stderr)
        seen = sorted(ended[len(others) :], key=lambda one: -one.weight)
        rows = [*as_rows(seen), *ended[: len(others)]]
        if with_lighthouse:
            heaviest = [one.page for one in seen if one.page not in ("index.html", "search.html")][:3]
            rows.append(audits(home, ["index.html", *heaviest], modules))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, check, print; return the exit status."""
    parser = argparse.ArgumentParser(prog="nox -s browser --", description=__doc__)
    parser.add_argument("site", type=Path, help="folder of the built site")
    parser.add_argument("--cache", type=Path, default=Path(".nox", "browser"), help="where npm's packages are put")
    parser.add_argument("--no-lighthouse", action="store_true", help="leave Lighthouse out: it wants a quiet machine")
    chosen = parser.parse_args(arguments)
    if not (chosen.site / "index.html").is_file():
        print(f"{chosen.site} holds no built site: run `nox -s render` first", file=sys.stderr)
        return 2
    start = time.monotonic()
    try:
        rows = check(chosen.site.resolve(), chosen.cache, with_lighthouse=not chosen.no_lighthouse)
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(report(rows))
    wrong = sum(len(row.findings) for row in rows)
    print(f"\n{wrong or 'No'} finding{'' if wrong == 1 else 's'} in {time.monotonic() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
