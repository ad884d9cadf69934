"""``python -m benchmarks harness`` (or another of :data:`benchmarks.costs.PARTS`): measure one and keep it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import builds, cores, harness, past, recording, scale
from benchmarks.costs import Part, put
from benchmarks.rounds import facts, now, version
from compile_guide.recorder.machine import machine

FOLDER = Path("docs", "bench", "costs")
Values = dict[str, tuple[float, ...]]


def _builds(repeats: int) -> Values:
    with tempfile.TemporaryDirectory(prefix="guide-builds-") as temp:
        return builds.builds(Path.cwd(), Path(temp), repeats)


def _scale(repeats: int) -> Values:
    with tempfile.TemporaryDirectory(prefix="guide-scale-") as temp:
        return scale.growth(Path(temp), repeats)


def _record(repeats: int) -> Values:
    with tempfile.TemporaryDirectory(prefix="guide-record-") as temp:
        return recording.where_it_goes(Path.cwd(), Path(temp), repeats)


SPHINX = ("sphinx", "sphinx-gallery", "myst-parser", "furo")
MEASURED: dict[str, tuple[Callable[[int], Values], int, tuple[str, ...]]] = {
    "harness": (harness.harness, 30, ("mlx",)),
    "past": (past.past, 20, ("mlx",)),
    "cores": (cores.cores, 20, ("mlx",)),
    "builds": (_builds, 5, ("mlx", *SPHINX)),
    "record": (_record, 1, ("mlx",)),
    "scale": (_scale, 3, SPHINX),
}
"""For each part what measures it, how often by default, and the packages whose versions matter."""


def main(name: str, argv: list[str]) -> int:
    """Measure one part and put it into the machine's file; return the exit status."""
    measure, repeats, packages = MEASURED[name]
    parser = argparse.ArgumentParser(f"python -m benchmarks {name}")
    parser.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="default: docs/bench/costs/ID.json, ID the machine's")
    options = parser.parse_args(argv)
    values = {kind: tuple(float(f"{v:.6g}") for v in seen) for kind, seen in measure(options.repeats).items()}
    found = machine()  # only now: what its copies of memory take would hide how large the builds are
    versions = {package: version(package) for package in packages}
    file = options.out or FOLDER / f"{found.id}.json"
    put(file, name, Part(now(), facts(found), versions, values))
    print(file)
    return 0
