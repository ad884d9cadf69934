"""The Sphinx extension: it puts numbers from records on pages, with the machine's name beside them.

It serves any project. It deletes nothing and overwrites nothing that it did not write, and it changes no other
extension's output. MLX is imported by none of its modules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

from compile_guide import __version__
from compile_guide.records.record_set import read_folder
from compile_guide.records.schema import RecordError
from compile_guide.sphinxext import comparisons, domain, gallery, machines, nodes, pages, record_files
from compile_guide.sphinxext.roles import MachineFact, Measured

SETTINGS = {
    "compile_guide_records": "records",  # folder of the records, below the sources
    "compile_guide_record": "",  # id of the record to show; empty for the newest
    "compile_guide_copy": "",  # a command for the foot of an example's page, with {name}
}


def _choose_record(app: Sphinx, config: Config) -> None:
    """Say for certain which records there are and which is shown, so that a change of that makes Sphinx read all pages."""
    try:
        found = read_folder(Path(app.srcdir) / config.compile_guide_records, config.compile_guide_record)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    config.compile_guide_record = found.shown.id if found.shown else ""
    config.compile_guide_known = [file.name for file in found.files]
    for problem in found.broken:
        nodes.warn(problem, "record")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register configuration values, roles, directives and hooks."""
    for name, default in SETTINGS.items():
        app.add_config_value(name, default, "env", str)
    app.add_config_value("compile_guide_known", [], "env", list)  # no setting: see _choose_record()
    nodes.setup(app)
    app.add_domain(domain.Places)
    app.add_role("measured", Measured())
    app.add_role("machine", MachineFact())
    app.add_directive("comparison", comparisons.ComparisonTable)
    app.add_directive("machines", machines.Machines)
    app.add_directive("measured-on", machines.MeasuredOn)
    app.add_directive("record-files", record_files.RecordFiles)
    app.add_directive("recorded-result", comparisons.RecordedResult)
    app.add_directive("text-table", comparisons.TextTable)
    app.connect("config-inited", _choose_record)
    app.connect("config-inited", gallery.setup)
    app.connect("doctree-read", pages.complete_page, priority=400)  # before Sphinx collects titles and images
    app.connect("env-updated", domain.pages_to_write)
    app.connect("build-finished", record_files.publish)
    return {"version": __version__, "env_version": 4, "parallel_read_safe": True, "parallel_write_safe": True}
