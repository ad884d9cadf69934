"""What the checks see on one MLX release after the other, and the JSON file that keeps it (``docs/history.json``).

``python -m claims._history [ID ...] [--releases A,B] [--jobs N] [--out FILE]`` asks every release that pip finds, each in
an environment of its own; ``nox -s history`` does that. Without an index, pip takes wheels from a folder where its
environment variables say so: ``PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER``.

The file holds one line a release, so that two versions of it can be compared::

    {"schema": 1, "platform": "linux-x86_64", "observations": ["…", …],
     "versions": [{"mlx": "0.21.1", "python": "3.11.7", "status": "ok", "verdicts": {"ID": [true, 0], …}}, …]}

A verdict is ``[holds, number]``: the number of its text among ``observations``, which keeps each text once.
A release that could not be installed or imported has another ``status``, which says why, and no verdicts.

Schema history: 1, the first.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import compile_guide
from compile_guide import CompileGuideError
from compile_guide._files import write_atomically
from compile_guide._prerequisites import release_numbers
from compile_guide._process import private_folder
from compile_guide.ledger.claims import Claim, LedgerError
from compile_guide.ledger.commands import CLAIMS, choose
from compile_guide.ledger.runner import run_ledger

from ._releases import find_releases, install, pythons

SCHEMA, FILE = 1, Path("docs/history.json")
PACKAGE = Path(compile_guide.__file__).resolve().parent
SHARES_KERNELS = (0, 30)
"""From this release on, checks may share a kernel cache; older ones took one kernel for another."""


@dataclass(frozen=True)
class Version:
    """What the checks saw on one release, by claim; ``status`` is "ok", or the reason why it could not be run."""

    mlx: str
    python: str
    status: str
    verdicts: dict[str, tuple[bool | None, str]]


@dataclass(frozen=True)
class History:
    """All releases that were tried, oldest first, on one kind of machine."""

    platform: str
    versions: tuple[Version, ...]


class HistoryError(LedgerError):
    """The file is not a history of this schema."""


def run_version(release: str, python: str, claims: Sequence[Claim], folder: Path, temp: Path) -> Version:
    """Install a release in ``temp``, for the interpreter ``python``, and run the checks of claims from ``folder``."""
    number = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if trouble := install(release, python, temp / "venv"):
        return Version(release, number, trouble, {})
    # the package alone: the folder that holds it may be the site-packages of a newer MLX
    (temp / "path").mkdir()
    (temp / "path" / PACKAGE.name).symlink_to(PACKAGE)
    inside, env = str(temp / "venv" / "bin" / "python"), {"PYTHONPATH": str(temp / "path")}
    if release_numbers(release) < SHARES_KERNELS:
        claims = [replace(claim, cold=True) for claim in claims]
    verdicts = run_ledger(claims, folder, temp / "checks", python=inside, env=env)
    return Version(release, number, "ok", {v.id: (v.holds, v.observed) for v in verdicts})


def save(history: History, file: Path) -> None:
    """Write the file in one step, with one line a release and each observation once."""
    texts: dict[str, int] = {}
    lines = [json.dumps(_compact(version, texts), ensure_ascii=False) for version in history.versions]
    head = {"schema": SCHEMA, "platform": history.platform, "observations": list(texts)}
    start = json.dumps(head, ensure_ascii=False, indent=0).removesuffix("\n}")
    write_atomically((f'{start},\n"versions": [\n' + ",\n".join(lines) + "\n]\n}\n").encode(), file)


def _compact(version: Version, texts: dict[str, int]) -> dict[str, Any]:
    """Return what JSON holds of a version; a text that is new gets the next number."""
    verdicts = sorted(version.verdicts.items())
    numbered = {id: [holds, texts.setdefault(text, len(texts))] for id, (holds, text) in verdicts}
    return {"mlx": version.mlx, "python": version.python, "status": version.status, "verdicts": numbered}


def load(file: Path) -> History:
    """Read a history.

    Raises:
        HistoryError: it isn't JSON, or of another schema, or a verdict points at no observation.
        OSError: it can't be read.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise HistoryError(f"{file.name}: schema {data['schema']}, this program reads {SCHEMA}; run nox -s history")
        texts = data["observations"]
        return History(data["platform"], tuple(_expand(version, texts) for version in data["versions"]))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise HistoryError(f"{file.name}: not a history of MLX releases: {type(error).__name__}: {error}") from error


def _expand(version: dict[str, Any], texts: list[str]) -> Version:
    verdicts = {id: (holds, texts[number]) for id, (holds, number) in version["verdicts"].items()}
    return Version(version["mlx"], version["python"], version["status"], verdicts)


def merge(history: History, version: Version, *, keep: Iterable[str] = ()) -> History:
    """Return the history with this version in its place; verdicts on the claims in ``keep`` stay from an earlier run."""
    kept = set(keep)
    old = next((one.verdicts for one in history.versions if one.mlx == version.mlx), {})
    verdicts = {**{id: seen for id, seen in old.items() if id in kept}, **version.verdicts}
    others = [one for one in history.versions if one.mlx != version.mlx]
    new = replace(version, verdicts=verdicts if version.status == "ok" else {})
    return replace(history, versions=tuple(sorted([*others, new], key=lambda one: release_numbers(one.mlx))))


def main(arguments: Sequence[str]) -> int:
    """Ask the releases that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m claims._history", description="Run the checks on older releases of MLX."
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims to check (default: all)")
    parser.add_argument(
        "--releases", metavar="A,B", help="these releases, as 0.21.1,0.25.2 (default: all that pip finds)"
    )
    parser.add_argument(
        "--claims", type=Path, default=CLAIMS, metavar="DIR", help="where the claims are (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="releases side by side, two checks each (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE", help="the file (default: %(default)s)")
    return ask_releases(parser.parse_args(arguments))


def ask_releases(options: argparse.Namespace) -> int:
    """Run the checks on each release and save after each; return 1 if not one could be run."""
    claims, here = choose(options.claims, options.ids), f"{sys.platform}-{platform.machine()}"
    past = load(options.out) if options.out.exists() else History(here, ())
    if past.platform != here:
        raise LedgerError(f"{options.out} was made on {past.platform}, this is {here}: choose another file with --out")
    others = {claim.id for claim in choose(options.claims, [])} - {claim.id for claim in claims}
    at_hand = pythons()
    named = options.releases.split(",") if options.releases else []
    releases = dict.fromkeys(named, next(iter(at_hand))) or find_releases(at_hand)

    def ask(release: str, python: str) -> Version:
        with private_folder() as temp:
            return run_version(release, at_hand[python], claims, options.claims, temp)

    with ThreadPoolExecutor(options.jobs) as pool:
        for asked in as_completed([pool.submit(ask, *one) for one in releases.items()]):
            version = asked.result()
            past = merge(past, version, keep=others)
            save(past, options.out)
            print(f"{version.mlx}: {version.status}, {len(version.verdicts)} verdicts", flush=True)
    return 0 if any(version.status == "ok" for version in past.versions) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else an interrupt would wait for the releases being asked
    try:
        sys.exit(main(sys.argv[1:]))
    except CompileGuideError as error:
        sys.exit(f"claims._history: {error}")
