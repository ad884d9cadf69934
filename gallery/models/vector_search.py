"""
Vector search: distances, the best k, and what to compile
=========================================================

A vector search computes the distance of a query to every vector of a collection and keeps the best few. You will see what
compiling gains for each part, why the number of results should stay fixed, and how the whole step becomes one compiled
function that works through a collection of any size.
"""

# sphinx_gallery_tags = ["models", "traces"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# `MetalFaiss <https://github.com/SolaceHarmony/MetalFaiss>`__, a search library written in MLX, compiles the function around
# its flat search and publishes what that gained:
#
# .. published:: search
#
# Where does such a gain come from, and what about searches that ask for another number of results each time?
#
# The parts
# ---------
# The squared distance of a query q and a vector v is q·q - 2 q·v + v·v. The products q·v of all pairs are one matrix
# product. v·v doesn't depend on the query and is computed beforehand; q·q is the same for all vectors and changes no order.


def scores(queries: mx.array, vectors: mx.array, lengths: mx.array) -> mx.array:
    """Return squared distances less q·q, (queries, vectors): smaller is nearer."""
    return lengths - 2 * (queries @ vectors.T)


def nearest(
    queries: mx.array, vectors: mx.array, lengths: mx.array, k: int
) -> tuple[mx.array, mx.array]:
    """Return each query's k smallest scores, in order, and their vectors' places."""
    found = scores(queries, vectors, lengths)
    places = mx.argpartition(found, k - 1, axis=1)[:, :k]
    best = mx.take_along_axis(found, places, axis=1)
    order = mx.argsort(best, axis=1)
    return mx.take_along_axis(best, order, axis=1), mx.take_along_axis(
        places, order, axis=1
    )


# %%
# ``mx.topk`` would return the values alone (:claim:`topk-values-only`), hence ``argpartition``, which puts the k smallest
# first, in any order. The check computes all distances one by one and sorts them. It compares distances, not places: a GPU
# multiplies matrices with fewer digits, so two vectors that are almost equally far may change places.

WIDTH, COUNT, K = 32, 8192, 10
keys = mx.random.split(mx.random.key(0), 2)
vectors = mx.random.normal((COUNT, WIDTH), key=keys[0])
queries = mx.random.normal((16, WIDTH), key=keys[1])
lengths = mx.sum(vectors * vectors, axis=1)
mx.eval(vectors, queries, lengths)

_, places = nearest(queries, vectors, lengths, K)
for query, mine in zip(queries[:3], places[:3], strict=True):
    distances = mx.sum((vectors - query) ** 2, axis=1)
    assert mx.allclose(distances[mine], mx.sort(distances)[:K], rtol=1e-2)

# %%
# Which part gains?
# -----------------
# The product is one large operation, and so is the partition: neither fuses with anything (:claim:`matmul-stops`,
# :claim:`sort-stops`). What is left for compiling are two elementwise operations on the scores, and the work around some
# small ones.


def search(
    queries: mx.array, vectors: mx.array, lengths: mx.array
) -> tuple[mx.array, mx.array]:
    return nearest(queries, vectors, lengths, K)


collection = (queries, vectors, lengths)
loose = {"rtol": 1e-4, "atol": 1e-4}
parts = [
    compare("search-scores", scores, mx.compile(scores), *collection, **loose),
    compare("search-whole", search, mx.compile(search), *collection, **loose),
]
table(parts)

# %%
# The first line is the part that has something to fuse, the second all of it.

figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
plain = [1e3 * (part.baseline_s or 0) for part in parts]
compiled = [1e3 * (part.candidate_s or 0) for part in parts]
for side, (label, (first, whole)) in enumerate(
    {"plain": plain, "compiled": compiled}.items()
):
    ax.barh(side, first, color=f"C{side}", label=f"scores, {label}")
    ax.barh(
        side,
        max(0, whole - first),
        left=first,
        color=f"C{side}",
        alpha=0.4,
        label=f"choosing the best, {label}",
    )
ax.set_yticks((0, 1), ("plain", "compiled"))
ax.invert_yaxis()
ax.set_xlabel("ms for one search")
figure.legend(loc="outside lower center", ncols=2)
ax.set_title("A search's time: the scores, and choosing the best of them")

# %%
# What k does to the traces
# -------------------------
# ``k`` decides about shapes, so it has to be a Python number, and each number is part of the signature
# (:claim:`python-number-retraces`). A service in which each user asks for as many results as fit on the screen traces once
# for each number that occurs. As an array, k can't be the end of a slice (:claim:`array-slice-bound`).

WISHES = (3, 10, 5, 7, 10, 4, 8, 3)

watched = watch(nearest)
fast_nearest = mx.compile(watched)
exactly = [fast_nearest(*collection, k)[1] for k in WISHES]
mx.eval(exactly)
print("k as it comes:", watched.traces, "traces for", len(WISHES), "searches")

# %%
# The cure is a fixed k, at least as large as any wish. The rest is cut off outside, where a slice costs next to nothing. The
# results come in order, so the first few of ten are the best few:

watched = watch(search)
fast_search = mx.compile(watched)
cut = [fast_search(*collection)[1][:, :k] for k in WISHES]
print("k fixed:      ", watched.traces, "trace for", len(WISHES), "searches")
assert all(
    mx.array_equal(mine, wanted) for mine, wanted in zip(cut, exactly, strict=True)
)

# %%
# A collection of any size
# ------------------------
# The size of the collection is part of the signature, too, and a collection grows. A step that handles *one block* of it,
# and carries the best k found so far, has one shape for ever. The last block is filled up with vectors at an infinite
# distance, which nobody finds.

Best = tuple[mx.array, mx.array]


def block_step(
    best: Best, queries: mx.array, vectors: mx.array, lengths: mx.array, start: mx.array
) -> Best:
    """Merge the best so far with those of a block that begins at place ``start``."""
    values, places = nearest(queries, vectors, lengths, K)
    values = mx.concatenate([best[0], values], axis=1)
    places = mx.concatenate([best[1], places.astype(mx.int32) + start], axis=1)
    order = mx.argsort(values, axis=1)[:, :K]
    return mx.take_along_axis(values, order, axis=1), mx.take_along_axis(
        places, order, axis=1
    )


BLOCK = 1024


def in_blocks(vectors: mx.array) -> list[tuple[mx.array, mx.array, mx.array]]:
    """Cut a collection into blocks: their vectors, lengths and starts."""
    missing = -len(vectors) % BLOCK
    lengths = mx.concatenate(
        [mx.sum(vectors * vectors, axis=1), mx.full((missing,), mx.inf)]
    )
    filled = mx.concatenate([vectors, mx.zeros((missing, WIDTH))])
    starts = range(0, len(filled), BLOCK)
    blocks = [
        (filled[n : n + BLOCK], lengths[n : n + BLOCK], mx.array(n)) for n in starts
    ]
    mx.eval(blocks)
    return blocks


nobody = (mx.full((len(queries), K), mx.inf), mx.zeros((len(queries), K), mx.int32))
watched = watch(block_step)
fast_step = mx.compile(watched)
for size in (5000, 8192, 3000):
    best = nobody
    for block in in_blocks(vectors[:size]):
        best = fast_step(best, queries, *block)
    wanted, _ = nearest(queries, vectors[:size], lengths[:size], K)
    assert mx.allclose(best[0], wanted, rtol=1e-2, atol=0.1)
print(watched)
assert watched.traces == 1

# %%
# Three collections, one trace. ``start`` is an array for the same reason that k isn't one: nothing of the shape hangs on it,
# and as a number it would be a new trace for each block.
#
# What is gained for the loop over all blocks? It consists of many more small operations than the search in one piece.

blocks = in_blocks(vectors)


def in_a_loop(step: Callable[..., Best]) -> Callable[[mx.array], Best]:
    """Return a function that searches all blocks with the given step."""

    def run(queries: mx.array) -> Best:
        best = nobody
        for block in blocks:
            best = step(best, queries, *block)
        return best

    return run


compare(
    "search-blocks",
    in_a_loop(block_step),
    in_a_loop(mx.compile(block_step)),
    queries,
    **loose,
)

# %%
# What to take away
# -----------------
# - Compile the outermost step: distances, choice and merging in one function. But look at the parts first, since a search is
#   mostly a product and a partition, and neither gets faster.
# - Fix k at the largest you need, and cut outside.
# - Handle collections in blocks of one size, and carry the best so far. Pass numbers that change as arrays.
#
# Where to go next
# ----------------
# *MetalFaiss notes* takes another inner loop of that library apart; *Compile basics* lists all reasons for a trace.
