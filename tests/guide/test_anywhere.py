"""A build where little is given: a strange path and locale, no network, no home; a tree that can't be written is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from guide import ROOT
from reproduce import SPHINX, differing
from small_tree import built, small_tree

BARE = ROOT / "tests" / "bare.py"
POOR = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": None, "XDG_CACHE_HOME": None}
PROBE = """
import locale, os, pathlib, socket
print(ascii([locale.getencoding(), "HOME" in os.environ, os.getcwd()]))
def tried(what):
    try:
        what()
    except OSError as error:
        return "no"
    return "yes"
print(tried(lambda: socket.create_connection(("192.0.2.1", 9), 3)), tried(lambda: pathlib.Path("docs/x").touch()))
"""


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the small checkout, built as usual."""
    return built(small_tree(tmp_path_factory.mktemp("usual") / "tree"))


def bare(tree: Path, *argv: str, without: tuple[str, ...] = (), **env: str | None) -> str:
    """Run Python in ``tree`` without something; return what it printed."""
    done = run_bare(tree, *argv, without=without, **env)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")


def run_bare(tree: Path, *argv: str, without: tuple[str, ...] = (), **env: str | None) -> CompletedProcess[bytes]:
    full = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", **env}
    known = {name: value for name, value in full.items() if value is not None}
    command = [sys.executable, str(BARE), *without, "--", *argv]
    return subprocess.run(command, cwd=tree, env=known, capture_output=True, timeout=280, check=False)


def test_a_strange_path_an_ascii_locale_no_network_and_no_home_change_no_file(
    usual: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    tree = small_tree(tmp_path / "a folder, with ü" / "tree")
    said = bare(tree, "-c", PROBE, without=("no-network",), **POOR).splitlines()
    ascii = "US-ASCII" if sys.platform == "darwin" else "ANSI_X3.4-1968"
    assert said[0].startswith(f"['{ascii}', False, ") and said[0].isascii()
    assert said[1] == "no yes"
    bare(tree, *SPHINX, without=("no-network",), **{**POOR, "PYTHONUTF8": "1"})
    assert differing(usual, tree / "build" / "html") == []
    record_property("hardships at once", 4)


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files are UTF-8 on macOS, whatever the locale")
def test_an_ascii_python_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run_bare(small_tree(tmp_path / "tree"), *SPHINX, **POOR)
    said = "compile_guide: Python works in ASCII here, and pages are UTF-8: set PYTHONUTF8=1\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A checkout in which nothing can be written."""
    tree = small_tree(tmp_path / "tree")
    shutil.copy(ROOT / "noxfile.py", tree)
    for path in (*tree.rglob("*"), tree):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return tree


def test_a_tree_that_can_not_be_written_is_refused_in_one_line(locked: Path) -> None:
    assert bare(locked, "-c", PROBE, without=("no-override",)).splitlines()[1].endswith(" no")
    done = run_bare(locked, "-m", "nox", "-s", "render", without=("no-override",))
    said = f"{locked} can't be written: copy the checkout to a folder of yours, and run this there"
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == f"nox > Session render aborted: {said}."
    assert not (locked / "build").exists() and not (locked / ".nox").exists()
