"""What a claim is, and how the claims of a folder are loaded: each ``NAME.py`` in it is a topic, with checks such as ::

    @claim("returns-callable", "mx.compile returns a callable.", source="MLX API reference", answer="Yes.")
    def _(mx):
        return Seen(callable(mx.compile(lambda x: x)), "callable")

A check gets ``mlx.core``, runs in a process of its own, and reports what it saw instead of asserting what its author
expects. This module and ``check`` need the standard library alone, and Python 3.10: they run beside old releases of MLX.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile_guide import CompileGuideError

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class LedgerError(CompileGuideError):
    """A claims folder, a claim, or a file about claims that can't be used: one line that says what to change."""


@dataclass(frozen=True)
class Seen:
    """What a check saw: ``holds`` is True, False, or None for "cannot be decided here"; ``observed`` describes it."""

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
    """True: the check counts or times kernel builds, so it gets an empty kernel cache of its own."""
    first: bool = False
    """True: the check makes the first MLX call of its process, so no warm-up operation runs before it."""


_registry: dict[str, list[Claim]] = {}  # by the module of the check


def claim(
    id: str, statement: str, *, source: str, answer: str, cold: bool = False, first: bool = False
) -> Callable[[Callable[[Any], Seen]], Callable[[Any], Seen]]:
    """Return a decorator that registers a check as the claim ``id``; its topic is the name of the check's module.

    Raises:
        LedgerError: the id is malformed.
    """
    if not ID.fullmatch(id):
        raise LedgerError(f"claim id {id!r}: use lower-case letters, digits, '-' and '_', 64 at most")

    def register(check: Callable[[Any], Seen]) -> Callable[[Any], Seen]:
        topic = check.__module__.rpartition(".")[2]
        new = Claim(id, topic, statement, source, answer, check, cold, first)
        _registry.setdefault(check.__module__, []).append(new)
        return check

    return register


def load_claims(folder: Path, topic: str = "[!_]*") -> dict[str, Claim]:
    """Return the claims of a folder, or of one topic, by id: topics in alphabetical order, claims in their file's order.

    Files whose names begin with an underscore are no topics; topics may import them. The folder is imported as a package
    of its own name, so the folder that holds it is appended to ``sys.path``.

    Raises:
        LedgerError: the folder is missing, another package has its name, or two claims have one id.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise LedgerError(f"there is no folder of claims {folder}")
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    spec = importlib.util.find_spec(folder.name)
    if folder not in [Path(place).resolve() for place in (spec and spec.submodule_search_locations) or []][:1]:
        raise LedgerError(f"Python finds another package named {folder.name!r}: rename the folder {folder}")
    claims: dict[str, Claim] = {}
    for file in sorted(folder.glob(f"{topic}.py")):
        module = importlib.import_module(f"{folder.name}.{file.stem}").__name__
        for claim in _registry.get(module, []):
            if (other := claims.setdefault(claim.id, claim)) is not claim:
                raise LedgerError(f"claim id {claim.id!r} is in {other.topic} and in {claim.topic}: change one of them")
    return claims


def scrub(text: str) -> str:
    """Return the text on one line, without addresses and file paths, which differ from run to run."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", " ".join(text.split()))
    return re.sub(r"(?<![\w.:/])/(?:[\w.+-]+/)+[\w.+-]*", "<path>", text)
