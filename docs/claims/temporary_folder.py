"""The temporary folder, where the CPU backend builds its kernels: what happens if it is not as it should be."""

from __future__ import annotations

import ctypes
import errno
import mmap
import platform
import struct
import tempfile
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, in_child, outcome
from ._sources import GUIDE
from .kernel_files import CPU_ON_LINUX, build_one, on_linux_cpu


def _with_temp(mx: Any, folder: str) -> str:
    """Run a compiled function with this temporary folder; return what it gave, or how that failed."""
    ended = in_child(mx, _said, env={"TMPDIR": folder})
    return str(ended.result) if ended.how == "exit 0" else f"the process ended with {ended.how}"


def _said(mx: Any) -> str:
    return brief(outcome(lambda: build_one(mx)))


@claim(
    "temp-folder-missing",
    "If the folder that TMPDIR names is missing, MLX takes another one.",
    source="a habit from Python's tempfile",
    answer="No: evaluating a compiled function raises.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    said = _with_temp(mx, str(Path(tempfile.mkdtemp(), "missing")))
    return Seen(said == "[2.0, 2.0]", said)


@claim(
    "temp-folder-unwritable",
    "If nothing can be written into the temporary folder, MLX runs the function uncompiled or takes another folder.",
    source="a habit from Python's tempfile",
    answer="No: evaluating a compiled function raises.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    said = _with_temp(mx, "/proc").replace(mx.__version__, "VERSION")  # not even root can write there
    return Seen(said == "[2.0, 2.0]", said)


def load_forbidden(mx: Any) -> str:
    """Run a compiled function in a process that may not map another file as code, as on a noexec file system."""
    mx.eval(mx.compile(lambda x: mx.exp(x) * 3)(mx.zeros((2,))))  # MLX asks for g++ once, while it may still be run
    forbid_code()
    return _said(mx)


def forbid_code() -> None:
    """Let the kernel (Linux) answer EPERM when this process wants to map memory that may be executed."""
    mapping, filtering = {"x86_64": (9, 317), "aarch64": (222, 277)}[platform.machine()]  # the calls mmap and seccomp
    steps = [
        (0x20, 0, 0, 0),  # load the call's number
        (0x15, 0, 3, mapping),  # another one: allow
        (0x20, 0, 0, 32),  # load its third argument, the protection
        (0x45, 0, 1, mmap.PROT_EXEC),  # not executable: allow
        (0x06, 0, 0, 0x00050000 | errno.EPERM),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.syscall(filtering, 1, 1, program):  # SECCOMP_SET_MODE_FILTER, for all threads
        raise OSError("this system lets no process filter its calls")


@claim(
    "temp-folder-noexec",
    "Kernels may be kept on a file system that is mounted noexec.",
    source=GUIDE,
    answer="No: they are built, and loading them raises; point TMPDIR at a folder from which code may be loaded.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx) or platform.machine() not in ("x86_64", "aarch64"):
        return CPU_ON_LINUX
    folder = tempfile.mkdtemp()
    in_child(mx, build_one, env={"TMPDIR": folder})
    ended = in_child(mx, load_forbidden, env={"TMPDIR": folder})
    said = ended.result if ended.how == "exit 0" else f"the process ended with {ended.how}"
    return Seen(said == "[2.0, 2.0]", f"a kernel that may not be loaded as code: {said}")
