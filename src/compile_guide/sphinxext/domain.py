"""A Sphinx domain for places that pages link to: claims, machines, messages, and files of the output folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode
from sphinx.util.osutil import relative_uri

NAME = "compile_guide"
KINDS = ("claim", "machine", "error")
NOT_IN_SEARCH = -1


class Places(Domain):
    """Where each claim, machine and message is described.

    A place is known by its anchor, such as ``claim-ID`` or ``machine-ID``. A link to a place that no page has becomes
    plain text.
    """

    name = NAME
    label = "Places"
    object_types: ClassVar[dict[str, ObjType]] = {kind: ObjType(kind, kind) for kind in (*KINDS, "place")}
    initial_data: ClassVar[dict[str, dict[str, Any]]] = {"places": {}, "written": {}}
    data_version = 2

    def clear_doc(self, docname: str) -> None:
        """Forget what a page has."""
        self.data["places"] = {anchor: page for anchor, page in self.data["places"].items() if page != docname}

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        """Take over what another process read."""
        self.data["places"].update({anchor: page for anchor, page in otherdata["places"].items() if page in docnames})

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
        page = self.data["places"].get(target)
        if page and builder.format != "man":  # it would print the anchor
            return make_refnode(builder, fromdocname, page, target, contnode)
        return contnode  # type: ignore[return-value]  # Sphinx puts any node in the place of the reference

    def resolve_any_xref(self, *_: Any) -> list[tuple[str, nodes.reference]]:
        """Find nothing: places are linked to by our own nodes alone."""
        return []

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Yield the places for ``objects.inv``, so that other projects can link to them."""
        for anchor, page in sorted(self.data["places"].items()):
            kind, _, name = anchor.partition("-")
            known = kind in KINDS
            yield (name if known else anchor), anchor, (kind if known else "place"), page, anchor, NOT_IN_SEARCH


def note_place(env: BuildEnvironment, anchor: str) -> None:
    """Say that the page being read has this anchor."""
    env.domaindata[NAME]["places"][anchor] = env.docname


def pages_to_write(_app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Return all pages, for their links, if a place has moved since the last build, and note today's (``env-updated``)."""
    data = env.domaindata[NAME]
    before, data["written"] = data["written"], dict(data["places"])
    return env.found_docs if before != data["places"] else ()


def place_link(anchor: str, content: nodes.Node, kind: str = "place") -> pending_xref:
    """Return a link to a place, ``claim-ID`` for instance; without such a place its content stands alone.

    Of the kind ``file`` it leads to a file of the output folder, where pages can have such files beside them. The
    roles about claims make those of the kind ``claim``.
    """
    facts = {"refdomain": NAME, "reftype": kind, "reftarget": anchor, "refexplicit": True, "refwarn": False}
    return pending_xref("", content, **facts)


def has_files(builder: Builder) -> bool:
    """Whether pages can have files beside them: those of HTML, but for an e-book."""
    return bool(getattr(builder, "download_support", False))
