"""The domain of places: what other projects can link to, links that follow their targets, pages read by several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import make_record
from guide import CLAIMS as GUIDES_CLAIMS
from reproduce import differing
from site_builds import Site, build, conf, put_records, write
from sphinx.util.inventory import InventoryFile
from test_site import put_claim

from compile_guide.records.schema import Verdict

SEEN = make_record(claims=(Verdict("one", True, "one trace"),))
TREE = "\n```{toctree}\n:glob:\n\n*\n```\n"
INDEX = f"# T\n\nSo {{claim}}`one` on {{machine}}`chip`.\n\n```{{measured-on}}\n```\n{TREE}"
MACHINES = "# M\n\n```{machines}\n```\n"
CLAIMS = "# C\n\n```{claims}\n```\n"
LINK = 'href="{}.html#machine-cpu-test-chip-mlx-0-32-4"'


def test_claims_and_machines_are_in_the_inventory_for_other_projects(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": INDEX, "docs/machines.md": MACHINES, "docs/ledger.md": CLAIMS})
    put_records(tmp_path, SEEN)
    site = build(tmp_path, settings=put_claim(tmp_path))
    found = InventoryFile.loads((site.out / "objects.inv").read_bytes(), uri="https://x.org").data
    assert found["compile_guide:claim"]["one"].uri == "https://x.org/ledger.html#claim-one"
    (machine,) = found["compile_guide:machine"].values()
    assert machine.uri == "https://x.org/machines.html#machine-cpu-test-chip-mlx-0-32-4"


def moved(folder: Path, old: str, new: str) -> tuple[Site, bool]:
    """Move a page and build again; return the site, and whether the start page was read again for it."""
    before = build(folder).app.env.all_docs["index"]
    (folder / "docs" / f"{old}.md").rename(folder / "docs" / f"{new}.md")
    site = build(folder)
    return site, site.app.env.all_docs["index"] != before


def test_a_link_follows_a_place_to_another_page_without_reading_its_own_page_again(tmp_path: Path) -> None:
    pages = {name: f"---\norphan: true\n---\n{text}" for name, text in {"index": INDEX, "machines": MACHINES}.items()}
    write(tmp_path, {f"docs/{name}.md": text.replace(TREE, "") for name, text in pages.items()})
    put_records(tmp_path, SEEN)
    write(tmp_path, {"docs/index.md": "# T\n\n```{measured-on}\n```\n"})
    site, again = moved(tmp_path, "machines", "computers")
    assert LINK.format("computers") in site.page()
    assert not again


def test_a_link_to_a_place_that_is_gone_is_its_text(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": INDEX.replace("So {claim}`one` on", "On"), "docs/machines.md": MACHINES})
    write(tmp_path, {"docs/more.md": "# More\n"})
    put_records(tmp_path, SEEN)
    assert LINK.format("machines") in build(tmp_path).page()
    (tmp_path / "docs" / "machines.md").unlink()
    site = build(tmp_path)
    assert site.warnings == []
    assert "#machine-" not in site.page() and "Measured on Test Chip ," in site.text()


def test_a_citation_that_is_gone_is_listed_no_longer(tmp_path: Path) -> None:
    write(tmp_path, {"docs/index.md": INDEX, "docs/ledger.md": CLAIMS})
    put_records(tmp_path, SEEN)
    claims = put_claim(tmp_path)
    assert "Cited by : T" in build(tmp_path, settings=claims).text("ledger")
    write(tmp_path, {"docs/index.md": f"# T\n\nNothing.\n{TREE}"})
    assert "Cited by : no page yet" in build(tmp_path, settings=claims).text("ledger")


def test_pages_that_two_processes_read_are_those_that_one_reads(tmp_path: Path) -> None:
    outs = []
    for jobs in ("1", "2"):
        folder = tmp_path / jobs / "site"  # put_claim names the folder of claims after it
        more = {f"docs/page{number}.md": "# P\n\n{claim}`one` {measured}`gelu`\n" for number in range(12)}
        write(folder, {"docs/index.md": INDEX, "docs/machines.md": MACHINES, "docs/ledger.md": CLAIMS, **more})
        put_records(folder, SEEN)
        write(folder, {"conf.py": conf(settings=put_claim(folder))})
        argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q", "-W", "-j", jobs]
        env = os.environ | {"PYTHONPATH": str(GUIDES_CLAIMS.parent)}
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        outs.append(folder / "out")
    assert differing(*outs) == []
    assert (outs[0] / "ledger.html").read_text(encoding="utf-8").count('href="page') == 12
