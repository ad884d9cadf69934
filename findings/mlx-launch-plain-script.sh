#!/usr/bin/env bash
# mlx.launch doesn't start a Python file under Python, and its exit status doesn't tell.
#
# `mlx.launch -n 2 script.py` hands the file to a shell, which refuses it because it has no executable bit. No process runs
# the file, at least one is reported with code 126, and the launcher's status is 0. With --python both processes run it,
# though --help calls that an option for remote hosts.
#
# Guessed before it was run: the launcher puts its own Python before the script, so both processes run it.
# Seen with mlx and mlx-cpu 0.32.4 on Linux (ring backend, two processes on one machine), Python 3.11.
# Source: the packages mlx and mlx-cpu, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/expected" <<'TEXT'
plain script: status 0, started 0 times, refused: yes
with --python: status 0, started 2 times, refused: no
TEXT

echo 'print("started")' >"$folder/program.py"

launch() {
    local label=$1 status=0 refused=no
    shift
    "$folder/venv/bin/mlx.launch" -n 2 --backend ring "$@" "$folder/program.py" >"$folder/out" 2>&1 || status=$?
    if grep -q 'exited with code 126' "$folder/out"; then refused=yes; fi
    echo "$label: status $status, started $(grep -c '^started' "$folder/out") times, refused: $refused"
}

{
    launch "plain script"
    launch "with --python" --python "$folder/venv/bin/python"
} >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
