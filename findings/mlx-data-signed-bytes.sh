#!/usr/bin/env bash
# mlx-data turns bytes into signed integers: the byte 200 comes out as -56.
#
# A sample of a buffer may hold bytes, such as the content of a file. What comes out is a NumPy array of int8, where NumPy itself
# and most image code read bytes as uint8. Values from 128 on are negative, so a mean, a comparison or a lookup goes wrong, and
# text in ASCII looks right all the while.
#
# Guessed before it was run: uint8.
# Seen with mlx-data 0.1.0 (the newest that installs here), NumPy 2.4.6 on Linux, Python 3.11.
# Source: the package mlx-data, from the repository ml-explore/mlx-data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mlx-data==0.1.0 numpy==2.4.6

cat >"$folder/expected" <<'TEXT'
mlx-data int8 [97, -56, -1]
numpy    uint8 [97, 200, 255]
TEXT

cat >"$folder/program.py" <<'PYTHON'
import mlx.data as dx
import numpy as np

content = bytes([97, 200, 255])
sample = dx.buffer_from_vector([{"content": content}])[0]
print("mlx-data", sample["content"].dtype, sample["content"].tolist())
numbers = np.frombuffer(content, dtype=np.uint8)
print("numpy   ", numbers.dtype, numbers.tolist())
PYTHON

(cd "$folder" && venv/bin/python program.py) >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
