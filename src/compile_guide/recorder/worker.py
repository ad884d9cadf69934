"""Inside an example's own process: run the script to its end, then write the completion marker.

``python -m compile_guide.recorder.worker SCRIPT SINK [--no-plots]``: whatever ends the process early, be it ``sys.exit(0)``,
``os._exit(0)``, a signal or an exception in a thread, leaves the sink without its marker, and the recorder counts the
example as failed. A process that measures what an earlier one did ends after the last comparison, and then at once: that
Python and MLX can also take themselves down in order, the first process has shown.

With ``--no-plots`` the script draws on a :class:`Blank`: nobody looks at the plots of a process that measures, and
importing matplotlib takes longer than many a comparison. A script that asks a plot for something, be it the number of
its bars, gets the real library and starts again.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from compile_guide.timing import Done, temp_folder

MARKER = {"completed": True}
NO_PLOTS = "--no-plots"
PLOTTER = "matplotlib"


class Blank(ModuleType):
    """Stands for matplotlib, for its modules, and for whatever they return: to be called, indexed, and forgotten."""

    __iter__ = None  # else Python would iterate by __getitem__, for ever

    def __getattr__(self, name: str) -> Blank:
        """Return itself for every attribute, but have none of those with which Python looks at a module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_positional: object, **_named: object) -> Blank:
        """Draw nothing."""
        return self

    def __getitem__(self, _key: object) -> Blank:
        """Return itself as one of several."""
        return self

    def subplots(self, rows: int = 1, columns: int = 1, **_named: object) -> tuple[Blank, Any]:
        """Return a figure and axes in the shape that matplotlib would give them, as lists."""
        if rows == 1 or columns == 1:
            count = rows * columns
            return self, self if count == 1 else [self] * count
        return self, [[self] * columns for _ in range(rows)]


class _BlankFinder:
    """Finds a blank wherever a part of matplotlib is imported.

    It is no ``importlib.abc.MetaPathFinder``: importing that would take a third of this process's start.
    """

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        spec = ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # it has what a loader is asked for
        return spec if name.partition(".")[0] == PLOTTER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Blank(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing: a blank is ready as it is."""


def main(script: str, sink: str, *options: str) -> bool:
    """Run ``script`` as ``__main__``; append the marker to ``sink`` when it and all its threads have ended well.

    Returns whether the script was ended after its last comparison, so that nothing of it is left to do.
    """
    end_with_parent()
    failures: list[str] = []
    report = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, Done):
            failures.append(args.exc_type.__name__)
            report(args)

    threading.excepthook = note
    sys.argv = [script]
    sys.path[0] = str(Path(script).parent)
    measured = _run(script, Path(sink), blank=NO_PLOTS in options)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    if failures:
        sys.exit(f"a thread of {Path(script).name} ended with {failures[0]}")
    with Path(sink).open("a", encoding="utf-8") as file:
        file.write(json.dumps(MARKER) + "\n")
    return measured


def leave() -> NoReturn:
    """End this process without taking Python and MLX down piece by piece: the system frees all of it at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def end_with_parent() -> None:
    """Let Linux kill this process when the recorder is killed, which then can't do so itself; elsewhere, nothing."""
    set_signal_of_parents_death = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(set_signal_of_parents_death, signal.SIGKILL)


def _run(script: str, sink: Path, *, blank: bool) -> bool:
    """Run the script to its end, or to its last comparison (True); where a blank doesn't do, start again with matplotlib."""
    refused = temp_folder() / "needs-matplotlib"  # all processes of an example share this folder
    if blank := blank and not refused.exists():
        sys.meta_path.insert(0, _BlankFinder())
    try:
        runpy.run_path(script, run_name="__main__")
    except Done:
        return True
    except Exception:
        if not blank:
            raise
        refused.touch()
        sink.write_text(sink.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
        os.execv(sys.executable, [sys.executable, *(word for word in sys.orig_argv[1:] if word != NO_PLOTS)])
    return False


if __name__ == "__main__" and main(*sys.argv[1:]):
    leave()
