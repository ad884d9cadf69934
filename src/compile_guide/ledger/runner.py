"""Run the claims' checks, each in a process of its own, compare their verdicts with the expected ones, make the tables."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compile_guide._files import write_atomically
from compile_guide._process import Finished, last_line, run
from compile_guide.ledger.claims import Claim, LedgerError, scrub
from compile_guide.records.schema import Tables, Verdict, tables_of
from compile_guide.timing import REPLAY, SINK

LIMIT_S, TABLES_LIMIT_S = 180.0, 600.0
UNSET: dict[str, str | None] = {SINK: None, REPLAY: None}
WORDS = {True: "holds", False: "does not hold", None: "cannot be decided here"}


def run_ledger(
    claims: Iterable[Claim],
    folder: Path,
    temp: Path,
    *,
    python: str = sys.executable,
    env: Mapping[str, str] | None = None,
    jobs: int = 2,
    limit_s: float = LIMIT_S,
    kernels: Path | None = None,
    show: Callable[[str], None] = lambda id: None,
) -> tuple[Verdict, ...]:
    """Run the checks of claims from ``folder``, ``jobs`` at a time, and return the verdicts in the claims' order.

    Each runs in an interpreter ``python`` with the variables ``env``, writes below ``temp``, and is ended after ``limit_s``
    seconds, which is an observation as a crash is. ``show`` gets the id of each claim that is done. A cold check gets
    an empty kernel cache; the others share the folder ``kernels``, or without it one for each job: on old releases of
    MLX, two processes that build one kernel at the same time could disturb each other.
    """

    def check(claim: Claim) -> Verdict:
        place, cache = temp / claim.id, temp / f"kernels-{threading.get_ident()}"
        place.mkdir(parents=True)
        words = [str(folder.resolve()), claim.topic, claim.id, str(place / "seen.json")]
        shared = {} if claim.cold else {"temp": cache, "kernels": kernels}
        argv = [python, "-m", "compile_guide.ledger.check", *words]
        ended = run(argv, folder=place, limit_s=limit_s, env={**UNSET, **(env or {})}, **shared)
        show(claim.id)
        return _verdict(claim, place / "seen.json", ended)

    with ThreadPoolExecutor(jobs) as pool:
        return tuple(pool.map(check, claims))


def _verdict(claim: Claim, file: Path, ended: Finished) -> Verdict:
    if file.exists():
        seen = json.loads(file.read_text(encoding="utf-8"))
        return Verdict(claim.id, seen["holds"], seen["observed"][:4000])
    last = scrub(last_line(ended.output))[:500]
    return Verdict(claim.id, None, f"the check's process was ended: {ended.reason} {last}".strip())


def changes(verdicts: Iterable[Verdict], expected: Mapping[str, bool | None]) -> list[tuple[str, str, str, str]]:
    """Return id, expected verdict ("new"), verdict ("missing") and observation of each claim that isn't as expected."""
    seen = {verdict.id: (WORDS[verdict.holds], verdict.observed) for verdict in verdicts}
    wanted = {id: WORDS[holds] for id, holds in expected.items()}
    rows = [(id, wanted.get(id, "new"), *seen.get(id, ("missing", ""))) for id in sorted(seen.keys() | wanted.keys())]
    return [row for row in rows if row[1] != row[2]]


def expected_file(folder: Path, backend: str) -> Path:
    """Return where the expected verdicts of a backend stand: in ``expected/``, beside the folder of claims."""
    return folder.resolve().parent / "expected" / f"{backend}.json"


def load_expected(file: Path) -> dict[str, bool | None]:
    """Read expected verdicts, an object from claim id to true, false or null; empty without a file. Raises LedgerError."""
    try:
        expected: dict[str, bool | None] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if all(holds in WORDS for holds in expected.values()):
            return expected
    except (AttributeError, TypeError, ValueError):
        pass
    raise LedgerError(f"{file.name}: expected an object from claim id to true, false or null")


def save_expected(file: Path, verdicts: Mapping[str, bool | None]) -> None:
    """Write verdicts by claim id as the expected ones."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(f"{json.dumps(dict(sorted(verdicts.items())), indent=1)}\n".encode(), file)


def observe_tables(folder: Path, temp: Path, limit_s: float = TABLES_LIMIT_S, kernels: Path | None = None) -> Tables:
    """Return the tables that ``_tables.py`` in a folder of claims makes, or empty ones if there is no such file.

    It runs as ``python -m NAME._tables FILE``, in the new folder ``temp`` and for at most ``limit_s`` seconds, and
    writes a JSON object with the fields of :class:`Tables`. ``kernels`` is where MLX keeps its CPU kernels. Where the
    process fails or writes something else, LedgerError is raised, with the last line that it printed.
    """
    folder, file = folder.resolve(), temp / "tables.json"
    if not (folder / "_tables.py").exists():
        return Tables()
    temp.mkdir(parents=True)
    path = os.pathsep.join(filter(None, [str(folder.parent), os.environ.get("PYTHONPATH")]))
    argv = [sys.executable, "-m", f"{folder.name}._tables", str(file)]
    ended = run(argv, folder=temp, limit_s=limit_s, env=UNSET | {"PYTHONPATH": path}, kernels=kernels)
    if not file.exists():
        raise LedgerError(f"the tables could not be made ({ended.reason}): {last_line(ended.output)}")
    try:
        return tables_of(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise LedgerError(f"{folder / '_tables.py'} wrote no tables: {error}") from None
