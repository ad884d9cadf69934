"""What a build holds is set aside from Python's collector, and given back at its end."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from _ext import collecting
from site_builds import build, put_records, write
from sphinx.environment import BuildEnvironment

EVERY = 4
PAGES = {f"docs/page{number}.md": f"# Page {number}\n" for number in range(8)}
INDEX = {"docs/index.md": "# Start\n\n```{toctree}\n:glob:\n\npage*\n```\n"}


@pytest.fixture(autouse=True)
def _few_and_none_aside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gc.unfreeze()
    gc.set_threshold(*collecting.BEFORE)  # a build of another test's may have failed before its first page
    monkeypatch.setattr(collecting, "EVERY", EVERY)
    monkeypatch.setattr(collecting, "_scripts", itertools.count())
    yield
    gc.unfreeze()


def test_before_some_scripts_all_that_is_held_is_set_aside_and_garbage_is_not() -> None:
    collecting.set_aside({}, "a.py", "after")
    assert gc.get_freeze_count() == 0
    garbage: list[object] = []
    garbage.append(garbage)
    del garbage
    collecting.set_aside({}, "a.py", "before")
    held = gc.get_freeze_count()
    assert held > 10_000
    assert gc.collect() == 0
    new: list[list[object]] = [[] for _ in range(5000)]
    for number in range(EVERY - 1):
        collecting.set_aside({}, f"{number}.py", "before")
    assert gc.get_freeze_count() <= held + 100
    collecting.set_aside({}, "last.py", "before")
    assert gc.get_freeze_count() >= held + len(new)


def test_a_build_sets_aside_while_it_reads_and_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    real = collecting._set_aside_all
    monkeypatch.setattr(collecting, "_set_aside_all", lambda: seen.append(gc.get_threshold()) or real())
    write(tmp_path, PAGES | INDEX)
    put_records(tmp_path)
    site = build(tmp_path)
    assert site.warnings == []
    assert seen == [collecting.NEW] * (len(PAGES | INDEX) // EVERY + 1)
    assert collecting.NEW > collecting.BEFORE == gc.get_threshold()
    assert gc.get_freeze_count() == 0


def test_a_build_gives_back_after_one_that_never_came_to_its_end(tmp_path: Path) -> None:
    collecting.Pages()
    assert gc.get_threshold() == collecting.NEW
    write(tmp_path, PAGES | INDEX)
    put_records(tmp_path)
    build(tmp_path)
    assert gc.get_threshold() == collecting.BEFORE < collecting.NEW
    assert gc.get_freeze_count() == 0


def test_trees_that_are_on_the_disk_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    real = collecting._let_go

    def let_go(env: BuildEnvironment) -> None:
        held.append(len(env._write_doc_doctree_cache))
        real(env)
        assert not env._write_doc_doctree_cache

    monkeypatch.setattr(collecting, "_let_go", let_go)
    for name in ("let-go", "held"):
        write(tmp_path / name, PAGES | INDEX)
        put_records(tmp_path / name)
    pages = build(tmp_path / "let-go").out
    assert held == [EVERY - 1, EVERY, 2]  # when one is counted it isn't read yet
    monkeypatch.setattr(collecting, "EVERY", 1000)
    others = build(tmp_path / "held").out
    assert len(held) == 3
    names = sorted(file.relative_to(pages) for file in pages.rglob("*.html"))
    assert len(names) >= len(PAGES | INDEX)
    assert [(pages / name).read_bytes() for name in names] == [(others / name).read_bytes() for name in names]


def test_what_an_earlier_build_left_is_set_aside_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside: list[int] = []
    real = collecting.Pages.loaded

    def loaded(*args: object) -> object:
        aside.append(gc.get_freeze_count())
        found = real(*args)
        aside.append(gc.get_freeze_count())
        return found

    monkeypatch.setattr(collecting.Pages, "loaded", staticmethod(loaded))
    write(tmp_path, PAGES | INDEX)
    put_records(tmp_path)
    build(tmp_path)
    build(tmp_path)
    assert len(aside) == 4
    imported, loaded_too = aside[2:]
    assert 10_000 < imported < loaded_too
    assert gc.get_freeze_count() == 0


def test_a_build_without_much_to_read_collects_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, PAGES | INDEX)
    put_records(tmp_path)
    build(tmp_path)
    (tmp_path / "docs" / "page0.md").write_text("# Another title\n", encoding="utf-8")
    aside: list[int] = []
    monkeypatch.setattr(collecting, "_set_aside_all", lambda: aside.append(1))
    build(tmp_path)
    assert aside == []
