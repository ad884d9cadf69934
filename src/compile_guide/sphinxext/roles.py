"""Roles: numbers of this build's record and facts about its machine, inside a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxRole

from compile_guide.comparison import Comparison
from compile_guide.formatting import NOTHING, UNMEASURED
from compile_guide.records.record_set import RecordSet, read_folder
from compile_guide.records.schema import Record
from compile_guide.sphinxext.nodes import on_machines, text, warn
from compile_guide.sphinxext.text import MACHINE, MEASURED

Found = tuple[list[nodes.Node], list[nodes.system_message]]


def record_set(env: BuildEnvironment, config: Config) -> RecordSet:
    """Return the site's records."""
    return read_folder(Path(env.srcdir) / config.compile_guide_records, config.compile_guide_record)


def noted_records(env: BuildEnvironment, config: Config) -> RecordSet:
    """Return the site's records, and note that the page being read depends on each."""
    found = record_set(env, config)
    for file in found.files:
        env.note_dependency(file)
    return found


def galleries(env: BuildEnvironment | Sphinx, config: Config) -> list[tuple[Path, Path]]:
    """Return the galleries of sphinx-gallery: the folder of each one's scripts, and that of its pages."""
    conf = getattr(config, "sphinx_gallery_conf", {})
    pairs = zip(as_list(conf.get("examples_dirs", [])), as_list(conf.get("gallery_dirs", [])), strict=False)
    return [(Path(env.srcdir, scripts), Path(env.srcdir, made)) for scripts, made in pairs]


def generated(env: BuildEnvironment, config: Config) -> list[Path]:
    """Return the folders of the examples' pages."""
    return [made for _, made in galleries(env, config)]


def as_list(value: str | list[str]) -> list[str]:
    """Return sphinx-gallery's setting of one folder, or of several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def on_each(say: Callable[[Record], str | None], records: RecordSet, word: str, absent: str = NOTHING) -> on_machines:
    """Return text about the record shown that also knows what to say of the others; None is "not measured"."""
    assert records.shown is not None
    own = say(records.shown) or absent
    others = {record.id: say(record) for record in records.records if record is not records.shown}
    return on_machines(own, own, classes=[word], others={id: said for id, said in others.items() if said != own})


def measured(name: str, say: Callable[[Comparison], str]) -> Callable[[Record], str | None]:
    """Return what is asked of a record: a number of one comparison, None where it has no such comparison."""
    return lambda record: say(entry.comparison()) if (entry := record.by_name.get(name)) else None


def _missing(role: SphinxRole, message: str) -> Found:
    warn(message, "name", role.get_location())
    return [text("not measured", "measured", "missing")], []


class Measured(SphinxRole):
    """``{measured}`NAME.FIELD```: one number of a comparison, with its unit; without a field, the ratio."""

    def run(self) -> Found:
        """Return the number as text."""
        name, _, field = self.text.strip().partition(".")
        if (say := MEASURED.get(field or "ratio")) is None:
            return _missing(self, f"a comparison has no {field!r}; it has: {', '.join(MEASURED)}")
        records, of = noted_records(self.env, self.config), measured(name, say)
        if (shown := records.shown) is None:
            return _missing(self, f"there is no record, so nothing of {name!r}: record one with 'compile-guide record'")
        if of(shown) is None and not records.unmeasured(name, generated(self.env, self.config)):
            return _missing(self, f"record {shown.id} has no comparison {name!r}")
        return [on_each(of, records, "measured", UNMEASURED)], []


class MachineFact(SphinxRole):
    """``{machine}`FIELD```: one fact about the machine of the record shown."""

    def run(self) -> Found:
        """Return the fact as text."""
        if (say := MACHINE.get(self.text.strip())) is None:
            return _missing(self, f"a machine has no {self.text.strip()!r}; it has: {', '.join(MACHINE)}")
        records = noted_records(self.env, self.config)
        if records.shown is None:
            return _missing(self, "there is no record, so no machine")
        return [on_each(say, records, "machine")], []
