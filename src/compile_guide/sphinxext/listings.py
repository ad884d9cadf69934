"""Pages that list the files of a folder are read again when a file comes or goes; Sphinx itself sees changed files alone."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector

Listing = tuple[str, str]
"""A folder, relative to the sources, and a pattern."""


def list_files(env: BuildEnvironment, folder: str, pattern: str = "*.json") -> list[Path]:
    """Return the files of a folder that match, sorted, and note that the page being read shows just these."""
    files = _files(env, (folder, pattern))
    _noted(env).setdefault(env.docname, {})[folder, pattern] = _names(files)
    return files


def _files(env: BuildEnvironment, listing: Listing) -> list[Path]:
    folder, pattern = listing
    return sorted((Path(env.srcdir) / folder).glob(pattern))


def _names(files: list[Path]) -> tuple[str, ...]:
    return tuple(map(str, files))


def _noted(env: BuildEnvironment) -> dict[str, dict[Listing, tuple[str, ...]]]:
    if not hasattr(env, "compile_guide_listings"):
        env.compile_guide_listings = {}  # type: ignore[attr-defined]
    return env.compile_guide_listings  # type: ignore[no-any-return, attr-defined]


class ListingCollector(EnvironmentCollector):
    """Keeps which listings each page shows, and finds the pages whose listings have changed."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        """Forget a page's listings."""
        _noted(env).pop(docname, None)

    def merge_other(self, app: Sphinx, env: BuildEnvironment, docnames: Set[str], other: BuildEnvironment) -> None:
        """Take over the listings of pages that another process read."""
        _noted(env).update({page: noted for page, noted in _noted(other).items() if page in docnames})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Do nothing: directives note their listings themselves."""

    def get_outdated_docs(
        self, app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
    ) -> list[str]:
        """Return the pages that list files which have come or gone."""
        now: dict[Listing, tuple[str, ...]] = {}
        for listing in {listing for noted in _noted(env).values() for listing in noted}:
            now[listing] = _names(_files(env, listing))
        return [page for page, noted in _noted(env).items() if any(names != now[one] for one, names in noted.items())]
