"""The command line: ``python -m compile_guide record | claims | compare | export | check-record | copy | machine``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from compile_guide import _lock as lock
from compile_guide import examples as copying
from compile_guide.ledger.runner import claims
from compile_guide.ledger.runner import runner as ledger
from compile_guide.ledger.runner import tables as observations
from compile_guide.recorder.measure import machine
from compile_guide.recorder.measure import measure as recorder
from compile_guide.recorder.progress import display
from compile_guide.records import commands as reading
from compile_guide.records import schema as record
from compile_guide.timing import check_compiling, format_bytes, format_rate

RECORDS, EXPECTED = Path("docs/records"), Path("docs/expected")
CHOSEN = Path("build/this-record")
"""Holds the id of the record that this machine made last: ``nox -s render`` shows it."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status. A user's mistake is one line on standard error and status 2."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the process under measurement is ended as well
    options = _parser().parse_args(argv)
    try:
        status: int = options.command(options)
    except (record.RecordError, recorder.RecorderError, copying.CopyError, RuntimeError) as error:
        print(f"compile_guide: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that can't be written
        print(f"compile_guide: {error.strerror or error}: {error.filename or 'while writing'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("compile_guide: interrupted; no record was changed", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m compile_guide", description="Measure mx.compile on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _record_options(commands.add_parser("record", help="measure the examples, check the claims, write a record"))
    one = commands.add_parser("claims", help="run the claims' checks on this machine's MLX and print the verdicts")
    one.add_argument("ids", nargs="*", metavar="ID", help="claims to check (default: all)")
    one.add_argument("--write", type=Path, metavar="DIR", help="put the verdicts into this machine's record in DIR")
    one.add_argument("--accept", action="store_true", help="take the verdicts seen as the expected ones")
    one.set_defaults(command=run_claims)
    reading.add_commands(commands)
    two = commands.add_parser("copy", help="copy an example, and what it needs, into a folder")
    two.add_argument("name", metavar="NAME", help="the example's file name without .py")
    two.add_argument("target", type=Path, metavar="DIR", help="the folder; it is made when missing")
    two.add_argument("--gallery", type=Path, metavar="DIR", help="where the examples are (default: this guide's)")
    two.set_defaults(command=copy_example)
    three = commands.add_parser("machine", help="print what is known of this machine")
    three.add_argument("--json", action="store_true", help="print it as one JSON object")
    three.add_argument("--check", action="store_true", help="fail unless compiled functions compile here")
    three.set_defaults(command=print_machine)
    return parser


def _record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="examples to measure (default: all)")
    parser.add_argument("--budget", type=_seconds, default=recorder.BUDGET_S, metavar="S",
                        help="seconds for a comparison, over all processes (default: %(default)s)")  # fmt: skip
    parser.add_argument("--processes", type=_processes, default=recorder.PROCESSES, metavar="N",
                        help="processes for an example (default: %(default)s, the fewest that give an interval)")  # fmt: skip
    parser.add_argument("--limit", type=_seconds, default=recorder.LIMIT_S, metavar="S",
                        help="seconds that one process may take (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=RECORDS, metavar="DIR", help="where records are (default: %(default)s)"
    )
    parser.add_argument("--gallery", type=Path, default=Path("gallery"), metavar="DIR", help="where the examples are")
    parser.add_argument("--backend", choices=("metal", "cuda", "cpu"), help="refuse to measure another than this one")
    parser.add_argument("--no-claims", action="store_true", help="measure only; keep the verdicts that the record has")
    parser.add_argument("--keep-going", action="store_true", help="write a record even if an example failed")
    parser.set_defaults(command=make_record)


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 < value <= 3600):
        raise argparse.ArgumentTypeError(f"{text}: seconds between 0 and 3600")
    return value


def _processes(text: str) -> int:
    value = int(text)
    if not 1 <= value <= record.MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text}: between 1 and {record.MAX_PROCESSES}")
    return value


def make_record(options: argparse.Namespace) -> int:
    """Measure and write ``DIR/<id>.json``; the path is the last line printed."""
    console = Console(highlight=False)
    scripts = recorder.find_examples(options.gallery, options.names)
    held = lock.hold(Path(), "measuring")
    plan = recorder.Plan(scripts, options.budget, options.processes, limit_s=options.limit)
    with recorder.private_folder() as temp:
        facts = recorder.machine_facts(Path(temp), options.backend)
        path = options.out / f"{facts.id}.json"
        before = record.load(path) if path.exists() else None
        with display(console, len(scripts) * plan.processes, "measuring") as shown:
            gathered = recorder.measure(plan, facts, Path(temp), shown.step)
        seen = None if options.no_claims or options.names else _observe(console, Path(temp))
    failed = [g for g in gathered if g.failure is not None]
    if failed:
        _print_failures(console, failed)
    if failed and not options.keep_going:
        print(f"compile_guide: no record was written; {path} is as it was", file=sys.stderr)
        return 1
    made = recorder.build_record(plan, facts, gathered, before)
    _no_interrupts()
    record.save(record.with_claims(made, *seen) if seen else made, path)
    _choose(facts.id)
    held.close()
    changed = seen and _print_changes(console, ledger.expected_file(EXPECTED, facts.backend), seen[0])
    print(path)
    return 1 if failed or changed else 0


def _no_interrupts() -> None:
    """From here on ending is quicker than stopping, and an exit status that says "interrupted" would be wrong.

    Nothing sets them back: an interrupt while Python shuts down would still change the status of a written record.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _choose(id: str) -> None:
    CHOSEN.parent.mkdir(exist_ok=True)
    CHOSEN.write_text(id + "\n", encoding="utf-8")


def _print_failures(console: Console, failed: list[recorder.Gathered]) -> None:
    found = Table("example", "why it failed", title="Examples that failed", title_justify="left")
    for gathered in failed:
        found.add_row(gathered.name, gathered.failure)
    console.print(found, markup=False)


def _observe(console: Console, temp: Path) -> tuple[tuple[record.Verdict, ...], record.Tables]:
    """Run every check, then make the tables of messages and of supported functions."""
    verdicts = _verdicts(console, temp, [])
    with console.status("trying functions and messages"):
        return verdicts, observations.observe(temp)


def _verdicts(console: Console, temp: Path, ids: list[str]) -> tuple[record.Verdict, ...]:
    known = claims.all_claims()
    if unknown := [id for id in ids if id not in known]:
        raise recorder.RecorderError(f"no claim {unknown[0]!r}: see docs/claims.md for the ids")
    wanted = [known[id] for id in ids] or list(known.values())
    with display(console, len(wanted), "checking claims") as shown:
        return ledger.run_ledger(wanted, temp / "claims", show=shown.done)


def run_claims(options: argparse.Namespace) -> int:
    """Print the verdicts; with ``--write`` keep them, and fail when they aren't the expected ones."""
    console = Console(highlight=False)
    with recorder.private_folder() as temp:
        facts = recorder.machine_facts(Path(temp))
        verdicts = _verdicts(console, Path(temp), options.ids)
        tables = observations.observe(Path(temp)) if options.write and not options.ids else None
    found = Table("claim", "verdict", "what was seen", title=f"MLX {facts.mlx}, {facts.backend}", title_justify="left")
    for verdict in verdicts:
        found.add_row(verdict.id, ledger.WORDS[verdict.holds], verdict.observed)
    console.print(found, markup=False)
    if options.write or options.accept:
        _no_interrupts()
    if options.write:
        _write_verdicts(options.write / f"{facts.id}.json", verdicts, tables)
    expected = ledger.expected_file(EXPECTED, facts.backend)
    if options.accept:
        others = ledger.load_expected(expected) if options.ids else {}
        ledger.save_expected(expected, {**others, **{v.id: v.holds for v in verdicts}})
    return _print_changes(console, expected, verdicts, partial=bool(options.ids))


def _write_verdicts(path: Path, verdicts: tuple[record.Verdict, ...], tables: record.Tables | None) -> None:
    """Put the verdicts into the record; without tables they replace those of the same claims alone."""
    if not path.exists():
        raise recorder.RecorderError(f"there is no record {path} yet: run 'python -m compile_guide record'")
    old = record.load(path)
    if tables is None:
        found = {v.id: v for v in (*old.claims, *verdicts)}
        verdicts, tables = tuple(found[id] for id in claims.all_claims() if id in found), old.tables
    record.save(record.with_claims(old, verdicts, tables), path)


def _print_changes(console: Console, file: Path, verdicts: tuple[record.Verdict, ...], *, partial: bool = False) -> int:
    """Print the verdicts that aren't the expected ones, and how to accept them; return 1 if there are any."""
    expected = ledger.load_expected(file)
    if not expected:
        return 0
    if partial:
        expected = {v.id: expected[v.id] for v in verdicts if v.id in expected}
    found = ledger.changes(verdicts, expected)
    if not found:
        return 0
    table = Table("claim", "expected", "seen", "observed", title="Verdicts that changed", title_justify="left")
    for change in found:
        table.add_row(change.claim, change.expected, change.seen, change.observed)
    console.print(table, markup=False)
    print(
        f"compile_guide: if MLX changed, accept with 'python -m compile_guide claims --accept' ({file})",
        file=sys.stderr,
    )
    return 1


def copy_example(options: argparse.Namespace) -> int:
    """Copy an example with its helpers and say how to run it."""
    (script,) = recorder.find_examples(options.gallery or copying.gallery_folder(), [options.name])
    for file in copying.copy_example(script, options.target):
        print(f"wrote {file}")
    print(f"run it: cd {options.target} && python {script.name}")
    return 0


def print_machine(options: argparse.Namespace) -> int:
    """Print the machine's facts, for people or as JSON."""
    if options.check:
        machine.import_mlx()
        check_compiling()
    facts = machine.machine()
    if options.json:
        print(json.dumps(dataclasses.asdict(facts)))
        return 0
    shown = {**dataclasses.asdict(facts), "memory": format_bytes(facts.memory), "id": facts.id}
    shown["copy_bandwidth"] = format_rate(facts.copy_bandwidth)
    for label, value in shown.items():
        print(f"{label.replace('_', ' '):<15} {'—' if value is None else value}")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    sys.exit(main())
