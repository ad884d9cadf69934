"""Directives of the start page and of the ledger's index: a few large numbers, and every statement in a line."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

from _ext.blocks import page_link
from _ext.claim_pages import ClaimsDirective, section, verdict, verdict_of
from compile_guide.comparison import Comparison
from compile_guide.formatting import UNMEASURED
from compile_guide.ledger.claims import Claim
from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.domain import place_link
from compile_guide.sphinxext.machines import Panel, RecordsDirective, in_order, tabs
from compile_guide.sphinxext.nodes import paragraph, text, warn
from compile_guide.sphinxext.roles import generated
from compile_guide.sphinxext.text import MEASURED


class Headline(RecordsDirective):
    """``headline``: a few large numbers. A line is ``name [name …] | what it is | page of the example``.

    Of several names the first counts that could be compared on this machine.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a panel of tiles for each machine that has them all; a line that this site's record lacks is warned of."""
        records = self.records()
        lines = [[part.strip() for part in f"{line}||".split("|")[:3]] for line in self.content if line.strip()]
        panels: list[Panel] = []
        for record in in_order(records):
            tiles = self._tiles(record, lines, records)
            if tiles and (len(tiles) == len(lines) or record is records.shown):
                panels.append((record, [nodes.container("", *tiles, classes=["headline"])]))
        return [tabs(panels, titled=False, classes=["guide-quiet"])] if panels else []

    def _tiles(self, record: Record, lines: list[list[str]], records: RecordSet) -> list[nodes.Node]:
        known = record.by_name
        tiles: list[nodes.Node] = []
        for names, label, page in lines:
            found = [known[name].comparison() for name in names.split() if name in known]
            yet = [name for name in names.split() if records.unmeasured(name, generated(self.env, self.config))]
            if found:
                tiles.append(self._tile(next((c for c in found if c.ratio), found[0]), label, page))
            elif record is records.shown and yet:
                tiles.append(self._tile(None, label, page))
            elif record is records.shown:
                warn(f"this site's record has no comparison {names!r}", "name", self.get_location())
        return tiles

    @staticmethod
    def _tile(comparison: Comparison | None, label: str, page: str) -> nodes.container:
        what: nodes.Node = text(label)
        if page:
            what = page_link(page, what)
        if comparison is None:
            missing = paragraph(text(UNMEASURED, "measured", "in-words", "unmeasured"))
            return nodes.container("", missing, paragraph(what), classes=["tile"])
        said = {field: MEASURED[field](comparison) for field in ("ratio", "baseline", "candidate")}
        ratio, _, interval = said["ratio"].partition(" (")
        size = ["measured"] if "×" in ratio else ["measured", "in-words"]
        number = paragraph(text(ratio, *size), *([text(f" ({interval}", "measured", "interval")] if interval else []))
        times = paragraph(f"{said['baseline']} → {said['candidate']} a call", classes=["times"])
        return nodes.container("", number, paragraph(what), times, classes=["tile"])


class LedgerIndex(ClaimsDirective):
    """``claims-index``: every statement with its verdict, a link to its entry; ``#claim-ID`` leads to its line."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each topic."""
        shown = self.records().shown
        return [
            section(self.state.document, topic, [nodes.bullet_list("", *(_line(claim, shown) for claim in claims))])
            for topic, claims in self.topics().items()
        ]


def _line(claim: Claim, shown: Record | None) -> nodes.list_item:
    """Return a statement's line. Its classes are what the filter on the page looks at."""
    place = f"claim-{claim.id}"
    word, mark = verdict(verdict_of(shown, claim.id))
    said = paragraph(place_link(place, text(claim.statement)), " ", text(mark, "claim", f"claim-{word}"))
    return nodes.list_item("", said, ids=[place], classes=["claim-line", f"topic-{claim.topic}", f"verdict-{word}"])


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("headline", Headline)
    app.add_directive("claims-index", LedgerIndex)
