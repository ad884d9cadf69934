"""The page of promises: its tests exist, they have passed, and what they count is what they try."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import test_bounds
import test_hostile
import test_killed
import test_recorder
import test_reproducible
from guide import PATHS, ROOT
from promises import promised
from site_builds import Site, build, put_records, write

TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "promises.md"
FOUND = json.loads(PAGE.with_suffix(".json").read_bytes())["tests"] if PAGE.with_suffix(".json").exists() else {}
PROMISES = promised(PAGE)
REMEDY = "nox -s tests -- --promises=docs/promises.json"


def test_every_line_of_the_page_is_a_promise_with_its_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = [part.partition("\n```")[0].strip() for part in page.split("```{promises}\n")[1:]]
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == len(PROMISES) >= 40


@pytest.mark.parametrize("name", [name for _, name in PROMISES])
def test_a_promise_has_its_test_which_asserts_and_has_passed(name: str) -> None:
    file, _, function = name.partition("::")
    (path,) = TESTS.rglob(file)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (test,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(test))
    assert FOUND.get(name, {}).get("outcome") == "passed", f"run `{REMEDY}`"


def test_what_the_page_counts_is_what_the_tests_try() -> None:
    counted = {what: number for found in FOUND.values() for what, number in found["figures"].items()}
    assert counted["kills of a build"] == test_killed.KILLS >= 25, REMEDY
    assert counted["kills of a recording"] == test_killed.RECORDING_KILLS >= 60, REMEDY
    assert counted["sizes of a full disk"] == test_killed.STAGES, REMEDY
    assert counted["kinds of edit"] == len(test_reproducible.EDITS), REMEDY
    assert counted["hostile files"] == len(test_hostile.CORPUS) >= 60, REMEDY
    assert counted["examples that misbehave in a recording"] == len(test_recorder.FAULTS) + 1 >= 15, REMEDY
    assert counted["examples that misbehave in a build"] >= 18, REMEDY
    assert counted["kinds of state that don't reach the next example"] >= 35, REMEDY
    assert counted["changed records, each through every command"] >= test_bounds.MUTANTS >= 3000, REMEDY


# The page


def page(folder: Path, **found: object) -> Site:
    kept = {"outcome": "passed", "date": "2026-11-22", "cases": 2, "seconds": 1.0, "figures": {}}
    tests = {name: {**kept, **(facts if isinstance(facts, dict) else {})} for name, facts in found.items()}
    run = {"machine": "A chip, 2 cores, an OS", "versions": {"Python": "3.11.7", "mlx": "0.32.4"}}
    text = "# P\n\n```{promises-run}\n```\n\n```{promises}\nIt <b>is</b> kept. | test_a.py::test_it\n```\n"
    write(folder, {"docs/index.md": text, "docs/promises.json": json.dumps({**run, "tests": tests})})
    put_records(folder)
    return build(folder, settings='extensions.append("_ext.promises")\n')


def test_a_kept_promise_stands_beside_its_figures_and_date(tmp_path: Path) -> None:
    site = page(tmp_path, **{"test_a.py::test_it": {"figures": {"kills": 26, "hostile files": 1200}}})
    assert site.warnings == []
    assert "Tested 2026-11-22 on A chip, 2 cores, an OS, with Python 3.11.7, mlx 0.32.4." in site.text()
    assert "It <b>is</b> kept. test_a.py::test_it 26 kills and 1,200 hostile files ✓ kept, 2026-11-22" in site.text()


@pytest.mark.parametrize(
    ("found", "outcome", "shown"),
    [
        ({"test_a.py::test_it": {"outcome": "failed"}}, "failed", "✗ broken, 2026-11-22"),
        ({"test_a.py::test_it": {"outcome": "skipped"}}, "skipped", "? not shown, 2026-11-22"),
        ({"test_a.py::test_other": {}}, "not run", "? not tested"),
    ],
)
def test_a_promise_without_a_passed_test_is_shown_as_such_and_warned_of(
    found: dict[str, object], outcome: str, shown: str, tmp_path: Path
) -> None:
    site = page(tmp_path, **found)
    (warning,) = site.warnings
    assert f"a promise isn't shown to be kept: test_a.py::test_it ({outcome}) [compile_guide.promise]" in warning
    assert shown in site.text()


def test_a_new_result_is_on_the_page_after_the_next_build(tmp_path: Path) -> None:
    page(tmp_path, **{"test_a.py::test_it": {"outcome": "failed"}})
    assert "✓ kept" in page(tmp_path, **{"test_a.py::test_it": {"outcome": "passed"}}).text()


# What writes it

SUITE = """
import pytest

@pytest.mark.parametrize("number", [1, 2, 3])
def test_counts(number, record_property):
    record_property("things", number)

def test_fails():
    assert False

@pytest.fixture
def nothing():
    raise RuntimeError

def test_can_not_start(nothing): ...

def test_is_skipped():
    pytest.skip("not here")

def test_is_not_promised():
    raise SystemExit("was run")
"""
NAMES = ("counts", "fails", "can_not_start", "is_skipped")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_tests_write_down_what_they_found(workers: str, tmp_path: Path) -> None:
    lines = "\n".join(f"A promise. | test_suite.py::test_{name}" for name in NAMES)
    hooks = "from promises import pytest_addoption, pytest_collection_modifyitems, pytest_configure\n"
    old = {"machine": "another", "versions": {}, "tests": {"test_suite.py::test_fails": {"outcome": "passed"}}}
    write(tmp_path, {"test_suite.py": SUITE, "conftest.py": hooks, "p.md": lines, "p.json": json.dumps(old)})
    argv = ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir=.", "-n", workers, "--promises", "p.json"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}
    done = subprocess.run([sys.executable, *argv], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "p.json").read_bytes())
    outcomes = {name: found["tests"][f"test_suite.py::test_{name}"]["outcome"] for name in NAMES}
    assert outcomes == {"counts": "passed", "fails": "failed", "can_not_start": "failed", "is_skipped": "skipped"}, done
    assert len(found["tests"]) == len(NAMES)
    counts = found["tests"]["test_suite.py::test_counts"]
    assert (counts["cases"], counts["figures"]) == (3, {"things": 6})
    assert found["versions"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    only = [*argv, "-k", "counts"]  # what isn't run again stays, on the same machine
    subprocess.run([sys.executable, *only], cwd=tmp_path, env=env, capture_output=True, check=True)
    again = json.loads((tmp_path / "p.json").read_bytes())["tests"]
    assert {name: facts["outcome"] for name, facts in again.items()} == {
        f"test_suite.py::test_{n}": o for n, o in outcomes.items()
    }
