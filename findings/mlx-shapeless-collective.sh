#!/usr/bin/env bash
# mx.compile(..., shapeless=True) around mx.distributed.all_sum: passes on one process, raises on two.
#
# A sum over processes has the shape of its argument, so it looks made for shapeless compilation. MLX has no rule for its
# shape and refuses it at the first call. On one process all_sum returns its argument and isn't in the graph, so a test there
# passes for every size.
#
# Guessed before it was run: it works on both.
# Seen with mlx and mlx-cpu 0.32.4 on Linux (ring backend, two processes on one machine), Python 3.11.
# Source: the packages mlx and mlx-cpu, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/expected" <<'TEXT'
1 process   sizes [2, 3]
2 processes ValueError: [Primitive::output_shapes] Sum AllReduce cannot infer output shapes.
TEXT

cat >"$folder/program.py" <<'PYTHON'
import mlx.core as mx

group = mx.distributed.init()
total = mx.compile(lambda x: mx.distributed.all_sum(x) * 2, shapeless=True)
try:
    seen = f"sizes {[total(mx.ones(n)).size for n in (2, 3)]}"
except ValueError as error:
    seen = f"ValueError: {error}"
if group.rank() == 0:
    print("1 process  " if group.size() == 1 else "2 processes", seen)
PYTHON

"$folder/venv/bin/python" "$folder/program.py" >"$folder/seen"
"$folder/venv/bin/mlx.launch" -n 2 --backend ring --python "$folder/venv/bin/python" "$folder/program.py" >>"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
