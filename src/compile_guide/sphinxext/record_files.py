"""The records as files beside the pages: each record that was accepted, from the bytes that were checked, and their schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from compile_guide._files import write_atomically
from compile_guide.records.schema import json_schema
from compile_guide.sphinxext.domain import has_files, place_link
from compile_guide.sphinxext.machines import RecordsDirective
from compile_guide.sphinxext.nodes import warn
from compile_guide.sphinxext.roles import record_set

PUBLISH = "compile_guide_publish"
"""Where Sphinx keeps, with a page's other metadata, that the page links to records as files."""
WROTE = "compile-guide-records.json"
"""File beside the doctrees: which of the records in the output folder are ours."""


class RecordFiles(RecordsDirective):
    """``record-files``: links to the records as files, and to their schema, which are then put beside the pages."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.env.metadata[self.env.docname][PUBLISH] = "records"
        names = [*(f"{record.id}.json" for record in self.records().records), "schema.json"]
        links = [place_link(f"records/{name}", nodes.literal(name, name), "file") for name in names]
        return [nodes.bullet_list("", *(nodes.list_item("", nodes.paragraph("", "", link)) for link in links))]


def publish(app: Sphinx, error: Exception | None) -> None:
    """Write the records and their schema, if a page links to them; delete those of ours that are no records any more."""
    if error is None and has_files(app.builder):
        files = {f"records/{id}.json": raw for id, raw in record_set(app.env, app.config).accepted.items()}
        linked = any(PUBLISH in noted for noted in app.env.metadata.values())
        write_ours(app, files | {"records/schema.json": schema()} if linked else {}, WROTE)


def write_ours(app: Sphinx, wanted: Mapping[str, bytes], note_name: str) -> None:
    """Write files into the output folder, and delete those that an earlier build wrote in the same way.

    The file ``note_name`` beside the doctrees has digests of what we wrote. Another file that stands there is left alone,
    with a warning if one of ours should.
    """
    note, out = Path(app.doctreedir) / note_name, Path(app.outdir)
    noted, new = _noted(note), {name: [sha256(raw).hexdigest()] for name, raw in wanted.items()}
    ours: dict[str, list[str]] = {}
    for name in sorted(noted.keys() | new.keys()):
        file, digests = out / name, noted.get(name, []) + new.get(name, [])
        if not file.exists() or (file.is_file() and sha256(file.read_bytes()).hexdigest() in digests):
            ours[name] = digests
        elif name in wanted:
            warn(f"{file} is somebody else's file, so nothing is written there: delete it to have ours", "file")
    write_atomically(json.dumps(ours).encode(), note)  # first: this build may be killed
    for file, raw in ((out / name, wanted.get(name)) for name in ours):
        if raw is None:
            file.unlink(missing_ok=True)
        elif not file.exists() or file.read_bytes() != raw:
            file.parent.mkdir(exist_ok=True)
            write_atomically(raw, file)
    write_atomically(json.dumps({name: new[name] for name in ours if name in new}, indent=1).encode(), note)


def _noted(note: Path) -> dict[str, list[str]]:
    try:
        return {str(name): list(map(str, digests)) for name, digests in json.loads(note.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def schema() -> bytes:
    """Return the JSON Schema of a record as a file for programs that don't have this package."""
    named = json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    text = json.dumps(named, indent=1, sort_keys=True)
    return text.replace("\\\\Z", "$").encode() + b"\n"  # the end of a text is \Z in Python alone
