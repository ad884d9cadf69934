"""What is told at the end of a run: a table with reasons and advice; files for programs (JSON) and for reading (HTML)."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from importlib.resources import files
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from compile_guide.formatting import NOTHING, Table, format_ratio, format_time, printable
from compile_guide.shapeless_check import words
from compile_guide.timing import compare
from compile_guide.tracing import arrays_of
from compile_guide.watching.compiler import Call, Site

Function = dict[str, Any]
KEY = ("file", "line", "name")
ADDED = [part.name for part in fields(Site) if part.name not in (*KEY, "kinds")]
HEADER = ("function", "compiled at", "calls", "traces", "inlined", "eager", "kernels", "tracing", "all calls")
MEASURED, SHOWN = 8, 8
"""How many functions are measured, and how many reasons of one are printed."""


def functions_of(sites: Iterable[Site], start: float) -> list[Function]:
    """Return what was seen at each line whose functions were called; traces have the seconds since the start."""
    seen = [vars(site) | {"calls": next(site.calls)} for site in [*sites]]
    for function in seen:
        del function["kinds"]
        function["events"] = [(round(when - start, 6), reason) for when, reason in function["events"]]
    return sorted((function for function in seen if function["calls"]), key=lambda function: -function["total_s"])


def merged(*parts: list[Function]) -> list[Function]:
    """Add what several processes have seen."""
    found: dict[Any, Function] = {}
    for function in (function for part in parts for function in part):
        function |= {name: Counter(function[name]) for name in ("reasons", "findings")}
        known = found.setdefault(itemgetter(*KEY)(function), function)
        if known is not function:
            known |= {name: known[name] + function[name] for name in ADDED}
    return [*found.values()]


def measure(functions: list[Function], calls: Iterable[Call]) -> None:
    """Time the functions with the most time, compiled against plain, on inputs that the program gave them."""
    kept = {attrgetter(*KEY)(call.function.site): call for call in calls}
    known = [(function, kept[key]) for function in functions if (key := itemgetter(*KEY)(function)) in kept]
    for function, call in sorted(known, key=lambda pair: -pair[0]["total_s"])[:MEASURED]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found = compare("function", _step(call, call.function.fun), _step(call, call.function.counted))
            times = " → ".join(format_time(seconds, found.spread) for seconds in (found.baseline_s, found.candidate_s))
            function["measured"] = f"{format_ratio(found.ratio, found.interval)}; {times} a call"
        except Exception as error:
            function["measured"] = f"not measured: {words(error)}"


def _step(call: Call, fun: Callable[..., Any]) -> Callable[[], Any]:
    """Return a call as a step without arguments, which evaluates all that it makes."""
    import mlx.core as mx

    done = mx.zeros(1)  # steps that draw or keep state return different values; whether they agree is for --check

    def step() -> Any:
        result = fun(*call.args, **call.kwargs)
        mx.eval([array for _, array in arrays_of((result, call.function.outputs))])
        return done

    return step


def advise(functions: list[Function]) -> None:
    """Add what the guide says to the reasons and findings that it explains."""
    rules = tomllib.loads((files(__package__) / "advice.toml").read_text(encoding="utf-8"))["rule"]
    for function in functions:
        seen = "\n".join([*function["reasons"], *function["findings"]])
        function["advice"] = [rule["say"] for rule in rules if re.search(rule["seen"], seen)]


def as_html(report: dict[str, Any]) -> str:
    """Return one page that needs no other file: a picture of the traces over the run, and all that the table says."""
    page = (files(__package__) / "report.html").read_text(encoding="utf-8")
    return page.replace("{{REPORT}}", json.dumps(report).replace("<", "\\u003c"))


def show(report: dict[str, Any], stream: Any, more: Iterable[str] = ()) -> None:
    """Print the table and what is to be said of each function: with a frame on a terminal, plain elsewhere."""
    rows = tuple(map(_row, report["functions"]))
    if stream.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table as Frame

        frame = Frame(box=SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(HEADER):
            frame.add_column(name, no_wrap=number > 1, overflow="fold", justify="right" if number > 1 else "left")
        for row in rows:
            frame.add_row(*map(escape, row))
        Console(file=stream).print(frame)
    else:
        print(printable(str(Table(HEADER, rows)), stream), file=stream)
    print(printable("\n".join([*_lines(report), *more]), stream), file=stream, flush=True)


def _row(function: Function) -> tuple[str, ...]:
    counts = [str(function[name]) for name in HEADER[2:6]]
    kernels = str(function["kernels"]) if function["findings"] else NOTHING  # only a check looks for them
    times = [format_time(function[name]) for name in ("tracing_s", "total_s")]
    return (function["name"], _place(function), *counts, kernels, *times)


def _place(function: Function) -> str:
    file = re.sub(r".*/(site|dist)-packages/", "", function["file"]).removeprefix(f"{Path.cwd()}/")
    return f"{file}:{function['line']}"


def _lines(report: dict[str, Any]) -> Iterator[str]:
    for function in report["functions"]:
        yield f"\n{function['name']} ({_place(function)})"
        for text, count in Counter(function["reasons"]).most_common(SHOWN):
            yield f"{count:>7} × {text}{' and the like' if count > 1 and '→' in text else ''}"
        yield from (f"  check: {text or 'right'} ({count} calls)" for text, count in function["findings"].items())
        yield from [f"  compiled against plain: {function['measured']}"] if "measured" in function else []
        yield from (f"  → {text}" for text in function["advice"])
    files = f"; {report['kernel_files']} kernel files were written" if report["kernel_files"] else ""
    yield f"\ncompiled functions at {len(report['functions'])} lines were called in {report['seconds']:.1f} s{files}"
