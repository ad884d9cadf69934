"""Records from strangers: refused at once, in one line, or shown as plain text; nothing in between."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from guide import PACKAGE, ROOT
from hostile import GOOD, MARKUP, corpus, infected, text_fields
from hypothesis import given, settings
from hypothesis import strategies as st
from site_builds import HEADERS, INVENTORIES, SCRIPT, Site, build, write

from claims import _errors as errors
from compile_guide.records.record_set import read_folder
from compile_guide.records.schema import RecordError, dump, load, parse, save

CORPUS = dict(corpus())
SITE = (PACKAGE / "sphinxext", ROOT / "docs" / "_ext")


def test_the_corpus_is_large_and_would_be_good_without_its_malice() -> None:
    assert len(CORPUS) >= 60
    assert parse(json.dumps(GOOD).encode()).id == GOOD["id"]


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_file_is_refused_within_a_second_in_one_line(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("hostile files", 1)
    file = tmp_path / "hostile.json"
    file.write_bytes(CORPUS[name])
    before, begun = bytes_read(), time.process_time()  # not the wall's clock: other tests may crowd this one
    with pytest.raises(RecordError) as caught:
        load(file)
    assert time.process_time() - begun < 1
    assert bytes_read() - before <= 4_000_001 + 10_000  # 4 MB, the byte too many, and reading this counter
    assert re.fullmatch(r"hostile\.json: [\x20-\x7e]{1,320}", str(caught.value))


def bytes_read() -> int:
    """Bytes that this process has read, where the system counts them."""
    file = Path("/proc/self/io")
    return int(file.read_text().split()[1]) if file.exists() else 0


def test_what_is_no_file_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")  # opening one waits for a writer
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "gone")
    begun = time.perf_counter()
    found = read_folder(tmp_path)
    assert time.perf_counter() - begun < 1
    assert found.records == ()
    assert sorted(found.broken) == [
        "device.json: is no ordinary file",
        "folder.json: is no ordinary file",
        "nowhere.json: can't be read (No such file or directory)",
        "pipe.json: is no ordinary file",
    ]


# Hypothesis: damage done to a good record

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PLACES = [path for path in text_fields(GOOD)] + [
    ("schema",), ("id",), ("created",), ("machine",), ("settings",), ("comparisons",), ("claims",), ("tables",),
    ("machine", "memory"), ("machine", "cores"), ("comparisons", 0, "runs", 0), ("claims", 0, "holds"),
    ("comparisons", 0, "runs", 0, "baseline_s"), ("comparisons", 0, "bytes_moved"), ("tables", "messages"),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_a_record_with_anything_anywhere_is_refused_or_says_exactly_that(
    path: tuple[str | int, ...], value: Any
) -> None:
    data = json.loads(json.dumps(GOOD))
    part = data
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    raw = json.dumps(data).encode()
    try:
        kept = json.loads(dump(parse(raw)))
    except RecordError as error:
        assert "\n" not in str(error)
        return
    assert within(data, kept)  # nothing was turned into something else


def within(given: Any, kept: Any) -> bool:
    """Whether all that was given is kept; what a record may leave out can have been filled in."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return all(key in kept and within(value, kept[key]) for key, value in given.items())
    if isinstance(given, list) and isinstance(kept, list):
        return len(given) == len(kept) and all(map(within, given, kept))
    return bool(given == kept)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=6))
def test_a_record_with_foreign_bytes_is_refused_or_still_a_record(place: int, bytes_: bytes) -> None:
    raw = json.dumps(GOOD).encode()
    place %= len(raw)
    try:
        parse(raw[:place] + bytes_ + raw[place + len(bytes_) :])
    except RecordError as error:
        assert "\n" not in str(error)


# Pages


class Reader(HTMLParser):
    """Reads a page as a browser does: its tags with their attributes, and its text apart."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(f"{tag} {attrs}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.tags.append(f"declaration {decl}")

    unknown_decl = handle_decl


PAGES = {
    "machines": "# M\n\n" + "".join(
        f"{{machine}}`{name}`\n" for name in ("processor", "chip", "gpu", "os", "arch", "python", "mlx", "compiler", "guide")
    ) + "\n```{machines}\n```\n\n```{measured-on}\n```\n",
    "tables": "# T\n\n```{comparison} gelu\n```\n\n```{headline}\ngelu | GELU\n```\n\n```{already-compiled}\n```\n",
    "support": "# S\n\n```{shapeless-support}\n```\n",
    "errors": "# E\n\n```{error-catalogue}\n```\n",
    "claims": "# C\n\n{claim}`dtype-retraces`\n\n```{claims} tracing\n```\n",
    "index": "# I\n\n{measured}`gelu.ratio`\n\n```{toctree}\nmachines\ntables\nsupport\nerrors\nclaims\ngallery/index\n```\n",
}  # fmt: skip
SHOWN = {
    "machines": ["chip", "gpu", "os", "arch", "python", "mlx", "compiler", "guide"],
    "gallery/one/example": ["note"],
    "support": ["code", "smaller", "larger", "seen"],
    "tables": ["mlx", "name", "through"],
    "errors": ["type", "message"],
    "claims": ["observed", "mlx"],
}


PLAIN = "smartquotes = False\n"  # it makes quotes typographic, and the test wants every byte as it was sent


@pytest.fixture(scope="module")
def infected_sites(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Site]]:
    """A site with every directive for each text, which stands in every field of its record."""
    found = []
    for number, text in enumerate(MARKUP):
        folder = tmp_path_factory.mktemp(f"infected{number}")
        write(folder, {f"docs/{name}.md": page for name, page in PAGES.items()})
        script = SCRIPT + "\n# %%\n# A table.\nfrom compile_guide.timing import table\ntable([result])\n"
        script += "\n# %%\n# Printed.\nprint(result.describe())\n"
        write(folder, {**HEADERS, "gallery/one/example.py": script})
        data = infected(text)
        data["tables"]["messages"][0]["id"] = errors.ENTRIES[0].id
        made = parse(json.dumps(data).encode())
        save(made, folder / "docs" / "records" / f"{made.id}.json")
        found.append((text, build(folder, gallery=True, guide=True, settings=INVENTORIES + PLAIN)))
    return found


def test_no_byte_of_a_contributed_text_reaches_a_page_as_markup(
    infected_sites: list[tuple[str, Site]], record_property: Callable[[str, object], None]
) -> None:
    record_property("texts that want to be markup", len(infected_sites))
    record_property("fields with each", len(list(text_fields(GOOD))))
    for _, site in infected_sites:
        assert site.warnings == []
        for page in site.out.rglob("*.html"):
            assert [tag for tag in Reader(page.read_text(encoding="utf-8")).tags if "evil" in tag] == [], page


def test_every_contributed_text_is_on_its_pages_as_it_was_written(infected_sites: list[tuple[str, Site]]) -> None:
    for text, site in infected_sites:
        for name, fields in SHOWN.items():
            words = " ".join(Reader((site.out / f"{name}.html").read_text(encoding="utf-8")).text.split())
            assert words.count(" ".join(text.split())) >= len(fields), (name, text)


def test_no_contributed_text_opens_another_file(infected_sites: list[tuple[str, Site]]) -> None:
    for _, site in infected_sites:
        for page in site.out.rglob("*.html"):
            assert "root:x:0" not in html.unescape(page.read_text(encoding="utf-8"))


def test_no_module_of_the_site_parses_text_as_markup() -> None:
    """Two modules of the guide read or mend raw HTML; ``backend_columns`` parses the table that a page's author wrote in it."""
    parsers = {"nested_parse", "nested_parse_with_titles", "parse_text_to_nodes", "parse_content_to_nodes", "inline_text",
               "publish_parts", "publish_doctree", "insert_input", "parse_inline", "inliner"}  # fmt: skip
    used: dict[str, set[str]] = {}
    for file in (file for folder in SITE for file in folder.rglob("*.py")):
        names = {n.attr for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)}
        used[file.stem] = names & (parsers | {"raw"})
    assert {name: found for name, found in used.items() if found} == {
        "backend_columns": {"parse_content_to_nodes"},
        "gallery_pages": {"raw"},
        "markdown_writer": {"raw"},
    }
