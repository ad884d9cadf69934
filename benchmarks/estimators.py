"""The estimators under test: given a workload and some seconds, each says how many times faster the candidate is.

The seconds are for calls on the clock and the estimator's own warm-up; starting Python, importing MLX and building
kernels is free for all. Each other tool is used as its documentation says, through its real package, with the seconds
shared equally between the two functions, and its result is the one that it reports for a function by default.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.workloads import Side, sides
from compile_guide import timing

TOOLS = Path(__file__).with_name("tools")
PLUGINS = ("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider")
SIX, RUN, REFERENCE = 6, "compare(), one of six", "reference"
STRETCH_S, SETTLE_S = 0.04, 0.01
METHOD = 3
"""Raised when an estimator, a workload or the yardstick changes, so that estimates of two kinds are never put together."""


@dataclass(frozen=True)
class Estimate:
    """Baseline's time divided by the candidate's, and the interval that the estimator gives, if it gives one."""

    ratio: float
    low: float | None = None
    high: float | None = None


Estimator = Callable[[str, float], Estimate]


def ours_one(workload: str, seconds: float) -> Estimate:
    """``compare()`` in one process, as in a script that one runs oneself."""
    return combined([our_run(workload, seconds)])


def ours_six(workload: str, seconds: float) -> Estimate:
    """``compare()`` in six processes, as the recorder does it, a sixth of the time each.

    The recorder goes round by round through all examples, so the six are minutes apart. The bench spreads them over
    its own rounds in the same way; only where this is called as a whole they follow each other.
    """
    argv = [sys.executable, "-m", "benchmarks.worker", workload, RUN, str(seconds / SIX)]
    outputs = [subprocess.run(argv, capture_output=True, check=True, text=True).stdout for _ in range(SIX)]
    return combined([json.loads(output.splitlines()[-1]) for output in outputs])


def our_run(workload: str, seconds: float) -> dict[str, Any]:
    """Return what one process sees in so many seconds, as JSON's types."""
    found = workloads.make(workload)
    with contextlib.redirect_stdout(io.StringIO()):
        done = timing.compare(
            workload.lower(), found.baseline, found.candidate, *found.inputs, budget=seconds, half_width=1e-9, rtol=1e-3
        )
    return asdict(done)


def combined(runs: list[dict[str, Any]]) -> Estimate:
    """Return what ``compare()`` says when these processes' runs are put together.

    Raises:
        RuntimeError: a process found the calls too slow for its seconds.
    """
    found = [timing.from_dict(run) for run in runs]
    together = timing.Comparison(found[0].name, tuple(run for one in found for run in one.runs))
    if together.ratio is None:
        raise RuntimeError(f"{together.name} is too slow for this many seconds: give it more")
    low, high = together.interval or (None, None)
    return Estimate(together.ratio, low, high)


def one_after_the_other(workload: str, seconds: float) -> Estimate:
    """The helper of MLX's documentation: ten calls to warm up, then the mean of many, first one function, then the other.

    There it makes 100 calls; here as many as fit the seconds.
    """
    return Estimate(_ratio(workload, seconds, _mean_of_calls))


def minimum(workload: str, seconds: float) -> Estimate:
    """The fastest of all calls that fit the seconds, first one function, then the other."""
    return Estimate(_ratio(workload, seconds, lambda side, share: min(each(side, share))))


def _ratio(workload: str, seconds: float, time_of: Callable[[Side, float], float]) -> float:
    baseline, candidate = sides(workload)
    return time_of(baseline, seconds / 2) / time_of(candidate, seconds / 2)


def _mean_of_calls(side: Side, seconds: float) -> float:
    warm = 10 * _mean(side, 10)
    return _mean(side, max(1, round(10 * (seconds - warm) / warm)))


def _mean(side: Side, count: int) -> float:
    evaluate, function, inputs = side
    start = time.perf_counter()
    for _ in range(count):
        evaluate(function(*inputs))
    return (time.perf_counter() - start) / count


def each(side: Side, seconds: float) -> list[float]:
    """Return the seconds of each call, of as many as fit the seconds, and of one at least."""
    evaluate, function, inputs = side
    times: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    while not times or clock() < end:
        start = clock()
        evaluate(function(*inputs))
        times.append(clock() - start)
    return times


def torch_timer(workload: str, seconds: float) -> Estimate:
    """``torch.utils.benchmark``: ``blocked_autorange``, the median of its blocks."""
    from torch.utils.benchmark import Timer

    def median(side: Side, share: float) -> float:
        names = dict(zip(("evaluate", "function", "inputs"), side, strict=True))
        timer = Timer("evaluate(function(*inputs))", globals=names)
        return float(timer.blocked_autorange(min_run_time=share).median)

    return Estimate(_ratio(workload, seconds, median))


def pyperf(workload: str, seconds: float) -> Estimate:
    """``pyperf``: means of values from two processes each, one value to warm up and three that count, as by default.

    Its default is twenty processes. What takes long is not the clock but the processes: one more to calibrate, one more
    that starts them all, each importing everything. Two keep that at seven for the two functions.
    """
    options = ["--processes=2", f"--min-time={seconds / 2 / 8}", "--quiet", "--copy-env"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pyperf.json"
        in_python([str(TOOLS / "pyperf_script.py"), *options, "-o", str(file)], workload)
        found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    means = [statistics.mean(v for run in one["runs"] for v in run.get("values", ())) for one in found]
    return Estimate(means[0] / means[1])


def pytest_benchmark(workload: str, seconds: float) -> Estimate:
    """``pytest-benchmark``: rounds as it calibrates them, the median of the rounds. No other plugin of pytest is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rounds.json"
        options = [*PLUGINS, "-q", f"--benchmark-max-time={seconds / 2}", f"--benchmark-json={file}"]
        in_python(
            ["-m", "pytest", "-c", os.devnull, f"--rootdir={folder}", str(TOOLS / "rounds.py"), *options], workload
        )
        found = {one["name"]: one["stats"] for one in json.loads(file.read_text(encoding="utf-8"))["benchmarks"]}
    return Estimate(found["test_baseline"]["median"] / found["test_candidate"]["median"])


def in_python(arguments: list[str], workload: str) -> None:
    """Run Python with these arguments, for a tool's script to find the workload in ``BENCH_WORKLOAD``.

    Raises:
        RuntimeError: it failed; the end of what it printed is in the message.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"BENCH_WORKLOAD": workload, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(arguments[:3])}: {(ended.stderr or ended.stdout).strip()[-500:]}")


def reference(workload: str, seconds: float) -> Estimate:
    """The yardstick: long stretches of one function and the other in turn, the median stretch by the median stretch.

    No ratio is made of neighbors.
    """
    baseline, candidate = stretches(sides(workload), seconds)
    return Estimate(baseline / candidate)


def stretches(both: tuple[Side, Side], seconds: float) -> tuple[float, float]:
    """Return the median stretch of each function, in seconds a call.

    A stretch takes about :data:`STRETCH_S` and counts after :data:`SETTLE_S`, so that each function is seen as in a
    loop of its own.
    """
    means: tuple[list[float], list[float]] = ([], [])
    clock = time.perf_counter
    end = clock() + seconds
    while clock() < end or len(means[0]) < 3:
        for side, seen in zip(both, means, strict=True):
            count = len(each(side, SETTLE_S)) * round(STRETCH_S / SETTLE_S - 1)
            seen.append(_mean(side, count))
    return statistics.median(means[0]), statistics.median(means[1])


ESTIMATORS: dict[str, Estimator] = {
    "compare(), six processes": ours_six,
    "compare(), one process": ours_one,
    "MLX documentation's helper": one_after_the_other,
    "torch.utils.benchmark": torch_timer,
    "pyperf": pyperf,
    "pytest-benchmark": pytest_benchmark,
    "minimum": minimum,
}
PACKAGES = {"torch.utils.benchmark": "torch", "pyperf": "pyperf", "pytest-benchmark": "pytest_benchmark"}


def available() -> list[str]:
    """Return the estimators whose packages are installed, ours first."""
    return [name for name in ESTIMATORS if name not in PACKAGES or importlib.util.find_spec(PACKAGES[name])]


def run_for_worker(workload: str, estimator: str, seconds: float) -> dict[str, Any]:
    """Return one estimate, or the raw run that six processes make one of, as JSON's types."""
    if estimator == RUN:
        return our_run(workload, seconds)
    return asdict((reference if estimator == REFERENCE else ESTIMATORS[estimator])(workload, seconds))
