"""Another project's gallery, recorded and built with this one's recorder and extension: a few scripts, a short conf.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guide import ROOT

from compile_guide.records.schema import load

PROJECT = ROOT / "tests" / "foreign_project"
GUIDE = ROOT / "docs" / "use-in-your-project.md"
MEASURING = ("fade", "gain", "limiter")


def python(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *argv]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a record of this machine: made in a hurry, so with two processes."""
    folder = tmp_path_factory.mktemp("foreign") / "loudness"
    shutil.copytree(PROJECT, folder)
    quick = ("--budget", "0.1", "--processes", "2")
    done = python(folder, "compile_guide", "record", "--no-claims", *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_its_examples_are_recorded(project: Path) -> None:
    (file,) = (project / "docs" / "records").glob("*.json")
    made = load(file)
    assert [(entry.example, entry.name) for entry in made.comparisons] == [(name, name) for name in MEASURING]
    assert made.claims == ()


def test_its_record_can_be_checked_against_its_own_gallery(project: Path) -> None:
    (file,) = (project / "docs" / "records").glob("*.json")
    done = python(project, "compile_guide", "check-record", str(file))
    faults = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    assert faults == [
        f"{name}: 2 processes are too few for an interval; record with the default --processes" for name in MEASURING
    ]


def test_its_site_is_built_without_a_warning(project: Path) -> None:
    done = python(project, "sphinx", "-c", ".", "docs", "build/html", "-W", "--keep-going", "-q")
    assert done.returncode == 0, done.stderr
    page = (project / "build" / "html" / "gallery" / "effects" / "limiter.html").read_text(encoding="utf-8")
    assert "speed-up" in page and "too few samples for an interval" in page and "Measured on" in page
    assert "compile-guide copy --gallery gallery limiter FOLDER" in page
    index = (project / "build" / "html" / "index.html").read_text(encoding="utf-8")
    assert "not measured" not in index and "mlx" in index.lower()
    gallery = (project / "build" / "html" / "gallery" / "index.html").read_text(encoding="utf-8")
    assert "A limiter" in gallery and "A gain" in gallery and "A tour" in gallery
    tour = (project / "build" / "html" / "gallery" / "tour.html").read_text(encoding="utf-8")
    assert "Effects take samples" in tour and "Measured on" not in tour


def test_the_command_that_its_pages_name_copies_an_example(project: Path) -> None:
    done = python(project, "compile_guide", "copy", "--gallery", "gallery", "limiter", "taken")
    assert done.returncode == 0, done.stderr
    taken = {path.relative_to(project / "taken").as_posix() for path in (project / "taken").rglob("*.py")}
    assert taken == {
        "limiter.py",
        *(f"compile_guide/{name}.py" for name in ("__init__", "comparison", "formatting", "timing")),
    }


def test_its_settings_are_as_short_as_promised_and_shown_as_they_are() -> None:
    settings = (PROJECT / "conf.py").read_text(encoding="utf-8")
    assert len(settings.splitlines()) <= 20
    assert settings in GUIDE.read_text(encoding="utf-8")
