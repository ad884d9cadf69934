"""sphinx-gallery with replayed timings: each example starts from a clean state, and its timings come from the record.

``compare()`` in an example returns what the record holds (:data:`compile_guide.timing.REPLAY`). sphinx-gallery runs a
script again only when the script has changed, so a changed record or helper makes it run those that measure. Of other
scripts, and of the project's settings for sphinx-gallery, nothing is changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from compile_guide._prerequisites import mlx_fault
from compile_guide.examples import measures
from compile_guide.sphinxext import downloads, watchdog
from compile_guide.sphinxext.nodes import warn
from compile_guide.sphinxext.pages import galleries
from compile_guide.sphinxext.roles import as_list, record_set
from compile_guide.sphinxext.scraper import scrape
from compile_guide.timing import REPLAY, SINK

PACKAGE = Path(__file__).parents[1]
NOTE = ".compile-guide"
"""File in a folder of generated pages: a digest of what they were made from, or nothing while they are being made."""
SCRAPER = f"{scrape.__module__}.{scrape.__name__}"
"""What is added to sphinx-gallery's settings; by name, because Sphinx can't keep functions in its settings."""


def gallery_conf(topics: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return ``sphinx_gallery_conf`` for examples in ``gallery/``, topics in the order given; ``more`` replaces settings."""
    folders = as_list(more.get("examples_dirs", "../gallery"))
    return {
        "examples_dirs": "../gallery",
        "gallery_dirs": "gallery",
        "filename_pattern": r"\.py$",
        "ignore_pattern": r"^_",
        "subsection_order": [*(f"{folder}/{topic}" for folder in folders for topic in topics), "*"],
        "within_subsection_order": "FileNameSortKey",
        "backreferences_dir": f"{as_list(more.get('gallery_dirs', 'gallery'))[0]}/backreferences",
        "remove_config_comments": True,
        "write_computation_times": False,
        "min_reported_time": 1e9,
        "show_signature": False,
        **more,
    }


def generate(app: Sphinx) -> None:
    """Let sphinx-gallery make its pages while timings are replayed."""
    from sphinx_gallery.gen_gallery import generate_gallery_rst

    conf, measuring = app.config.sphinx_gallery_conf, measuring_scripts(app)
    digest = fingerprint(app) if measuring else ""
    for folder, copies in measuring.items():
        _run_again(folder / NOTE, copies, digest)
    conf["image_scrapers"] = (*as_list(conf["image_scrapers"]), SCRAPER)
    record = _record_to_replay(app, bool(measuring)).resolve()
    env = {REPLAY: str(record), SINK: None, "MLX_DISABLE_COMPILE": None}
    os.environ[REPLAY] = str(record)  # for a script that sphinx-gallery runs in this process, or in a worker
    try:
        with watchdog.examples_apart(Path(app.doctreedir, "kernels", "mlx"), env):
            generate_gallery_rst(app)
    finally:
        os.environ.pop(REPLAY, None)
    downloads.complete(app)
    for folder in measuring:
        (folder / NOTE).write_text(digest, encoding="utf-8")


def measuring_scripts(app: Sphinx) -> dict[Path, list[Path]]:
    """Return the scripts that measure and are executed, by the folder of their pages: the copies that lie there."""
    from sphinx_gallery.gen_rst import executable_script

    conf, found = app.config.sphinx_gallery_conf, dict[Path, list[Path]]()
    for scripts, made in galleries(app):
        for script in (*scripts.glob("*.py"), *scripts.glob("*/*.py")):
            if executable_script(os.path.normpath(script), conf) and measures(script):
                found.setdefault(made, []).append(made / script.relative_to(scripts))
    return found


def _run_again(note: Path, copies: list[Path], digest: str) -> None:
    """Have scripts run again unless the note says that they ran with this digest: sphinx-gallery looks at theirs alone."""
    if not note.exists() or note.read_bytes() != digest.encode():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text("", encoding="utf-8")
        for copy in copies:
            copy.with_name(f"{copy.name}.md5").unlink(missing_ok=True)


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


def _record_to_replay(app: Sphinx, measuring: bool) -> Path:
    """Return the file of the record shown; without one, a file without comparisons, and a warning where one is missed."""
    records = record_set(app.env, app.config)
    if records.shown_file is not None:
        return records.shown_file
    if measuring:
        none = "there is no record, so no example shows a timing: 'compile-guide record' makes one"
        warn("; ".join([none, *records.broken]), "record")
    nothing = Path(app.doctreedir) / "no-record.json"
    nothing.write_text(json.dumps({"comparisons": []}), encoding="utf-8")
    return nothing


def setup(app: Sphinx, _config: Config) -> None:
    """Take the place of sphinx-gallery's own hook, which :func:`generate` calls, when all extensions are there."""
    if "sphinx_gallery.gen_gallery" in app.extensions:
        from sphinx_gallery import gen_gallery

        replace_listener(app, gen_gallery.generate_gallery_rst, generate)


def replace_listener(app: Sphinx, old: Any, new: Any) -> None:
    """Put a function in the place of one that listens to ``builder-inited``, at its priority."""
    for listener in list(app.events.listeners["builder-inited"]):
        if listener.handler is old:
            app.disconnect(listener.id)
            app.connect("builder-inited", new, priority=listener.priority)
