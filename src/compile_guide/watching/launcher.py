"""Run a program as Python runs it, with ``mx.compile`` watched in it and, if asked for, in its child processes."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from compile_guide._files import write_atomically
from compile_guide.timing import kernel_files
from compile_guide.watching.checking import Observer
from compile_guide.watching.compiler import Compiler
from compile_guide.watching.report import advise, as_html, functions_of, measure, merged, show


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
        import mlx.core as mx

        self.observer = Observer(check, measure) if check or measure else None
        self.compiler, self.folder, self.parent, self.wanted = Compiler(None, self.observer), folder, parent, wanted
        self.start, self.interrupted = time.time(), False
        mx.compile = self.compiler
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
