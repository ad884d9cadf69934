"""The directives ``bench-table`` and ``bench-summary``: what ``nox -s bench`` found about estimators."""

from __future__ import annotations

from pathlib import Path

from benchmarks.estimators import ESTIMATORS, METHOD
from benchmarks.figures import Answers, answers, hits, reachable, typical
from benchmarks.results import CONDITIONS, Bench, load
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table
from compile_guide.sphinxext.text import APART, join

OURS = ("compare(), six processes", "compare(), one process")
CONDITION_WORDS = {"quiet": "no neighbor", "disturbed": "a neighbor burns one core, on and off"}
Case = tuple[str, float]
"""A condition and the seconds that an estimate may take."""
WORDS = {
    "spread": "Interquartile range of the estimates, as a share of their median",
    "deviation": "Standard deviation of the estimates, as a share of their mean",
    "bias": "How far the median estimate is from the yardstick",
    "coverage": "Share of the intervals that hold the yardstick's ratio",
    "agreement": "Share of the intervals that hold the median of all estimates of their kind",
}


def percent(share: float | None, *, signed: bool = False, tenths: bool = False) -> str:
    """Return a share in percent to two digits: "4.1 %"; to tenths also above 10 %, where a goal lies near: "89.6 %"."""
    if share is None:
        return "—"
    digits = int(tenths) if abs(share) >= 0.0995 else 1 if abs(share) >= 0.00995 else 2
    return f"{100 * share:{'+' if signed else ''}.{digits}f}{APART}%"


FOLDER = "bench"


def listed(env: BuildEnvironment, folder: str) -> list[Path]:
    """Return a folder's files, and keep in mind that the page being read shows just these."""
    files = sorted((Path(env.srcdir) / folder).glob("*.json"))
    env.metadata[env.docname][f"{LISTED}{folder}"] = " ".join(file.name for file in files)
    return files


LISTED = "compile-guide-files-of-"


def outdated(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Return the pages that show a folder's files when one came or went; a changed one Sphinx sees by itself."""
    found = []
    for page, noted in env.metadata.items():
        for key, names in noted.items():
            if str(key).startswith(LISTED):
                folder = Path(env.srcdir) / str(key).removeprefix(LISTED)
                found += [page] * (names != " ".join(sorted(file.name for file in folder.glob("*.json"))))
    return found


class BenchDirective(SphinxDirective):
    """A directive over the files of ``bench/``, one a machine; its page is read again when one of them changes."""

    def benches(self) -> list[Bench]:
        """Return what the files hold, in the order of their names.

        Raises:
            ExtensionError: a file is broken, or there is none.
        """
        files = listed(self.env, FOLDER)
        for file in files:
            self.env.note_dependency(file)
        try:
            found = [load(file) for file in files]
        except (OSError, ValueError) as error:
            raise ExtensionError(f"{self.env.docname}: {error}") from error
        if not found:
            raise ExtensionError(f"{self.env.docname}: docs/{FOLDER} holds no bench: make one with 'nox -s bench'")
        return found


def cases(bench: Bench) -> list[Case]:
    """Return the conditions and seconds of which there are estimates enough for a spread."""
    there = {(one.condition, one.seconds) for one in bench.series if len(one.ratios) > 1}
    return sorted(there, key=lambda case: (case[1], CONDITIONS.index(case[0])))


def case_words(case: Case) -> str:
    """Return "quiet, 0.5 s"."""
    return f"{case[0]}, {case[1]:g}{APART}s"


class BenchTable(BenchDirective):
    """``bench-table``: one figure (spread, deviation, bias, coverage, agreement) of every estimator, for each machine."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return for each machine a table over all functions, and the functions' own, folded."""
        figure = directives.choice(self.arguments[0], tuple(WORDS))
        made: list[nodes.Node] = []
        for bench in (there := self.benches()):
            each = [_table(bench, figure, case) for case in cases(bench)]
            whole = overview(bench, figure)
            if title := aside(bench, there):
                made.append(folded(title, *note(bench), whole, *each))
            else:
                made += [whole, folded(f"Each function on {place(bench)}", *each)]
        return made


def place(bench: Bench) -> str:
    """Return machine and backend, and the estimators' version where it isn't the present one."""
    return bench.place + (f", version {bench.method}" if bench.method != METHOD else "")


def aside(bench: Bench, benches: list[Bench]) -> str | None:
    """Return the title of the fold that a bench belongs into, None for one that stands open.

    An earlier version's lies in one where the present version has been measured on the same backend, and so does that of
    a single function where there is one of several.
    """
    others = [one for one in benches if one.machine["backend"] == bench.machine["backend"] and one.method == METHOD]
    if others and bench.method != METHOD:
        return f"What it was before: {place(bench)}"
    if len(bench.workloads()) == 1 and any(len(one.workloads()) > 1 for one in others):
        return f"Also measured: {place(bench)}"
    return None


def note(bench: Bench) -> list[nodes.Node]:
    """Return what a fold says first: how the bench in it ran, where that must be known."""
    return [paragraph(bench.note, classes=["measured-on"])] if bench.note else []


def overview(bench: Bench, figure: str) -> nodes.table:
    """Return a row for each estimator, a column for each case: the median over the functions, or all intervals together."""
    rows: list[list[Cell]] = []
    for estimator in bench.estimators():
        cells = [_typical(bench, figure, estimator, case) for case in cases(bench)]
        if any(cell != "—" for cell in cells):
            rows.append([estimator, *cells])
            if figure == "coverage":
                rows.append(
                    ["right ones as wide", *(percent(reachable(bench, c, estimator, s)) for c, s in cases(bench))]
                )
    over = "all functions together" if figure in ("coverage", "agreement") else "the median over the functions"
    header = [case_words(case) for case in cases(bench)]
    caption = f"{WORDS[figure]}; {over}; {place(bench)}"
    return table(["Estimator", *header], rows, numbers=header, caption=caption)


def _typical(bench: Bench, figure: str, estimator: str, case: Case) -> str:
    if figure in ("coverage", "agreement"):
        held, of = hits(bench, case[0], estimator, case[1], own=figure == "agreement")
        return f"{percent(held / of)} of {of}" if of else "—"
    return percent(typical(bench, case[0], estimator, case[1], figure))


def _table(bench: Bench, figure: str, case: Case) -> nodes.table:
    rows: list[list[Cell]] = []
    workloads = bench.workloads()
    for estimator in bench.estimators():
        found = {one.workload: _said(figure, one) for one in answers(bench, case[0], estimator, case[1])}
        if any(value != "—" for value in found.values()):
            rows.append([estimator, *(found.get(name, "—") for name in workloads)])
    error = ", with its standard error" if figure == "bias" else ""
    caption = f"{WORDS[figure]}{error}; {CONDITION_WORDS[case[0]]}; {case[1]:g} s an estimate"
    return table(["Estimator", *workloads], rows, numbers=workloads, caption=caption)


def _said(figure: str, one: Answers) -> str:
    if figure == "bias":
        return f"{percent(one.bias, signed=True)} ± {percent(one.doubt)}"
    if figure in ("coverage", "agreement"):
        return percent(one.coverage(own=figure == "agreement"))
    return percent(float(getattr(one, figure)))


NOW = "Where it was measured, with what, and how often"
BEFORE = "Measured with an earlier version of the estimators, or one function only"


class BenchSummary(BenchDirective):
    """``bench-summary``: where it ran, with what, how often, folded."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph for each machine; those of earlier versions and of single functions lie in a fold of their own."""
        now: list[nodes.Node] = []
        old: list[nodes.Node] = []
        for bench in (there := self.benches()):
            kept = old if aside(bench, there) else now
            kept.append(paragraph(setting(bench), classes=["measured-on"]))
        titles = {NOW: now, BEFORE: old}
        return [folded(title, *kept) for title, kept in titles.items() if kept]


def setting(bench: Bench) -> str:
    """Say of one file where it was measured, with which versions, and how often."""
    used = ", ".join(f"{name} {version}" for name, version in bench.packages.items())
    backend = bench.machine["backend"]
    cores = f", {bench.machine['cores']} cores" if backend == "cpu" else ""  # a GPU's hosts may have several numbers
    where = f"{bench.machine['chip']}{cores}, MLX's {backend} backend"
    missing = [name for name in ESTIMATORS if name not in bench.estimators()]
    return (
        f"Measured until {bench.created[:10]} on {where}, with {used} and version {bench.method} of the estimators: "
        f"{repeats(bench)}, in an order drawn anew each time{sittings(bench)}."
        + (f" Not run there: {', '.join(missing)}." if missing else "")
        + (f" {bench.note}" if bench.note else "")
    )


def sittings(bench: Bench) -> str:
    """Say how many sittings there were, nothing where it was one."""
    number = len(bench.sittings())
    return f", in {number} sittings, each beside a yardstick of its own" if number > 1 else ""


def repeats(bench: Bench) -> str:
    """Say how many estimates there are, for each budget apart unless all have as many."""
    counts: dict[float, list[int]] = {seconds: [] for seconds in bench.budgets()}
    for kind in {one.key[:4]: None for one in bench.series}:
        counts[kind[-1]].append(bench.count(*kind))
    said = {s: f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}" for s, n in counts.items()}
    if len(set(said.values())) == 1:
        return f"{said.popitem()[1]} estimates of each kind, {' and '.join(f'{s:g} s' for s in counts)} each"
    return "estimates of each kind: " + join([f"{number} of {seconds:g} s each" for seconds, number in said.items()])
