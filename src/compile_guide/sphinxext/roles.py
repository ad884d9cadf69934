"""Roles: numbers of this build's record, facts about its machine, verdicts of claims, inside a sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxRole

from compile_guide.ledger.claims import Claim, all_claims
from compile_guide.records.record_set import Shelf, shelf
from compile_guide.records.schema import Record
from compile_guide.sphinxext.nodes import note, on_machines, place_link, text, warn
from compile_guide.sphinxext.text import MACHINE, MEASURED, NOTHING, verdict, verdict_of
from compile_guide.timing import UNMEASURED, Comparison

Found = tuple[list[nodes.Node], list[nodes.system_message]]


def shelf_of(env: BuildEnvironment, config: Config) -> Shelf:
    """Return the site's records."""
    return shelf(Path(env.srcdir) / config.compile_guide_records, config.compile_guide_record)


def generated(env: BuildEnvironment, config: Config) -> Path:
    """Return the folder of the examples' pages."""
    return Path(env.srcdir, getattr(config, "sphinx_gallery_conf", {}).get("gallery_dirs", "gallery"))


def noted_shelf(env: BuildEnvironment, config: Config) -> Shelf:
    """Return the site's records, and note that the page depends on each, and on there being no other."""
    found = shelf_of(env, config)
    note(env).listed = tuple(file.name for file in found.files)
    for file in found.files:
        env.note_dependency(file)
    return found


def on_each(say: Callable[[Record], str | None], shelf: Shelf, word: str, absent: str = NOTHING) -> on_machines:
    """Return text about the record shown that also knows what to say of the others; None is "not measured"."""
    assert shelf.shown is not None
    own = say(shelf.shown) or absent
    others = {record.id: say(record) for record in shelf.records if record is not shelf.shown}
    return on_machines(own, own, classes=[word], others={id: said for id, said in others.items() if said != own})


def measured(name: str, say: Callable[[Comparison], str]) -> Callable[[Record], str | None]:
    """Return what is asked of a record: a number of one comparison, None where it has no such comparison."""

    def of(record: Record) -> str | None:
        entry = record.by_name.get(name)
        return say(entry.comparison()) if entry else None

    return of


@functools.cache
def known_claims() -> dict[str, Claim]:
    """Return every claim by id; looked up once a build, because pages cite hundreds."""
    return all_claims()


class _RecordRole(SphinxRole):
    """A role that says something about the record shown; its file is noted as read."""

    def shelf(self) -> Shelf:
        return noted_shelf(self.env, self.config)

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
        shelf = self.shelf()
        if (shown := shelf.shown) is None:
            return self.missing(f"there is no record, so nothing of {name!r}: record one with 'nox -s docs'")
        of = measured(name, say)
        if of(shown) is None:
            if shelf.unmeasured(name, generated(self.env, self.config)):
                return [on_each(of, shelf, "measured", UNMEASURED)], []
            return self.missing(f"record {shown.id} has no comparison {name!r}")
        return [on_each(of, shelf, "measured")], []


class MachineFact(_RecordRole):
    """``{machine}`FIELD```: one fact about the machine of the record shown."""

    def run(self) -> Found:
        """Return the fact as text."""
        say = MACHINE.get(self.text.strip())
        if say is None:
            return self.missing(f"a machine has no {self.text.strip()!r}; it has: {', '.join(MACHINE)}")
        shelf = self.shelf()
        if shelf.shown is None:
            return self.missing("there is no record, so no machine")
        return [on_each(say, shelf, "machine")], []


class ClaimMark(_RecordRole):
    """``{claim}`ID```: the claim's verdict on this machine, linked to its entry in the ledger.

    A claim that doesn't hold is quoted behind its mark: the sentence around it may well say the opposite, and
    a bare "does not hold" would seem to refute that sentence.
    """

    quotes = True

    def run(self) -> Found:
        """Return the verdict as a link to be resolved."""
        id = self.text.strip()
        claim = known_claims().get(id)
        if claim is None:
            warn(f"there is no claim {id!r}", "claim", self.get_location())
            return [text(f"no claim {id}", "claim", "missing")], []
        note(self.env).cites.add(id)
        word, mark = verdict(verdict_of(self.shelf().shown, id))
        made = text(mark, "claim", f"claim-{word}")
        if word == "fails" and self.quotes:
            made = text(f"{mark[0]} “{claim.statement}”", "claim", f"claim-{word}", "claim-quote")
        return [place_link("", "", made, key=f"claim-{id}")], []


class VerdictMark(ClaimMark):
    """``{verdict}`ID```: the verdict in its short form, for a sentence that states the claim itself."""

    quotes = False
