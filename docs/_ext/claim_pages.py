"""The ledger: every claim with its source, our answer, what each machine saw, the check that saw it, and who cites it."""

from __future__ import annotations

import functools
import inspect
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError

from _ext.blocks import grouped, machines_cell, versions
from compile_guide.ledger.claims import Claim, LedgerError, load_claims
from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record, Verdict
from compile_guide.sphinxext.domain import note_place
from compile_guide.sphinxext.machines import RecordsDirective, in_order
from compile_guide.sphinxext.nodes import Cell, fields, folded, paragraph, table, text, warn

VERDICTS = {True: ("holds", "✓ holds"), False: ("fails", "✗ does not hold"), None: ("open", "? not decidable here")}
"""For ``holds``: a word for the style sheet, and what a reader sees; the mark says it without color."""

NOT_RUN = Verdict("not-run", None, "")
"""Stands for the verdict of a machine whose record is older than the claim."""


class citations(nodes.General, nodes.Element):
    """Stands for the list of the pages that cite the claim at the anchor ``claim`` (see :mod:`_ext.citations`)."""


def verdict(found: Verdict | None) -> tuple[str, str]:
    """Return a verdict's word for the style sheet, and its text; None means that there is no verdict."""
    return VERDICTS[found.holds] if found else ("unseen", "not checked here")


def verdict_of(record: Record | None, claim: str) -> Verdict | None:
    """Return what a record says of a claim."""
    return next((v for v in record.claims if v.id == claim), None) if record else None


def known_claims(env: BuildEnvironment | Sphinx, config: Config) -> dict[str, Claim]:
    """Return the claims of the folder ``compile_guide_claims``, by id; none without that setting. Raises ConfigError."""
    folder = config.compile_guide_claims
    try:
        return _claims_of(Path(env.srcdir) / folder) if folder else {}
    except LedgerError as error:
        raise ConfigError(f"compile_guide_claims: {error}") from error


_claims_of = functools.cache(load_claims)  # pages cite hundreds


class ClaimsDirective(RecordsDirective):
    """A directive over the claims of the folder that ``compile_guide_claims`` names."""

    def topics(self) -> dict[str, list[Claim]]:
        """Return all claims, by topic in the order of the alphabet."""
        known = known_claims(self.env, self.config).values()
        return {topic: list(group) for topic, group in groupby(known, key=lambda claim: claim.topic)}


class Ledger(ClaimsDirective):
    """``claims``: the ledger, a section for each topic, or for those named; a single one has its page, and no section."""

    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        """Return the sections; a topic that there isn't is warned of."""
        records, topics = self.records(), self.topics()
        for unknown in set(self.arguments) - set(topics):
            warn(f"there is no topic {unknown!r}; there are: {', '.join(topics)}", "claim", self.get_location())
        made: list[nodes.Node] = []
        for topic, claims in topics.items():
            if topic in (self.arguments or topics):
                entries = [*self._about(claims[0]), *(self._entry(claim, records) for claim in claims)]
                made += entries if self.arguments == [topic] else [section(self.state.document, topic, entries)]
        return made

    def _about(self, claim: Claim) -> list[nodes.Node]:
        """Return what a claim's topic is about: the first paragraph of its module, with code in double backquotes."""
        self.env.note_dependency(inspect.getsourcefile(claim.check) or "")
        about = inspect.getdoc(inspect.getmodule(claim.check)) or ""
        parts = " ".join(about.split("\n\n")[0].split()).split("``")
        return [paragraph(*(nodes.literal(p, p) if odd % 2 else p for odd, p in enumerate(parts)))] if about else []

    def _entry(self, claim: Claim, records: RecordSet) -> nodes.container:
        place, command = f"claim-{claim.id}", f"python -m compile_guide claims {claim.id}"
        note_place(self.env, place)
        word, mark = verdict(verdict_of(records.shown, claim.id))
        permalink = nodes.reference("#", "#", refid=place, classes=["permalink"], reftitle="Link to this claim")
        head = paragraph(text(claim.statement, "statement"), " ", text(mark, "claim", f"claim-{word}"), " ", permalink)
        run_it = paragraph("Run it on your own MLX: ", nodes.literal(command, command))
        facts: list[tuple[str, Cell]] = [
            ("Answer", claim.answer),
            ("Said by", claim.source),
            ("Cited by", citations("", claim=place)),
        ]
        source = source_of(claim)
        code = folded("The check", nodes.literal_block(source, source, language="python"), run_it)
        parts = [head, fields(facts), *_seen(claim, records), code]
        return nodes.container("", *parts, ids=[place], classes=["claim-entry"])


def _seen(claim: Claim, records: RecordSet) -> list[nodes.Node]:
    """Return a table of what the machines saw, alike ones in one row, or nothing while no record has looked."""
    rows: list[list[Cell]] = []
    found = grouped(in_order(records), lambda record: verdict_of(record, claim.id) or NOT_RUN)
    for group, seen in found:
        word, mark = ("unseen", "not run there") if seen is NOT_RUN else verdict(seen)
        rows.append([machines_cell(group), versions(group), text(mark, "claim", f"claim-{word}"), seen.observed])
    looked = any(seen is not NOT_RUN for _, seen in found)
    return [table(["Machine", "MLX", "Verdict", "Seen"], rows)] if looked else []


def section(document: nodes.document, topic: str, content: list[nodes.Node]) -> nodes.section:
    """Return a topic's section, which can be linked to as ``claims-TOPIC``."""
    title = topic.replace("_", " ").capitalize()
    made = nodes.section("", nodes.title(title, title), *content, ids=[f"claims-{topic.replace('_', '-')}"])
    document.note_explicit_target(made)
    return made


def source_of(claim: Claim) -> str:
    """Return the source of a claim's check, without the decorator, which repeats what stands above it."""
    source = inspect.getsource(claim.check).rstrip()
    return source[source.index("\ndef ") + 1 :]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the setting ``compile_guide_claims``, the folder of the claims below the sources, and the directive."""
    app.add_config_value("compile_guide_claims", "", "env", str)
    app.add_directive("claims", Ledger)
    app.connect("config-inited", known_claims)  # to say at once that there is no such folder
    return {"parallel_read_safe": True, "parallel_write_safe": True}
