"""A site is whole or it isn't: a build that broke off is never taken for one that ended, nor built upon.

Sphinx remembers a page as read before it writes it. A build that is killed in between leaves pages that are old or cut
off, and every later build takes them for good. With ``-W`` a page that is warned of isn't read again either: the second
build passes. So a build says first that it has begun, and last that it has ended; after one that didn't end, or ended
with warnings that are errors, the next begins anew.
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.config import Config

from compile_guide._lock import LockError, hold

STATE = "compile-guide.json"
"""File beside the doctrees: how the build ended that made them, and which folders it made."""
HELD: dict[Path, TextIO] = {}
"""Locks of this process, by folder: an earlier build of the same process is over, whether or not it said so."""


def _begin(app: Sphinx, config: Config) -> None:
    """Take the checkout's lock; clear out what a build left that broke off; say that this one has begun."""
    if sys.getfilesystemencoding() != "utf-8":  # else pages are read, and paths written, as ASCII
        raise SystemExit("compile_guide: Python works in ASCII here, and pages are UTF-8: set PYTHONUTF8=1")
    _lock(Path(app.confdir))
    out, doctrees = Path(app.outdir), Path(app.doctreedir)
    before = read_state(doctrees)
    made = before["made"] if before.get("out") == str(out) else _is_new(out, doctrees)
    broke_off = not before.get("ended") and any(doctrees.glob("*"))
    if broke_off:
        if made:
            _empty(out, keep=doctrees)
        _empty(doctrees, keep=doctrees / STATE)
    elif made:  # each build fills _static, and none empties it
        app.connect("build-finished", partial(_sweep, _times(out / "_static")), priority=900)
    _write_state(doctrees, ended=False, made=made, out=str(out))


def _lock(folder: Path) -> None:
    if folder in HELD:
        HELD.pop(folder).close()
    try:
        HELD[folder] = hold(folder, "building the site")
    except LockError as error:
        raise SystemExit(f"compile_guide: {error}") from None  # of its own errors Sphinx makes a page-long report


def _empty(folder: Path, keep: Path) -> None:
    """Delete what a folder holds, but for ``keep`` and the folders that lead there."""
    for path in folder.glob("*"):
        if path.is_dir() and not path.is_symlink():
            if path != keep and path in keep.parents:
                _empty(path, keep)
            elif path != keep:
                shutil.rmtree(path)
        elif path != keep:
            path.unlink()


def _times(folder: Path) -> dict[Path, int]:
    """Return when each file below a folder was changed last, by its path within."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def _sweep(before: dict[Path, int], app: Sphinx, exception: Exception | None) -> None:
    """Delete the static files of an earlier build that this one has not made.

    At the end and one by one: a page that is reloaded while the site is built again would else have no style. A file
    that is the same as before isn't written again: so what a build makes is seen by filling an empty folder.
    """
    if exception is not None or not before or not isinstance(app.builder, StandaloneHTMLBuilder):
        return
    static = app.builder._static_dir
    with TemporaryDirectory() as empty:
        app.builder._static_dir = Path(empty)
        app.builder.copy_static_files()
        app.builder._static_dir = static
        made = set(_times(Path(empty)))
    now = _times(static)
    for path in before.keys() - made:
        if now.get(path) == before[path]:  # else somebody else has written or deleted it
            (static / path).unlink()


def _end(app: Sphinx, exception: Exception | None) -> None:
    """Say that the build has ended, if it has ended well; give the lock back."""
    doctrees = Path(app.doctreedir)
    fault = app.statuscode or (app._warncount and app._fail_on_warnings)  # Sphinx sets the status only after this
    if exception is None and not fault:
        _write_state(doctrees, **{**read_state(doctrees), "ended": True})
    if held := HELD.pop(Path(app.confdir), None):
        held.close()


def _is_new(out: Path, doctrees: Path) -> bool:
    """Whether a folder for pages is empty but for doctrees, or holds what Sphinx has made."""
    return (out / ".buildinfo").exists() or all(path == doctrees for path in out.glob("*"))


def read_state(doctrees: Path) -> dict[str, object]:
    """Return what the last build into this folder said of itself; nothing when there was none."""
    try:
        found = json.loads((doctrees / STATE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_state(doctrees: Path, **state: object) -> None:
    doctrees.mkdir(parents=True, exist_ok=True)
    partial = doctrees / f".{STATE}"
    partial.write_text(json.dumps(state), encoding="utf-8")
    partial.replace(doctrees / STATE)


def setup(app: Sphinx) -> None:
    """Register the hooks: the first thing a build does, and the last."""
    app.connect("config-inited", _begin, priority=1)
    app.connect("build-finished", _end, priority=1000)
