"""The type of an entry of the error catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One kind of message: the smallest code that raises it, why, and code that does what was meant."""

    id: str
    title: str
    code: str
    why: str
    fix: str

    def __post_init__(self) -> None:
        """Drop the blank lines around the code, which make the entries readable in their file."""
        for name in ("code", "fix"):
            object.__setattr__(self, name, getattr(self, name).strip("\n") + "\n")
