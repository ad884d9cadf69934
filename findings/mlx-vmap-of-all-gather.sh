#!/usr/bin/env bash
# Two rows of three values on each of two processes, gathered row by row: mx.vmap(mx.distributed.all_gather).
#
# all_gather of one row of three on two processes has six values, so vmap over two rows should give the shape (2, 6). It
# gives (4, 3), which is what all_gather gives for the whole matrix without vmap: the rows of the second process below those
# of the first. There is no error. On one process the shape is right, since all_gather returns its argument there.
#
# Guessed before it was run: vmap refuses a collective.
# Seen with mlx and mlx-cpu 0.32.4 on Linux (ring backend, two processes on one machine), Python 3.11.
# Source: the packages mlx and mlx-cpu, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/expected" <<'TEXT'
mapped [[0, 1, 2], [3, 4, 5], [10, 11, 12], [13, 14, 15]]
whole  [[0, 1, 2], [3, 4, 5], [10, 11, 12], [13, 14, 15]]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import mlx.core as mx

group = mx.distributed.init(strict=True)
rows = mx.arange(6).reshape(2, 3) + 10 * group.rank()
mapped = mx.vmap(mx.distributed.all_gather)(rows)
whole = mx.distributed.all_gather(rows)
mx.eval(mapped, whole)
if group.rank() == 0:
    print("mapped", mapped.tolist())
    print("whole ", whole.tolist())
PYTHON

"$folder/venv/bin/mlx.launch" -n 2 --backend ring --python "$folder/venv/bin/python" "$folder/program.py" >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
