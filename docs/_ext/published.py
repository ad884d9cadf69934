"""What others have published: quoted with its source, each beside our nearest measurement or the reason for none."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from _ext.blocks import page_link
from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, format_time
from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Machine
from compile_guide.sphinxext import downloads
from compile_guide.sphinxext.domain import note_place, place_link
from compile_guide.sphinxext.machines import RecordsDirective, machine_name
from compile_guide.sphinxext.nodes import Cell, paragraph, table, text, warn
from compile_guide.sphinxext.pages import having
from compile_guide.sphinxext.roles import generated, measured, on_each, record_set
from compile_guide.sphinxext.text import MEASURED

MAX_BYTES = 200_000
HEADER = ("What", "Where", "Plain", "Compiled", "Speed-up")
CHIPS = ("M1 Max", "M3 Ultra")
"""The Apple-silicon machines whose published figures stand where we have no record of our own."""


@dataclass(frozen=True)
class Figure:
    """A number that somebody else reported, as the file has it.

    ``ours`` names our nearest comparison and ``why`` says what makes it the nearest, and what still differs;
    without ``ours``, ``why`` says what keeps the figure from being compared.
    """

    topic: str
    what: str
    where: str
    plain: str
    compiled: str
    source: str
    why: str
    link: str = ""
    ratio: str = ""
    note: str = ""
    ours: str = ""


def read_published(file: Path) -> list[Figure]:
    """Read published figures from a TOML file of ``[[figure]]`` tables.

    Raises:
        ValueError: the file is too large, isn't TOML, or a field is unknown, missing or no text.
    """
    with file.open("rb") as opened:
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    found = []
    for number, given in enumerate(tomllib.loads(raw.decode("utf-8")).get("figure", ()), start=1):
        if wrong := [name for name, value in given.items() if not isinstance(value, str)]:
            raise ValueError(f"figure {number}: {wrong[0]} is no text")
        try:
            found.append(Figure(**given))
        except TypeError as error:
            raise ValueError(f"figure {number}: {str(error).partition('() ')[2]}") from None
    return found


class FiguresDirective(RecordsDirective):
    """A directive that quotes published figures, each with a row of ours below it."""

    def figures(self) -> list[Figure] | None:
        """Return what the file holds; None, and a warning, when it can't be read."""
        file = Path(self.env.srcdir) / self.config.compile_guide_published
        self.env.note_dependency(str(file))
        try:
            return read_published(file)
        except (OSError, ValueError) as error:
            warn(f"{file.name}: {error}", "published", self.get_location())
            return None

    def quoted(self, figures: Iterable[Figure]) -> nodes.table:
        """Return the table, two rows a figure: theirs, and ours or why there is none."""
        records, examples = self.records(), generated(self.env, self.config)
        known = {entry.name for record in records.records for entry in record.comparisons}
        rows: list[list[Cell]] = []
        for figure in figures:
            if figure.ours and figure.ours not in known and not records.unmeasured(figure.ours, examples):
                message = f"published figure {figure.what!r}: no record has a comparison {figure.ours!r}"
                warn(message, "name", self.get_location())
            rows += [_theirs(figure), _ours(figure, records if figure.ours in known else None)]
        made = table(HEADER, rows, numbers=HEADER[2:])
        for index, row in enumerate(list(made.findall(nodes.row))[1:]):
            row["classes"].append("ours" if index % 2 else "theirs")
        made["classes"].append("guide-published")
        return made


def _theirs(figure: Figure) -> list[Cell]:
    source: nodes.Node = text(figure.source)
    if figure.link.startswith("https://"):
        source = nodes.reference(figure.source, figure.source, refuri=figure.link)
    what = f"{figure.what} ({figure.note})" if figure.note else figure.what
    said = paragraph(nodes.strong(what, what), " Reported by ", source, ".")
    return [said, figure.where, figure.plain, figure.compiled, figure.ratio or NOTHING]


def _ours(figure: Figure, records: RecordSet | None) -> list[Cell]:
    if records is None or records.shown is None:
        label = "Nothing of ours is near" if not figure.ours else "Ours is not measured yet"
        return [paragraph(text(f"{label}: ", "ours-label"), figure.why), "", *[NOTHING] * 3]
    says = (MEASURED["baseline"], MEASURED["candidate"], _ratio)
    said = [on_each(measured(figure.ours, say), records, "measured") for say in says]
    name = nodes.literal(figure.ours, figure.ours)
    what = paragraph(text("Our nearest, ", "ours-label"), name, text(": ", "ours-label"), figure.why)
    return [what, paragraph(on_each(machine_name, records, "machine")), *map(paragraph, said)]


def _ratio(comparison: Comparison) -> str:
    slow = comparison.slow_call_s
    return MEASURED["ratio"](comparison) if slow is None else f"not compared: one call takes {format_time(slow)}"


class Published(FiguresDirective):
    """``published``: what others have reported, all of it or one topic, each with its source."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; a topic that no figure has is warned of."""
        if (figures := self.figures()) is None:
            return []
        topic = self.arguments[0] if self.arguments else None
        chosen = [figure for figure in figures if topic in (None, figure.topic)]
        if not chosen:
            warn(f"no published figure has the topic {topic!r}", "published", self.get_location())
        return [self.quoted(chosen)] if chosen else []


def in_notebook(app: Sphinx, topic: str) -> str:
    """Return the figures of a topic, or all, as a list for an example's notebook; the page warns of a file that is amiss."""
    try:
        figures = read_published(Path(app.srcdir) / app.config.compile_guide_published)
    except (OSError, ValueError):
        return ""
    said = [
        f"- {figure.what}, {figure.where}: {figure.plain} → {figure.compiled} ({figure.ratio or NOTHING}), "
        f"reported by {figure.source} {figure.link}".rstrip()
        for figure in figures
        if topic in ("", figure.topic)
    ]
    return "\n".join([*said, "", ""])


def virtual(machine: Machine) -> bool:
    """Whether a Mac is a virtual one, such as those that GitHub lends: its GPU says so, and isn't the chip's own."""
    return "paravirtual" in (machine.gpu or "").lower()


class AppleSilicon(FiguresDirective):
    """``apple-silicon PAGE``: while no such machine has a record, say so, how to add one, and what others reported.

    A virtual machine's record doesn't count: its numbers aren't those of a Mac on a desk.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return an admonition and the published figures; nothing but a place once there is a record."""
        note_place(self.env, "apple-silicon-records")
        records = [record for record in self.records().records if record.machine.backend == "metal"]
        place = nodes.container("", ids=["apple-silicon-records"])
        names = "; ".join(map(machine_name, records))
        if any(not virtual(record.machine) for record in records):
            place += paragraph(f"Apple silicon: {names}.")
            return [place]
        link = page_link(self.arguments[0], text("One command records yours"))
        only = f"Apple silicon: {names}, which is a virtual machine, without the GPU of a Mac of one's own. "
        none = "No Apple-silicon machine has recorded yet, so nothing here is claimed for one. "
        place += nodes.note("", paragraph(only if records else none, link, "."))
        figures = [figure for figure in self.figures() or () if any(chip in figure.where for chip in CHIPS)]
        if figures:
            place += paragraph("This is what others have reported for two of them, measured by other methods:")
            place += self.quoted(figures)
        return [place]


def name_apple_silicon(app: Sphinx, doctree: nodes.document) -> None:
    """Say in the line that names the machines, while none is of Apple silicon, that none has recorded yet."""
    if any(record.machine.backend == "metal" for record in record_set(app.env, app.config).records):
        return
    for line in having(doctree, nodes.container, "guide-page-switch"):
        for words in having(line, nodes.paragraph, "measured-on"):
            words += [nodes.Text(" "), place_link("apple-silicon-records", text("No Apple-silicon record yet."))]


def setup(app: Sphinx) -> None:
    """Register the setting, the directives and the hook."""
    app.add_config_value("compile_guide_published", "published.toml", "env", str)
    app.add_directive("published", Published)
    downloads.BLOCKS["published"] = in_notebook
    app.add_directive("apple-silicon", AppleSilicon)
    app.connect("doctree-read", name_apple_silicon, priority=450)
