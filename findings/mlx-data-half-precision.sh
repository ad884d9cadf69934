#!/usr/bin/env bash
# mlx-data takes an array of MLX, and no NumPy array of float16, int16 or bool.
#
# A loader for a framework that computes in half precision should hold half-precision arrays. It refuses them, and masks
# (bool) as well. float32, float64, int8, uint8, int32 and int64 pass, and so do float32 arrays of MLX, which come back as NumPy's.
#
# Guessed before it was run: float16 works, and an MLX array raises a TypeError.
# Seen with mlx-data 0.1.0 (the newest that installs here), mlx and mlx-cpu 0.32.4, NumPy 2.4.6 on Linux, Python 3.11.
# Source: the package mlx-data, from the repository ml-explore/mlx-data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mlx-data==0.1.0 'mlx[cpu]==0.32.4' numpy==2.4.6

cat >"$folder/expected" <<'TEXT'
float16  ValueError: [to_array] Unsupported array type 'e'
int16    ValueError: [to_array] Unsupported array type 'h'
bool     ValueError: [to_array] Unsupported array type '?'
float32  float32
mx.array ndarray float32
TEXT

cat >"$folder/program.py" <<'PYTHON'
import mlx.core as mx
import mlx.data as dx
import numpy as np

for dtype in ("float16", "int16", "bool", "float32"):
    try:
        seen = dx.buffer_from_vector([{"x": np.ones(2, dtype=dtype)}])[0]["x"].dtype
    except ValueError as error:
        seen = f"ValueError: {error}"
    print(f"{dtype:8}", seen)
back = dx.buffer_from_vector([{"x": mx.ones(2)}])[0]["x"]
print("mx.array", type(back).__name__, back.dtype)
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
