"""A build leaves the same files wherever it runs, and an incremental one the same as a clean one.

Sphinx by itself keeps pages of deleted sources, words of theirs in the search index, and old titles in the navigation
of pages that it doesn't write again; and its ``.buildinfo`` changes with the folder that the checkout lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util._serialise import stable_hash

from compile_guide.sphinxext import whole

FOLDERS = ("html_static_path", "templates_path")
"""Settings to which extensions add folders of theirs, by their full paths."""


def outline(env: BuildEnvironment) -> str:
    """Return a digest of what pages show of each other: titles, navigation, places to link to, objects."""
    std, py = env.domaindata.get("std", {}), env.domaindata.get("py", {})
    return stable_hash({
        "titles": {page: title.astext() for page, title in env.titles.items()},
        "order": {page: " ".join(pages) for page, pages in env.toctree_includes.items()},
        "places": {name: std.get(name) for name in ("labels", "anonlabels", "terms", "objects")},
        "names": {name: (found.docname, found.node_id) for name, found in py.get("objects", {}).items()},
        "headings": {page: _headings(found.get("myst_slugs") or {}) for page, found in env.metadata.items()},
    })  # fmt: skip


def _headings(slugs: dict[str, tuple[int, str, str]]) -> dict[str, tuple[str, str]]:
    """Return ids and titles without the lines that they stand in: a longer paragraph above would move them."""
    return {slug: (place, title) for slug, (_line, place, title) in slugs.items()}


def _settle_build_info(app: Sphinx) -> None:
    """Leave out of ``.buildinfo`` where this checkout and its packages lie: the gallery's pages are watched elsewhere."""
    if info := getattr(app.builder, "build_info", None):
        values = {it.name: it.value for it in app.config.filter(frozenset({"html"}))}
        values.pop("sphinx_gallery_conf", None)
        info.config_hash = stable_hash({**values, **{name: shortened(values[name]) for name in FOLDERS}})


def shortened(folders: list[str]) -> list[str]:
    """Return folders without what lies before the package, for those of packages."""
    return ["/".join(Path(one).parts[-2:]) if Path(one).is_absolute() else one for one in folders]


def _note_pages(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Write every page again when what they show of each other has changed; keep in mind which pages are gone."""
    before: tuple[str, set[str]] = getattr(env, "compile_guide_outline", ("", set()))
    pages = set(env.found_docs)
    env.compile_guide_outline = (outline(env), pages)  # type: ignore[attr-defined]
    app._compile_guide_gone = before[1] - pages  # type: ignore[attr-defined]
    return [] if before[0] == env.compile_guide_outline[0] else pages  # type: ignore[attr-defined]


def _settle_search(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Take out of the search index what pages of yesterday left there; adds no page."""
    index: Any = getattr(app.builder, "indexer", None)
    if index is not None:
        for words in (index._mapping, index._title_mapping):
            for word in [word for word, pages in words.items() if not pages & app.env.found_docs]:
                del words[word]
        for page in set(index._index_entries) - app.env.found_docs:
            del index._index_entries[page]
        for numbers in (index._objtypes, index._objnames):  # they count in the order in which kinds were first seen
            numbers.clear()
    yield from ()


def _sweep(app: Sphinx, exception: Exception | None) -> None:
    """Delete pages, shown sources, images and downloads of what isn't there any more."""
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for file in _left_over(app, out):
        file.unlink(missing_ok=True)
    for folder in sorted(out.rglob("*/"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _left_over(app: Sphinx, out: Path) -> Iterator[Path]:
    yield out / ".buildinfo.bak"
    for page in getattr(app, "_compile_guide_gone", ()):
        yield from (out / f"{page}.html", *(out / "_sources").glob(f"{page}.*"))
    images = {str(name) for _, name in app.env.images.values()}
    yield from (file for file in (out / "_images").glob("*") if file.name not in images)
    downloads = {out / "_downloads" / name for _, name in app.env.dlfiles.values()}
    yield from (file for file in (out / "_downloads").rglob("*") if file.is_file() and file not in downloads)


def setup(app: Sphinx) -> None:
    """Register the hooks; the sweep comes before sphinx-llms-txt joins the sources that it finds."""
    whole.setup(app)
    app.connect("builder-inited", _settle_build_info, priority=600)
    app.connect("env-updated", _note_pages)
    app.connect("html-collect-pages", _settle_search)
    app.connect("build-finished", _sweep, priority=100)
