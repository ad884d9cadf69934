"""Pages that list the files of a folder are read again when a file comes or goes; Sphinx itself sees changed files alone."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

LISTED = "compile_guide_listed"
"""Where Sphinx keeps, with a page's other metadata, what the page lists: files by folder, relative to the sources, and pattern."""


def list_files(env: BuildEnvironment, folder: str, pattern: str = "*.json") -> list[Path]:
    """Return the files of a folder that match, sorted, and note that the page being read shows just these."""
    files = sorted((Path(env.srcdir) / folder).glob(pattern))
    env.metadata[env.docname].setdefault(LISTED, {})[folder, pattern] = files
    return files


def outdated_pages(app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Return the pages that list files which have come or gone (``env-get-outdated``)."""
    noted = {page: facts[LISTED] for page, facts in env.metadata.items() if LISTED in facts}
    now = {
        listing: sorted(Path(app.srcdir, listing[0]).glob(listing[1])) for found in noted.values() for listing in found
    }
    return [page for page, found in noted.items() if any(files != now[one] for one, files in found.items())]


def setup(app: Sphinx) -> None:
    """Register the hook."""
    app.connect("env-get-outdated", outdated_pages)
