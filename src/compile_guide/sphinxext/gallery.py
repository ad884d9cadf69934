"""sphinx-gallery with replayed timings: each example starts from a clean state, and its timings come from the record.

``compare()`` in an example returns what the record holds (:data:`compile_guide.timing.REPLAY`). sphinx-gallery runs a
script again only when the script has changed, so a changed record or helper makes it run all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from compile_guide._prerequisites import mlx_fault
from compile_guide.records.record_set import RecordSet
from compile_guide.sphinxext import watchdog
from compile_guide.sphinxext.nodes import warn
from compile_guide.sphinxext.roles import as_list, record_set
from compile_guide.sphinxext.scraper import scrape
from compile_guide.timing import REPLAY, SINK

PACKAGE = Path(__file__).parents[1]
NOTE = ".compile-guide"
"""File in a folder of generated pages: a digest of what they were made from, or nothing while they are being made."""
OURS = {"image_scrapers": f"{scrape.__module__}.{scrape.__name__}", "reset_modules": f"{__name__}.reset"}
"""What is added to sphinx-gallery's settings; by name, because Sphinx can't keep functions in its settings."""
DEVICE: list[Any] = []
"""MLX's default device and stream before any example could change them."""


def gallery_conf(topics: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return ``sphinx_gallery_conf`` for examples in ``gallery/``, topics in the order given; ``more`` replaces settings."""
    return {
        "examples_dirs": "../gallery",
        "gallery_dirs": "gallery",
        "filename_pattern": r"\.py$",
        "ignore_pattern": r"^_",
        "subsection_order": [*(f"../gallery/{topic}" for topic in topics), "*"],
        "within_subsection_order": "FileNameSortKey",
        "backreferences_dir": "gallery/backreferences",
        "remove_config_comments": True,
        "write_computation_times": False,
        "min_reported_time": 1e9,
        "show_signature": False,
        **more,
    }


def reset(_gallery_conf: dict[str, Any], _file: str | None) -> None:
    """Undo what an example may have left behind: MLX's switches, device, stream and seed (one of ``reset_modules``)."""
    watchdog.watch_examples()  # here, because sphinx-gallery's workers start with nothing of ours
    random.seed(0)
    os.environ.pop("MLX_DISABLE_COMPILE", None)
    if mx := sys.modules.get("mlx.core"):
        DEVICE[:] = DEVICE or [mx.default_device(), mx.default_stream(mx.default_device())]
        mx.enable_compile()
        mx.set_default_device(DEVICE[0])
        mx.set_default_stream(DEVICE[1])
        mx.random.seed(0)


def generate(app: Sphinx) -> None:
    """Let sphinx-gallery make its pages while timings are replayed."""
    from sphinx_gallery.gen_gallery import generate_gallery_rst

    conf = app.config.sphinx_gallery_conf
    if not any((Path(app.srcdir) / folder).is_dir() for folder in as_list(conf["examples_dirs"])):
        generate_gallery_rst(app)  # it says so
        return
    notes, digest = _notes(app), fingerprint(app)
    if any(not note.exists() or note.read_text(encoding="utf-8") != digest for note in notes):
        conf["run_stale_examples"] = True
    for note in notes:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text("", encoding="utf-8")
    for setting, ours in OURS.items():
        conf[setting] = (*as_list(conf[setting]), ours)
    with _replaying(app):
        generate_gallery_rst(app)
    watchdog.check_threads()
    if not conf["failing_examples"]:
        for note in notes:
            note.write_text(digest, encoding="utf-8")


def _notes(app: Sphinx) -> list[Path]:
    folders = as_list(app.config.sphinx_gallery_conf["gallery_dirs"])
    return [Path(app.srcdir) / folder / NOTE for folder in folders]


def fingerprint(app: Sphinx) -> str:
    """Return a digest of what shapes the examples' pages beside their scripts: the record, this package, MLX.

    Raises:
        SystemExit: MLX is missing or too old.
    """
    if fault := mlx_fault():
        raise SystemExit(f"compile_guide: {fault}")  # of its own errors Sphinx makes a page-long report
    digest = hashlib.sha256(version("mlx").encode())
    if (file := record_set(app.env, app.config).shown_file) is not None:
        digest.update(file.read_bytes())
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _replaying(app: Sphinx) -> Iterator[None]:
    """Set what :func:`compile_guide.timing.compare` looks at, and a private folder for MLX's kernels."""
    kernels = Path(app.doctreedir) / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    before, record = dict(os.environ), _record_to_replay(app, record_set(app.env, app.config))
    # MLX's CPU backend loads whatever kernel it finds in the temporary folder, so that is one of our own.
    os.environ.update({REPLAY: str(record.resolve()), "TMPDIR": str(kernels.resolve())})
    os.environ.pop(SINK, None)
    tempfile.tempdir = None  # Python remembers the folder that it found first
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = None


def _record_to_replay(app: Sphinx, records: RecordSet) -> Path:
    """Return the file of the record shown; without one, a file without comparisons, and a warning."""
    if records.shown_file is not None:
        return records.shown_file
    wrong = "; ".join(
        ["there is no record, so no example shows a timing: 'compile-guide record' makes one", *records.broken]
    )
    warn(wrong, "record")
    nothing = Path(app.doctreedir) / "no-record.json"
    nothing.write_text(json.dumps({"comparisons": []}), encoding="utf-8")
    return nothing


def setup(app: Sphinx) -> None:
    """Take the place of sphinx-gallery's own hook, which is then called from :func:`generate`."""
    from sphinx_gallery import gen_gallery

    replace_listener(app, gen_gallery.generate_gallery_rst, generate)


def replace_listener(app: Sphinx, old: Any, new: Any) -> None:
    """Put a function in the place of one that listens to ``builder-inited``, at its priority."""
    for listener in list(app.events.listeners["builder-inited"]):
        if listener.handler is old:
            app.disconnect(listener.id)
            app.connect("builder-inited", new, priority=listener.priority)
