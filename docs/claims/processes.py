"""Worker processes: how they are started, and what a compiled function needs in them.

A process that was forked after MLX had worked may hang or crash, so no check here forks one.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, in_child
from ._sources import GUIDE

LIMIT_S = 60


def wave(module: str) -> list[float]:
    """Compile and compute in this process; returns the values."""
    import importlib

    mx = importlib.import_module(module)
    values: list[float] = mx.compile(lambda x: mx.exp(x) + 1)(mx.zeros((2,))).tolist()
    return values


def in_worker(mx: Any, method: str) -> list[float]:
    """Use MLX here first, then in a worker process that is started by the method; return the worker's values."""
    mx.eval(mx.zeros((2,)) + 1)
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply_async(wave, (mx.__name__,)).get(LIMIT_S / 2)


def _worker(mx: Any, method: str) -> Seen:
    ended = in_child(mx, in_worker, method, limit_s=LIMIT_S)
    return Seen(ended.result == [2, 2], brief(f"the worker's values: {ended.result or ended.how}"))


@claim(
    "spawned-worker-computes",
    "A worker process started by the method spawn may compile and compute, though its parent has used MLX.",
    source=GUIDE,
    answer="Yes: it starts from nothing, imports MLX itself and compiles for itself.",
)
def _(mx: Any) -> Seen:
    return _worker(mx, "spawn")


@claim(
    "forkserver-worker-computes",
    "A worker process of a fork server may compile and compute, though its parent has used MLX.",
    source=GUIDE,
    answer="Yes: the server is a process that has never used MLX, so what it forks holds nothing of the parent's.",
)
def _(mx: Any) -> Seen:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return Seen(None, "no fork server on this system")
    return _worker(mx, "forkserver")
