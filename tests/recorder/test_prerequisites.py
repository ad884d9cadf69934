"""MLX missing, too old, broken, or on another backend than asked: one clear line each, while recording and rendering."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from guide import PATHS, ROOT
from site_builds import CONF, GALLERY, HEAD, INVENTORIES, put_gallery
from test_recorder import GOOD, SRC, gallery, guide

from compile_guide import _prerequisites
from compile_guide.recorder.machine import backend

HIDE = """
import importlib.metadata as metadata, sys
def version(name, real=metadata.version):
    if name == "mlx":
        {instead}
    return real(name)
metadata.version = version
"""
INSTEAD = {
    "missing": ("raise metadata.PackageNotFoundError(name)", "MLX is not installed: install mlx on macOS, 'mlx[cpu]' on Linux"),
    "old": (
        "return '0.21.1'",
        f"MLX 0.21.1 is too old, {_prerequisites.OLDEST_MLX} is the oldest that will do: upgrade mlx ('mlx[cpu]' on Linux)",
    ),
}  # fmt: skip


def test_the_oldest_mlx_is_the_one_that_the_package_asks_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert f"mlx[cpu]>={_prerequisites.OLDEST_MLX}; sys_platform == 'linux'" in asked
    assert f"mlx>={_prerequisites.OLDEST_MLX}; sys_platform == 'darwin'" in asked


@pytest.fixture(params=INSTEAD)
def without(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A PYTHONPATH with which Python has another MLX, and what is to be said of that."""
    instead, said = INSTEAD[request.param]
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE.format(instead=instead), encoding="utf-8")
    return os.pathsep.join(map(str, [tmp_path / "hide", *PATHS])), said


def test_a_recording_without_the_right_mlx_is_refused_in_one_line(without: tuple[str, str], tmp_path: Path) -> None:
    path, said = without
    gallery(tmp_path, one=GOOD.format(name="one"))
    ended = guide(tmp_path, "record", PYTHONPATH=path)
    assert (ended.returncode, ended.stderr) == (2, f"compile-guide: {said}\n")
    assert not (tmp_path / "docs").exists()


def rendered(folder: Path, settings: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Render a gallery of one example in a process of its own."""
    put_gallery(folder, example=HEAD.format(title="Example", line="=======") + "import compile_guide\nprint(1)\n")
    conf = CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=GALLERY + settings)
    (folder / "conf.py").write_text(conf, encoding="utf-8")
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q"]
    full = {**os.environ, "PYTHONPATH": SRC, **env}
    return subprocess.run(argv, cwd=folder, env=full, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("settings", ["", INVENTORIES], ids=["in a project of others", "with our inventories"])
def test_rendering_without_the_right_mlx_is_refused_in_one_line(
    settings: str, without: tuple[str, str], tmp_path: Path
) -> None:
    path, said = without
    done = rendered(tmp_path, settings, PYTHONPATH=path)
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[-1]) == (1, f"compile_guide: {said}"), done.stderr
    assert lines[:-1] == ([f"WARNING: {said}"] if settings else [])
    assert not (tmp_path / "out" / "index.html").exists()


@pytest.mark.skipif(backend() != "cpu", reason="only MLX's CPU backend builds its kernels with g++")
@pytest.mark.parametrize("kind", ["missing", "broken"])
def test_rendering_without_a_working_compiler_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    """Without one, MLX runs compiled functions uncompiled, and the examples' outputs would be others."""
    (tmp_path / "bin").mkdir()
    if kind == "broken":
        (tmp_path / "bin" / "g++").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / "g++").chmod(0o755)
    done = rendered(tmp_path, "", PATH=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stderr.startswith("compile_guide: g++ ") and len(done.stderr.splitlines()) == 1


def test_a_broken_mlx_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "core.py").write_text("raise ImportError('libmlx.so: cannot open\\nshared object file')")
    (tmp_path / "mlx" / "__init__.py").touch()
    gallery(tmp_path, one=GOOD.format(name="one"))
    ended = guide(tmp_path, "record", PYTHONPATH=f"{tmp_path}{os.pathsep}{SRC}")
    said = "MLX can't be imported (libmlx.so: cannot open shared object file): install mlx again, on Linux 'mlx[cpu]'"
    assert (ended.returncode, ended.stderr) == (2, f"compile-guide: {said}\n")


def test_another_backend_than_asked_is_not_measured(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    here = json.loads(guide(tmp_path, "machine", "--json").stdout)
    other = "cuda" if here["backend"] == "cpu" else "cpu"
    ended = guide(tmp_path, "record", "--backend", other)
    said = f"compile-guide: {other} was asked for, but MLX {here['mlx']} computes on {here['backend']} here: "
    assert ended.returncode == 2 and ended.stderr.startswith(said) and len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "docs").exists()
