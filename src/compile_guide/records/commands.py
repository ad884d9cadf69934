"""The commands that read records and measure nothing: compare, export, check-record."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from compile_guide import _files as saving
from compile_guide.recorder.measure import measure as recorder
from compile_guide.records import agreement, export
from compile_guide.records import diff as report
from compile_guide.records import git as revisions
from compile_guide.records import validate as checking
from compile_guide.records.schema import RecordError


def add_commands(commands: Any) -> None:
    """Add the three commands to a parser's subcommands."""
    one = commands.add_parser("compare", help="put two records side by side, or one at two commits")
    for letter, what in (("a", "a record: docs/records/ID.json, or FILE@REVISION"), ("b", "another one")):
        one.add_argument(letter, metavar=letter.upper(), help=what)
    one.add_argument("--markdown", action="store_true", help="print what changed as Markdown, for a pull request")
    one.add_argument("--fail-if-slower", type=_share, metavar="SHARE", help="exit status 1 if B is slower than A "
                     "beyond the intervals and by more than this, such as 5%%")  # fmt: skip
    one.set_defaults(command=compare_records)
    two = commands.add_parser("export", help="write a record in another tool's format")
    two.add_argument("record", metavar="RECORD", help="docs/records/ID.json, or FILE@REVISION")
    two.add_argument("--format", choices=export.FORMATS, required=True, help="what to write")
    two.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    two.set_defaults(command=export_record)
    three = commands.add_parser("check-record", help="check a record: its form, and whether it can be true")
    three.add_argument("file", type=Path, nargs="+", metavar="FILE", help="docs/records/ID.json")
    three.add_argument("--gallery", type=Path, default=Path("gallery"), metavar="DIR", help="where the examples are")
    three.set_defaults(command=check_records)


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if not (text.endswith("%") and 0 <= value <= 10):
        raise argparse.ArgumentTypeError(f"{text}: a share in percent, such as 5%")
    return value


def compare_records(options: argparse.Namespace) -> int:
    """Print two records side by side and say what moved; with ``--fail-if-slower`` the exit status says it too."""
    a, b = revisions.read(options.a), revisions.read(options.b)
    found = report.rows(a, b)
    if options.markdown:
        print(report.as_markdown(a, b, found, agreement.as_lines(found, "- ", report.code)))
    else:
        print(*report.heading(a, b), report.as_table(found), "", *agreement.as_lines(found), sep="\n")
    return 0 if options.fail_if_slower is None else _judge(found, options.fail_if_slower)


def _judge(found: list[report.Row], share: float) -> int:
    """Say on standard error which comparisons are slower by more than the share; nothing to judge is an error too."""
    decided = [row for row in found if row.decided]
    if not decided:
        raise RecordError("no comparison has an interval in both records, so nobody can say what is slower")
    what = "candidate's time" if decided[0].same_chip else "speed-up"
    slower = [row for row in decided if row.slowdown > share]
    for row in slower:
        print(f"slower: {row.name}, by {row.slowdown:.1%} ({what})", file=sys.stderr)
    rest = f"; {len(found) - len(decided)} could not be decided" if len(decided) < len(found) else ""
    summary = f"{len(slower)} of {len(decided)} comparisons slower by more than {share * 100:g} %{rest}"
    print(summary, file=sys.stderr)
    return 1 if slower else 0


def export_record(options: argparse.Namespace) -> int:
    """Write the record in the format asked for, to a file (all of it or nothing) or to standard output."""
    record = revisions.read(options.record)
    text = export.FORMATS[options.format](record)
    left = [entry.name for entry in record.comparisons if not entry.runs]
    if left:
        print(f"left out, because a call was too slow to compare: {', '.join(left)}", file=sys.stderr)
    if options.output is None:
        print(text, end="")
        return 0
    try:
        saving.save(text.encode(), options.output)
    except OSError as error:
        raise RecordError(f"can't write {options.output}: {error.strerror}") from error
    return 0


def check_records(options: argparse.Namespace) -> int:
    """Print a line for each fault of each file; return 1 if there is any."""
    examples = {script.stem for script in recorder.find_examples(options.gallery)}
    faults = 0
    for path in options.file:
        record, found = checking.check_file(path, examples)
        for finding in found:
            print(f"{path.name}: {finding}" if finding.where != path.name else finding)
        if record is not None and not found:
            print(f"{path.name}: no fault found in {len(record.comparisons)} comparisons")
        faults += len(found)
    return 1 if faults else 0
