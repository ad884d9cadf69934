"""The claims whose verdict changed from one MLX release to another."""

from __future__ import annotations

from dataclasses import dataclass

from claims._history import History, Version


@dataclass(frozen=True)
class Turn:
    """A claim whose verdict changes at a release: ``before`` and ``after`` are what was observed.

    ``last`` is the release on which the claim was checked before; not every claim was checked on every release.
    """

    claim: str
    release: str
    last: str
    holds: bool | None
    before: str
    after: str


def find_turns(history: History) -> tuple[Turn, ...]:
    """Return every change of a claim's verdict from one release that checked it to the next such, oldest first."""
    changes = []
    latest: dict[str, Version] = {}
    for version in history.versions:
        for id, (holds, after) in sorted(version.verdicts.items()):
            if id in latest and latest[id].verdicts[id][0] != holds:
                changes.append(Turn(id, version.mlx, latest[id].mlx, holds, latest[id].verdicts[id][1], after))
            latest[id] = version
    return tuple(changes)
