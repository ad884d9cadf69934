"""A build after another one leaves what a clean build would leave, and deletes nothing that this project did not write.

Beside its doctrees a build notes that it has begun, and at the end that it ended well, which pages, images, downloads
and static files it wrote, and what each was when it left it. The next build reads that note. Where the last build broke
off or warned, or where this code, a package or a setting has changed, every page is read and written again. A file of
the note that today's site doesn't have is deleted, if it is still as the build left it. Nothing else is ever deleted.

In the same way a note in the folder of the examples' pages says what they were made from. If all of that is the same,
sphinx-gallery isn't asked to look at its scripts at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util._serialise import stable_hash

from _ext.downloads import settle_downloads
from _ext.two_at_a_time import TwoAtATime
from compile_guide._files import LockError, hold_lock
from compile_guide.sphinxext import gallery

STATE = "compile-guide.json"
"""The note beside the doctrees."""
MADE = ".made-from"
"""The note in the folder of the examples' pages."""
PACKAGES = ("mlx", "sphinx", "sphinx-gallery", "myst-parser", "furo", "matplotlib", "pygments", "docutils")
LOCKS: dict[Path, TextIO] = {}
"""Locks of this process, by folder; an earlier build of the same process is over, whether or not it said so."""
ENDINGS = ("rst", "py", "py.md5", "ipynb", "zip", "cost.json", "codeobj.json")
"""What sphinx-gallery makes for a script, named after it."""
FIGURE = re.compile(r"sphx_glr_(.+)_(?:\d{3}|thumb)(?:_dark)?\.\w+")
Files = dict[str, list[int] | None]
"""Files of a folder, each with its size and time of change; None while that isn't known."""


# The note of a build ---------------------------------------------------------------------------------------------------


def read_note(file: Path) -> dict[str, Any]:
    """Return what a note says; nothing where there is none, or none that can be read."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files", {}), dict) else {}


def write_note(file: Path, **facts: object) -> None:
    """Write a note in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(file)


def state_of(file: Path) -> list[int] | None:
    """Return a file's size and time of change; None where there is no such file."""
    with contextlib.suppress(OSError):
        seen = file.stat()
        return [seen.st_size, seen.st_mtime_ns]
    return None


def delete_left_over(folder: Path, noted: Files, wanted: Iterable[str]) -> None:
    """Delete the noted files that aren't wanted and are still as noted, and the folders that this leaves empty."""
    for name in sorted(noted.keys() - set(wanted)):
        file = folder / name
        if state_of(file) is not None and noted[name] in (None, state_of(file)):
            file.unlink()
            for parent in file.relative_to(folder).parents:
                with contextlib.suppress(OSError):  # it holds something
                    (folder / parent).rmdir() if parent.parts else None


# A build ---------------------------------------------------------------------------------------------------------------


def _begin(app: Sphinx, config: Config) -> None:
    """Take the checkout's lock, read the last build's note, and note that this build has begun."""
    if sys.getfilesystemencoding() != "utf-8":  # else pages are read, and paths written, as ASCII
        raise SystemExit("compile_guide: Python works in ASCII here, and pages are UTF-8: set PYTHONUTF8=1")
    _lock(Path(app.confdir))
    if (info := Path(app.outdir) / ".buildinfo").is_file() and not info.stat().st_size:
        info.unlink()  # a full disk left it so, and Sphinx can't read it
    note = Path(app.doctreedir) / STATE
    before, now = read_note(note), made_from(app)
    app._compile_guide_before = before  # type: ignore[attr-defined]
    app._compile_guide_anew = not before.get("ended") or before.get("from") != now  # type: ignore[attr-defined]
    if before and not before.get("ended"):  # where the disk was full, Sphinx can't read its own note
        (Path(app.outdir) / ".buildinfo").unlink(missing_ok=True)
    write_note(note, **{"files": {}, "titles": "", **before, "ended": False, "from": now})


def _lock(folder: Path) -> None:
    if folder in LOCKS:
        LOCKS.pop(folder).close()
    try:
        LOCKS[folder] = hold_lock(folder, "building the site")
    except LockError as error:
        raise SystemExit(f"compile_guide: {error}") from None  # of its own errors Sphinx makes a page-long report


def made_from(app: Sphinx) -> str:
    """Return a digest of what shapes pages beside their sources: settings, packages, and this project's code."""
    digest = hashlib.sha256(f"{app.outdir}\n{sys.version}\n{sorted(app.config.overrides.items())}".encode())
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            digest.update(version(package).encode())
    for file in (Path(app.confdir) / "conf.py", *_code()):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _code() -> Iterator[Path]:
    root = Path(__file__).parents[2]
    for folder in (gallery.PACKAGE, root / "docs" / "_ext", root / "docs" / "claims", root / "benchmarks"):
        yield from sorted(folder.rglob("*.py"))


def _outdated(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> Iterable[str]:
    """Return all pages when nothing of the last build is to be trusted."""
    return env.found_docs if getattr(app, "_compile_guide_anew", False) else []


def titles(env: BuildEnvironment) -> str:
    """Return a digest of what pages show of each other: titles, navigation, places to link to, objects."""
    std, py = env.domaindata.get("std", {}), env.domaindata.get("py", {})
    return str(stable_hash({
        "titles": {page: title.astext() for page, title in env.titles.items()},
        "order": {page: " ".join(pages) for page, pages in env.toctree_includes.items()},
        "places": {name: std.get(name) for name in ("labels", "anonlabels", "terms", "objects")},
        "names": {name: (found.docname, found.node_id) for name, found in py.get("objects", {}).items()},
        "headings": {page: _headings(found.get("myst_slugs") or {}) for page, found in env.metadata.items()},
    }))  # fmt: skip


def _headings(slugs: dict[str, tuple[int, str, str]]) -> dict[str, tuple[str, str]]:
    """Return ids and titles without the lines that they stand in: a longer paragraph above would move them."""
    return {slug: (place, title) for slug, (_line, place, title) in slugs.items()}


def _write_all(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Write every page when what they show of each other has changed, and note what this build is about to write."""
    note = Path(app.doctreedir) / STATE
    before, now = read_note(note), titles(env)
    files = {**before.get("files", {}), **dict.fromkeys(outputs(app))}
    write_note(note, **{**before, "titles": now, "files": files})
    changed = before.get("titles") != now or getattr(app, "_compile_guide_anew", False)
    return set(env.found_docs) if changed else ()


def outputs(app: Sphinx) -> set[str]:
    """Return the names of the pages, their sources, images, downloads and static files below the output folder."""
    if not isinstance(app.builder, StandaloneHTMLBuilder) or app.builder.name != "html":
        return set()
    out, env, builder = Path(app.outdir), app.env, app.builder
    names = {Path(builder.get_outfilename(page)).relative_to(out).as_posix() for page in env.found_docs}
    names |= {f"_sources/{page}{_suffix(app, page)}" for page in env.found_docs}
    names |= {f"_images/{name}" for _, name in env.images.values()}
    names |= {f"_downloads/{name}" for _, name in env.dlfiles.values()}
    for folder in (Path(app.confdir) / one for one in app.config.html_static_path):
        names |= {f"_static/{file.relative_to(folder).as_posix()}" for file in folder.rglob("*") if file.is_file()}
    return names | ({"404.html"} if app.config.html_baseurl else set())


def _suffix(app: Sphinx, page: str) -> str:
    source = Path(app.env.doc2path(page)).suffix
    shown: str = app.config.html_sourcelink_suffix
    return source if source == shown else source + shown


def _end(app: Sphinx, exception: Exception | None) -> None:
    """Note how the build ended and what it left; delete what an earlier one left for pages that are gone."""
    note, out = Path(app.doctreedir) / STATE, Path(app.outdir)
    if exception is None and app.builder.name == "html":
        before = getattr(app, "_compile_guide_before", {}).get("files", {})
        wanted = outputs(app)
        delete_left_over(out, {**read_note(note).get("files", {}), **before}, wanted)
        (out / ".buildinfo.bak").unlink(missing_ok=True)
        files = {name: state for name in sorted(wanted) if (state := state_of(out / name))}
        good = not app.statuscode and not app._warncount
        write_note(note, **{**read_note(note), "ended": good, "files": files})
    elif exception is None:
        write_note(note, **{**read_note(note), "ended": not app.statuscode and not app._warncount})
    if held := LOCKS.pop(Path(app.confdir), None):
        held.close()


def _clean_search_index(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Take words, entries and kinds of earlier pages out of the search index; add no page."""
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


def _settle_build_info(app: Sphinx) -> None:
    """Leave out of ``.buildinfo`` where this checkout and its packages lie."""
    if info := getattr(app.builder, "build_info", None):
        values = {it.name: it.value for it in app.config.filter(frozenset({"html"}))}
        values.pop("sphinx_gallery_conf", None)
        folders = ("html_static_path", "templates_path")  # extensions add theirs, by their full paths
        info.config_hash = stable_hash({**values, **{name: shortened(values[name]) for name in folders}})


def shortened(folders: list[str]) -> list[str]:
    """Return folders without what lies before the package, for those of packages."""
    return ["/".join(Path(one).parts[-2:]) if Path(one).is_absolute() else one for one in folders]


# The examples' pages ---------------------------------------------------------------------------------------------------


def _generate(app: Sphinx) -> None:
    """Let sphinx-gallery make its pages, unless they stand as the last build left them."""
    conf = app.config.sphinx_gallery_conf
    folder, scripts = Path(app.srcdir) / conf["gallery_dirs"], _scripts(app)
    note = folder / MADE
    before, digest = read_note(note), _digest(app)
    whole = all(state_of(folder / name) == state for name, state in before.get("files", {}).items())
    if before.get("from") == digest and whole and not conf["run_stale_examples"]:
        conf["stale_examples"] = [str(script) for script in scripts]  # as sphinx-gallery calls what it needn't run
        return
    if before and not (whole and before.get("from") and before.get("settings") == _settings(app)):
        conf["run_stale_examples"] = True  # without ``from`` it was killed, or warned, and has to warn again
    _delete_old(folder, before.get("files", {}), scripts)
    pages = [f"{script.parent.name}/{script.stem}.rst" for script in scripts]
    write_note(note, **{**before, "from": "", "files": dict.fromkeys([*before.get("files", {}), *pages])})
    warnings = app._warncount
    from sphinx_gallery import scrapers

    scrapers._import_matplotlib()  # see private_names.py
    gallery.generate(app, TwoAtATime if app.parallel > 1 else None)
    copies = [folder / script.parent.name / script.name for script in scripts]
    settle_downloads(folder, [copy for copy in copies if copy.exists()])
    good = not conf["failing_examples"] and app._warncount == warnings
    files = {file.relative_to(folder).as_posix(): state_of(file) for file in _made(folder, before, scripts)}
    write_note(note, **{"from": digest if good else "", "settings": _settings(app), "files": files})


def _scripts(app: Sphinx) -> list[Path]:
    return sorted((Path(app.srcdir) / app.config.sphinx_gallery_conf["examples_dirs"]).glob("*/[!_]*.py"))


def _settings(app: Sphinx) -> str:
    return hashlib.sha256((Path(app.confdir) / "conf.py").read_bytes()).hexdigest() + made_from(app)


def _digest(app: Sphinx) -> str:
    """Return a digest of all that the examples' pages are made from, and of how."""
    digest = hashlib.sha256((gallery.fingerprint(app) + _settings(app) + app.builder.name).encode())
    examples = Path(app.srcdir) / app.config.sphinx_gallery_conf["examples_dirs"]
    for file in sorted(examples.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(examples)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _delete_old(folder: Path, noted: Files, scripts: list[Path]) -> None:
    """Delete what was generated for scripts that are gone, and the figures of those that have changed."""
    there = {(script.parent.name, script.stem): script for script in scripts}
    topics = {topic for topic, _ in there}
    for topic, stem in {(path.parts[0], path.stem) for path in map(Path, noted) if path.match("*/*.rst")}:
        if stem == "index" and topic in topics:
            continue
        script, copy = there.get((topic, stem)), folder / topic / f"{stem}.py"
        if script is None or not copy.exists() or copy.read_bytes() != script.read_bytes():
            files = [file for file in (folder / topic).rglob("*") if script is None or "images" in file.parts]
            names = [file.relative_to(folder).as_posix() for file in files if stem_of(file) == stem]
            delete_left_over(folder, {name: noted.get(name) for name in names}, ())


def stem_of(file: Path) -> str:
    """Return the stem of the script that sphinx-gallery has made a file for, "index" for an index; else nothing."""
    if figure := FIGURE.fullmatch(file.name):
        return figure[1] if "images" in file.parts else ""
    stem, _, ending = file.name.partition(".")
    return stem if ending in ENDINGS else ""


def _made(folder: Path, before: dict[str, Any], scripts: list[Path]) -> Iterator[Path]:
    """Yield the files of the folder that sphinx-gallery names after a script, its indexes, and those noted before."""
    stems = {(script.parent.name, script.stem) for script in scripts}
    topics = {topic for topic, _ in stems} | {""}
    stems |= {(topic, "index") for topic in topics}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        topic = name.parts[0] if len(name.parts) > 1 else ""
        if file.is_file() and ((topic, stem_of(name)) in stems or name.as_posix() in before.get("files", {})):
            yield file


def setup(app: Sphinx) -> None:
    """Register the hooks; take the place of sphinx-gallery's own, which also loads matplotlib before it is needed."""
    app.connect("config-inited", _begin, priority=1)
    app.connect("builder-inited", _settle_build_info, priority=600)
    app.connect("env-get-outdated", _outdated)
    app.connect("env-updated", _write_all, priority=900)
    app.connect("html-collect-pages", _clean_search_index)
    app.connect("build-finished", _end, priority=1000)
    if "sphinx_gallery.gen_gallery" in app.extensions:
        from sphinx_gallery import gen_gallery

        gen_gallery._import_matplotlib = lambda: None
        gallery.take_over(app, _generate)
