"""Run one check: ``python -m compile_guide.ledger.check FOLDER TOPIC ID FILE`` writes ``holds`` and ``observed`` as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

from compile_guide._files import write_atomically
from compile_guide.ledger.claims import Claim, Seen, load_claims, scrub

FAILED = "the check failed"


def run_check(claim: Claim, mx: ModuleType) -> Seen:
    """Run a claim's check on an MLX module and return what it saw; an exception that leaves it decides nothing."""
    if not claim.first:
        mx.eval(mx.array(1.0) + 1.0)
    try:
        return claim.check(mx)
    except Exception as error:  # any type is an observation
        return Seen(None, scrub(f"{FAILED}: {type(error).__name__}: {error}"))


def main(folder: str, topic: str, id: str, file: str) -> None:
    """Run the check of a claim and write its verdict."""
    seen = run_check(load_claims(Path(folder), topic)[id], importlib.import_module("mlx.core"))
    write_atomically(json.dumps({"holds": seen.holds, "observed": seen.observed}).encode(), Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
