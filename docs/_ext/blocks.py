"""Building blocks of this guide's pages beside those of the extension: links to pages, code, machines that saw the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

from compile_guide.records.schema import Record
from compile_guide.sphinxext.machines import machine_link
from compile_guide.sphinxext.nodes import folded, paragraph

MOST_NAMED = 3


def page_link(page: str, *content: nodes.Node) -> pending_xref:
    """Return a link to a page by its path in the source."""
    facts = {"refdomain": "std", "reftype": "doc", "reftarget": page, "refexplicit": True, "refwarn": True}
    return pending_xref("", *content, **facts)


def literal_block(code: str, language: str) -> nodes.literal_block:
    """Return a block of code."""
    return nodes.literal_block(code, code, language=language)


def grouped(records: Iterable[Record], seen: Callable[[Record], Hashable | None]) -> list[tuple[list[Record], Any]]:
    """Return what was seen and the records that saw it, in their order; None is nothing to tell."""
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        if (what := seen(record)) is not None:
            groups.setdefault(what, []).append(record)
    return [(group, what) for what, group in groups.items()]


def machines_cell(group: Sequence[Record]) -> nodes.container:
    """Return a cell that names the machines of a group: the first, and the others folded when they are many."""
    names: list[nodes.Node] = [paragraph(machine_link(record)) for record in group]
    if len(group) > MOST_NAMED:
        rest = nodes.bullet_list("", *(nodes.list_item("", name) for name in names[1:]))
        names[1:] = [folded(f"and {len(group) - 1} others", rest)]
    return nodes.container("", *names)


def versions(group: Sequence[Record]) -> str:
    """Return the versions of MLX in a group, each once."""
    return ", ".join(dict.fromkeys(record.machine.mlx for record in group))
