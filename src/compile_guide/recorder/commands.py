"""The commands that measure: ``record`` makes this machine's record, ``machine`` prints what is known of it."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from compile_guide import CompileGuideError
from compile_guide._files import hold_lock
from compile_guide._process import fill_kernel_cache, private_folder
from compile_guide.examples import GALLERIES, find_examples
from compile_guide.formatting import NOTHING, format_bytes, format_rate
from compile_guide.ledger.claims import load_claims
from compile_guide.ledger.commands import CLAIMS, observe, print_changes
from compile_guide.ledger.runner import expected_file
from compile_guide.recorder.machine import MachineError, import_mlx, this_machine
from compile_guide.recorder.measure import Plan, RecorderError, Result, build_record, machine_facts, run_examples
from compile_guide.recorder.progress import Display
from compile_guide.records import schema
from compile_guide.records.schema import Machine, Record, RecordError
from compile_guide.timing import check_compiling

CHOSEN = Path("build/this-record")
"""Holds the id of the record that this machine made last, which a build of the guide shows."""


def add_commands(commands: Any) -> None:
    """Add the two commands to a parser's subcommands."""
    seconds = _number(float, 0.001, 3600, "seconds between 0 and 3600")
    count = _number(int, 1, schema.MAX_PROCESSES, f"between 1 and {schema.MAX_PROCESSES}")
    one = commands.add_parser("record", help="measure the examples, check the claims, write a record")
    one.add_argument("names", nargs="*", metavar="NAME", help="examples to measure (default: all)")
    for name, kind, default, letter, what in (
        ("budget", seconds, Plan.budget_s, "S", "seconds for a comparison, over all processes"),
        ("processes", count, Plan.processes, "N", "processes for an example; six are the fewest for an interval"),
        ("limit", seconds, Plan.limit_s, "S", "seconds that one process may take"),
        ("out", Path, Path("docs/records"), "DIR", "where records are"),
        ("claims", Path, CLAIMS, "DIR", "where the claims are"),
    ):
        one.add_argument(f"--{name}", type=kind, default=default, metavar=letter, help=f"{what} (default: %(default)s)")
    one.add_argument("--gallery", **GALLERIES)
    one.add_argument("--backend", choices=("metal", "cuda", "cpu"), help="stop if MLX computes on another")
    one.add_argument("--no-claims", action="store_true", help="measure only; keep the verdicts that the record has")
    one.add_argument("--keep-going", action="store_true", help="write a record even if an example failed")
    one.set_defaults(command=make_record)
    two = commands.add_parser("machine", help="print what is known of this machine")
    two.add_argument("--json", action="store_true", help="print it as one JSON object")
    two.add_argument("--check", action="store_true", help="fail unless compiled functions compile here")
    two.set_defaults(command=print_machine)


def _number(kind: Callable[[str], float], least: float, most: float, words: str) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not least <= kind(text) <= most:  # NaN isn't either
            raise argparse.ArgumentTypeError(f"{text}: {words}")
        return kind(text)

    return number


def make_record(options: argparse.Namespace) -> int:
    """Measure and write ``DIR/<id>.json``; the path is the last line printed."""
    console = Console(highlight=False)
    checks = not (options.no_claims or options.names) and (options.claims != CLAIMS or CLAIMS.is_dir())
    if checks:
        load_claims(options.claims)  # a mistake in them is told before hours of measuring, not after
    scripts = find_examples(options.gallery, options.names)
    existing = frozenset(script.stem for script in find_examples(options.gallery))
    plan = Plan(scripts, options.budget, options.processes, limit_s=options.limit)
    with hold_lock(Path(), "measuring"), private_folder() as temp:
        facts = machine_facts(temp, options.backend)
        path = options.out / f"{facts.id}.json"
        options.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=options.out).close()  # so is a folder that can't be written
        before = _earlier(path, facts, keeps=options.no_claims or len(scripts) < len(existing))
        others = existing - {script.stem for script in scripts}
        taken = {entry.name: entry.example for entry in before.comparisons if entry.example in others} if before else {}
        with Display(console, len(scripts) * plan.processes, "measuring") as progress:
            results = run_examples(plan, facts, temp, progress.begin, taken)
        with contextlib.suppress(OSError):  # on a full disk: without them, they are built again
            fill_kernel_cache(result.temp for result in results)
        failed = _print_failures(console, results)
        if failed and not options.keep_going:
            print(f"compile-guide: no record was written; {path} is as it was", file=sys.stderr)
            return 1
        record, wrong = build_record(plan, facts, results, before, existing), bool(failed)
        if checks:
            record, changed = _with_verdicts(console, record, options.claims, temp)
            wrong |= changed
        # Ending is quicker than stopping from here on, and an exit status that says "interrupted" would be wrong, even later.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        schema.save(record, path)
        CHOSEN.write_text(facts.id + "\n", encoding="utf-8")
    print(path)
    return int(wrong)


def _with_verdicts(console: Console, record: Record, claims: Path, temp: Path) -> tuple[Record, bool]:
    """Return the record with new verdicts, and whether they aren't the expected ones or couldn't be observed."""
    try:
        verdicts, tables = observe(console, claims, temp)
        changed = print_changes(console, expected_file(claims, record.machine.backend), verdicts)
    except CompileGuideError as error:  # what was measured is saved nevertheless
        print(f"compile-guide: {error}; the record's verdicts stay as they were", file=sys.stderr)
        return record, True
    return schema.with_claims(record, verdicts, tables), bool(changed)


def _earlier(path: Path, facts: Machine, *, keeps: bool) -> Record | None:
    """Return the record so far, None without any; nor is another machine's continued, and RecorderError if it would be."""
    if not path.exists():
        return None
    try:
        before = schema.load(path)
    except RecordError as error:
        raise RecorderError(f"{error}; move {path} away to record anew") from None
    differences = before.machine.differences(facts)
    if differences and keeps:
        raise RecorderError(
            f"{path} comes from another machine ({differences}), and two machines' numbers aren't mixed:"
            " record all examples and claims, or name another folder with --out"
        )
    return None if differences else before


def _print_failures(console: Console, results: list[Result]) -> list[Result]:
    failed = [result for result in results if result.failure is not None]
    table = Table("example", "why it failed", title="Examples that failed", title_justify="left")
    for result in failed:
        table.add_row(result.name, result.failure)
    if failed:
        console.print(table, markup=False)
    return failed


def print_machine(options: argparse.Namespace) -> int:
    """Print the machine's facts, for people or as JSON."""
    if options.check:
        import_mlx()
        try:
            check_compiling()
        except RuntimeError as error:
            raise MachineError(str(error)) from error
    here = this_machine()
    facts = {name: getattr(here, name) for name in here.__struct_fields__}
    if options.json:
        print(json.dumps(facts))
        return 0
    facts |= {"memory": format_bytes(here.memory), "copy_bandwidth": format_rate(here.copy_bandwidth), "id": here.id}
    for label, value in facts.items():
        print(f"{label.replace('_', ' '):<15} {NOTHING if value is None else value}")
    return 0
