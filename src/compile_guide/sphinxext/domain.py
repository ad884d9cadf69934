"""A Sphinx domain for places that pages link to (claims, machines, messages) and for the pages that cite a claim."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.builders import Builder
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode
from sphinx.util.osutil import relative_uri

from compile_guide.sphinxext.nodes import page_link

NAME = "compile_guide"
KINDS = ("claim", "machine", "error")
NOT_IN_SEARCH = -1


class citations(nodes.General, nodes.Element):
    """Stands for the list of the pages that cite the claim ``claim``."""


class Places(Domain):
    """Where each claim, machine and message is described, and which page cites which claim.

    A place is known by its anchor, such as ``claim-ID`` or ``machine-ID``. A link to a place that no page has becomes
    plain text.
    """

    name = NAME
    label = "Places"
    object_types: ClassVar[dict[str, ObjType]] = {kind: ObjType(kind, kind) for kind in (*KINDS, "place")}
    initial_data: ClassVar[dict[str, dict[str, Any]]] = {"places": {}, "cites": {}, "links": {}, "written": {}}
    data_version = 1

    @property
    def places(self) -> dict[str, str]:
        """The page of each anchor."""
        return self.data["places"]  # type: ignore[no-any-return]

    @property
    def cites(self) -> dict[str, set[str]]:
        """The claims that each page cites, by id."""
        return self.data["cites"]  # type: ignore[no-any-return]

    def note_place(self, anchor: str) -> None:
        """Say that the page being read has this anchor."""
        self.places[anchor] = self.env.docname

    def note_citation(self, claim: str) -> None:
        """Say that the page being read cites this claim."""
        self.cites.setdefault(self.env.docname, set()).add(claim)

    def cited_by(self, claim: str) -> list[str]:
        """Return the pages that cite a claim, sorted."""
        return sorted(page for page, claims in self.cites.items() if claim in claims)

    def process_doc(self, env: BuildEnvironment, docname: str, document: nodes.document) -> None:
        """Note which anchors a page links to, so that it is written again when one of them moves."""
        found = {link["reftarget"] for link in document.findall(pending_xref) if link.get("refdomain") == NAME}
        self.data["links"][docname] = found

    def clear_doc(self, docname: str) -> None:
        """Forget what a page has, cites and links to."""
        self.data["places"] = {anchor: page for anchor, page in self.places.items() if page != docname}
        for noted in (self.cites, self.data["links"]):
            noted.pop(docname, None)

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        """Take over what another process read."""
        self.places.update({anchor: page for anchor, page in otherdata["places"].items() if page in docnames})
        for name in ("cites", "links"):
            self.data[name].update({page: noted for page, noted in otherdata[name].items() if page in docnames})

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        """Return the link, or its text where no page has the place: None would be a warning in a strict build."""
        if typ == "file" and has_files(builder):
            return nodes.reference("", "", contnode, refuri=relative_uri(builder.get_target_uri(fromdocname), target))
        page = self.places.get(target)
        if page and builder.format != "man":  # it would print the anchor
            return make_refnode(builder, fromdocname, page, target, contnode)
        return contnode  # type: ignore[return-value]  # Sphinx puts any node in the place of the reference

    def resolve_any_xref(self, *_: Any) -> list[tuple[str, nodes.reference]]:
        """Find nothing: places are linked to by our own nodes alone."""
        return []

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Yield the places for ``objects.inv``, so that other projects can link to them."""
        for anchor, page in sorted(self.places.items()):
            kind, _, name = anchor.partition("-")
            known = kind in KINDS
            yield (name if known else anchor), anchor, (kind if known else "place"), page, anchor, NOT_IN_SEARCH

    def pages_to_write(self) -> set[str]:
        """Return the pages that show places or citations which changed since the last build, and note today's."""
        cited: dict[str, list[str]] = {
            claim: self.cited_by(claim) for claims in self.cites.values() for claim in claims
        }
        before, self.data["written"] = self.data["written"], {"places": dict(self.places), "cited": cited}
        if not before:
            return set()
        moved = _changed(before["places"], self.places)
        pages = {page for page, anchors in self.data["links"].items() if anchors & moved}
        pages |= {self.places.get(f"claim-{claim}", "") for claim in _changed(before["cited"], cited)}
        return pages & self.env.found_docs


def _changed(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    return {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}


def places(env: BuildEnvironment) -> Places:
    """Return the domain of a build."""
    found = env.domains[NAME]
    assert isinstance(found, Places)
    return found


def place_link(anchor: str, content: nodes.Node, kind: str = "place") -> pending_xref:
    """Return a link to a place, ``claim-ID`` for instance; without such a place its content stands alone.

    Of the kind ``file`` it leads to a file of the output folder, where pages can have such files beside them.
    """
    facts = {"refdomain": NAME, "reftype": kind, "reftarget": anchor, "refexplicit": True, "refwarn": False}
    return pending_xref("", content, **facts)


def has_files(builder: Builder) -> bool:
    """Whether pages can have files beside them: those of HTML, but for an e-book."""
    return bool(getattr(builder, "download_support", False))


class ResolveCitations(SphinxPostTransform):
    """Turn citation lists into lists of links, when all pages are known."""

    default_priority = 6

    def run(self, **kwargs: Any) -> None:
        """Resolve the lists of this page; Sphinx itself then resolves the links."""
        for listed in list(self.document.findall(citations)):
            listed.replace_self(self._links(places(self.env).cited_by(listed["claim"])))

    def _links(self, pages: list[str]) -> nodes.Node:
        if not pages:
            return nodes.Text("no page yet")
        links: list[nodes.Node] = []
        for page in pages:
            links += [nodes.Text(", "), page_link(f"/{page}", nodes.Text(self.env.titles[page].astext()))]
        return nodes.inline("", "", *links[1:])
