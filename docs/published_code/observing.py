"""Compare, watch and time the functions, in a process of the recorder: see ``gallery/published_functions.py``."""

from __future__ import annotations

import itertools
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from compile_guide.comparison import difference, is_array, leaves
from compile_guide.timing import check_compiling, compare
from compile_guide.tracing import watch
from published_code.functions import Args, Case, Make
from published_code.originals import Original, find
from published_code.programs import Program, Step, backend
from published_code.results import Reason, Seen, encode_seen

FOLDER, ONLY = "PUBLISHED_CODE_SEEN", "PUBLISHED_CODE_ONLY"
"""Environment variables: a folder for what is seen, a JSON file each; names of what is to be measured, all if empty."""


def wanted(name: str) -> bool:
    """Return whether something is to be measured."""
    return name in os.environ.get(ONLY, name).split(",")


def note(seen: Seen) -> None:
    """Write what was seen into the folder that the environment names, if it names one."""
    if folder := os.environ.get(FOLDER):
        Path(folder, f"{seen.name}.json").write_bytes(encode_seen(seen))


def measure(cases: Iterable[Case]) -> None:
    """Time each case whose package is installed; then, in a process that runs to its end, look at all calls of each."""
    make, found = Make(backend() != "cpu"), []
    for case in cases:
        if wanted(case.name) and (original := _installed(case)):
            sides = (original.plain, original.compiled)
            try:
                calls = case.calls(make)
                plain, fast = ([_evaluated(_run(case, side, *args)) for args in calls] for side in sides)
            except (
                ArithmeticError,
                LookupError,
                RuntimeError,
                TypeError,
                ValueError,
            ) as error:  # others' code, this backend
                note(Seen(case.name, "", f"raises {type(error).__name__}: {error}"[:300], original.how))
                continue
            found.append((case, original, calls, plain, fast))
            if not difference(plain[0], fast[0]):
                compare(case.name, *(partial(_run, case, side) if case.draws else side for side in sides), *calls[0])
    for case, original, calls, plain, fast in found:
        note(observe(case, original, calls, plain, fast))


def _installed(case: Case) -> Original | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return find(case.function)
        except ImportError as error:
            print(f"{case.function}: not installed here ({error})")
            return None


def _run(case: Case, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; one that draws gets the same seed each time."""
    import mlx.core as mx

    if case.draws:
        mx.random.seed(7)
    return function(*args)


def observe(case: Case, original: Original, calls: list[Args], plain: list[Any], fast: list[Any]) -> Seen:
    """Return how all calls agree, and how often the function is traced in them, and why."""
    watched = watch(original.plain, original.inputs)
    compiled = original.compile_anew(watched)
    for args in calls:
        _evaluated(_run(case, compiled, *args))
    reasons = Counter(watched.reasons)
    said = tuple(Reason(text, count) for text, count in reasons.items())
    return Seen(case.name, inputs_of(calls[0]), agreement(plain, fast), original.how, len(calls), watched.traces, said)


def _evaluated(result: Any) -> Any:
    import mlx.core as mx

    mx.eval([leaf for _, leaf in leaves(result) if isinstance(leaf, mx.array)])
    return result


def inputs_of(args: Args) -> str:
    """Return arguments in words: dtype and shape of an array, other values as they are; equal neighbors once, counted."""
    words = (
        f"{str(leaf.dtype).rpartition('.')[2]} {tuple(leaf.shape)}" if is_array(leaf) else repr(leaf)
        for _, leaf in leaves(args)
    )
    counted = ((word, len(list(alike))) for word, alike in itertools.groupby(words))
    return ", ".join(f"{count} × {word}" if count > 1 else word for word, count in counted)[:300]


def agreement(plain: list[Any], fast: list[Any]) -> str:
    """Return in words how the results of the same calls agree: in all bits, within rounding, or not."""
    for number, (one, other) in enumerate(zip(plain, fast, strict=True), start=1):
        if words := difference(one, other):
            return f"call {number} of {len(plain)} differs: {words}"
    gap = max(_gap(one, other) for one, other in zip(plain, fast, strict=True))
    return f"within rounding: up to {gap:.1g} of the largest value" if gap else "the same bits"


def _gap(one: Any, other: Any) -> float:
    """Return the largest difference between two results, as a share of the largest finite value of its array."""
    import mlx.core as mx

    pairs = zip((leaf for _, leaf in leaves(one)), (leaf for _, leaf in leaves(other)), strict=True)
    gaps = [0.0]
    for a, b in pairs:
        if is_array(a) and not mx.array_equal(a, b, equal_nan=True):
            a, b = a.astype(mx.float32), b.astype(mx.float32)
            finite = mx.isfinite(a) & mx.isfinite(b)
            largest = (mx.max(mx.where(finite, value, 0)) for value in (mx.abs(a - b), mx.abs(a)))
            gap, size = (float(number) for number in largest)
            gaps.append(gap / size if size else gap)
    return max(gaps)


def measure_programs(programs: Iterable[Program]) -> None:
    """Time each program whose package is installed, with compiling on against off, after a look at its results."""
    for program in programs:
        if wanted(program.name) and not (program.large_only and backend() == "cpu"):
            try:
                sides = [program.side(on) for on in (False, True)]
            except ImportError as error:
                print(f"{program.name}: not installed here ({error})")
                continue
            _measure_program(program, *sides)


def _measure_program(program: Program, plain: Step, fast: Step) -> None:
    import mlx.core as mx

    results = [_evaluated([step() for _ in range(2)]) for step in (plain, fast)]
    words = agreement(*results) if program.tolerance is None else _nearly(*results)
    note(Seen(program.name, program.sizes(backend()), words))
    steps = (plain, fast)
    if program.tolerance is None:  # a word that differs changes all that follow, and none of the time
        steps = (lambda: mx.array(plain().size), lambda: mx.array(fast().size))
    check_compiling()
    compare(program.name, *steps, rtol=program.tolerance, compiled=False)  # one side switches compiling off and on


def _nearly(plain: list[Any], fast: list[Any]) -> str:
    """Return in words how the losses of the same steps agree."""
    words = agreement(plain, fast)
    return f"losses differ by up to {_gap(plain, fast):.1g} of the loss" if "differs" in words else words
