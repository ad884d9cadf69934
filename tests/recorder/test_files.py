"""A file that is written is whole: the old one stays until the new one is there, and what is no file stays what it is."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from compile_guide._files import write_atomically


def test_the_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    (tmp_path / ".a.json.partial").write_bytes(b"half, of a process that was killed")
    (tmp_path / ".b.json.partial").write_bytes(b"of another file")
    for raw in (b"old", b"new"):
        write_atomically(raw, file)
        assert file.read_bytes() == raw
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json.partial", "a.json"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(b"new", tmp_path / "none" / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_replaced_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.mkdir()
    (file / "kept").write_bytes(b"")
    with pytest.raises(OSError, match=r"a\.json"):
        write_atomically(b"new", file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"] and (file / "kept").exists()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o444])
def test_a_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.touch()
    file.chmod(mode)
    write_atomically(b"new", file)
    assert file.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_mode_that_the_umask_allows(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_atomically(b"new", tmp_path / "a.json")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.json").symlink_to(Path("deep", "a.json"))
    for raw in (b"made", b"replaced"):
        write_atomically(raw, tmp_path / "link.json")
        assert (tmp_path / "link.json").is_symlink() and (tmp_path / "deep" / "a.json").read_bytes() == raw


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(b"new", pipe)
    reader.join(10)
    assert read == [b"new"] and pipe.is_fifo()


def test_a_device_is_written_to_and_stays_a_device() -> None:
    write_atomically(b"new", Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


SAVES = 150


def save_often(file: Path, letter: bytes) -> None:
    for _ in range(SAVES):
        write_atomically(letter * 5000, file)


def test_savers_of_one_file_do_not_disturb_each_other(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("saves of one file, two at a time", 2 * SAVES)
    file = tmp_path / "a.json"
    savers = [
        multiprocessing.get_context("fork").Process(target=save_often, args=(file, letter)) for letter in (b"a", b"b")
    ]
    for saver in savers:
        saver.start()
    seen = set()
    while any(saver.is_alive() for saver in savers):
        if file.exists():
            raw = file.read_bytes()
            seen.add((raw[:1], len(raw), len(set(raw))))
    assert [saver.exitcode for saver in savers] == [0, 0]
    assert seen <= {(b"a", 5000, 1), (b"b", 5000, 1)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
