"""sphinx-gallery with replayed timings: each example starts from a clean state, and its timings come from the record.

sphinx-gallery runs a script again only when the script has changed, so a changed record or helper makes it run those
that measure. Of other scripts, and of the project's settings for sphinx-gallery, nothing is changed.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from compile_guide import timing
from compile_guide._prerequisites import mlx_fault
from compile_guide._process import KERNELS, kernel_cache
from compile_guide.comparison import Comparison, ComparisonTable
from compile_guide.examples import measures
from compile_guide.formatting import Table
from compile_guide.records.record_set import NOT_YET
from compile_guide.sphinxext import downloads, watchdog
from compile_guide.sphinxext.nodes import warn
from compile_guide.sphinxext.roles import as_list, galleries, record_set
from compile_guide.timing import REPLAY, SINK
from compile_guide.tracing import Watched

PACKAGE = Path(__file__).parents[1]
NOTE = ".compile-guide"
"""File in a folder of generated pages: a digest of what they were made from, or nothing while they are being made."""
SCRAPER = f"{__name__}.scrape"
"""What is added to sphinx-gallery's settings; by name, because Sphinx can't keep functions in its settings."""
LAST = "___"
"""The global under which sphinx-gallery keeps the value of a block's last expression."""


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


def generate(app: Sphinx, world: type[watchdog.World] | None = None) -> None:
    """Let sphinx-gallery make its pages while timings are replayed, each example in a ``world`` of its own."""
    from sphinx_gallery.gen_gallery import generate_gallery_rst

    conf, measuring = app.config.sphinx_gallery_conf, measuring_scripts(app)
    digest = fingerprint(app) if measuring else ""
    for folder, copies in measuring.items():
        note = folder / NOTE
        if not note.exists() or note.read_bytes() != digest.encode():
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text("", encoding="utf-8")
            for copy in copies:  # sphinx-gallery looks at this digest alone
                copy.with_name(f"{copy.name}.md5").unlink(missing_ok=True)
    conf["image_scrapers"] = (*as_list(conf["image_scrapers"]), SCRAPER)
    record = str(_record_to_replay(app, bool(measuring)).resolve())
    os.environ[REPLAY] = record  # for a script that sphinx-gallery runs in this process, or in a worker
    env = {REPLAY: record, SINK: None, "MLX_DISABLE_COMPILE": None}
    try:
        recorded = kernel_cache(app.confdir) if (app.confdir / KERNELS).is_dir() else None
        with watchdog.examples_apart(recorded or Path(app.doctreedir, "kernels"), env, world):
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
    for scripts, made in galleries(app, app.config):
        for script in (*scripts.glob("*.py"), *scripts.glob("*/*.py")):
            if executable_script(os.path.normpath(script), conf) and measures(script):
                found.setdefault(made, []).append(made / script.relative_to(scripts))
    return found


def fingerprint(app: Sphinx) -> str:
    """Return a digest of what shapes the examples' pages beside their scripts: the record, this package, MLX."""
    if fault := mlx_fault():
        raise SystemExit(f"compile_guide: {fault}")  # of its own errors Sphinx makes a page-long report
    record = record_set(app.env, app.config).shown_file
    files = [*([record] if record else []), *sorted(PACKAGE.rglob("*.py"))]
    return hashlib.sha256(version("mlx").encode() + b"".join(file.read_bytes() for file in files)).hexdigest()


def _record_to_replay(app: Sphinx, measuring: bool) -> Path:
    """Return the file of the record shown; without one, a file without comparisons, and a warning where one is missed."""
    records = record_set(app.env, app.config)
    if records.shown_file is not None:
        return records.shown_file
    if measuring:
        none = "there is no record, so no example shows a timing: 'compile-guide record' makes one"
        warn("; ".join([none, *records.broken]), "record")
    nothing = Path(app.doctreedir) / "no-record.json"
    nothing.write_text('{"comparisons": []}', encoding="utf-8")
    return nothing


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the directive for what the block ended in, if that is ours; sphinx-gallery then captures nothing of it.

    It is an image scraper. Comparisons become ``recorded-result``, another table of ours ``text-table``.
    """
    note_unmeasured(gallery_conf, Path(block_vars["target_file"]))
    names = block_vars.get("example_globals") or block_vars["fake_main"].__dict__
    shown = _directive(value := names.get(LAST))
    if not shown or not _is_shown(value, block.content, block_vars["file_conf"], gallery_conf):
        return ""
    names[LAST] = None
    return shown


def _is_shown(value: Any, code: str, file_conf: dict[str, Any], gallery_conf: dict[str, Any]) -> bool:
    """Return whether a block ends in this value, and by the author's settings sphinx-gallery would show its HTML."""
    from sphinx_gallery.py_source_parser import extract_file_config

    for_file = file_conf.get("capture_repr", gallery_conf["capture_repr"])
    wanted = extract_file_config(code).get("capture_repr_block", for_file)
    if ignored := gallery_conf["ignore_repr_types"]:
        wanted = () if re.search(ignored, str(type(value))) else wanted
    with contextlib.suppress(SyntaxError, IndexError):  # a block that failed is scraped too, and one of comments alone
        return tuple(wanted)[:1] == ("_repr_html_",) and isinstance(ast.parse(code).body[-1], ast.Expr)
    return False


def _directive(value: Any) -> str:
    if isinstance(value, Comparison):
        return f"\n.. recorded-result:: {value.name}\n   :facts:\n\n"
    if isinstance(value, ComparisonTable) and value.comparisons:
        return f"\n.. recorded-result:: {' '.join(one.name for one in value.comparisons)}\n\n"
    if isinstance(value, ComparisonTable) or not isinstance(value, Table | Watched):
        return ""
    title, rows = value._table() if isinstance(value, Watched) else ("", value.rows)
    header = ("trace", "reason") if isinstance(value, Watched) else value.header
    return f"\n.. text-table::\n\n   {json.dumps({'caption': title, 'rows': [header, *rows]})}\n\n"


def note_unmeasured(gallery_conf: dict[str, Any], target: Path) -> None:
    """Add the names that the example asked for in vain, so that pages which cite them know them for real ones."""
    if timing.ASKED:
        made = [Path(gallery_conf["src_dir"], folder) for folder in as_list(gallery_conf["gallery_dirs"])]
        file = next(folder for folder in made if target.is_relative_to(folder)) / NOT_YET
        known = set(file.read_text(encoding="utf-8", errors="replace").split()) if file.exists() else set()
        with file.open("a", encoding="utf-8") as notes:  # sphinx-gallery's workers may add theirs at the same time
            notes.write("".join(f"\n{name}" for name in sorted(timing.ASKED - known)))
        timing.ASKED.clear()


def setup(app: Sphinx, _config: Config) -> None:
    """Take the place of sphinx-gallery's own hook, which :func:`generate` calls, when all extensions are there."""
    if "sphinx_gallery.gen_gallery" in app.extensions:
        take_over(app, generate)


def take_over(app: Sphinx, generate: Any) -> None:
    """Put a function in the place of sphinx-gallery's own, which listens to ``builder-inited``, at its priority."""
    from sphinx_gallery.gen_gallery import generate_gallery_rst

    for listener in list(app.events.listeners["builder-inited"]):
        if listener.handler is generate_gallery_rst:
            app.disconnect(listener.id)
            app.connect("builder-inited", generate, priority=listener.priority)
