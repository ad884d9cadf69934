"""Examples of the guide run two at a time where Sphinx may use two processors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guide import PATHS
from site_builds import HEAD, conf, put_gallery, write

MEETS = """
import time
from pathlib import Path
Path({mine!r}).touch()
for _ in range(400):
    if Path({other!r}).exists():
        print("met the", "other one")
        break
    time.sleep(0.05)
"""
KILLS = """
import os
from pathlib import Path
if not Path({mark!r}).exists():
    Path({mark!r}).touch()
    os.kill(os.getppid(), 9)
    os.kill(os.getpid(), 9)
print("ran", "again")
"""
Built = tuple[Path, subprocess.CompletedProcess[str]]


def page(folder: Path, name: str) -> str:
    return (folder / "out" / "gallery" / "one" / f"{name}.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One build with ``-j 2``: two examples wait for each other, one kills its parent, one fails, one is the last."""
    folder = tmp_path_factory.mktemp("two")
    a, b, mark = (str(folder / name) for name in ("a", "b", "mark"))
    codes = {"a": MEETS.format(mine=a, other=b), "b": MEETS.format(mine=b, other=a), "c": KILLS.format(mark=mark)}
    codes |= {"d": "raise KeyError('lost')\n", "e": "print('the', 'last')\n"}
    put_gallery(
        folder, **{name: HEAD.format(title=f"Example {name}", line="=" * 9) + text for name, text in codes.items()}
    )
    write(folder, {"conf.py": conf(gallery=True, guide=True)})
    argv = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-j",
        "2",
        "-c",
        str(folder),
        str(folder / "docs"),
        str(folder / "out"),
    ]
    (folder / "temp").mkdir()
    path = os.pathsep.join([*map(str, PATHS), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "TMPDIR": str(folder / "temp"), "PYTHONPATH": path}
    return folder, subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)


def test_an_example_runs_while_the_one_before_it_runs(built: Built) -> None:
    folder, ended = built
    assert "met the other one" in page(folder, "a"), ended.stderr
    assert "met the other one" in page(folder, "b")


def test_an_example_whose_process_ahead_was_killed_runs_in_its_turn(built: Built) -> None:
    assert "ran again" in page(built[0], "c")


def test_an_example_that_fails_ahead_is_counted_and_the_next_one_runs(built: Built) -> None:
    folder, ended = built
    assert "Unexpected failing examples (1)" in ended.stderr
    assert "KeyError" in page(folder, "d") and "the last" in page(folder, "e")


def test_nothing_is_left_of_what_ran_ahead(built: Built) -> None:
    left = [path.name for path in (built[0] / "temp").iterdir()]
    assert [name for name in left if not name.startswith("sphinx-err")] == []
