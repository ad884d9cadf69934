"""``python -m benchmarks``: let all estimators estimate, quietly and disturbed, and keep what they said.

What the file holds already isn't measured again: run it in pieces (``--minutes``), and each goes on where the last ended.
``python -m benchmarks merge FILE ... --out FILE`` puts pieces together that were measured side by side;
``harness``, ``past``, ``cores``, ``builds``, ``record`` and ``scale`` in the place of options measure what measuring and building cost.
"""

from __future__ import annotations

import argparse
import functools
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import parts
from benchmarks.asking import asker
from benchmarks.costs import PARTS
from benchmarks.estimators import ESTIMATORS, available
from benchmarks.results import CONDITIONS, Bench, joined, load, noted, save
from benchmarks.rounds import BenchError, Part, now, run
from benchmarks.workloads import WORKLOADS
from compile_guide.recorder.machine import machine

SECONDS = (0.5, 2.0)


FOLDER = Path("docs", "bench")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark of estimators, or the part asked for, into the file; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["merge"]:
            return _merge(argv[1:])
        if argv and argv[0] in PARTS:
            return parts.main(argv[0], argv[1:])
        return _estimate(argv)
    except RuntimeError as error:  # also of what it asked: an estimator, a build
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _estimate(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    options.out = options.out or FOLDER / f"{machine().id}.json"
    done = _run(options)
    print(options.out if done else f"{options.out}: not complete yet; the same command goes on")
    return 0


def _merge(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks merge", description="Put pieces together.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--note", default="", help="a sentence about how they ran, for the page")
    options = parser.parse_args(argv)
    try:
        whole = functools.reduce(joined, map(load, options.files))
    except (OSError, ValueError) as error:
        raise BenchError(str(error)) from error
    save(noted(whole, options.note), options.out)
    print(options.out)
    return 0


def _run(options: argparse.Namespace) -> bool:
    there = available()
    chosen = tuple(name for name in there if name in (options.estimator or there))
    if missing := sorted(set(options.estimator or ()) - set(there)):
        raise BenchError(f"{missing[0]!r} isn't installed here; there are: {', '.join(there)}")
    parts = [
        Part(tuple(options.workload or WORKLOADS), chosen, condition, seconds, options.references, options.sitting)
        for seconds in options.seconds or SECONDS
        for condition in options.condition or CONDITIONS
    ]
    with tempfile.TemporaryDirectory(prefix="guide-bench-") as temp, asker(Path(temp)) as ask:
        return run(parts, options.out, options.repeats, ask, options.minutes, _show)


def _show(part: Part, bench: Bench) -> None:
    kinds = {one.key[:4] for one in bench.series if (one.condition, one.seconds) == (part.condition, part.seconds)}
    counts = [bench.count(*kind) for kind in kinds]
    print(f"{part.condition}, {part.seconds:g} s: {min(counts)} estimates of each kind", file=sys.stderr, flush=True)


def at_least_one(text: str) -> int:
    """Read a whole number above 0, as argparse wants it."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--repeats", type=at_least_one, default=30, help="estimates of each kind (default: %(default)s)")
    add("--references", type=at_least_one, default=1, help="processes of the yardstick a round (default: %(default)s)")
    add("--seconds", type=float, action="append", help="what an estimate may take; repeatable (default: 0.5 and 2)")
    add("--condition", action="append", choices=CONDITIONS, help="this one alone")
    add("--workload", action="append", choices=list(WORKLOADS), help="this one alone; repeatable")
    add("--estimator", action="append", choices=list(ESTIMATORS), help="this one alone; repeatable")
    add("--sitting", default=now()[:10], help="estimates are held against the yardstick of their own (default: today)")
    add("--minutes", type=float, default=float("inf"), help="begin no round that would end later")
    add("--out", type=Path, help="is continued if it exists (default: docs/bench/ID.json, ID the machine's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
