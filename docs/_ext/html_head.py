"""The head of each page: what may run on it, what it is about, and what previews of links show."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from typing import Any

from docutils import nodes
from jinja2 import TemplateNotFound
from sphinx.application import Sphinx

EMPTY_HEADER = re.compile(r"<th[^>]*>(?:<p></p>)?</th>")
BOXED = re.compile(r'(<div class="table-wrapper[^>]*?) id="[^"]*"')
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
DESCRIPTION = 160  # characters that search engines show
NOT_FOR_SEARCH = ("copybutton", "clipboard", "design-tabs", "sphinx-design")
"""Files for code and tabs. The search page has neither, and its index of words is heavy enough."""


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
    if page == "search":
        lighten(context)
    mend_body(context)


def lighten(context: dict[str, Any]) -> None:
    """Leave out the styles and scripts that the search page has no use for."""
    for kind in ("script_files", "css_files"):
        unused = [file for file in context[kind] if any(name in str(file.filename) for name in NOT_FOR_SEARCH)]
        context[kind] = [file for file in context[kind] if file not in unused]


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


def setup(app: Sphinx) -> None:
    """Connect what this module does."""
    app.connect("html-page-context", fill_head, priority=900)  # after furo has made its navigation
