"""The shapeless support table: which functions are right under ``shapeless=True`` as sizes change.

Each function is called with one size, then with another, and compared with the plain function; most are traced at several
first sizes, one after the other. A silently wrong one may read or write beyond an array's end, so all run in child
processes, and on the CPU: which shapes MLX infers does not depend on the backend.

``PYTHONPATH=docs python -m claims._shapeless [NAME…]`` prints the table.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from compile_guide.shapeless_check import FIRST, RIGHT, SECOND, WRONG, try_sizes, words

from ._shapeless_cases import GROUPS, Group, Shape
from ._shapeless_layer_cases import layer_groups, made_layer

ENDS = "ends the process"
ABSENT = "does not run in this version"
UNTRIED = "not tried"
SEVERITY = (UNTRIED, ABSENT, RIGHT, FIRST, SECOND, WRONG, ENDS)
LIMIT_S = 20.0
BATCH = 48
BEYOND = 256
REPEATS = 100
RISKY = ("addmm", "Linear", "= 0")
"""Parts of names whose functions wrote beyond an array's end: each trial gets a process of its own."""
POISON = {"MALLOC_PERTURB_": "71"}
"""Makes glibc fill freed memory, so that values beyond an array's end are never right by chance."""


@dataclass(frozen=True)
class Row:
    """One function: the worst outcome over all smaller and over all larger sizes, and what each pair of sizes did."""

    name: str
    code: str
    smaller: str
    larger: str
    seen: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """One function, called with the size ``first`` and then with ``second``."""

    name: str
    first: Shape
    second: Shape


@cache
def groups_by_name() -> dict[str, Group]:
    """Return the group of each function of the table, in the table's order; the layers are those of the installed MLX."""
    return {name: group for group in (*GROUPS, *layer_groups()) for name in group.cases}


def support(names: Iterable[str] | None = None, *, jobs: int = 2) -> list[Row]:
    """Try the functions (all, or the named ones), in ``jobs`` child processes at a time; one row each.

    Raises:
        KeyError: a name is not in the table.
    """
    groups = groups_by_name()
    wanted = list(groups) if names is None else list(names)
    trials = [trial for name in wanted for trial in (*_trials(name, "smaller"), *_trials(name, "larger"))]
    risky = [t for t in trials if any(word in t.name for word in RISKY)]
    calm = [t for t in trials if t not in risky]
    batches = [calm[i : i + BATCH] for i in range(0, len(calm), BATCH)] + [[t] for t in risky]
    with ThreadPoolExecutor(jobs) as pool:
        results = {trial: result for batch in pool.map(_run, batches) for trial, result in batch.items()}
    return [_row(name, groups[name].cases[name], results) for name in wanted]


def _trials(name: str, side: str) -> list[Trial]:
    """Return a function's trials with smaller, or with larger, second sizes."""
    return [Trial(name, s.first, second) for s in groups_by_name()[name].sizes for second in getattr(s, side)]


def _row(name: str, code: str, results: dict[Trial, tuple[str, str]]) -> Row:
    """Return the row of a function, from the outcome and the words of each trial."""
    sides = _trials(name, "smaller"), _trials(name, "larger")
    smaller, larger = (
        max((results[trial][0] for trial in side), key=SEVERITY.index, default=UNTRIED) for side in sides
    )
    seen = [(trial, *results[trial]) for side in sides for trial in side]
    return Row(
        name, code, smaller, larger, tuple(f"{t.first} then {t.second}: {o}{w and ': ' + w}" for t, o, w in seen)
    )


def _run(batch: Sequence[Trial]) -> dict[Trial, tuple[str, str]]:
    """Run the trials in one child process; if that dies, run each trial in one of its own."""
    lines = _child(batch)
    if lines is not None:
        return dict(zip(batch, lines, strict=True))
    if len(batch) == 1:
        return {batch[0]: (ENDS, "")}
    return {trial: result for one in batch for trial, result in _run([one]).items()}


def _child(batch: Sequence[Trial]) -> list[tuple[str, str]] | None:
    """Run trials in a child process; None if a signal or the time limit ended it.

    Raises:
        RuntimeError: the child ended with a Python error, which is a bug of this module.
    """
    request = json.dumps([[t.name, t.first, t.second] for t in batch])
    path = os.pathsep.join(p for p in sys.path if p)
    argv = [sys.executable, "-m", "claims._shapeless", "--child", request]
    try:
        ended = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=LIMIT_S + 5 * len(batch),
            env={**os.environ, "PYTHONPATH": path, **POISON},
        )
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode > 0:
        raise RuntimeError(f"the shapeless table's child process failed: {ended.stderr[-500:]}")
    if ended.returncode < 0:
        return None
    return [(outcome, words) for outcome, words in map(json.loads, ended.stdout.splitlines())]


def names(mx: Any, nn: Any) -> dict[str, Any]:
    """Return what expressions may use besides ``x``; evaluated, since the operations that make it would be traced too."""
    mx.random.seed(0)
    arrays: dict[str, Any] = {
        "w": _counting(mx, (6, 4), "float32"),
        "bias": mx.array([1e6, 2e6, 3e6, 4e6]),
        "rows": mx.array([0, 1]),
        "last": mx.array([-1]),
        "row": mx.zeros((1, 2)),
        "key": mx.random.key(0),
        "filters": mx.ones((2, 2, 8)),
        "quantized": mx.quantize(mx.ones((8, 96)), group_size=32),
    }
    layers = {
        "linear": nn.Linear(6, 4),
        "plain_linear": nn.Linear(6, 4, bias=False),
        "dropout": nn.Dropout(0.5),
        "embedding": nn.Embedding(6, 4),
    }
    layers["linear"].update({"bias": arrays["bias"]})
    mx.eval(arrays, [layer.parameters() for layer in layers.values()])
    return {"mx": mx, "nn": nn, **arrays, **layers}


def _counting(mx: Any, shape: Shape, dtype: str) -> Any:
    """Return rising values; the values behind them in memory show a read beyond their end."""
    size = 1
    for length in shape:
        size *= length
    values = mx.arange(size)
    counted = values.astype(mx.int32) % 6 if dtype == "int32" else mx.square(values.astype(mx.float32) + 1) / 16
    beyond = mx.full((BEYOND,), 5 if dtype == "int32" else 1e6).astype(counted.dtype)
    whole = mx.concatenate([counted, beyond])
    mx.eval(whole)
    array = whole[:size].reshape(shape)
    mx.eval(array)
    return array


def function(code: str, using: dict[str, Any]) -> Callable[[Any], Any]:
    """Make a function of ``x`` from a table's expression; a layer that it calls is made now, not while tracing."""
    scope = dict(using)
    if layer := re.fullmatch(r"(nn\.\w+\([^()]*\))(\(.*\))", code):
        scope["layer"], code = made_layer(layer[1], scope), f"layer{layer[2]}"
    *statements, result = code.split("; ")
    body = "\n".join(f"    {line}" for line in (*statements, f"return {result}"))
    exec(f"def fun(x):\n{body}", scope)
    fun: Callable[[Any], Any] = scope["fun"]
    return fun


def judge(mx: Any, fun: Callable[[Any], Any], dtype: str, first: Shape, second: Shape) -> tuple[str, str]:
    """Compare compiled and plain on a second size; return the outcome and a few words."""

    def make(shape: Shape) -> Any:
        return _counting(mx, shape, dtype)

    try:
        mx.eval(fun(make(first)))
    except Exception as error:  # an old version lacks the function or one of its arguments
        return ABSENT, words(error)
    check = try_sizes(mx, fun, (make(first),), (make(second),), wanted=lambda: fun(make(second)))
    return check.outcome, check.seen


def child(request: str) -> None:
    """In the child: run the trials of a JSON request and print one JSON line each."""
    import mlx.core as mx
    import mlx.nn as nn

    mx.set_default_device(mx.Device(mx.cpu))
    using, groups = names(mx, nn), groups_by_name()
    # freed memory holds NaN then, so that values beyond an array's end are never right by chance
    litter = [mx.full((n % 97 + 1,), float("nan")) for n in range(2000)]
    mx.eval(litter)
    kept = litter[::2]
    del litter
    trials = json.loads(request)
    for name, first, second in trials:
        group = groups[name]
        try:
            fun = function(group.cases[name], using)
        except (AttributeError, TypeError, ValueError) as error:  # an old version lacks the layer or an argument of it
            print(json.dumps((ABSENT, words(error))), flush=True)
            continue
        result = judge(mx, fun, group.dtype, tuple(first), tuple(second))
        if len(trials) == 1 and result[0] in (RIGHT, WRONG):
            inputs = [_counting(mx, size, group.dtype) for size in (first, second)]
            _repeat(mx, mx.compile(fun, shapeless=True), inputs)
        print(json.dumps(result), flush=True)
    del kept


def _repeat(mx: Any, compiled: Callable[[Any], Any], inputs: list[Any]) -> None:
    """Call a hundred times: a single write beyond an array's end may have no consequence."""
    mx.eval(compiled(inputs[0]))
    kept = [compiled(inputs[1]) for _ in range(REPEATS)]
    mx.eval(kept)


def main(arguments: list[str]) -> None:
    """Print the table, or run a child's trials."""
    if arguments[:1] == ["--child"]:
        child(arguments[1])
        return
    for row in support(arguments or None):
        print(f"{row.name:40s} smaller: {row.smaller:26s} larger: {row.larger}")


if __name__ == "__main__":
    main(sys.argv[1:])
