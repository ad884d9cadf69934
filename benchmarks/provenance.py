"""What a file of results says of where and when it was measured: machine, versions, time."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from datetime import UTC, datetime

from compile_guide.recorder import machine


def this_machine() -> tuple[str, dict[str, str | int]]:
    """Return this machine's id, and the facts about it that results keep."""
    it = machine.this_machine()
    return it.id, {"chip": it.gpu or it.chip, "cores": it.cores, "backend": it.backend,
                   "os": it.os, "python": it.python, "mlx": it.mlx}  # fmt: skip


def now() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def version(package: str) -> str:
    """Return an installed package's version; Debian's torch has it in the module alone."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return str(importlib.import_module(package).__version__)
