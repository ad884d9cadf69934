"""The option ``--promises FILE.json``: run the tests that ``FILE.md`` names, and write down what they found.

A test counts with ``record_property("kill points", 26)``; over a test's cases such figures are added up.
"""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from compile_guide.recorder.machine import chip, operating_system

ROW = re.compile(r"^(?!#|\|)(.+) \| (test_\w+\.py::test_\w+)$", re.MULTILINE)
PACKAGES = ("mlx", "sphinx", "sphinx-gallery", "pytest")


def promised(page: Path) -> list[tuple[str, str]]:
    """Return every promise of a page with the name of its test."""
    return [(found[1], found[2]) for found in ROW.finditer(page.read_text(encoding="utf-8"))]


def name_of(nodeid: str) -> str:
    """Return ``test_file.py::test_name`` of a test's case."""
    return nodeid.partition("[")[0].rpartition("/")[2]


class Notes:
    """Gathers what the tests report, and writes it when they have ended."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        empty = {
            "outcome": "passed",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "cases": 0,
            "seconds": 0.0,
            "figures": {},
        }
        it = self.seen.setdefault(name_of(report.nodeid), empty)
        it["seconds"] = round(it["seconds"] + report.duration, 1)
        if report.outcome != "passed" and it["outcome"] != "failed":
            it["outcome"] = report.outcome
        if report.when == "call":
            it["cases"] += 1
            for what, number in report.user_properties:
                it["figures"][what] = it["figures"].get(what, 0) + number

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.INTERRUPTED:  # nobody knows which cases would have failed
            return
        system = f"{chip()}, {os.cpu_count()} cores, {operating_system()}"
        versions = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
        run = {"machine": system, "versions": versions}
        old = json.loads(self.file.read_bytes()) if self.file.exists() else {}
        kept = old["tests"] if {key: old.get(key) for key in run} == run else {}  # of another machine: nothing
        wanted = {test for _, test in promised(self.file.with_suffix(".md"))}
        tests = {name: found for name, found in sorted({**kept, **self.seen}.items()) if name in wanted}
        text = json.dumps({**run, "tests": tests}, indent=1, ensure_ascii=False)
        self.file.write_text(text + "\n", encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", type=Path, metavar="FILE", help="run promised tests; write what they found to FILE")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--promises")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Notes(file))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if file := config.getoption("--promises"):
        wanted = {test for _, test in promised(file.with_suffix(".md"))}
        config.hook.pytest_deselected(items=[item for item in items if name_of(item.nodeid) not in wanted])
        items[:] = [item for item in items if name_of(item.nodeid) in wanted]
