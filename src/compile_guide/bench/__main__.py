"""``python -m compile_guide.bench``: let all estimators estimate, quietly and disturbed, and keep what they said.

What the file holds already isn't measured again: run it in pieces (``--minutes``), and each goes on where the last ended.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from compile_guide.bench.asking import asker
from compile_guide.bench.estimators import ESTIMATORS, available
from compile_guide.bench.results import CONDITIONS, Bench
from compile_guide.bench.rounds import BenchError, Part, run
from compile_guide.bench.workloads import WORKLOADS

SECONDS = (0.5, 2.0)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark of estimators, or the part asked for, into the file; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _parser().parse_args(argv)
    try:
        done = _run(options)
    except BenchError as error:
        print(f"compile_guide.bench: {error}", file=sys.stderr)
        return 2
    print(options.out if done else f"{options.out}: not complete yet; the same command goes on")
    return 0


def _run(options: argparse.Namespace) -> bool:
    there = available()
    chosen = tuple(name for name in there if name in (options.estimator or there))
    if missing := sorted(set(options.estimator or ()) - set(there)):
        raise BenchError(f"{missing[0]!r} isn't installed here; there are: {', '.join(there)}")
    parts = [
        Part(tuple(options.workload or WORKLOADS), chosen, condition, seconds)
        for seconds in options.seconds or SECONDS
        for condition in options.condition or CONDITIONS
    ]
    with tempfile.TemporaryDirectory(prefix="guide-bench-") as temp, asker(Path(temp)) as ask:
        return run(parts, options.out, options.repeats, ask, options.minutes, _show)


def _show(part: Part, bench: Bench) -> None:
    counts = [len(one.ratios) for one in bench.series if (one.condition, one.seconds) == (part.condition, part.seconds)]
    print(f"{part.condition}, {part.seconds:g} s: {min(counts)} estimates of each kind", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m compile_guide.bench", description=__doc__)
    add = parser.add_argument
    add("--repeats", type=int, default=30, help="estimates of each kind (default: %(default)s)")
    add("--seconds", type=float, action="append", help="what an estimate may take; repeatable (default: 0.5 and 2)")
    add("--condition", action="append", choices=CONDITIONS, help="this one alone")
    add("--workload", action="append", choices=list(WORKLOADS), help="this one alone; repeatable")
    add("--estimator", action="append", choices=list(ESTIMATORS), help="this one alone; repeatable")
    add("--minutes", type=float, default=float("inf"), help="begin no round that would end later")
    add("--out", type=Path, default=Path("docs/bench.json"), help="is continued if it exists (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
