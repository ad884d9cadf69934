"""The real site, built from the committed record, without one warning; and edited, which must be quick."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from guide import ROOT, all_claims
from quick_compiler import with_quick_compiler
from reproduce import SPHINX, copy_tree

from compile_guide._process import KERNELS, kernel_cache
from compile_guide.examples import find_examples
from compile_guide.recorder.machine import backend


def sphinx(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build as ``nox -s render`` does, but for its silence."""
    options = (option for option in SPHINX if option != "-q")
    argv = [sys.executable, *options, "-D", f"compile_guide_record={shown(folder)['id']}"]
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "PATH": with_quick_compiler()}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=900, check=False)


def shown(folder: Path) -> dict[str, Any]:
    """Return the record that the site of a checkout shows here."""
    records = [json.loads(file.read_bytes()) for file in (folder / "docs" / "records").glob("*.json")]
    return max(records, key=lambda one: (one["machine"]["backend"] == backend(), one["created"]))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A copy of the tree, so that a build of the tests disturbs nobody's, and what Sphinx said of it.

    Kernels are kept where a build of the tree itself would find them.
    """
    folder = tmp_path_factory.mktemp("checkout") / "tree"
    copy_tree(ROOT, folder)
    if kernel_cache(ROOT):
        (folder / KERNELS).parent.mkdir(exist_ok=True)
        (folder / KERNELS).symlink_to(ROOT / KERNELS)
    return folder, sphinx(folder)


@pytest.mark.timeout(900)
def test_the_site_builds_from_the_committed_record_without_a_warning(
    checkout: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, ended = checkout
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "WARNING" not in ended.stderr
    for script in find_examples(folder / "gallery"):
        assert (folder / "build" / "html" / "gallery" / script.parent.name / f"{script.stem}.html").is_file()


def test_every_claim_has_its_place_on_the_ledger(checkout: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root = checkout[0] / "build" / "html"
    index = (root / "claims.html").read_text(encoding="utf-8")
    entries = {page: page.read_text(encoding="utf-8") for page in (root / "claims").glob("*.html")}
    for id, claim in all_claims().items():
        page = f"claims/{claim.topic.replace('_', '-')}.html"
        assert f'id="claim-{id}"' in index and f'href="{page}#claim-{id}"' in index
        assert f'id="claim-{id}"' in entries[root / page]
    newer = all_claims().keys() - {claim["id"] for claim in shown(checkout[0])["claims"]}
    unseen = set(re.findall(r'verdict-unseen" id="claim-([a-z0-9_-]+)"', index))
    assert unseen == newer  # a record that is older than a claim says nothing of it


def test_every_link_within_the_site_leads_somewhere(checkout: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root = checkout[0] / "build" / "html"
    places = {page: _places(page) for page in root.rglob("*.html")}
    lost = []
    for page in places:
        for target in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text(encoding="utf-8")):
            path, _, place = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            wanted = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not wanted.is_file() or (place and place not in places[wanted]):
                lost.append(f"{page.relative_to(root)}: {target}")
    assert lost == []


def _places(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))


@pytest.mark.timeout(300)
def test_an_edited_page_is_built_again_alone(checkout: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = checkout
    page = folder / "docs" / "use-the-scripts.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nA sentence added by a test.\n", encoding="utf-8")
    start = time.perf_counter()
    ended = sphinx(folder)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "A sentence added by a test." in (folder / "build" / "html" / "use-the-scripts.html").read_text(
        encoding="utf-8"
    )
    assert time.perf_counter() - start < 60  # seconds here; half a minute of slack for a busy machine
    read = re.search(r"(\d+) added, (\d+) changed", ended.stdout)
    assert read and read[1] == "0" and int(read[2]) <= 5, read and read[0]
