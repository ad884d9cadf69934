"""The commands that read records and measure nothing: compare, export, check-record."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from compile_guide._files import write_atomically
from compile_guide.examples import GALLERIES, scripts_of
from compile_guide.formatting import format_percent
from compile_guide.records.diff import Row, as_markdown, as_text, rows
from compile_guide.records.export import FORMATS
from compile_guide.records.record_set import read_record
from compile_guide.records.schema import RecordError
from compile_guide.records.validate import check_file


def add_commands(commands: Any) -> None:
    """Add the three commands to a parser's subcommands."""
    one = commands.add_parser("compare", help="put two records side by side, or one at two commits")
    for letter, what in (("a", "a record: docs/records/ID.json, or FILE@REVISION"), ("b", "another one")):
        one.add_argument(letter, metavar=letter.upper(), help=what)
    one.add_argument("--markdown", action="store_true", help="print what changed as Markdown, for a pull request")
    one.add_argument("--fail-if-slower", type=_share, metavar="SHARE", help="exit status 1 if B is slower than A "
                     "beyond the intervals and by more than this, such as 5%%, or lacks a comparison of A")  # fmt: skip
    one.add_argument("--allow-missing", action="store_true", help="don't fail for comparisons of A that B lacks, or "
                     "that are too slow to compare there or have no interval")  # fmt: skip
    one.set_defaults(command=compare_records)
    two = commands.add_parser("export", help="write a record in another tool's format")
    two.add_argument("record", metavar="RECORD", help="docs/records/ID.json, or FILE@REVISION")
    two.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    two.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    two.set_defaults(command=export_record)
    three = commands.add_parser("check-record", help="check a record: its form, and whether it can be true")
    three.add_argument("file", type=Path, nargs="+", metavar="FILE", help="docs/records/ID.json")
    three.add_argument("--gallery", **GALLERIES)
    three.set_defaults(command=check_records)


def _share(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%", text):
        raise argparse.ArgumentTypeError(f"{text}: a share in percent, such as 5%")
    return float(text[:-1]) / 100


def compare_records(options: argparse.Namespace) -> int:
    """Print two records side by side and what changed; with ``--fail-if-slower`` the exit status says it too."""
    a, b = read_record(options.a), read_record(options.b)
    found = rows(a, b)
    print((as_markdown if options.markdown else as_text)(a, b, found))
    return 0 if options.fail_if_slower is None else _judge(found, options.fail_if_slower, options.allow_missing)


def _judge(found: list[Row], share: float, allow_missing: bool) -> int:
    """Print which comparisons are slower by more than the share, and which can't be judged in B; return 1 for either."""
    decided = [row for row in found if row.decided]
    if not decided:
        raise RecordError("no comparison has an interval in both records, so nothing can be called slower")
    what = "candidate's time" if decided[0].same_chip else "speed-up"
    slower = [f"slower: {r.name}, by {format_percent(r.slowdown)} ({what})" for r in decided if r.slowdown > share]
    lost = [f"not compared: {row.name}, {row.lost}" for row in found if row.lost]
    rest = f"; {len(found) - len(decided)} could not be decided" if len(decided) < len(found) else ""
    total = f"{len(slower)} of {len(decided)} comparisons slower by more than {format_percent(share)}{rest}"
    print(*slower, *lost, total, sep="\n", file=sys.stderr)
    return 1 if slower or (lost and not allow_missing) else 0


def export_record(options: argparse.Namespace) -> int:
    """Write the record in the format asked for, to a file (all of it or nothing) or to standard output."""
    record = read_record(options.record)
    text = FORMATS[options.format](record)
    if slow := [entry.name for entry in record.comparisons if not entry.runs]:
        print(f"left out, because a call was too slow to compare: {', '.join(slow)}", file=sys.stderr)
    if options.output is None:
        print(text, end="")
        return 0
    for file in map(Path, (options.record, options.record.rpartition("@")[0])):
        if options.output.exists() and file.is_file() and file.samefile(options.output):
            raise RecordError(f"{options.output} is the record itself: name another file")
    try:
        write_atomically(text.encode(), options.output)
    except OSError as error:
        raise RecordError(f"can't write {options.output}: {error.strerror}") from error
    return 0


def check_records(options: argparse.Namespace) -> int:
    """Print a line for each fault of each file; return 1 if there is any."""
    examples = {script.stem for script in scripts_of(options.gallery)}
    status = 0
    for path in options.file:
        record, found = check_file(path, examples)
        number = len(record.comparisons) if record else 0
        print(*(found or [f"{path.name}: no fault found in {number} comparisons"]), sep="\n")
        status |= bool(found)
    return status
