"""Numerics: whether a compiled function returns the plain one's bits, and which values it can hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import in_child, near, survives
from ._sources import DOCS, GUIDE, METALFAISS, NOTES


def gelu(mx: Any) -> Any:
    """GELU by the error function, as MLX's documentation writes it."""
    return lambda x: x * (1 + mx.erf(x / math.sqrt(2))) / 2


def spread(mx: Any, size: int = 4096, dtype: Any = None) -> tuple[Any, Any]:
    """Return two evaluated vectors of values between -6 and 6, the same on every machine."""
    dtype = mx.float32 if dtype is None else dtype
    steps = mx.arange(size)
    x = ((steps * 37 % size).astype(mx.float32) * (12 / size) - 6).astype(dtype)
    y = ((steps * 101 % size).astype(mx.float32) * (12 / size) - 6).astype(dtype)
    mx.eval(x, y)
    return x, y


def differing(mx: Any, fun: Callable[..., Any], *inputs: Any) -> tuple[int, float]:
    """Return in how many values the compiled function differs from the plain one, and by how much at most."""
    plain, compiled = fun(*inputs), mx.compile(fun)(*inputs)
    mx.eval(plain, compiled)
    count = int(mx.sum(plain != compiled).item())
    apart = mx.abs(plain.astype(mx.float32) - compiled.astype(mx.float32))
    return count, float(mx.max(apart).item())


def same_bits(mx: Any, fun: Callable[..., Any], *inputs: Any) -> Seen:
    """Compare the compiled function with the plain one, value by value; holds when no value differs."""
    count, most = differing(mx, fun, *inputs)
    words = f"{count} of {fun(*inputs).size} values differ" + (f", by {most:.1e} at most" if count else "")
    return Seen(count == 0, words)


@claim(
    "numeric-differences",
    "A compiled function may differ from the plain one in the last digits.",
    source=f"{NOTES}; {DOCS}",
    answer="Yes. Chains of float32 operations agree to the bit on the CPU since 0.32.3, but not on CUDA where a "
    "multiply meets an add. On both, complex constants lose digits, rounded 64-bit integers move, and a sum of a fused "
    "result may add in another order.",
)
def _(mx: Any) -> Seen:
    x, y = spread(mx)
    chains = {
        "x*y+x": differing(mx, lambda x, y: x * y + x, x, y)[0],
        "exp(-x)+y": differing(mx, lambda x, y: mx.exp(-x) + y, x, y)[0],
        "GELU": differing(mx, gelu(mx), x)[0],
        "x*sigmoid(x)": differing(mx, lambda x: x * mx.sigmoid(x), x)[0],
    }
    child = in_child(mx, others_that_differ)
    rest = ", ".join(child.result or ["none"]) if child.how == "exit 0" else f"the process ended with {child.how}"
    shown = ", ".join(f"{name} {count}" for name, count in chains.items())
    return Seen(
        any((*chains.values(), child.result)), f"of {x.size} float32 values differ: {shown}; of the rest: {rest}"
    )


def others_that_differ(mx: Any) -> list[str]:
    """Return what else differs between a compiled function and the plain one."""
    differ = {
        "a complex constant": complex_constant(mx),
        "a rounded 64-bit integer": bool(moved_integers(mx)),
        "the sum of a fused result": transposed(mx)[1] != 0,
    }
    return [name for name, differs in differ.items() if differs]


def complex_constant(mx: Any) -> bool:
    """Say whether a complex constant of a fused kernel is another number than the array that it came from."""
    constant = mx.array([1 / 3 + 2j / 3])
    mx.eval(constant)
    compiled = mx.compile(lambda z: mx.where(z == z, constant * 1, z))(constant + 0)
    return bool(mx.any(compiled != constant).item())


def moved_integers(mx: Any) -> dict[str, tuple[int, int]]:
    """Return, for floor, ceil and round, plain and compiled results for a large integer, where the two differ."""
    time_stamp = mx.array([1_700_000_000_123_456_789], dtype=mx.int64)
    mx.eval(time_stamp)
    seen = {}
    for name in ("floor", "ceil", "round"):
        plain, compiled = _both(mx, _rounded_successor(getattr(mx, name)), time_stamp)
        if plain.item() != compiled.item():
            seen[name] = (plain.item(), compiled.item())
    return seen


def _rounded_successor(rounded: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: rounded(x + 1)


def transposed(mx: Any) -> tuple[bool, float]:
    """Scale a transposed matrix by its norm: does the fused result lie in memory as the plain one, and how far are sums apart?"""

    def scaled(x: Any) -> Any:
        return x.T * 2 / mx.sqrt(mx.sum(mx.square(x), keepdims=True))

    x = spread(mx, 300 * 200)[0].reshape(300, 200)
    mx.eval(x)
    plain, compiled = scaled(x), mx.compile(scaled)(x)
    mx.eval(plain, compiled)
    alike = memoryview(plain).strides == memoryview(compiled).strides
    return alike, abs(float((mx.sum(plain) - mx.sum(compiled)).item()))


@claim(
    "multiply-add-same-bits",
    "x * y + x gives the same bits compiled and plain.",
    source=GUIDE,
    answer="On the CPU yes; on CUDA the fused kernel rounds once where two kernels round twice.",
)
def _(mx: Any) -> Seen:
    return same_bits(mx, lambda x, y: x * y + x, *spread(mx))


@claim(
    "exp-add-same-bits",
    "The documentation's first example, exp(-x) + y, gives the same bits compiled and plain.",
    source=f"{DOCS}, Basics of Compile",
    answer="Yes.",
)
def _(mx: Any) -> Seen:
    return same_bits(mx, lambda x, y: mx.exp(-x) + y, *spread(mx))


@claim(
    "gelu-same-bits",
    "GELU gives the same bits compiled and plain.",
    source=GUIDE,
    answer="Since 0.32.3 yes; before, the CPU's fused kernel differed in the last digits.",
)
def _(mx: Any) -> Seen:
    return same_bits(mx, gelu(mx), spread(mx)[0])


@claim(
    "tanh-gelu-same-bits",
    "GELU by tanh gives the same bits compiled and plain.",
    source=GUIDE,
    answer="On the CPU yes; on CUDA a few values differ, because its multiplies meet adds.",
)
def _(mx: Any) -> Seen:
    scale = math.sqrt(2 / math.pi)
    return same_bits(mx, lambda x: 0.5 * x * (1 + mx.tanh(scale * (x + 0.044715 * x * x * x))), spread(mx)[0])


@claim(
    "half-precision-same-bits",
    "A fused kernel keeps a float16 chain's intermediate values in float32 and rounds once, at the end.",
    source="a habit from other compilers",
    answer="On the CPU not: each step of the chain is rounded to float16, fused or not.",
)
def _(mx: Any) -> Seen:
    def chain(x: Any, y: Any) -> Any:
        return mx.exp(mx.minimum(x, 2)) * y - y

    x, y = spread(mx, dtype=mx.float16)
    once = chain(x.astype(mx.float32), y.astype(mx.float32)).astype(mx.float16)
    compiled = mx.compile(chain)(x, y)
    plain = int(mx.sum(compiled != chain(x, y)).item())
    exact = int(mx.sum(compiled != once).item())
    return Seen(
        exact == 0,
        f"of {x.size} values, {plain} differ from the plain chain, {exact} from one rounding at the end",
    )


@claim(
    "sum-same-bits",
    "A sum inside a compiled function adds up in another order than outside.",
    source="a habit from other compilers",
    answer="No: a reduction isn't fused, so it is the same kernel with the same order.",
)
def _(mx: Any) -> Seen:
    x, y = spread(mx)
    count, most = differing(mx, lambda x, y: mx.sum(mx.exp(x) * mx.exp(y)), x, y)
    return Seen(count != 0, f"the two sums differ by {most:.1e}" if count else "the two sums are the same number")


@claim(
    "no-algebra",
    "compile simplifies algebra, so that (x + 1e8) - 1e8 becomes x.",
    source="a habit from other compilers",
    answer="No: it merges equal expressions and fuses, but keeps every rounding step.",
)
def _(mx: Any) -> Seen:
    x = mx.array([1.0, 3.0])
    compiled = mx.compile(lambda x: (x + 1e8) - 1e8)(x).tolist()
    return Seen(compiled == [1.0, 3.0], f"of [1.0, 3.0] it makes {compiled}")


@claim(
    "special-values-same",
    "NaN, infinities and signed zeros come out of a fused kernel as out of the plain operations.",
    source=GUIDE,
    answer="Those that come in as arrays do. The constant -0.0 becomes +0.0, so that 1 / y changes its sign: pass it as "
    "an array, or make it by -mx.zeros_like(x).",
)
def _(mx: Any) -> Seen:
    x = mx.array([math.nan, math.inf, -math.inf, 0.0, -0.0])

    def clip(x: Any) -> Any:
        return mx.maximum(mx.minimum(x, 1.0), -1.0)

    def inverse(x: Any) -> Any:
        return 1 / mx.where(x == x, -0.0, x)

    arrays, constants = (
        [str(call.tolist()) for call in calls] for calls in (_both(mx, clip, x), _both(mx, inverse, x[1:]))
    )
    words = f"clipped: plain {arrays[0]}, compiled {arrays[1]}; 1 / the constant -0.0: plain {constants[0]}"
    return Seen(arrays[0] == arrays[1] and constants[0] == constants[1], f"{words}, compiled {constants[1]}")


def _both(mx: Any, fun: Callable[..., Any], *inputs: Any) -> tuple[Any, Any]:
    """Return what the plain function gives, and what the compiled one does."""
    return fun(*inputs), mx.compile(fun)(*inputs)


@claim(
    "complex-constant-exact",
    "A complex constant keeps its value in a fused kernel.",
    source=GUIDE,
    answer="No: it is written into the kernel with seven digits, and the sign of a zero part is lost; pass it as an array.",
)
def _(mx: Any) -> Seen:
    child = in_child(mx, complex_constant)
    if child.how != "exit 0":
        return Seen(None, f"the process ended with {child.how}")
    return Seen(
        not child.result, f"(1 + 2j) / 3 as a constant: {'another' if child.result else 'the same'} number compiled"
    )


def _complex_nan(mx: Any) -> str:
    """Build a kernel that holds a complex NaN."""
    constant = mx.array([complex(1.0, math.nan)])
    mx.eval(constant)
    try:
        return str(mx.compile(lambda z: mx.where(z == z, constant, z))(mx.array([1 + 1j])).tolist())
    except RuntimeError as error:
        return f"RuntimeError: {str(error)[:43]}"


@claim(
    "complex-nan-constant",
    "A complex NaN may be a constant of a compiled function.",
    source=GUIDE,
    answer="Not on the CPU, where its kernel doesn't compile; pass it as an array. A real NaN may be.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _complex_nan, "[(1+nanj)]")


@claim(
    "integers-rounded-exactly",
    "mx.floor, mx.ceil and mx.round leave integers as they are.",
    source="a common expectation",
    answer="Plain they do. A fused kernel takes int64 and uint64 through float64, so that integers beyond 2**53, such as a "
    "time stamp in nanoseconds, move.",
)
def _(mx: Any) -> Seen:
    words = "; ".join(f"{name}: plain {plain}, compiled {fused}" for name, (plain, fused) in moved_integers(mx).items())
    return Seen(not words, words or "floor, ceil and round of 1700000000123456790 are right, plain and compiled")


@claim(
    "fused-memory-layout",
    "A fused result lies in memory as the plain one does.",
    source="a common expectation",
    answer="Not where a transposed array meets a broadcast one, as in Muon's step for tall weights: the values are the "
    "same, but what adds them up goes another way, and its last digits differ.",
)
def _(mx: Any) -> Seen:
    alike, apart = transposed(mx)
    return Seen(
        alike, f"memory layout {'the same' if alike else 'another one'}; sums {'equal' if not apart else 'differ'}"
    )


@claim(
    "isnan-kept",
    "Compiling drops mx.isnan, as fast-math compilers do.",
    source="a habit from other compilers",
    answer="No: the mask survives fusion.",
)
def _(mx: Any) -> Seen:
    seen = mx.compile(lambda x: mx.where(mx.isnan(x), 0.0, x + 1))(mx.array([math.nan, 1.0])).tolist()
    return Seen(seen != [0.0, 2.0], f"where(isnan(x), 0, x + 1) of [nan, 1] is {seen}")


def _nan_constant(mx: Any) -> Any:
    """Build a kernel that holds NaN; older CPU backends end the process when its source does not compile."""
    try:
        return str(mx.compile(lambda x: mx.where(x > 1, math.nan, x))(mx.array([1.0, 2.0])).tolist())
    except RuntimeError as error:
        return f"RuntimeError: {str(error)[:43]}"


@claim(
    "nan-constant",
    "A NaN may be written into a compiled function as a constant.",
    source=GUIDE,
    answer="Yes since 0.32.0; before, the CPU backend wrote it into its C++ source as a word that doesn't compile.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _nan_constant, "[1.0, nan]")


@claim(
    "infinity-constant",
    "Infinity has to be made by dividing ones by zeros; float('inf') can't be used in a compiled function.",
    source=f"{METALFAISS}, Compile Guide",
    answer="It can: math.inf is a constant like any other.",
)
def _(mx: Any) -> Seen:
    seen = mx.compile(lambda x: mx.where(x > 1, math.inf, x))(mx.array([1.0, 2.0])).tolist()
    return Seen(seen != [1.0, math.inf], f"where(x > 1, inf, x) of [1, 2] is {seen}")


def _zero_size(mx: Any) -> Any:
    out = mx.compile(lambda x: mx.exp(-x) + 1)(mx.zeros((0, 3)))
    mx.eval(out)
    return list(out.shape)


@claim(
    "zero-size-input",
    "An array without elements may be passed to a compiled function.",
    source=GUIDE,
    answer="On the CPU yes; on CUDA (0.32.4) it ends the process, so test the size before the call.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _zero_size, [0, 3])


def _other_outputs(mx: Any) -> Any:
    """Compile one chain twice, returning its end, then also its middle; older kernels shared a name."""

    def both(x: Any) -> Any:
        middle = mx.exp(-x)
        return mx.sin(middle), middle

    x = mx.zeros((3,))
    mx.eval(mx.compile(lambda x: mx.sin(mx.exp(-x)))(x))
    end, middle = mx.compile(both)(x)
    mx.eval(end, middle)
    return [near(mx, end, mx.sin(mx.exp(-x))), near(mx, middle, mx.exp(-x))]


@claim(
    "same-chain-other-outputs",
    "Two compiled functions may run the same chain of operations and return different parts of it.",
    source=GUIDE,
    answer="Yes since 0.29.3; through 0.29.2 the CPU backend took one's kernel for the other's, and the process crashed.",
)
def _(mx: Any) -> Seen:
    return survives(mx, _other_outputs, [True, True])


@claim(
    "integers-wrap",
    "Integers wrap around in a fused kernel as they do in the plain operations.",
    source=GUIDE,
    answer="Yes: 200 + 100 is 44 in uint8, compiled and plain.",
)
def _(mx: Any) -> Seen:
    def add(x: Any, y: Any) -> Any:
        return mx.maximum(x + y, y - y)

    x, y = mx.array([200, 1], dtype=mx.uint8), mx.array([100, 2], dtype=mx.uint8)
    plain, compiled = add(x, y).tolist(), mx.compile(add)(x, y).tolist()
    return Seen(plain == compiled, f"plain {plain}, compiled {compiled}")


@claim(
    "same-random-numbers",
    "The same key gives the same random numbers compiled and plain.",
    source=GUIDE,
    answer="Since 0.32.3 to the last bit; before, the CPU's fused kernel differed in the last digit.",
)
def _(mx: Any) -> Seen:
    def draw(key: Any) -> Any:
        return mx.random.uniform(shape=(4096,), key=key)

    return same_bits(mx, draw, mx.random.key(3))
