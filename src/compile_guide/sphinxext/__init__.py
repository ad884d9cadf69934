"""The Sphinx extension: it puts numbers from records on pages, with the machine's name beside them.

It serves any project. It deletes nothing and overwrites nothing that it did not write, and it changes no other
extension's output. MLX is imported by none of its modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError

from compile_guide import __version__
from compile_guide.records.record_set import read_folder
from compile_guide.records.schema import RecordError
from compile_guide.sphinxext import (
    claim_pages,
    comparisons,
    domain,
    gallery,
    machines,
    nodes,
    pages,
    record_files,
    roles,
)
from compile_guide.sphinxext.listings import outdated_pages
from compile_guide.sphinxext.scraper import RecordedResult, TextTable

ROLES = {
    "measured": roles.Measured,
    "machine": roles.MachineFact,
    "claim": roles.ClaimMark,
    "verdict": roles.VerdictMark,
}
DIRECTIVES = {
    "comparison": comparisons.ComparisonTable,
    "machines": machines.Machines,
    "measured-on": machines.MeasuredOn,
    "claims": claim_pages.Ledger,
    "record-files": record_files.RecordFiles,
    "recorded-result": RecordedResult,
    "text-table": TextTable,
}
SETTINGS = {
    "compile_guide_records": "records",  # folder of the records, below the sources
    "compile_guide_record": "",  # id of the record to show; empty for the newest
    "compile_guide_claims": "",  # folder of the claims, below the sources
    "compile_guide_copy": "",  # a command for the foot of an example's page, with {name}
}


def _choose_record(app: Sphinx, config: Config) -> None:
    """Say for certain which record is shown, so that another choice makes Sphinx read all pages again."""
    try:
        found = read_folder(Path(app.srcdir) / config.compile_guide_records, config.compile_guide_record)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    config.compile_guide_record = found.shown.id if found.shown else ""
    for problem in found.broken:
        nodes.warn(problem, "record")


def _updated(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    return domain.places(env).pages_to_write()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register configuration values, roles, directives and hooks."""
    for name, default in SETTINGS.items():
        app.add_config_value(name, default, "env", str)
    nodes.setup(app)
    app.add_domain(domain.Places)
    app.add_post_transform(domain.ResolveCitations)
    for name, role in ROLES.items():
        app.add_role(name, role())
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    app.connect("config-inited", _choose_record)
    app.connect("config-inited", roles.known_claims)  # to say at once that there is no such folder
    app.connect("config-inited", gallery.setup)
    app.connect("env-get-outdated", outdated_pages)
    app.connect("doctree-read", pages.complete_page, priority=400)  # before Sphinx collects titles and images
    app.connect("env-updated", _updated)
    app.connect("build-finished", record_files.publish)
    return {"version": __version__, "env_version": 3, "parallel_read_safe": True, "parallel_write_safe": True}
