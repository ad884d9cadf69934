"""Which scripts of a project's galleries are examples to record, and how they are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_builds import write

from compile_guide.examples import ExampleError, find_examples, measures, scripts_of

MEASURES = "from compile_guide.timing import compare\n"
FILES = {
    "examples/top.py": MEASURES,
    "examples/plain.py": "print(1)\n",
    "examples/topic/one.py": MEASURES,
    "examples/topic/deeper/two.py": MEASURES,
    "examples/_helper.py": MEASURES,
    "examples/_drafts/draft.py": MEASURES,
    "examples/.hidden/hidden.py": MEASURES,
    "tutorials/three.py": MEASURES,
    "tutorials/plain.py": "print(2)\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two galleries with scripts at three depths, some of which measure."""
    write(tmp_path, FILES)
    return tmp_path


def names(scripts: tuple[Path, ...] | list[Path]) -> list[str]:
    return [script.stem for script in scripts]


def test_scripts_that_measure_are_found_at_any_depth(project: Path) -> None:
    assert names(find_examples(project / "examples")) == ["top", "two", "one"]


def test_scripts_of_several_galleries_are_found(project: Path) -> None:
    galleries = [project / "examples", project / "tutorials"]
    assert names(find_examples(galleries)) == ["top", "two", "one", "three"]
    assert names(scripts_of(galleries)) == ["plain", "top", "two", "one", "plain", "three"]


def test_a_script_is_found_by_its_name_even_if_it_measures_nothing(project: Path) -> None:
    assert names(find_examples(project / "examples", ["one", "plain", "one"])) == ["one", "plain"]


def test_a_name_that_two_scripts_have_is_refused_where_it_matters(project: Path) -> None:
    galleries = [project / "examples", project / "tutorials"]
    with pytest.raises(ExampleError, match=r"^two examples have the same file name"):
        find_examples(galleries, ["plain"])
    write(project, {"tutorials/one.py": MEASURES})
    with pytest.raises(ExampleError, match=r"^two examples have the same file name"):
        find_examples(galleries)


def test_a_gallery_in_which_nothing_measures_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"examples/a.py": "print(1)\n", "examples/b.py": "print(2)\n"})
    with pytest.raises(ExampleError, match=r"^none of 2 examples measures anything: call compare\(\) in one$"):
        find_examples(tmp_path / "examples")


def test_a_script_measures_through_a_module_beside_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a.py": "import b\n", "b.py": "from c import d\n", "c.py": f"import a\n{MEASURES}", "e.py": "import f\n"},
    )
    assert measures(tmp_path / "a.py")
    assert not measures(tmp_path / "e.py")
