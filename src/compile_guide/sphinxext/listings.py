"""Pages that list the files of a folder are read again when a file comes or goes; Sphinx itself sees changed files alone."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

LISTED = "compile_guide_listed"
"""Where Sphinx keeps, with a page's other metadata, what the page lists: files by folder, relative to the sources, and pattern."""


def list_files(env: BuildEnvironment, folder: str, pattern: str = "*.json") -> list[Path]:
    """Return the files of a folder that match, sorted, and note that the page being read shows just these."""
    files = _files(env, folder, pattern)
    env.metadata[env.docname].setdefault(LISTED, {})[folder, pattern] = files
    return files


def _files(env: BuildEnvironment, folder: str, pattern: str) -> list[Path]:
    return sorted((Path(env.srcdir) / folder).glob(pattern))


def outdated_pages(_app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Return the pages that list files which have come or gone (``env-get-outdated``)."""
    noted = {page: facts[LISTED] for page, facts in env.metadata.items() if LISTED in facts}
    now = {listing: _files(env, *listing) for listing in {one for listings in noted.values() for one in listings}}
    return [page for page, listings in noted.items() if any(files != now[one] for one, files in listings.items())]
