"""Roles: numbers of this build's record, facts about its machine, verdicts of claims, inside a sentence."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError
from sphinx.util.docutils import SphinxRole

from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, UNMEASURED
from compile_guide.ledger.claims import Claim, LedgerError, load_claims
from compile_guide.records.record_set import RecordSet, read_folder
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import place_link, places
from compile_guide.sphinxext.listings import list_files
from compile_guide.sphinxext.nodes import on_machines, text, warn
from compile_guide.sphinxext.text import MACHINE, MEASURED, verdict, verdict_of

Found = tuple[list[nodes.Node], list[nodes.system_message]]


def record_set(env: BuildEnvironment, config: Config) -> RecordSet:
    """Return the site's records."""
    return read_folder(Path(env.srcdir) / config.compile_guide_records, config.compile_guide_record)


def noted_records(env: BuildEnvironment, config: Config) -> RecordSet:
    """Return the site's records, and note that the page being read depends on each, and on there being no other."""
    found = record_set(env, config)
    list_files(env, config.compile_guide_records)
    for file in found.files:
        env.note_dependency(file)
    return found


def generated(env: BuildEnvironment, config: Config) -> list[Path]:
    """Return the folders of the examples' pages."""
    conf = getattr(config, "sphinx_gallery_conf", {})
    return [Path(env.srcdir, folder) for folder in as_list(conf.get("gallery_dirs", "gallery"))]


def as_list(value: str | list[str]) -> list[str]:
    """Return sphinx-gallery's setting of one folder, or of several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def on_each(say: Callable[[Record], str | None], records: RecordSet, word: str, absent: str = NOTHING) -> on_machines:
    """Return text about the record shown that also knows what to say of the others; None is "not measured"."""
    assert records.shown is not None
    own = say(records.shown) or absent
    others = {record.id: say(record) for record in records.records if record is not records.shown}
    return on_machines(own, own, classes=[word], others={id: said for id, said in others.items() if said != own})


def measured(name: str, say: Callable[[Comparison], str]) -> Callable[[Record], str | None]:
    """Return what is asked of a record: a number of one comparison, None where it has no such comparison."""

    def of(record: Record) -> str | None:
        entry = record.by_name.get(name)
        return say(entry.comparison()) if entry else None

    return of


def known_claims(env: BuildEnvironment | Sphinx, config: Config) -> dict[str, Claim]:
    """Return the claims of the folder that ``compile_guide_claims`` names, by id; none without that setting.

    Raises:
        ConfigError: it names no folder of claims.
    """
    folder = config.compile_guide_claims
    try:
        return _claims_of(Path(env.srcdir) / folder) if folder else {}
    except LedgerError as error:
        raise ConfigError(f"compile_guide_claims: {error}") from error


_claims_of = functools.cache(load_claims)  # pages cite hundreds


def claim_words(claim: Claim, shown: Record | None, *, quotes: bool) -> tuple[str, str]:
    """Return a verdict's word for the style sheet, and its text.

    With ``quotes`` a claim that doesn't hold is quoted behind its mark: the sentence around it may well say the
    opposite, and a bare "does not hold" would seem to refute that sentence.
    """
    word, mark = verdict(verdict_of(shown, claim.id))
    return word, f"{mark[0]} “{claim.statement}”" if word == "fails" and quotes else mark


def said(app: Sphinx, role: str, content: str) -> str | None:
    """Return what a role of ours says on its page, as text alone; None for another role."""
    shown = record_set(app.env, app.config).shown
    if role == "measured":
        name, _, field = content.partition(".")
        of = measured(name, MEASURED.get(field, MEASURED["ratio"]))
        return (of(shown) if shown else None) or UNMEASURED
    if role == "machine":
        return MACHINE[content](shown) if shown and content in MACHINE else UNMEASURED
    claim = known_claims(app, app.config).get(content) if role in ("claim", "verdict") else None
    return claim_words(claim, shown, quotes=role == "claim")[1] if claim else None


class _RecordRole(SphinxRole):
    """A role that says something about the record shown; its file is noted as read."""

    def records(self) -> RecordSet:
        return noted_records(self.env, self.config)

    def missing(self, message: str) -> Found:
        warn(message, "name", self.get_location())
        return [text("not measured", "measured", "missing")], []


class Measured(_RecordRole):
    """``{measured}`NAME.FIELD```: one number of a comparison, with its unit; without a field, the ratio."""

    def run(self) -> Found:
        """Return the number as text."""
        name, _, field = self.text.strip().partition(".")
        say = MEASURED.get(field or "ratio")
        if say is None:
            return self.missing(f"a comparison has no {field!r}; it has: {', '.join(MEASURED)}")
        records = self.records()
        if (shown := records.shown) is None:
            return self.missing(f"there is no record, so nothing of {name!r}: record one with 'compile-guide record'")
        of = measured(name, say)
        if of(shown) is None:
            if records.unmeasured(name, generated(self.env, self.config)):
                return [on_each(of, records, "measured", UNMEASURED)], []
            return self.missing(f"record {shown.id} has no comparison {name!r}")
        return [on_each(of, records, "measured")], []


class MachineFact(_RecordRole):
    """``{machine}`FIELD```: one fact about the machine of the record shown."""

    def run(self) -> Found:
        """Return the fact as text."""
        say = MACHINE.get(self.text.strip())
        if say is None:
            return self.missing(f"a machine has no {self.text.strip()!r}; it has: {', '.join(MACHINE)}")
        records = self.records()
        if records.shown is None:
            return self.missing("there is no record, so no machine")
        return [on_each(say, records, "machine")], []


class ClaimMark(_RecordRole):
    """``{claim}`ID```: the claim's verdict on this machine, linked to its entry in the ledger (see :func:`claim_words`)."""

    quotes = True

    def run(self) -> Found:
        """Return the verdict as a link to be resolved."""
        id = self.text.strip()
        claim = known_claims(self.env, self.config).get(id)
        if claim is None:
            warn(f"there is no claim {id!r}", "claim", self.get_location())
            return [text(f"no claim {id}", "claim", "missing")], []
        places(self.env).note_citation(id)
        self.env.note_dependency(inspect.getsourcefile(claim.check) or "")
        word, mark = claim_words(claim, self.records().shown, quotes=self.quotes)
        quote = ["claim-quote"] if word == "fails" and self.quotes else []
        return [place_link(f"claim-{id}", text(mark, "claim", f"claim-{word}", *quote))], []


class VerdictMark(ClaimMark):
    """``{verdict}`ID```: the verdict in its short form, for a sentence that states the claim itself."""

    quotes = False
