"""The same files from every build: elsewhere, at another time, and from an incremental one as from a clean one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_tree import EXAMPLE, PLAIN, put_record, small_tree

from compile_guide import reproduce
from compile_guide.reproduce import ONE, build, copy_tree, differing, digests


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkout that has been built."""
    tree = small_tree(tmp_path_factory.mktemp("built") / "tree")
    build(tree, ONE)
    return tree


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


EDITS: dict[str, Callable[[Path], None]] = {
    "record": lambda tree: put_record(tree, 3.01, 3.02, 3.03, 3.03, 3.04, 3.05),
    "helper": lambda tree: edit(tree / "src/compile_guide/timing.py", '("speed-up", ', '("gain", '),
    "script": lambda tree: edit(tree / "gallery/basics/plain.py", PLAIN, PLAIN.replace("zebra", "gnu")),
    "script's title": lambda tree: edit(tree / "gallery/basics/plain.py", "Plain words\n=====", "Other words\n====="),
    "script without its figure": lambda tree: edit(
        tree / "gallery/basics/example.py", EXAMPLE[EXAMPLE.index("# %%\n# A figure") :], ""
    ),
    "page": lambda tree: edit(tree / "docs/third.md", "quokka", "wombat"),
    "page's title": lambda tree: edit(tree / "docs/third.md", "The third page", "A page of another name"),
    "deleted page": lambda tree: (
        (tree / "docs/third.md").unlink(),
        edit(tree / "docs/index.md", "third\n", ""),
        edit(tree / "docs/second.md", "See [the third](third.md) and [](third.md#a-part).", "Alone."),
    )[0],
    "deleted example": lambda tree: (tree / "gallery/basics/plain.py").unlink(),
    "new example": lambda tree: (
        (tree / "gallery/basics/more.py").write_text(PLAIN.replace("Plain", "More "), "utf-8") and None
    ),
    "static file": lambda tree: (tree / "docs/_static/screenshot.png").unlink(),
    "setting": lambda tree: edit(tree / "conf.py", 'project = "MLX Compile Guide"', 'project = "Another Guide"'),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_incremental_build_leaves_what_a_clean_one_does(name: str, built: Path, tmp_path: Path) -> None:
    """The edits go one after the other into one checkout, as a writer makes them."""
    pages = built / "build" / "html"
    before = digests(pages)
    EDITS[name](built)
    build(built, ONE)
    copy_tree(built, tmp_path / "clean")
    assert differing(pages, build(tmp_path / "clean", ONE)) == []
    assert digests(pages) != before  # the edit has been seen


def test_two_builds_in_two_environments_leave_the_same_files(tmp_path: Path) -> None:
    rows, names, count = reproduce.twice(small_tree(tmp_path / "tree"), tmp_path / "two")
    assert names == []
    assert count > 50
    assert {"folder", "umask", "jobs", "TZ", "LC_ALL", "PYTHONHASHSEED", "HOME"} <= {row[0] for row in rows}


def test_a_difference_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = small_tree(tmp_path / "tree")
    shutil.rmtree(tree / "gallery" / "basics")  # what is left has no examples to run, and builds the sooner
    edit(tree / "docs/index.md", "gelu | GELU | /gallery/basics/example", "gelu | GELU")
    with (tree / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write("import time\nhtml_title = time.strftime('built in %Z')\n")
    assert reproduce.main(["--tree", str(tree)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "differs: index.html" in said
    assert any(line.startswith("TZ ") and "Pacific/Kiritimati" in line for line in said)
