"""The head of each page: what may run on it, what it is about; and the files that a published site has beside its pages."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from jinja2 import TemplateNotFound
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from compile_guide.records.schema import json_schema
from compile_guide.sphinxext.roles import shelf_of

EMPTY_HEADER = re.compile(r"<th[^>]*>(?:<p></p>)?</th>")
BOXED = re.compile(r'(<div class="table-wrapper[^>]*?) id="[^"]*"')
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
DESCRIPTION = 160  # characters that search engines show
LOST = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="data:,">
<meta name="robots" content="noindex">
<title>No such page - {project}</title>
</head>
<body>
<main>
<h1>There is no such page</h1>
<p>It may have moved. Try <a href="{home}search.html">the search</a>, <a href="{home}gallery/index.html">the examples</a>,
<a href="{home}claims.html">the ledger</a> or <a href="{home}">the start page</a>.</p>
</main>
</body>
</html>
"""
"""A page by itself: a server shows it at any address, where links relative to the page would lead nowhere."""


def policy(app: Sphinx) -> str:
    """Return the Content-Security-Policy: own files only, and of scripts in the page the theme's own, by their hashes.

    Styles may stand in a page: the theme sets its colors so. ``frame-ancestors`` has no effect in a page; a server
    adds it in a header of its own.
    """
    scripts = " ".join(["'self'", *(f"'sha256-{_digest(script)}'" for script in inline_scripts(app))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"
    )


def inline_scripts(app: Sphinx) -> list[str]:
    """Return the scripts that stand in furo's pages themselves, read from its template; other themes have no such file."""
    templates = app.builder.templates.environment
    try:
        source: str = templates.loader.get_source(templates, "base.html")[0]
    except TemplateNotFound:
        return []
    return INLINE.findall(source)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def describe(doctree: nodes.document | None) -> str:
    """Return a page's first paragraph, cut behind a word if it is long; a page made by Sphinx has none.

    What a record says of its machine is no description of a page: a contributed text stays out of tags, even quoted.
    """
    if doctree is None:
        return ""
    for found in doctree.findall(nodes.paragraph):
        words = " ".join(found.astext().split())
        contributed = found.get("generated") or any(
            "machine" in part["classes"] for part in found.findall(nodes.inline)
        )
        plain = isinstance(found.parent, nodes.section | nodes.document) and not found["classes"] and not contributed
        if plain and len(words) > 20:
            return words if len(words) <= DESCRIPTION else words[: DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
    return ""


def fill_head(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Add the policy, the description and what link previews show (``html-page-context``)."""
    title = html.unescape(re.sub("<[^>]+>", "", context.get("title") or app.config.html_title))
    about, address = describe(doctree), context.get("pageurl")
    facts = {"og:title": title, "og:site_name": app.config.project, "og:type": "website", "og:description": about}
    if address:
        facts |= {"og:url": address, "og:image": f"{home(app)}_static/screenshot.png"}
    tags = [_tag("http-equiv", "Content-Security-Policy", policy(app))]
    tags += [_tag("name", "description", about)] if about else []
    tags += [_tag("property", name, value) for name, value in facts.items() if value]
    context["metatags"] = "\n    ".join([*tags, context.get("metatags", "")])
    mend_body(context)


def mend_body(context: dict[str, Any]) -> None:
    """Mend what Sphinx and the theme leave amiss.

    A caption lacks its level, a table's id stands on the box around it too, and a header cell without words heads nothing.
    """
    if tree := context.get("furo_navigation_tree"):
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    if body := context.get("body"):
        context["body"] = EMPTY_HEADER.sub("<td></td>", BOXED.sub(r"\1", body))


def _tag(kind: str, name: str, value: str) -> str:
    return f'<meta {kind}="{html.escape(name)}" content="{html.escape(value)}">'


def home(app: Sphinx) -> str:
    """Return the address of the published site, ending in a slash; empty if it isn't known."""
    return app.config.html_baseurl.rstrip("/") + "/" if app.config.html_baseurl else ""


def publish(app: Sphinx, error: Exception | None) -> None:
    """Write the records with their schema; if the site's address is known, its map and a page for lost readers."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    (out / "records").mkdir(exist_ok=True)
    for file in shelf_of(app.env, app.config).files:
        (out / "records" / file.name).write_bytes(file.read_bytes())
    (out / "records" / "schema.json").write_bytes(schema())
    if app.config.html_baseurl:
        (out / "sitemap.xml").write_text(site_map(app), encoding="utf-8")
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {home(app)}sitemap.xml\n", encoding="utf-8")
        (out / "404.html").write_text(LOST.format(project=app.config.project, home=home(app)), encoding="utf-8")


def schema() -> bytes:
    """Return the JSON Schema of a record as a file for programs that don't have this package."""
    named = json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    text = json.dumps(named, indent=1, sort_keys=True)
    return text.replace("\\\\Z", "$").encode() + b"\n"  # the end of a text is \Z in Python alone


def site_map(app: Sphinx) -> str:
    """Return the map: every page that was written, without dates, which a rebuild would change."""
    pages = (home(app) + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
    lines = [f"<url><loc>{html.escape(page)}</loc></url>" for page in pages]
    opening = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([opening, *lines, "</urlset>\n"])


class RecordFiles(SphinxDirective):
    """``record-files``: links to the records as files, and to their schema."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        up = "../" * self.env.docname.count("/")
        names = [file.name for file in shelf_of(self.env, self.config).files] + ["schema.json"]
        links = [nodes.reference("", "", nodes.literal(name, name), refuri=f"{up}records/{name}") for name in names]
        return [nodes.bullet_list("", *(nodes.list_item("", nodes.paragraph("", "", link)) for link in links))]


def setup(app: Sphinx) -> None:
    """Connect what this module does."""
    app.add_directive("record-files", RecordFiles)
    app.connect("html-page-context", fill_head, priority=900)  # after furo has made its navigation
    app.connect("build-finished", publish)
