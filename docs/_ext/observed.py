"""Directives for what was observed beside timings: support tables, error messages, and verdicts by MLX version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from _ext.blocks import grouped, literal_block, machines_cell, versions
from _ext.claim_pages import VERDICTS, known_claims
from _ext.turns import Turn, find_turns
from claims._errors import ENTRIES
from claims._errors._entry import Entry
from claims._history import History, HistoryError, Version, load
from compile_guide.records.schema import Message, Record
from compile_guide.sphinxext.domain import note_place, place_link
from compile_guide.sphinxext.machines import RecordsDirective, in_order, machine_link, machine_name
from compile_guide.sphinxext.nodes import Cell, folded, paragraph, table, text, warn

MARKS = {True: "✓", False: "✗", None: "?"}
OUTCOMES = {
    "right": "✓ right",
    "throws at the first call": "! throws at the first call",
    "throws on the second size": "! throws on the second size",
    "silently wrong": "✗ silently wrong",
    "ends the process": "✗ ends the process",
    "not tried": "– not tried",
}


def verdict_text(holds: bool | None) -> nodes.inline:
    """Return a verdict as the ledger shows it."""
    word, mark = VERDICTS[holds]
    return text(mark, "claim", f"claim-{word}")


class ShapelessSupport(RecordsDirective):
    """``shapeless-support``: what each function does when the second size differs, on the machines that saw it alike."""

    def run(self) -> list[nodes.Node]:
        """Return a table for each outcome, the one of this site's record first."""
        made: list[nodes.Node] = []
        for group, support in grouped(in_order(self.records()), lambda record: record.tables.support or None):
            rows: list[list[Cell]] = [
                [nodes.literal(row.code, row.code), self._outcome(row.smaller), self._outcome(row.larger)]
                for row in support
            ]
            names = paragraph("; ".join(map(machine_name, group)), f": {len(rows)} functions")
            parts: list[nodes.Node] = [table(["Function of x", "Then a smaller size", "Then a larger size"], rows)]
            parts += [folded("What each size did", *self._details(group[0]))]
            # beside the first table, which is this site's, the others are for comparing
            made += [names, *parts] if not made else [folded(names.astext(), *parts)]
        return made

    @staticmethod
    def _outcome(outcome: str) -> nodes.inline:
        kind = (
            "holds" if outcome == "right" else "fails" if outcome in ("silently wrong", "ends the process") else "open"
        )
        return text(OUTCOMES.get(outcome, outcome), "claim", f"claim-{kind}")

    @staticmethod
    def _details(record: Record) -> list[nodes.Node]:
        listed = nodes.bullet_list()
        right: dict[str, list[nodes.Node | str]] = {}
        for row in record.tables.support:
            code = nodes.literal(row.code, row.code)
            if (row.smaller, row.larger) == ("right", "right"):
                sizes = "; ".join(seen.partition(":")[0] for seen in row.seen)
                right.setdefault(sizes, []).extend((", ", code))
            else:
                listed += nodes.list_item("", paragraph(code, ": ", "; ".join(row.seen)))
        for sizes, codes in right.items():
            listed += nodes.list_item("", paragraph(f"right for {sizes}: ", *codes[1:]))
        return [listed]


class AlreadyCompiled(RecordsDirective):
    """``already-compiled``: which functions and layers of ``mlx.nn`` are compiled, for the record shown."""

    def run(self) -> list[nodes.Node]:
        """Return a table of functions and one of layers."""
        shown = self.records().shown
        if shown is None or not shown.tables.ready:
            return []
        functions = [r for r in shown.tables.ready if r.kind == "function"]
        compiled, plain = ([r for r in functions if r.compiled is which] for which in (True, False))
        words = {True: "yes", False: "no", None: "can't be observed"}
        rows: list[list[Cell]] = [[_nn(r.name), words[r.shapeless]] for r in compiled]
        layers: list[list[Cell]] = [
            [_nn(r.name), ", ".join(r.through)] for r in shown.tables.ready if r.kind == "layer"
        ]
        plain_names = ", ".join(r.name for r in plain)
        return [
            paragraph(f"MLX {shown.machine.mlx} has {len(compiled)} compiled functions in mlx.nn."),
            table(["Function", "Compiled with shapeless=True"], rows, caption="Functions that are compiled already"),
            table(["Layer", "Compiled function that it uses"], layers, caption="Layers that use a compiled function"),
            paragraph(f"Functions of mlx.nn that are not compiled: {plain_names}."),
        ]


def _nn(name: str) -> nodes.literal:
    return nodes.literal(f"nn.{name}", f"nn.{name}")


class ErrorCatalogue(RecordsDirective):
    """``error-catalogue``: a section for each message that MLX raised, with code, reason and fix."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, in the order of the entries."""
        found = self.records()
        return [self._entry(entry, tuple(in_order(found)), found.shown) for entry in ENTRIES]

    def _entry(self, entry: Entry, records: tuple[Record, ...], shown: Record | None) -> nodes.section:
        place = f"error-{entry.id}"
        note_place(self.env, place)
        raised = [r for r in (shown, *records) if (seen := _message(r, entry.id)) and seen.type] if shown else []
        said = _message(raised[0], entry.id) if raised else None
        heading = f"{said.type}: {_first_words(said.message)}" if said else entry.title
        section = nodes.section("", nodes.title(heading, heading), ids=[place], classes=["error-entry"])
        if said:
            section += paragraph(nodes.strong(entry.title, entry.title))
            section += literal_block(f"{said.type}: {said.message}".rstrip(": "), "text")
        if raised and raised[0] is not shown:
            section += paragraph("Raised on ", machine_link(raised[0]), "; the machine shown raised nothing here.")
        section += [
            paragraph("Code that raises it:"),
            literal_block(entry.code.strip(), "python"),
            paragraph(entry.why),
        ]
        section += [paragraph("Instead:"), literal_block(entry.fix.strip(), "python")]
        section += self._seen(entry, records)
        self.state.document.note_explicit_target(section)
        return section

    @staticmethod
    def _seen(entry: Entry, records: tuple[Record, ...]) -> list[nodes.Node]:
        rows: list[list[Cell]] = []
        for group, said in grouped(records, lambda record: _message(record, entry.id)):
            cured = "✓ runs" if said.fixed else "✗ does not run"
            raised = f"{said.type}: {said.message}".rstrip(": ") if said.type else "nothing"
            rows.append([machines_cell(group), versions(group), raised, cured])
        return [folded("Seen on", table(["Machine", "MLX", "Raised", "The fix"], rows))] if rows else []


def _message(record: Record | None, id: str) -> Message | None:
    return next((m for m in (record.tables.messages if record else ()) if m.id == id), None)


def _first_words(message: str) -> str:
    """Return a message's first sentence, short enough for a heading."""
    first = message.partition("\n")[0].partition(". ")[0]
    return first if len(first) <= 120 else first[:117].rpartition(" ")[0] + " …"


class VersionHistory(SphinxDirective):
    """``version-history``: claims whose verdict changed between MLX releases, in words and as a table."""

    def run(self) -> list[nodes.Node]:
        """Return the tables, or nothing but a warning when the file can't be read."""
        file = Path(self.env.srcdir) / "history.json"
        self.env.note_dependency(str(file))
        try:
            history = load(file)
        except (OSError, HistoryError) as error:
            warn(str(error), "history", self.get_location())
            return []
        able = [version for version in history.versions if version.status == "ok"]
        changed = {turn.claim for turn in find_turns(history)}
        same = sorted({id for version in able for id in version.verdicts} - changed)
        return [
            paragraph(_extent(history, able)),
            *self._not_run(history),
            *self._in_words(find_turns(history)),
            *([self._grid(sorted(changed), able)] if changed else []),
            *([folded("Claims whose verdict never changed", *_unchanged(same, able))] if same else []),
        ]

    @staticmethod
    def _not_run(history: History) -> list[nodes.Node]:
        failed = [version for version in history.versions if version.status != "ok"]
        rows: list[list[Cell]] = [[version.mlx, version.python, version.status] for version in failed]
        return [table(["MLX", "Python", "Why it could not be run"], rows)] if rows else []

    def _in_words(self, found: Sequence[Turn]) -> list[nodes.Node]:
        """One section a release: what is different from the release on which the claim was asked before it."""
        made: list[nodes.Node] = []
        for release in dict.fromkeys(turn.release for turn in found):
            title, listed = f"MLX {release}", nodes.bullet_list()
            section = nodes.section("", nodes.title(title, title), ids=[f"mlx-{release.replace('.', '-')}"])
            listed += [nodes.list_item("", self._turn(turn)) for turn in found if turn.release == release]
            section += listed
            self.state.document.note_explicit_target(section)
            made.append(section)
        return made

    def _turn(self, turn: Turn) -> nodes.paragraph:
        claim = known_claims(self.env, self.config).get(turn.claim)
        statement = claim.statement if claim else turn.claim
        link = place_link(f"claim-{turn.claim}", text(statement))
        before, after = (f"“{seen.rstrip('.')}”" for seen in (turn.before, turn.after))
        return paragraph(link, " ", verdict_text(turn.holds), f" {turn.last}: {before}. {turn.release}: {after}.")

    @staticmethod
    def _grid(ids: list[str], able: list[Version]) -> nodes.table:
        """Return the verdicts on some claims, with the releases on which one of them was asked."""
        able = [version for version in able if version.verdicts.keys() & set(ids)]
        rows: list[list[Cell]] = []
        for id in ids:
            marks = [MARKS[v.verdicts[id][0]] if id in v.verdicts else "" for v in able]
            rows.append([_to_claim(id), *marks])
        return table(["Claim", *(version.mlx for version in able)], rows, caption="Claims whose verdict changed")


def _extent(history: History, able: Sequence[Version]) -> str:
    most = max((len(version.verdicts) for version in able), default=0)
    whole = sum(len(version.verdicts) == most for version in able)
    said = f"{most} claims on {whole} releases of MLX, {history.platform}"
    return f"{said}, and single claims on {len(able) - whole} more." if len(able) > whole else f"{said}."


def _unchanged(ids: list[str], able: list[Version]) -> list[nodes.Node]:
    """Return the claims of each verdict in a paragraph of their own: a table would repeat a mark for each release."""
    made: list[nodes.Node] = []
    for holds in MARKS:
        alike = [id for id in ids if next(v.verdicts[id][0] for v in able if id in v.verdicts) is holds]
        links = [part for id in alike for part in (", ", _to_claim(id))][1:]
        made += [paragraph(verdict_text(holds), ", on each release tried: ", *links, ".")] if alike else []
    return made


def _to_claim(id: str) -> nodes.Node:
    return place_link(f"claim-{id}", text(id))


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("shapeless-support", ShapelessSupport)
    app.add_directive("already-compiled", AlreadyCompiled)
    app.add_directive("error-catalogue", ErrorCatalogue)
    app.add_directive("version-history", VersionHistory)
