"""The page of promises names tests that exist, and counts what they count."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import test_killed
import test_reproducible

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "promises.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"^\| (.+) \| `(test_\w+\.py)::(test_\w+)` \|$", PAGE, re.MULTILINE)


def test_every_row_of_the_page_is_a_promise_with_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = PAGE.count("| Promise | Test |")
    assert heads >= 5 and len(rows) - 2 * heads == len(PROMISES) >= 25


@pytest.mark.parametrize(("file", "name"), [promise[1:] for promise in PROMISES])
def test_a_promise_has_its_test_and_the_test_asserts(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(found))


def test_the_counts_on_the_page_are_those_of_the_tests() -> None:
    assert PAGE.count(f"at any of {test_killed.KILLS} points") == 2
    assert f"any of {test_killed.STAGES} stages" in PAGE
    assert f"After each of {len(test_reproducible.EDITS)} kinds of edit" in PAGE
