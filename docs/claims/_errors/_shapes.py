"""Error catalogue: shapeless compilation, models, files and backends."""

from __future__ import annotations

from ._entry import Entry

ENTRIES = (
    Entry(
        "shapeless-cannot-infer",
        "shapeless=True around an operation that cannot be shapeless",
        """
import mlx.core as mx

mx.compile(lambda x: x[:, 1:], shapeless=True)(mx.ones((4, 3)))
""",
        "The operation named in the message cannot compute its output's shape from its inputs' shapes; "
        "slices, random "
        "draws, split and pad are among them (see the support table).",
        """
import mlx.core as mx

mx.compile(lambda x: x[:, 1:])(mx.ones((4, 3)))
""",
    ),
    Entry(
        "shapeless-reshape",
        "shapeless=True around a reshape by x.shape",
        """
import mlx.core as mx

fun = mx.compile(lambda x: x.reshape(x.shape[0] * x.shape[1], -1), shapeless=True)
fun(mx.ones((2, 3, 4)))
fun(mx.ones((5, 5, 3)))
""",
        "x.shape[0] * x.shape[1] is a Python number, fixed by the first call. For sizes that happen to fit, "
        "the result is "
        "silently wrong instead.",
        """
import mlx.core as mx

fun = mx.compile(lambda x: x.flatten(0, 1), shapeless=True)
fun(mx.ones((2, 3, 4)))
assert fun(mx.ones((5, 5, 3))).shape == (25, 3)
""",
    ),
    Entry(
        "shapeless-broadcast",
        "shapeless=True around mx.repeat",
        """
import mlx.core as mx

fun = mx.compile(lambda x: mx.repeat(x, 2, axis=0), shapeless=True)
fun(mx.ones((4, 3)))
fun(mx.ones((6, 3)))
""",
        "mx.repeat broadcasts to a shape that it computes in Python, so it is fixed by the first call.",
        """
import mlx.core as mx

fun = mx.compile(lambda x: mx.stack([x, x], axis=1).flatten(0, 1), shapeless=True)
fun(mx.ones((4, 3)))
assert fun(mx.ones((6, 3))).shape == (12, 3)
""",
    ),
    Entry(
        "model-apply",
        "model.apply(parameters, x) as if it called the model",
        """
import mlx.core as mx
import mlx.nn as nn

model = nn.Linear(2, 2)
model.apply(model.parameters(), mx.ones((1, 2)))
""",
        "apply maps a function over the model's own parameters; the second argument is a filter.",
        """
import mlx.core as mx
import mlx.nn as nn

model = nn.Linear(2, 2)
model.update(model.parameters())
model(mx.ones((1, 2)))
""",
    ),
    Entry(
        "pickle",
        "Pickling a compiled function, as multiprocessing does",
        """
import operator
import pickle

import mlx.core as mx

pickle.dumps(mx.compile(operator.neg))
""",
        "A compiled function belongs to its process's trace cache and has no form to be sent; send the "
        "plain function and "
        "compile it where it arrives.",
        """
import operator
import pickle

import mlx.core as mx

sent = pickle.dumps(operator.neg)
mx.compile(pickle.loads(sent))(mx.ones((4,)))
""",
    ),
    Entry(
        "imported-shape",
        "Another shape for an imported function",
        """
import mlx.core as mx

mx.export_function("fun.mlxfn", lambda x: mx.exp(x), mx.ones((4,)))
mx.import_function("fun.mlxfn")(mx.ones((5,)))
""",
        "What is exported is a trace for the shapes given; there is no Python function left to trace again.",
        """
import mlx.core as mx

mx.export_function("fun.mlxfn", lambda x: mx.exp(x), mx.ones((4,)), shapeless=True)
mx.import_function("fun.mlxfn")(mx.ones((5,)))
""",
    ),
    Entry(
        "compiler-fails",
        "A C++ compiler that is there and fails (CPU backend)",
        """
import os
from pathlib import Path

import mlx.core as mx

Path("bin").mkdir()
Path("bin/g++").write_text('#!/bin/sh\\n[ "$1" = --version ] || exit 3\\n')
Path("bin/g++").chmod(0o755)
os.environ["PATH"] = f"{Path('bin').absolute()}:{os.environ['PATH']}"

y = mx.compile(lambda x: mx.exp(x) * 2)(mx.ones((4,)))
mx.eval(y)
""",
        "The CPU backend builds each fused kernel with g++ when its result is evaluated, not when the "
        "function is called. "
        "Without any g++, newer versions run the function uncompiled instead, without a word.",
        """
import mlx.core as mx

y = mx.compile(lambda x: mx.exp(x) * 2)(mx.ones((4,)))
mx.eval(y)
""",
    ),
    Entry(
        "no-gpu-stream",
        "A GPU stream on a machine without a GPU backend",
        """
import mlx.core as mx

mx.compile(lambda x: mx.exp(x, stream=mx.gpu))(mx.ones((4,)))
""",
        "Mixing CPU and GPU streams in one compiled function needs an MLX that was built with a GPU backend.",
        """
import mlx.core as mx

mx.compile(lambda x: mx.exp(x, stream=mx.default_device()))(mx.ones((4,)))
""",
    ),
)
