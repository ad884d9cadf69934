"""Run a command about claims as the command line does."""

from __future__ import annotations

import argparse

from compile_guide.ledger.commands import add_commands


def run_command(*words: str) -> int:
    """Run ``claims`` with its arguments; an error is raised, not printed."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    options = parser.parse_args(words)
    status: int = options.command(options)
    return status
