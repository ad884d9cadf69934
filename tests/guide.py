"""Where this guide's parts are, for the tests."""

from __future__ import annotations

import functools
from pathlib import Path

from compile_guide.ledger.claims import Claim, load_claims

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "compile_guide"
CLAIMS = ROOT / "docs" / "claims"
PATHS = (ROOT / "src", ROOT / "docs", ROOT, ROOT / "tests")
"""What a process needs on its path to import the package, this guide's content and the tests' own modules."""


@functools.cache
def all_claims() -> dict[str, Claim]:
    """Return this guide's claims by id."""
    return load_claims(CLAIMS)
