#!/usr/bin/env bash
# mx.save writes a bfloat16 array into a .npy file, and NumPy reads it as two bytes of raw data each.
#
# NumPy has no bfloat16, so one would expect mx.save to refuse it, or np.load to. Neither does. The dtype in the header is V2
# ("void", two bytes): np.load returns an array of the right shape with which nothing can be computed. MLX itself reads
# its file back as bfloat16. With ml_dtypes, a view brings the numbers back in NumPy.
#
# Guessed before it was run: mx.save raises.
# Seen with mlx and mlx-cpu 0.32.4, NumPy 2.4.6, ml_dtypes 0.6.0 on Linux, Python 3.11.
# Source: the packages mlx, from the repository ml-explore/mlx, and numpy, from numpy/numpy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4' numpy==2.4.6 ml_dtypes==0.6.0

cat >"$folder/expected" <<'TEXT'
numpy |V2 (2,)
view  [1.0, 2.0]
mlx   mlx.core.bfloat16 [1.0, 2.0]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import ml_dtypes
import mlx.core as mx
import numpy as np

mx.save("values.npy", mx.array([1.0, 2.0], dtype=mx.bfloat16))
raw = np.load("values.npy")
print("numpy", raw.dtype, raw.shape)
print("view ", raw.view(ml_dtypes.bfloat16).astype(float).tolist())
loaded = mx.load("values.npy")
print("mlx  ", loaded.dtype, loaded.tolist())
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
