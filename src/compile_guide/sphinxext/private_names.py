"""What this extension touches of Sphinx and sphinx-gallery that is private or patched. A test fails when one is gone."""

from __future__ import annotations

PRIVATE_NAMES = (
    ("sphinx_gallery.gen_rst.generate_file_rst", "replaced: each example runs in a process of its own"),
    ("sphinx_gallery.gen_rst._exec_once.__call__", "patched there: an example that exits fails"),
    ("sphinx_gallery.gen_gallery.generate_gallery_rst", "its listener is replaced by one that replays timings"),
)
"""Each name and why it is touched."""
