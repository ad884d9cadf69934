"""Records as files beside the pages: those that were accepted, byte for byte, and in no other file's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import make_record
from site_builds import FAST, Site, build, machine, put_records, write

from compile_guide.sphinxext.record_files import WROTE, schema

LISTED = "# T\n\n```{record-files}\n```\n"
NAME = "cpu-test-chip-mlx-0-32-4.json"
H200 = machine("cuda-h200", "cuda", FAST, gpu="NVIDIA H200")
SWAPPED = """
def swap(app, env):
    (app.srcdir / "records" / "cuda-h200.json").write_text('{"evil": 1}')


def setup(app):
    app.connect("env-updated", swap)
"""


def published(folder: Path, text: str = LISTED, settings: str = "") -> Site:
    write(folder, {"docs/index.md": text})
    return build(folder, settings=settings)


def files(site: Site) -> set[str]:
    return {file.name for file in (site.out / "records").glob("*")}


def test_records_are_published_as_they_are_and_with_their_schema(tmp_path: Path) -> None:
    put_records(tmp_path)
    site = published(tmp_path)
    assert site.warnings == []
    assert (site.out / "records" / NAME).read_bytes() == (tmp_path / "docs" / "records" / NAME).read_bytes()
    assert (site.out / "records" / "schema.json").read_bytes() == schema()
    assert f'href="records/{NAME}"' in site.page() and 'href="records/schema.json"' in site.page()


def test_a_page_in_a_folder_links_to_the_files_of_the_site(tmp_path: Path) -> None:
    write(tmp_path, {"docs/data/files.md": LISTED})
    put_records(tmp_path)
    site = published(tmp_path, "# T\n\n```{toctree}\ndata/files\n```\n")
    assert f'href="../records/{NAME}"' in site.page("data/files")
    assert files(site) == {NAME, "schema.json"}


def test_a_site_that_links_to_none_publishes_none(tmp_path: Path) -> None:
    put_records(tmp_path)
    assert files(published(tmp_path, "# T\n\n{measured}`gelu`\n")) == set()


def test_the_files_go_with_the_last_page_that_links_to_them(tmp_path: Path) -> None:
    put_records(tmp_path)
    assert files(published(tmp_path)) == {NAME, "schema.json"}
    assert files(published(tmp_path, "# T\n\nNo longer.\n")) == set()


def test_a_record_that_comes_is_published_and_one_that_goes_is_not(tmp_path: Path) -> None:
    put_records(tmp_path)
    published(tmp_path)
    put_records(tmp_path, make_record(), H200)
    site = build(tmp_path)
    assert files(site) == {NAME, "cuda-h200.json", "schema.json"}
    assert 'href="records/cuda-h200.json"' in site.page()
    put_records(tmp_path)
    site = build(tmp_path)
    assert files(site) == {NAME, "schema.json"}
    assert "cuda-h200" not in site.page()


def test_a_file_that_is_no_record_is_not_published(tmp_path: Path) -> None:
    put_records(tmp_path)
    write(tmp_path, {"docs/records/evil.json": '{"schema": 1}'})
    site = published(tmp_path)
    assert files(site) == {NAME, "schema.json"}
    assert "evil" not in site.page()


def test_a_record_that_is_exchanged_while_the_site_is_built_is_published_as_it_was_checked_or_not_at_all(
    tmp_path: Path,
) -> None:
    put_records(tmp_path, make_record(), H200)
    site = published(tmp_path, settings=SWAPPED)
    assert files(site) >= {NAME, "schema.json"}
    assert all(b"evil" not in file.read_bytes() for file in (site.out / "records").glob("*"))


@pytest.mark.parametrize("name", [NAME, "schema.json"])
def test_somebody_elses_file_is_left_alone_and_warned_of_by_each_build(name: str, tmp_path: Path) -> None:
    put_records(tmp_path)
    write(tmp_path, {f"out/records/{name}": "mine", "out/records/other.json": "mine"})
    for _ in range(2):
        site = published(tmp_path)
        assert site.warnings == [
            f"WARNING: {tmp_path}/out/records/{name} is somebody else's file, so nothing is written there: "
            "delete it to have ours [compile_guide.file]"
        ]
    assert files(site) == {NAME, "schema.json", "other.json"}
    published(tmp_path, "# T\n")
    mine = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "out" / "records").glob("*")}
    assert mine == {name: "mine", "other.json": "mine"}


def test_a_published_record_that_somebody_has_changed_is_left_alone(tmp_path: Path) -> None:
    put_records(tmp_path)
    published(tmp_path)
    write(tmp_path, {f"out/records/{NAME}": "mine now"})
    (warning,) = published(tmp_path).warnings
    assert "somebody else's file" in warning
    published(tmp_path, "# T\n")
    assert (tmp_path / "out" / "records" / NAME).read_text(encoding="utf-8") == "mine now"


@pytest.mark.parametrize("note", ["", "[]", '{"records/x.json": 3}', "{"])
def test_a_note_that_says_nothing_makes_no_file_ours_but_those_that_are_the_same(note: str, tmp_path: Path) -> None:
    put_records(tmp_path)
    published(tmp_path)
    (tmp_path / "doctrees" / WROTE).write_text(note, encoding="utf-8")
    assert published(tmp_path).warnings == []
    assert json.loads((tmp_path / "doctrees" / WROTE).read_bytes()).keys() == {f"records/{NAME}", "records/schema.json"}
