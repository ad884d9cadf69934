"""Inside an example's own process: run the script to its end, then write the completion marker.

``python -m compile_guide.child SCRIPT SINK``: whatever ends the process early, be it ``sys.exit(0)``, ``os._exit(0)``, a
signal or an exception in a thread, leaves the sink without its marker, and the recorder counts the example as failed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import runpy
import signal
import sys
import threading
from pathlib import Path

MARKER = {"completed": True}


def main(script: str, sink: str) -> None:
    """Run ``script`` as ``__main__``; append the marker to ``sink`` when it and all its threads have ended well."""
    end_with_parent()
    failures: list[str] = []
    report = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        failures.append(args.exc_type.__name__)
        report(args)

    threading.excepthook = note
    sys.argv = [script]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    if failures:
        sys.exit(f"a thread of {Path(script).name} ended with {failures[0]}")
    with Path(sink).open("a", encoding="utf-8") as file:
        file.write(json.dumps(MARKER) + "\n")


def end_with_parent() -> None:
    """Let Linux kill this process when the recorder is killed, which then can't do so itself; elsewhere, nothing."""
    set_signal_of_parents_death = 1  # PR_SET_PDEATHSIG
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(set_signal_of_parents_death, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
