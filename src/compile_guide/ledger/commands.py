"""The command about claims: ``claims`` runs their checks on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from compile_guide._files import hold_lock
from compile_guide._process import kernel_cache, private_folder
from compile_guide.ledger import runner
from compile_guide.ledger.claims import Claim, LedgerError, load_claims
from compile_guide.ledger.runner import WORDS, expected_file, load_expected
from compile_guide.recorder.measure import machine_facts
from compile_guide.recorder.progress import Display
from compile_guide.records.schema import Machine, Record, Tables, Verdict, load, save, with_claims

CLAIMS = Path("docs/claims")


def add_commands(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    one = commands.add_parser("claims", help="run the claims' checks on this machine's MLX and print the verdicts")
    one.add_argument("ids", nargs="*", metavar="ID", help="claims to check (default: all)")
    one.add_argument("--claims", type=Path, default=CLAIMS, metavar="DIR", help="where they are (default: %(default)s)")
    one.add_argument("--write", type=Path, metavar="DIR", help="put the verdicts into this machine's record in DIR")
    one.add_argument("--accept", action="store_true", help="save the verdicts as the expected ones")
    one.set_defaults(command=check_claims)


def observe(console: Console, folder: Path, temp: Path) -> tuple[tuple[Verdict, ...], Tables]:
    """Return the verdicts on all claims of a folder, and its tables; show the progress, and write below ``temp``."""
    verdicts = _check(console, choose(folder, []), folder, temp)
    with console.status("making the tables"):
        return verdicts, runner.observe_tables(folder, temp / "tables", kernels=kernel_cache())


def choose(folder: Path, ids: Sequence[str]) -> list[Claim]:
    """Return the claims of a folder, or those of the given ids."""
    claims = load_claims(folder)
    if unknown := [id for id in ids if id not in claims]:
        raise LedgerError(f"there is no claim {unknown[0]!r} in {folder}")
    return [claims[id] for id in dict.fromkeys(ids)] or list(claims.values())


def _check(console: Console, claims: Sequence[Claim], folder: Path, temp: Path) -> tuple[Verdict, ...]:
    with Display(console, len(claims), "checking claims") as progress:
        return runner.run_ledger(claims, folder, temp / "claims", kernels=kernel_cache(), show=progress.done)


def check_claims(options: argparse.Namespace) -> int:
    """Print the verdicts, write them where the options say, and return 1 if they aren't the expected ones."""
    console, claims = Console(highlight=False), choose(options.claims, options.ids)
    lock = hold_lock(Path(), "checking claims") if options.write else nullcontext()
    with lock, private_folder() as temp:
        facts = machine_facts(temp)
        path = options.write and options.write / f"{facts.id}.json"
        record = path and _record_of(path, facts)
        verdicts = _check(console, claims, options.claims, temp)
        observed = path and not options.ids
        tables = runner.observe_tables(options.claims, temp / "tables", kernels=kernel_cache()) if observed else None
        rows = [(v.id, WORDS[v.holds], v.observed) for v in verdicts]
        _print_table(console, f"MLX {facts.mlx}, {facts.backend}", ("claim", "verdict", "what was seen"), rows)
        file = expected_file(options.claims, facts.backend)
        if options.accept:
            others = load_expected(file) if options.ids else {}
            runner.save_expected(file, others | {v.id: v.holds for v in verdicts})
        status = print_changes(console, file, verdicts, partial=bool(options.ids))
        if record:  # at last: who interrupts is told that no record was changed
            save(updated(record, verdicts, tables, list(load_claims(options.claims))), path)
    return status


def _record_of(path: Path, facts: Machine) -> Record:
    """Return the record at ``path``; raise LedgerError if there is none, or if it is another machine's."""
    if not path.exists():
        raise LedgerError(f"there is no record {path} yet: run 'compile-guide record'")
    record = load(path)
    if differs := record.machine.differences(facts):
        raise LedgerError(f"{path} comes from another machine ({differs}): record this one with 'compile-guide record'")
    return record


def updated(record: Record, verdicts: tuple[Verdict, ...], tables: Tables | None, order: Sequence[str]) -> Record:
    """Return the record with these verdicts and tables; without tables, the others' verdicts stay, in this order."""
    if tables is None:
        merged = {v.id: v for v in (*record.claims, *verdicts)}
        verdicts, tables = tuple(merged[id] for id in order if id in merged), record.tables
    return with_claims(record, verdicts, tables)


def print_changes(console: Console, file: Path, verdicts: tuple[Verdict, ...], *, partial: bool = False) -> int:
    """Print the verdicts that aren't the expected ones of ``file``, and how to accept them; return 1 if there are any.

    ``partial``: that an expected claim was not checked is no change. Without a file nothing is expected.
    """
    expected = load_expected(file)
    ids = {v.id for v in verdicts} if partial else expected.keys()
    rows = runner.changes(verdicts, {id: holds for id, holds in expected.items() if id in ids}) if expected else []
    if rows:
        _print_table(console, "Verdicts that changed", ("claim", "expected", "seen", "observed"), rows)
        accept = f"accept with 'compile-guide claims --accept' ({file})"
        print(f"compile-guide: if MLX changed, {accept}", file=sys.stderr)
    return 1 if rows else 0


def _print_table(console: Console, title: str, heads: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)
