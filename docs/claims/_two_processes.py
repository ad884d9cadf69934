"""Run a check's function in two processes that talk to each other over the loopback interface."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen

from ._observing import brief, in_child


def on_two(mx: Any, function: Callable[..., Any]) -> list[Any] | Seen:
    """Return what a function of a module returns on rank 0 and on rank 1, or "cannot be decided" with the reason.

    The function takes MLX and its rank, in a process that has joined a group of two (the ring backend), and returns
    something that JSON can hold.
    """
    if not hasattr(mx, "distributed"):
        return Seen(None, "no mx.distributed in this version")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        hosts = Path(folder, "hosts.json")
        hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in _free_ports(2)]))
        ended = list(pool.map(partial(_join, mx, function, hosts), range(2)))
    for one in ended:
        if one.how != "exit 0":
            return Seen(None, brief(f"no group of two processes here: {one.how}"))
    return [one.result for one in ended]


def _join(mx: Any, function: Callable[..., Any], hosts: Path, rank: int) -> Any:
    env = {"MLX_HOSTFILE": str(hosts), "MLX_RANK": str(rank)}
    return in_child(mx, member, function.__module__, function.__name__, env=env, limit_s=60)


def member(mx: Any, module: str, name: str) -> Any:
    """Join the group that the environment describes and call a function with MLX and the rank."""
    import importlib

    group = mx.distributed.init(strict=True, backend="ring")
    if group.size() != 2:
        raise RuntimeError(f"the group has {group.size()} processes")
    return getattr(importlib.import_module(module), name)(mx, group.rank())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
