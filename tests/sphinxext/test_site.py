"""The Sphinx extension on small sites: exact words, warnings with a place, builds that notice changes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import msgspec
import pytest
from conftest import make_entry, make_record, make_run
from guide import all_claims
from site_builds import (
    CITATIONS,
    CLAIMED,
    FAST,
    OVERVIEWS,
    RATIO,
    SLOW,
    SLOW_RATIO,
    Site,
    build,
    machine,
    put_records,
    ratio_of,
    write,
)
from sphinx.errors import ConfigError

from compile_guide.records.schema import Entry, Record, Verdict, save
from compile_guide.sphinxext import text as wording

EVEN = make_entry("even", ratios=(0.98, 0.99, 1.0, 1.01, 1.02, 1.03))
FEW = make_entry("few", ratios=(1.5, 1.5))


def other_machine(*entries: Entry, claims: tuple[Verdict, ...] = ()) -> Record:
    """A record of a second machine that doesn't exist, older than the first."""
    facts = {"chip": "Apple M9", "gpu": "Apple M9", "mlx": "0.33.0", "compiler": None}
    return msgspec.structs.replace(machine("metal-m9-mlx-0-33-0", "metal", *entries, **facts), claims=claims)


# Roles


MEASURED = {
    "gelu": RATIO,
    "gelu.ratio": RATIO,
    "gelu.baseline": "1.2 ms",
    "gelu.candidate": "1.0 ms",
    "gelu.first_call": "500 ms",
    "gelu.first_call_warm": "500 ms",
    "gelu.break_even": "after 2,200 calls",
    "gelu.bandwidth": "8.0 GB/s",
    "gelu.baseline_bandwidth": "6.5 GB/s",
    "gelu.share": "—",
    "gelu.baseline_share": "—",
    "gelu.peak": "1.00 kB",
    "gelu.baseline_peak": "4.00 kB",
    "gelu.processes": "6",
    "even": ratio_of(EVEN),
    "even.break_even": "never",
    "few": "about 1.5× (too few samples for an interval)",
    "few.break_even": "after an unknown number of calls",
}
MACHINE = {
    "id": "cpu-test-chip-mlx-0-32-4", "processor": "Test Chip", "chip": "Test Chip", "gpu": "no GPU",
    "backend": "CPU", "cores": "2", "memory": "17.2 GB", "copy_bandwidth": "10 GB/s", "os": "Test OS 1",
    "arch": "x86_64",
    "python": "3.12.0", "mlx": "0.32.4", "compiler": "g++ 12", "power": "not known", "gpu_cores": "not known", "low_power": "not known", "date": "2026-11-22",
    "guide": "0.1.0", "processes": "6", "budget": "3 s", "comparisons": "3", "claims": "0",
}  # fmt: skip


@pytest.fixture(scope="module")
def all_fields(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A page with every field of both roles."""
    folder = tmp_path_factory.mktemp("fields")
    lines = [f"M {name}: {{measured}}`{name}`.\n" for name in MEASURED]
    lines += [f"F {name}: {{machine}}`{name}`.\n" for name in MACHINE]
    write(folder, {"docs/index.md": "# T\n\n" + "\n".join(lines)})
    put_records(folder, make_record(FAST, EVEN, FEW))
    return build(folder)


@pytest.mark.parametrize("field", MEASURED)
def test_measured_says_a_number_to_the_digits_its_interval_supports(all_fields: Site, field: str) -> None:
    assert f'<p>M {field}: <span class="measured">{MEASURED[field]}</span>.</p>' in all_fields.page()


@pytest.mark.parametrize("field", MACHINE)
def test_machine_says_a_fact(all_fields: Site, field: str) -> None:
    assert f'<p>F {field}: <span class="machine">{MACHINE[field]}</span>.</p>' in all_fields.page()


def test_known_fields_give_no_warning_and_none_is_left_out(all_fields: Site) -> None:
    assert all_fields.warnings == []
    assert {name.partition(".")[2] or "ratio" for name in MEASURED} == set(wording.MEASURED)
    assert set(MACHINE) == set(wording.MACHINE)


def test_a_share_of_copy_bandwidth_is_a_percentage(tmp_path: Path) -> None:
    run = make_run(2.0, copy_bandwidth=1e10)
    entry = msgspec.structs.replace(FAST, runs=(run,) * 6)
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu.share` {measured}`gelu.baseline_share`\n"})
    put_records(tmp_path, make_record(entry))
    assert "80 % 40 %" in build(tmp_path).text()


def test_roles_work_in_restructuredtext_too(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.rst": "T\n=\n\n:measured:`gelu.ratio` on :machine:`chip`, :machine:`mlx`.\n"})
    put_records(tmp_path, make_record(FAST))
    assert f"{RATIO} on Test Chip , 0.32.4 ." in build(tmp_path).text()


@pytest.mark.parametrize(
    ("markup", "message"),
    [
        ("{measured}`nothing.ratio`", "record cpu-test-chip-mlx-0-32-4 has no comparison 'nothing' ["),
        ("{measured}`gelu.speed`", "a comparison has no 'speed'; it has: ratio, baseline,"),
        ("{machine}`color`", "a machine has no 'color'; it has: id, processor,"),
        ("{claim}`no-such`", "there is no claim 'no-such' [compile_guide.claim]"),
        ("```{comparison} nothing\n```", "no record has a comparison 'nothing' [compile_guide.name]"),
        ("```{headline}\nnothing | A number\n```", "this site's record has no comparison 'nothing' ["),
        ("```{claims} no-topic\n```", "there is no topic 'no-topic'; there are:"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_a_warning_with_its_place_and_kind(tmp_path: Path, markup: str, message: str) -> None:
    write(tmp_path, {"docs/index.md": f"# T\n\nWords.\n\n{markup}\n"})
    put_records(tmp_path)
    (warning,) = build(tmp_path, settings=CLAIMED + OVERVIEWS).warnings
    assert warning.startswith(("index.md:5: WARNING: " + message, "index.md:6: WARNING: " + message))
    assert "[compile_guide." in warning


def test_a_comparison_of_other_machines_that_none_has_made_is_a_sentence_not_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{comparison} nothing\n:elsewhere:\n```\n"})
    put_records(tmp_path, make_record(FAST))
    site = build(tmp_path)
    assert site.warnings == []
    assert "No machine with a record here can make this comparison." in site.text()


OTHERS = """
A {measured}`other`, B {measured}`other.first_call`.

```{headline}
other | A number | /index
```

```{comparison} other gelu
```
"""


def test_an_example_that_the_record_shown_lacks_is_not_measured_yet(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": f"# T\n{OTHERS}"})
    put_records(tmp_path, make_record(FAST), other_machine(make_entry("other", example="another")))
    site = build(tmp_path, settings=OVERVIEWS)
    assert site.warnings == []
    text, yet = site.text(), "not measured on this machine yet"
    assert f"A {yet} , B {yet} . {yet} A number" in text
    assert f"other — — {yet} — — gelu 1.2 1.0 {RATIO}" in text


def test_a_comparison_missing_in_an_example_that_was_recorded_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": f"# T\n{OTHERS}"})
    put_records(tmp_path, make_record(FAST), other_machine(make_entry("other", example="gelu_speedup")))
    assert [line.partition("WARNING: ")[2] for line in build(tmp_path, settings=OVERVIEWS).warnings] == [
        "record cpu-test-chip-mlx-0-32-4 has no comparison 'other' [compile_guide.name]",
        "record cpu-test-chip-mlx-0-32-4 has no comparison 'other' [compile_guide.name]",
        "this site's record has no comparison 'other' [compile_guide.name]",
    ]


def test_a_warning_can_be_silenced_by_its_kind(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`nothing`\n"})
    put_records(tmp_path)
    site = build(tmp_path, settings='suppress_warnings = ["compile_guide.name"]')
    assert site.warnings == []
    assert "not measured" in site.text()


# Which record


def test_of_several_records_the_newest_is_shown(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{machine}`mlx`\n"})
    put_records(tmp_path, other_machine(), make_record())
    assert "0.32.4" in build(tmp_path).text()


def test_another_choice_of_record_reads_every_page_again(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{machine}`mlx`\n"})
    put_records(tmp_path, other_machine(), make_record())
    build(tmp_path)
    assert "0.33.0" in build(tmp_path, compile_guide_record="metal-m9-mlx-0-33-0").text()


def test_a_record_that_does_not_exist_ends_the_build_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n"})
    put_records(tmp_path)
    with pytest.raises(ConfigError, match=r"^no record 'none'; there are: cpu-test-chip-mlx-0-32-4$"):
        build(tmp_path, compile_guide_record="none")


@pytest.mark.parametrize("text", ["# T\n", "# T\n\n{claim}`one`\n"])
def test_a_folder_of_claims_that_does_not_exist_ends_the_build_in_one_line(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": text})
    put_records(tmp_path)
    with pytest.raises(ConfigError, match=r"^compile_guide_claims: there is no folder of claims \S+/docs/nothing$"):
        build(tmp_path, settings=CITATIONS, compile_guide_claims="nothing")


def test_a_broken_record_is_a_warning_and_the_others_are_shown(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{machine}`mlx`\n", "docs/records/aaa.json": '{"schema": 99}'})
    save(make_record(), tmp_path / "docs" / "records" / "wrong-name.json")
    save(make_record(), tmp_path / "docs" / "records" / "cpu-test-chip-mlx-0-32-4.json")
    site = build(tmp_path)
    assert "0.32.4" in site.text()
    assert site.warnings == [
        "WARNING: aaa.json: schema 99 isn't 1: record again with this guide's version [compile_guide.record]",
        "WARNING: wrong-name.json: holds the record cpu-test-chip-mlx-0-32-4; name the file after it"
        " [compile_guide.record]",
    ]


def test_a_site_without_any_record_says_so_where_a_number_should_be(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu`\n\n```{measured-on}\n```\n"})
    (warning,) = build(tmp_path).warnings
    assert warning == (
        "index.md:3: WARNING: there is no record, so nothing of 'gelu': record one with 'compile-guide record'"
        " [compile_guide.name]"
    )


# Tables


def test_comparisons_of_all_machines_stand_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{comparison} gelu even\n```\n"})
    put_records(tmp_path, make_record(FAST), other_machine(make_entry("gelu"), EVEN))
    site = build(tmp_path)
    assert site.text() == (
        "T ¶ Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22. The same on 1 other machine"
        " Measured on Apple M9 , Metal backend, MLX 0.33.0, Test OS 1, 2026-01-01. Test Chip , MLX 0.32.4"
        " Comparison Baseline (ms) Candidate (ms) Speed-up First call (ms) Pays back after (calls)"
        f" gelu 1.2 1.0 {RATIO} 500 2,200"
        " even — — not measured on this machine — —"
        " The same on 1 other machine Apple M9 , MLX 0.33.0"
        " Comparison Baseline (ms) Candidate (ms) Speed-up First call (ms) Pays back after (calls)"
        f" gelu 2.0 1.0 {ratio_of(make_entry())} 500 500"
        f" even 1.0 1.0 {ratio_of(EVEN)} 500 never"
        " gelu on 2 machines Machine MLX Baseline (ms) Candidate (ms) Speed-up First call (ms) Pays back after (calls)"
        f" Test Chip (this page) 0.32.4 1.2 1.0 {RATIO} 500 2,200"
        f" Apple M9 0.33.0 2.0 1.0 {ratio_of(make_entry())} 500 500"
    )


def test_a_number_is_right_aligned_and_the_faster_time_bold_and_the_interval_quiet(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{comparison} gelu\n:caption: One\n```\n"})
    put_records(tmp_path, make_record(FAST))
    page = build(tmp_path).page()
    assert '<td class="number">1.2</td>' in page
    assert '<td class="number"><strong>1.0</strong></td>' in page
    ratio, space, interval = RATIO.partition(" ")
    assert f'<span class="ratio">{ratio}</span><span class="interval">{space}{interval}</span>' in page
    assert '<p class="guide-caption">One</p>' in page
    assert "<details" not in page


def test_machines_lists_every_record_and_folds_the_rest(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{machines}\n```\n"})
    put_records(tmp_path, make_record(), other_machine())
    site = build(tmp_path)
    assert "Test Chip (shown on this site) CPU 17.2 GB 10 GB/s 0.32.4 2026-11-22" in site.text()
    assert "Apple M9 Metal 17.2 GB 10 GB/s 0.33.0 2026-01-01" in site.text()
    assert "<details>\n<summary>All about Apple M9, MLX 0.33.0</summary>" in site.page()
    assert 'id="machine-metal-m9-mlx-0-33-0"' in site.page()


def test_measured_on_links_to_the_machine_on_its_page(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "docs/index.md": "# T\n\n```{measured-on}\n```\n\n```{toctree}\nmachines\n```\n",
            "docs/machines.md": "# M\n\n```{machines}\n```\n",
        },
    )
    put_records(tmp_path)
    site = build(tmp_path)
    assert "Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22." in site.text()
    assert 'href="machines.html#machine-cpu-test-chip-mlx-0-32-4"' in site.page()


def test_the_headline_takes_the_first_comparison_that_was_made(tmp_path: Path) -> None:
    slow = msgspec.structs.replace(FAST, name="slow", runs=(), slow_call_s=20.0)
    write(
        tmp_path,
        {"docs/index.md": "# T\n\n```{headline}\nslow gelu | GELU | /other\n```\n", "docs/other.md": "# O\n"},
    )
    put_records(tmp_path, make_record(slow, FAST))
    site = build(tmp_path, settings=OVERVIEWS)
    assert f"{RATIO} GELU 1.2 ms → 1.0 ms a call" in site.text()
    assert 'href="other.html"' in site.page()


# Claims


def put_claim(
    folder: Path, *, statement: str = "It compiles once.", source: str = "a page", answer: str = "Yes."
) -> str:
    """Write a folder with one claim, ``one``, and return the settings that name it and make marks of it: no other test has one of this name."""
    name = re.sub(r"\W", "_", f"claims_of_{folder.name}")
    text = f"""\"\"\"Tracing: when ``mx.compile`` runs a function.\"\"\"

from compile_guide.ledger.claims import Seen, claim


@claim("one", {statement!r}, source={source!r}, answer={answer!r})
def _(mx):
    return Seen(True, "one trace")
"""
    write(folder, {f"docs/{name}/tracing.py": text})
    return f"compile_guide_claims = {name!r}\n{CITATIONS}"


LEDGER = {"docs/claims.md": "# Ledger\n\n```{claims}\n```\n"}


@pytest.mark.parametrize(
    ("holds", "word", "mark"),
    [(True, "holds", "✓ holds"), (False, "fails", "✗ does not hold"), (None, "open", "? not decidable here")],
)
def test_a_verdict_is_a_short_mark_linked_to_the_ledger(
    tmp_path: Path, holds: bool | None, word: str, mark: str
) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\nSo {verdict}`one`.\n\n```{toctree}\nclaims\n```\n", **LEDGER})
    put_records(tmp_path, make_record(claims=(Verdict("one", holds, "one trace"),)))
    site = build(tmp_path, settings=claims)
    link = '<a class="reference internal" href="claims.html#claim-one">'
    assert f'{link}<span class="claim claim-{word}">{mark}</span></a>' in site.page()
    assert site.warnings == []


@pytest.mark.parametrize(
    ("holds", "mark"),
    [(True, "✓ holds"), (False, "✗ “It compiles once.”"), (None, "? not decidable here")],
)
def test_a_claim_that_does_not_hold_is_quoted_lest_it_seem_to_refute_the_sentence(
    tmp_path: Path, holds: bool | None, mark: str
) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\nIt compiles twice ({claim}`one`).\n"})
    put_records(tmp_path, make_record(claims=(Verdict("one", holds, "one trace"),)))
    assert build(tmp_path, settings=claims).text().endswith(f"It compiles twice ( {mark} ).")


def test_a_claim_without_ledger_page_is_a_mark_without_link(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\nSo {claim}`one`.\n"})
    put_records(tmp_path)
    site = build(tmp_path, settings=claims)
    assert 'So <span class="claim claim-unseen">not checked here</span>.' in site.page()
    assert site.warnings == []


def test_the_ledger_has_statement_source_answer_verdicts_and_check(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    pages = {"docs/index.md": "# T\n\nSo {claim}`one`.\n\n```{toctree}\nclaims\n```\n", **LEDGER}
    write(tmp_path, pages)
    seen = Verdict("one", True, "one trace")
    put_records(tmp_path, make_record(claims=(seen,)), other_machine(claims=(Verdict("one", False, "two traces"),)))
    site = build(tmp_path, settings=claims)
    assert (
        "It compiles once. ✓ holds # Answer : Yes. Said by : a page Cited by : T Machine MLX Verdict Seen"
        " Test Chip 0.32.4 ✓ holds one trace Apple M9 0.33.0 ✗ does not hold two traces The check"
    ) in site.text("claims")
    page = site.page("claims")
    assert 'class="claim-entry' in page
    assert 'id="claim-one"' in page
    assert 'href="#claim-one"' in page
    assert "python -m compile_guide claims one" in site.text("claims")
    assert "<details>\n<summary>The check</summary>" in page
    assert 'href="index.html"' in page


def test_a_record_that_is_older_than_a_claim_says_that_it_was_not_run_there(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\n```{claims}\n```\n"})
    put_records(tmp_path, make_record(claims=(Verdict("one", True, "one trace"),)), other_machine(claims=()))
    site = build(tmp_path, settings=claims)
    assert "Test Chip 0.32.4 ✓ holds one trace Apple M9 0.33.0 not run there The check" in site.text()
    assert site.warnings == []


def test_a_claim_that_nothing_cites_is_listed_so(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\n```{claims}\n```\n"})
    put_records(tmp_path)
    assert "Cited by : no page yet" in build(tmp_path, settings=claims).text()


def test_a_new_citation_is_listed_by_the_next_incremental_build(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# T\n\n```{toctree}\nclaims\n```\n", **LEDGER})
    put_records(tmp_path)
    build(tmp_path, settings=claims)
    touch(tmp_path / "docs" / "index.md", "# T\n\nSo {claim}`one`.\n\n```{toctree}\nclaims\n```\n")
    assert "Cited by : T" in build(tmp_path, settings=claims).text("claims")


def test_every_real_claim_has_its_entry(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{claims}\n```\n"})
    put_records(tmp_path)
    site = build(tmp_path, settings=CLAIMED)
    assert site.page().count('class="claim-entry') == len(all_claims())
    assert site.warnings == []


# Contributed text

HOSTILE = "<script>alert(1)</script> **bold** `x <javascript:1>`_ :doc:`index` |sub|"


def test_text_in_a_record_is_never_read_as_markup(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    page = "# T\n\n{machine}`chip` {machine}`os`\n\n" + "".join(
        f"```{{{name}}}\n```\n\n" for name in ("machines", "measured-on", "comparison} gelu {", "claims")
    ).replace(" {}", "")
    write(tmp_path, {"docs/index.md": page})
    good = make_record(claims=(Verdict("one", True, HOSTILE),))
    bad = msgspec.structs.replace(
        good, machine=msgspec.structs.replace(good.machine, chip=HOSTILE, os=HOSTILE, compiler=HOSTILE)
    )
    put_records(tmp_path, bad)
    site = build(tmp_path, settings=claims)
    assert site.warnings == []
    assert "<script>" not in site.page()
    assert "javascript:1" not in [part.split('"')[0] for part in site.page().split('href="')]
    assert "<strong>bold</strong>" not in site.page()
    assert site.text().count(HOSTILE) >= 7


def test_text_of_a_claim_is_never_read_as_markup(tmp_path: Path) -> None:
    claims = put_claim(tmp_path, statement=HOSTILE, answer=HOSTILE, source=HOSTILE)
    write(tmp_path, {"docs/index.md": "# T\n\n```{claims}\n```\n"})
    put_records(tmp_path)
    site = build(tmp_path, settings=claims)
    assert "<script>" not in site.page()
    assert site.text().count(HOSTILE) == 3


# Builds that notice changes


def touch(file: Path, content: str | None = None) -> None:
    """Write a file with a time that is later for certain: Sphinx compares times."""
    if content is not None:
        file.write_text(content, encoding="utf-8")
    later = file.stat().st_mtime + 10
    os.utime(file, (later, later))


def test_every_file_read_is_noted_as_a_dependency(tmp_path: Path) -> None:
    pages = {
        "index": "{measured}`gelu`",
        "a": "{machine}`os`",
        "b": "```{machines}\n```",
        "c": "{claim}`one`",
    }
    write(tmp_path, {f"docs/{name}.md": f"# T\n\n{text}\n" for name, text in pages.items()})
    put_records(tmp_path)
    dependencies = build(tmp_path, settings=put_claim(tmp_path)).app.env.dependencies
    files = {name: {Path(file).name for file in dependencies[name]} for name in pages}
    one = "cpu-test-chip-mlx-0-32-4.json"
    assert files == {"index": {one}, "a": {one}, "b": {one}, "c": {one, "tracing.py"}}


def test_a_changed_record_changes_the_page(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu`\n"})
    put_records(tmp_path, make_record(FAST))
    build(tmp_path)
    put_records(tmp_path, make_record(SLOW))
    touch(tmp_path / "docs" / "records" / "cpu-test-chip-mlx-0-32-4.json")
    assert SLOW_RATIO in build(tmp_path).text()


def test_a_record_that_comes_or_goes_changes_the_tables(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n```{machines}\n```\n", "docs/other.md": "# O\n"})
    put_records(tmp_path)
    build(tmp_path)
    put_records(tmp_path, make_record(), other_machine())
    assert "Apple M9" in build(tmp_path).text()
    put_records(tmp_path)
    site = build(tmp_path)
    assert "Apple M9" not in site.text()


def test_an_unchanged_site_reads_no_page_again(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu`\n\n```{machines}\n```\n"})
    put_records(tmp_path)
    build(tmp_path)
    before = (tmp_path / "out" / "index.html").stat().st_mtime_ns
    build(tmp_path)
    assert (tmp_path / "out" / "index.html").stat().st_mtime_ns == before


def test_a_page_with_numbers_says_by_itself_what_they_were_measured_on(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n\n{measured}`gelu`\n", "docs/other.md": "# O\n\n{machine}`os`\n"})
    write(tmp_path, {"gallery/GALLERY_HEADER.rst": "Examples\n========\n"})
    put_records(tmp_path, make_record(FAST))
    site = build(tmp_path, gallery=True)
    assert site.text() == f"T ¶ Measured on Test Chip , CPU backend, MLX 0.32.4, Test OS 1, 2026-11-22. {RATIO}"
    assert "Measured on" not in site.text("other")


def test_a_record_of_json_with_a_hostile_id_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# T\n"})
    data = json.loads((Path(save_to(tmp_path))).read_text(encoding="utf-8"))
    write(tmp_path, {"docs/records/x.json": json.dumps({**data, "id": "../../x"})})
    (warning,) = build(tmp_path).warnings
    assert "x.json: " in warning and "`$.id`" in warning


def save_to(folder: Path) -> Path:
    """Save a good record and return its file."""
    put_records(folder)
    return folder / "docs" / "records" / "cpu-test-chip-mlx-0-32-4.json"
