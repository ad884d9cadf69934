#!/usr/bin/env bash
# A notebook cell that prints, warns and prints again is stored as both prints first and the warning after them.
#
# The cell writes "one" to stdout, "warned" to stderr and "two" to stdout. One would expect three outputs in the order of
# writing, since a script's stderr isn't held back. The kernel collects each stream for itself and sends them one after the
# other, so the notebook holds two outputs: what was written last stands before what was written second. A rendered notebook doesn't
# tell during which step a warning came, unless each print flushes.
#
# Guessed before it was run: three outputs, in order.
# Seen with nbclient 0.11.0, nbformat 5.11.1, ipykernel 7.4.0, Python 3.11.
# Source: the packages nbclient, from the repository jupyter/nbclient, and ipykernel, from ipython/ipykernel.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nbclient==0.11.0 nbformat==5.11.1 ipykernel==7.4.0

cat >"$folder/expected" <<'TEXT'
as written   [('stdout', 'one two'), ('stderr', 'warned')]
with flushes [('stdout', 'one'), ('stderr', 'warned'), ('stdout', 'two')]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import nbformat
from nbclient import NotebookClient

AS_WRITTEN = """
import sys
print("one")
print("warned", file=sys.stderr)
print("two")
"""
FLUSHED = """
import sys, time
for text, stream in (("one", sys.stdout), ("warned", sys.stderr), ("two", sys.stdout)):
    print(text, file=stream, flush=True)
    time.sleep(0.5)
"""
cells = [nbformat.v4.new_code_cell(code) for code in (AS_WRITTEN, FLUSHED)]
NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=60).execute()
for name, cell in zip(("as written  ", "with flushes"), cells):
    print(name, [(output.name, " ".join(output.text.split())) for output in cell.outputs])
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
