"""The kernels that a checkout keeps: who may write there, what they are kept for, and who finds none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guide import CLAIMS, all_claims
from site_builds import CONF, GALLERY, HEAD, put_gallery
from test_recorder import GOOD, SRC, gallery, quick

from compile_guide._process import KERNELS, kernel_cache
from compile_guide.ledger.runner import run_ledger
from compile_guide.recorder.machine import backend
from compile_guide.records.schema import load

on_the_cpu = pytest.mark.skipif(backend() != "cpu", reason="only MLX's CPU backend keeps its kernels in files")


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob("*.so")}


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    (tmp_path / "conf.py").touch()


def test_a_project_whose_settings_lie_elsewhere_gets_no_folder(tmp_path: Path) -> None:
    (tmp_path / "conf.py").rename(tmp_path / "settings.py")
    assert (kernel_cache(tmp_path), sorted(tmp_path.iterdir())) == (None, [tmp_path / "settings.py"])


def test_nobody_else_may_write_where_kernels_are_kept(tmp_path: Path) -> None:
    place = kernel_cache(tmp_path)
    assert place is not None and place == kernel_cache(tmp_path) and place.parent == tmp_path / KERNELS
    assert [folder.stat().st_mode & 0o777 for folder in (place.parent, place)] == [0o700, 0o700]


@pytest.mark.parametrize("which", ["kernels", "machine"])
def test_a_folder_in_which_others_may_write_is_not_used(which: str, tmp_path: Path) -> None:
    place = kernel_cache(tmp_path)
    assert place is not None
    (place.parent if which == "kernels" else place).chmod(0o770)
    assert kernel_cache(tmp_path) is None


def test_another_compiler_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kernel_cache(tmp_path)
    (tmp_path / "g++").write_text("#!/bin/sh\necho g++ 99\n")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert kernel_cache(tmp_path) not in (before, None)


@on_the_cpu
def test_a_check_finds_the_kernels_of_an_earlier_run_unless_it_is_about_them(tmp_path: Path) -> None:
    kernels = kernel_cache(tmp_path)
    assert kernels is not None
    warm, cold = all_claims()["gelu-same-bits"], all_claims()["shape-reuses-kernel"]
    assert (warm.cold, cold.cold) == (False, True)
    run_ledger([cold], CLAIMS, tmp_path / "cold", kernels=kernels)
    assert names(kernels) == set()
    run_ledger([warm], CLAIMS, tmp_path / "first", kernels=kernels)
    built = names(kernels)
    run_ledger([warm], CLAIMS, tmp_path / "second", kernels=kernels)
    assert built and (names(kernels), names(tmp_path / "second")) == (built, set())


@on_the_cpu
def test_rendering_builds_no_kernel_that_the_recording_has_built(tmp_path: Path) -> None:
    code = HEAD.format(title="Example", line="=======") + GOOD.format(name="gelu")
    gallery(tmp_path, example=code)
    assert quick(tmp_path).returncode == 0
    kept = names(tmp_path / KERNELS)
    put_gallery(tmp_path, example=f"{code}import mlx.core as mx\nmx.eval(mx.compile(f)(mx.ones(100)))\n")
    (tmp_path / "conf.py").write_text(CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=GALLERY))
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q"]
    done = subprocess.run(argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": SRC}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert kept and (names(tmp_path / KERNELS), names(tmp_path / "doctrees")) == (kept, set())


@on_the_cpu
def test_a_recording_uses_no_kernel_of_an_earlier_one(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    for _ in range(2):
        assert quick(tmp_path).returncode == 0
        (path,) = (tmp_path / "docs" / "records").glob("*.json")
        assert [run.built for run in load(path).comparisons[0].runs] == [1, 0]


@on_the_cpu
def test_where_kernels_can_not_be_kept_nothing_measured_is_lost(tmp_path: Path) -> None:
    gallery(tmp_path, one=GOOD.format(name="one"))
    (tmp_path / KERNELS).parent.mkdir()
    (tmp_path / KERNELS).write_text("a file in the folder's place")
    assert quick(tmp_path).returncode == 0
    assert (tmp_path / KERNELS).read_text() == "a file in the folder's place"
