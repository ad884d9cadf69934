"""The directives ``bench-table``, ``bench-summary`` and ``bench-goals``: what ``nox -s bench`` found about estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from compile_guide.bench.estimators import ESTIMATORS
from compile_guide.bench.results import CONDITIONS, Bench, Series, load
from compile_guide.site.nodes import Cell, paragraph, table, text

OURS = ("compare(), six processes", "compare(), one process")
CONDITION_WORDS = {"quiet": "nothing else runs", "disturbed": "a neighbor burns one core, on and off"}
WORDS = {
    "spread": "Interquartile range of the estimates, as a share of their median",
    "deviation": "Standard deviation of the estimates, as a share of their mean",
    "bias": "How far the median estimate is from the yardstick, with its standard error",
    "coverage": "Share of the intervals that hold the yardstick's ratio",
}


def percent(share: float | None, *, signed: bool = False) -> str:
    """Return a share in percent to two digits, or three above 10 %: "4.1 %"."""
    if share is None:
        return "—"
    digits = 0 if abs(share) >= 0.0995 else 1 if abs(share) >= 0.00995 else 2
    return f"{100 * share:{'+' if signed else ''}.{digits}f} %"


class BenchDirective(SphinxDirective):
    """A directive over ``bench.json``; its page is read again when that changes."""

    def bench(self) -> Bench:
        """Return what the file holds.

        Raises:
            ExtensionError: the file is missing or broken.
        """
        file = Path(self.env.srcdir) / "bench.json"
        self.env.note_dependency(file)
        try:
            return load(file)
        except (OSError, ValueError) as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error


class BenchTable(BenchDirective):
    """``bench-table``: one figure (spread, deviation, bias, coverage) of every estimator on every workload."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "condition": lambda value: directives.choice(value, CONDITIONS),
    }

    def run(self) -> list[nodes.Node]:
        """Return a table for each number of seconds that was measured in this condition."""
        figure = directives.choice(self.arguments[0], tuple(WORDS))
        bench, condition = self.bench(), self.options.get("condition", CONDITIONS[0])
        return [
            _table(bench, figure, condition, seconds) for seconds in bench.budgets() if _any(bench, condition, seconds)
        ]


def _any(bench: Bench, condition: str, seconds: float) -> bool:
    return any((one.condition, one.seconds) == (condition, seconds) and len(one.ratios) > 1 for one in bench.series)


def _table(bench: Bench, figure: str, condition: str, seconds: float) -> nodes.table:
    rows: list[list[Cell]] = []
    workloads = bench.workloads()
    for estimator in bench.estimators():
        found = {one.workload: _said(bench, figure, one) for one in bench.of(condition, estimator, seconds)}
        if any(value != "—" for value in found.values()):
            rows.append([estimator, *(found.get(name, "—") for name in workloads)])
    caption = f"{WORDS[figure]}; {CONDITION_WORDS[condition]}; {seconds:g} s an estimate"
    return table(["Estimator", *workloads], rows, numbers=workloads, caption=caption)


def _said(bench: Bench, figure: str, one: Series) -> str:
    if figure == "bias":
        return (
            f"{percent(one.bias(bench.truth(one.condition, one.workload)), signed=True)} ± {percent(bench.doubt(one))}"
        )
    if figure == "coverage":
        return percent(one.coverage(bench.truth(one.condition, one.workload)))
    return percent(float(getattr(one, figure)))


class BenchSummary(BenchDirective):
    """``bench-summary``: where it ran, and how our estimator's spread stands to the others' in a sentence each."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph about the run and one for each condition and number of seconds."""
        bench = self.bench()
        cases = [(c, s) for s in bench.budgets() for c in CONDITIONS if _any(bench, c, s)]
        return [self._setup(bench), *(paragraph(*_compared(bench, *case)) for case in cases)]

    @staticmethod
    def _setup(bench: Bench) -> nodes.paragraph:
        counts = sorted({len(one.ratios) for one in bench.series})
        repeats = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
        used = ", ".join(f"{name} {version}" for name, version in bench.packages.items())
        where = f"{bench.machine['chip']}, {bench.machine['cores']} cores, MLX's {bench.machine['backend']} backend"
        missing = [name for name in ESTIMATORS if name not in bench.estimators()]
        said = (
            f"Measured until {bench.created[:10]} on {where}, with {used}: {repeats} estimates of each kind, "
            f"{' and '.join(f'{seconds:g} s' for seconds in bench.budgets())} each, in an order drawn anew each time."
            + (f" Not run this time: {', '.join(missing)}." if missing else "")
        )
        return paragraph(said, classes=["measured-on"])


def _compared(bench: Bench, condition: str, seconds: float) -> list[nodes.Node]:
    """Say how our spread compares with each other estimator's: medians over the workloads, and the ratio of the two."""
    found = {name: bench.typical(condition, name, seconds, "spread") for name in bench.estimators()}
    spread = {name: value for name, value in found.items() if value is not None}
    ours = spread.get(OURS[0])
    if not ours:
        return [text(f"When {CONDITION_WORDS[condition]}, with {seconds:g} s: not measured yet.")]
    others = sorted((value, name) for name, value in spread.items() if name not in OURS)
    said = (
        f"When {CONDITION_WORDS[condition]}, half of the estimates of {OURS[0]}, in {seconds:g} s lie within "
        f"{percent(ours)} (median over the workloads)."
    )
    each = "; ".join(f"{name}: {percent(value)}, {value / ours:.2g} times as much" for value, name in others)
    return [text(f"{said} The others: {each}.")]


class BenchGoals(BenchDirective):
    """``bench-goals``: what was wanted, what was seen, and whether that is enough, one row a goal and case."""

    def run(self) -> list[nodes.Node]:
        """Return one table."""
        bench = self.bench()
        cases = [(c, s) for s in bench.budgets() for c in CONDITIONS if _any(bench, c, s)]
        rows = [[f"{CONDITION_WORDS[c]}, {s:g} s", *row] for c, s in cases for row in goals(bench, c, s)]
        return [
            table(["When", "Wanted", "Seen", "Met"], rows, caption="What we wanted of our estimator, six processes")
        ]


SPREAD_GOAL = {"quiet": 1.0, "disturbed": 0.5}
"""Our spread at most this share of the best other's."""
BIAS_GOAL, COVERAGE_GOAL = 0.005, (0.93, 0.97)


def goals(bench: Bench, condition: str, seconds: float) -> list[list[Cell]]:
    """Return a goal, what was seen, and whether it is met, for spread, bias and coverage, over all workloads."""
    ours = OURS[0]
    spreads = {name: bench.typical(condition, name, seconds, "spread") for name in bench.estimators()}
    others = [(value, name) for name, value in spreads.items() if value is not None and name not in OURS]
    mine, bias = spreads.get(ours), bench.typical(condition, ours, seconds, "bias")
    held, of = bench.hits(condition, ours, seconds)
    if mine is None or bias is None or not others or not of:
        return []
    best, name = min(others)
    share = SPREAD_GOAL[condition]
    wanted = "at most half of the best other's spread" if share < 1 else "no more spread than the best other's"
    low, high = COVERAGE_GOAL
    doubt = (held / of * (1 - held / of) / of) ** 0.5
    covered = f"{percent(held / of)} of {of} (± {percent(doubt)})"
    return [
        [wanted, f"{percent(mine)}, {name} {percent(best)}", _yes(mine <= share * best)],
        [f"bias under {percent(BIAS_GOAL)}", f"{percent(bias)} (median of its sizes)", _yes(bias < BIAS_GOAL)],
        [f"intervals that hold the truth: {low:.0%} to {high:.0%}", covered, _yes(low <= held / of <= high)],
    ]


def _yes(met: bool) -> str:
    return "yes" if met else "no"
