"""A build after another one: nothing stale, nothing run twice, no failed build taken for a good one, no user's file touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_record
from forked import finish, site
from guide import PATHS
from reproduce import copy_tree, differing
from site_builds import FAST, HEAD, SCRIPT, build, conf, put_gallery, put_records, write
from small_tree import EXAMPLE, log_of, small_tree
from small_tree import built as built_small
from small_tree import start as start_small
from sphinx.application import Sphinx
from sphinx_gallery import gen_gallery

from _ext.incremental import MADE, STATE
from compile_guide._files import LockError, hold_lock

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}
LIMIT = "import compile_guide.sphinxext.watchdog as own\nown.LIMIT_S = 3\n"
KILLED = """

def setup(app):
    import os, signal
    from pathlib import Path
    wanted = Path(__file__).with_name("die")
    if wanted.exists():
        event, priority, number = wanted.read_text().split()
        app.connect(event, lambda *_: os.kill(os.getpid(), int(number)), priority=int(priority))
"""
"""Settings of a build that gets the signal which the file ``die`` names, at the event which it names."""


def command(folder: Path, settings: str = "") -> list[str]:
    """Return the command that builds ``folder``, with warnings as errors."""
    write(folder, {"conf.py": conf(gallery=True, guide=True, settings=settings)})
    out = [str(folder / "out"), "-d", str(folder / "doctrees")]
    return [sys.executable, "-m", "sphinx", "-c", str(folder), str(folder / "docs"), *out, "-q", "-W", "--keep-going"]


def built(folder: Path, settings: str = "") -> subprocess.CompletedProcess[str]:
    argv, env = command(folder, settings), ENVIRONMENT
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=280, check=False)


def ended_well(folder: Path) -> bool:
    """What the note of the last build says, which ``nox -s render`` looks at."""
    return bool(json.loads((folder / "doctrees" / STATE).read_bytes())["ended"])


# A build that failed is never taken for a good one

ENDS = {
    "os._exit": ("import os\nos._exit(0)", "the example ended itself before its last line (exit status 0)"),
    "thread": (
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()",
        "a thread of the example ended with ZeroDivisionError",
    ),
    "hang": ("import time\ntime.sleep(600)", "RuntimeError: still ran after 3 s and was killed"),
    "kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ""),
    "return": ("return", "SyntaxError"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_example_that_does_not_reach_its_last_line_fails_the_build(name: str, tmp_path: Path) -> None:
    code, message = ENDS[name]
    put_gallery(tmp_path, early=HEAD.format(title="Early", line="=====") + f"\n{code}\n")
    begun = time.perf_counter()
    done = built(tmp_path, LIMIT)
    assert done.returncode != 0
    assert message in done.stderr
    assert not ended_well(tmp_path)
    assert time.perf_counter() - begun < 120  # the hang would take ten minutes


def test_even_an_exit_below_python_leaves_no_site_that_looks_finished(tmp_path: Path) -> None:
    code = "\nimport ctypes\nctypes.CDLL(None)._exit(0)\n"
    put_gallery(tmp_path, early=HEAD.format(title="Early", line="=====") + code)
    assert built(tmp_path).returncode != 0
    assert not ended_well(tmp_path)


def warned(folder: Path, text: str = "\n{measured}`nothing.ratio`\n") -> Callable[[], None]:
    """Give a page a warning; return a function that mends it."""
    page = folder / "docs" / "other.md"
    before = page.read_text(encoding="utf-8")
    page.write_text(before + text, encoding="utf-8")
    return lambda: (page.write_text(before, encoding="utf-8"), None)[1]


STRICT = ("-W", "--keep-going")
OPTIONS = {
    "with -W": STRICT,
    "without -W": ("-q",),
    "as text": ("-b", "text", "-W", "--keep-going"),
    "of one page": (*STRICT, "docs/index.md"),
}
"""What the build in between may be: Sphinx takes names of pages behind the output folder, so the last one comes last."""


@pytest.mark.parametrize("between", OPTIONS)
def test_a_warning_fails_each_next_build_until_its_cause_is_mended(between: str, tmp_path: Path) -> None:
    folder, log = site(tmp_path / "site", "old"), tmp_path / "log"
    assert finish(folder, log) == 0
    mend = warned(folder)
    assert finish(folder, log) == 1
    finish(folder, log, *OPTIONS[between])
    assert finish(folder, log) == 1
    assert "has no comparison 'nothing'" in log.read_text(encoding="utf-8")
    assert not ended_well(folder)
    mend()
    assert finish(folder, log) == 0
    assert ended_well(folder)


def test_a_build_without_strictness_shows_a_warning_again_too(tmp_path: Path) -> None:
    folder, log = site(tmp_path / "site", "old"), tmp_path / "log"
    warned(folder)
    for _ in range(2):
        assert finish(folder, log, "-q") == 0
        assert "has no comparison 'nothing'" in log.read_text(encoding="utf-8")
        assert not ended_well(folder)


def test_a_warning_of_an_example_fails_each_next_build_too(tmp_path: Path) -> None:
    put_gallery(tmp_path, early=SCRIPT.replace('ax.set_title("A rising line")', ""))
    for _ in range(2):
        done = built(tmp_path)
        assert done.returncode != 0
        assert "early.py: figure 1 has no title" in done.stderr


# Two at once


def test_of_two_builds_at_once_the_second_names_the_first_and_the_first_succeeds(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"\nimport pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.05)\n"
    put_gallery(tmp_path, slow=HEAD.format(title="Slow", line="====") + code)
    with subprocess.Popen(command(tmp_path), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as first:
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
    code = "from pathlib import Path; from compile_guide._files import hold_lock"
    code += f"; f = hold_lock(Path({str(tmp_path)!r}), 'measuring'); print('held', flush=True)"
    argv = [sys.executable, "-c", code + "; import time; time.sleep(60)"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ}) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=f"^process {holder.pid} is measuring in this folder: wait"):
            hold_lock(tmp_path, "measuring")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    hold_lock(tmp_path, "measuring").close()


# What others have put there

MINE = {
    "build/html/.git/packed-refs": "# pack-refs with: peeled fully-peeled sorted\n",
    "build/html/CNAME": "guide.example\n",
    "build/html/notes/robots.txt": "User-agent: *\nDisallow: /\n",
    "build/html/notes/index.html": "mine",
    "build/html/_images/mine.svg": "<svg/>",
    "build/html/_static/mine.css": "/* mine */",
    "build/html/_downloads/mine/data.csv": "1,2\n",
    "build/html/_sources/mine.md.txt": "mine",
    "build/html/records/mine.json": "{}",
    "docs/gallery/mine.txt": "mine",
    "docs/gallery/basics/mine.rst.old": "mine",
    "docs/gallery/basics/example.txt": "mine, though it is named like an example",
    "docs/gallery/basics/images/mine.png": "mine",
    "build/doctrees/mine.txt": "mine",
}
EMPTY = ("build/html/.git/refs/heads", "build/html/.git/objects", "docs/gallery/basics/empty", "build/doctrees/empty")
DIES = {
    1: ("builder-inited", 999, signal.SIGKILL),
    3: ("doctree-read", 999, signal.SIGINT),
    7: ("build-finished", 999, signal.SIGKILL),
}
"""Which of ten builds gets which signal, and when; another one has an example that fails, and one a warning."""
FAILS = "\n# %%\n# It fails.\nraise ValueError('as told')\n"


def change(tree: Path, number: int) -> None:
    """Bring the checkout to the state of a build: pages and examples come and go, one fails, one is warned of."""
    extra, third = tree / "gallery" / "basics" / "extra.py", tree / "docs" / "third.md"
    extra.unlink(missing_ok=True)
    if number % 2:
        write(tree, {"gallery/basics/extra.py": EXAMPLE.replace("An example", f"Extra {number}")})
    write(tree, {"gallery/basics/example.py": EXAMPLE + (FAILS if number == 5 else f"print({number})\n")})
    text = "# The third page\n\nRare words: quokka.\n\n## A part\n\n```{machines}\n```\n"
    third.write_text(text + f"\nBuild {number}.\n" + "\n{measured}`nothing`\n" * (number == 8), encoding="utf-8")
    (tree / "die").unlink(missing_ok=True)
    if number in DIES:
        (tree / "die").write_text(" ".join(map(str, (*DIES[number][:2], int(DIES[number][2])))), encoding="utf-8")


def mine(tree: Path) -> dict[str, tuple[str, int]]:
    """What a user's files hold, and when they were changed."""
    return {
        n: ((tree / n).read_text(encoding="utf-8"), (tree / n).stat().st_mtime_ns) for n in MINE if (tree / n).exists()
    }


@pytest.mark.timeout(600)
def test_a_users_files_survive_ten_builds_five_of_them_failed_or_killed(tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "tree")
    settings = (tree / "conf.py").read_text(encoding="utf-8")
    write(tree, {"conf.py": settings + 'html_baseurl = "https://guide.example/"\n' + KILLED, **MINE})
    for name in EMPTY:
        (tree / name).mkdir(parents=True)
    before, ends = mine(tree), []
    for number in range(10):
        change(tree, number)
        process = start_small(tree)
        process.join(280)
        ends.append(process.exitcode)
        assert mine(tree) == before, f"build {number}: {log_of(tree).read_text(encoding='utf-8')[-2000:]}"
        assert [name for name in EMPTY if not (tree / name).is_dir()] == []
    failed = [number for number, status in enumerate(ends) if status]
    assert failed == [1, 3, 5, 7, 8], ends
    copy_tree(tree, tmp_path / "clean")
    there = differing(tree / "build" / "html", built_small(tmp_path / "clean"))
    assert sorted(f"build/html/{name}" for name in there) == sorted(
        name for name in MINE if name.startswith("build/html")
    )


def test_a_folder_of_doctrees_that_holds_other_things_keeps_them(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", "old")
    write(folder, {"doctrees/precious.txt": "mine", "out/precious.txt": "mine", "out/index.html": "of plain Sphinx"})
    assert finish(folder, tmp_path / "log") == 0
    assert (folder / "doctrees" / "precious.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "out" / "precious.txt").read_text(encoding="utf-8") == "mine"


def test_a_page_that_somebody_has_changed_since_is_not_deleted_with_its_source(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", "old")
    assert finish(folder, tmp_path / "log") == 0
    page = folder / "out" / "gallery" / "one" / "old_alone.html"
    page.write_text("mine now", encoding="utf-8")
    site(folder, "new")
    assert finish(folder, tmp_path / "log") == 0
    assert page.read_text(encoding="utf-8") == "mine now"


# The next build equals a clean one


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a clean build of the state "old"."""
    folder = site(tmp_path_factory.mktemp("clean") / "site", "old")
    (folder / "conf.py").write_text((folder / "conf.py").read_text(encoding="utf-8") + KILLED, encoding="utf-8")
    assert finish(folder, folder / "log") == 0
    return folder / "out"


PLACES = {
    "before the examples": ("builder-inited", 1),
    "among the examples": ("", 0),
    "after the examples": ("builder-inited", 999),
    "while pages are read": ("doctree-read", 999),
    "before pages are written": ("env-updated", 999),
    "while pages are written": ("html-collect-pages", 999),
    "at the end": ("build-finished", 999),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_build_leaves_nothing_on_the_next_ones_pages(place: str, clean: Path, tmp_path: Path) -> None:
    """The state that the killed build saw is gone again: its example, page and record must not show."""
    folder, log = tmp_path / "site", tmp_path / "log"
    for state, dies in (("old", False), ("new", True), ("old", False)):
        site(folder, state)
        (folder / "conf.py").write_text((folder / "conf.py").read_text(encoding="utf-8") + KILLED, encoding="utf-8")
        for name in ("die", "gallery/one/z_dies.py"):
            (folder / name).unlink(missing_ok=True)
        if dies:
            event, priority = PLACES[place]
            last = '"""\nLast\n====\n\nWords.\n"""\nimport os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)\n'
            write(
                folder,
                {"die": f"{event} {priority} {int(signal.SIGKILL)}"} if event else {"gallery/one/z_dies.py": last},
            )
        assert finish(folder, log) == (-signal.SIGKILL if dies else 0), log.read_text(encoding="utf-8")
    assert differing(clean, folder / "out") == []


def test_a_page_deleted_after_a_killed_build_is_gone(tmp_path: Path) -> None:
    folder, log = site(tmp_path / "site", "old"), tmp_path / "log"
    (folder / "conf.py").write_text((folder / "conf.py").read_text(encoding="utf-8") + KILLED, encoding="utf-8")
    assert finish(folder, log) == 0
    write(folder, {"docs/other.md": "# Other, edited\n", "die": f"build-finished 999 {int(signal.SIGKILL)}"})
    assert finish(folder, log) == -signal.SIGKILL
    assert "Other, edited" in (folder / "out" / "other.html").read_text(encoding="utf-8")
    (folder / "die").unlink()
    (folder / "docs" / "other.md").unlink()
    index = folder / "docs" / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace("other\n", ""), encoding="utf-8")
    assert finish(folder, log) == 0, log.read_text(encoding="utf-8")
    assert not (folder / "out" / "other.html").exists()


def test_a_file_of_sphinxs_own_that_was_cut_off_on_a_full_disk_stops_no_later_build(tmp_path: Path) -> None:
    folder, log = site(tmp_path / "site", "old"), tmp_path / "log"
    (folder / "conf.py").write_text((folder / "conf.py").read_text(encoding="utf-8") + KILLED, encoding="utf-8")
    assert finish(folder, log) == 0
    write(folder, {"die": f"build-finished 999 {int(signal.SIGKILL)}"})
    assert finish(folder, log) == -signal.SIGKILL
    write(folder, {"out/.buildinfo": ""})
    (folder / "die").unlink()
    assert finish(folder, log) == 0, log.read_text(encoding="utf-8")


def test_a_page_and_an_example_that_were_renamed_are_there_under_their_new_names_alone(tmp_path: Path) -> None:
    folder, log = site(tmp_path / "site", "old"), tmp_path / "log"
    write(folder, {"gallery/one/b.py": SCRIPT})
    assert finish(folder, log) == 0
    for old, new in (("docs/other.md", "docs/renamed.md"), ("gallery/one/b.py", "gallery/one/renamed.py")):
        (folder / old).rename(folder / new)
    index = folder / "docs" / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace("other\n", "renamed\n"), encoding="utf-8")
    assert finish(folder, log) == 0, log.read_text(encoding="utf-8")
    left = [
        file.relative_to(folder).as_posix() for top in ("out", "docs/gallery") for file in (folder / top).rglob("*")
    ]
    stems = [Path(name).name.split(".")[0] for name in left]
    assert {"other", "b", "sphx_glr_b_001", "sphx_glr_b_001_dark"} & set(stems) == set()
    assert {"out/renamed.html", "out/gallery/one/renamed.html", "out/_images/sphx_glr_renamed_001.svg"} <= set(left)


def test_an_example_whose_name_begins_with_anothers_keeps_its_figures(tmp_path: Path) -> None:
    put_gallery(tmp_path, plot=SCRIPT, plot_more=SCRIPT.replace("An example", "The second"))
    assert build(tmp_path, gallery=True, guide=True).warnings == []
    write(tmp_path, {"gallery/one/plot.py": SCRIPT + "\nprint(1)\n"})
    assert build(tmp_path, gallery=True, guide=True).warnings == []
    assert (tmp_path / "out" / "_images" / "sphx_glr_plot_more_001.svg").exists()


def test_the_order_of_examples_changes_no_page_of_theirs(tmp_path: Path) -> None:
    one, other = (site(tmp_path / name, "old") for name in ("one", "other"))
    settings = other / "conf.py"
    turned = 'sphinx_gallery_conf["within_subsection_order"] = "compile_guide_reversed.Reversed"\n'
    order = "from sphinx_gallery.sorting import FileNameSortKey\n\n\nclass Reversed(FileNameSortKey):\n"
    order += "    def __call__(self, name):\n        return tuple(-ord(c) for c in name)\n"
    (other / "compile_guide_reversed.py").write_text(order, encoding="utf-8")
    path = f"import sys\nsys.path.insert(0, {str(other)!r})\n"
    settings.write_text(path + settings.read_text(encoding="utf-8") + turned, encoding="utf-8")
    assert [finish(folder, tmp_path / f"{folder.name}.log") for folder in (one, other)] == [0, 0]
    pages = [(folder / "docs" / "gallery" / "one") for folder in (one, other)]
    assert [name for name in differing(*pages) if name.endswith(("a.rst", "b.rst", "c.rst"))] == []


def test_a_page_keeps_its_style_while_the_site_is_built_again(tmp_path: Path) -> None:
    folder, seen = site(tmp_path / "site", "old"), tmp_path / "seen"
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
    with (folder / "conf.py").open("a", encoding="utf-8") as settings:
        settings.write(look)
    assert finish(folder, tmp_path / "log1") == 0
    (static / "gone.css").unlink()
    with (folder / "docs" / "other.md").open("a", encoding="utf-8") as page:
        page.write("\nMore.\n")
    assert finish(folder, tmp_path / "log2") == 0
    assert {"kept.css", "gone.css"} <= set(seen.read_text(encoding="utf-8").split())
    left = {path.name for path in (folder / "out" / "_static").glob("*.css")}
    assert "kept.css" in left and "gone.css" not in left


# Nothing runs twice


def test_a_build_without_a_change_runs_reads_and_writes_nothing_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"\nfrom pathlib import Path\nwith Path({str(count)!r}).open('a') as f:\n    _ = f.write('x')\n"
    put_gallery(tmp_path, example=HEAD.format(title="Plain", line="=====") + code)
    first = build(tmp_path, gallery=True, guide=True)
    pages = [first.out / f"{page}.html" for page in first.app.env.all_docs]
    read, written = dict(first.app.env.all_docs), [page.stat().st_mtime_ns for page in pages]
    second = build(tmp_path, gallery=True, guide=True)
    assert count.read_text(encoding="utf-8") == "x"
    assert len(pages) == 4
    assert dict(second.app.env.all_docs) == read
    assert [page.stat().st_mtime_ns for page in pages] == written


def looked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Build, and say whether sphinx-gallery was asked to look at the scripts."""
    asked: list[Sphinx] = []
    look = gen_gallery.generate_gallery_rst
    with monkeypatch.context() as patch:
        patch.setattr(gen_gallery, "generate_gallery_rst", lambda app: (asked.append(app), look(app)))
        assert build(folder, gallery=True, guide=True).warnings == []
    return bool(asked)


CHANGES = {
    "a script": lambda folder: write(folder, {"gallery/one/example.py": SCRIPT + "\nprint(1234)\n"}),
    "a header": lambda folder: write(folder, {"gallery/one/GALLERY_HEADER.rst": "Two\n===\n"}),
    "a file beside the scripts": lambda folder: write(folder, {"gallery/one/_shared.py": "X = 1\n"}),
    "a record": lambda folder: put_records(folder, make_record(FAST, created="2026-11-23T00:00:00Z")),
    "a page of the last build": lambda folder: write(folder, {"docs/gallery/one/example.rst": "Cut off"}),
    "a page gone": lambda folder: (folder / "docs/gallery/one/index.rst").unlink(),
    "a thumbnail gone": lambda folder: next((folder / "docs/gallery").rglob("*_thumb.*")).unlink(),
    "the note of the last build": lambda folder: write(folder, {f"docs/gallery/{MADE}": '{"from": 1}'}),
    "a note that is none": lambda folder: write(folder, {f"docs/gallery/{MADE}": "[]"}),
}


@pytest.mark.parametrize("what", [None, *CHANGES])
def test_sphinx_gallery_looks_at_the_scripts_only_when_something_has_changed(
    what: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gallery(tmp_path, example=SCRIPT)
    assert looked_again(tmp_path, monkeypatch)
    if what:
        CHANGES[what](tmp_path)
    assert looked_again(tmp_path, monkeypatch) is bool(what)
    page = (tmp_path / "out" / "gallery" / "one" / "example.html").read_text(encoding="utf-8")
    assert "A rising line" in page
    assert (">1234<" in page) is (what == "a script")


@pytest.mark.parametrize("note", ["", "[]", "{", '{"ended": true, "files": 3}', "\udcff"])
def test_a_note_that_says_nothing_has_everything_read_again(note: str, tmp_path: Path) -> None:
    put_gallery(tmp_path, example=HEAD.format(title="Plain", line="=====") + "print(1)\n")
    out = build(tmp_path, gallery=True, guide=True).out
    before = (out / "index.html").stat().st_mtime_ns
    (tmp_path / "doctrees" / STATE).write_bytes(note.encode("utf-8", "surrogateescape"))
    build(tmp_path, gallery=True, guide=True)
    assert (out / "index.html").stat().st_mtime_ns > before
