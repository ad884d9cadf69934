"""A guest's galleries, whatever their layout and settings: the author's choices count, and only what measures is changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_entry, make_record
from guide import ROOT
from site_builds import Site, build, conf, put_records, ratio_of, write

from compile_guide.sphinxext.gallery import NOTE, gallery_conf

# A project with most of what sphinx-gallery offers, in which nothing measures

SETTINGS = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
extensions = ["sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["backreferences"]
html_theme = "basic"
html_static_path = ["docs/_static"]
sphinx_gallery_conf = {
    "examples_dirs": ["../examples", "../more/deep", "../with_index"],
    "gallery_dirs": ["auto_examples", "made/deep", "auto_index"],
    "example_extensions": {".py", ".jl", ".rst"},
    "ignore_pattern": r"local_|index\\.rst",
    "subsection_order": "choices.backwards",
    "within_subsection_order": "choices.Backwards",
    "minigallery_sort_order": "choices.backwards",
    "image_scrapers": ("matplotlib", "choices.scrape"),
    "reset_argv": "choices.argv",
    "default_thumb_file": str(Path(__file__).parent / "docs" / "_static" / "own.png"),
    "image_srcset": ["2x"],
    "backreferences_dir": "backreferences",
    "doc_module": ("textwrap",),
    "junit": "junit.xml",
    "write_computation_times": False,
    "min_reported_time": 1e9,
}
"""
CHOICES = """
class Backwards:
    def __init__(self, folder): pass
    def __call__(self, name): return [-ord(letter) for letter in str(name)]

def backwards(name): return [-ord(letter) for letter in str(name)]
def scrape(block, variables, conf): return "\\n.. rst-class:: own-scraper\\n\\nScraped.\\n"
def argv(conf, variables): return ["--quick"]
"""
PLOT = """
import sys
import textwrap

import matplotlib.pyplot as plt

print(textwrap.dedent("dedented"), sys.argv[1:])
for slope in (1, 2):
    plt.figure()
    plt.plot([0, 1], [0, slope])
"""
INDEX = """
Guest
=====

.. toctree::

   auto_examples/index
   made/deep/index
   auto_index/index

.. minigallery:: textwrap.dedent ../examples/plot_number.py

.. autofunction:: textwrap.dedent
"""


def titled(title: str, code: str = "", comment: str = "") -> str:
    return f'{comment}"""\n{title}\n{"=" * len(title)}\n\nAbout it.\n"""\n{code}'


FILES = {
    "choices.py": CHOICES,
    "docs/index.rst": INDEX,
    "examples/GALLERY_HEADER.rst": "Examples\n========\n",
    "examples/plot_number.py": titled("Number", "# sphinx_gallery_thumbnail_number = 2\n" + PLOT),
    "examples/plot_path.py": titled(
        "Path", "# sphinx_gallery_thumbnail_path = '_static/own.png'\nimport local_words\n"
    ),
    "examples/plot_none.py": titled("None", "print('no figure')\n[1, 2]\n"),
    "examples/local_words.py": "WORDS = 1\n",
    "examples/sample.jl": "# Julia\n# =====\n#\n# Words.\n\nprintln(1)\n",
    "examples/words.rst": "Words\n=====\n\nAn example of words.\n",
    "examples/a_topic/GALLERY_HEADER.rst": "A topic\n=======\n",
    "examples/a_topic/plot_a.py": titled("A", "print('a')\n"),
    "examples/b_topic/GALLERY_HEADER.rst": "B topic\n=======\n",
    "examples/b_topic/plot_b.py": titled("B", "print('b')\n"),
    "more/deep/GALLERY_HEADER.rst": "Deep\n====\n",
    "more/deep/plot_deep.py": titled("Deep example", "print('deep')\n"),
    "with_index/index.rst": "Own index\n=========\n\n.. toctree::\n\n   plot_own\n",
    "with_index/plot_own.py": titled("Own", "print('own')\n"),
}


def put_plain(folder: Path, *, ours: bool) -> None:
    """Write the project, with our extension or without it."""
    write(folder, {**FILES, "conf.py": SETTINGS + 'extensions.insert(0, "compile_guide.sphinxext")\n' * ours})
    (folder / "docs" / "_static").mkdir()
    shutil.copy(ROOT / "docs" / "_static" / "screenshot.png", folder / "docs" / "_static" / "own.png")


def built(folder: Path) -> str:
    """Build a project in a process of its own, as its author does, and return its warnings."""
    argv = [sys.executable, "-m", "sphinx", "-c", ".", "docs", "out", "-d", "doctrees", "-q"]
    env = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.replace(str(folder), "")


def contents(folder: Path) -> dict[str, bytes]:
    """Return what was made for the galleries: sphinx-gallery's files, and the main parts of pages."""
    made = {}
    for file in sorted(
        [*(folder / "docs").rglob("*"), *(folder / "out").rglob("*.html"), folder / "out" / "junit.xml"]
    ):
        if file.is_file() and file.suffix != ".zip" and not file.name.endswith(".cost.json"):  # they hold times
            name = file.relative_to(folder).as_posix()
            text = file.read_bytes().replace(str(folder).encode(), b"")  # some hold paths
            made[name] = re.sub(rb'time="[^"]*"', b"", text) if file.suffix == ".xml" else body(text, file.suffix)
    return made


def body(text: bytes, suffix: str) -> bytes:
    return text.partition(b'<div class="body"')[2].partition(b'<div class="clearer">')[0] if suffix == ".html" else text


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, bytes], str]]:
    """What the project's galleries and warnings are without our extension, and with it, standing before sphinx-gallery."""
    folders = [tmp_path_factory.mktemp(name) / "guest" for name in ("without", "with")]
    for folder in folders:
        put_plain(folder, ours=folder is folders[1])
    said = [built(folder) for folder in folders]
    return [(contents(folder), words) for folder, words in zip(folders, said, strict=True)]


def test_galleries_that_measure_nothing_come_out_as_without_the_extension(
    plain: list[tuple[dict[str, bytes], str]],
) -> None:
    (without, said), (ours, said_with_us) = plain
    assert "out/made/deep/plot_deep.html" in without and "out/auto_examples/sample.html" in without
    assert ours.keys() == without.keys()
    assert [name for name in without if ours[name] != without[name]] == []
    assert said_with_us == said


# Scripts that measure, wherever they lie

MEASURED = """
import mlx.core as mx

from compile_guide.timing import compare

compare("{name}", mx.exp, mx.compile(mx.exp), mx.ones(4))
"""
GALLERIES = """
sphinx_gallery_conf = gallery_conf(
    examples_dirs=["../examples", "../more/deep"], gallery_dirs=["auto_examples", "made/deep"],
    filename_pattern="/plot_", capture_repr=("_repr_html_", "__repr__"),
)
"""
TOC = "# T\n\n```{toctree}\nauto_examples/index\nmade/deep/index\n```\n"
ONE, TWO = make_entry("one", "plot_one"), make_entry("two", "plot_two", ratios=(3.01, 3.02, 3.03, 3.03, 3.04, 3.05))


def put_galleries(folder: Path, **scripts: str) -> None:
    """Write two galleries; a script's name says where it lies: ``examples__plot_one``."""
    headers = ("examples", "examples/topic", "more/deep")
    write(folder, {f"{place}/GALLERY_HEADER.rst": "Some examples\n=============\n" for place in headers})
    write(folder, {f"{name.replace('__', '/')}.py": text for name, text in scripts.items()} | {"docs/index.md": TOC})


def counted(count: Path) -> str:
    """Return code that leaves a letter in a file each time it is run."""
    return f"\n_ = open({str(count)!r}, 'a').write('x')\n"


def rendered(folder: Path, settings: str = "") -> Site:
    return build(folder, gallery=True, settings=GALLERIES + settings)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Examples directly in a gallery, in a topic, and in a second, deep gallery; two of them measure."""
    folder = tmp_path_factory.mktemp("measured")
    put_galleries(
        folder,
        examples__plot_one=titled("One", MEASURED.format(name="one")),
        examples__topic__plot_plain=titled("Plain", "print('plain')\n"),
        more__deep__plot_two=titled("Two", MEASURED.format(name="two")),
        more__deep__plot_one_more=titled("Never recorded", MEASURED.format(name="fresh")),
        more__deep__bench=titled("Not executed", MEASURED.format(name="never")),
    )
    write(folder, {"docs/index.md": TOC + "\n{measured}`one`, {measured}`two`, {measured}`fresh`.\n"})
    put_records(folder, make_record(ONE, TWO))
    return rendered(folder)


def test_a_script_directly_in_a_gallery_shows_its_timing(measured: Site) -> None:
    assert measured.warnings == []
    assert f"speed-up {ratio_of(ONE)}" in measured.text("auto_examples/plot_one")


def test_a_script_in_a_second_gallery_shows_its_timing(measured: Site) -> None:
    assert ratio_of(TWO) in measured.text("made/deep/plot_two")
    assert "Measured on Test Chip" in measured.text("made/deep/plot_two")


def test_a_comparison_that_a_second_gallery_has_not_recorded_yet_is_known(measured: Site) -> None:
    assert "not measured on this machine yet ." in measured.text()


def test_a_page_that_measures_nothing_names_no_machine(measured: Site) -> None:
    assert "Measured on" not in measured.text("auto_examples/topic/plot_plain")
    assert "Measured on" not in measured.text("made/deep/bench")


def test_a_changed_record_runs_only_the_scripts_that_measure(tmp_path: Path) -> None:
    marks = {name: tmp_path / name for name in ("measures", "imports", "plain")}
    module = "from compile_guide.timing import compare\n"
    put_galleries(
        tmp_path,
        examples__plot_one=titled("One", counted(marks["measures"]) + MEASURED.format(name="one")),
        examples__topic__plot_plain=titled("Plain", counted(marks["plain"])),
        more__deep___local=module,
        more__deep__plot_two=titled("Two", "import _local\n" + counted(marks["imports"])),
    )
    put_records(tmp_path, make_record(ONE))
    rendered(tmp_path)
    put_records(
        tmp_path, make_record(faster := make_entry("one", "plot_one", ratios=(5, 5.01, 5.02, 5.03, 5.04, 5.05)))
    )
    assert ratio_of(faster) in rendered(tmp_path).text("auto_examples/plot_one")
    assert {name: mark.read_text() for name, mark in marks.items()} == {
        "measures": "xx", "imports": "xx", "plain": "x"
    }  # fmt: skip
    assert not (tmp_path / "docs" / "auto_examples" / "topic" / NOTE).exists()


def test_a_script_that_measures_through_an_installed_module_replays_the_record_too(tmp_path: Path) -> None:
    name = '"compile_" "guide.timing"'  # so the script doesn't name the package
    code = f"compare = __import__({name}, fromlist=['compare']).compare\ncompare('one', abs, abs, 1)\n"
    put_galleries(tmp_path, examples__plot_one=titled("One", code), more__deep__plot_b=titled("B"))
    put_records(tmp_path, make_record(ONE))
    assert f"speed-up {ratio_of(ONE)}" in rendered(tmp_path).text("auto_examples/plot_one")


def test_an_example_that_fails_lets_no_other_run_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    put_galleries(
        tmp_path,
        examples__plot_one=titled("One", counted(count) + MEASURED.format(name="one")),
        more__deep__plot_bad=titled("Bad", "import compile_guide\nraise ValueError('on purpose')\n"),
    )
    put_records(tmp_path, make_record(ONE))
    expected = 'sphinx_gallery_conf["expected_failing_examples"] = ["../more/deep/plot_bad.py"]\n'
    for _ in range(2):
        assert rendered(tmp_path, expected).warnings == []
    assert count.read_text() == "x"


# What a block shows is the author's choice

CAPTURED = titled(
    "Captured",
    """
import mlx.core as mx

from compile_guide.timing import compare

result = compare("one", mx.exp, mx.compile(mx.exp), mx.ones(4))

# %%
# As the gallery has it.
result

# %%
# Nothing.

# sphinx_gallery_capture_repr_block = ()
result

# %%
# No value.
_ = 1
""",
)


def test_a_block_that_is_to_show_nothing_shows_nothing(tmp_path: Path) -> None:
    put_galleries(tmp_path, examples__plot_one=CAPTURED, more__deep__plot_b=titled("B"))
    put_records(tmp_path, make_record(ONE))
    shown, _, rest = rendered(tmp_path).page("auto_examples/plot_one").partition("Nothing.")
    assert shown.count("guide-comparison") == 1 and "guide-comparison" not in rest and "output_html" not in rest


def test_a_gallery_of_plain_text_shows_plain_text_and_names_the_machine(tmp_path: Path) -> None:
    put_galleries(tmp_path, examples__plot_one=CAPTURED, more__deep__plot_b=titled("B"))
    put_records(tmp_path, make_record(ONE))
    site = rendered(tmp_path, 'sphinx_gallery_conf["capture_repr"] = ("__repr__",)\n')
    assert "guide-comparison" not in site.page("auto_examples/plot_one")
    assert "Measured on Test Chip" in site.text("auto_examples/plot_one")
    assert "one" in site.page("auto_examples/plot_one").partition("sphx-glr-script-out")[2].partition("</pre>")[0]


def test_a_type_that_is_not_to_be_shown_is_not(tmp_path: Path) -> None:
    put_galleries(tmp_path, examples__plot_one=CAPTURED, more__deep__plot_b=titled("B"))
    put_records(tmp_path, make_record(ONE))
    site = rendered(tmp_path, 'sphinx_gallery_conf["ignore_repr_types"] = "Comparison"\n')
    assert "guide-comparison" not in site.page("auto_examples/plot_one")


# With sphinx-gallery's workers

PARALLEL = 'sphinx_gallery_conf["parallel"] = 2\n'


def test_sphinx_gallerys_workers_replay_the_record_too(tmp_path: Path) -> None:
    put_galleries(
        tmp_path,
        more__deep__plot_one=titled("One", MEASURED.format(name="one")),
        more__deep__plot_fresh=titled("Fresh", MEASURED.format(name="fresh")),
        examples__topic__plot_also_fresh=titled("Fresh", MEASURED.format(name="also-fresh")),
    )
    write(tmp_path, {"conf.py": conf(gallery=True, settings=GALLERIES + PARALLEL)})
    put_records(tmp_path, make_record(ONE))
    assert built(tmp_path) == ""
    page = (tmp_path / "out" / "made" / "deep" / "plot_one.html").read_text(encoding="utf-8")
    assert "guide-comparison" in page and "Measured on" in page
    fresh = (tmp_path / "out" / "made" / "deep" / "plot_fresh.html").read_text(encoding="utf-8")
    assert "Not measured on this machine yet." in fresh


# Our own settings for a gallery


def test_topics_keep_their_order_whatever_the_folder_is_called() -> None:
    conf = gallery_conf(("b", "a"), examples_dirs="../examples", gallery_dirs="auto")
    assert conf["subsection_order"] == ["../examples/b", "../examples/a", "*"]
    assert (conf["gallery_dirs"], conf["backreferences_dir"]) == ("auto", "auto/backreferences")
    assert gallery_conf(("b",))["subsection_order"] == ["../gallery/b", "*"]
