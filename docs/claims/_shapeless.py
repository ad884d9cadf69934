"""The shapeless support table: which functions are right under ``shapeless=True`` as sizes change.

Each function is called with one size, then with another, and compared with the plain function. What is
silently wrong may read or write beyond an array's end, so everything runs in child processes and on the CPU:
which shapes MLX infers does not depend on the backend.

``python -m claims._shapeless [NAME…]`` prints the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from claims._shapeless_cases import GROUPS, Group, Shape

from compile_guide.shapeless_check import FIRST, RIGHT, SECOND, WRONG, try_sizes, words

ENDS = "ends the process"
ABSENT = "does not run in this version"
SEVERITY = (ABSENT, RIGHT, FIRST, SECOND, WRONG, ENDS)
LIMIT_S = 20.0
BATCH = 12
BEYOND = 256
REPEATS = 100
RISKY = ("addmm", "Linear", "= 0")
"""Seen to write beyond an array's end: a process for each trial, which for others is the fallback."""
POISON = {"MALLOC_PERTURB_": "71"}
"""Makes glibc fill memory that is freed, so that what lies beyond an array's end is never right by chance."""


@dataclass(frozen=True)
class Row:
    """One function: the worst outcome over the smaller and over the larger sizes, and what each size did."""

    name: str
    code: str
    smaller: str
    larger: str
    seen: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """One function, called with its group's first size and then with ``second``."""

    name: str
    second: Shape


def groups_by_name() -> dict[str, Group]:
    """Return the group of each function of the table, in the table's order."""
    return {name: group for group in GROUPS for name in group.cases}


def support(names: Iterable[str] | None = None, *, jobs: int = 2) -> list[Row]:
    """Try the functions (all, or the named ones), in ``jobs`` child processes at a time; one row each.

    Raises:
        KeyError: a name is not in the table.
    """
    groups = groups_by_name()
    wanted = list(groups) if names is None else list(names)
    trials = [Trial(n, second) for n in wanted for second in (*groups[n].smaller, *groups[n].larger)]
    risky = [t for t in trials if any(word in t.name for word in RISKY)]
    calm = [t for t in trials if t not in risky]
    batches = [calm[i : i + BATCH] for i in range(0, len(calm), BATCH)] + [[t] for t in risky]
    with ThreadPoolExecutor(jobs) as pool:
        found = {t: said for batch in pool.map(_run, batches) for t, said in batch.items()}
    return [_row(name, groups[name], found) for name in wanted]


def _row(name: str, group: Group, found: dict[Trial, tuple[str, str]]) -> Row:
    """Sum up a function's trials."""
    smaller, larger = ([found[Trial(name, s)] for s in sizes] for sizes in (group.smaller, group.larger))
    worst = [max((outcome for outcome, _ in side), key=SEVERITY.index) for side in (smaller, larger)]
    pairs = zip((*group.smaller, *group.larger), (*smaller, *larger), strict=True)
    seen = tuple(f"{group.first} then {s}: {outcome}{words and ': ' + words}" for s, (outcome, words) in pairs)
    return Row(name, group.cases[name], worst[0], worst[1], seen)


def _run(batch: Sequence[Trial]) -> dict[Trial, tuple[str, str]]:
    """Run the trials in one child process; if it does not survive, each trial in one of its own."""
    lines = _child(batch)
    if lines is not None:
        return dict(zip(batch, lines, strict=True))
    if len(batch) == 1:
        return {batch[0]: (ENDS, "")}
    return {trial: said for one in batch for trial, said in _run([one]).items()}


def _child(batch: Sequence[Trial]) -> list[tuple[str, str]] | None:
    """Run trials in a child process; None if a signal or the time limit ended it.

    Raises:
        RuntimeError: the child ended with a Python error, which is this module's fault.
    """
    request = json.dumps([[t.name, t.second] for t in batch])
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
    """Return what expressions may use besides ``x``: evaluated, or their making would be traced as well."""
    mx.random.seed(0)
    made: dict[str, Any] = {
        "w": _counting(mx, (6, 4), "float32"),
        "bias": mx.array([1e6, 2e6, 3e6, 4e6]),
        "rows": mx.array([0, 1]),
        "row": mx.zeros((1, 2)),
        "key": mx.random.key(0),
        "filters": mx.ones((2, 2, 8)),
        "quantized": mx.quantize(mx.ones((8, 96)), group_size=32),
    }
    layers = {
        "linear": nn.Linear(6, 4),
        "plain_linear": nn.Linear(6, 4, bias=False),
        "layer_norm": nn.LayerNorm(6),
        "rms_norm": nn.RMSNorm(6),
        "dropout": nn.Dropout(0.5),
        "conv": nn.Conv1d(8, 2, 2),
        "attention": nn.MultiHeadAttention(8, 2),
        "embedding": nn.Embedding(6, 4),
    }
    layers["linear"].update({"bias": made["bias"]})
    mx.eval(made, [layer.parameters() for layer in layers.values()])
    return {"mx": mx, "nn": nn, **made, **layers}


def _counting(mx: Any, shape: Shape, dtype: str) -> Any:
    """Return rising values, followed in memory by others that show when they are read beyond their end."""
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
    """Make a function of ``x`` from a table's expression."""
    *statements, result = code.split("; ")
    body = "\n".join(f"    {line}" for line in (*statements, f"return {result}"))
    scope = dict(using)
    exec(f"def fun(x):\n{body}", scope)
    made: Callable[[Any], Any] = scope["fun"]
    return made


def judge(mx: Any, fun: Callable[[Any], Any], group: Group, second: Shape) -> tuple[str, str]:
    """Compare compiled and plain on a second size; return the outcome and a few words."""

    def make(shape: Shape) -> Any:
        return _counting(mx, shape, group.dtype)

    try:
        mx.eval(fun(make(group.first)))
    except Exception as error:  # an old version lacks the function or one of its arguments
        return ABSENT, words(error)
    found = try_sizes(mx, fun, (make(group.first),), (make(second),), wanted=lambda: fun(make(second)))
    return found.outcome, found.seen


def child(request: str) -> None:
    """In the child: run the trials of a JSON request and print one JSON line each."""
    import mlx.core as mx
    import mlx.nn as nn

    mx.set_default_device(mx.Device(mx.cpu))
    using, groups = names(mx, nn), groups_by_name()
    litter = [mx.full((n % 97 + 1,), float("nan")) for n in range(2000)]
    mx.eval(litter)
    kept = litter[::2]
    del litter
    trials = json.loads(request)
    for name, second in trials:
        fun, group = function(groups[name].cases[name], using), groups[name]
        said = judge(mx, fun, group, tuple(second))
        if len(trials) == 1 and said[0] in (RIGHT, WRONG):
            _repeat(
                mx,
                mx.compile(fun, shapeless=True),
                [_counting(mx, s, group.dtype) for s in (group.first, second)],
            )
        print(json.dumps(said), flush=True)
    del kept


def _repeat(mx: Any, compiled: Callable[[Any], Any], inputs: list[Any]) -> None:
    """Call again and again: one write beyond an array's end may go unnoticed, a hundred do not."""
    mx.eval(compiled(inputs[0]))
    kept = [compiled(inputs[1]) for _ in range(REPEATS)]
    mx.eval(kept)


def main(arguments: list[str]) -> None:
    """Print the table, or do a child's work."""
    if arguments[:1] == ["--child"]:
        child(arguments[1])
        return
    for row in support(arguments or None):
        print(f"{row.name:40s} smaller: {row.smaller:26s} larger: {row.larger}")


if __name__ == "__main__":
    main(sys.argv[1:])
