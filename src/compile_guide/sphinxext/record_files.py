"""The records as files beside the pages: each record that was accepted, from the bytes that were checked, and their schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from compile_guide._files import write_atomically
from compile_guide.records.schema import json_schema
from compile_guide.sphinxext.domain import has_files, place_link
from compile_guide.sphinxext.nodes import warn
from compile_guide.sphinxext.roles import noted_records, record_set

FOLDER = "records"
WROTE = "compile-guide-records.json"
"""File beside the doctrees: which of the records in the output folder are ours."""


class RecordFiles(SphinxDirective):
    """``record-files``: links to the records as files, and to their schema, which are then put beside the pages."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.env.metadata[self.env.docname]["compile_guide_publish"] = "records"
        names = [f"{record.id}.json" for record in noted_records(self.env, self.config).records] + ["schema.json"]
        links = [place_link(f"{FOLDER}/{name}", nodes.literal(name, name), "file") for name in names]
        return [nodes.bullet_list("", *(nodes.list_item("", nodes.paragraph("", "", link)) for link in links))]


def publish(app: Sphinx, error: Exception | None) -> None:
    """Write the records and their schema, if a page links to them; delete those of ours that are no records any more."""
    if error is None and has_files(app.builder):
        wanted = any("compile_guide_publish" in noted for noted in app.env.metadata.values())
        write_ours(app, _files(app) if wanted else {}, WROTE)


def write_ours(app: Sphinx, wanted: Mapping[str, bytes], note_name: str) -> None:
    """Write files into the output folder, and delete those that an earlier build wrote in the same way.

    The file ``note_name`` beside the doctrees has digests of what we wrote. Another file that stands there is left alone,
    with a warning if one of ours should.
    """
    note, out = Path(app.doctreedir) / note_name, Path(app.outdir)
    noted = _noted(note)
    known = {name: [*noted.get(name, ()), _digest(raw)] for name, raw in wanted.items()}
    ours = {name: raw for name, raw in wanted.items() if _is_ours(out / name, known[name])}
    for name in sorted(wanted.keys() - ours.keys()):
        warn(f"{out / name} is somebody else's file, so nothing is written there: delete it to have ours", "file")
    _write_note(note, noted | {name: known[name] for name in ours})  # first: this build may be killed
    for name in noted.keys() - wanted.keys():
        if _is_ours(out / name, noted[name]):
            (out / name).unlink(missing_ok=True)
    for name, raw in ours.items():
        if not (file := out / name).exists() or file.read_bytes() != raw:
            file.parent.mkdir(exist_ok=True)
            write_atomically(raw, file)
    _write_note(note, {name: [_digest(raw)] for name, raw in ours.items()})


def _is_ours(file: Path, digests: Iterable[str]) -> bool:
    return not file.exists() or (file.is_file() and _digest(file.read_bytes()) in digests)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _write_note(note: Path, known: Mapping[str, list[str]]) -> None:
    write_atomically(json.dumps(known, indent=1, sort_keys=True).encode(), note)


def _files(app: Sphinx) -> dict[str, bytes]:
    found = record_set(app.env, app.config)
    files = {f"{id}.json": raw for id, raw in found.accepted.items()} | {"schema.json": schema()}
    return {f"{FOLDER}/{name}": raw for name, raw in files.items()}


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
