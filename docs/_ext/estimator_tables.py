"""The directives ``bench-table``, ``bench-summary``, ``bench-goals``, ``bench-validation``: what ``nox -s bench`` measured.

The first three show every file of ``docs/bench``, one a machine. A file of an earlier version of the method is folded away
where the present one has been measured on the same backend, and so is a file of one function where there is one of several.
The last shows the files of ``docs/bench/validation``: intervals of the present version, measured after its constants were
chosen, with few other estimators beside them or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext.listings import list_files
from benchmarks import BenchError, estimators
from benchmarks.estimators import ESTIMATORS, METHOD
from benchmarks.figures import INTERVALS_SINCE, Answers, answers, expected_coverage, hits, over_workloads, recomputed
from benchmarks.results import CONDITIONS, DISTURBED, Bench, load
from compile_guide.formatting import NO_BREAK, NOTHING, format_percent
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text
from compile_guide.sphinxext.text import join

FOLDER, VALIDATION = "bench", "bench/validation"
OURS = (estimators.OURS, "compare(), one process")
CONDITION_WORDS = {"quiet": "no neighbor", "disturbed": "a neighbor burns one core, on and off"}
Case = tuple[str, float]
"""A condition and the seconds that an estimate may take."""
CAPTIONS = {
    "spread": "Interquartile range of the estimates, as a share of their median",
    "deviation": "Standard deviation of the estimates, as a share of their mean",
    "bias": "How far the median estimate is from the reference",
    "coverage": "Share of the intervals that hold the reference's ratio",
    "agreement": "Share of the intervals that hold the median of all estimates of their kind",
}
OF_INTERVALS = ("coverage", "agreement")
NOW = "Where it was measured, with what, and how often"
BEFORE = "Measured with an earlier version of the estimators, or one function only"

SPREAD_GOAL = {"quiet": 1.0, "disturbed": 0.5}
"""Our spread at most this share of the best other's."""
BIAS_GOAL, COVERAGE_GOAL = 0.005, 0.95
MET, NEAR, MISSED = "met", "missed by less than the error", "missed"
VALIDATION_HEADER = ["Machine", "When", "Held", "Right ones as wide", "Median width"]
GOALS_HEADER = ["When", "Spread", "Bias", "Intervals that hold the truth"]


class BenchDirective(SphinxDirective):
    """A directive over the files of a folder; its page is read again when one of them changes, comes or goes."""

    folder = FOLDER

    def benches(self) -> list[Bench]:
        """Return the files' contents, in the order of their names.

        Raises:
            ExtensionError: a file is broken, or there is none.
        """
        files = list_files(self.env, self.folder)
        for file in files:
            self.env.note_dependency(file)
        try:
            benches = [load(file) for file in files]
        except (OSError, BenchError) as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error
        if not benches:
            raise ExtensionError(f"{self.env.docname}: docs/{self.folder} holds no file: make one with 'nox -s bench'")
        return benches


def cases(bench: Bench) -> list[Case]:
    """Return the conditions and seconds with enough estimates for a spread, shortest first."""
    there = {(one.condition, one.seconds) for one in bench.series if len(one.ratios) > 1}
    return sorted(there, key=lambda case: (case[1], CONDITIONS.index(case[0])))


def case_words(case: Case) -> str:
    """Return "quiet, 0.5 s"."""
    return f"{case[0]}, {case[1]:g}{NO_BREAK}s"


def place(bench: Bench) -> str:
    """Return machine and backend, and the method's version where it isn't the present one."""
    return bench.place + (f", version {bench.method}" if bench.method != METHOD else "")


def fold_title(bench: Bench, benches: list[Bench]) -> str | None:
    """Return the title of the fold that a bench belongs in; None for one that stands open."""
    others = [one for one in benches if one.machine["backend"] == bench.machine["backend"]]
    newest = max(one.method for one in others)
    if bench.method < newest:
        return f"What it was before: {place(bench)}"
    if len(bench.workloads()) == 1 and any(len(one.workloads()) > 1 for one in others if one.method == newest):
        return f"Also measured: {place(bench)}"
    return None


def note(bench: Bench) -> list[nodes.Node]:
    """Return what a fold begins with: how the bench in it ran, where readers must know that."""
    return [paragraph(bench.note, classes=["measured-on"])] if bench.note else []


class BenchTable(BenchDirective):
    """``bench-table FIGURE``: spread, deviation, bias, coverage or agreement of every estimator, for each machine."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return for each machine a table over all functions, and folded one for each function."""
        figure = directives.choice(self.arguments[0], tuple(CAPTIONS))
        content: list[nodes.Node] = []
        for bench in (benches := self.benches()):
            whole = overview(bench, figure)
            each = [_each_function(bench, figure, case) for case in cases(bench)]
            if title := fold_title(bench, benches):
                content.append(folded(title, *note(bench), whole, *each))
            else:
                content += [whole, folded(f"Each function on {place(bench)}", *each)]
        return content


def overview(bench: Bench, figure: str) -> nodes.table:
    """Return a row for each estimator, a column for each case: the median over the functions, or all intervals together."""
    rows: list[list[Cell]] = []
    for estimator in bench.estimators():
        rows += _rows(bench, figure, estimator, estimator)
        if estimator == OURS[0] and figure in OF_INTERVALS and bench.method < INTERVALS_SINCE:
            name = f"the same, intervals of version {METHOD} computed from these"
            rows += _rows(recomputed(bench), figure, estimator, name)
    over = "all functions together" if figure in OF_INTERVALS else "the median over the functions"
    header = [case_words(case) for case in cases(bench)]
    caption = f"{CAPTIONS[figure]}; {over}; {place(bench)}"
    return table(["Estimator", *header], rows, numbers=header, caption=caption)


def _rows(bench: Bench, figure: str, estimator: str, name: str) -> list[list[Cell]]:
    cells = [_over_functions(bench, figure, estimator, case) for case in cases(bench)]
    rows: list[list[Cell]] = [[name, *cells]] if any(cell != NOTHING for cell in cells) else []
    if rows and figure == "coverage":
        right = [format_percent(expected_coverage(bench, c, estimator, s)) for c, s in cases(bench)]
        rows.append(["right ones as wide", *right])
    return rows


def _over_functions(bench: Bench, figure: str, estimator: str, case: Case) -> str:
    if figure in OF_INTERVALS:
        held, of = hits(bench, case[0], estimator, case[1], own=figure == "agreement")
        return f"{format_percent(held / of)} of {of}" if of else NOTHING
    return format_percent(over_workloads(bench, case[0], estimator, case[1], figure))


def _each_function(bench: Bench, figure: str, case: Case) -> nodes.table:
    rows: list[list[Cell]] = []
    workloads = bench.workloads()
    for estimator in bench.estimators():
        cells = {one.workload: _cell(figure, one) for one in answers(bench, case[0], estimator, case[1])}
        if any(cell != NOTHING for cell in cells.values()):
            rows.append([estimator, *(cells.get(name, NOTHING) for name in workloads)])
    error = ", with its standard error" if figure == "bias" else ""
    caption = f"{CAPTIONS[figure]}{error}; {CONDITION_WORDS[case[0]]}; {case[1]:g} s an estimate"
    return table(["Estimator", *workloads], rows, numbers=workloads, caption=caption)


def _cell(figure: str, one: Answers) -> str:
    if figure == "bias":
        return f"{format_percent(one.bias, signed=True)} ± {format_percent(one.standard_error)}"
    if figure in OF_INTERVALS:
        return format_percent(one.coverage(own=figure == "agreement"))
    return format_percent(float(getattr(one, figure)))


class BenchSummary(BenchDirective):
    """``bench-summary``: where the estimates were made, with what and how often, folded."""

    def run(self) -> list[nodes.Node]:
        """Return a fold with a paragraph for each machine, and another for earlier versions and single functions."""
        paragraphs: dict[str, list[nodes.Node]] = {NOW: [], BEFORE: []}
        for bench in (benches := self.benches()):
            title = BEFORE if fold_title(bench, benches) else NOW
            paragraphs[title].append(paragraph(setting(bench), classes=["measured-on"]))
        return [folded(title, *content) for title, content in paragraphs.items() if content]


def setting(bench: Bench) -> str:
    """Return in words where one file was measured, with which versions, and how often."""
    used = ", ".join(f"{name} {version}" for name, version in bench.packages.items())
    backend = bench.machine["backend"]
    cores = f", {bench.machine['cores']} cores" if backend == "cpu" else ""  # a GPU's hosts may have several numbers
    where = f"{bench.machine['chip']}{cores}, MLX's {backend} backend"
    missing = [name for name in ESTIMATORS if name not in bench.estimators()]
    return (
        f"Measured until {bench.created[:10]} on {where}, with {used} and version {bench.method} of the estimators: "
        f"{_repeats(bench)}, in a new random order each time{_sittings(bench)}."
        + (f" Not run there: {', '.join(missing)}." if missing else "")
        + (f" {bench.note}" if bench.note else "")
    )


def _sittings(bench: Bench) -> str:
    number = len(bench.sittings())
    return f", in {number} sittings, each with a reference of its own" if number > 1 else ""


def _repeats(bench: Bench) -> str:
    """Return how many estimates there are in words, for each budget apart unless all have as many."""
    counts: dict[float, list[int]] = {seconds: [] for seconds in bench.budgets()}
    for kind in {one.key[:4]: None for one in bench.series}:
        counts[kind[-1]].append(bench.count(*kind))
    words = {s: f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}" for s, n in counts.items()}
    if len(set(words.values())) == 1:
        return f"{words.popitem()[1]} estimates of each kind, {' and '.join(f'{s:g} s' for s in counts)} each"
    return "estimates of each kind: " + join([f"{number} of {seconds:g} s each" for seconds, number in words.items()])


@dataclass(frozen=True)
class Goal:
    """The measured value for one goal, what must be known beside it, and the outcome."""

    value: str
    beside: str
    outcome: str

    def cell(self) -> nodes.paragraph:
        """Return it as a table's cell: outcome and value, and below what stands beside."""
        mark = "✓" if self.outcome == MET else "✗"
        return paragraph(
            nodes.strong("", f"{mark} {self.outcome}: {self.value}"), " ", text(self.beside, "guide-beside")
        )


class BenchGoals(BenchDirective):
    """``bench-goals``: what was wanted, what was measured, and whether that is enough: one row a case, one column a goal."""

    def run(self) -> list[nodes.Node]:
        """Return a table for each machine."""
        content: list[nodes.Node] = []
        for bench in (benches := self.benches()):
            computed = recomputed(bench)
            rows = {case_words(case): row for case in cases(bench) if (row := goals(computed, *case))}
            if rows:
                title, made = fold_title(bench, benches), _goals_table(bench, rows)
                content.append(folded(title, *note(bench), made) if title else made)
        return content


def _goals_table(bench: Bench, goals_of: dict[str, list[Goal]]) -> nodes.table:
    rows: list[list[Cell]] = [["wanted", *_wanted()]]
    rows += [[when, *(goal.cell() for goal in row)] for when, row in goals_of.items()]
    how = f", intervals of version {METHOD} computed from these" if bench.method < INTERVALS_SINCE else ""
    made = table(GOALS_HEADER, rows, caption=f"{OURS[0]}, on {place(bench)}{how}: {_counts(goals_of)}")
    made["classes"].append("guide-matrix")
    return made


class BenchValidation(BenchDirective):
    """``bench-validation``: how often intervals held the reference in measurements that didn't choose their constants."""

    folder = VALIDATION

    def run(self) -> list[nodes.Node]:
        """Return a table with a row for each machine, condition and number of seconds, and where they were measured, folded."""
        benches = self.benches()
        rows: list[list[Cell]] = [validation(bench, case) for bench in benches for case in cases(bench)]
        caption = f"{CAPTIONS['coverage']}; {OURS[0]}, version {METHOD}, new measurements"
        settings = [paragraph(setting(bench), classes=["measured-on"]) for bench in benches]
        return [table(VALIDATION_HEADER, rows, numbers=VALIDATION_HEADER[2:], caption=caption), folded(NOW, *settings)]


def validation(bench: Bench, case: Case) -> list[Cell]:
    """Return one row: machine, case, intervals that held with the error of counting, the same of right ones, median width."""
    condition, seconds = case
    held, of = hits(bench, condition, OURS[0], seconds)
    likely = (held + 1) / (of + 2)  # Laplace's rule: where all intervals held, the error of counting isn't 0
    doubt = format_percent((likely * (1 - likely) / (of + 3)) ** 0.5)
    right = format_percent(expected_coverage(bench, condition, OURS[0], seconds))
    width = format_percent(over_workloads(bench, condition, OURS[0], seconds, "width"))
    return [bench.place, case_words(case), f"{held} of {of}: {format_percent(held / of)} ± {doubt}", right, width]


def _counts(goals_of: dict[str, list[Goal]]) -> str:
    """Return "5 of 12 goals met, 3 missed by less than the error and 4 missed"."""
    outcomes = [goal.outcome for row in goals_of.values() for goal in row]
    missed = [f"{count} {outcome}" for outcome in (NEAR, MISSED) if (count := outcomes.count(outcome))]
    return join([f"{outcomes.count(MET)} of {len(outcomes)} goals met", *missed])


def _wanted() -> list[str]:
    quiet, disturbed = (
        "no more than the best other tool's"
        if SPREAD_GOAL[condition] == 1
        else f"at most {format_percent(SPREAD_GOAL[condition])} of it"
        for condition in CONDITIONS
    )
    return [
        f"{quiet}; {DISTURBED}: {disturbed}",
        f"under {format_percent(BIAS_GOAL)}",
        f"at least {format_percent(COVERAGE_GOAL)} of them",
    ]


def goals(bench: Bench, condition: str, seconds: float) -> list[Goal]:
    """Return the goals for spread, bias and coverage, over all functions; none where one of these isn't known."""
    ours = OURS[0]
    spreads = {name: over_workloads(bench, condition, name, seconds, "spread") for name in bench.estimators()}
    others = [(value, name) for name, value in spreads.items() if value is not None and name not in OURS]
    mine, bias = spreads.get(ours), over_workloads(bench, condition, ours, seconds, "bias")
    error = over_workloads(bench, condition, ours, seconds, "standard_error") or 0.0
    held, of = hits(bench, condition, ours, seconds)
    if mine is None or bias is None or not others or not of:
        return []
    best, name = min(others)
    coverage = held / of
    doubt = (coverage * (1 - coverage) / of) ** 0.5
    right = format_percent(expected_coverage(bench, condition, ours, seconds))
    return [
        Goal(
            format_percent(mine),
            f"best other tool {format_percent(best)}: {name}",
            _outcome(mine <= SPREAD_GOAL[condition] * best),
        ),
        Goal(
            format_percent(bias),
            f"± {format_percent(error)}",
            _outcome(bias < BIAS_GOAL, near=bias - error < BIAS_GOAL),
        ),
        Goal(
            format_percent(coverage, tenths=True),
            f"± {format_percent(doubt)}; right ones {right}",
            _outcome(coverage >= COVERAGE_GOAL, near=coverage + doubt >= COVERAGE_GOAL),
        ),
    ]


def _outcome(enough: bool, *, near: bool = False) -> str:
    return MET if enough else NEAR if near else MISSED


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("bench-table", BenchTable)
    app.add_directive("bench-summary", BenchSummary)
    app.add_directive("bench-goals", BenchGoals)
    app.add_directive("bench-validation", BenchValidation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
