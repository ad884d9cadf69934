"""A kernel that somebody planted in a shared temp folder: MLX loads it, and nothing of ours lets MLX look there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from site_builds import CONF, GALLERY, HEAD, put_gallery
from test_recorder import GOOD, SRC, gallery, quick

from compile_guide.recorder.machine import backend

pytestmark = pytest.mark.skipif(
    backend() != "cpu", reason="only MLX's CPU backend keeps its kernels in the temp folder"
)
POISON = '#include <cstdio>\n__attribute__((constructor)) static void bite() {{ fclose(fopen("{mark}", "w")); }}\n'


def run(code: str, folder: Path, shared: Path) -> None:
    """Run a script by itself, with the shared temp folder; it may fail."""
    (folder / "script.py").write_text(code, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": SRC, "TMPDIR": str(shared)}
    subprocess.run([sys.executable, "script.py"], cwd=folder, env=env, capture_output=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def bitten(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A shared temp folder whose kernels are poisoned, and the mark that is left where one is loaded."""
    folder = tmp_path_factory.mktemp("poisoned")
    shared, mark = folder / "shared", folder / "bitten"
    shared.mkdir()
    code = GOOD.format(name="gelu")
    run(code, folder, shared)
    kernels = list(shared.rglob("*.so"))
    assert kernels
    (folder / "poison.cpp").write_text(POISON.format(mark=mark), encoding="utf-8")
    subprocess.run(["g++", "-shared", "-fPIC", "poison.cpp", "-o", "poison.so"], cwd=folder, check=True)
    for kernel in kernels:
        shutil.copy(folder / "poison.so", kernel)
    run(code, folder, shared)
    assert mark.exists()  # the danger is real: MLX by itself has loaded it
    mark.unlink()
    return shared, mark


def test_the_recorder_loads_no_planted_kernel(bitten: tuple[Path, Path], tmp_path: Path) -> None:
    shared, mark = bitten
    gallery(tmp_path, one=GOOD.format(name="gelu"))
    done = quick(tmp_path, TMPDIR=str(shared))
    assert done.returncode == 0, done.stderr
    assert not mark.exists()


def test_rendering_loads_no_planted_kernel(bitten: tuple[Path, Path], tmp_path: Path) -> None:
    shared, mark = bitten
    kernel = GOOD.format(name="gelu") + "import mlx.core as mx\nmx.eval(mx.compile(f)(mx.ones(100)))\n"
    put_gallery(tmp_path, example=HEAD.format(title="Example", line="=======") + kernel)
    conf = CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=GALLERY)
    (tmp_path / "conf.py").write_text(conf, encoding="utf-8")
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q"]
    env = {**os.environ, "PYTHONPATH": SRC, "TMPDIR": str(shared)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "doctrees" / "kernels").rglob("*.so"))
    assert not mark.exists()


def test_pages_never_say_compiled_where_compiling_was_off(tmp_path: Path) -> None:
    """The switch can't reach an example that is rendered, nor a comparison that is recorded."""
    code = "\nimport mlx.core as mx\nruns = []\n\n\n@mx.compile\ndef f(x):\n    runs.append(1)\n    return x + 1\n\n\n"
    code += "for _ in range(5):\n    mx.eval(f(mx.ones(2)))\nprint('compiled' if len(runs) < 5 else 'uncompiled')\n"
    put_gallery(tmp_path, example=HEAD.format(title="Example", line="=======") + code)
    conf = CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=GALLERY)
    (tmp_path / "conf.py").write_text(conf, encoding="utf-8")
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q"]
    env = {**os.environ, "PYTHONPATH": SRC, "MLX_DISABLE_COMPILE": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    page = tmp_path / "out" / "gallery" / "one" / "example.html"
    assert done.returncode == 0, done.stderr
    printed = page.read_text(encoding="utf-8").partition("sphx-glr-script-out")[2].partition("</pre>")[0]
    assert "compiled\n" in printed and "uncompiled" not in printed
