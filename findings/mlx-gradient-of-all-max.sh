#!/usr/bin/env bash
# The gradient of mx.distributed.all_max, where process 1 holds the maximum and process 0 doesn't.
#
# The maximum of a single array sends its gradient to the place that held it. The maximum over processes sends it to every
# process: the process whose value had no influence on the result gets a gradient of 1, too. Nothing warns.
#
# Guessed before it was run: it raises, since no derivative is known for it.
# Seen with mlx and mlx-cpu 0.32.4 on Linux (ring backend, two processes on one machine), Python 3.11.
# Source: the packages mlx and mlx-cpu, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/expected" <<'TEXT'
in one array       [0.0, 1.0]
over two processes [1.0, 1.0]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import mlx.core as mx

group = mx.distributed.init(strict=True)
mine = mx.array([float(group.rank())])
gradient = mx.grad(lambda x: mx.distributed.all_max(x).sum())(mine)
both = mx.distributed.all_gather(gradient)
mx.eval(both)
if group.rank() == 0:
    print("in one array      ", mx.grad(mx.max)(mx.array([0.0, 1.0])).tolist())
    print("over two processes", both.tolist())
PYTHON

"$folder/venv/bin/mlx.launch" -n 2 --backend ring --python "$folder/venv/bin/python" "$folder/program.py" >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
