"""Keep napoleon away from attributes' docstrings: there it takes what stands before a colon for a type."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

_aside: dict[str, list[str]] = {}


def _hide(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "property"):
        _aside[name] = lines[:]
        lines.clear()


def _show(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:0] = _aside.pop(name, [])


def setup(app: Sphinx) -> None:
    """Work right before and right after napoleon, which has the priority 500."""
    app.connect("autodoc-process-docstring", _hide, priority=499)
    app.connect("autodoc-process-docstring", _show, priority=501)
