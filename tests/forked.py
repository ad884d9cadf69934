"""A small site that is in one of two states, and its builds. Its pages take all that :mod:`_ext.incremental` looks after."""

from __future__ import annotations

from multiprocessing.process import BaseProcess
from pathlib import Path

import fork_server
from conftest import make_entry, make_record
from fork_server import ended
from site_builds import conf, put_records, write

PAGES = {
    "gallery/GALLERY_HEADER.rst": "Examples\n========\n",
    "gallery/one/GALLERY_HEADER.rst": "One\n===\n",
    "gallery/one/a.py": '"""\nFirst\n=====\n\nWords.\n"""\nprint(1)\n',
    "gallery/one/b.py": '"""\nSecond\n======\n\nWords.\n"""\nprint(2)\n',
    "docs/index.md": "# T\n\n```{examples}\n```\n\n```{toctree}\nmachines\nother\ngallery/index\n```\n",
    "docs/machines.md": "# M\n\n{measured}`gelu.ratio`\n\n```{machines}\n```\n\n```{record-files}\n```\n",
}
SETTINGS = 'exclude_patterns = ["gallery/backreferences"]\n'
RATIOS = {"old": 2.0, "new": 3.0}


def site(folder: Path, state: str) -> Path:
    """Write a small site, or bring one to a state: ``old`` and ``new`` differ in a record, a page, a script, a title."""
    script = f'"""\nThird, {state}\n{"=" * 11}\n\nWords.\n"""\nprint("{state}")\n'
    settings = conf(gallery=True, guide=True, settings=SETTINGS)
    files = {**PAGES, "conf.py": settings, "docs/other.md": f"# Other, {state}\n\nText of {state}.\n"}
    write(folder, {**files, "gallery/one/c.py": script, f"gallery/one/{state}_alone.py": PAGES["gallery/one/a.py"]})
    for other in {"old", "new"} - {state}:
        (folder / "gallery" / "one" / f"{other}_alone.py").unlink(missing_ok=True)
    put_records(folder, make_record(make_entry("gelu", ratios=(RATIOS[state],) * 6)))
    return folder


def start(folder: Path, log: Path, *options: str) -> BaseProcess:
    """Start a build; without ``options`` a warning fails it."""
    argv = ["-c", ".", "docs", "out", "-d", "doctrees", *(options or ("-W", "--keep-going"))]
    return fork_server.start(folder, argv, log)


def finish(folder: Path, log: Path, *options: str) -> int:
    """Build to the end and return the exit status."""
    return ended(start(folder, log, *options))
