"""What a check says: findings, how much it looked at, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 12


@dataclass(frozen=True)
class Finding:
    """Something that ``check`` found wrong on ``page``."""

    check: str
    page: str
    what: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.page}: {self.what}"


@dataclass(frozen=True)
class Row:
    """One line of the table: a check, how much it looked at, its findings, and a figure worth reading."""

    check: str
    looked_at: str
    findings: tuple[Finding, ...] = ()
    figure: str = ""


def report(rows: Iterable[Row]) -> str:
    """Return the findings of each check, at most ``SHOWN`` of them, and below them the table."""
    rows = list(rows)
    lines: list[str] = []
    for row in rows:
        lines += [f"{row.check}", *(f"  {finding}" for finding in row.findings[:SHOWN])] if row.findings else []
        if len(row.findings) > SHOWN:
            lines.append(f"  … and {len(row.findings) - SHOWN} more")
    cells = [("Check", "Looked at", "Findings", "Figure")]
    cells += [(row.check, row.looked_at, str(len(row.findings)), row.figure) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    made = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in cells]
    return "\n".join([*lines, *([""] if lines else []), made[0], "-" * max(map(len, made)), *made[1:]])
