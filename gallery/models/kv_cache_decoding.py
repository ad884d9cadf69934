"""
KV-cache decoding: the offset must be an array
==============================================

A language model writes one token after the other, and keeps the keys and values of all earlier ones in a cache. If that
step is compiled, it easily stays at one position, or is traced again for each token. You will see both, and then a step
that is traced once and writes the same tokens as the plain one, with its tokens per second.
"""

# sphinx_gallery_tags = ["models", "traces", "speed"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
import mlx.nn as nn

from compile_guide.timing import Comparison, Table, compare, format_per_second, table
from compile_guide.tracing import watch

# %%
# The question
# ------------
# In a compiled decoder the model began to repeat a few tokens for ever, since the cache's position was an ordinary number
# (`mlx-swift-lm#406 <https://github.com/ml-explore/mlx-swift-lm/issues/406>`_). In another the position was an argument, and
# decoding became slower with each token (`ml-explore/mlx#3964 <https://github.com/ml-explore/mlx/issues/3964>`_). How is it
# done right?
#
# A small decoder
# ---------------
# Two layers, without training: any weights will do to compare tokens and times. ``next_token`` leaves open how the cache is
# kept: it hands the new key and value of a layer to a function ``store``, which returns all keys and values to look at and,
# if some places of the cache are empty, a mask.

ON_GPU = mx.default_device() == mx.gpu
WIDTH, HEADS, LAYERS, VOCABULARY, CAPACITY = (
    (1024, 16, 2, 256, 64) if ON_GPU else (64, 4, 2, 256, 64)
)
PROMPT, ANSWER = [72, 101, 108, 108, 111], 24

Store = Callable[[int, mx.array, mx.array], tuple[mx.array, mx.array, mx.array | None]]


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_heads = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.from_heads = nn.Linear(WIDTH, WIDTH, bias=False)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH, bias=False)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(CAPACITY, WIDTH)
        self.layers = [Layer() for _ in range(LAYERS)]
        self.to_scores = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def next_token(self, token: mx.array, position: mx.array, store: Store) -> mx.array:
        """Return the most likely token after ``token``, both of shape (1,)."""
        x = self.tokens(token) + self.positions(position)
        for number, layer in enumerate(self.layers):
            query, key, value = layer.to_heads(x).reshape(3, 1, HEADS, 1, -1)
            keys, values, mask = store(number, key, value)
            scale = (WIDTH // HEADS) ** -0.5
            mixed = mx.fast.scaled_dot_product_attention(
                query, keys, values, scale=scale, mask=mask
            )
            x = x + layer.from_heads(mixed.reshape(1, WIDTH))
            widened = layer.widen(x)
            x = x + layer.narrow(widened * mx.sigmoid(widened))
        return mx.argmax(self.to_scores(x), axis=-1)


mx.random.seed(3)
model = Decoder()
# larger weights make an untrained model less monotonous
model.apply(lambda weight: 3 * weight)
mx.eval(model.state)

# %%
# The plain way
# -------------
# The cache grows by one entry with each token. Its shape says where it ends, and nothing has to be masked. For a compiled
# function it is the worst of all caches: each token brings a new shape, and so a new trace.

Cache = dict[str, list[mx.array]]


def grow(token: mx.array, cache: Cache) -> tuple[mx.array, Cache]:
    """Return the next token, and the cache with one entry more."""
    longer: Cache = {"keys": [], "values": []}

    def store(
        number: int, key: mx.array, value: mx.array
    ) -> tuple[mx.array, mx.array, None]:
        for name, new in (("keys", key), ("values", value)):
            longer[name].append(mx.concatenate([cache[name][number], new], axis=2))
        return longer["keys"][number], longer["values"][number], None

    position = mx.array([cache["keys"][0].shape[2]])
    return model.next_token(token, position, store), longer


def empty(length: int) -> Cache:
    """Return a cache with ``length`` places, (1, heads, length, head width) a layer."""
    shape = (1, HEADS, length, WIDTH // HEADS)
    return {
        name: [mx.zeros(shape) for _ in range(LAYERS)] for name in ("keys", "values")
    }


# %%
# A cache of fixed size
# ---------------------
# All places are there from the beginning. :func:`mlx.core.slice_update` writes to a place that an *array* names, which a
# slice such as ``keys[:, :, offset]`` isn't good for (:claim:`array-slice-bound`). What lies behind the offset is masked.


def write(token: mx.array, cache: Cache, offset: mx.array) -> tuple[mx.array, Cache]:
    """Return the next token, and the cache with an entry at ``offset``, shape (1,)."""
    written: Cache = {"keys": [], "values": []}
    mask = mx.arange(CAPACITY) <= offset

    def store(
        number: int, key: mx.array, value: mx.array
    ) -> tuple[mx.array, mx.array, mx.array]:
        for name, new in (("keys", key), ("values", value)):
            written[name].append(
                mx.slice_update(cache[name][number], new, offset, axes=(2,))
            )
        return written["keys"][number], written["values"][number], mask

    return model.next_token(token, offset, store), written


# %%
# Token, cache and offset are arguments, so nothing has to be captured, and the Python containers around the arrays do no
# harm (:claim:`container-arguments`). A cache object of your own can't be passed (:claim:`custom-object-argument`). The
# weights are evaluated and don't change, so they may be constants of the trace.

Step = Callable[[mx.array, Cache, mx.array], tuple[mx.array, Cache]]


def read_and_answer(step: Step, cache: Cache) -> mx.array:
    """Feed the prompt, then write the answer; return its tokens."""
    written = []
    # the dtype of argmax: another one would be a second trace
    token = mx.array(PROMPT[:1], mx.uint32)
    for place in range(len(PROMPT) + ANSWER - 1):
        token, cache = step(token, cache, mx.array([place]))
        if place + 1 < len(PROMPT):
            token = mx.array(PROMPT[place + 1 : place + 2], mx.uint32)
        else:
            written.append(token)
        mx.eval(token, cache)
    return mx.concatenate(written)


def plain() -> mx.array:
    return read_and_answer(lambda token, cache, _: grow(token, cache), empty(0))


def plain_fixed() -> mx.array:
    return read_and_answer(write, empty(CAPACITY))


watched = watch(write)
fast_write = mx.compile(watched)


def compiled_fixed() -> mx.array:
    return read_and_answer(fast_write, empty(CAPACITY))


expected = plain().tolist()
print("plain:              ", *expected)
print("fixed, not compiled:", *plain_fixed().tolist())
print("fixed, compiled:    ", *compiled_fixed().tolist())
assert plain_fixed().tolist() == compiled_fixed().tolist() == expected
print(watched)
assert watched.traces == 1

# %%
# The same tokens, and one trace for all of them (:claim:`arrays-keep-one-trace`).
#
# The offset as a Python number
# -----------------------------
# Now the mistake of the question: the position is a number that some object keeps, and the body counts on. MLX reads it
# while it traces, and never again. That a number in captured state would be followed is a claim of the ledger as well
# (:claim:`capture-other-leaves`).


class Position:
    def __init__(self) -> None:
        self.offset = 0


def compiled_with_number() -> mx.array:
    position = Position()

    def step(token: mx.array, cache: Cache) -> tuple[mx.array, Cache]:
        answer = write(token, cache, mx.array([position.offset]))
        position.offset += 1
        return answer

    fast_step = mx.compile(step)
    return read_and_answer(
        lambda token, cache, _: fast_step(token, cache), empty(CAPACITY)
    )


stuck = compiled_with_number().tolist()
print("expected:", *expected)
print("stuck:   ", *stuck)
assert stuck != expected

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.step(
    range(ANSWER),
    expected,
    where="mid",
    color="C0",
    linewidth=5,
    alpha=0.4,
    label="plain",
)
ax.step(
    range(ANSWER),
    compiled_fixed().tolist(),
    where="mid",
    color="C0",
    label="compiled, offset as an array",
)
ax.step(
    range(ANSWER),
    stuck,
    where="mid",
    color="C1",
    linestyle="--",
    label="compiled, offset as a number",
)
ax.set_xlabel("place in the answer")
ax.set_ylabel("token")
ax.set_title("Tokens written: with a frozen offset the model loses its place")
figure.legend(loc="outside lower center", ncols=3)

# %%
# As an argument the number isn't frozen: each value is part of the signature (:claim:`python-number-retraces`). The tokens
# are right then, but every one of them is traced, and every trace is kept (:claim:`traces-never-evicted`).

per_number = watch(lambda token, cache, offset: write(token, cache, mx.array([offset])))
step = mx.compile(per_number)
for offset in range(6):
    step(mx.array(PROMPT[:1]), empty(CAPACITY), offset)
print(per_number)
assert per_number.traces == 6

# %%
# Tokens per second
# -----------------
# The time for the whole answer, prompt included. The baseline of the first comparison is the plain decoder with the growing
# cache; the second has the same cache of fixed size on both sides.

against_plain = compare("decode-compiled", plain, compiled_fixed)
against_fixed = compare("decode-compiled-fixed", plain_fixed, compiled_fixed)
table([against_plain, against_fixed])

# %%
# The same as a rate. Each step reads or writes one token:

STEPS = len(PROMPT) + ANSWER - 1


def per_second(seconds: float | None, measured: Comparison) -> str:
    return format_per_second(STEPS, seconds, measured.spread)


rates = (
    ("plain, growing cache", per_second(against_plain.baseline_s, against_plain)),
    ("plain, fixed cache", per_second(against_fixed.baseline_s, against_fixed)),
    ("compiled, fixed cache", per_second(against_plain.candidate_s, against_plain)),
)
Table(("decoder", "tokens per second"), rates)

# %%
# Compiled against the plain decoder: :measured:`decode-compiled.ratio`; against the fixed cache, not compiled:
# :measured:`decode-compiled-fixed.ratio`. A step for one token is many small operations, so what is saved is mostly the work
# around them. The fixed cache has a price of its own: attention looks at all its places, the empty ones included. Choose a
# capacity near to what is needed, and a larger cache, with a trace of its own, when it is full.
#
# What to take away
# -----------------
# - A position that changes is an array, passed or captured. As a Python number it is frozen, or it is traced each time.
# - Give the cache its full size, write with :func:`mlx.core.slice_update`, and mask the rest.
# - Pass the cache as a dictionary or a list of arrays, and return it.
# - Compare tokens with the plain decoder. A frozen offset raises no error; it only writes nonsense.
#
# Where to go next
# ----------------
# *Transformer block* compiles the training of such layers. *Variable lengths* is about prompts, which come in all lengths.
# *Dropout and random state* is what you need to sample tokens instead of taking the most likely one.
