"""Run one check in this process: ``python -m compile_guide.ledger.claims FOLDER ID FILE`` writes what it saw to FILE.

An exception that leaves the check is written too, as "cannot be decided", and the exit status is 1.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

from claims._observing import scrub

from compile_guide.ledger.claims import Claim, Seen, load_claims


def run_check(claim: Claim, mx: ModuleType) -> tuple[Seen, bool]:
    """Run a claim's check on an MLX module; return what it saw, and whether the check itself went well."""
    if not claim.first:
        mx.eval(mx.array(1.0) + 1.0)
    try:
        return claim.check(mx), True
    except Exception as error:  # any type: the report goes on
        return Seen(None, scrub(f"the check failed: {type(error).__name__}: {error}")), False


def write(file: Path, claim: Claim, seen: Seen) -> None:
    """Write the verdict in one step: the file is there as a whole or not at all."""
    text = json.dumps({"id": claim.id, "holds": seen.holds, "observed": seen.observed}, ensure_ascii=False)
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(file)


def main(arguments: list[str]) -> int:
    """Run the check ``ID`` and write ``FILE``; status 1 if the check raised, 2 if there is no such claim."""
    if len(arguments) != 3:
        print("usage: python -m compile_guide.ledger.claims FOLDER ID FILE", file=sys.stderr)
        return 2
    claim = load_claims(Path(arguments[0])).get(arguments[1])
    if claim is None:
        print(f"no claim {arguments[1]!r}", file=sys.stderr)
        return 2
    seen, well = run_check(claim, importlib.import_module("mlx.core"))
    write(Path(arguments[2]), claim, seen)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
