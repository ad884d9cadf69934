#!/usr/bin/env bash
# mx.load reads an 8-bit float of a safetensors file as an integer, without an error or a warning.
#
# A file with a float8_e4m3fn array, written by the safetensors package itself. mx.load has no such dtype and returns the raw
# codes as uint8: 1.0 becomes 56 and -0.5 becomes 176, and computing goes on with those. mx.from_fp8 turns them into numbers
# again, for the one who knows that it is needed.
#
# Guessed before it was run: a dtype that MLX doesn't have is refused.
# Seen with mlx and mlx-cpu 0.32.4, safetensors 0.8.0, ml_dtypes 0.6.0, NumPy 2.4.6 on Linux, Python 3.11.
# Source: the packages mlx, from the repository ml-explore/mlx, and safetensors, from huggingface/safetensors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4' safetensors==0.8.0 ml_dtypes==0.6.0 numpy==2.4.6

cat >"$folder/expected" <<'TEXT'
safetensors float8_e4m3fn [1.0, 2.0, -0.5]
mx.load     mlx.core.uint8 [56, 64, 176]
mx.from_fp8 [1.0, 2.0, -0.5]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import ml_dtypes
import mlx.core as mx
import numpy as np
from safetensors.numpy import save_file

values = np.array([1.0, 2.0, -0.5], dtype=ml_dtypes.float8_e4m3fn)
save_file({"values": values}, "values.safetensors")
loaded = mx.load("values.safetensors")["values"]
print("safetensors", values.dtype, values.astype(float).tolist())
print("mx.load    ", loaded.dtype, loaded.tolist())
print("mx.from_fp8", mx.from_fp8(loaded, dtype=mx.float32).tolist())
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
