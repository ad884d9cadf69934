"""The same files from every build: elsewhere, at another time, and from an incremental one as from a clean one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import reproduce
from reproduce import copy_tree, differing, digests
from site_builds import FAST, build, machine, put_records, write
from small_tree import EXAMPLE, PLAIN, built, put_record, small_tree

from _ext.incremental import shortened
from compile_guide.records.schema import save


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkout that has been built."""
    tree = small_tree(tmp_path_factory.mktemp("built") / "tree")
    built(tree)
    return tree


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


ANOTHER = machine("cuda-h200", "cuda", FAST, gpu="NVIDIA H200")
EDITS: dict[str, Callable[[Path], None]] = {
    "record": lambda tree: put_record(tree, 3.01, 3.02, 3.03, 3.03, 3.04, 3.05),
    "helper": lambda tree: edit(tree / "src/compile_guide/comparison.py", '("speed-up", ', '("gain", '),
    "this guide's own extension": lambda tree: edit(tree / "docs/_ext/cards.py", "guide-card-intro", "guide-card-says"),
    "claim": lambda tree: edit(tree / "docs/claims/tracing.py", "mx.compile works as a decorator", "One may decorate"),
    "record more": lambda tree: save(ANOTHER, tree / "docs/records/cuda-h200.json"),
    "record less": lambda tree: (tree / "docs/records/cuda-h200.json").unlink(),
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
def test_an_incremental_build_leaves_what_a_clean_one_does(
    name: str, tree: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The edits go one after the other into one checkout, as a writer makes them."""
    record_property("kinds of edit", 1)
    pages = tree / "build" / "html"
    before = digests(pages)
    EDITS[name](tree)
    built(tree)
    copy_tree(tree, tmp_path / "clean")
    assert differing(pages, built(tmp_path / "clean")) == []
    assert digests(pages) != before  # the edit has been seen


def test_two_builds_in_two_environments_leave_the_same_files(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rows, names, count = reproduce.twice(small_tree(tmp_path / "tree"), tmp_path / "two")
    assert names == []
    assert count > 50
    assert ("clock", "true", f"{reproduce.DAYS} days ahead") in rows or sys.platform != "linux"
    assert {"folder", "umask", "jobs", "TZ", "LC_ALL", "PYTHONHASHSEED", "HOME"} <= {row[0] for row in rows}
    record_property("differences between the environments", len(rows))
    record_property("files", count)


def test_a_paragraph_more_is_no_reason_to_write_other_pages_again(tmp_path: Path) -> None:
    pages = {"index": "# One\n\n```{toctree}\nsecond\nthird\n```\n", "second": "# Two\n\nWords.\n\n## Part\n"}
    pages["third"] = "# Three\n\nSee [](second.md#part).\n"
    write(tmp_path, {f"docs/{name}.md": text for name, text in pages.items()})
    put_records(tmp_path)
    settings = "myst_heading_anchors = 3\n"
    third = build(tmp_path, guide=True, settings=settings).out / "third.html"
    before = third.stat().st_mtime_ns
    edit(tmp_path / "docs" / "second.md", "Words.", "Words.\n\nMore of them.")
    build(tmp_path, guide=True, settings=settings)
    assert third.stat().st_mtime_ns == before
    edit(tmp_path / "docs" / "second.md", "## Part", "## Another title\n\n## Part")
    build(tmp_path, guide=True, settings=settings)
    assert third.stat().st_mtime_ns > before


def test_where_packages_lie_is_left_out_of_the_build_info() -> None:
    one, other = ([f"/{place}/sphinx_design/static", "docs/_static"] for place in ("home/a/.nox/lib", "usr/lib"))
    assert shortened(one) == shortened(other) == ["sphinx_design/static", "docs/_static"]


def test_a_difference_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = "import time\nhtml_title = time.strftime('built in %Z')\nhtml_theme = 'basic'\n"
    write(tmp_path / "tree", {"conf.py": conf, "docs/index.rst": "Start\n=====\n"})
    assert reproduce.main(["--tree", str(tmp_path / "tree")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "differs: index.html" in said
    assert any(line.startswith("TZ ") and "Pacific/Kiritimati" in line for line in said)


def test_another_python_that_is_none_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "tree", {"conf.py": "html_theme = 'basic'\n", "docs/index.rst": "Start\n=====\n"})
    assert reproduce.main(["--tree", str(tmp_path / "tree"), "--python", "/nowhere/python"]) == 2
    assert capsys.readouterr().err == "reproduce: [Errno 2] No such file or directory: '/nowhere/python'\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the clock turned")
def test_a_turned_clock_is_in_another_year_and_still_waits_and_sleeps(tmp_path: Path) -> None:
    code = "import datetime, threading, time; print(datetime.datetime.now().year, time.localtime().tm_year); "
    code += "threading.Event().wait(0.01); time.sleep(0.01)"
    env = {**os.environ, **reproduce.clock(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    one, other = map(int, said.stdout.split())
    assert one == other >= datetime.now().year + reproduce.DAYS // 365
