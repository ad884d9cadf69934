"""
Exporting: a compiled function in a file
========================================

A function of MLX can be written to a file and used in another program, without its Python code. You will see what the file
keeps of a compiled function and what it doesn't, what an imported function costs before and after it is compiled again,
and for which shapes it works.
"""

# sphinx_gallery_tags = ["shapeless", "fusion"]
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Table, compare, table

# %%
# The question
# ------------
# Exported functions are for programs that should not, or can't, carry the Python code of a model. Those who try it ask
# about shapes: a function exported ``shapeless`` refused a vector where it had seen a scalar
# (`ml-explore/mlx#2596 <https://github.com/ml-explore/mlx/issues/2596>`__), and a matrix product kept the length of its
# first input (`#2607 <https://github.com/ml-explore/mlx/issues/2607>`__). And is what comes back compiled?
#
# Write and read
# --------------
# A small network whose weights are closed over. They have to be evaluated first, or the file would hold the recipe that
# makes them in their place.

keys = mx.random.split(mx.random.key(0), 3)
weight = mx.random.normal((64, 64), scale=0.1, key=keys[0])
bias = mx.random.normal((64,), key=keys[1])
mx.eval(weight, bias)


def network(x: mx.array) -> mx.array:
    """Return (rows, 64) for inputs of shape (rows, 64)."""
    y = x @ weight + bias
    return y * mx.sigmoid(y) + x


fast_network = mx.compile(network)
x = mx.random.normal((32, 64), key=keys[2])
assert mx.allclose(fast_network(x), network(x), atol=1e-5)

# %%
# :func:`mlx.core.export_function` takes the compiled function like any other, with inputs to trace it with.
# :func:`mlx.core.import_function` reads the file and returns a function whose result is always a tuple.

folder = TemporaryDirectory()
file = str(Path(folder.name) / "network.mlxfn")
mx.export_function(file, fast_network, x)
imported = mx.import_function(file)
(result,) = imported(x)
assert mx.allclose(result, network(x), atol=1e-5)
print("results:", len(imported(x)), "of shape", result.shape)

# %%
# Another program needs the file and MLX. It knows nothing of ``network``, and the weights have come along:

PROGRAM = """
import sys
import mlx.core as mx

(result,) = mx.import_function(sys.argv[1])(mx.ones((32, 64)))
print("another process computed an array of shape", result.shape)
"""
argv = [sys.executable, "-c", PROGRAM, file]
print(
    subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()
)

# %%
# What comes back is not compiled
# -------------------------------
# The file keeps operations, not kernels. One might expect that a compiled function comes back compiled
# (:claim:`export-compiled`), but the graphs show the difference, and the cure: compile what you import.


def operations(function: Callable[..., mx.array | tuple[mx.array, ...]]) -> str:
    """Return the operations that a call leaves to do, changes of shape left out."""
    result, graph = function(x), io.StringIO()
    mx.export_to_dot(graph, *(result if isinstance(result, tuple) else (result,)))
    names = re.findall(r'label ="(\w+)"', graph.getvalue())
    return " → ".join(name for name in names if name != "Broadcast")


compiled_again = mx.compile(imported)
print("compiled:        ", operations(fast_network))
print("imported:        ", operations(imported))
print("compiled again:  ", operations(compiled_again))

# %%
# What that costs
# ---------------
# First the price of coming from a file: the plain function against the imported one, neither compiled. Then what compiling
# again gains, and last whether the function has got back to where it was.


def first_of(
    function: Callable[[mx.array], tuple[mx.array]],
) -> Callable[[mx.array], mx.array]:
    """Return the same function without the tuple around its result."""
    return lambda x: function(x)[0]


as_imported, again = first_of(imported), first_of(compiled_again)
steps = [
    compare("export-imported", network, as_imported, x, atol=1e-5, compiled=False),
    compare("export-compiled-again", as_imported, again, x, atol=1e-5),
    compare("export-round-trip", fast_network, again, x, atol=1e-5),
]
table(steps)

# %%
# An imported function saves the Python of its body, and has to find out which of the file's signatures fits instead.

times = {
    "plain": steps[0].baseline_s,
    "imported": steps[0].candidate_s,
    "compiled": steps[2].baseline_s,
    "imported, compiled again": steps[2].candidate_s,
}
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
bars = ax.barh(
    list(times),
    [1e6 * (seconds or 0) for seconds in times.values()],
    color=["0.6", "0.6", "C0", "C0"],
)
for bar in (bars[1], bars[3]):
    bar.set_hatch("//")
ax.invert_yaxis()
ax.set_xlabel("µs a call (hatched: came from a file)")
ax.set_title("A function before and after its way through a file")

# %%
# Shapes
# ------
# A file is good for the shapes and dtypes it was traced with. Each further one is a trace of its own, into the same file,
# through :func:`mlx.core.exporter`. ``shapeless=True`` promises all sizes; which functions does it suit? Each is exported
# with one size and called with a second one.


def verdict(
    function: Callable[[mx.array], mx.array], first: mx.array, second: mx.array
) -> str:
    """Export shapeless with one size; say how the imported function does on another."""
    mx.export_function(file, function, first, shapeless=True)
    try:
        (seen,) = mx.import_function(file)(second)
        mx.eval(seen)
    except (RuntimeError, ValueError) as error:
        return f"raises {type(error).__name__}"
    wanted = function(second)
    if seen.shape != wanted.shape:
        return f"wrong: shape {seen.shape} instead of {wanted.shape}"
    return "right" if mx.allclose(seen, wanted, atol=1e-4) else "wrong values"


CASES = {
    "the network above": (network, x, mx.ones((48, 64))),
    "abs, of a scalar, then a vector (#2596)": (
        mx.abs,
        mx.array(0.0),
        mx.array([-1.0, -2.0]),
    ),
    "product with one length more (#2607)": (
        lambda x: x @ weight,
        mx.ones((1, 40, 64)),
        mx.ones((1, 248, 64)),
    ),
    "sum of rows / x.shape[0]": (
        lambda x: x.sum(axis=0) / x.shape[0],
        x,
        mx.ones((48, 64)),
    ),
    "mean of rows": (lambda x: x.mean(axis=0), x, mx.ones((48, 64))),
    "the first ten rows, x[:10]": (lambda x: x[:10], x, mx.ones((48, 64))),
}


print(
    Table(
        ("exported shapeless", "second size"),
        tuple((name, verdict(*case)) for name, case in CASES.items()),
    )
)

# %%
# The verdicts are those of the MLX that made this page. The first question's case raises because ``shapeless`` has never
# meant another number of dimensions (:claim:`rank-retraces` says the same of compiled functions); the second question's
# product is worth trying with your version before you rely on it. And what reads a length in Python keeps it for good
# (:claim:`shapeless-divide-by-length`), in a file as in a trace.
#
# So test an export with a second size, as above, and prefer several fixed sizes to one ``shapeless`` where a few will do:

SIZES = (8, 16, 32)
with mx.exporter(file, network) as export:
    for rows in SIZES:
        export(mx.ones((rows, 64)))
several = mx.compile(mx.import_function(file))
for rows in SIZES:
    assert mx.allclose(
        several(mx.ones((rows, 64)))[0], network(mx.ones((rows, 64))), atol=1e-5
    )
print("one file,", len(SIZES), "sizes")
folder.cleanup()

# %%
# What to take away
# -----------------
# - Export keeps operations and the arrays they use, and drops the kernels: compile what you import, once.
# - Evaluate weights before exporting.
# - A file answers to the shapes it was made with. Put several into it, or check ``shapeless`` with a second size.
# - The format is young. Keep the code that writes the file, and write it anew with a new MLX.
#
# Where to go next
# ----------------
# *Check shapeless* tests functions at a second size before they are exported; *Shapeless compilation* explains what is
# frozen, and why.
