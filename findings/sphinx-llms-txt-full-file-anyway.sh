#!/usr/bin/env bash
# sphinx-llms-txt writes llms-full.txt although llms_txt_full_file is False.
#
# The setting only silences the warning for pages whose sources aren't copied. With copied sources, Sphinx's default, the file is
# written either way, and it replaces a file of that name that html_extra_path brought. Without copied sources there is none.
#
# Guessed before it was run: the file isn't written.
# Seen with sphinx-llms-txt 0.7.1 and Sphinx 9.0.4, Python 3.11.
# Source: the package sphinx-llms-txt, from the repository jdillard/sphinx-llms-txt.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check sphinx==9.0.4 sphinx-llms-txt==0.7.1

mkdir -p "$folder/docs" "$folder/extra"
printf 'Title\n=====\n\nWords.\n' >"$folder/docs/index.rst"
echo "written by hand" >"$folder/extra/llms-full.txt"

build() { # what is in llms-full.txt after a build with these settings
    {
        echo 'extensions, llms_txt_full_file = ["sphinx_llms_txt"], False'
        printf '%s\n' "$1"
    } >"$folder/docs/conf.py"
    rm -rf "$folder/html"
    "$folder/venv/bin/python" -m sphinx -q "$folder/docs" "$folder/html"
    if [ ! -f "$folder/html/llms-full.txt" ]; then
        echo "not written"
    elif grep -q "by hand" "$folder/html/llms-full.txt"; then
        echo "the file written by hand"
    else
        echo "the pages' sources"
    fi
}

cat >"$folder/expected" <<'TEXT'
setting False:                     the pages' sources
and a file of one's own beside it: the pages' sources
and no sources copied:             not written
TEXT

{
    echo "setting False:                     $(build '')"
    echo "and a file of one's own beside it: $(build 'html_extra_path = ["../extra"]')"
    echo "and no sources copied:             $(build 'html_copy_source = False')"
} >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
