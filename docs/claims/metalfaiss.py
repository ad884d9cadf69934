"""The MetalFaiss notes: what a project that compiles a top-k SVD wrote down about mx.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import NEEDS_GPU, Counted, arrow, compiled_graph, gpu, graph, kernels, near, outcome
from ._sources import METALFAISS

COMPILE = f"{METALFAISS}, Compile Guide"
NUMPY = f"{METALFAISS}, notes for NumPy users"


def _orthonormal(mx: Any, z: Any) -> Any:
    """Make the columns of a matrix orthonormal by Gram–Schmidt, one Python loop round each."""
    done: list[Any] = []
    for column in range(z.shape[1]):
        v = z[:, column]
        for other in done:
            v = v - mx.sum(other * v) * other
        done.append(v / mx.sqrt(mx.sum(v * v)))
    return mx.stack(done, axis=1)


def _matrices(mx: Any) -> tuple[Any, Any]:
    """Return a matrix (32, 16) and a start (16, 8) with independent columns; the same on every machine."""
    a = mx.sin(mx.arange(512).astype(mx.float32) * 0.37).reshape(32, 16)
    v = mx.cos(mx.arange(128).astype(mx.float32) * 1.3).reshape(16, 8)
    mx.eval(a, v)
    return a, v


@claim(
    "svd-step-faster",
    "Compiling the power step of a top-k SVD makes it 1.6 times as fast.",
    source=f"{COMPILE} (in prose; its own tables give less)",
    answer="The gallery measures it; counted here is what compiling can do: how many kernels it leaves.",
)
def _(mx: Any) -> Seen:
    a, v = _matrices(mx)

    def step(a: Any, v: Any) -> Any:
        return _orthonormal(mx, a.T @ (a @ v))

    plain, left = kernels(graph(mx, step(a, v))), kernels(compiled_graph(mx, step, a, v))
    return Seen(
        None,
        f"a time, not decided here; with Gram–Schmidt on 8 columns {len(plain)} kernels become {len(left)}",
    )


@claim(
    "svd-step-right",
    "The compiled power step gives what the plain one gives.",
    source=COMPILE,
    answer="Yes, up to rounding.",
)
def _(mx: Any) -> Seen:
    a, v = _matrices(mx)

    def step(a: Any, v: Any) -> Any:
        z = a.T @ (a @ v)
        return z / mx.sqrt(mx.sum(z * z))

    same = near(mx, step(a, v), mx.compile(step)(a, v))
    return Seen(same, "the two results agree" if same else "the two results differ")


@claim(
    "svd-product-fuses",
    "Compiling the product A.T @ (A @ V) fuses it.",
    source=COMPILE,
    answer="No: two matrix products stay two; all that compiling saves there is Python's time.",
)
def _(mx: Any) -> Seen:
    a, v = _matrices(mx)
    names = compiled_graph(mx, lambda a, v: mx.matmul(mx.transpose(a), mx.matmul(a, v)), a, v)
    return Seen(any(name.startswith("Compiled") for name in names), arrow(names))


@claim(
    "operators-or-functions",
    "Only mx.add, mx.multiply and so on fuse; Python's operators don't.",
    source=f"{COMPILE} (mlx functions only); {NUMPY}",
    answer="Operators make the same graph.",
)
def _(mx: Any) -> Seen:
    x, y = mx.ones((4,)), mx.ones((4,))
    functions = compiled_graph(mx, lambda x, y: mx.divide(mx.add(mx.multiply(x, y), x), y), x, y)
    operators = compiled_graph(mx, lambda x, y: (x * y + x) / y, x, y)
    return Seen(functions != operators, f"functions: {arrow(functions)}; operators: {arrow(operators)}")


@claim(
    "comparison-operators",
    "==, < and >= must not be used on arrays in compute code; use mx.equal, mx.less and so on.",
    source=NUMPY,
    answer="They may: the operators make the same masks, element by element, compiled or not.",
)
def _(mx: Any) -> Seen:
    x, y = mx.array([1, 2, 3]), mx.array([1, 3, 2])
    functions = compiled_graph(mx, lambda x, y: mx.logical_or(mx.equal(x, y), mx.less(x, y)), x, y)
    operators = compiled_graph(mx, lambda x, y: (x == y) | (x < y), x, y)
    values = mx.compile(lambda x, y: mx.logical_or(x == y, x < y))(x, y).tolist()
    return Seen(
        values != [True, True, False],
        f"operators: {arrow(operators)}; functions: {arrow(functions)}; {values}",
    )


@claim(
    "modulo-operators",
    "% and // must not be used on arrays; take both from mx.divmod.",
    source=NUMPY,
    answer="They may since 0.32.3, where they agree with mx.divmod and with Python; through 0.32.1 all of them rounded "
    "towards zero, and on 0.32.2 // alone did.",
)
def _(mx: Any) -> Seen:
    a, b = mx.array([7, -7, 7]), mx.array([2, 2, -2])
    both = [part.tolist() for part in mx.divmod(a, b)]
    ours = [part.tolist() for part in mx.compile(lambda a, b: (a // b, a % b))(a, b)]
    return Seen(both != ours, f"divmod {both}, // and % {ours}")


@claim(
    "constants-as-arrays",
    "Build constants as MLX scalars: mx.array(2.0) instead of 2.0.",
    source=COMPILE,
    answer="Without a dtype it turns float16 into float32, which a Python 2.0 doesn't; inside compile "
    "neither saves a kernel.",
)
def _(mx: Any) -> Seen:
    x = mx.ones((4,), dtype=mx.float16)
    kinds = {"2.0": lambda x: x * 2.0, "mx.array(2.0)": lambda x: x * mx.array(2.0)}
    kept = {name: mx.compile(fun)(x).dtype for name, fun in kinds.items()}
    shown = ", ".join(f"times {name}: {dtype}" for name, dtype in kept.items())
    return Seen(kept["mx.array(2.0)"] == mx.float16, f"float16 {shown}")


@claim(
    "constants-with-dtype",
    "A constant made as mx.array(2.0, dtype=x.dtype) fuses like a Python number.",
    source=COMPILE,
    answer="Yes: with the dtype given, dtype and kernel are those of a Python 2.0.",
)
def _(mx: Any) -> Seen:
    x = mx.ones((4,), dtype=mx.float16)
    number = compiled_graph(mx, lambda x: mx.exp(x) * 2.0, x)
    array = compiled_graph(mx, lambda x: mx.exp(x) * mx.array(2.0, dtype=x.dtype), x)
    dtype = mx.compile(lambda x: mx.exp(x) * mx.array(2.0, dtype=x.dtype))(x).dtype
    same = len(kernels(number)) == len(kernels(array)) == 1 and dtype == mx.float16
    return Seen(same, f"2.0: {arrow(number)}; mx.array: {arrow(array)}, {dtype}")


@claim(
    "where-instead-of-branch",
    "Replace a branch on an array's values by mx.where.",
    source=COMPILE,
    answer="Yes: one trace serves both cases, and both branches are computed.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.where(x > 0, x, 0.5 * x))
    compiled = mx.compile(counted)
    values = [compiled(mx.array(v)).item() for v in (2.0, -2.0)]
    return Seen(
        values == [2.0, -1.0] and counted.runs == 1,
        f"2 gives {values[0]}, -2 gives {values[1]}; {counted.runs} trace(s)",
    )


@claim(
    "seed-inside",
    "mx.random.seed inside a compiled function seeds at every call.",
    source=f"{COMPILE} (which advises against it)",
    answer="No: it runs while tracing; later calls leave the generator alone and repeat the numbers of the first.",
)
def _(mx: Any) -> Seen:
    def fun(x: Any) -> Any:
        mx.random.seed(0)
        return x + mx.random.uniform(shape=x.shape)

    compiled, x = mx.compile(fun), mx.zeros((2,))
    after = []
    for _ in range(2):
        mx.eval(compiled(x))
        after.append(mx.random.uniform().item())
    return Seen(
        after[0] == after[1],
        f"a draw after each call: {'the same' if after[0] == after[1] else 'another'} number",
    )


@claim(
    "topk-values-only",
    "mx.topk returns values only, without indices.",
    source=NUMPY,
    answer="Yes: take the indices from mx.argpartition or mx.argsort.",
)
def _(mx: Any) -> Seen:
    seen = mx.topk(mx.array([3.0, 1.0, 2.0]), 2)
    single = isinstance(seen, mx.array)
    return Seen(single, f"one array: {sorted(seen.tolist())}" if single else f"{len(seen)} arrays")


@claim(
    "mixed-devices",
    "One compiled function may mix CPU and GPU streams; MLX keeps their order.",
    source=COMPILE,
    answer="Yes: the result is right; each change of device ends a fused kernel.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU

    def fun(x: Any) -> Any:
        return mx.exp(mx.sqrt(x * 2, stream=mx.cpu) - 2, stream=mx.gpu)

    seen = outcome(lambda: mx.compile(fun)(mx.array([2.0, 2.0])).tolist())
    return Seen(seen == "[1.0, 1.0]", seen)


def double_kernel(mx: Any) -> Callable[[Any], Any]:
    """Return a function that doubles a float32 vector by a GPU kernel of our own, on Metal or CUDA.

    Source of the signatures: MLX's API pages of mx.fast.metal_kernel and mx.fast.cuda_kernel. The grid counts
    threads on both; one thread group covers the whole vector, so no index passes its end.
    """
    make, index = {
        "Metal": (getattr(mx.fast, "metal_kernel", None), "uint i = thread_position_in_grid.x;"),
        "CUDA": (
            getattr(mx.fast, "cuda_kernel", None),
            "auto i = cooperative_groups::this_grid().thread_rank();",
        ),
    }[gpu(mx)]
    assert make is not None, "gpu() says there is one, so MLX has the function"
    kernel = make(
        name="guide_double",
        input_names=["inp"],
        output_names=["out"],
        source=f"{index} out[i] = inp[i] + inp[i];",
    )

    def double(x: Any) -> Any:
        size = (x.size, 1, 1)
        out = kernel(inputs=[x], grid=size, threadgroup=size, output_shapes=[x.shape], output_dtypes=[x.dtype])
        return out[0]

    return double


@claim(
    "kernel-wrapper-parity",
    "Compiling a thin wrapper around custom kernels changes next to nothing.",
    source=COMPILE,
    answer="The same kernels run; what little time it saves is Python's.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU
    double, x = double_kernel(mx), mx.ones((8,))
    mx.eval(x)
    plain = graph(mx, double(double(x)))
    left = compiled_graph(mx, lambda x: double(double(x)), x)
    value = mx.compile(lambda x: double(double(x)))(x).tolist()
    return Seen(
        len(plain) == len(left) and value == [4.0] * 8,
        f"plain {arrow(plain)}; compiled {arrow(left)}; {value[:1]}",
    )


@claim(
    "fusion-into-kernel",
    "compile fuses the operations around a custom kernel into it.",
    source=f"{COMPILE} (implied)",
    answer="No: the kernel stays as it was written, with fused kernels before and after it.",
)
def _(mx: Any) -> Seen:
    if not gpu(mx):
        return NEEDS_GPU
    double = double_kernel(mx)
    names = compiled_graph(mx, lambda x: mx.exp(-double(mx.exp(-x))), mx.ones((8,)))
    return Seen(len(names) == 1, arrow(names))
