"""Citations of claims: their marks in sentences, and in each entry of the ledger the pages that cite it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxRole

from _ext.blocks import page_link
from _ext.claim_pages import citations, known_claims, verdict, verdict_of
from compile_guide.ledger.claims import Claim
from compile_guide.records.schema import Record
from compile_guide.sphinxext import downloads
from compile_guide.sphinxext.domain import NAME, place_link
from compile_guide.sphinxext.nodes import text, warn
from compile_guide.sphinxext.roles import noted_records, record_set

CITES = "compile_guide_cites"
"""Where Sphinx keeps, with a page's other metadata, the anchors of the claims that the page cites."""


class ClaimMark(SphinxRole):
    """``{claim}`ID``` and ``{verdict}`ID```: the claim's verdict on this machine, linked to its entry in the ledger.

    The second is the short form, for a sentence that states the claim itself (see :func:`claim_words`).
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the verdict as a link to be resolved."""
        id = self.text.strip()
        claim = known_claims(self.env, self.config).get(id)
        if claim is None:
            warn(f"there is no claim {id!r}", "claim", self.get_location())
            return [text(f"no claim {id}", "claim", "missing")], []
        self.env.note_dependency(inspect.getsourcefile(claim.check) or "")
        word, mark = claim_words(claim, noted_records(self.env, self.config).shown, quotes=self.name == "claim")
        quote = ["claim-quote"] if word == "fails" and self.name == "claim" else []
        return [place_link(f"claim-{id}", text(mark, "claim", f"claim-{word}", *quote), "claim")], []


def claim_words(claim: Claim, shown: Record | None, *, quotes: bool) -> tuple[str, str]:
    """Return a verdict's word for the style sheet, and its text.

    With ``quotes`` a claim that doesn't hold is quoted behind its mark: the sentence around it may well say the
    opposite, and a bare "does not hold" would seem to refute that sentence.
    """
    word, mark = verdict(verdict_of(shown, claim.id))
    return word, f"{mark[0]} “{claim.statement}”" if word == "fails" and quotes else mark


def _in_notebook(app: Sphinx, id: str, *, quotes: bool) -> str | None:
    """Return what a mark says in the notebook of an example; None where there is no such claim."""
    claim, shown = known_claims(app, app.config).get(id), record_set(app.env, app.config).shown
    return claim_words(claim, shown, quotes=quotes)[1] if claim else None


class ResolveCitations(SphinxPostTransform):
    """Turn citation lists into lists of links, when all pages are known."""

    default_priority = 6

    def run(self, **kwargs: Any) -> None:
        """Resolve the lists of this page; Sphinx itself then resolves the links."""
        if listed := list(self.document.findall(citations)):
            cited = cited_by(self.env)
            for one in listed:
                one.replace_self(self._links(cited.get(one["claim"], [])))

    def _links(self, pages: list[str]) -> nodes.Node:
        if not pages:
            return nodes.Text("no page yet")
        links: list[nodes.Node] = []
        for page in pages:
            links += [nodes.Text(", "), page_link(f"/{page}", nodes.Text(self.env.titles[page].astext()))]
        return nodes.inline("", "", *links[1:])


def cited_by(env: BuildEnvironment) -> dict[str, list[str]]:
    """Return the pages that cite each claim, sorted, by the claim's anchor."""
    found: dict[str, list[str]] = {}
    for page in sorted(env.metadata):
        for anchor in env.metadata[page].get(CITES, ()):
            found.setdefault(anchor, []).append(page)
    return found


def note_citations(app: Sphinx, document: nodes.document) -> None:
    """Note which claims the page being read cites (``doctree-read``)."""
    links = (link for link in document.findall(pending_xref) if link.get("refdomain") == NAME)
    if cited := {link["reftarget"] for link in links if link["reftype"] == "claim"}:
        app.env.metadata[app.env.docname][CITES] = cited


def pages_to_write(_app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Return the pages with entries whose citations changed since the last build (``env-updated``)."""
    now = cited_by(env)
    before, env.compile_guide_cited = getattr(env, "compile_guide_cited", now), now  # type: ignore[attr-defined]
    changed = {anchor for anchor in before.keys() | now.keys() if before.get(anchor) != now.get(anchor)}
    return {page for anchor, page in env.domaindata[NAME]["places"].items() if anchor in changed}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the marks, the ledger, and what fills its lists."""
    app.setup_extension("_ext.claim_pages")
    for name in ("claim", "verdict"):
        app.add_role(name, ClaimMark())
        downloads.WORDS[name] = functools.partial(_in_notebook, quotes=name == "claim")
    app.add_post_transform(ResolveCitations)
    app.connect("doctree-read", note_citations)
    app.connect("env-updated", pages_to_write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
