"""The wheel: the same bytes from every checkout, and it works where it is installed."""

from __future__ import annotations

from guide import ROOT

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compile_guide import __version__

BUILD = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"


def wheel(folder: Path, umask: int, clock: float) -> Path:
    """Build the wheel from a copy of the sources whose files have that time."""
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "dist").mkdir()
    for file in folder.rglob("*"):
        os.utime(file, (clock, clock))
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}  # a day: else a wheel has the times of the files
    done = subprocess.run([sys.executable, "-c", BUILD, str(folder / "dist")], cwd=folder, env=env, umask=umask,
                          capture_output=True, text=True, check=True)  # fmt: skip
    return folder / "dist" / done.stdout.strip()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("a", "another"):
        (folder / name).mkdir()
    return wheel(folder / "a", 0o022, 1e9), wheel(folder / "another", 0o077, 1.7e9)


def test_a_wheel_has_the_same_bytes_from_two_folders(wheels: tuple[Path, Path]) -> None:
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_a_wheel_holds_the_package_and_nothing_else(wheels: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(wheels[0]) as archive:
        names = archive.namelist()
    ours = {f"compile_guide/{f.relative_to(ROOT / 'src/compile_guide')}" for f in (ROOT / "src").rglob("*.py")}
    info = f"mlx_compile_guide-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == {*ours, "compile_guide/py.typed"}
    assert f"{info}licenses/LICENSE" in names


def test_an_installed_wheel_runs(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
    ]
    subprocess.run([*argv, str(wheels[0])], check=True)
    code = (
        "import compile_guide, importlib.metadata as m; print(compile_guide.__file__, m.version('mlx-compile-guide'))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(tmp_path / "site" / "compile_guide" / "__init__.py"), __version__]
    argv = [sys.executable, "-m", "compile_guide", "record", "--help"]
    said = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert "--budget" in said.stdout
