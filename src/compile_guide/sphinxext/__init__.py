"""The Sphinx extension: numbers, machines, claims and examples on the guide's pages.

Sphinx is imported in this subpackage alone; MLX is imported by none of its modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from _ext import (
    benched,
    cards,
    collecting,
    costed,
    docstrings,
    drawing,
    goals,
    head,
    observed,
    promises,
    published,
    shares,
    sidebar,
)
from _ext import markdown_writer as plain
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError

from compile_guide import __version__
from compile_guide.records.record_set import read_folder
from compile_guide.records.schema import RecordError
from compile_guide.sphinxext import (
    comparisons,
    gallery,
    ledger,
    machines,
    nodes,
    pages,
    record_files,
    roles,
    steady,
)

ROLES = {
    "measured": roles.Measured,
    "machine": roles.MachineFact,
    "claim": roles.ClaimMark,
    "verdict": roles.VerdictMark,
}
DIRECTIVES = {
    "comparison": comparisons.ComparisonTable,
    "headline": comparisons.Headline,
    "machines": machines.Machines,
    "measured-on": machines.MeasuredOn,
    "claims": ledger.Ledger,
    "claims-index": ledger.LedgerIndex,
    "record-files": record_files.RecordFiles,
}


def _settle_record(app: Sphinx, config: Config) -> None:
    """Say for certain which record is shown, so that another choice makes Sphinx read all pages again."""
    try:
        found = shelf(Path(app.srcdir) / config.compile_guide_records, config.compile_guide_record)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    config.compile_guide_record = found.shown.id if found.shown else ""
    for problem in found.broken:
        nodes.warn(problem, "record")


def _outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> Iterable[str]:
    """Return pages that are old for reasons Sphinx can't see: this code changed, or a record or an example came or went."""
    stamp, before = gallery.code_stamp(), getattr(env, "compile_guide_code", None)
    env.compile_guide_code = stamp  # type: ignore[attr-defined]
    if before not in (None, stamp):
        return env.found_docs
    listed = tuple(file.name for file in roles.shelf_of(env, app.config).files)
    examples = cards.all_examples(app.config, Path(app.srcdir))
    noted = nodes.notes(env).items()
    return [page for page, it in noted if it.listed not in (None, listed) or it.examples not in (None, examples)]


def _purge(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    nodes.notes(env).pop(page, None)


def _merge(app: Sphinx, env: BuildEnvironment, pages: set[str], other: BuildEnvironment) -> None:
    nodes.notes(env).update({page: noted for page, noted in nodes.notes(other).items() if page in pages})


def _updated(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Return pages to be written again because a place that they link to, or a page citing them, is new."""
    noted = nodes.notes(env)
    state = {page: (frozenset(n.places), frozenset(n.cites)) for page, n in noted.items() if n.places or n.cites}
    before = getattr(env, "compile_guide_state", None)
    env.compile_guide_state = state  # type: ignore[attr-defined]
    return [] if before in (None, state) else list(noted)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register configuration values, roles, directives and hooks."""
    app.add_config_value("compile_guide_records", "records", "env", str)
    app.add_config_value("compile_guide_record", "", "env", str)
    app.add_config_value("compile_guide_published", "published.toml", "env", str)
    app.add_config_value("compile_guide_copy", "python -m compile_guide copy {name} FOLDER", "env", str)
    steady.setup(app)
    sidebar.setup(app)
    nodes.setup(app)
    drawing.setup(app)
    plain.setup(app)
    head.setup(app)
    collecting.setup(app)
    for name, role in ROLES.items():
        app.add_role(name, role())
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    app.connect("config-inited", _settle_record)
    app.connect("env-get-outdated", _outdated)
    app.connect("env-get-outdated", benched.outdated)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("env-updated", _updated)
    if "sphinx.ext.autodoc" in app.extensions:
        docstrings.setup(app)
    if "sphinx_gallery.gen_gallery" in app.extensions:
        # guide.js filters by tag instead: with buttons, so that a keyboard reaches them
        app.registry.js_files[:] = [file for file in app.registry.js_files if file[0] != "sg-tags.js"]
        app.add_directive("examples", cards.Examples)
        app.connect("doctree-read", pages.mend_page, priority=400)  # before Sphinx collects images
        gallery.setup(app)
    return {"version": __version__, "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
