"""Downloads of three galleries run alone: in an environment with MLX, Matplotlib and Jupyter's kernel, and with nothing of ours."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from guide import PACKAGE, ROOT
from nbclient import NotebookClient
from quick_compiler import with_quick_compiler
from site_builds import build, put_gallery
from test_examples import LIMIT_S, SETTINGS, environment

from compile_guide import _process as process
from compile_guide.examples import copy_example

SCRIPTS = {
    "guide": ROOT / "gallery" / "basics" / "seeing_inside.py",
    "foreign": ROOT / "tests" / "foreign_project" / "gallery" / "effects" / "fade.py",
    "started": PACKAGE / "starter" / "templates" / "gallery" / "first" / "rms_norm.py.txt",
}
"""A quick example of each gallery."""
galleries = pytest.mark.parametrize("gallery", SCRIPTS)


@dataclass(frozen=True)
class Place:
    """A Python that knows nothing of this project, and what a process of its gets: a short budget, a folder for kernels."""

    python: Path
    folder: Path

    def env(self) -> dict[str, str]:
        """Return the variables; each process begins a sink of its own."""
        sink = self.folder / "sink.jsonl"
        sink.write_text(json.dumps(SETTINGS) + "\n", encoding="utf-8")
        return {"COMPILE_GUIDE_SINK": str(sink), "PATH": with_quick_compiler(), "TMPDIR": str(self.folder / "tmp")}

    def run(self, script: str, folder: Path) -> None:
        """Run a script of a folder; fail unless it ends well."""
        unset: dict[str, str | None] = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"))
        argv, env = [str(self.python), script], {**self.env(), **unset}
        ended = process.run(argv, folder=folder, limit_s=LIMIT_S, env=env, temp=self.folder / "tmp")
        assert ended.returncode == 0, ended.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tmp").mkdir()
    return Place(environment(folder / "env", {"mlx", "mlx-cpu", "matplotlib", "ipykernel"}), folder)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of downloads of each gallery's example."""
    found: dict[str, Path] = {}
    for gallery, script in SCRIPTS.items():
        folder = tmp_path_factory.mktemp(gallery)
        put_gallery(folder, **{script.name.partition(".")[0]: script.read_text(encoding="utf-8")})
        build(folder, gallery=True, guide=gallery == "guide")
        found[gallery] = folder / "docs" / "gallery" / "one"
    return found


def name_of(gallery: str) -> str:
    return SCRIPTS[gallery].name.partition(".")[0]


@galleries
def test_a_script_runs_where_it_was_copied(
    gallery: str, downloads: dict[str, Path], place: Place, tmp_path: Path
) -> None:
    copy_example(downloads[gallery] / f"{name_of(gallery)}.py", tmp_path / "copy")
    place.run(f"{name_of(gallery)}.py", tmp_path / "copy")


@galleries
def test_a_zip_runs_where_it_was_unpacked(
    gallery: str, downloads: dict[str, Path], place: Place, tmp_path: Path
) -> None:
    with zipfile.ZipFile(downloads[gallery] / f"{name_of(gallery)}.zip") as archive:
        archive.extractall(tmp_path)
    place.run(f"{name_of(gallery)}.py", tmp_path)


@galleries
def test_a_notebook_runs_by_itself(
    gallery: str, downloads: dict[str, Path], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [str(place.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "alone", "language": "python", "env": {**place.env(), "PYTHONPATH": ""}}
    (tmp_path / "kernels" / "alone").mkdir(parents=True)
    (tmp_path / "kernels" / "alone" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    book = nbformat.read(downloads[gallery] / f"{name_of(gallery)}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, kernel_name="alone", timeout=LIMIT_S, resources=resources).execute()
    lines = (place.folder / "sink.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 1, "it compares nothing"
