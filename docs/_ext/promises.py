"""The directives ``promises`` and ``promises-run``: what the build promises, beside what the tests of it last found.

``promises.json`` lies beside the pages and is written by the tests: ``nox -s tests -- --promises=docs/promises.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from compile_guide.formatting import NOTHING
from compile_guide.sphinxext.nodes import Cell, paragraph, table, text, warn
from compile_guide.sphinxext.text import join

FILE = "promises.json"
MARKS = {"passed": "✓ kept", "failed": "✗ broken", "skipped": "? not shown", "not run": "? not tested"}
"""For a test's outcome, what a reader sees of its promise."""


def read(raw: bytes) -> dict[str, Any]:
    """Return what the tests wrote, with fields of the right types: a LookupError, TypeError ... where one isn't."""
    given = json.loads(raw)
    return {
        "machine": str(given["machine"]),
        "versions": {name: str(number) for name, number in given["versions"].items()},
        "tests": {
            name: {
                "outcome": str(it["outcome"]), "date": str(it["date"]), "cases": int(it["cases"]),
                "figures": {what: int(number) for what, number in it["figures"].items()},
            }
            for name, it in given["tests"].items()
        },
    }  # fmt: skip


class PromisesDirective(SphinxDirective):
    """A directive over ``promises.json``; its page is read again when that changes."""

    def found(self) -> dict[str, Any]:
        """Return what the file holds.

        Raises:
            ExtensionError: the file is missing or broken.
        """
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(file)
        try:
            return read(file.read_bytes())
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ExtensionError(f"{self.env.docname}: {FILE} can't be read ({why}): let the tests write it") from error


class Promises(PromisesDirective):
    """``promises``: a table of lines such as ``What is promised. | test_file.py::test_name``.

    A promise whose test hasn't passed is shown as such, and warned of.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        tests = self.found()["tests"]
        rows = [self._row(line, tests) for line in self.content if line.strip()]
        return [table(["Promise", "Tried", "Outcome"], rows)]

    def _row(self, line: str, tests: dict[str, Any]) -> list[Cell]:
        promise, _, name = (part.strip() for part in line.rpartition(" | "))
        found = tests.get(name, {"outcome": "not run"})
        if found["outcome"] != "passed":
            warn(f"a promise isn't shown to be kept: {name} ({found['outcome']})", "promise", self.get_location())
        said = nodes.container("", paragraph(promise), paragraph(nodes.literal(name, name), classes=["guide-test"]))
        when = f", {found['date']}" if "date" in found else ""
        return [said, figures(found), text(MARKS.get(found["outcome"], found["outcome"]) + when)]


def figures(found: dict[str, Any]) -> str:
    """Return what a test counted, "26 kill points and 13 broken builds"; else the number of its cases, if many."""
    counted = [f"{number:,} {what}" for what, number in found.get("figures", {}).items()]
    cases = found.get("cases", 0)
    return join(counted) if counted else f"{cases} cases" if cases > 1 else NOTHING


class PromisesRun(PromisesDirective):
    """``promises-run``: one line that says where the tests ran, and with what."""

    def run(self) -> list[nodes.Node]:
        """Return the line."""
        found = self.found()
        used = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        days = sorted({it["date"] for it in found["tests"].values()})
        when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "never"
        said = f"Tested {when} on {found['machine']}, with {used}."
        return [paragraph(said, classes=["measured-on"])]


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("promises", Promises)
    app.add_directive("promises-run", PromisesRun)
