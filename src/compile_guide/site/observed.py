"""Directives for what was observed beside timings: support tables, error messages, and verdicts by MLX version."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from compile_guide.claims import all_claims
from compile_guide.errors import ENTRIES
from compile_guide.errors._entry import Entry
from compile_guide.history import History, HistoryError, Turn, Version, load, turns
from compile_guide.record import Message, Record
from compile_guide.site.nodes import Cell, folded, literal_block, note, paragraph, place_link, table, text, warn
from compile_guide.site.switch import alike, in_order, machine_name, machines_cell, versions
from compile_guide.site.tables import RecordsDirective
from compile_guide.site.wording import VERDICTS

MARKS = {True: "✓", False: "✗", None: "?"}
OUTCOMES = {
    "right": "✓ right",
    "throws at the first call": "! throws at the first call",
    "throws on the second size": "! throws on the second size",
    "silently wrong": "✗ silently wrong",
    "ends the process": "✗ ends the process",
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
        for group, support in alike(in_order(self.shelf()), lambda record: record.tables.support or None):
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
        for row in record.tables.support:
            if (row.smaller, row.larger) != ("right", "right"):
                listed += nodes.list_item("", paragraph(nodes.literal(row.code, row.code), ": ", "; ".join(row.seen)))
        return [listed]


class AlreadyCompiled(RecordsDirective):
    """``already-compiled``: which functions and layers of ``mlx.nn`` are compiled, for the record shown."""

    def run(self) -> list[nodes.Node]:
        """Return a table of functions and one of layers."""
        shown = self.shelf().shown
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
        found = self.shelf()
        return [self._entry(entry, tuple(in_order(found)), found.shown) for entry in ENTRIES]

    def _entry(self, entry: Entry, records: tuple[Record, ...], shown: Record | None) -> nodes.section:
        place = f"error-{entry.id}"
        note(self.env).places.add(place)
        said = _message(shown, entry.id)
        heading = f"{said.type}: {_first_words(said.message)}" if said else entry.title
        section = nodes.section("", nodes.title(heading, heading), ids=[place], classes=["error-entry"])
        if said:
            section += paragraph(nodes.strong(entry.title, entry.title))
            section += literal_block(f"{said.type}: {said.message}".rstrip(": "), "text")
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
        for group, said in alike(records, lambda record: _message(record, entry.id)):
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
        changed = sorted({turn.claim for turn in turns(history)})
        return [
            paragraph(
                f"{len(able)} releases of MLX, {history.platform}, {len(able[-1].verdicts) if able else 0} claims each."
            ),
            *self._not_run(history),
            *self._in_words(history, able),
            self._grid("Claims whose verdict changed", changed, able),
            folded("Claims whose verdict never changed", self._grid("", _same(able, changed), able)),
        ]

    @staticmethod
    def _not_run(history: History) -> list[nodes.Node]:
        failed = [version for version in history.versions if version.status != "ok"]
        rows: list[list[Cell]] = [[version.mlx, version.python, version.status] for version in failed]
        return [table(["MLX", "Python", "Why it could not be run"], rows)] if rows else []

    def _in_words(self, history: History, able: list[Version]) -> list[nodes.Node]:
        """One section a release: what is different from the release tried before it."""
        before = {new.mlx: old.mlx for old, new in pairwise(able)}
        made: list[nodes.Node] = []
        for release in before:
            here = [turn for turn in turns(history) if turn.release == release]
            if not here:
                continue
            title = f"MLX {release}, compared with {before[release]}"
            section = nodes.section("", nodes.title(title, title), ids=[f"mlx-{release.replace('.', '-')}"])
            listed = nodes.bullet_list()
            listed += [nodes.list_item("", self._turn(turn)) for turn in here]
            section += listed
            self.state.document.note_explicit_target(section)
            made.append(section)
        return made

    @staticmethod
    def _turn(turn: Turn) -> nodes.paragraph:
        claim = all_claims().get(turn.claim)
        statement = claim.statement if claim else turn.claim
        link = place_link("", "", text(statement), key=f"claim-{turn.claim}")
        before, after = (f"“{seen.rstrip('.')}”" for seen in (turn.before, turn.after))
        return paragraph(link, " ", verdict_text(turn.holds), f" Before: {before}. Now: {after}.")

    @staticmethod
    def _grid(caption: str, ids: list[str], able: list[Version]) -> nodes.table:
        rows: list[list[Cell]] = []
        for id in ids:
            marks = [MARKS[v.verdicts[id][0]] if id in v.verdicts else "" for v in able]
            rows.append([place_link("", "", text(id), key=f"claim-{id}"), *marks])
        return table(["Claim", *(version.mlx for version in able)], rows, caption=caption)


def _same(able: list[Version], changed: list[str]) -> list[str]:
    """Return the claims that every release was asked, without those that changed."""
    return sorted({id for version in able for id in version.verdicts} - set(changed))
