"""``python -m compile_guide.bench``: let all estimators estimate, quietly and disturbed, and keep what they said."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from compile_guide.bench.estimators import ESTIMATORS, available
from compile_guide.bench.results import CONDITIONS, DISTURBED, Bench, Series, save
from compile_guide.bench.workloads import WORKLOADS
from compile_guide.machine import machine
from compile_guide.progress import display

REFERENCE_PROCESSES, REFERENCE_SECONDS = 20, 1.0
PACKAGES = {"torch.utils.benchmark": "torch", "pyperf": "pyperf", "pytest-benchmark": "pytest-benchmark"}
BURN = """
import random, time
dice = random.Random(1)
while True:
    end = time.perf_counter() + dice.uniform(0.02, 0.4)
    while time.perf_counter() < end:
        pass
    time.sleep(dice.uniform(0.02, 0.4))
"""
Ask = Callable[[str, str, float], dict[str, float | None]]


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark of estimators and write the file; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _parser().parse_args(argv)
    there = available()
    chosen = [name for name in there if name in (options.estimator or there)]
    if missing := sorted(set(options.estimator or ()) - set(there)):
        print(
            f"compile_guide.bench: {missing[0]!r} isn't installed here; there are: {', '.join(there)}", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="guide-bench-") as temp:
        bench = run(options.workload or list(WORKLOADS), chosen, options.seconds, options.repeats, asker(Path(temp)))
    save(bench, options.out)
    print(options.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m compile_guide.bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=30, help="estimates of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="what an estimate may take (default: %(default)s)")
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="this one alone; can be repeated")
    parser.add_argument("--estimator", action="append", choices=list(ESTIMATORS), help="the same for estimators")
    parser.add_argument("--out", type=Path, default=Path("docs/bench.json"), help="default: %(default)s")
    return parser


def asker(temp: Path) -> Ask:
    """Return a function that lets one worker make one estimate; kernels are built once, in ``temp``."""
    env = {**os.environ, "TMPDIR": str(temp)}

    def ask(workload: str, estimator: str, seconds: float) -> dict[str, float | None]:
        argv = [sys.executable, "-m", "compile_guide.bench.worker", workload, estimator, str(seconds)]
        ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{estimator} failed on {workload}: {ended.stderr.strip()[-800:]}")
        found: dict[str, float | None] = json.loads(ended.stdout.splitlines()[-1])
        return found

    return ask


def run(workloads: list[str], estimators: list[str], seconds: float, repeats: int, ask: Ask) -> Bench:
    """Ask every estimator about every workload ``repeats`` times in each condition, in an order drawn anew each time."""
    dice, jobs = random.Random(0), [(w, e) for w in workloads for e in estimators]
    total = REFERENCE_PROCESSES * len(workloads) + len(CONDITIONS) * repeats * len(jobs)
    seen: dict[tuple[str, str, str], list[dict[str, float | None]]] = {}
    references: dict[str, list[float]] = {workload: [] for workload in workloads}
    with display(Console(), total, "estimating") as shown:
        for _ in range(REFERENCE_PROCESSES):
            for workload in workloads:
                references[workload].append(float(ask(workload, "reference", REFERENCE_SECONDS)["ratio"] or 0))
                shown.done(workload)
        for condition in CONDITIONS:
            with disturbance() if condition == DISTURBED else contextlib.nullcontext():
                for _ in range(repeats):
                    for workload, estimator in dice.sample(jobs, len(jobs)):
                        seen.setdefault((condition, workload, estimator), []).append(ask(workload, estimator, seconds))
                        shown.done(workload)
    keys = [(c, w, e) for c in CONDITIONS for w in workloads for e in estimators]
    return _bench(seconds, references, tuple(_series(*key, seen[key]) for key in keys))


def _series(condition: str, workload: str, estimator: str, seen: list[dict[str, float | None]]) -> Series:
    columns = {key: tuple(_rounded(one[key]) for one in seen) for key in ("ratio", "low", "high")}
    return Series(condition, workload, estimator, columns["ratio"], columns["low"], columns["high"])  # type: ignore[arg-type]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _bench(seconds: float, references: dict[str, list[float]], series: tuple[Series, ...]) -> Bench:
    facts = machine()
    about: dict[str, str | int] = {"chip": facts.gpu or facts.chip, "cores": facts.cores, "backend": facts.backend,
                                   "os": facts.os, "python": facts.python, "mlx": facts.mlx}  # fmt: skip
    used = {"mlx", *(PACKAGES[one.estimator] for one in series if one.estimator in PACKAGES)}
    versions = {name: version(name) for name in sorted(used)}
    rounded = {name: tuple(float(f"{ratio:.6g}") for ratio in ratios) for name, ratios in references.items()}
    return Bench(1, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), about, versions, seconds, rounded, series)


def version(package: str) -> str:
    """Return an installed package's version; Debian's torch says it in the module alone."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return str(importlib.import_module(package).__version__)


@contextlib.contextmanager
def disturbance() -> Iterator[None]:
    """Let a neighbor burn one core, on and off, at times drawn from a seed."""
    neighbor = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        yield
    finally:
        neighbor.kill()
        neighbor.wait()


if __name__ == "__main__":
    sys.exit(main())
