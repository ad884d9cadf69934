"""The directive ``bench-goals``: what was wanted of the estimator that this site uses, and what ``nox -s bench`` saw."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import hits, reachable, typical
from benchmarks.results import CONDITIONS, DISTURBED, Bench
from docutils import nodes

from _ext.benched import OURS, BenchDirective, aside, case_words, cases, note, percent, place
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text
from compile_guide.sphinxext.text import join

SPREAD_GOAL = {"quiet": 1.0, "disturbed": 0.5}
"""Our spread at most this share of the best other's."""
BIAS_GOAL, COVERAGE_GOAL = 0.005, (0.93, 0.97)
MET, NEAR, MISSED = "met", "missed by less than the error", "missed"
HEADER = ["When", "Spread", "Bias", "Intervals that hold the truth"]


@dataclass(frozen=True)
class Goal:
    """What was seen of something that was wanted, what must be known beside it, and the outcome."""

    seen: str
    beside: str
    outcome: str

    def cell(self) -> nodes.paragraph:
        """Return it as a table's cell: outcome and figure, and below what stands beside."""
        mark = "✓" if self.outcome == MET else "✗"
        said = nodes.strong("", f"{mark} {self.outcome}: {self.seen}")
        return paragraph(said, " ", text(self.beside, "guide-beside"))


class BenchGoals(BenchDirective):
    """``bench-goals``: what was wanted, what was seen, and whether that is enough: one row a case, one column a goal."""

    def run(self) -> list[nodes.Node]:
        """Return a table for each machine."""
        made: list[nodes.Node] = []
        for bench in (there := self.benches()):
            found = {case_words(case): seen for case in cases(bench) if (seen := goals(bench, *case))}
            if found:
                title, shown = aside(bench, there), _table(bench, found)
                made.append(folded(title, *note(bench), shown) if title else shown)
        return made


def _table(bench: Bench, found: dict[str, list[Goal]]) -> nodes.table:
    rows: list[list[Cell]] = [["wanted", *wanted()]]
    rows += [[when, *(goal.cell() for goal in seen)] for when, seen in found.items()]
    made = table(HEADER, rows, caption=f"{OURS[0]}, on {place(bench)}: {counted(found)}")
    made["classes"].append("guide-matrix")
    return made


def counted(found: dict[str, list[Goal]]) -> str:
    """Return "5 of 12 goals met, 3 missed by less than the error, 4 missed"."""
    outcomes = [goal.outcome for seen in found.values() for goal in seen]
    missed = [f"{count} {outcome}" for outcome in (NEAR, MISSED) if (count := outcomes.count(outcome))]
    return join([f"{outcomes.count(MET)} of {len(outcomes)} goals met", *missed])


def wanted() -> list[str]:
    """Return what was wanted of each figure, in the order of the columns."""
    quiet, disturbed = (
        "no more than the best other tool's"
        if SPREAD_GOAL[condition] == 1
        else f"at most {percent(SPREAD_GOAL[condition])} of it"
        for condition in CONDITIONS
    )
    low, high = COVERAGE_GOAL
    return [
        f"{quiet}; {DISTURBED}: {disturbed}",
        f"under {percent(BIAS_GOAL)}",
        f"{percent(low)} to {percent(high)} of them",
    ]


def goals(bench: Bench, condition: str, seconds: float) -> list[Goal]:
    """Return what was seen of spread, bias and coverage, over all functions; nothing where one of them is unknown."""
    ours = OURS[0]
    spreads = {name: typical(bench, condition, name, seconds, "spread") for name in bench.estimators()}
    others = [(value, name) for name, value in spreads.items() if value is not None and name not in OURS]
    mine, bias = spreads.get(ours), typical(bench, condition, ours, seconds, "bias")
    unsure = typical(bench, condition, ours, seconds, "doubt") or 0.0
    held, of = hits(bench, condition, ours, seconds)
    if mine is None or bias is None or not others or not of:
        return []
    best, name = min(others)
    low, high = COVERAGE_GOAL
    covered = held / of
    doubt = (covered * (1 - covered) / of) ** 0.5
    right = percent(reachable(bench, condition, ours, seconds))
    return [
        Goal(percent(mine), f"best other tool {percent(best)}: {name}", met(mine <= SPREAD_GOAL[condition] * best)),
        Goal(percent(bias), f"± {percent(unsure)}", met(bias < BIAS_GOAL, near=bias - unsure < BIAS_GOAL)),
        Goal(
            percent(covered, tenths=True),
            f"± {percent(doubt)}; right ones {right}",
            met(low <= covered <= high, near=low - doubt <= covered <= high + doubt),
        ),
    ]


def met(enough: bool, *, near: bool = False) -> str:
    """Say whether a goal is met, and where it isn't whether the error may be why."""
    return MET if enough else NEAR if near else MISSED
