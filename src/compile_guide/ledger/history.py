"""Run the ledger on every MLX release that has wheels for this machine, each in an environment of its own.

``python -m compile_guide.ledger.history [--releases 0.21.1,0.25.2] [--claims ID,ID] [--out docs/history.json]``

The file, JSON, holds one line a release, so that two of them can be compared::

    {"schema": 1, "platform": "linux-x86_64", "observations": ["…", …],
     "versions": [{"mlx": "0.21.1", "python": "3.11.7", "status": "ok", "verdicts": {"ID": [true, 0], …}}, …]}

A verdict is ``[holds, number]``: the number of its text among ``observations``, which keeps each text once.
A release that could not be installed or imported has another ``status``, which says why, and no verdicts.
Releases in the file that are not run again stay as they are: a long run may be done in parts.

Schema history: 1, the first.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from compile_guide import _files as saving
from compile_guide import _process as process
from compile_guide.ledger.claims import Claim, all_claims
from compile_guide.ledger.releases import install, order, pythons, releases

SCHEMA = 1
OUT = Path("docs", "history.json")
SOURCE = Path(__file__).resolve().parent.parent
LIMIT_S = 180.0
SHARES_KERNELS = (0, 30)
"""From this release on, checks may find each other's kernels; older ones took one kernel for another."""
Verdicts = dict[str, tuple[bool | None, str]]


@dataclass(frozen=True)
class Version:
    """What the ledger saw on one release; ``status`` is "ok", or the reason why it could not be run."""

    mlx: str
    python: str
    status: str
    verdicts: Verdicts


@dataclass(frozen=True)
class History:
    """All releases that were tried, oldest first, on one kind of machine."""

    platform: str
    versions: tuple[Version, ...]


class HistoryError(ValueError):
    """The file is not a history of this schema."""


def run_version(
    release: str,
    python: str,
    claims: Sequence[Claim],
    folder: Path,
    *,
    jobs: int = 2,
    limit_s: float = LIMIT_S,
) -> Version:
    """Install a release below ``folder`` and run the checks, ``jobs`` at a time, each in its own process."""
    number = subprocess.run([python, "-c", "import platform; print(platform.python_version())"], capture_output=True)
    trouble = install(release, python, folder / "venv")
    if trouble:
        return Version(release, number.stdout.decode().strip(), trouble, {})
    inside = str(folder / "venv" / "bin" / "python")
    caches: SimpleQueue[Path] = SimpleQueue()
    for job in range(jobs):
        caches.put(folder / f"kernels-{job}")
    shares = order(release) >= SHARES_KERNELS

    def one(claim: Claim) -> tuple[bool | None, str]:
        cache = caches.get()
        try:
            kernels = cache if shares and not claim.cold else None
            return _check(inside, claim, folder / "checks" / claim.id, limit_s, kernels)
        finally:
            caches.put(cache)

    with ThreadPoolExecutor(jobs) as pool:
        verdicts = dict(zip((claim.id for claim in claims), pool.map(one, claims), strict=True))
    return Version(release, number.stdout.decode().strip(), "ok", verdicts)


def _check(python: str, claim: Claim, place: Path, limit_s: float, kernels: Path | None) -> tuple[bool | None, str]:
    """Run one check, with a kernel cache of its own unless one is given."""
    place.mkdir(parents=True)
    out = place / "seen.json"
    env = {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [python, "-m", "compile_guide.ledger.claims", claim.id, str(out)]
    ended = process.run(argv, folder=place, limit_s=limit_s, env=env, temp=kernels)
    seen = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
    shutil.rmtree(place)
    if seen is None:
        return None, f"the check's process was ended: {ended.reason}"
    return seen["holds"], seen["observed"][:1000]


def save(history: History, file: Path) -> None:
    """Write the file in one step, with one line a release and each observation once."""
    texts: dict[str, int] = {}
    lines = [json.dumps(_compact(version, texts), ensure_ascii=False) for version in history.versions]
    head = {"schema": SCHEMA, "platform": history.platform, "observations": list(texts)}
    start = json.dumps(head, ensure_ascii=False, indent=0).removesuffix("\n}")
    saving.save((f'{start},\n"versions": [\n' + ",\n".join(lines) + "\n]\n}\n").encode(), file)


def _compact(version: Version, texts: dict[str, int]) -> dict[str, Any]:
    """Return what JSON holds of a version; a text that is new gets the next number."""
    numbered = {
        id: [holds, texts.setdefault(observed, len(texts))]
        for id, (holds, observed) in sorted(version.verdicts.items())
    }
    return {"mlx": version.mlx, "python": version.python, "status": version.status, "verdicts": numbered}


def load(file: Path) -> History:
    """Read a history.

    Raises:
        HistoryError: it isn't JSON, or of another schema, or a verdict points at no observation.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise HistoryError(f"{file.name}: schema {data['schema']}, this program reads {SCHEMA}; run nox -s history")
        texts = data["observations"]
        return History(data["platform"], tuple(_expand(version, texts) for version in data["versions"]))
    except (KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
        raise HistoryError(f"{file.name}: not a history of MLX releases: {type(error).__name__}: {error}") from error


def _expand(version: dict[str, Any], texts: list[str]) -> Version:
    verdicts = {id: (holds, texts[number]) for id, (holds, number) in version["verdicts"].items()}
    return Version(version["mlx"], version["python"], version["status"], verdicts)


@dataclass(frozen=True)
class Turn:
    """A claim whose verdict is another one from a release on: ``before`` and ``after`` are what was seen.

    ``last`` is the release on which the claim was asked before; not every claim was asked on every release.
    """

    claim: str
    release: str
    last: str
    holds: bool | None
    before: str
    after: str


def turns(history: History) -> tuple[Turn, ...]:
    """Return every change of verdict from one release that was asked the claim to the next such, oldest first."""
    found = []
    asked: dict[str, Version] = {}
    for version in history.versions:
        for id, (now, after) in sorted(version.verdicts.items()):
            if id in asked and asked[id].verdicts[id][0] != now:
                found.append(Turn(id, version.mlx, asked[id].mlx, now, asked[id].verdicts[id][1], after))
            asked[id] = version
    return tuple(found)


def merge(history: History, version: Version, *, keep: Iterable[str] = ()) -> History:
    """Return the history with this version in its place; verdicts on the claims in ``keep`` stay from an earlier run."""
    kept = set(keep)
    old = next((one.verdicts for one in history.versions if one.mlx == version.mlx), {})
    verdicts = {**{id: seen for id, seen in old.items() if id in kept}, **version.verdicts}
    others = [one for one in history.versions if one.mlx != version.mlx]
    new = replace(version, verdicts=verdicts if version.status == "ok" else {})
    return replace(history, versions=tuple(sorted([*others, new], key=lambda v: order(v.mlx))))


def summary(version: Version) -> str:
    """Return one line about a version, for the terminal."""
    if version.status != "ok":
        return f"{version.mlx}: {version.status}"
    counts = [sum(holds is kind for holds, _ in version.verdicts.values()) for kind in (True, False, None)]
    return f"{version.mlx}: {counts[0]} hold, {counts[1]} don't, {counts[2]} can't be decided"


def main(arguments: Sequence[str] | None = None, show: Callable[[str], None] = print) -> int:
    """Run the releases and write the file; status 1 if not one release could be run, 2 for a wrong name."""
    options = _parser().parse_args(arguments)
    at_hand = pythons()
    named = options.releases.split(",") if options.releases else []
    known = dict.fromkeys(named, next(iter(at_hand))) or releases(at_hand)
    claims = all_claims()
    wanted = options.claims.split(",") if options.claims else list(claims)
    if unknown := [id for id in wanted if id not in claims]:
        show(f"no claim {', '.join(unknown)}")
        return 2
    return _run_all(known, at_hand, [claims[id] for id in wanted], options, show)


def _run_all(
    known: dict[str, str],
    at_hand: dict[str, str],
    claims: list[Claim],
    options: argparse.Namespace,
    show: Callable[[str], None],
) -> int:
    """Run one release after the other, saving after each."""
    here = f"{sys.platform}-{platform.machine()}"
    history = load(options.out) if options.out.exists() else History(here, ())
    if history.platform != here:
        show(f"{options.out} was made on {history.platform}, this is {here}: choose another file with --out")
        return 2
    for release, python in known.items():
        with tempfile.TemporaryDirectory(prefix="guide-history-") as folder:
            version = run_version(release, at_hand[python], claims, Path(folder), jobs=options.jobs)
        history = merge(history, version, keep=set(all_claims()) - {claim.id for claim in claims})
        save(history, options.out)
        show(summary(version))
    return 0 if any(version.status == "ok" for version in history.versions) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compile_guide.ledger.history", description=__doc__.splitlines()[0])
    parser.add_argument("--releases", metavar="A,B", help="these releases alone, as 0.21.1,0.25.2 (default: all)")
    parser.add_argument("--claims", metavar="ID,ID", help="these claims alone (default: all)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"default: {OUT}")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="checks at a time (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
