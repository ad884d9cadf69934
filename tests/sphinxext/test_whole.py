"""A build that didn't finish, or that found fault with itself, is never taken for one that did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import finish, site
from reproduce import differing
from site_builds import CONF, GALLERY
from test_site_gallery import HEAD, SCRIPT, start

from compile_guide._lock import LockError, hold
from compile_guide.sphinxext.whole import STATE

LIMIT = "import compile_guide.sphinxext.watchdog as own\nown.LIMIT_S = 3\n"


def command(folder: Path, settings: str = "") -> list[str]:
    """Return the command that builds ``folder``, with warnings as errors."""
    conf = CONF.format(more='"sphinx_gallery.gen_gallery", ', settings=GALLERY + settings)
    if not (folder / "conf.py").exists():
        (folder / "conf.py").write_text(conf, encoding="utf-8")
    out = [str(folder / "out"), "-d", str(folder / "doctrees")]
    return [sys.executable, "-m", "sphinx", "-c", str(folder), str(folder / "docs"), *out, "-q", "-W", "--keep-going"]


def built(folder: Path, settings: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, settings), capture_output=True, text=True, timeout=280, check=False)


ENDS = {
    "os._exit": ("import os\nos._exit(0)", "the example ended itself before its last line (exit status 0)"),
    "thread": (
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()",
        "a thread of the example ended with ZeroDivisionError",
    ),
    "hang": ("import time\ntime.sleep(600)", "Timeout (0:00:03)"),
    "kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ""),
    "return": ("return", "SyntaxError"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_example_that_does_not_reach_its_last_line_fails_the_build(name: str, tmp_path: Path) -> None:
    code, message = ENDS[name]
    start(tmp_path, early=HEAD.format(title="Early", line="=====") + f"\n{code}\n")
    begun = time.perf_counter()
    done = built(tmp_path, LIMIT)
    assert done.returncode != 0
    assert message in done.stderr
    assert not json.loads((tmp_path / "doctrees" / STATE).read_bytes())["ended"]
    assert time.perf_counter() - begun < 120  # the hang would take ten minutes


def test_even_an_exit_below_python_leaves_no_site_that_looks_finished(tmp_path: Path) -> None:
    code = "\nimport ctypes\nctypes.CDLL(None)._exit(0)\n"
    start(tmp_path, early=HEAD.format(title="Early", line="=====") + code)
    assert built(tmp_path).returncode == 0  # nothing in the process can see it: so nox looks at the file
    assert not json.loads((tmp_path / "doctrees" / STATE).read_bytes())["ended"]


def test_a_warning_fails_the_second_build_too(tmp_path: Path) -> None:
    folder = site(tmp_path, "old")
    with (folder / "docs" / "other.md").open("a", encoding="utf-8") as page:
        page.write("\n{measured}`nothing.ratio`\n")
    assert [finish(folder, tmp_path / f"log{number}") for number in (1, 2)] == [1, 1]
    assert "has no comparison 'nothing'" in (tmp_path / "log2").read_text(encoding="utf-8")


def test_a_warning_of_an_example_fails_the_second_build_too(tmp_path: Path) -> None:
    start(tmp_path, early=SCRIPT.replace('ax.set_title("A rising line")', ""))
    for _ in range(2):
        done = built(tmp_path)
        assert done.returncode != 0
        assert "early.py: figure 1 has no title" in done.stderr


def test_of_two_builds_at_once_the_second_names_the_first_and_the_first_succeeds(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"\nimport pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.05)\n"
    start(tmp_path, slow=HEAD.format(title="Slow", line="====") + code)
    with subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True) as first:
        lock = tmp_path / "build" / "lock"
        while not (lock.exists() and lock.read_text(encoding="utf-8")):
            time.sleep(0.05)
        second = built(tmp_path)
        gate.touch()
        said = first.communicate(timeout=120)[1]
    assert (first.returncode, said) == (0, "")
    assert second.returncode == 1
    said = f"compile_guide: process {first.pid} is building the site in this folder: wait until it has ended"
    assert second.stderr.startswith(said)
    assert len(second.stderr.splitlines()) == 1


def test_a_lock_is_given_back_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from compile_guide._lock import hold; f = hold(Path({str(tmp_path)!r}), 'measuring')"
    )
    argv = [sys.executable, "-c", code + "; print('held', flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ}) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=f"^process {holder.pid} is measuring in this folder: wait"):
            hold(tmp_path, "measuring")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    hold(tmp_path, "measuring").close()


def test_a_folder_that_sphinx_did_not_fill_is_not_emptied(tmp_path: Path) -> None:
    folder = site(tmp_path, "old")
    (folder / "out").mkdir()
    (folder / "out" / "precious.txt").write_text("mine", encoding="utf-8")
    with (folder / "docs" / "other.md").open("a", encoding="utf-8") as page:
        page.write("\n{measured}`nothing.ratio`\n")
    assert [finish(folder, tmp_path / f"log{number}") for number in (1, 2)] == [1, 1]
    assert (folder / "out" / "precious.txt").read_text(encoding="utf-8") == "mine"


def test_the_order_of_examples_changes_no_page_of_theirs(tmp_path: Path) -> None:
    one, other = (site(tmp_path / name, "old") for name in ("one", "other"))
    conf = other / "conf.py"
    turned = 'sphinx_gallery_conf["within_subsection_order"] = "compile_guide_reversed.Reversed"\n'
    order = "from sphinx_gallery.sorting import FileNameSortKey\n\n\nclass Reversed(FileNameSortKey):\n"
    order += "    def __call__(self, name):\n        return tuple(-ord(c) for c in name)\n"
    (other / "compile_guide_reversed.py").write_text(order, encoding="utf-8")
    path = f"import sys\nsys.path.insert(0, {str(other)!r})\n"
    conf.write_text(path + conf.read_text(encoding="utf-8") + turned, encoding="utf-8")
    assert [finish(folder, tmp_path / f"{folder.name}.log") for folder in (one, other)] == [0, 0]
    pages = [(folder / "docs" / "gallery" / "one") for folder in (one, other)]
    assert [name for name in differing(*pages) if name.endswith(("a.rst", "b.rst", "c.rst"))] == []


def test_a_page_keeps_its_style_while_the_site_is_built_again(tmp_path: Path) -> None:
    folder, seen = site(tmp_path, "old"), tmp_path / "seen"
    static = folder / "docs" / "_static"
    static.mkdir()
    for name in ("kept.css", "gone.css"):
        (static / name).write_text(f"/* {name} */", encoding="utf-8")
    look = f"""
html_static_path = [{str(static)!r}]


def look(app, docname, source):
    there = sorted(path.name for path in (app.outdir / "_static").glob("*.css"))
    open({str(seen)!r}, "w").write(" ".join(there))


def setup(app):
    app.connect("source-read", look)
"""
    with (folder / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write(look)
    assert finish(folder, tmp_path / "log1") == 0
    (static / "gone.css").unlink()
    with (folder / "docs" / "other.md").open("a", encoding="utf-8") as page:
        page.write("\nMore.\n")
    assert finish(folder, tmp_path / "log2") == 0
    assert {"kept.css", "gone.css"} <= set(seen.read_text(encoding="utf-8").split())
    left = {path.name for path in (folder / "out" / "_static").glob("*.css")}
    assert "kept.css" in left and "gone.css" not in left
