"""Files of a published site beside its pages: the site map and what robots may read. They need the site's address."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

from sphinx.application import Sphinx

from _ext.html_head import home
from compile_guide.sphinxext.record_files import write_ours


def file_texts(app: Sphinx) -> dict[str, str]:
    """Return the text of each file by its name; nothing where the address isn't known."""
    if not app.config.html_baseurl:
        return {}
    return {"sitemap.xml": site_map(app), "robots.txt": f"User-agent: *\nAllow: /\nSitemap: {home(app)}sitemap.xml\n"}


def site_map(app: Sphinx) -> str:
    """Return the map: every page that was written, without dates, which a rebuild would change."""
    pages = (home(app) + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
    lines = [f"<url><loc>{html.escape(page)}</loc></url>" for page in pages]
    opening = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([opening, *lines, "</urlset>\n"])


def write_texts(app: Sphinx, texts: Mapping[str, str], note: str) -> None:
    """Write text files beside the pages (see :func:`write_ours`); one among ``html_extra_path`` stands instead of ours."""
    extra = [Path(app.confdir) / folder for folder in app.config.html_extra_path]
    ours = {
        name: text.encode() for name, text in texts.items() if not any((folder / name).exists() for folder in extra)
    }
    write_ours(app, ours, note)


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        write_texts(app, file_texts(app), "compile-guide-site-files.json")


def setup(app: Sphinx) -> None:
    """Register the hook."""
    app.connect("build-finished", _write)
