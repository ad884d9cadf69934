"""
Variable lengths: a trace for each, buckets, or shapeless
=========================================================

Texts, graphs and recordings come in all lengths, and a compiled function is traced again for each new one. You will
handle one stream of texts in three ways, as they are, padded to a few lengths, and shapeless, and see what each way
costs in time, traces and memory.
"""

# sphinx_gallery_tags = ["shapeless", "traces", "memory"]
import random
from collections import Counter
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import Table, compare, format_bytes, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# Somebody trained on batches of many lengths, and the program died after some hours, although memory wasn't full: MLX
# had kept something for each length that it ever met
# (`ml-explore/mlx#4464 <https://github.com/ml-explore/mlx/issues/4464>`_). In another project compiling paid on small
# data sets of graphs and did harm on large ones
# (`mlx-graphs#92 <https://github.com/mlx-graphs/mlx-graphs/issues/92>`_). What can one do when lengths differ?
#
# Lengths as they come
# --------------------
# Lengths in the wild aren't spread evenly: many are middling, a few are very long. A log-normal distribution looks like
# that. The generator has a seed, so the stream is the same at each run.

COUNT, WIDTH = 96, 64


def draw_lengths(seed: int) -> list[int]:
    """Return the lengths of the texts, in tokens."""
    generator = random.Random(seed)
    return [
        min(512, max(4, round(generator.lognormvariate(4, 0.7)))) for _ in range(COUNT)
    ]


def bucket(length: int) -> int:
    """Return the length rounded up to a power of two, 16 at least."""
    return max(16, 1 << (length - 1).bit_length())


lengths = draw_lengths(seed=4464)
buckets = Counter(bucket(length) for length in lengths)
assert all(length <= bucket(length) for length in lengths)

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for number, edge in enumerate(sorted(buckets)):
    inside = [length for length in lengths if bucket(length) == edge]
    ax.hist(
        inside,
        bins=range(1, 522, 8),
        color=f"C{number}",
        label=f"to {edge}: {buckets[edge]} texts",
    )
    ax.axvline(edge, color=f"C{number}", linestyle=":", linewidth=1)
ax.set_xlim(0, max(lengths) + 16)
ax.set_xlabel("tokens in a text")
ax.set_ylabel("texts")
ax.set_title(f"Lengths of {COUNT} texts, and the {len(buckets)} buckets that hold them")
ax.legend(title="bucket")

# %%
# A *bucket* is a length that shorter texts are padded to. In numbers:

print(
    f"{len(set(lengths))} different lengths among {COUNT} texts, "
    f"from {min(lengths)} to {max(lengths)}"
)
rows = sum(edge * texts for edge, texts in buckets.items()) / sum(lengths)
print(f"{len(buckets)} buckets, {rows:.2f} rows computed for each real one")
Table(
    ("bucket", "texts"),
    tuple((str(edge), str(buckets[edge])) for edge in sorted(buckets)),
)

# %%
# The function
# ------------
# A text is an array of shape (tokens, features). ``pool`` makes one vector of it: each token gets a score, and the
# result is the mean of the tokens, weighed by the scores. ``real`` tells the text's own rows from those that padding
# has added: an added row gets the score -∞, so its weight is zero.


def pool(x: mx.array, real: mx.array) -> mx.array:
    gated = x * mx.sigmoid(x)
    scores = mx.where(real, mx.mean(gated, axis=-1), -mx.inf)
    return mx.softmax(scores, axis=0) @ gated


def pad(x: mx.array, real: mx.array) -> tuple[mx.array, mx.array]:
    """Return a text with rows added up to its bucket's length."""
    missing = bucket(len(x)) - len(x)
    return mx.pad(x, [(0, missing), (0, 0)]), mx.pad(real, (0, missing))


texts = [
    (mx.random.normal((n, WIDTH), key=mx.random.key(i)), mx.ones(n, mx.bool_))
    for i, n in enumerate(lengths)
]
padded = [pad(*text) for text in texts]
mx.eval(texts, padded)
assert all(
    mx.allclose(pool(*wide), pool(*text), atol=1e-5)
    for wide, text in zip(padded, texts, strict=True)
)

# %%
# The ways
# --------
# Each starts from nothing, as a program does: it compiles, then handles the texts one after the other. The padding was
# done when the texts were loaded. ``shapeless=True`` is safe here because no line of ``pool`` reads a shape or an index;
# *Shapeless pitfalls* shows what else could happen.

Pool = Callable[[mx.array, mx.array], mx.array]


def not_compiled() -> list[mx.array]:
    return [pool(*text) for text in texts]


def as_they_are(pool: Pool = pool) -> list[mx.array]:
    step = mx.compile(pool)
    return [step(*text) for text in texts]


def in_buckets(pool: Pool = pool) -> list[mx.array]:
    step = mx.compile(pool)
    return [step(*text) for text in padded]


def shapeless(pool: Pool = pool) -> list[mx.array]:
    step = mx.compile(pool, shapeless=True)
    return [step(*text) for text in texts]


expected = not_compiled()
for way in (as_they_are, in_buckets, shapeless):
    assert all(
        mx.allclose(a, b, atol=1e-5) for a, b in zip(way(), expected, strict=True)
    ), way.__name__

# %%
# Traces
# ------
# One for each length (:claim:`shape-retraces`), one for each bucket, or one in all (:claim:`shapeless-keeps-trace`):


def count_traces(way: Callable[[Pool], list[mx.array]]) -> int:
    watched = watch(pool)
    # a call traces; nothing is computed before somebody asks for the values
    way(watched)
    return watched.traces


traces = {way: count_traces(way) for way in (as_they_are, in_buckets, shapeless)}
for way, count in traces.items():
    print(f"{way.__name__:<12}{count:4} trace{'' if count == 1 else 's'}")
assert traces == {
    as_they_are: len(set(lengths)),
    in_buckets: len(buckets),
    shapeless: 1,
}

# %%
# What a trace leaves behind
# --------------------------
# A trace is kept as long as its function lives. That old ones are dropped when there are many is a claim of the ledger,
# :claim:`traces-never-evicted`. The traced graph holds the constants of the function, here the -∞, and each trace has
# its own. A few bytes don't hurt, but on Metal each is a buffer, and the number of buffers has a limit: that is what the
# question ran into. Does the memory that MLX holds grow with each trace, after its result is gone?


def held_after(step: Pool, text: tuple[mx.array, mx.array]) -> int:
    """Call, drop the result, and return the bytes that MLX holds."""
    mx.eval(step(*text))
    return mx.get_active_memory()


step = mx.compile(pool)
for length in (10, 11, 12):
    x, real = mx.ones((length, WIDTH)), mx.ones(length, mx.bool_)
    mx.eval(x, real)
    before = mx.get_active_memory()
    new = held_after(step, (x, real)) > before
    before = mx.get_active_memory()
    again = held_after(step, (x, real)) > before
    print(
        f"{length} tokens: a new trace holds memory: {new}; "
        f"a second call holds more: {again}"
    )

# %%
# Time
# ----
# The whole stream, from nothing. The baseline of the first comparison isn't compiled; that of the others is compiled
# and takes the texts as they are.

plain = compare("lengths-plain", not_compiled, as_they_are, atol=1e-5)
bucketed = compare("lengths-buckets", as_they_are, in_buckets, atol=1e-5)
with_sizes_open = compare("lengths-shapeless", as_they_are, shapeless, atol=1e-5)
table([plain, bucketed, with_sizes_open])

# %%
# Compiled as the texts come, against not compiled at all: :measured:`lengths-plain.ratio`. Work as short as this has
# hardly a chance to pay for a trace that is used once. Buckets against the lengths as they are:
# :measured:`lengths-buckets.ratio`, with fewer traces and more rows. Shapeless: :measured:`lengths-shapeless.ratio`.
#
# In the picture the texts as they are have the time 1, since each ratio comes from pairs that were timed in turn.

ways = {
    "not compiled": (plain.ratio or 0, plain.baseline_peak, 0),
    "as they are": (1, plain.candidate_peak, traces[as_they_are]),
    "in buckets": (
        1 / (bucketed.ratio or 1),
        bucketed.candidate_peak,
        traces[in_buckets],
    ),
    "shapeless": (
        1 / (with_sizes_open.ratio or 1),
        with_sizes_open.candidate_peak,
        traces[shapeless],
    ),
}
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
bars = ax.barh(list(ways), [time for time, _, _ in ways.values()])
ax.bar_label(
    bars,
    [f"{count} trace{'' if count == 1 else 's'}" for _, _, count in ways.values()],
    padding=4,
)
ax.axvline(1, color="gray", linestyle=":")
ax.invert_yaxis()
ax.margins(x=0.2)
ax.set_xlabel("time for all texts, traces included (as they are: 1)")
ax.set_title("Time for the stream, by what is done about its lengths")

# %%
# The same ways with the peak of memory: all results, and what was needed on the way.

rows_of_ways = tuple(
    (name, str(count), format_bytes(peak)) for name, (_, peak, count) in ways.items()
)
Table(("way", "traces", "extra memory"), rows_of_ways)

# %%
# When the lengths come back
# --------------------------
# A training run sees the same lengths again in each epoch. From the second on, all traces are there, and going back to
# an earlier length is free (:claim:`going-back-is-free`). What is left of the buckets then is the rows that are computed
# in vain. Here the baseline takes the texts as they are, and both sides have seen all shapes before:

known = mx.compile(pool)


def later_epoch() -> list[mx.array]:
    return [known(*text) for text in texts]


def later_epoch_in_buckets() -> list[mx.array]:
    return [known(*text) for text in padded]


later = compare("lengths-later-epoch", later_epoch, later_epoch_in_buckets, atol=1e-5)
table([bucketed, later])

# %%
# So the question is how often a length comes back. A trace that is used thousands of times is nothing; a trace that is
# used once is a loss, and it stays.
#
# What to take away
# -----------------
# - Count the lengths before you compile: ``len(set(lengths))`` is the number of traces, and each is kept.
# - Buckets need no ``shapeless`` and work for any function, if you mask the added rows wherever rows mix. Pad when the
#   data is loaded, and sort by length before you cut batches.
# - Shapeless needs the fewest traces, but the function must be fit for it, and many aren't.
# - If lengths hardly ever come back and the work for each is short, don't compile at all.
#
# Where to go next
# ----------------
# *Shapeless pitfalls* shows which functions survive ``shapeless=True``. *Odd last batches* is the same question for a
# training step, with one odd size instead of many. The guide's page on shapeless compiling has more ways to choose
# buckets.
