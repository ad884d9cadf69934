"""Error catalogue: values, state and arguments of a compiled function."""

from __future__ import annotations

from ._entry import Entry

ENTRIES = (
    Entry(
        "eval-while-tracing",
        "Looking at a value inside a compiled function",
        """
import mlx.core as mx

def fun(x):
    print("the sum is", x.sum())
    return x * 2

mx.compile(fun)(mx.ones((4,)))
""",
        "While a function is traced its arrays are placeholders without values, so whatever needs a value "
        "raises: print, "
        "if, bool(), float(), item(), tolist(), np.array() and mx.eval.",
        """
import mlx.core as mx

def fun(x):
    return x * 2, x.sum()

result, total = mx.compile(fun)(mx.ones((4,)))
print("the sum is", total)
""",
    ),
    Entry(
        "async-eval-while-tracing",
        "mx.async_eval inside a compiled function",
        """
import mlx.core as mx

def fun(x):
    y = mx.exp(x)
    mx.async_eval(y)
    return y

mx.compile(fun)(mx.ones((4,)))
""",
        "The same rule with a message of its own: nothing can be evaluated while tracing.",
        """
import mlx.core as mx

y = mx.compile(lambda x: mx.exp(x))(mx.ones((4,)))
mx.async_eval(y)
""",
    ),
    Entry(
        "array-without-primitive",
        "State that a compiled function changed without capturing it",
        """
import mlx.core as mx

state = []

def fun(x):
    state.append(x + 1)
    return x * 2

mx.compile(fun)(mx.ones((4,)))
print(state)
""",
        "The list got a placeholder of the trace, which never has a value; the same message comes from a "
        "model whose state "
        "isn't in outputs=, and after an exception in a function with captured inputs.",
        """
import mlx.core as mx

state = []

def fun(x):
    state.append(x + 1)
    return x * 2

mx.compile(fun, outputs=state)(mx.ones((4,)))
print(state)
""",
    ),
    Entry(
        "uncaptured-inputs",
        "A tuple or a bare array as captured state",
        """
import mlx.core as mx

state = (mx.array(1.0),)
mx.compile(lambda x: x + state[0], inputs=state)(mx.ones((4,)))
""",
        "Only lists and dictionaries are searched for captured arrays. The message also comes when an "
        "argument is an array "
        "that the function closes over, and from inputs=model.parameters(), which is a copy: use "
        "model.state.",
        """
import mlx.core as mx

state = [mx.array(1.0)]
mx.compile(lambda x: x + state[0], inputs=state)(mx.ones((4,)))
""",
    ),
    Entry(
        "argument-type",
        "An argument that is neither array, number, string nor container",
        """
import mlx.core as mx
import numpy as np

mx.compile(lambda x: mx.exp(x))(np.ones(4))
""",
        "Arguments become part of the trace's key, and MLX knows how to do that for few types; objects of "
        "your own, NumPy "
        "arrays and scalars, enum members, dtypes and complex numbers are refused, and None before 0.29.2.",
        """
import mlx.core as mx
import numpy as np

mx.compile(lambda x: mx.exp(x))(mx.array(np.ones(4)))
""",
    ),
    Entry(
        "module-argument",
        "A model passed as an argument: 'dict' object is not callable",
        """
import mlx.core as mx
import mlx.nn as nn

mx.compile(lambda layer, x: layer(x))(nn.Linear(2, 2), mx.ones((1, 2)))
""",
        "An nn.Module is a dictionary, and a dictionary among the arguments arrives as a plain one, with the arrays and without "
        "the class; close over the model, and capture its state.",
        """
import mlx.core as mx
import mlx.nn as nn

layer = nn.Linear(2, 2)
mx.compile(lambda x: layer(x), inputs=layer.state)(mx.ones((1, 2)))
""",
    ),
    Entry(
        "compiled-layer",
        "A compiled layer inside a model that is given new weights",
        """
import mlx.core as mx
import mlx.nn as nn

model = nn.Sequential(nn.Linear(2, 2))
model.layers[0] = mx.compile(model.layers[0])
model.update(model.parameters())
""",
        "The compiled object passes isinstance and lists the layer's weights, but isn't a dictionary, as a layer is; update, "
        "load_weights and optimizers raise. Compile a function that calls the model.",
        """
import mlx.core as mx
import mlx.nn as nn

model = nn.Sequential(nn.Linear(2, 2))
fast = mx.compile(lambda x: model(x), inputs=model.state)
fast(mx.ones((1, 2)))
model.update(model.parameters())
""",
    ),
    Entry(
        "decorator-options",
        "Options given to the decorator itself",
        """
import mlx.core as mx

@mx.compile(shapeless=True)
def fun(x):
    return mx.exp(x)
""",
        "mx.compile wants the function as its first argument; it is no decorator factory.",
        """
from functools import partial

import mlx.core as mx

@partial(mx.compile, shapeless=True)
def fun(x):
    return mx.exp(x)

fun(mx.ones((4,)))
""",
    ),
    Entry(
        "method-without-self",
        "@mx.compile on a method",
        """
import mlx.core as mx

class Model:
    @mx.compile
    def step(self, x):
        return mx.exp(x)

Model().step(mx.ones((4,)))
""",
        "What mx.compile returns does not bind self as a Python function does.",
        """
import mlx.core as mx

class Model:
    def __init__(self):
        self.step = mx.compile(self._step)

    def _step(self, x):
        return mx.exp(x)

Model().step(mx.ones((4,)))
""",
    ),
    Entry(
        "integer-too-large",
        "A Python integer from 2**63 on as an argument, such as a 64-bit seed",
        """
import mlx.core as mx

mx.compile(lambda x, seed: x + mx.random.normal(x.shape, key=mx.random.key(seed)))(mx.ones((4,)), 2**63)
""",
        "A number is part of the trace's key as a signed integer of 64 bits; half of all 64-bit seeds and hashes do not "
        "fit, and the message doesn't say so.",
        """
import mlx.core as mx

mx.compile(lambda x, key: x + mx.random.normal(x.shape, key=key))(mx.ones((4,)), mx.random.key(2**63))
""",
    ),
    Entry(
        "boolean-index",
        "Picking values by a condition",
        """
import mlx.core as mx

mx.compile(lambda x: x[x > 0].sum())(mx.array([-1.0, 2.0]))
""",
        "How many values are picked depends on the data, which a graph of fixed shapes cannot say; "
        "uncompiled code raises "
        "the same.",
        """
import mlx.core as mx

mx.compile(lambda x: mx.where(x > 0, x, 0).sum())(mx.array([-1.0, 2.0]))
""",
    ),
)
