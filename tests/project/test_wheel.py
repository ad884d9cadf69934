"""The wheel: the same bytes from every checkout, and it works where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from guide import ROOT
from packaging.requirements import Requirement

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
    files = [file for file in (ROOT / "src").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    ours = {file.relative_to(ROOT / "src").as_posix() for file in files}
    info = f"mlx_compile_guide-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == ours
    assert ours >= {"compile_guide/py.typed", "compile_guide/sphinxext/static/compile-guide.css"}
    assert f"{info}licenses/LICENSE" in names


def required(lines: list[str], extra: str = "") -> Iterator[str]:
    """Yield the names of all packages that these requirements need here, with what those need in turn."""
    seen: set[str] = set()
    waiting = [(line, extra) for line in lines]
    while waiting:
        line, wanted = waiting.pop()
        need = Requirement(line)
        if need.name in seen or (need.marker and not need.marker.evaluate({"extra": wanted})):
            continue
        seen.add(need.name)
        yield need.name
        for more in need.extras or {""}:
            waiting += [(line, more) for line in distribution(need.name).requires or ()]


def installed(wheel: Path, folder: Path, extra: str = "") -> Path:
    """Install the wheel and what it declares into an empty environment, without a network: from what the locks installed."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    argv = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*argv, "--no-index", "--no-deps", str(wheel)], check=True)
    (info,) = site.glob("mlx_compile_guide-*.dist-info")
    for name in required(distribution_lines(info), extra):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return folder / "bin"


def distribution_lines(info: Path) -> list[str]:
    """Return what a wheel declares that it needs."""
    lines = (info / "METADATA").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def run(argv: list[str], folder: Path) -> str:
    """Run a program in an empty folder; return what it prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HELPERS = """
import mlx.core as mx
from compile_guide.shapeless_check import check_shapeless
from compile_guide.timing import compare
from compile_guide.tracing import watch

def step(x):
    return mx.exp(x) * 2

watched = watch(step)
compare("step", step, mx.compile(watched), mx.ones(1000), budget=0.05)
print(watched.traces)
"""


def test_an_installed_wheel_offers_the_helpers_and_the_command(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    programs = installed(wheels[0], tmp_path / "env")
    (tmp_path / "empty").mkdir()
    assert run([str(programs / "python"), "-c", HELPERS], tmp_path / "empty").splitlines()[0] == "step"
    for command in ([str(programs / "compile-guide")], [str(programs / "python"), "-m", "compile_guide"]):
        assert "--budget" in run([*command, "record", "--help"], tmp_path / "empty")


def test_without_its_extra_an_installed_wheel_brings_no_sphinx(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    programs = installed(wheels[0], tmp_path / "env")
    code = "import importlib.util as u; print(u.find_spec('sphinx'), u.find_spec('matplotlib'))"
    assert run([str(programs / "python"), "-c", code], tmp_path).strip() == "None None"


def test_with_its_extra_an_installed_wheel_offers_the_sphinx_extension(
    wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    programs = installed(wheels[0], tmp_path / "env", "site")
    code = (
        "import compile_guide.sphinxext, compile_guide.sphinxext.gallery as g; print(g.gallery_conf()['gallery_dirs'])"
    )
    assert run([str(programs / "python"), "-c", code], tmp_path).strip() == "gallery"
