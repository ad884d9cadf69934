"""Run the claims' checks, each in a process of its own, and compare their verdicts with the expected ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from compile_guide import _files as saving
from compile_guide import _process as process
from compile_guide.ledger.claims import Claim
from compile_guide.records import schema as record
from compile_guide.timing import REPLAY, SINK

LIMIT_S = 120.0
WORDS = {True: "holds", False: "does not hold", None: "cannot be decided here"}


def run_ledger(
    claims: Sequence[Claim],
    folder: Path,
    *,
    jobs: int = 2,
    limit_s: float = LIMIT_S,
    show: Callable[[str], None] = print,
) -> tuple[record.Verdict, ...]:
    """Run each check in a process of its own, ``jobs`` at a time, and return the verdicts in the claims' order.

    Checks that count or time kernel builds get an empty kernel cache. The others share one for each job: two processes
    that build one kernel at the same time could trip over each other.
    """
    shared: SimpleQueue[Path] = SimpleQueue()
    for number in range(jobs):
        shared.put(folder / f"kernels-{number}")

    def one(claim: Claim) -> record.Verdict:
        kernels = shared.get()
        try:
            verdict = _check(claim, folder / claim.id, None if claim.cold else kernels, limit_s)
        finally:
            shared.put(kernels)
        show(claim.id)
        return verdict

    with ThreadPoolExecutor(jobs) as pool:
        return tuple(pool.map(one, claims))


def _check(claim: Claim, place: Path, kernels: Path | None, limit_s: float) -> record.Verdict:
    """Run one check; a crash or a time-out is an observation like any other."""
    place.mkdir(parents=True)
    out = place / "seen.json"
    argv = [sys.executable, "-m", "compile_guide.ledger.claims", claim.id, str(out)]
    ended = process.run(argv, folder=place, limit_s=limit_s, env={SINK: None, REPLAY: None}, temp=kernels)
    if out.exists():
        seen = json.loads(out.read_text(encoding="utf-8"))
        return record.Verdict(claim.id, seen["holds"], seen["observed"][:4000])
    last = ended.output.strip().splitlines()[-1:] or [""]
    return record.Verdict(claim.id, None, f"the check's process was ended: {ended.reason} {last[0][:500]}".strip())


@dataclass(frozen=True)
class Change:
    """A verdict that isn't the expected one."""

    claim: str
    expected: str
    seen: str
    observed: str


def changes(verdicts: Sequence[record.Verdict], expected: dict[str, bool | None]) -> list[Change]:
    """Return each verdict that differs from the expected one, and each expected claim that wasn't seen or is new."""
    seen = {verdict.id: verdict for verdict in verdicts}
    found = []
    for id in sorted(seen.keys() | expected.keys()):
        want = WORDS[expected[id]] if id in expected else "new"
        have = WORDS[seen[id].holds] if id in seen else "missing"
        if want != have:
            found.append(Change(id, want, have, seen[id].observed if id in seen else ""))
    return found


def expected_file(folder: Path, backend: str) -> Path:
    """Return where the expected verdicts of a backend stand."""
    return folder / f"{backend}.json"


def load_expected(file: Path) -> dict[str, bool | None]:
    """Read expected verdicts, a JSON object from claim id to true, false or null; empty when there is no file yet."""
    if not file.exists():
        return {}
    data = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or not all(v is None or isinstance(v, bool) for v in data.values()):
        raise ValueError(f"{file.name}: expected an object from claim id to true, false or null")
    return data


def save_expected(file: Path, verdicts: Mapping[str, bool | None]) -> None:
    """Accept these verdicts, by claim, as the expected ones."""
    text = json.dumps(dict(sorted(verdicts.items())), indent=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    saving.save(f"{text}\n".encode(), file)
