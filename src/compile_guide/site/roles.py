"""Roles: numbers of this build's record, facts about its machine, verdicts of claims, inside a sentence."""

from __future__ import annotations

import functools
from pathlib import Path

from docutils import nodes
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxRole

from compile_guide.claims import Claim, all_claims
from compile_guide.site.nodes import note, place_link, text, warn
from compile_guide.site.shelf import Shelf, shelf
from compile_guide.site.wording import MACHINE, MEASURED, verdict, verdict_of
from compile_guide.timing import UNMEASURED

Found = tuple[list[nodes.Node], list[nodes.system_message]]


def shelf_of(env: BuildEnvironment, config: Config) -> Shelf:
    """Return the site's records."""
    return shelf(Path(env.srcdir) / config.compile_guide_records, config.compile_guide_record)


def generated(env: BuildEnvironment, config: Config) -> Path:
    """Return the folder of the examples' pages."""
    return Path(env.srcdir, getattr(config, "sphinx_gallery_conf", {}).get("gallery_dirs", "gallery"))


@functools.cache
def known_claims() -> dict[str, Claim]:
    """Return every claim by id; looked up once a build, because pages cite hundreds."""
    return all_claims()


class _RecordRole(SphinxRole):
    """A role that says something about the record shown; its file is noted as read."""

    def shelf(self) -> Shelf:
        found = shelf_of(self.env, self.config)
        if found.shown_file:
            self.env.note_dependency(found.shown_file)
        return found

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
        found = self.shelf()
        shown = found.shown
        if shown is None:
            return self.missing(f"there is no record, so nothing of {name!r}: record one with 'nox -s docs'")
        try:
            comparison = shown.comparison(name)
        except KeyError:
            if found.unmeasured(name, generated(self.env, self.config)):
                return [text(UNMEASURED, "measured", "unmeasured")], []
            return self.missing(f"record {shown.id} has no comparison {name!r}")
        return [text(say(comparison), "measured")], []


class MachineFact(_RecordRole):
    """``{machine}`FIELD```: one fact about the machine of the record shown."""

    def run(self) -> Found:
        """Return the fact as text."""
        say = MACHINE.get(self.text.strip())
        if say is None:
            return self.missing(f"a machine has no {self.text.strip()!r}; it has: {', '.join(MACHINE)}")
        shown = self.shelf().shown
        return (
            self.missing("there is no record, so no machine") if shown is None else ([text(say(shown), "machine")], [])
        )


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
