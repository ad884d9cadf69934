"""What an example's block returned, as a directive instead of as HTML: an image scraper of sphinx-gallery.

A block that ends in a comparison, or in a table of comparisons, gets ``recorded-result`` with their names, so that the
page shows each machine's numbers. Another table of ours becomes ``text-table``.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from compile_guide import timing
from compile_guide.comparison import Comparison, ComparisonTable
from compile_guide.formatting import UNMEASURED, Table
from compile_guide.records.record_set import NOT_YET
from compile_guide.sphinxext.comparisons import NOBODY, by_machine, facts_by_machine, named
from compile_guide.sphinxext.machine_tabs import tabs
from compile_guide.sphinxext.machines import RecordsDirective
from compile_guide.sphinxext.nodes import paragraph, table
from compile_guide.sphinxext.pages import RESULT
from compile_guide.sphinxext.roles import as_list, generated
from compile_guide.tracing import Watched

LAST = "___"
"""The global under which sphinx-gallery keeps the value of a block's last expression."""


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the directive for what the block ended in, if that is ours; sphinx-gallery then captures nothing of it."""
    note_unmeasured(gallery_conf, Path(block_vars["target_file"]))
    names = block_vars.get("example_globals") or block_vars["fake_main"].__dict__
    shown = _directive(value := names.get(LAST))
    if not shown or not _is_shown(value, block.content, block_vars["file_conf"], gallery_conf):
        return ""
    names[LAST] = None
    return shown


def _is_shown(value: Any, code: str, file_conf: dict[str, Any], gallery_conf: dict[str, Any]) -> bool:
    """Return whether a block ends in this value, and by the author's settings sphinx-gallery would show its HTML."""
    from sphinx_gallery.py_source_parser import extract_file_config

    for_file = file_conf.get("capture_repr", gallery_conf["capture_repr"])
    wanted = extract_file_config(code).get("capture_repr_block", for_file)
    if ignored := gallery_conf["ignore_repr_types"]:
        wanted = () if re.search(ignored, str(type(value))) else wanted
    with contextlib.suppress(SyntaxError, IndexError):  # a block that failed is scraped too, and one of comments alone
        return tuple(wanted)[:1] == ("_repr_html_",) and isinstance(ast.parse(code).body[-1], ast.Expr)
    return False


def _directive(value: Any) -> str:
    if isinstance(value, Comparison):
        return f"\n.. recorded-result:: {value.name}\n   :facts:\n\n"
    if isinstance(value, ComparisonTable):
        return (
            f"\n.. recorded-result:: {' '.join(one.name for one in value.comparisons)}\n\n" if value.comparisons else ""
        )
    if isinstance(value, Watched):
        title, rows = value._table()
        return _text_table(title, ("trace", "reason"), rows)
    return _text_table("", value.header, value.rows) if isinstance(value, Table) else ""


def _text_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = json.dumps({"caption": caption, "rows": [header, *rows]}, ensure_ascii=True)
    return f"\n.. text-table::\n\n   {text}\n\n"


def note_unmeasured(gallery_conf: dict[str, Any], target: Path) -> None:
    """Add the names that the example asked for in vain, so that pages which cite them know them for real ones."""
    if timing.ASKED:
        made = [Path(gallery_conf["src_dir"], folder) for folder in as_list(gallery_conf["gallery_dirs"])]
        file = next(folder for folder in made if target.is_relative_to(folder)) / NOT_YET
        known = set(file.read_text(encoding="utf-8", errors="replace").split()) if file.exists() else set()
        with file.open("a", encoding="utf-8") as notes:  # sphinx-gallery's workers may add theirs at the same time
            notes.write("".join(f"\n{name}" for name in sorted(timing.ASKED - known)))
        timing.ASKED.clear()


class RecordedResult(RecordsDirective):
    """``recorded-result``: the comparisons named, on each machine; with ``:facts:`` all there is to say of the only one."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"facts": directives.flag}  # noqa: RUF012 - docutils' own way

    def run(self) -> list[nodes.Node]:
        """Return a panel for each machine; where no record has one of the comparisons, a line that says so."""
        names, records, examples = self.arguments[0].split(), self.records(), generated(self.env, self.config)
        one = "facts" in self.options
        panels = facts_by_machine(names[0], records, examples) if one else by_machine(names, records, examples)
        if panels:
            return [tabs(panels, classes=[RESULT])]
        yet = records.shown is None or any(records.unmeasured(name, examples) for name in names)
        words = f"{UNMEASURED.capitalize()}." if yet else NOBODY
        return [nodes.container("", named(*names), paragraph(words), classes=[RESULT])]


class TextTable(SphinxDirective):
    """``text-table``: one JSON object with a caption and rows of text, the first of them the header."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        found = json.loads("".join(self.content))
        header, *rows = found["rows"]
        made = table(header, rows, caption=found["caption"])
        made["classes"].append(RESULT)
        return [made]
