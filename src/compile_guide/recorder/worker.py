"""What runs inside an example's own process: ``python -m compile_guide.recorder.worker SCRIPT SINK [--no-plots]``.

It runs the script to its end and writes a marker to the sink. Whatever ends the process early (``sys.exit(0)``, a signal,
an exception in a thread) leaves the sink without it, and the recorder counts the example as failed. A process that
measures again what an earlier one has measured ends after its last comparison, without an orderly shutdown.

With ``--no-plots`` the script draws on a :class:`Blank`: importing matplotlib takes half a second, a quarter of what a
process measures. A script that asks a plot for something, such as the number of its bars, starts again with matplotlib.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from compile_guide.timing import Done, temp_folder

MARKER = {"completed": True}
NO_PLOTS = "--no-plots"
PLOTTER = ("matplotlib", "matplotlib.pyplot", "matplotlib.colors", "matplotlib.patches", "matplotlib.ticker")


class Blank(ModuleType):
    """Stands for matplotlib and for whatever it returns: it can be called and indexed, and has every attribute."""

    __iter__ = None  # else Python would iterate by __getitem__, without end

    def __getattr__(self, name: str) -> Blank:
        """Return itself, but have none of the attributes by which Python examines a module."""
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
        """Return a figure, and axes in the shape that matplotlib would give them, as lists."""
        if min(rows, columns) > 1:
            return self, [[self] * columns] * rows
        return self, self if rows * columns == 1 else [self] * (rows * columns)


def main(script: str, sink: str, *options: str) -> bool:
    """Run ``script`` as ``__main__``; append the marker to ``sink`` when it and all its threads have ended well.

    Returns whether the script was ended after its last comparison.
    """
    process, ended = os.getpid(), list[threading.ExceptHookArgs]()
    threading.excepthook = ended.append
    sys.argv = [script]
    sys.path[0] = str(Path(script).parent)
    os.chdir(sys.path[0])
    measured = _run(script, Path(sink), blank=NO_PLOTS in options)
    if os.getpid() != process:
        os._exit(0)  # a copy of this process, which the script made with os.fork
    threading._shutdown()  # type: ignore[attr-defined]  # it waits as Python does at its end, for idle pools too
    for failure in ended:
        if not issubclass(failure.exc_type, Done):
            threading.__excepthook__(failure)
            sys.exit(f"a thread of {Path(script).name} ended with {failure.exc_type.__name__}")
    with Path(sink).open("a", encoding="utf-8") as file:
        file.write(json.dumps(MARKER) + "\n")
    return measured


def _run(script: str, sink: Path, *, blank: bool) -> bool:
    """Run the script to its end, or to its last comparison (True)."""
    refused = temp_folder() / "needs-matplotlib"  # all processes of an example share this folder
    if blank := blank and not refused.exists():
        sys.modules.update({name: Blank(name) for name in PLOTTER})
    try:
        runpy.run_path(script, run_name="__main__")
    except Done:
        return True
    except Exception:
        if not blank:
            raise
        refused.touch()
        sink.write_text(sink.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
        os.chdir(sink.parent)  # else modules beside the script would stand before Python's own
        os.execv(sys.executable, [sys.executable, *(word for word in sys.orig_argv[1:] if word != NO_PLOTS)])
    return False


if __name__ == "__main__" and main(*sys.argv[1:]):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the first process has shown that Python and MLX can shut down in order
