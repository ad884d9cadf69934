"""sphinx-gallery as this guide uses it: replayed timings, clean state, no page of yesterday's."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _ext.figures import style
from sphinx.application import Sphinx

from compile_guide._prerequisites import mlx_fault
from compile_guide.records.record_set import NOT_YET, shelf
from compile_guide.sphinxext import standing
from compile_guide.sphinxext.downloads import rewrite_downloads
from compile_guide.sphinxext.watchdog import GalleryError, check_threads, watch_examples
from compile_guide.timing import ASKED, REPLAY, SINK

PACKAGE = Path(__file__).parents[1]
MARKER = ".generated"
"""File in the generated folder: what its pages were made from, or nothing while they are being made."""
DEVICE: list[Any] = []
"""MLX's default device before any example could change it."""


def gallery_conf(topics: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return ``sphinx_gallery_conf``: the examples of ``gallery/``, topics in the order given."""
    return {
        "examples_dirs": "../gallery",
        "gallery_dirs": "gallery",
        "filename_pattern": r"\.py$",
        "ignore_pattern": r"^_",
        "subsection_order": [*(f"../gallery/{topic}" for topic in topics), "*"],
        "within_subsection_order": "FileNameSortKey",
        "backreferences_dir": "gallery/backreferences",
        "doc_module": ("compile_guide",),
        "image_scrapers": ("_ext.figures.scrape",),
        "reset_modules": ("matplotlib", "compile_guide.sphinxext.gallery.reset", "_ext.collecting.set_aside"),
        "reset_modules_order": "both",
        "capture_repr": ("_repr_html_",),
        "remove_config_comments": True,
        "write_computation_times": False,
        "min_reported_time": 1e9,
        "show_signature": False,
        "css": (),
        **more,
    }


def reset(_gallery_conf: dict[str, Any], _file: str | None) -> None:
    """Undo what an example may have left behind: MLX's switches, device, stream, seed; the figures' style."""
    from matplotlib import pyplot

    settings: Any = pyplot.rcParams
    settings.update(style())
    random.seed(0)
    os.environ.pop("MLX_DISABLE_COMPILE", None)
    if mx := sys.modules.get("mlx.core"):
        DEVICE[:] = DEVICE or [mx.default_device(), mx.default_stream(mx.default_device())]
        mx.enable_compile()
        mx.set_default_device(DEVICE[0])
        mx.set_default_stream(DEVICE[1])
        mx.random.seed(0)


class Replay:
    """What happens around sphinx-gallery's own work in one build."""

    def __init__(self, app: Sphinx, record: Path) -> None:
        self.app, self.record, self.before = app, record, dict(os.environ)
        self.folder = Path(app.srcdir) / app.config.sphinx_gallery_conf["gallery_dirs"]
        self.stamp, self.digest = fingerprint(app, record), standing.digest_of(app)

    def is_done(self) -> bool:
        """Say whether the last build made the pages from all that there is now, and nobody has touched them."""
        marker, again = self.folder / MARKER, self.app.config.sphinx_gallery_conf["run_stale_examples"]
        same = marker.exists() and marker.read_text(encoding="utf-8") == self.stamp
        return same and not again and standing.made_from(self.folder) == self.digest and standing.is_whole(self.folder)

    def start(self) -> None:
        """Clear out pages that another state made, forbid exits, and let timings come from the record."""
        clear_unless(self.folder, self.stamp if standing.is_whole(self.folder) else "touched")
        (self.folder / MARKER).write_text("", encoding="utf-8")
        clear_figures(Path(self.app.srcdir) / self.app.config.sphinx_gallery_conf["examples_dirs"], self.folder)
        watch_examples()
        kernels = Path(self.app.doctreedir) / "kernels"
        kernels.mkdir(parents=True, exist_ok=True)
        # MLX's CPU backend loads whatever kernel it finds in the temp folder, so that is one of our own.
        os.environ.update({REPLAY: str(self.record.resolve()), "TMPDIR": str(kernels.resolve())})
        os.environ.pop(SINK, None)

    def stop(self, warned: bool) -> None:
        """Put the environment back; when every example ran well, say what the pages were made from.

        Where a warning fails the build, it must fail the next one, too: then the examples run again.
        """
        for name in (REPLAY, SINK, "TMPDIR"):
            if name in self.before:
                os.environ[name] = self.before[name]
            else:
                os.environ.pop(name, None)
        note_unmeasured(self.folder)
        tempfile.tempdir = None  # Python remembers the folder that it found first
        check_threads()
        rewrite_downloads(self.folder)
        if not self.app.config.sphinx_gallery_conf["failing_examples"] and not (warned and self.app._fail_on_warnings):
            (self.folder / MARKER).write_text(self.stamp, encoding="utf-8")
            standing.note(self.folder, "" if warned else self.digest)


def note_unmeasured(folder: Path) -> None:
    """Add the names that the examples asked for in vain, so that pages which cite them know them for real ones."""
    file = folder / NOT_YET
    known = set(file.read_text(encoding="utf-8").split()) if file.exists() else set()
    file.write_text("\n".join(sorted(known | ASKED)), encoding="utf-8")
    ASKED.clear()


def clear_unless(folder: Path, stamp: str) -> None:
    """Delete generated pages unless they were made, to the end, from what ``stamp`` stands for.

    sphinx-gallery runs an example again only when its script changed: a changed record, helper or setting
    leaves the old page, a deleted script leaves its page, and a build killed at the wrong moment leaves one
    without thumbnail, which fails every later build.
    """
    marker = folder / MARKER
    if not marker.exists() and any(folder.glob("*")):
        raise GalleryError(f"{folder} is where generated pages go, but holds something else: move it away")
    folder.mkdir(parents=True, exist_ok=True)
    if marker.exists() and marker.read_text(encoding="utf-8") != stamp:
        # The marker stays to the last: without it, what is left would look like somebody else's files.
        marker.write_text("", encoding="utf-8")
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != marker:
                path.unlink()


def clear_figures(examples: Path, folder: Path) -> None:
    """Delete the generated figures of scripts that have changed: an example may have fewer of them now."""
    for script in examples.glob("*/*.py"):
        made = folder / script.parent.name
        copy = made / script.name
        if copy.exists() and copy.read_bytes() != script.read_bytes():
            for figure in made.glob(f"images/**/sphx_glr_{script.stem}_*"):
                figure.unlink()


def fingerprint(app: Sphinx, record: Path) -> str:
    """Return a digest of all that shapes the pages but the scripts' text, which sphinx-gallery watches."""
    digest = hashlib.sha256(record.read_bytes())
    for part in _shaped_by(app):
        digest.update(part.encode())
    return digest.hexdigest()


def _shaped_by(app: Sphinx) -> Iterator[str]:
    yield code_stamp()
    yield (Path(app.confdir) / "conf.py").read_text(encoding="utf-8")
    yield from (version(name) for name in ("mlx", "sphinx", "sphinx-gallery", "matplotlib", "pygments"))
    examples = Path(app.srcdir) / app.config.sphinx_gallery_conf["examples_dirs"]
    yield from (str(file.relative_to(examples)) for file in sorted(examples.glob("*/*.py")))


def code_stamp() -> str:
    """Return a digest of this package's source."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _make(app: Sphinx) -> None:
    """Let sphinx-gallery make its pages, the timings replayed, unless they stand as the last build left them."""
    from sphinx_gallery import scrapers
    from sphinx_gallery.gen_gallery import generate_gallery_rst

    conf = app.config.sphinx_gallery_conf
    examples = Path(app.srcdir) / conf["examples_dirs"]
    if not examples.is_dir():
        generate_gallery_rst(app)  # it says so
        return
    replay, before = Replay(app, _record_shown(app)), app._warncount
    if replay.is_done():
        conf["stale_examples"] = [str(file) for file in examples.glob("*/*.py")]  # as it calls what it needn't run
        return
    scrapers._import_matplotlib()
    replay.start()
    generate_gallery_rst(app)
    replay.stop(warned=app._warncount > before)


def _record_shown(app: Sphinx) -> Path:
    folder = Path(app.srcdir) / app.config.compile_guide_records
    found = shelf(folder, app.config.compile_guide_record)
    if found.shown_file is None:
        wrong = "; ".join(["there is no record to replay: make one with 'nox -s docs'", *found.broken])
        raise GalleryError(wrong)
    if fault := mlx_fault():
        raise SystemExit(f"compile_guide: {fault}")  # of its own errors Sphinx makes a page-long report
    return found.shown_file


def setup(app: Sphinx) -> None:
    """Take the place of sphinx-gallery's own hook: it is called from here, or not at all.

    It also sets matplotlib up as soon as it has read its settings, which takes a third of a build without a change: that
    waits until there is an example to run.
    """
    from sphinx_gallery import gen_gallery

    for listener in app.events.listeners["builder-inited"]:
        if listener.handler is gen_gallery.generate_gallery_rst:
            app.disconnect(listener.id)
    gen_gallery._import_matplotlib = lambda: None
    app.connect("builder-inited", _make)
