#!/usr/bin/env bash
# asv has no unit below a nanosecond, and a time is rounded after its unit was chosen.
#
# 100 picoseconds are shown as "0.100ns". 999.9 milliseconds are shown as "1000ms" and 1 second as "1.00s": in a table of
# results, two times that are equal after rounding stand there in two units.
#
# Guessed before it was run: "100ps" for the smaller time.
# Seen with asv 0.6.6, Python 3.11.
# Source: asv/util.py of the package asv, from the repository airspeed-velocity/asv.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check asv==0.6.6

cat >"$folder/expected" <<'TEXT'
1e-10   0.100ns
0.9999  1000ms
1.0     1.00s
TEXT

cat >"$folder/program.py" <<'PYTHON'
from asv.util import human_time

for seconds in (1e-10, 0.9999, 1.0):
    print(f"{seconds:<7} {human_time(seconds)}")
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
