"""A file that is saved is whole: the old one stays until the new one is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from compile_guide._files import save


def test_the_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    (tmp_path / ".a.json.killed.partial").write_bytes(b"half")
    (tmp_path / ".b.json.other.partial").write_bytes(b"of another file")
    for raw in (b"old", b"new"):
        save(raw, file)
        assert file.read_bytes() == raw
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.other.partial", "a.json"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save(b"new", tmp_path / "none" / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_replaced_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.mkdir()
    (file / "kept").write_bytes(b"")
    with pytest.raises(OSError, match=r"a\.json"):
        save(b"new", file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"] and (file / "kept").exists()
