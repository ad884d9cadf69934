"""Run a check's function in two processes of this machine that talk to each other."""

from __future__ import annotations

import json
import os
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

    The function takes MLX and its rank, in a process that has joined a group of two, and returns something that JSON
    can hold. The group talks through NCCL where each process can have a GPU of its own, else through the ring backend
    over the loopback interface.
    """
    if not hasattr(mx, "distributed"):
        return Seen(None, "no mx.distributed in this version")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        env = _nccl() if has_two_gpus(mx) else _ring(Path(folder, "hosts.json"))
        ended = list(pool.map(partial(_join, mx, function, env, folder), range(2)))
    for one in ended:
        if one.how != "exit 0":
            return Seen(None, brief(f"no group of two processes here: {one.how}"))
    return [one.result for one in ended]


def has_two_gpus(mx: Any) -> bool:
    """Return whether each of two processes can have a GPU of its own, and NCCL is there."""
    count = getattr(mx, "device_count", None)
    return count is not None and count(mx.gpu) > 1 and bool(mx.distributed.is_available("nccl"))


def _nccl() -> dict[str, str]:
    (port,) = _free_ports(1)
    return {"NCCL_HOST_IP": "127.0.0.1", "NCCL_PORT": str(port), "MLX_WORLD_SIZE": "2"}


def _ring(hosts: Path) -> dict[str, str]:
    hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in _free_ports(2)]))
    return {"MLX_HOSTFILE": str(hosts)}


def _join(mx: Any, function: Callable[..., Any], env: dict[str, str], folder: str, rank: int) -> Any:
    kernels = Path(folder, f"rank-{rank}")  # before 0.32.4, MLX loaded kernels that another process had half written
    kernels.mkdir()
    own = {"MLX_RANK": str(rank), "TMPDIR": str(kernels)}
    own |= {} if "MLX_HOSTFILE" in env else {"CUDA_VISIBLE_DEVICES": str(rank)}
    return in_child(mx, member, function.__module__, function.__name__, env={**env, **own}, limit_s=60)


def member(mx: Any, module: str, name: str) -> Any:
    """Join the group that the environment describes and call a function with MLX and the rank."""
    import importlib

    group = mx.distributed.init(strict=True, backend="ring" if "MLX_HOSTFILE" in os.environ else "nccl")
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
