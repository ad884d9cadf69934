"""
Seeing inside: print, item, and a branch on a value
===================================================

While MLX traces a function, its arrays are placeholders: they have a shape and a dtype, and no values. So printing one,
asking for its number, or branching on it fails. You will see each message as it is, and then the ways round: look at
shapes, return the value, switch compiling off, or say the branch with ``mx.where``.
"""

# sphinx_gallery_tags = ["basics", "debugging"]
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import mlx.core as mx

from compile_guide.timing import compare, format_time, table

# %%
# The question
# ------------
# A function works, and its compiled version raises. In `ml-explore/mlx#1648
# <https://github.com/ml-explore/mlx/issues/1648>`__ it was a loop whose condition is an array, in `#2900
# <https://github.com/ml-explore/mlx/issues/2900>`__ the puzzle was what a list holds that the function appends to. Here
# the function limits the length of a gradient, which everybody writes with an ``if`` first:

LIMIT = 1.0


def clip(gradient: mx.array) -> mx.array:
    """Return the gradient, shortened to the limit if it is longer."""
    length = mx.sqrt(mx.sum(gradient * gradient))
    if length > LIMIT:
        return gradient * (LIMIT / length)
    return gradient


def outcome(call: Callable[..., Any], *arguments: Any) -> str:
    """Return what a call gives, or the type and first line of what it raises."""
    try:
        return str(call(*arguments))
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


long, short = mx.array([3.0, 4.0]), mx.array([0.3, 0.4])
assert mx.allclose(clip(long), mx.array([0.6, 0.8])) and mx.array_equal(
    clip(short), short
)
print("plain:   ", outcome(clip, long))
print("compiled:", outcome(mx.compile(clip), long))

# %%
# "Eval" stands in the message because an ``if`` needs the value, and asking for a value means to evaluate.
#
# What asks for a value
# ---------------------
# More than one would think: even making a text does, whether it is printed or not (:claim:`formatted-inside`). All of
# it raises an error that can be caught (:claim:`print-inside-crashes`). What asks for a shape or a dtype is fine
# (:claim:`shape-inside`).

LOOKS: dict[str, Callable[[mx.array], Any]] = {
    "print(x)": print,
    'f"{x}"': lambda x: f"{x}",
    "x[0].item()": lambda x: x[0].item(),
    "x.tolist()": lambda x: x.tolist(),
    "float(x[0])": lambda x: float(x[0]),
    "mx.eval(x)": mx.eval,
    "if x[0] > 0": lambda x: 1 if x[0] > 0 else 2,
    "while x[0] > 0": lambda x: [None for _ in iter(lambda: bool(x[0] > 0), False)],
    "for value in x": lambda x: [value for value in x],
    "x.shape, x.dtype": lambda x: (x.shape, x.dtype),
}


def try_inside(look: Callable[[mx.array], Any]) -> str:
    """Look at a placeholder in that way; return "works" or the message."""

    def looking(x: mx.array) -> mx.array:
        look(x)
        return 2 * x

    message = outcome(mx.compile(looking), long)
    return message if "Error" in message else "works"


messages = {way: try_inside(look) for way, look in LOOKS.items()}
for message in dict.fromkeys(messages.values()):
    print(message)
    print("   ", ", ".join(way for way, seen in messages.items() if seen == message))
assert messages["for value in x"] == messages["x.shape, x.dtype"] == "works"
assert "during function transformations" in messages["print(x)"]

# %%
# The loop over ``x`` works because the number of values is part of the shape; each ``value`` is a placeholder again.
#
# A placeholder that got away
# ---------------------------
# What the body stores elsewhere is a placeholder as well, and it stays one when the trace is over. Then the message is
# another one, and it comes from the line that looks, which is innocent (:claim:`leaked-state-crashes`).

kept = []


def keeps(x: mx.array) -> mx.array:
    kept.append(2 * x)
    return x + 1


mx.eval(mx.compile(keeps)(long))
print(outcome(lambda: f"{kept[0]}").partition(" If ")[0], "…")

# %%
# It goes on with advice to capture the state, which is right when the list *is* state. To look at a value once, return it.
#
# Way 1: return it
# ----------------
# What one wants to see is one output more (:claim:`return-to-inspect`). The branch, for this and the following ways, is
# said without ``if``: :func:`mlx.core.where` computes both sides and picks for each element
# (:claim:`where-instead-of-branch`).


def clip_without_branch(gradient: mx.array) -> mx.array:
    length = mx.sqrt(mx.sum(gradient * gradient))
    return gradient * mx.where(length > LIMIT, LIMIT / length, 1.0)


def clip_and_tell(gradient: mx.array) -> tuple[mx.array, mx.array]:
    length = mx.sqrt(mx.sum(gradient * gradient))
    return gradient * mx.where(length > LIMIT, LIMIT / length, 1.0), length


fast_clip = mx.compile(clip_without_branch)
fast_clip_and_tell = mx.compile(clip_and_tell)
for gradient in (long, short, mx.zeros(2)):
    assert mx.allclose(fast_clip(gradient), clip(gradient))
    clipped, length = fast_clip_and_tell(gradient)
    print(f"length {length.item():.1f}:", clipped)

# %%
# Both sides are computed for each element, even where the length is zero and one of them divides by it; the value
# that isn't picked does no harm to the result.
#
# Way 2: print while tracing
# --------------------------
# A ``print`` of shapes is a log of traces for free: it speaks when the function is traced, and never else
# (:claim:`side-effects-once`). An ``assert`` on shapes costs nothing later (:claim:`assert-runs-each-call`).


@mx.compile
def talkative(gradient: mx.array) -> mx.array:
    assert gradient.ndim == 1, "one row, please"
    print("traced with", gradient.shape, gradient.dtype)
    return clip_without_branch(gradient)


for gradient in (long, short, mx.zeros(3), long):
    mx.eval(talkative(gradient))

# %%
# Way 3: switch compiling off
# ---------------------------
# For a session of debugging, :func:`mlx.core.disable_compile` makes every compiled function run its plain body
# (:claim:`print-when-disabled`), the branch on a value included. So does the environment variable
# ``MLX_DISABLE_COMPILE``. Switch it on again: the switch holds for the whole process.

mx.disable_compile()
try:
    print("off:", outcome(mx.compile(clip), long))
finally:
    mx.enable_compile()
print("on: ", outcome(mx.compile(clip), long))

# %%
# Way 4: leave the branch outside
# -------------------------------
# Where both sides are expensive, or a loop ends when a value says so, keep the decision in plain Python and compile what
# lies between two decisions. A compiled part returns what the next decision needs.


def descend_until_flat(start: mx.array) -> tuple[mx.array, int]:
    """Follow a gradient downhill until it is short; look at one number a round."""
    point, rounds = start, 0
    while True:
        # the gradient of the point's squared length
        step, length = fast_clip_and_tell(2 * point)
        if length.item() < 0.1:
            return point, rounds
        point, rounds = point - 0.25 * step, rounds + 1


point, rounds = descend_until_flat(long)
print(
    "rounds:",
    rounds,
    " length of the end point below 0.1:",
    mx.sqrt(mx.sum(point * point)).item() < 0.1,
)

# %%
# What do the ways cost?
# ----------------------
# The first line compares the plain function, whose ``if`` waits for the length before it can go on, with the compiled
# one. In the second both are compiled, and the candidate returns the length as well.

gradient = mx.random.normal((300_000,), key=mx.random.key(0))


def tell(gradient: mx.array) -> mx.array:
    return fast_clip_and_tell(gradient)[0]


branch = compare("seeing-branch", clip, fast_clip, gradient)
returned = compare("seeing-returned", fast_clip, tell, gradient)
table([branch, returned])

# %%

times = {
    "plain, with if": branch.baseline_s,
    "compiled, with where": branch.candidate_s,
    "the same, length returned": returned.candidate_s,
}
figure, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
milliseconds = [1e3 * (seconds or 0) for seconds in times.values()]
labels = [format_time(ms / 1e3, branch.spread) for ms in milliseconds]
bars = ax.barh(list(times), milliseconds, color=["0.65", "C0", "C1"])
ax.bar_label(bars, labels, padding=4)
ax.invert_yaxis()
ax.margins(x=0.2)
ax.set_xlabel("ms a call")
ax.set_title("Clipping a gradient: branch on its length, or compile without one")
plt.show()

# %%
# What to take away
# -----------------
# * The message about *function transformations* means: some line asked a placeholder for its value.
# * The message about *an array without a primitive* means: a placeholder got away from its trace.
# * Shapes and dtypes can be looked at, asserted and branched on. Values are returned, and looked at outside.
# * ``mx.where`` for a branch of cheap sides; for a loop, compile the round and keep the ``while`` in Python.
#
# Where to go next
# ----------------
# *State capture* is for what the function has to remember. *Outer or inner* shows how large a part of a program can be
# compiled in spite of its decisions.
