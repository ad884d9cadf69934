"""Let all estimators estimate, on the quiet machine and beside a busy neighbor, and save the estimates.

What the file holds already isn't measured again: with --minutes it runs a piece, and the same command continues it. Other
commands take the place of the options: `merge` puts files together that were measured side by side; `builds`, `record`,
`scale` and `since` measure how long builds and recordings take. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import functools
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks import ROOT, BenchError, builds, costs, recording, results, rounded, rounds, scale
from benchmarks.estimators import ESTIMATORS, available
from benchmarks.processes import estimating_processes
from benchmarks.provenance import now, this_machine, version
from benchmarks.results import CONDITIONS, Bench
from benchmarks.workloads import WORKLOADS
from compile_guide import CompileGuideError

SECONDS = (0.5, 2.0)
FOLDER = ROOT / "docs" / "bench"
SITE = ("sphinx", "sphinx-gallery", "myst-parser", "furo")


@dataclass(frozen=True)
class Measurement:
    """How one part of the costs is measured, how often by default, and the packages whose versions matter."""

    measure: Callable[[Path, int], builds.Values] | None
    repeats: int
    packages: tuple[str, ...]
    beside: Callable[[Path, Path, int], builds.Values] | None = None
    """How it is measured beside another checkout, the first argument."""


COSTS = {
    "builds": Measurement(builds.beside_plain_tools, 5, ("mlx", *SITE), builds.beside_checkout),
    "record": Measurement(recording.where_it_goes, 1, ("mlx",)),
    "scale": Measurement(scale.growth, 3, SITE),
    "since": Measurement(None, 5, ("mlx", *SITE), builds.since),
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark that ``argv`` names and write its file; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    argv = sys.argv[1:] if argv is None else argv
    commands: dict[str, Callable[[list[str]], int]] = {
        "merge": _merge,
        **{name: functools.partial(_cost, name) for name in COSTS},
    }
    try:
        return commands[argv[0]](argv[1:]) if argv and argv[0] in commands else _estimate(argv)
    except (CompileGuideError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _estimate(argv: list[str]) -> int:
    options = _estimate_parser().parse_args(argv)
    options.out = options.out or FOLDER / f"{this_machine()[0]}.json"
    complete = _run(options)
    print(options.out if complete else f"{options.out}: not complete yet; the same command continues it")
    return 0


def _run(options: argparse.Namespace) -> bool:
    installed = available()
    chosen = tuple(name for name in installed if name in (options.estimator or installed))
    if missing := sorted(set(options.estimator or ()) - set(installed)):
        raise BenchError(f"{missing[0]!r} isn't installed here; there are: {', '.join(installed)}")
    parts = [
        rounds.Part(tuple(options.workload or WORKLOADS), chosen, condition, s, options.references, options.sitting)
        for s in options.seconds or SECONDS
        for condition in options.condition or CONDITIONS
    ]
    with tempfile.TemporaryDirectory(prefix="guide-bench-") as temp, estimating_processes(Path(temp)) as ask:
        return rounds.run(parts, options.out, options.repeats, ask, options.minutes, _show)


def _show(part: rounds.Part, bench: Bench) -> None:
    kinds = {one.key[:4] for one in bench.series if (one.condition, one.seconds) == (part.condition, part.seconds)}
    counts = [bench.count(*kind) for kind in kinds]
    print(f"{part.condition}, {part.seconds:g} s: {min(counts)} estimates of each kind", file=sys.stderr, flush=True)


def _merge(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks merge", description="Put pieces together.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--note", default="", help="a sentence for readers about how they ran")
    options = parser.parse_args(argv)
    whole = functools.reduce(results.merge, map(results.load, options.files))
    results.save(msgspec.structs.replace(whole, note=options.note or whole.note), options.out)
    print(options.out)
    return 0


def _cost(name: str, argv: list[str]) -> int:
    it = COSTS[name]
    options = _cost_parser(name, it).parse_args(argv)
    other: Path | None = getattr(options, "against", None)
    measure = functools.partial(it.beside, other) if it.beside and other else it.measure
    assert measure is not None  # where nothing else is measured, the parser asks for the other checkout
    with tempfile.TemporaryDirectory(prefix=f"guide-{name}-") as temp:
        values = measure(Path(temp), options.repeats)
    # Only now: copying memory to measure its bandwidth makes this process larger than a small build.
    id_, machine = this_machine()
    versions = {package: version(package) for package in it.packages}
    part = costs.Part(now(), machine, versions, {kind: tuple(map(rounded, many)) for kind, many in values.items()})
    if other:
        part = msgspec.structs.replace(part, packages={builds.CHECKOUTS[1]: builds.commit(other), **versions})
        print("\n".join(costs.side_by_side(part, *builds.CHECKOUTS)))
    file = options.out or (None if it.measure and other else FOLDER / "costs" / f"{id_}.json")
    if file:
        costs.put(file, name, part)
        print(file)
    return 0


def _cost_parser(name: str, it: Measurement) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m benchmarks {name}")
    parser.add_argument("--repeats", type=at_least_one, default=it.repeats, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="default: docs/bench/costs/ID.json, ID the machine's")
    if it.beside:
        about = f"another checkout of this project{'; saved only with --out' if it.measure else ''}"
        parser.add_argument("--against", type=Path, metavar="DIR", required=it.measure is None, help=about)
    return parser


def at_least_one(text: str) -> int:
    """Read a whole number above 0, as argparse's ``type``."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number above 0")
    return int(text)


def _estimate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--repeats", type=at_least_one, default=30, help="estimates of each kind (default: %(default)s)")
    add("--references", type=at_least_one, default=1, help="processes of the reference a round (default: %(default)s)")
    add("--seconds", type=float, action="append", help="what an estimate may take; repeatable (default: 0.5 and 2)")
    add("--condition", action="append", choices=CONDITIONS, help="only this one")
    add("--workload", action="append", choices=list(WORKLOADS), help="only this one; repeatable")
    add("--estimator", action="append", choices=list(ESTIMATORS), help="only this one; repeatable")
    add("--sitting", default=now()[:10], help="estimates are compared with the reference of their own (default: today)")
    add("--minutes", type=float, default=float("inf"), help="begin no round that would end later")
    add("--out", type=Path, help="is continued if it exists (default: docs/bench/ID.json, ID the machine's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
