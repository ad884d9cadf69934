"""Statements about MLX, each with the check that decides it.

A topic is a module in this package; :func:`all_claims` collects them. A check gets ``mlx.core`` as its argument,
runs in a process of its own, and reports what it saw. It never asserts what its author expected.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Seen:
    """What a check saw: ``holds`` is True, False, or None when it cannot be decided here; ``observed`` says what was seen."""

    holds: bool | None
    observed: str


@dataclass(frozen=True)
class Claim:
    """A statement as people make it, where it is made, our one-sentence answer, and the check that decides it."""

    id: str
    topic: str
    statement: str
    source: str
    answer: str
    check: Callable[[Any], Seen]
    cold: bool = False
    """True: the check measures or counts kernel builds, so it gets an empty kernel cache of its own."""
    first: bool = False
    """True: the check's own first call must be the process's first MLX work, so the runner runs no warm-up operation."""


_registry: dict[str, Claim] = {}


def claim(
    id: str, statement: str, *, source: str, answer: str, cold: bool = False, first: bool = False
) -> Callable[[Callable[[Any], Seen]], Callable[[Any], Seen]]:
    """Register the decorated check as the claim ``id``; the topic is the name of the module it stands in.

    Raises:
        ValueError: the id is malformed, or taken by another claim.
    """
    if not ID.fullmatch(id):
        raise ValueError(f"claim id {id!r}: use lower-case letters, digits, '-' and '_', 64 at most")

    def register(check: Callable[[Any], Seen]) -> Callable[[Any], Seen]:
        topic = check.__module__.rpartition(".")[2]
        if id in _registry:
            raise ValueError(f"claim id {id!r} is taken by {_registry[id].topic}: choose another")
        _registry[id] = Claim(id, topic, statement, source, answer, check, cold, first)
        return check

    return register


def load_claims(folder: Path) -> dict[str, Claim]:
    """Return every claim of a folder by id, in the order of topics (alphabetical) and of their modules' lines.

    Each ``NAME.py`` in it is a topic; files whose names begin with an underscore are theirs to share. The folder is
    imported as a package of its name, so the folder that holds it is put on ``sys.path``.
    """
    folder = folder.resolve()
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    topics = [f"{folder.name}.{file.stem}" for file in sorted(folder.glob("[!_]*.py"))]
    for topic in topics:
        importlib.import_module(topic)
    return {claim.id: claim for claim in _registry.values() if claim.check.__module__ in topics}
