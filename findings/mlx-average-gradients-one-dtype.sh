#!/usr/bin/env bash
# nn.average_gradients puts small gradients together and sends them as one message, unless one of them has another dtype.
#
# Four arrays of two values are one collective. With one float16 array among them one would expect two, one for each dtype. It
# is four: with mixed dtypes nothing is put together. The result is the same, only slower the more arrays there are.
#
# Guessed before it was run: one message for each dtype.
# Seen with mlx and mlx-cpu 0.32.4 on Linux (ring backend, two processes on one machine), Python 3.11.
# Source: mlx/nn/utils.py of the package mlx, from the repository ml-explore/mlx.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'mlx[cpu]==0.32.4'

cat >"$folder/expected" <<'TEXT'
one dtype:  1 message
two dtypes: 4 messages
TEXT

cat >"$folder/program.py" <<'PYTHON'
import io

import mlx.core as mx
import mlx.nn as nn


def messages(last):
    gradients = {"a": mx.ones(2), "b": mx.ones(2), "c": mx.ones(2), "d": mx.ones(2, dtype=last)}
    averaged = nn.average_gradients(gradients)
    dot = io.StringIO()
    mx.export_to_dot(dot, *averaged.values())
    mx.eval(averaged)
    return dot.getvalue().count("AllReduce")


group = mx.distributed.init(strict=True)
same, mixed = messages(mx.float32), messages(mx.float16)
if group.rank() == 0:
    print("one dtype: ", same, "message")
    print("two dtypes:", mixed, "messages")
PYTHON

"$folder/venv/bin/mlx.launch" -n 2 --backend ring --python "$folder/venv/bin/python" "$folder/program.py" >"$folder/seen"

diff "$folder/expected" "$folder/seen"
echo "as described"
