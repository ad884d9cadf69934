"""What this guide's extension touches of Sphinx, sphinx-gallery and furo that is private or patched. A test fails when one
is gone.
"""

from __future__ import annotations

PRIVATE_NAMES = (
    ("sphinx.application.Sphinx._warncount", "a build that warned has to warn again: it isn't noted as a good one"),
    ("sphinx.util._serialise.stable_hash", "digests that don't depend on order, as Sphinx makes those of .buildinfo"),
    ("sphinx.search.IndexBuilder._mapping", "words of pages that are gone are taken out of the search index"),
    ("sphinx.search.IndexBuilder._title_mapping", "likewise words of titles"),
    ("sphinx.search.IndexBuilder._index_entries", "likewise entries of the general index"),
    ("sphinx.search.IndexBuilder._objtypes", "numbers of kinds of objects depend on earlier builds otherwise"),
    ("sphinx.search.IndexBuilder._objnames", "likewise their names"),
    ("sphinx.builders.html.BuildInfo.config_hash", "replaced: folders of packages differ from machine to machine"),
    (
        "sphinx.registry.SphinxComponentRegistry.js_files",
        "sphinx-gallery's filter by tag is left out: ours has buttons",
    ),
    (
        "sphinx.builders.html.StandaloneHTMLBuilder._get_local_toctree",
        "the sidebar is made once instead of for each page",
    ),
    ("furo.navigation.get_navigation_tree", "likewise"),
    (
        "sphinx_gallery.gen_gallery._import_matplotlib",
        "patched: matplotlib is loaded when an example runs, not at once",
    ),
    ("sphinx_gallery.scrapers._import_matplotlib", "loads it then"),
    (
        "sphinx_gallery.backreferences.THUMBNAIL_TEMPLATE",
        "patched: a card is a link with text, which a thumbnail isn't",
    ),
    ("sphinx_gallery.gen_rst.THUMBNAIL_PARENT_DIV", "patched: cards are grouped by us, without raw HTML"),
    ("sphinx_gallery.gen_rst.THUMBNAIL_PARENT_DIV_CLOSE", "likewise"),
)
"""Each name and why it is touched."""
