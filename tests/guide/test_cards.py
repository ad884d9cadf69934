"""The gallery's index: topics in teaching order, a card an example, all of them there without scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import make_record
from site_builds import FAST, Site, build, put_records, write

from _ext.cards import first_sentence

TOPICS = ("basics", "speed", "state", "beyond")
SETTINGS = f"""
sphinx_gallery_conf["subsection_order"] = gallery_conf({TOPICS!r})["subsection_order"]
"""
SCRIPT = '''"""
Example number {number}
==================

What is counted in *it*, e.g. by MLX 0.32. A second sentence.
"""
# sphinx_gallery_tags = ["{topic}", "all of them"]
import mlx.core as mx

fast = mx.compile(mx.exp)  # {number}
print(fast(mx.ones(2)).tolist())
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A gallery of 28 examples in four topics, one of them empty."""
    folder = tmp_path_factory.mktemp("gallery")
    write(folder, {"gallery/GALLERY_HEADER.rst": "Examples\n========\n\nAll of them.\n"})
    for topic in (*TOPICS, "empty"):
        write(folder, {f"gallery/{topic}/GALLERY_HEADER.rst": f"Topic {topic}\n{'=' * 20}\n\nAbout {topic}.\n"})
    for number in range(28):
        topic = TOPICS[number % len(TOPICS)]
        script = SCRIPT.format(number=f"{number:02}", topic=topic)
        write(folder, {f"gallery/{topic}/example_{number:02}.py": script})
    only = "```{examples}\n:only: example_02 example_01\n```\n"
    write(folder, {"docs/index.md": f"# T\n\n{only}\n\n```{{toctree}}\ngallery/index\n```\n"})
    put_records(folder, make_record(FAST))
    return build(folder, gallery=True, guide=True, settings=SETTINGS)


INDEX = "gallery/index"


def test_every_example_has_one_card_that_is_a_link_with_text(site: Site) -> None:
    page = site.page(INDEX)
    links = re.findall(r'<a class="reference internal" href="(\w+/example_\d\d)\.html"><span class="doc">', page)
    assert len(set(links)) == 28
    assert page.count('class="guide-card tag-') == 28
    assert site.warnings == []


def test_topics_come_in_teaching_order_and_an_empty_one_is_left_out(site: Site) -> None:
    assert re.findall(r"<h2>Topic (\w+)", site.page(INDEX)) == list(TOPICS)


def test_a_card_says_one_sentence_and_its_tags(site: Site) -> None:
    assert "Example number 00 What is counted in it, e.g. by MLX 0.32. basics · all of them" in site.text(INDEX)
    assert "second sentence" not in site.text(INDEX)


def test_a_card_has_no_picture(site: Site) -> None:
    assert "<img" not in site.page(INDEX)


def test_the_index_says_where_its_numbers_were_recorded(site: Site) -> None:
    assert "Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22." in site.text(INDEX)


def test_what_sphinx_gallery_made_of_thumbnails_is_gone(site: Site) -> None:
    for page in (INDEX, "gallery/basics/index"):
        assert not re.search("tooltip=|sg-tag-list|sphx-glr-thumb", site.page(page))
        assert 'class="guide-card tag-basics tag-all-of-them' in site.page(page)


def test_no_card_needs_a_script_to_be_seen(site: Site) -> None:
    assert "hidden" not in site.page(INDEX)


def test_a_page_can_show_some_cards_in_an_order_of_its_own(site: Site) -> None:
    assert re.findall(r"Example number (\d+)", site.text()) == ["02", "01"]


def test_a_card_for_an_example_that_there_is_not_is_a_warning(tmp_path: Path) -> None:
    headers = {f"gallery/{place}GALLERY_HEADER.rst": "E\n=\n" for place in ("", "basics/")}
    write(tmp_path, {**headers, "gallery/basics/a.py": SCRIPT.format(number="00", topic="basics")})
    write(tmp_path, {"docs/index.md": "# T\n\n```{examples}\n:only: none\n```\n\n```{toctree}\ngallery/index\n```\n"})
    put_records(tmp_path)
    warnings = build(tmp_path, gallery=True, guide=True, settings=SETTINGS).warnings
    assert [w for w in warnings if "no example" in w] == [
        "index.md:3: WARNING: the gallery has no example 'none' [compile_guide.example]"
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("Is it? Yes.", "Is it?"),
        ("By 1.5 times, e.g. here. `Two`.", "By 1.5 times, e.g. here."),
        ("No end", "No end"),
    ],
)
def test_a_summary_is_the_first_sentence(text: str, first: str) -> None:
    assert first_sentence(text) == first
