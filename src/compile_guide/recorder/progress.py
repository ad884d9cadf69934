"""Show how far a recording is: example, round, time spent and an estimate of what is left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display(Progress):
    """A bar on a terminal; elsewhere a line for each item that begins, so that a log stays readable."""

    def __init__(self, console: Console, total: int, what: str) -> None:
        # Twice a second: the display runs beside the measurement and must not disturb it.
        super().__init__(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left about"), TimeRemainingColumn(),
            console=console, refresh_per_second=2, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self.total, self.what, self.begun, self.bar = total, what, 0, self.add_task(what, total=total)

    def begin(self, words: str) -> None:
        """Show that one item of many begins."""
        self.update(self.bar, completed=self.begun, description=words)
        self.begun += 1
        if not self.console.is_terminal:
            self.console.print(f"[{self.begun}/{self.total}] {words}", markup=False)

    def done(self, name: str) -> None:
        """Show that one item of many is done."""
        self.begun += 1
        self.update(self.bar, completed=self.begun, description=f"{self.what} · {name}")
