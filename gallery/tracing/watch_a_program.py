"""
Watch a program: its traces, their reasons, and what was frozen
===============================================================

``compile-guide watch`` runs a program as it is and reports what compiling did in it. You will watch a program of twenty
lines that has two faults, read its report, correct the faults, and watch it again.
"""

# sphinx_gallery_tags = ["traces", "state", "debugging"]
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlx.core as mx

from compile_guide.timing import Table, compare, table

# %%
# The question
# ------------
# MLX says nothing when it traces a function again, and people have asked for a log of it in
# `ml-explore/mlx#4464 <https://github.com/ml-explore/mlx/issues/4464>`__. It says nothing either when a compiled function goes on
# with an old value (:claim:`global-number-updates`). In a program of your own you could wrap each function with
# :func:`~compile_guide.tracing.watch`. The command needs no change to the program, and it sees the functions that libraries compile, too.
#
# The program
# -----------
# It weights values at a temperature and scales them by a rate that falls. Both functions are compiled.

PROGRAM = """\
import mlx.core as mx

rate = 1.0


@mx.compile
def weight(x, temperature):
    return mx.exp(-x * x / temperature)


@mx.compile
def scale(x):
    return rate * mx.tanh(x)


x = mx.linspace(-1, 1, 64)
for step in range(8):
    rate = 1 / (1 + step)
    y = scale(weight(x, 1.0 + 0.1 * step))
    mx.eval(y)
print("sum of the last step:", round(mx.sum(y).item(), 3))
"""

# %%
# The command
# -----------
# ``compile-guide watch PROGRAM`` is ``python -m compile_guide watch PROGRAM``. ``--check`` makes some of the calls again, plain and compiled, and
# compares the results. ``--json`` writes what is otherwise printed at the end. The program runs in a folder of its own.

INSTALLED = importlib.util.find_spec("compile_guide.watching") is not None


def watch_program(source: str) -> tuple[str, list[dict[str, Any]]]:
    """Run a program under the command; return its output and the report."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "program.py").write_text(source, encoding="utf-8")
        options = ["watch", "--check", "--json", "report.json", "program.py"]
        modules = os.pathsep.join(path for path in map(os.path.abspath, sys.path))
        ended = subprocess.run(
            [sys.executable, "-m", "compile_guide", *options],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": modules},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        report = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))
    return ended.stdout.strip(), report["functions"]


def show(functions: list[dict[str, Any]]) -> None:
    """Print the counts of each function, and what there is to say of it."""
    rows = [
        (f["name"], f"line {f['line']}", str(f["calls"]), str(f["traces"]))
        for f in sorted(functions, key=lambda f: f["line"])
    ]
    print(Table(("function", "compiled at", "calls", "traces"), tuple(rows)))
    for function in sorted(functions, key=lambda f: f["line"]):
        print(f"\n{function['name']}")
        for reason, count in function["reasons"].items():
            print(f"  {count} × {reason}")
        for finding, count in function["findings"].items():
            print(f"  check: {finding or 'right'} ({count} calls)")


if INSTALLED:
    output, functions = watch_program(PROGRAM)
    print(output, end="\n\n")
    show(functions)
    found = {function["name"]: function for function in functions}
    assert found["weight"]["traces"] == 8
    assert any(text.startswith("frozen state") for text in found["scale"]["findings"])
else:
    print("This copy has no command: install the package to watch programs.")

# %%
# ``weight`` is traced at every call, because the temperature is a Python number, and a number is a part of the trace
# (:claim:`python-number-retraces`). ``scale`` is traced once, and that is the second fault: it keeps the rate of its first call. No
# error says so, and the program's output is wrong.
#
# The program, corrected
# ----------------------
# What changes becomes an argument, and it's an array (:claim:`arrays-keep-one-trace`).

CORRECTED = """\
import mlx.core as mx


@mx.compile
def weight(x, temperature):
    return mx.exp(-x * x / temperature)


@mx.compile
def scale(x, rate):
    return rate * mx.tanh(x)


x = mx.linspace(-1, 1, 64)
for step in range(8):
    rate, temperature = mx.array(1 / (1 + step)), mx.array(1.0 + 0.1 * step)
    y = scale(weight(x, temperature), rate)
    mx.eval(y)
print("sum of the last step:", round(mx.sum(y).item(), 3))
"""

if INSTALLED:
    corrected_output, functions = watch_program(CORRECTED)
    print(corrected_output, end="\n\n")
    show(functions)
    assert [function["traces"] for function in functions] == [1, 1]
    assert {text for function in functions for text in function["findings"]} == {""}
    assert corrected_output != output

# %%
# One trace each, and every call that was checked is right.
#
# Does it pay?
# ------------
# With ``--measure`` the command times the functions with the most time on inputs that the program gave them. Here is the same
# comparison by hand, on an array of a million values.


def step(x: mx.array, temperature: mx.array, rate: mx.array) -> mx.array:
    return rate * mx.tanh(mx.exp(-x * x / temperature))


x, temperature, rate = mx.linspace(-1, 1, 1_000_000), mx.array(1.7), mx.array(0.125)
fast_step = mx.compile(step)
assert mx.allclose(step(x, temperature, rate), fast_step(x, temperature, rate))
measured = compare("watch-program-step", step, fast_step, x, temperature, rate)
table([measured])

# %%
# What to take away
# -----------------
# * Watch a whole program before you look at single functions: the table shows where it traces again.
# * Few traces aren't enough. Run it with ``--check`` once: a value that a trace has frozen raises no error.
# * What changes from call to call goes in as an array.
#
# Where to go next
# ----------------
# :doc:`/watch-a-program` has all options and reports about published packages. *What retraces* tries every cause of a trace by itself.
