"""Downloads of a guest's examples: a notebook that can be read and carries its helper, a zip with all that its script reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from site_builds import HEAD, RATIO, Site, build, put_gallery, write
from test_site import put_claim

from compile_guide.sphinxext.downloads import readable

MEASURING = (
    HEAD.format(title="An example", line="=" * 10)
    + """
from pathlib import Path

import mlx.core as mx
import scale

from compile_guide.timing import compare

# %%
# On :machine:`chip` it is :measured:`gelu.ratio`, so :claim:`one`; :measured:`none.share` of it.
# See :func:`~mlx.core.exp`, :py:class:`a thing <x.Thing>` and :doc:`the other </page>`; ``:measured:`x``` is a role.
#
# .. comparison:: gelu
#    :caption: Words
#
# The end.
FACTOR = float(Path("numbers", "factor.txt").read_text())
result = compare("gelu", mx.exp, mx.compile(mx.exp), mx.ones(4) * scale.by(FACTOR))
"""
)
PLAIN = HEAD.format(title="Plain", line="=====") + "\n# %%\n# A :func:`role` of somebody's.\nprint(1)\n"
BESIDE = {
    "gallery/one/scale.py": "def by(factor):\n    return 2 * factor\n",
    "gallery/one/numbers/factor.txt": "3.0",
    "gallery/one/unused.txt": "no",
}
SETTINGS = (
    'sphinx_gallery_conf |= {"filename_pattern": "example|plain", "ignore_pattern": "scale", "image_scrapers": ()}\n'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A gallery of a script that measures, with files beside it, and of one that doesn't."""
    folder = tmp_path_factory.mktemp("downloads")
    put_gallery(folder, example=MEASURING, plain=PLAIN)
    write(folder, BESIDE)
    return build(folder, gallery=True, settings=SETTINGS + put_claim(folder))


def notebook(site: Site, name: str = "example") -> Any:
    (file,) = site.out.rglob(f"{name}.ipynb")
    return json.loads(file.read_text(encoding="utf-8"))


def prose(site: Site, name: str = "example") -> str:
    cells = [cell for cell in notebook(site, name)["cells"] if cell["cell_type"] == "markdown"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def zipped(site: Site, name: str) -> dict[str, str]:
    (file,) = site.out.rglob(name)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_notebooks_text_has_words_where_its_page_has_roles(site: Site) -> None:
    text = prose(site)
    assert f"On Test Chip it is {RATIO}, so not checked here; not measured on this machine yet of it." in text
    assert "See `exp`, a thing and the other; ``:measured:`x``` is a role." in text
    assert not re.search(r"(?<!`):\w+:`|\.\. \w+::", text)


def test_a_notebook_shows_the_comparisons_of_a_directive_and_what_stands_behind_it(site: Site) -> None:
    text = prose(site)
    shown = text.partition("```text\n")[2].partition("```")[0]
    assert shown.splitlines()[0] == "gelu" and RATIO in shown
    assert "Words" not in text and "The end." in text


PANDOCS = """It is `gelu.ratio`{.interpreted-text role="measured"} by
:py`~a.b`{.interpreted-text role="func"} and `x </y>`{.interpreted-text
role="doc"}.

::: {.comparison caption="Words"}
gelu
:::

::: note
Mine.
:::
"""


def test_what_pandoc_has_made_of_roles_and_directives_reads_the_same(site: Site) -> None:
    text = readable(site.app, PANDOCS)
    assert text.startswith(f"It is {RATIO} by\n`b` and x.\n\n```text\ngelu\n")
    assert text.endswith("```\n\n::: note\nMine.\n:::\n")


def test_a_notebook_says_first_what_it_needs_and_whose_numbers_it_has(site: Site) -> None:
    first = "".join(notebook(site)["cells"][0]["source"])
    assert "`pip install mlx`" in first and "compile_guide/timing.py" in first and "scale.py" in first
    assert "Numbers in the text were measured on Test Chip, MLX 0.32.4." in first


def test_a_notebook_is_valid_and_its_second_cell_is_folded(site: Site) -> None:
    nbformat.validate(nbformat.from_dict(notebook(site)))
    second = notebook(site)["cells"][1]
    assert (second["cell_type"], second["metadata"]) == ("code", {"jupyter": {"source_hidden": True}})


def test_a_notebook_carries_the_modules_that_it_imports(site: Site, tmp_path: Path) -> None:
    code = "".join(notebook(site)["cells"][1]["source"])
    check = "import compile_guide.timing, scale\nprint(scale.by(2), compile_guide.timing.__file__.startswith('/tmp'))"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    argv = [sys.executable, "-I", "-S", "-c", f"{code}\n{check}"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("4 True\n", "")


def test_a_zip_holds_what_the_script_imports_and_reads_and_says_how_to_run_it(site: Site) -> None:
    held = zipped(site, "example.zip")
    helpers = {f"compile_guide/{name}.py" for name in ("__init__", "comparison", "formatting", "timing")}
    assert held.keys() == {"README.txt", "example.py", "example.ipynb", "scale.py", "numbers/factor.txt", *helpers}
    assert held["README.txt"].splitlines()[0] == "An example"
    assert "pip install mlx " in held["README.txt"] and "python example.py" in held["README.txt"]
    assert json.loads(held["example.ipynb"]) == notebook(site)


def test_the_zips_of_the_gallery_hold_the_same(site: Site) -> None:
    scripts, notebooks = zipped(site, "gallery_python.zip"), zipped(site, "gallery_jupyter.zip")
    assert {"one/example.py", "one/plain.py", "one/scale.py", "one/compile_guide/timing.py"} <= scripts.keys()
    assert json.loads(notebooks["one/example.ipynb"]) == notebook(site)


def test_downloads_of_a_script_that_measures_nothing_stay_as_they_came(site: Site) -> None:
    assert "A :func:`role` of somebody's." in prose(site, "plain")
    assert zipped(site, "plain.zip").keys() == {"plain.py", "plain.ipynb"}


def test_a_second_build_leaves_downloads_and_pages_as_they_are(site: Site, tmp_path: Path) -> None:
    put_gallery(tmp_path, example=MEASURING, plain=PLAIN)
    write(tmp_path, BESIDE)
    files: list[dict[str, tuple[bytes, int]]] = []
    for _ in range(2):
        made = build(tmp_path, gallery=True, settings=SETTINGS + put_claim(tmp_path))
        found = sorted((tmp_path / "docs" / "gallery").rglob("*.[iz]*p*"))
        files.append({file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in found})
        read = made.app.env.all_docs["gallery/index"]
    assert files[0] == files[1] and {"example.ipynb", "example.zip", "gallery_python.zip"} <= files[0].keys()
    again = build(tmp_path, gallery=True, settings=SETTINGS + put_claim(tmp_path))
    assert again.app.env.all_docs["gallery/index"] == read
