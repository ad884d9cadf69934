"""The ledger: every claim with its source, our answer, what each machine saw, and the check that saw it.

A page for each topic has the entries; one page, the index, lists the statements of all and leads to them.
"""

from __future__ import annotations

import inspect
from itertools import groupby

from docutils import nodes

from compile_guide.ledger.claims import Claim
from compile_guide.records.schema import Record, Verdict
from compile_guide.sphinxext.domain import citations, places
from compile_guide.sphinxext.machine_tabs import grouped, in_order, machines_cell, versions
from compile_guide.sphinxext.machines import RecordsDirective
from compile_guide.sphinxext.nodes import Cell, fields, folded, literal_block, paragraph, table, text, warn
from compile_guide.sphinxext.roles import known_claims
from compile_guide.sphinxext.text import verdict, verdict_of

NOT_RUN = Verdict("not-run", None, "")


class ClaimsDirective(RecordsDirective):
    """A directive over the claims of the folder that ``compile_guide_claims`` names."""

    def topics(self) -> dict[str, list[Claim]]:
        """Return all claims, by topic in the order of the alphabet."""
        known = known_claims(self.env, self.config).values()
        return {topic: list(group) for topic, group in groupby(known, key=lambda claim: claim.topic)}


class Ledger(ClaimsDirective):
    """``claims``: the ledger, a section for each topic; with arguments, only those topics.

    A single topic gets no section of its own: the page is about it, and has its title.
    """

    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        """Return the sections; a topic that there isn't is warned of."""
        found, topics = self.records(), self.topics()
        for unknown in set(self.arguments) - set(topics):
            warn(f"there is no topic {unknown!r}; there are: {', '.join(topics)}", "claim", self.get_location())
        records = tuple(in_order(found))
        made: list[nodes.Node] = []
        for topic, claims in topics.items():
            if topic in (self.arguments or topics):
                made += self._topic(topic, claims, records, found.shown)
        return made

    def _topic(
        self, topic: str, claims: list[Claim], records: tuple[Record, ...], shown: Record | None
    ) -> list[nodes.Node]:
        """Return one topic's entries; the first paragraph of its module says what it is about."""
        module = inspect.getmodule(claims[0].check)
        self.env.note_dependency(inspect.getsourcefile(claims[0].check) or "")
        about = inspect.getdoc(module) or ""
        said = [paragraph(*_with_literals(" ".join(about.split("\n\n")[0].split())))] if about else []
        entries: list[nodes.Node] = [*said, *(self._claim(claim, records, shown) for claim in claims)]
        return entries if self.arguments == [topic] else [section(self.state.document, topic, entries)]

    def _claim(self, claim: Claim, records: tuple[Record, ...], shown: Record | None) -> nodes.container:
        """Return one entry."""
        place = f"claim-{claim.id}"
        places(self.env).note_place(place)
        word, mark = verdict(verdict_of(shown, claim.id))
        permalink = nodes.reference("#", "#", refid=place, classes=["permalink"], reftitle="Link to this claim")
        head = paragraph(text(claim.statement, "statement"), " ", text(mark, "claim", f"claim-{word}"), " ", permalink)
        about = fields(self._facts(claim))
        code = folded("The check", literal_block(source_of(claim), "python"), paragraph(*_run_it(claim)))
        parts = [head, about, *self._seen(claim, records), code]
        return nodes.container("", *parts, ids=[place], classes=["claim-entry"])

    @staticmethod
    def _facts(claim: Claim) -> list[tuple[str, Cell]]:
        return [
            ("Answer", claim.answer),
            ("Said by", claim.source),
            ("Cited by", citations("", claim=claim.id)),
        ]

    @staticmethod
    def _seen(claim: Claim, records: tuple[Record, ...]) -> list[nodes.Node]:
        """Return a table of what the machines saw, alike ones in one row, or nothing while no record has looked."""
        found = grouped(records, lambda record: verdict_of(record, claim.id) or NOT_RUN)
        rows = [_row(group, seen) for group, seen in found]
        looked = any(seen is not NOT_RUN for _, seen in found)
        return [table(["Machine", "MLX", "Verdict", "Seen"], rows)] if looked else []


def _row(group: list[Record], seen: Verdict) -> list[Cell]:
    """Return the row of machines that saw the same: a record that is older than the claim lacks it, and says so."""
    word, mark = ("unseen", "not run there") if seen is NOT_RUN else verdict(seen)
    return [machines_cell(group), versions(group), text(mark, "claim", f"claim-{word}"), seen.observed]


def _with_literals(words: str) -> list[Cell]:
    """Return a docstring's words, with code where it has double backquotes."""
    return [nodes.literal(part, part) if odd % 2 else part for odd, part in enumerate(words.split("``"))]


def section(document: nodes.document, topic: str, content: list[nodes.Node]) -> nodes.section:
    """Return a topic's section, which can be linked to as ``claims-TOPIC``."""
    title = topic.replace("_", " ").capitalize()
    made = nodes.section("", nodes.title(title, title), *content, ids=[f"claims-{topic.replace('_', '-')}"])
    document.note_explicit_target(made)
    return made


def source_of(claim: Claim) -> str:
    """Return the source of a claim's check, without the decorator, which repeats what stands above it."""
    lines = inspect.getsource(claim.check).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return "\n".join(lines[start:])


def _run_it(claim: Claim) -> list[Cell]:
    command = f"python -m compile_guide claims {claim.id}"
    return ["Run it on your own MLX: ", nodes.literal(command, command)]
