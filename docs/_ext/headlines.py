"""What an example's card says in large type: a number that was measured or observed, from each machine's record.

``headlines.toml`` among the pages has a table for each example, named after its script.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.environment import BuildEnvironment

from _ext.claim_pages import verdict_of
from _ext.listings import list_files
from compile_guide.formatting import NOTHING, UNMEASURED
from compile_guide.records.record_set import RecordSet
from compile_guide.records.schema import Record
from compile_guide.sphinxext.machines import in_order
from compile_guide.sphinxext.nodes import paragraph, warn
from compile_guide.sphinxext.roles import on_each
from compile_guide.sphinxext.text import MEASURED, processor

FILE = "headlines.toml"
PART = re.compile(r"\{([\w-]+)(?:\.(\w+))?\}")


@dataclass(frozen=True)
class Headline:
    """The large type of a card, ``figure``, and the ``words`` below it.

    In both, ``{NAME.FIELD}`` stands for what ``measured`` says of a comparison. ``{0}``, ``{1}`` … stand for the groups of
    the regular expression ``pattern``, searched in what the check of ``claim`` observed.
    """

    figure: str
    words: str
    claim: str = ""
    pattern: str = ""

    def __post_init__(self) -> None:
        """Refuse a field that a comparison doesn't have, and a group that the pattern doesn't have."""
        groups = re.compile(self.pattern).groups
        for name, field in PART.findall(self.figure + self.words):
            if field not in MEASURED and not (name.isdecimal() and not field and int(name) < groups):
                raise ValueError(f"{{{name}{'.' if field else ''}{field}}} stands for nothing")

    def fill(self, template: str, record: Record) -> str | None:
        """Return the text for one machine; "—" where the check saw something else, None where the record lacks it."""
        parts, seen = PART.findall(template), verdict_of(record, self.claim)
        observed = any(not field for _, field in parts)
        if (observed and seen is None) or any(field and name not in record.by_name for name, field in parts):
            return None
        found = re.search(self.pattern, seen.observed) if seen else None
        return NOTHING if observed and found is None else PART.sub(lambda part: _say(part, found, record), template)


def _say(part: re.Match[str], found: re.Match[str] | None, record: Record) -> str:
    name, field = part.groups()
    if field:
        return MEASURED[field](record.by_name[name].comparison())
    return found[int(name) + 1] if found else NOTHING


def read_headlines(file: Path) -> dict[str, Headline]:
    """Return the headlines by example; none where there is no file.

    Raises:
        ValueError: the file isn't TOML, or a table has a key that is unknown, missing or no text.
    """
    return _read(file, file.stat().st_mtime_ns) if file.exists() else {}


@functools.lru_cache(maxsize=2)
def _read(file: Path, _changed: int) -> dict[str, Headline]:
    return {example: _headline(example, given) for example, given in tomllib.loads(file.read_text("utf-8")).items()}


def _headline(example: str, given: object) -> Headline:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"{example} is no table of texts")
    try:
        return Headline(**given)
    except (TypeError, ValueError, re.error) as error:
        raise ValueError(f"{example}: {str(error).rpartition('() ')[2]}") from None


def noted_headlines(env: BuildEnvironment, location: str) -> dict[str, Headline]:
    """Return the headlines of a site, noted as read; none, and a warning, when the file can't be read."""
    file = Path(env.srcdir) / FILE
    for there in list_files(env, ".", FILE):  # a dependency that is missing would have the page read in each build
        env.note_dependency(there)
    try:
        return read_headlines(file)
    except (OSError, ValueError) as error:
        warn(f"{FILE}: {error}", "headline", location)
        return {}


def headline(said: Headline, records: RecordSet) -> list[nodes.Node]:
    """Return the large type with its interval, and the words below it; both follow the choice of a machine.

    Where a machine has no such number, the words name the one whose number is shown.
    """
    if records.shown is None:
        return []
    have = [record for record in in_order(records) if said.fill(said.figure, record) is not None]

    def source(record: Record) -> Record | None:
        return record if record in have else next(iter(have), None)

    def figure(record: Record) -> str:
        return (said.fill(said.figure, found) if (found := source(record)) else None) or NOTHING

    def words(record: Record) -> str | None:
        if (found := source(record)) is None or (filled := said.fill(said.words, found)) is None:
            return None
        return filled if found is record else f"{filled} (on {processor(found.machine)})"

    large = on_each(lambda record: figure(record).partition(" (")[0], records, "measured")
    small = on_each(lambda record: "".join(figure(record).partition(" (")[1:]).strip(), records, "interval", "")
    return [
        paragraph(large, " ", small, classes=["guide-card-figure"]),
        paragraph(on_each(words, records, "words", UNMEASURED), classes=["guide-card-words"]),
    ]
