"""The directives ``bench-table`` and ``bench-summary``: what ``nox -s bench`` found about estimators."""

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
    "bias": "How far the median estimate is from the long reference run",
    "coverage": "Share of the intervals that hold the reference's ratio",
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
        """Return the table of one condition."""
        figure = directives.choice(self.arguments[0], tuple(WORDS))
        bench, condition = self.bench(), self.options.get("condition", CONDITIONS[0])
        workloads = bench.workloads()
        rows: list[list[Cell]] = []
        for estimator in bench.estimators():
            found = [bench.find(condition, workload, estimator) for workload in workloads]
            values = [_value(one, figure, bench.truth(one.workload)) for one in found]
            if any(value is not None for value in values):
                rows.append([estimator, *(percent(value, signed=figure == "bias") for value in values)])
        caption = f"{WORDS[figure]}; {CONDITION_WORDS[condition]}"
        return [table(["Estimator", *workloads], rows, numbers=workloads, caption=caption)]


def _value(series: Series, figure: str, truth: float) -> float | None:
    if figure == "bias":
        return series.bias(truth)
    if figure == "coverage":
        return series.coverage(truth)
    return float(getattr(series, figure))


class BenchSummary(BenchDirective):
    """``bench-summary``: where it ran, and in two sentences how our estimator's spread stands to the others'."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph about the run and one for each condition."""
        bench = self.bench()
        return [self._setup(bench), *(paragraph(*_compared(bench, condition)) for condition in CONDITIONS)]

    @staticmethod
    def _setup(bench: Bench) -> nodes.paragraph:
        repeats = len(bench.series[0].ratios)
        used = ", ".join(f"{name} {version}" for name, version in bench.packages.items())
        where = f"{bench.machine['chip']}, {bench.machine['cores']} cores, MLX's {bench.machine['backend']} backend"
        missing = [name for name in ESTIMATORS if name not in bench.estimators()]
        said = (
            f"Measured {bench.created[:10]} on {where}, with {used}: {repeats} estimates of each kind, "
            f"{bench.seconds:g} s each, in an order drawn anew each time."
            + (f" Not run this time: {', '.join(missing)}." if missing else "")
        )
        return paragraph(said, classes=["measured-on"])


def _compared(bench: Bench, condition: str) -> list[nodes.Node]:
    """Say how our spread compares with each other estimator's: medians over the workloads, and the ratio of the two."""
    ours = OURS[0]
    spread = {name: bench.typical(condition, name, "spread") for name in bench.estimators()}
    others = sorted((value, name) for name, value in spread.items() if name not in OURS)
    said = f"When {CONDITION_WORDS[condition]}, half of the estimates of {ours}, lie within {percent(spread[ours])} (median over the workloads)."
    each = "; ".join(f"{name}: {percent(value)}, {value / spread[ours]:.2g} times as much" for value, name in others)
    return [text(f"{said} The others: {each}.")]
