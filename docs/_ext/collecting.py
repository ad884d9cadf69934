"""Python's collector of cyclic garbage looks at what is new, not at all that a build holds again and again.

A full collection goes over every object. sphinx-gallery asks for one at each script, Python for more while pages are read
and written; with the records in memory and hundreds of scripts these took a seventh of a build, and a share that grew.
What is held for the rest of the build is set aside instead (:func:`gc.freeze`): at its start, when what earlier builds
left has been loaded, every few scripts and pages, and before pages are written. A build without a change makes little that
is new, and a tenth of its time went into looking at what it had imported and loaded.

A page's tree is garbage once its page is written. One that was set aside before would stay, with all that the writing
made of it, so it isn't held until then; and new objects may be many before Python looks at them, so that it finds most
trees among the newest, where that is cheap.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

EVERY = 32
"""Scripts, or pages, from one time to the next. Setting aside at each would keep what each leaves for the next to replace,
such as the modules that sphinx-gallery loads anew: a fifth of a megabyte a script."""
NEW = (20_000, 10, 10)
"""How many new objects Python lets be before it looks at them, a few pages' (:func:`gc.set_threshold`)."""
BEFORE = gc.get_threshold()
"""What that was outside builds: one that fails before its first page never comes to its end, and leaves its own."""
_scripts = itertools.count()


def set_aside(_gallery_conf: object, _file: object, when: str) -> None:
    """Before an example runs: collect what the others left, and set the rest aside (one of ``reset_modules``)."""
    # afterwards the example's own objects are still held, and would never be collected
    if when == "before" and next(_scripts) % EVERY == 0:
        _set_aside_all()


def _set_aside_all() -> None:
    gc.collect()
    gc.freeze()
    gc.collect()  # of nothing: else Python waits with its next for a quarter as much garbage as it has just gone over


def _let_go(env: BuildEnvironment) -> None:
    """Forget the pages' trees, which are on the disk by then: Sphinx holds them all until it writes their pages."""
    env._write_doc_doctree_cache.clear()


class Pages:
    """What is done for the pages of one build; few pages aren't worth it."""

    def __init__(self) -> None:
        self.read = 0
        gc.set_threshold(*NEW)
        gc.freeze()

    def before_reading(self, _app: Sphinx, env: BuildEnvironment, _page: str) -> None:
        """Set aside what earlier pages left."""
        self.read += 1
        if self.read % EVERY == 0:
            _let_go(env)
            _set_aside_all()

    def before_writing(self, _app: Sphinx, env: BuildEnvironment) -> None:
        """Set aside all that reading has made."""
        if self.read >= EVERY:
            _let_go(env)
            _set_aside_all()

    @staticmethod
    def loaded(*_: object) -> Iterable[str]:
        """Set aside what an earlier build left: there is no garbage yet that is worth collecting. No page is outdated by it."""
        gc.freeze()
        return ()

    def at_the_end(self, *_: object) -> None:
        """Give the collector everything back."""
        gc.set_threshold(*BEFORE)
        gc.unfreeze()


def setup(app: Sphinx) -> None:
    """Set aside what was imported so far; have the rest set aside as a build goes on."""
    pages = Pages()
    app.connect("env-get-outdated", pages.loaded, priority=1)
    app.connect("env-purge-doc", pages.before_reading)
    app.connect("env-updated", pages.before_writing)
    app.connect("build-finished", pages.at_the_end)
