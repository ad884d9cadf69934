"""Builds in processes that have the imports of others done: they begin at once, so a kill meets their own work.

Nothing of ours is imported here, nor before the build does: which copy of it is taken is up to ``conf.py``.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

from quick_compiler import with_quick_compiler

# On macOS a copy of a process can't reach the service that compiles Metal's kernels: there each build imports anew.
CONTEXT = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")
CONTEXT.set_forkserver_preload([
    "sphinx.cmd.build", "sphinx.builders.html", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery", "sphinx_design", "sphinx_copybutton", "sphinx_llms_txt", "myst_parser.sphinx_", "furo",
    "matplotlib.pyplot", "msgspec",
])  # fmt: skip
WAIT_S = 280
multiprocessing.util.get_temp_dir()  # now: later it would lie in the tests' temporary folder, which is gone before it


def _build(folder: str, argv: list[str], log: str, path: str) -> None:
    from sphinx.cmd.build import build_main

    os.setpgrp()
    with Path(log).open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ["PATH"] = path
    if (temp := Path(folder, "temp")).is_dir():
        os.environ["TMPDIR"], tempfile.tempdir = str(temp), None
    os.chdir(folder)
    status = build_main(argv)
    sys.stdout.flush()
    os._exit(status)


def start(folder: Path, argv: list[str], log: Path) -> BaseProcess:
    """Start Sphinx in ``folder``; temporary files go into a folder ``temp`` there, if there is one."""
    process = CONTEXT.Process(target=_build, args=(str(folder), argv, str(log), with_quick_compiler()))
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Wait, and return the exit status."""
    process.join(WAIT_S)
    assert process.exitcode is not None
    return process.exitcode


def broken_off(process: BaseProcess, after_s: float, how: signal.Signals) -> int:
    """Send a signal after so many seconds, or wait for an earlier end, and return the exit status."""
    process.join(after_s)
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, how)
    return ended(process)
