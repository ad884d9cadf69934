"""Python's collector of cyclic garbage looks at what is new, not at all that a build holds again and again.

A full collection goes over every object. sphinx-gallery asks for one at each script, Python for more while pages are read
and written; with the records in memory and hundreds of scripts these took a seventh of a build, and a share that grew.
What is held for the rest of the build is set aside instead (:func:`gc.freeze`).
"""

from __future__ import annotations

import gc
import itertools

from sphinx.application import Sphinx

EVERY = 32
"""Scripts, or pages, from one time to the next. Setting aside at each would keep what each leaves for the next to replace,
such as the modules that sphinx-gallery loads anew: a fifth of a megabyte a script."""
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


class Pages:
    """What is done for the pages of one build; few pages aren't worth it."""

    def __init__(self) -> None:
        self.read = 0

    def before_reading(self, *_: object) -> None:
        """Set aside what earlier pages left."""
        self.read += 1
        if self.read % EVERY == 0:
            _set_aside_all()

    def before_writing(self, *_: object) -> None:
        """Set aside all that reading has made."""
        if self.read >= EVERY:
            _set_aside_all()

    @staticmethod
    def at_the_end(*_: object) -> None:
        """Give the collector everything back."""
        gc.unfreeze()


def setup(app: Sphinx) -> None:
    """Set aside what is held while pages are read, and again before they are written."""
    pages = Pages()
    app.connect("env-purge-doc", pages.before_reading)
    app.connect("env-updated", pages.before_writing)
    app.connect("build-finished", pages.at_the_end)
