"""The ledger over several pages: entries by topic, and an index that leads to them."""

from __future__ import annotations

from pathlib import Path

from conftest import make_record
from guide import CLAIMS, all_claims
from site_builds import CLAIMED, OVERVIEWS, build, put_records, write
from test_site import put_claim

from compile_guide.records.schema import Verdict

INDEX = "# T\n\n```{toctree}\ntracing\n```\n\n```{claims-index}\n```\n"
SEEN = Verdict("one", False, "two traces")


def test_a_line_of_the_index_keeps_the_old_address_and_leads_to_the_entry(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": INDEX, "docs/tracing.md": "# Tracing\n\n```{claims} tracing\n```\n"})
    put_records(tmp_path, make_record(claims=(SEEN,)))
    site = build(tmp_path, settings=claims + OVERVIEWS)
    assert '<li class="claim-line topic-tracing verdict-fails" id="claim-one">' in site.page()
    assert (
        '<a class="reference internal" href="tracing.html#claim-one"><span>It compiles once.</span></a>' in site.page()
    )
    assert 'id="claim-one"' in site.page("tracing")
    assert site.warnings == []


def test_a_page_about_one_topic_has_its_own_title_alone(tmp_path: Path) -> None:
    claims = put_claim(tmp_path)
    write(tmp_path, {"docs/index.md": "# All about traces\n\n```{claims} tracing\n```\n"})
    put_records(tmp_path)
    assert "<h2>" not in build(tmp_path, settings=claims).page()


def test_each_topic_has_a_page_of_its_own() -> None:
    pages = {path.read_text(encoding="utf-8").partition("{claims} ")[2].split()[0] for path in CLAIMS.glob("*.md")}
    assert pages == {claim.topic for claim in all_claims().values()}


def test_code_in_what_a_topic_says_of_itself_is_shown_as_code(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": "# State\n\n```{claims} state\n```\n"})
    put_records(tmp_path)
    said = build(tmp_path, settings=CLAIMED).page()
    assert "``" not in said and 'what <code class="docutils literal notranslate"><span class="pre">inputs=' in said
