"""Run a program as Python runs it, with ``mx.compile`` watched in it and, if asked for, in its child processes; then report.

The report is a table with reasons and advice, and files for programs (JSON) and for reading (HTML).
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import pkgutil
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from importlib.resources import files
from operator import attrgetter, itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from compile_guide import mx
from compile_guide._files import write_atomically
from compile_guide.formatting import NOTHING, Table, format_ratio, format_time, printable
from compile_guide.shapeless_check import words
from compile_guide.timing import compare, kernel_files
from compile_guide.tracing import arrays_of
from compile_guide.watching.checking import Observer
from compile_guide.watching.compiler import Call, Compiler, Site

Function = dict[str, Any]
KEY = ("file", "line", "name")
ADDED = [part.name for part in fields(Site) if part.name not in (*KEY, "kinds")]
HEADER = ("function", "compiled at", "calls", "traces", "inlined", "eager", "kernels", "tracing", "all calls")
MEASURED, SHOWN = 8, 8  # how many functions are measured, and how many reasons of one are printed


def watch_children(check: bool) -> str:
    """Have each Python that this process starts watched; return the folder in which it leaves what it has seen."""
    folder = tempfile.mkdtemp(prefix="compile-guide-")
    hook = (files(__package__) / "sitecustomize.txt").read_text(encoding="utf-8")
    Path(folder, "sitecustomize.py").write_text(hook.format(folder, check, os.getpid()), encoding="utf-8")
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    return folder


class Session:
    """Watches ``mx.compile`` until the process ends, then reports: process ``parent`` to its user, a child to its parent."""

    def __init__(self, check: bool, measure: bool, folder: str, parent: int, *wanted: Path | None) -> None:
        self.observer = Observer(check, measure) if check or measure else None
        self.compiler, self.folder, self.parent, self.wanted = Compiler(None, self.observer), folder, parent, wanted
        self.start, self.interrupted = time.time(), False
        sys.modules["mlx.core"].compile = self.compiler  # type: ignore[attr-defined]
        atexit.register(self.end)  # before the program's own handlers, so that it runs after them
        if folder:
            from multiprocessing import util

            os.register_at_fork(after_in_child=self.compiler.forget)
            util.register_after_fork(self, lambda session: util.Finalize(None, session.end, exitpriority=-100))

    def run(self, argv: list[str], is_module: bool) -> int:
        """Run a module, script, folder or zip file as ``python`` does; return the exit status, or raise SystemExit."""
        place = str(Path.cwd() / argv[0])
        is_folder = not is_module and pkgutil.get_importer(place) is not None
        text = b"" if is_module or is_folder else Path(argv[0]).read_bytes()
        sys.argv[:], main = argv, ModuleType("__main__")
        sys.modules["__main__"] = main
        if not sys.flags.safe_path:
            sys.path[0] = str(Path.cwd()) if is_module else place if is_folder else str(Path(place).resolve().parent)
        try:
            if is_module or is_folder:
                runpy._run_module_as_main(argv[0] if is_module else "__main__", is_module)  # type: ignore[attr-defined]
            else:
                main.__file__ = place
                exec(compile(text, place, "exec", dont_inherit=True), vars(main))
        except SystemExit:
            raise
        except BaseException as error:
            trace, self.interrupted = error.__traceback__, isinstance(error, KeyboardInterrupt)
            while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
                trace = trace.tb_next
            sys.excepthook(type(error), error.with_traceback(trace), trace)
            return 1
        return 0

    def end(self) -> None:
        """Report; then end as Python does where it was interrupted."""
        sys.modules["mlx.core"].compile = self.compiler.original  # type: ignore[attr-defined]
        functions = functions_of(self.compiler.sites.values(), self.start)
        if os.getpid() == self.parent:
            self._report(functions)
        elif self.folder:
            Path(self.folder, f"{os.getpid()}.json").write_text(json.dumps(functions), encoding="utf-8")
        if self.interrupted:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)

    def _report(self, functions: list[dict[str, Any]]) -> None:
        if self.folder:
            functions = merged(functions, *(json.loads(file.read_bytes()) for file in Path(self.folder).glob("*.json")))
            shutil.rmtree(self.folder)
        seconds = round(time.time() - self.start, 3)
        if self.observer and self.observer.keep and not self.interrupted:
            measure(functions, self.observer.kept.values())
        advise(functions)
        report: dict[str, Any] = {"program": sys.argv, "seconds": seconds, "functions": functions}
        report["kernel_files"] = kernel_files(self.start)
        lines = []
        for file, text in zip(self.wanted, (json.dumps(report, indent=1), as_html(report)), strict=False):
            try:
                if file:
                    write_atomically(text.encode(), file)
            except OSError as error:  # a full disk
                lines.append(f"compile-guide: can't write {file}: {error.strerror}")
        with contextlib.suppress(AttributeError, OSError, ValueError):  # the program may have closed standard error
            show(report, sys.stderr, lines)


# The report


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
    """Print the table and what is to be said of each function: the table in colors on a terminal, plain elsewhere."""
    rows = tuple(map(_row, report["functions"]))
    if stream.isatty():
        from rich import box, console, markup, table

        columns = [table.Column(name, no_wrap=number > 1, overflow="fold") for number, name in enumerate(HEADER)]
        frame = table.Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            frame.add_row(*map(markup.escape, row))
        console.Console(file=stream).print(frame)
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
