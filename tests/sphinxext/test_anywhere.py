"""A build where little is given: a tree that can't be written, a strange path and locale, no network, no home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import pytest
from reproduce import SPHINX, differing
from small_tree import ROOT, built, small_tree
from test_noxfile import noxfile  # noqa: F401 - a fixture

from compile_guide.elsewhere import MARK, ElsewhereError, default_folder, refresh

BARE = Path(__file__).with_name("bare.py")
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
IN_A_COPY = f"""
import os, sys, noxfile
noxfile.go_where_to_work(None)
os.execv(sys.executable, [sys.executable, *{SPHINX!r}])
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
    usual: Path,
    tmp_path: Path,
    noxfile: ModuleType,  # noqa: F811
    record_property: Callable[[str, object], None],
) -> None:
    tree = small_tree(tmp_path / "a folder, with ü" / "tree")
    said = bare(tree, "-c", PROBE, without=("no-network",), **POOR).splitlines()
    ascii = "US-ASCII" if sys.platform == "darwin" else "ANSI_X3.4-1968"
    assert said[0].startswith(f"['{ascii}', False, ") and said[0].isascii()
    assert said[1] == "no yes"
    bare(tree, *SPHINX, without=("no-network",), **{**POOR, **noxfile.UTF8})
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


def test_a_tree_that_can_not_be_written_is_built_in_a_copy(usual: Path, locked: Path, tmp_path: Path) -> None:
    assert bare(locked, "-c", PROBE, without=("no-override",)).splitlines()[1].endswith(" no")
    said = bare(locked, "-c", IN_A_COPY, without=("no-override",), XDG_CACHE_HOME=str(tmp_path / "cache"))
    (copy,) = (tmp_path / "cache" / "mlx-compile-guide").iterdir()
    why = "this checkout can't be written (-- --out DIR names another folder)"
    assert said.splitlines()[0] == f"Working in {copy}: {why}"
    assert differing(usual, copy / "build" / "html") == []
    assert sorted(path.name for path in locked.iterdir()) == ["conf.py", "docs", "gallery", "noxfile.py", "src"]


# The copy


def checkout(folder: Path) -> Path:
    for name in ("conf.py", "docs/index.md", "docs/old.md", "docs/records/a.json", "gallery/one/a.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_copy_follows_its_checkout_and_keeps_what_was_made_in_it(tmp_path: Path) -> None:
    tree, copy = checkout(tmp_path / "tree"), tmp_path / "copy"
    refresh(tree, copy)
    for made in ("docs/gallery/page.rst", "build/html/index.html", ".nox/python", "docs/records/own.json"):
        (copy / made).parent.mkdir(parents=True, exist_ok=True)
        (copy / made).write_text("made")
    (tree / "docs/old.md").unlink()
    (tree / "docs/index.md").write_text("changed")
    refresh(tree, copy)
    there = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert there == {MARK, "conf.py", "docs/index.md", "docs/records/a.json", "gallery/one/a.py", "docs/gallery/page.rst",
                     "build/html/index.html", ".nox/python", "docs/records/own.json"}  # fmt: skip
    assert (copy / "docs/index.md").read_text() == "changed"


@pytest.mark.parametrize(("here", "there", "kept"), [("2026-11-21", "2026-11-22", True), ("2026-11-22", "2026-11-21", False)])  # fmt: skip
def test_of_two_records_of_one_name_the_later_one_stays(here: str, there: str, kept: bool, tmp_path: Path) -> None:
    tree, copy = checkout(tmp_path / "tree"), tmp_path / "copy"
    refresh(tree, copy)
    for folder, day in ((tree, here), (copy, there)):
        (folder / "docs/records/a.json").write_text(f'{{"created": "{day}T00:00:00Z", "id": "of {folder.name}"}}')
    refresh(tree, copy)
    assert ("of copy" in (copy / "docs/records/a.json").read_text()) == kept


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path) -> None:
    tree, home = checkout(tmp_path / "tree"), tmp_path / "home"
    (home / "docs").mkdir(parents=True)
    (home / "docs" / "diary.md").write_text("mine")
    with pytest.raises(ElsewhereError, match=r"home holds other things: name a folder that is new or empty$"):
        refresh(tree, home)
    with pytest.raises(ElsewhereError):
        refresh(tree, tree)
    assert [path.name for path in home.rglob("*")] == ["docs", "diary.md"]


def test_without_a_home_the_copy_is_in_a_new_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/nobody")
    first, second = default_folder(tmp_path), default_folder(tmp_path)
    assert first != second and first.is_dir() and not any(first.iterdir())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder(tmp_path) == default_folder(tmp_path)
