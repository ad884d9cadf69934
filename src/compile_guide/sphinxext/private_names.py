"""What this extension touches of Sphinx and sphinx-gallery that is private or patched. A test fails when one is gone."""

from __future__ import annotations

PRIVATE_NAMES = (
    ("sphinx.environment.BuildEnvironment._app", "links relative to a page need the builder, in a post-transform"),
    ("sphinx_gallery.gen_rst._exec_once.__call__", "patched: an example that exits or hangs fails alone"),
    ("sphinx_gallery.gen_gallery.generate_gallery_rst", "its listener is replaced by one that replays timings"),
)
"""Each name and why it is touched."""
