"""The functions of the shapeless support table, as expressions in ``x``, by the sizes they are tried on.

An expression may start with assignments, separated from the result by ``;``. Besides ``mx`` and ``nn`` it may
use what ``names`` in ``_shapeless`` provides: evaluated weights, layers and a random key. An expression such as
``nn.GRU(4, 3)(x)`` calls a layer that was made, and evaluated, beforehand.

An operation that changes nothing at the first size, such as ``x[:2]`` of two rows, never enters the trace. So functions
that cut, reshape or sort are traced at several first sizes. Reductions are not: one that is traced with an axis of length 1
and then called with a longer axis can end the process, and no such call belongs into this file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    """The size of the call that traces, then smaller and larger ones, axis by axis, then all; none: not tried."""

    first: Shape
    smaller: tuple[Shape, ...]
    larger: tuple[Shape, ...]


@dataclass(frozen=True)
class Group:
    """Functions, the type of their argument, and the sizes that each is tried with."""

    dtype: str
    sizes: tuple[Sizes, ...]
    cases: dict[str, str]


ELEMENTWISE = {
    "mx.exp": "mx.exp(x)",
    "mx.add": "x + x",
    "mx.multiply (a row)": "x * mx.sum(x, axis=0)",
    "mx.where": "mx.where(x > 3, x, 0)",
    "mx.clip": "mx.clip(x, 2, 5)",
    "x.astype": "x.astype(mx.float16)",
    "mx.stop_gradient": "mx.stop_gradient(x)",
    "mx.grad of a sum of squares": "mx.grad(lambda x: mx.sum(mx.square(x)))(x)",
    "mx.grad through softmax": "mx.grad(lambda x: mx.sum(mx.square(mx.softmax(x / 100, axis=-1))))(x)",
    "mx.grad through a product": "mx.grad(lambda x: mx.sum(mx.square(x @ mx.transpose(x))))(x)",
    "mx.grad through flatten": "mx.grad(lambda x: mx.sum(mx.square(mx.flatten(x))))(x)",
    "mx.grad through concatenate": "mx.grad(lambda x: mx.sum(mx.square(mx.concatenate([x, x]))))(x)",
    "mx.grad through x[0]": "mx.grad(lambda x: mx.sum(mx.square(x[0])))(x)",
    "mx.vmap of a sum": "mx.vmap(lambda row: mx.sum(row))(x)",
    "mx.vmap of softmax": "mx.vmap(lambda row: mx.softmax(row))(x)",
    "mx.vmap of a row by its sum": "mx.vmap(lambda row: row * mx.sum(row))(x)",
    "mx.vmap of a gradient": "mx.vmap(mx.grad(lambda row: mx.sum(mx.square(row))))(x)",
    "x / x.shape[0]": "x / x.shape[0]",
    "x / x.size": "x / x.size",
}
REDUCTIONS = {
    "mx.sum": "mx.sum(x, axis=0)",
    "mx.mean": "mx.mean(x, axis=0)",
    "mx.var": "mx.var(x, axis=-1)",
    "mx.std": "mx.std(x, axis=-1)",
    "mx.max": "mx.max(x, axis=-1)",
    "mx.prod": "mx.prod(x, axis=-1)",
    "mx.all": "mx.all(x > 0, axis=0)",
    "mx.argmax": "mx.argmax(x, axis=-1)",
    "mx.logsumexp": "mx.logsumexp(x, axis=-1)",
    "mx.softmax": "mx.softmax(x, axis=-1)",
    "mx.cumsum": "mx.cumsum(x, axis=0)",
    "mx.cumprod": "mx.cumprod(x, axis=0)",
    "mx.cummax": "mx.cummax(x, axis=0)",
    "mx.logcumsumexp": "mx.logcumsumexp(x, axis=0)",
    "mx.median": "mx.median(x, axis=0)",
    "mx.trace": "mx.trace(x)",
    "mx.broadcast_to": "mx.broadcast_to(mx.sum(x, axis=0), x.shape)",
    "mx.linalg.norm": "mx.linalg.norm(x, axis=-1)",
}
SHAPES = {
    "mx.reshape to -1": "mx.reshape(x, (-1,))",
    "mx.reshape by x.shape": "mx.reshape(x, (x.shape[0], -1, 2))",
    "mx.reshape by numbers": "mx.reshape(x, (2, -1))",
    "mx.flatten": "mx.flatten(x)",
    "mx.unflatten": "mx.unflatten(x, 1, (-1, 2))",
    "mx.transpose": "mx.transpose(x)",
    "mx.swapaxes": "mx.swapaxes(x, 0, 1)",
    "mx.moveaxis": "mx.moveaxis(x, 0, 1)",
    "mx.expand_dims": "mx.expand_dims(x, 0)",
    "mx.squeeze": "mx.squeeze(x[None], 0)",
    "mx.tile": "mx.tile(x, (2, 1))",
    "mx.repeat": "mx.repeat(x, 2, axis=0)",
    "mx.concatenate": "mx.concatenate([x, x])",
    "mx.stack": "mx.stack([x, x])",
    "mx.split": "mx.split(x, 2)",
    "mx.split at an index": "mx.split(x, [2])[0]",
    "mx.pad": "mx.pad(x, 1)",
    "mx.roll": "mx.roll(x, 1, axis=0)",
    "mx.as_strided": "mx.as_strided(x, (2, 2), (2, 1))",
    "mx.contiguous": "mx.contiguous(mx.transpose(x))",
    "mx.view": "x.view(mx.int32)",
    "mx.atleast_3d": "mx.atleast_3d(x)",
}
CUTS = {
    "x[0]": "x[0]",
    "x[-1]": "x[-1]",
    "x[1:]": "x[1:]",
    "x[2:]": "x[2:]",
    "x[:2]": "x[:2]",
    "x[:-1]": "x[:-1]",
    "x[-2:]": "x[-2:]",
    "x[:, :2]": "x[:, :2]",
    "x[::2]": "x[::2]",
    "x[..., None]": "x[..., None]",
    "x[array of -1]": "x[last]",
    "Python loop over rows": "sum(x[i] for i in range(x.shape[0]))",
    "Python branch on a length": "mx.exp(-x) if x.shape[0] > 5 else mx.sin(x)",
}
INDEXING = {
    "x[array]": "x[rows]",
    "mx.take": "mx.take(x, rows, axis=0)",
    "mx.take (flat)": "mx.take(x, rows)",
    "mx.take_along_axis": "mx.take_along_axis(x, mx.argsort(x, axis=0), axis=0)",
    "mx.put_along_axis": "mx.put_along_axis(x, mx.argmax(x, axis=0, keepdims=True), mx.array(0.0), axis=0)",
    "x.at[0].add": "x.at[0].add(1.0)",
    "x.at[array].add": "x.at[rows].add(1.0)",
    "x[0] = 0": "x[0] = 0; x",
    "x[:, 0] = 0": "x[:, 0] = 0; x",
    "x[x > 3] = 0": "x[x > 3] = 0; x",
    "mx.slice": "mx.slice(x, mx.array([1]), (0,), (1, 2))",
    "mx.slice_update": "mx.slice_update(x, row, mx.array([1]), (0,))",
}
CREATION = {
    "mx.zeros": "mx.zeros(x.shape)",
    "mx.ones": "mx.ones(x.shape)",
    "mx.full": "mx.full(x.shape, 2.0)",
    "mx.zeros_like": "mx.zeros_like(x)",
    "mx.ones_like": "mx.ones_like(x)",
    "mx.arange": "mx.arange(x.shape[0])",
    "mx.linspace": "mx.linspace(0, 1, x.shape[0])",
    "mx.eye": "mx.eye(x.shape[0])",
    "mx.tri": "mx.tri(x.shape[0])",
    "mx.tril": "mx.tril(x)",
    "mx.triu": "mx.triu(x)",
    "mx.diag": "mx.diag(x)",
    "mx.diagonal": "mx.diagonal(x)",
    "mx.meshgrid": "mx.meshgrid(mx.sum(x, axis=0), mx.sum(x, axis=1))",
    "mx.random.uniform": "mx.random.uniform(shape=x.shape, key=key)",
    "mx.random.bernoulli": "mx.random.bernoulli(x / 100, key=key)",
    "mx.random.categorical": "mx.random.categorical(x, key=key)",
}
SORTING = {
    "mx.sort": "mx.sort(x, axis=0)",
    "mx.argsort": "mx.argsort(x, axis=-1)",
    "mx.partition": "mx.partition(x, 1, axis=0)",
    "mx.argpartition": "mx.take_along_axis(x, mx.argpartition(x, 1, axis=0), axis=0)",
    "mx.topk": "mx.topk(x, 2, axis=0)",
}
SORTING_FROM_END = {
    "mx.partition from the end": "mx.partition(x, -1, axis=0)",
    "mx.argpartition from the end": "mx.take_along_axis(x, mx.argpartition(x, -1, axis=0), axis=0)",
}
PRODUCTS = {
    "mx.matmul": "mx.matmul(x, mx.transpose(x))",
    "mx.inner": "mx.inner(x, x)",
    "mx.outer": "mx.outer(x, x)",
    "mx.tensordot": "mx.tensordot(x, x, axes=[[0], [0]])",
    "mx.einsum": "mx.einsum('ij,kj->ik', x, x)",
    "mx.kron": "mx.kron(x, mx.array([[1.0, 2.0]]))",
    "mx.fft.fft": "mx.abs(mx.fft.fft(x))",
    "mx.fft.rfft": "mx.abs(mx.fft.rfft(x))",
    "mx.fast.layer_norm": "mx.fast.layer_norm(x, None, None, 1e-5)",
    "mx.linalg.qr": "mx.linalg.qr(x)",
    "mx.linalg.svd": "mx.linalg.svd(x)[1]",
}
ROWS_ONLY = {
    "x @ w": "x @ w",
    "mx.addmm": "mx.addmm(bias, x, w)",
    "nn.Linear": "linear(x)",
    "nn.Linear without bias": "plain_linear(x)",
    "x @ weight.T + bias": "x @ linear.weight.T + linear.bias",
    "nn.gelu": "nn.gelu(x)",
    "nn.Dropout in training": "dropout(x)",
    "nn.losses.cross_entropy": "nn.losses.cross_entropy(x, mx.argmax(x, axis=-1))",
    "mx.quantized_matmul": "mx.quantized_matmul(mx.concatenate([x] * 16, axis=-1), *quantized, group_size=32)",
}
SQUARES = {
    "mx.linalg.inv": "mx.linalg.inv(x)",
    "mx.linalg.cholesky": "mx.linalg.cholesky(x @ mx.transpose(x))",
    "mx.linalg.solve": "mx.linalg.solve(x, x)",
}
SEQUENCES = {
    "mx.conv1d": "mx.conv1d(x, filters)",
    "mx.fast.scaled_dot_product_attention": "mx.fast.scaled_dot_product_attention(x[None], x[None], "
    "x[None], scale=1.0)",
    "mx.fast.rope": "mx.fast.rope(x, 8, traditional=False, base=10000.0, scale=1.0, offset=0)",
}
INDICES = {"nn.Embedding": "embedding(x)", "mx.take by x": "mx.take(w, x, axis=0)", "w[x]": "w[x]"}

ROWS_LARGER = {
    "mx.addmm to a full matrix": "mx.addmm(x @ w, x, w)",
    "mx.grad through nn.Linear": "mx.grad(lambda x: mx.sum(mx.square(linear(x))))(x)",
    "mx.grad through x @ w": "mx.grad(lambda x: mx.sum(mx.square(x @ w)))(x)",
}

MATRIX = {**ELEMENTWISE, **REDUCTIONS, **INDEXING, **CREATION, **PRODUCTS}
USUAL = Sizes((4, 6), ((2, 6), (4, 4), (2, 4)), ((8, 6), (4, 10), (8, 10)))
TWO_ROWS = Sizes((2, 6), (), ((3, 6), (8, 6), (2, 10)))
ONE_ROW = Sizes((1, 6), (), ((2, 6), (8, 6), (1, 10)))
GROUPS = (
    Group("float32", (USUAL,), MATRIX),
    Group("float32", (USUAL, TWO_ROWS, ONE_ROW), {**SHAPES, **CUTS}),
    Group("float32", (USUAL, TWO_ROWS), SORTING),
    Group("float32", (replace(USUAL, smaller=()), TWO_ROWS), SORTING_FROM_END),
    Group("float32", (Sizes((4, 6), ((2, 6),), ((8, 6),)),), ROWS_ONLY),
    Group("float32", (Sizes((4, 6), (), ((8, 6),)),), ROWS_LARGER),
    Group("float32", (Sizes((4, 4), ((2, 2),), ((6, 6),)),), SQUARES),
    Group(
        "float32", (Sizes((2, 4, 8), ((1, 4, 8), (2, 2, 8), (1, 2, 8)), ((3, 4, 8), (2, 6, 8), (3, 6, 8))),), SEQUENCES
    ),
    Group("int32", (Sizes((4,), ((2,),), ((6,),)),), INDICES),
)
