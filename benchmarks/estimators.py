"""The estimators that are compared: given a workload and some seconds, each returns how many times faster the candidate is.

The seconds are for timed calls and the estimator's own warm-up; starting Python, importing MLX and building kernels is
free for all. Each other tool is used as its documentation says, through its real package, with the seconds shared equally
between the two functions, and its result is the one that it reports for a function by default.
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

from benchmarks import BenchError, environment, workloads
from benchmarks.workloads import Side, sides
from compile_guide import timing
from compile_guide.comparison import Comparison, from_dict

TOOLS = Path(__file__).with_name("tools")
PYTEST_OPTIONS = ("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider")
SIX, RUN, REFERENCE = 6, "compare(), one of six", "reference"
OURS = "compare(), six processes"
STRETCH_S, WARM_UP_S = 0.04, 0.01
METHOD = 4
"""The version of the method. Raise it whenever an estimator, a workload or the reference changes: estimates of two versions
are never put into one file. ``README.md`` says what each version changed."""


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

    The recorder goes round by round through all examples, so the six are minutes apart. :mod:`benchmarks.rounds` spreads
    them over a round in the same way; only here they follow each other directly.
    """
    argv = [sys.executable, "-m", "benchmarks.worker", workload, RUN, str(seconds / SIX)]
    processes = [
        subprocess.run(argv, env=environment(), capture_output=True, check=True, text=True) for _ in range(SIX)
    ]
    return combined([json.loads(process.stdout.splitlines()[-1]) for process in processes])


def our_run(workload: str, seconds: float) -> dict[str, Any]:
    """Return the comparison that one process makes in so many seconds, as JSON's types."""
    pair = workloads.make(workload)
    with contextlib.redirect_stdout(io.StringIO()):
        comparison = timing.compare(
            workload.lower(), pair.baseline, pair.candidate, *pair.inputs, budget=seconds, half_width=1e-9, rtol=1e-3
        )
    return asdict(comparison)


def combined(runs: list[dict[str, Any]]) -> Estimate:
    """Return the estimate that ``compare()`` makes of these processes' comparisons together.

    Raises:
        BenchError: the calls were too slow for the seconds of a process.
    """
    comparisons = [from_dict(run) for run in runs]
    together = Comparison(comparisons[0].name, tuple(run for one in comparisons for run in one.runs))
    if together.ratio is None:
        raise BenchError(f"{together.name} is too slow for this many seconds: give it more")
    low, high = together.interval or (None, None)
    return Estimate(together.ratio, low, high)


def one_after_the_other(workload: str, seconds: float) -> Estimate:
    """The helper in MLX's documentation: ten calls to warm up, then the mean of many, first one function, then the other.

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
    """``pyperf``: means of the values of two processes, each with one value to warm up and three that count, its default.

    By default it starts twenty processes, and starting them would take most of the time: there is one more that calibrates
    and one more that starts the others, and each imports everything. With two there are seven for the two functions.
    """
    options = ["--processes=2", f"--min-time={seconds / 2 / 8}", "--quiet", "--copy-env"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pyperf.json"
        in_python([str(TOOLS / "pyperf_script.py"), *options, "-o", str(file)], workload)
        results = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    means = [statistics.mean(v for run in one["runs"] for v in run.get("values", ())) for one in results]
    return Estimate(means[0] / means[1])


def pytest_benchmark(workload: str, seconds: float) -> Estimate:
    """``pytest-benchmark``: the median of the rounds that it calibrates. No other plugin of pytest is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rounds.json"
        options = [*PYTEST_OPTIONS, "-q", f"--benchmark-max-time={seconds / 2}", f"--benchmark-json={file}"]
        script = str(TOOLS / "pytest_benchmark_file.py")
        in_python(["-m", "pytest", "-c", os.devnull, f"--rootdir={folder}", script, *options], workload)
        results = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    medians = {one["name"]: one["stats"]["median"] for one in results}
    return Estimate(medians["test_baseline"] / medians["test_candidate"])


def in_python(arguments: list[str], workload: str) -> None:
    """Run Python with these arguments; the tool's script finds the workload's name in ``BENCH_WORKLOAD``.

    Raises:
        BenchError: it failed; the end of what it printed is in the message.
    """
    env = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    env |= {"BENCH_WORKLOAD": workload, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchError(f"{' '.join(arguments[:3])}: {(ended.stderr or ended.stdout).strip()[-500:]}")


def reference(workload: str, seconds: float) -> Estimate:
    """The reference: long stretches of one function and the other in turn; median stretch divided by median stretch.

    Unlike ``compare()``, it makes no ratio of two blocks that lie side by side.
    """
    baseline, candidate = stretches(sides(workload), seconds)
    return Estimate(baseline / candidate)


def stretches(both: tuple[Side, Side], seconds: float) -> tuple[float, float]:
    """Return the median stretch of each function, in seconds a call.

    A stretch takes about :data:`STRETCH_S`, of which the first :data:`WARM_UP_S` don't count, so that each function is timed
    as in a loop of its own.
    """
    means: tuple[list[float], list[float]] = ([], [])
    clock = time.perf_counter
    end = clock() + seconds
    while clock() < end or len(means[0]) < 3:
        for side, stretch_means in zip(both, means, strict=True):
            count = len(each(side, WARM_UP_S)) * round(STRETCH_S / WARM_UP_S - 1)
            stretch_means.append(_mean(side, count))
    return statistics.median(means[0]), statistics.median(means[1])


ESTIMATORS: dict[str, Estimator] = {
    OURS: ours_six,
    "compare(), one process": ours_one,
    "MLX documentation's helper": one_after_the_other,
    "torch.utils.benchmark": torch_timer,
    "pyperf": pyperf,
    "pytest-benchmark": pytest_benchmark,
    "minimum": minimum,
}
MODULES = {"torch.utils.benchmark": "torch", "pyperf": "pyperf", "pytest-benchmark": "pytest_benchmark"}


def available() -> list[str]:
    """Return the estimators whose packages are installed, ours first."""
    return [name for name in ESTIMATORS if name not in MODULES or importlib.util.find_spec(MODULES[name])]


def run_for_worker(workload: str, estimator: str, seconds: float) -> dict[str, Any]:
    """Return one estimate as JSON's types, or for :data:`RUN` one of the six comparisons that :func:`combined` takes."""
    if estimator == RUN:
        return our_run(workload, seconds)
    return asdict((reference if estimator == REFERENCE else ESTIMATORS[estimator])(workload, seconds))
