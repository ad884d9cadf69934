"""The command line, ``compile-guide`` or ``python -m compile_guide``."""

from __future__ import annotations

import argparse
import functools
import io
import os
import signal
import sys
from pathlib import Path

from compile_guide import CompileGuideError
from compile_guide.examples import GALLERIES, GALLERY, copy_example, find_examples
from compile_guide.formatting import AS_ASCII
from compile_guide.ledger import commands as ledger
from compile_guide.recorder import commands as recorder
from compile_guide.records import commands as records
from compile_guide.starter import commands as starter
from compile_guide.watching import commands as watching


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status. A user's mistake is one line on standard error and status 2."""
    if (argv or sys.argv[1:])[:1] != ["watch"]:  # a watched program finds its process as Python made it
        _prepare()
    options = _parser().parse_args(argv)
    try:
        status: int = options.command(options)
    except CompileGuideError as error:
        print(f"compile-guide: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that can't be written
        print(f"compile-guide: {error.strerror or error}: {error.filename or 'while writing'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("compile-guide: interrupted; no record was changed", file=sys.stderr)
        return 130
    return status


def _prepare() -> None:
    """End what is being measured with this process, and print what the output's encoding lacks another way."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's commands go on
            signal.signal(number, lambda number, _: sys.exit(128 + number))  # an exit ends what is being measured too
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=AS_ASCII)


@functools.cache
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("compile-guide", description="Measure mx.compile on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for room in (recorder, ledger, records, starter, watching):
        room.add_commands(commands)
    copy = commands.add_parser("copy", help="copy an example, and what it needs, into a folder")
    copy.add_argument("name", metavar="NAME", help="the example's file name without .py")
    copy.add_argument("target", type=Path, metavar="DIR", help="the folder; it is made when missing")
    copy.add_argument("--gallery", **GALLERIES | {"help": "where the examples are (default: this guide's)"})
    copy.set_defaults(command=_copy)
    return parser


def _copy(options: argparse.Namespace) -> int:
    (script,) = find_examples(options.gallery or GALLERY, [options.name])
    for file in copy_example(script, options.target):
        print(f"wrote {file}")
    print(f"run it: cd {options.target} && python {script.name}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] != ["watch"]:
        os.environ.setdefault("PYTHONUTF8", "1")
    sys.exit(main())
