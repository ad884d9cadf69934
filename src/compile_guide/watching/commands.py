"""The command ``watch``: run a program, and report what compiling did in it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from compile_guide import CompileGuideError
from compile_guide.watching.launcher import Session, watch_children


def add_commands(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    one = commands.add_parser("watch", help="run a program, and report what mx.compile did in it")
    for name, what in (
        ("check", "compare calls with the plain function, and tell what a trace has frozen"),
        ("measure", "time what takes the most time, compiled against plain"),
        ("children", "watch the Python processes that the program starts, too"),
    ):
        one.add_argument(f"--{name}", action="store_true", help=what)
    one.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen as JSON")
    one.add_argument("--html", type=Path, metavar="FILE", help="write a page with a picture of the traces over the run")
    one.add_argument("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE [ARGS]", help="run a module")
    one.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM [ARGS]", help="a script, folder or zip file")
    one.set_defaults(command=watch)


def watch(options: argparse.Namespace) -> int:
    """Run the program and return its exit status; the report is printed to standard error when the process ends."""
    argv = options.module or options.program
    if not argv:
        raise CompileGuideError("watch what? Name a script, or a module with -m")
    for file in filter(None, (options.json, options.html)):
        if file.is_dir() or not os.access(file.resolve().parent, os.W_OK):
            raise CompileGuideError(f"can't write {file}: name a file in a folder that is there and may be written to")
    folder = watch_children(options.check) if options.children else ""
    session = Session(options.check, options.measure, folder, os.getpid(), options.json, options.html)
    return session.run(argv, bool(options.module))
