"""What this extension touches of Sphinx and sphinx-gallery that is private or patched. A test fails when one is gone."""

from __future__ import annotations

PRIVATE_NAMES = (
    (
        "sphinx.environment.BuildEnvironment._app",
        "a post-transform needs the builder, to make links relative to a page",
    ),
    (
        "sphinx_gallery.gen_rst._exec_once.__call__",
        "patched: an example that exits, hangs or has a failing thread is an error of that example, not the build's end",
    ),
    (
        "sphinx_gallery.gen_gallery.generate_gallery_rst",
        "its listener is replaced by one that replays timings around it",
    ),
)
"""Each name and why it is touched."""
