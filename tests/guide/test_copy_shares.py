"""The directive that shows how near the examples come to a copy's bandwidth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from conftest import make_entry, make_record
from site_builds import build, put_records, write


def test_shares_of_a_copy_are_shown_for_what_moves_enough(tmp_path: Path) -> None:
    run = make_entry("large").runs[0]
    runs = tuple(replace(run, baseline_s=(s * 2,), candidate_s=(s,), copy_bandwidth=2e9) for s in (0.01, 0.0125))
    large = msgspec.structs.replace(make_entry("large"), runs=runs, bytes_moved=10_000_000)
    small = msgspec.structs.replace(make_entry("small"), runs=runs, bytes_moved=9_999_999)
    write(tmp_path, {"docs/index.md": "# Shares\n\n```{copy-shares}\n```\n"})
    put_records(tmp_path, make_record(comparisons=(large, small)))
    site = build(tmp_path, settings='extensions.append("_ext.shares")')
    assert site.warnings == []
    page = site.text()
    assert "large 10.0 MB 2.0 GB/s 22% (20% – 25%) 45% (40% – 50%)" in page
    assert "small" not in page
