#!/usr/bin/env bash
# A function that MLX 0.32.0 exported to a file can't be read by MLX 0.32.4, and the message doesn't speak of versions.
#
# The file begins with the version of the MLX that wrote it, so one would expect it to be read, or refused by that number.
# What comes instead is "Invalid string size": the layout changed between two patch releases, and what follows the number is
# read in the new one. MLX 0.31.2 reads the same file, so files outlived a minor release and then not a patch release.
#
# Guessed before it was run: newer releases read older files, and older ones name the version that they lack.
# Seen with mlx and mlx-cpu 0.31.2, 0.32.0 and 0.32.4 on Linux, Python 3.11.
# Source: the packages mlx and mlx-cpu, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/expected" <<'TEXT'
0.32.0 writes
0.31.2 reads [1.0, 1.0]
0.32.0 reads [1.0, 1.0]
0.32.4 RuntimeError: [import_function] Invalid string size.
TEXT

cat >"$folder/program.py" <<'PYTHON'
import sys

import mlx.core as mx

if sys.argv[1] == "write":
    mx.export_function("wave.mlxfn", lambda x: mx.exp(x), mx.zeros(2))
    print(mx.__version__, "writes")
else:
    try:
        print(mx.__version__, "reads", mx.import_function("wave.mlxfn")(mx.zeros(2))[0].tolist())
    except RuntimeError as error:
        print(f"{mx.__version__} RuntimeError: {error}")
PYTHON

cd "$folder"
for release in 0.32.0 0.31.2 0.32.4; do
    python3 -m venv "$release"
    "$release/bin/python" -m pip install --quiet --disable-pip-version-check "mlx[cpu]==$release"
done
0.32.0/bin/python program.py write >seen
for release in 0.31.2 0.32.0 0.32.4; do
    "$release/bin/python" program.py read >>seen
done
diff expected seen
echo "as described"
