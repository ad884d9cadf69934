#!/usr/bin/env bash
# msgspec rounds a time stamp that is finer than a microsecond, and so may move it into the next second, day and year.
#
# Python's datetime holds microseconds. datetime.fromisoformat cuts the digits beyond them off; msgspec rounds them. The last
# 100 nanoseconds of a year come out as the first moment of the next one, while the standard library keeps the year.
#
# Guessed before it was run: the digits beyond a microsecond are cut off.
# Seen with msgspec 0.23.0, Python 3.11.
# Source: the package msgspec, from the repository jcrist/msgspec.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check msgspec==0.23.0

cat >"$folder/expected" <<'TEXT'
msgspec 2021-01-01 00:00:00+00:00
stdlib  2020-12-31 23:59:59.999999+00:00
TEXT

cat >"$folder/program.py" <<'PYTHON'
from datetime import datetime

import msgspec

TEXT = "2020-12-31T23:59:59.9999999+00:00"
print("msgspec", msgspec.json.decode(f'"{TEXT}"'.encode(), type=datetime))
print("stdlib ", datetime.fromisoformat(TEXT))
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
