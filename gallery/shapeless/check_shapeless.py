"""
Check shapeless: would my function survive?
===========================================

You can't see in its code whether a function stays right under ``shapeless=True``, and MLX seldom says so. So try it:
compile it, call it with two sizes, and compare. This example does so with a helper that you can copy, on the functions
of a small text model, and mends those that fail.
"""

# sphinx_gallery_tags = ["shapeless", "pitfalls", "debugging"]
from collections.abc import Callable

import matplotlib.pyplot as plt
import mlx.core as mx
from matplotlib.colors import ListedColormap

from compile_guide.shapeless_check import RIGHT, WRONG, Check, check_shapeless
from compile_guide.timing import Table, compare

# %%
# The question
# ------------
# Users meet the limits of ``shapeless=True`` one operation at a time, and by surprise: cumulative sums
# (`ml-explore/mlx#4460 <https://github.com/ml-explore/mlx/issues/4460>`__), ``zeros_like``
# (`#2599 <https://github.com/ml-explore/mlx/issues/2599>`__), slices
# (`#4296 <https://github.com/ml-explore/mlx/pull/4296>`__). New versions lift some limits, and an error is the better case
# anyway. One might expect that whatever can't be compiled so throws (:claim:`shapeless-unsupported-throws`), but many
# functions return values that were made for the first size. :doc:`The support table </shapeless-support>` tries single
# operations, one by one, on each machine with a record. Your function is made of several.
#
# One call
# --------
# ``check_shapeless`` compiles a function with ``shapeless=True``, calls it with one size, then with larger ones, and
# compares with the function itself. The second size that you give says which axes grow; it tries sizes in between and larger ones
# by itself. All this happens in a process of its own, because a wrong trace may end it. Take the mean over the words of a
# text, of shape (words, features):


def mean_of_words(x: mx.array) -> mx.array:
    return mx.sum(x, axis=0) / x.shape[0]


def text(words: int, features: int) -> mx.array:
    """Return the features of a text, (words, features), all different."""
    return mx.random.normal((words, features), key=mx.random.key(words))


check = check_shapeless(mean_of_words, text(4, 8), text(6, 8))
print(check)
assert check.outcome == WRONG

# %%
# ``x.shape[0]`` is a Python number. It was read when the function was traced, and every later text is divided by the
# first one's length (:claim:`shapeless-divide-by-length`). With ``mean`` nobody reads a length:

assert (
    check_shapeless(lambda x: mx.mean(x, axis=0), text(4, 8), text(6, 8)).outcome
    == RIGHT
)

# %%
# What does the care cost?
# ------------------------
# Many functions have a form that no length is frozen in. In this attention a word sees itself and the words before it.
# ``tril`` makes the mask for the first text's length and keeps it (:claim:`shapeless-tril`). The second form compares
# positions, which ``cumsum`` counts along the axis over ones made from the array, not from its shape
# (:claim:`shapeless-zeros-like`).


def causal_attention(x: mx.array) -> mx.array:
    """Each word as a mixture of itself and the words before it."""
    mask = mx.tril(mx.ones((x.shape[0], x.shape[0])))
    return mx.softmax(mx.where(mask > 0, x @ x.T, -1e9), axis=-1) @ x


def positions(x: mx.array) -> mx.array:
    """Return 0, 1, 2 … for the words of a text, (words, 1)."""
    return mx.max(mx.cumsum(mx.ones_like(x), axis=0), axis=-1, keepdims=True) - 1


def causal_attention_mended(x: mx.array) -> mx.array:
    place = positions(x)
    return mx.softmax(mx.where(place >= place.T, x @ x.T, -1e9), axis=-1) @ x


# %%
# The mended attention does more work, and a shapeless function works out its shapes anew at every call.
# The baseline is the first version, compiled for its shape; the candidate the mended one, compiled shapeless.

long_text = text(256, 64)
for_the_shape = mx.compile(causal_attention)
for_all_shapes = mx.compile(causal_attention_mended, shapeless=True)
compare("check-shapeless-mended", for_the_shape, for_all_shapes, long_text, atol=1e-4)

# %%
# That is the price at one length. What it buys is that no other length is traced (:claim:`shapeless-keeps-trace`), and
# *Shapeless compilation* measures what a trace is worth.
#
# A whole model's worth
# ---------------------
# These, and the first version of the attention above, are pieces as one writes them without thinking of ``shapeless``.

Function = Callable[[mx.array], mx.array]


def normalized(x: mx.array) -> mx.array:
    """Each word's features with mean square 1."""
    return x * mx.rsqrt(mx.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def attention(x: mx.array) -> mx.array:
    """Each word as a mixture of all words."""
    return mx.softmax(x @ x.T, axis=-1) @ x


def with_positions(x: mx.array) -> mx.array:
    """Each word with a wave of its position added."""
    return x + mx.sin(mx.arange(x.shape[0]))[:, None]


def last_word(x: mx.array) -> mx.array:
    return x[-1]


def two_heads(x: mx.array) -> mx.array:
    """The features of each word in two groups."""
    return x.reshape(x.shape[0], 2, -1)


def without_first(x: mx.array) -> mx.array:
    return x[1:]


def strongest_feature(x: mx.array) -> mx.array:
    return mx.argmax(x, axis=-1)


PIECES: list[Function] = [
    *(normalized, attention, causal_attention, with_positions),
    *(mean_of_words, last_word, two_heads, without_first, strongest_feature),
]

# %%
# And this is what becomes of each when the second text is longer, when its words have more features, and when both
# grow. No axis shrinks: where a trace is wrong for a smaller size, it may write beyond an array's end. The helper refuses it.

FIRST = text(4, 8)
SECOND = {
    "more words": text(6, 8),
    "more features": text(4, 12),
    "more of both": text(6, 12),
}


def row(function: Function) -> list[Check]:
    """Check a function on each of the second sizes."""
    return [check_shapeless(function, FIRST, second) for second in SECOND.values()]


found = {function.__name__: row(function) for function in PIECES}
outcomes = tuple(
    (name, *(check.outcome for check in checks)) for name, checks in found.items()
)
print(Table(("function", *SECOND), outcomes))
assert found["attention"][2].outcome == RIGHT

# %%
# One size isn't enough: a function may be right while the words grow, and wrong when the features do. What a message or
# a wrong value looked like is in the check, too:

for name in ("with_positions", "last_word", "two_heads", "without_first"):
    print(f"{name}: {found[name][2].seen}")

# %%
# In colors, with a letter for those who see them alike:

SEVERITY = [RIGHT, "throws at the first call", "throws on the second size", WRONG]
LETTERS, COLORS = "✓12✗", ["#9fd6a8", "#f2e2a0", "#f2c078", "#d9534f"]
severities = [
    [SEVERITY.index(check.outcome) for check in checks] for checks in found.values()
]
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
ax.imshow(severities, cmap=ListedColormap(COLORS), vmin=0, vmax=3, aspect="auto")
for place, line in enumerate(severities):
    for column, severity in enumerate(line):
        ax.text(
            column, place, LETTERS[severity], ha="center", va="center", color="black"
        )
ax.set_xticks(
    range(len(SECOND)), [f"{name}\n(4, 8) → {x.shape}" for name, x in SECOND.items()]
)
ax.set_yticks(range(len(found)), list(found))
keys = [plt.Rectangle((0, 0), 1, 1, color=color) for color in COLORS]
words = [
    f"{letter} {outcome}" for letter, outcome in zip(LETTERS, SEVERITY, strict=True)
]
figure.legend(keys, words, loc="outside lower center", ncols=2)
ax.set_title(
    "Nine pieces of a text model, compiled shapeless and called with a larger text"
)

# %%
# Mended
# ------
# What failed read a length, or named a place by its number. Two more have a form that does neither: they count the
# positions as the attention above does, and the last word is the one whose position is the largest.


def with_positions_mended(x: mx.array) -> mx.array:
    return x + mx.sin(positions(x))


def last_word_mended(x: mx.array) -> mx.array:
    place = positions(x)
    return mx.sum(mx.where(place == mx.max(place, axis=0, keepdims=True), x, 0), axis=0)


MENDED: dict[Function, Function] = {
    causal_attention: causal_attention_mended,
    with_positions: with_positions_mended,
    last_word: last_word_mended,
}
for before, after in MENDED.items():
    assert mx.allclose(before(FIRST), after(FIRST), atol=1e-5), "not the same function"
    outcomes_after = [check.outcome for check in row(after)]
    print(f"{after.__name__}: {', '.join(outcomes_after)}")
    assert set(outcomes_after) == {RIGHT}

# %%
# Slices have no such form (:claim:`shapeless-slice`): do them before the compiled function, on its argument.
#
# What to take away
# -----------------
# - Before ``shapeless=True``: one line with ``check_shapeless``, and a size for each axis that will vary. It belongs into
#   your tests.
# - Trace at the smallest size that you will have; the check goes on from there.
# - "Right" is said of the sizes in ``Check.sizes`` only. A branch on a length (:claim:`shapeless-branch-on-shape`) shows when
#   they lie on different sides of it.
# - Mend by naming axes and comparing positions. What can't be mended stays outside.
#
# Where to go next
# ----------------
# *Shapeless compilation* measures what it saves. The helper, ``compile_guide/shapeless_check.py``, comes along with the files
# that it needs: ``python -m compile_guide copy check_shapeless``.
