#!/usr/bin/env bash
# rich.filesize shows 999,999 bytes as "1,000.0 kB", not as "1.0 MB".
#
# The unit is chosen before the number is rounded. So just below each unit there is a range of sizes that are shown with four digits
# and a thousands separator, in the smaller unit: a column that is wide enough for "999.9 kB" is too narrow there.
#
# Guessed before it was run: 1.0 MB.
# Seen with rich 15.0.0, Python 3.11.
# Source: rich/filesize.py of the package rich, from the repository Textualize/rich.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check rich==15.0.0

cat >"$folder/expected" <<'TEXT'
999949    999.9 kB
999950    1,000.0 kB
999999    1,000.0 kB
1000000   1.0 MB
999999999 1,000.0 MB
TEXT

cat >"$folder/program.py" <<'PYTHON'
from rich.filesize import decimal

for size in (999_949, 999_950, 999_999, 1_000_000, 999_999_999):
    print(f"{size:<9} {decimal(size)}")
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
