"""Builds of a small site in processes that have their imports done: they begin at once, so a kill meets their work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from conftest import make_entry
from site_builds import CONF, GALLERY, put_records, write

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["sphinx.cmd.build", "sphinx_gallery.gen_gallery", "myst_parser.sphinx_",
                                "compile_guide.site", "matplotlib.pyplot", "sphinx.builders.html"])  # fmt: skip
PAGES = {
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n",
    "gallery/one/GALLERY_HEADER.rst": "One\n===\n",
    "gallery/one/a.py": '"""\nFirst\n=====\n\nWords.\n"""\nprint(1)\n',
    "gallery/one/b.py": '"""\nSecond\n======\n\nWords.\n"""\nprint(2)\n',
    "docs/index.md": "# T\n\n```{examples}\n```\n\n```{toctree}\nmachines\nother\ngallery/index\n```\n",
    "docs/machines.md": "# M\n\n{measured}`gelu.ratio`\n\n```{machines}\n```\n",
}
SETTINGS = GALLERY + 'exclude_patterns = ["gallery/backreferences"]\n'
RATIOS = {"old": 2.0, "new": 3.0}


def site(folder: Path, state: str) -> Path:
    """Write a small site, or bring one to a state: ``old`` and ``new`` differ in a record, a page, a script, a title."""
    conf = CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=SETTINGS)
    script = f'"""\nThird, {state}\n{"=" * 11}\n\nWords.\n"""\nprint("{state}")\n'
    files = {**PAGES, "conf.py": conf, "docs/other.md": f"# Other, {state}\n\nText of {state}.\n"}
    write(folder, {**files, "gallery/one/c.py": script, f"gallery/one/{state}_alone.py": PAGES["gallery/one/a.py"]})
    for other in {"old", "new"} - {state}:
        (folder / "gallery" / "one" / f"{other}_alone.py").unlink(missing_ok=True)
    put_records(folder)
    from conftest import make_record

    put_records(folder, make_record(make_entry("gelu", ratios=(RATIOS[state],) * 6)))
    return folder


def _build(folder: str, log: str) -> None:
    from sphinx.cmd.build import build_main

    os.setpgrp()
    with Path(log).open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = ["-c", folder, f"{folder}/docs", f"{folder}/out", "-d", f"{folder}/doctrees", "-W", "--keep-going"]
    status = build_main(argv)
    sys.stdout.flush()
    os._exit(status)


def start(folder: Path, log: Path) -> BaseProcess:
    """Start a build."""
    process = CONTEXT.Process(target=_build, args=(str(folder), str(log)))
    process.start()
    return process


def finish(folder: Path, log: Path) -> int:
    """Build to the end and return the exit status."""
    process = start(folder, log)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def broken_off(folder: Path, log: Path, after_s: float, how: signal.Signals) -> int:
    """Start a build, send it a signal after so many seconds, and return its exit status."""
    process = start(folder, log)
    time.sleep(after_s)
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, how)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode
