"""Kernels on disk: the CPU backend builds them with g++ and keeps them in the temporary folder, for all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import brief, gpu, in_child
from ._sources import GUIDE, issue

CPU_ON_LINUX = Seen(None, "this is about kernels built by g++, which the CPU backend on Linux does")


def build_one(mx: Any) -> Any:
    """Build and run one fused kernel; return its value."""
    out = mx.compile(lambda x: mx.exp(-x) + 1)(mx.zeros((2,)))
    mx.eval(out)
    return out.tolist()


def real_compiler() -> str:
    """Return where the system's g++ stands."""
    folders = os.environ["PATH"].split(os.pathsep)
    return next(str(Path(f, "g++")) for f in folders if Path(f, "g++").exists())


def fake_compiler(script: str) -> str:
    """Write a program named ``g++`` into a folder of its own; return the folder, to be put before PATH."""
    folder = Path(tempfile.mkdtemp())
    program = folder / "g++"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(folder)


def available_compiler() -> bool:
    """Say whether a C++ compiler named g++ is found, which MLX's CPU backend calls to build its kernels."""
    try:
        return subprocess.run(["g++", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def on_linux_cpu(mx: Any) -> bool:
    """Say whether kernels are built by g++ here: MLX's CPU backend on Linux."""
    return not gpu(mx) and sys.platform == "linux" and available_compiler()


@claim(
    "processes-share-kernels",
    "Every process builds its kernels anew.",
    source=GUIDE,
    answer="Not on the CPU backend, which keeps them in the temporary folder: a second process builds nothing.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    folder = tempfile.mkdtemp()
    calls = []
    for _ in range(2):
        place = fake_compiler(f'echo "$@" >> {folder}/calls\nexec {real_compiler()} "$@"')
        in_child(mx, build_one, env={"TMPDIR": folder, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"})
        calls.append(sum("-shared" in line for line in Path(folder, "calls").read_text("utf-8").splitlines()))
    return Seen(calls[1] != calls[0], f"calls of the compiler: first process {calls[0]}, second {calls[1] - calls[0]}")


@claim(
    "cold-start-together",
    "Several processes may start at once on an empty kernel cache.",
    source="a habit from other compilers",
    answer="Since 0.32.4, where the compiler writes to a name of its own; before, processes read each "
    "other's half-written kernels.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    place = fake_compiler(f'echo "$@" >> "$(dirname "$0")/calls"\nexec {real_compiler()} "$@"')
    folder = tempfile.mkdtemp()
    in_child(mx, build_one, env={"TMPDIR": folder, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"})
    targets = [word for line in Path(place, "calls").read_text("utf-8").splitlines() for word in line.split()]
    written = {Path(word).name for word in targets if word.endswith(".so")}
    kept = {path.name for path in Path(folder).rglob("*.so")}
    direct = bool(written & kept)
    words = "the file that others load" if direct else "a file of its own, renamed when it is complete"
    return Seen(not direct, f"the compiler writes to {words}")


@claim(
    "broken-kernel-rebuilt",
    "A damaged kernel file is built again.",
    source=GUIDE,
    answer="No: MLX loads what has the right name, and fails until somebody deletes the file.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    folder = tempfile.mkdtemp()
    in_child(mx, build_one, env={"TMPDIR": folder})
    for kernel in Path(folder).rglob("*.so"):
        kernel.write_bytes(b"not a library")
    how = [in_child(mx, _outcome_of_build, env={"TMPDIR": folder}) for _ in range(2)]
    said = [ended.result if ended.how == "exit 0" else f"ended by {ended.how}" for ended in how]
    return Seen(said[1] == "[2.0, 2.0]", f"first process after the damage: {said[0]}; second: {said[1]}")


def _outcome_of_build(mx: Any) -> str:
    try:
        return str(build_one(mx))
    except RuntimeError as error:
        return f"RuntimeError: {str(error)[:34]}"


def _build(mx: Any) -> list[Any]:
    """Run a compiled function; return what it gave or raised, and how many kernel files it left."""
    try:
        said = str(build_one(mx))
    except RuntimeError as error:
        code = re.search(r"return code \d+", str(error))
        said = f"RuntimeError: {str(error)[:43]}… {code.group() if code else ''}"
    return [said, len(list(Path(tempfile.gettempdir()).rglob("*.so")))]


def _with_path(mx: Any, path: str) -> Seen:
    """Run a compiled function with an empty kernel cache and another PATH; holds when it is reported."""
    ended = in_child(mx, _build, env={"TMPDIR": tempfile.mkdtemp(), "PATH": path})
    if ended.how != "exit 0":
        return Seen(True, f"the process ended with {ended.how}")
    said, files = ended.result
    return Seen("RuntimeError" in said, brief(f"{said}, kernel files: {files}"))


@claim(
    "missing-compiler-is-reported",
    "Without a C++ compiler, MLX's CPU backend says that it can't compile.",
    source=GUIDE,
    answer="Not since 0.32.0: it runs the function uncompiled, without a word; older versions raised or "
    "ended the process.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    return _with_path(mx, tempfile.mkdtemp())


@claim(
    "broken-compiler-is-reported",
    "A C++ compiler that is there but fails is reported.",
    source=issue(3430),
    answer="Yes, where the kernel is built: a RuntimeError at mx.eval, not at the call.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    folder = fake_compiler('[ "$1" = --version ] && exit 0\necho no >&2\nexit 3')
    return _with_path(mx, f"{folder}{os.pathsep}{os.environ['PATH']}")


def _where(mx: Any) -> list[str]:
    build_one(mx)
    root = Path(tempfile.gettempdir())
    return [str(path.parent.relative_to(root)) for path in root.rglob("*.so")]


@claim(
    "kernels-kept-by-version",
    "Kernels that another MLX version left in the temporary folder are told apart.",
    source=GUIDE,
    answer="Since 0.29.0 the folder's name holds the version; before, an upgrade loaded the old version's kernels.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    folders = in_child(mx, _where, env={"TMPDIR": tempfile.mkdtemp()}).result or []
    by_version = all(mx.__version__ in folder for folder in folders)
    shown = ", ".join(f.replace(mx.__version__, "VERSION") for f in folders)
    return Seen(bool(folders) and by_version, f"folder below the temporary one: {shown}")


PLANTED = "#include <cstdlib>\n__attribute__((constructor)) static void run() { std::_Exit(7); }\n"


@claim(
    "kernel-file-is-checked",
    "MLX loads a kernel file only if it wrote it.",
    source=GUIDE,
    answer="No: the name alone counts, and whatever code stands in a file of that name is run; on a shared machine, "
    "give each user a temporary folder of their own.",
    cold=True,
)
def _(mx: Any) -> Seen:
    if not on_linux_cpu(mx):
        return CPU_ON_LINUX
    folder = tempfile.mkdtemp()
    in_child(mx, build_one, env={"TMPDIR": folder})
    for kernel in Path(folder).rglob("*.so"):
        source = Path(folder, "planted.cpp")
        source.write_text(PLANTED, encoding="utf-8")
        kernel.unlink()
        subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(kernel)], check=True)
    ended = in_child(mx, build_one, env={"TMPDIR": folder})
    exited = ended.how.startswith("exit 7")
    words = "exit status 7, as the planted file says" if exited else f"{ended.how}, {ended.result}"
    return Seen(ended.result == [2.0, 2.0], f"with another library under the kernel's name, the process ended: {words}")
