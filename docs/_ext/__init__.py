"""Sphinx code that serves this guide alone; what any project can use is in ``compile_guide.sphinxext``."""

from __future__ import annotations

import importlib
from typing import Any

from sphinx.application import Sphinx

PARTS = (
    *("incremental", "sidebar", "graphs", "html_head", "site_files", "markdown_writer", "docstrings", "listings"),
    *("citations", "observed", "promises", "published", "published_code", "charts", "overviews", "backend_columns"),
    *("shares", "estimator_tables", "cost_tables", "search_words"),
)
OF_THE_GALLERY = ("cards", "gallery_pages")


def setup(app: Sphinx) -> dict[str, Any]:
    """Set up every part; those of the gallery only where there is one."""
    there = "sphinx_gallery.gen_gallery" in app.extensions
    for name in (*PARTS, *(OF_THE_GALLERY if there else ())):
        importlib.import_module(f"_ext.{name}").setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
