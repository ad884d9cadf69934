"""The headline of a card: what it says of each machine, and what becomes of one that can't be said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import make_entry, make_record
from site_builds import FAST, RATIO, SLOW, SLOW_RATIO, Site, build, machine, put_gallery, put_records, write

from _ext.headlines import FILE, Headline, read_headlines
from compile_guide.formatting import NOTHING
from compile_guide.records.record_set import read_folder
from compile_guide.records.schema import Record, Verdict
from compile_guide.sphinxext.text import processor

ROOT = Path(__file__).parents[2]
PLAIN = '"""\nAn example\n==========\n\nWhat it shows & why.\n"""\nprint(1)\n'
SAYS = '[example]\nfigure = "{gelu.ratio}"\nwords = "GELU in {gelu.processes} processes"\n'
COUNTS = """
[example]
claim = "arrays-keep-one-trace"
pattern = '(\\d+) values: (\\d+) trace'
figure = "{1} traces"
words = "for {0} floats"
"""
SAID = r'<p class="guide-card-(?:figure|words)">(.*?)</p>'
PAGE = "# T\n\n```{examples}\n```\n\n```{toctree}\ngallery/index\n```\n"


def saw(observed: str) -> tuple[Verdict, ...]:
    """The verdict of the check that counts traces."""
    return (Verdict("arrays-keep-one-trace", True, observed),)


def site_with(folder: Path, toml: str, *records: Record) -> Site:
    """Build a gallery of one example, whose card stands on the start page too."""
    put_gallery(folder, example=PLAIN)
    write(folder, {f"docs/{FILE}": toml, "docs/index.md": PAGE})
    put_records(folder, *records)
    return build(folder, gallery=True, guide=True)


def cards(site: Site) -> set[str]:
    """What the card says above its title, on both pages."""
    return {
        " ".join(re.sub(r"<[^>]+>", " ", " ".join(re.findall(SAID, site.page(page), re.DOTALL))).split())
        for page in ("index", "gallery/index")
    }


def others(site: Site) -> list[str]:
    """What the card says on another machine: number, interval, words."""
    card = site.page("gallery/index").partition('class="guide-card ')[2]
    return re.findall(r'"cuda-h200": "?([^"}]*)', card.replace("&quot;", '"'))


def test_a_card_shows_a_ratio_with_its_interval_and_a_new_record_changes_it(tmp_path: Path) -> None:
    site = site_with(tmp_path, SAYS, make_record(FAST))
    assert site.warnings == []
    assert cards(site) == {f"{RATIO} GELU in 6 processes"}
    assert cards(site_with(tmp_path, SAYS, make_record(SLOW))) == {f"{SLOW_RATIO} GELU in 6 processes"}


def test_a_card_follows_the_choice_of_a_machine(tmp_path: Path) -> None:
    h200 = machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200")
    number, _, interval = SLOW_RATIO.partition(" ")
    assert others(site_with(tmp_path, SAYS, make_record(FAST), h200)) == [number, interval]


def test_a_machine_with_another_example_alone_shows_a_number_of_another_machine_and_names_it(tmp_path: Path) -> None:
    two = machine("cuda-h200", "cuda", make_entry("other", example="other"), gpu="NVIDIA H200")
    name = processor(make_record(FAST).machine)
    assert others(site_with(tmp_path, SAYS, make_record(FAST), two)) == [f"GELU in 6 processes (on {name})"]


def test_a_card_of_what_another_machine_alone_can_measure_shows_that_and_names_it(tmp_path: Path) -> None:
    h200 = machine("cuda-h200", "cuda", SLOW, gpu="NVIDIA H200")
    here = make_record(make_entry("other", example="example"))
    assert cards(site_with(tmp_path, SAYS, here, h200)) == {f"{SLOW_RATIO} GELU in 6 processes (on NVIDIA H200)"}


def test_a_card_of_an_example_that_this_machine_has_not_run_says_so(tmp_path: Path) -> None:
    site = site_with(tmp_path, SAYS, make_record(make_entry("other", example="other")))
    assert site.warnings == []
    assert cards(site) == {"— not measured on this machine yet"}


def test_a_card_shows_what_a_check_counted(tmp_path: Path) -> None:
    record = make_record(FAST, claims=saw("100 values: 100 trace(s) as float, 1 as mx.array"))
    h200 = machine("cuda-h200", "cuda", FAST, gpu="NVIDIA H200")
    site = site_with(tmp_path, COUNTS, record, h200)
    assert cards(site) == {"100 traces for 100 floats"}
    assert others(site) == [f"for 100 floats (on {processor(record.machine)})"]


def test_a_card_whose_check_saw_something_else_shows_no_number(tmp_path: Path) -> None:
    assert cards(site_with(tmp_path, COUNTS, make_record(FAST, claims=saw("raised TypeError")))) == {"— —"}


def test_without_a_file_of_headlines_a_card_is_title_and_introduction(tmp_path: Path) -> None:
    put_gallery(tmp_path, example=PLAIN)
    write(tmp_path, {"docs/index.md": PAGE})
    put_records(tmp_path, make_record(FAST))
    site = build(tmp_path, gallery=True, guide=True)
    assert site.warnings == []
    assert "guide-card-figure" not in site.page("gallery/index")


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ('[a]\nfigure = "{gelu.speed}"\nwords = ""', "a: {gelu.speed} stands for nothing"),
        ('[a]\nfigure = "{1}"\nwords = ""\npattern = \'(x)\'', "a: {1} stands for nothing"),
        ('[a]\nfigure = ""\nwords = ""\ncolour = "red"', "a: got an unexpected keyword argument 'colour'"),
        ('[a]\nfigure = ""', "a: missing 1 required positional argument: 'words'"),
        ('[a]\nfigure = ""\nwords = ""\npattern = "("', "a: missing ), unterminated subpattern at position 0"),
        ("[a]\nfigure = 1", "a is no table of texts"),
        ("a = 1", "a is no table of texts"),
        ("[a", "Expected ']' at the end of a table declaration (at end of document)"),
    ],
)
def test_a_file_with_a_mistake_is_a_warning_that_says_where(tmp_path: Path, toml: str, fault: str) -> None:
    (tmp_path / FILE).write_text(toml, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(fault)):
        read_headlines(tmp_path / FILE)


def test_a_mistake_in_the_file_leaves_the_cards_without_headline(tmp_path: Path) -> None:
    site = site_with(tmp_path, "[a", make_record(FAST))
    assert [w for w in site.warnings if "headline" in w and w.startswith("index.md:3")] == [
        f"index.md:3: WARNING: {FILE}: Expected ']' at the end of a table declaration (at end of document) "
        "[compile_guide.headline]"
    ]


# This guide's own


def test_every_example_has_a_headline_that_a_record_fills_once_there_is_one() -> None:
    said, records = read_headlines(ROOT / "docs" / FILE), read_folder(ROOT / "docs" / "records").records
    recorded = {entry.example for record in records for entry in record.comparisons}

    def filled(one: Headline) -> bool:
        return any(not {one.fill(one.figure, r), one.fill(one.words, r)} & {None, NOTHING} for r in records)

    assert set(said) == {path.stem for path in (ROOT / "gallery").glob("*/*.py")}
    assert [name for name, one in said.items() if name in recorded and not filled(one)] == []
