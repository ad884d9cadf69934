"""``compile-guide init``: a project that records and builds at once, and lines to add for one that has docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guide import ROOT
from test_workflows import TOOLS, check

from compile_guide.__main__ import main

FILES = {
    ".github/workflows/docs.yml", ".gitignore", "conf.py", "docs/index.rst", "docs/machines.rst", "gallery/GALLERY_HEADER.rst",
    "gallery/first/GALLERY_HEADER.rst", "gallery/first/rms_norm.py", "gallery/first/softplus.py",
}  # fmt: skip


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def python(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", *argv]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_new_project_records_and_builds_at_once_by_the_command_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my-project"
    assert main(["init", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert files(folder) == FILES == {line.removeprefix(f"wrote {folder}/") for line in printed[:-1]}
    assert printed[-1] == (
        f"measure and build: cd {folder} && compile-guide record && python -m sphinx -c . docs build/html"
    )
    done = python(folder, "compile_guide", "record", "--budget", "0.1", "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    done = python(folder, "sphinx", "-c", ".", "docs", "build/html", "-W", "--keep-going", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    index = (folder / "build" / "html" / "index.html").read_text(encoding="utf-8")
    assert "Measured on" in index and "rms-norm" in index and "my-project" in index
    assert "speed-up" in (folder / "build" / "html" / "gallery" / "first" / "softplus.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_workflow_of_a_new_project_passes(tool: str, tmp_path: Path) -> None:
    main(["init", str(tmp_path / "new")])
    done = check(tool, tmp_path / "new" / ".github" / "workflows" / "docs.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", ["conf.py", "docs/conf.py", "doc/source/conf.py"])
def test_a_project_with_docs_is_told_what_to_add_and_gets_no_file(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / place
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text("extensions = []\n", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{conf} is there already, so nothing was written. Add at its end:",
        "",
        "    from compile_guide.sphinxext.gallery import gallery_conf",
        '    extensions += ["sphinx_gallery.gen_gallery", "compile_guide.sphinxext"]',
        "    sphinx_gallery_conf = gallery_conf()  # examples in ../gallery, seen from the pages",
        "",
        f"Then measure with: compile-guide record --gallery FOLDER --out {conf.parent}/records",
    ]
    assert files(tmp_path) == {place}


def test_a_project_with_a_gallery_adds_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf.py").write_text('extensions = ["sphinx_gallery.gen_gallery"]\n', encoding="utf-8")
    main(["init", str(tmp_path)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert lines == ['    extensions += ["compile_guide.sphinxext"]']


def test_a_project_that_has_the_extension_adds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path)])
    before = files(tmp_path)
    capsys.readouterr()
    assert main(["init", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/conf.py has the extension already; nothing was written.\n"
    assert files(tmp_path) == before


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".gitignore").write_text("mine", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"compile-guide: {tmp_path}/.gitignore is there already and differs: move it away, or name another folder\n"
    )
    assert files(tmp_path) == {".gitignore"}
