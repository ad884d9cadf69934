#!/usr/bin/env bash
# A numbered list that skips a number is no list for docutils, but one paragraph with the numbers in it, and nothing warns.
#
# "1. first" followed by "3. third" becomes the text "1. first 3. third", and "1." followed by "2." becomes a list. CommonMark
# takes the first number of a list and counts on, whatever the others say.
#
# Guessed before it was run: two lists and a warning.
# Seen with docutils 0.22.4 and markdown-it-py 4.3.0, Python 3.11.
# Source: the packages docutils, from its repository on SourceForge, and markdown-it-py, from executablebooks/markdown-it-py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check docutils==0.22.4 markdown-it-py==4.3.0

cat >"$folder/expected" <<'TEXT'
1 and 2, docutils:   enumerated_list 2
1 and 3, docutils:   paragraph 1
1 and 3, CommonMark: ordered_list 2
messages: none
TEXT

cat >"$folder/program.py" <<'PYTHON'
import io

from docutils.core import publish_doctree
from docutils.nodes import list_item
from markdown_it import MarkdownIt

shown = io.StringIO()


def first(text):
    """Return what the text becomes, and how many items or paragraphs it has."""
    tree = publish_doctree(text, settings_overrides={"warning_stream": shown})
    return tree[0].tagname, len(list(tree.findall(list_item))) or len(tree)


print("1 and 2, docutils:  ", *first("1. first\n2. second\n"))
print("1 and 3, docutils:  ", *first("1. first\n3. third\n"))
tokens = [token.type for token in MarkdownIt().parse("1. first\n3. third\n")]
print("1 and 3, CommonMark:", tokens[0].removesuffix("_open"), tokens.count("list_item_open"))
print("messages:", shown.getvalue() or "none")
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
