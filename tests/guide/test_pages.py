"""The guide's pages: every block of code runs and prints what the page shows, no measured digit is typed by
hand, and each page ends with where to go next.  What a page may hold is said in ``pages.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from pages import COMPUTED, LINK, ROOT, last_section, measured_digits, run_page

from _ext import graphs

PAGES = sorted((ROOT / "docs").glob("*.md"))
Faults = dict[Path, Future[list[str]]]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

# The pages -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def faults(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """What is wrong with each page that this run asks for: two pages at a time, one kernel cache for all."""
    folder = tmp_path_factory.mktemp("pages")
    items = [item for item in request.session.items if "faults" in getattr(item, "fixturenames", ())]
    wanted = [item.callspec.params["page"] for item in items]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(2) as pool:
        yield {page: pool.submit(run_page, page, folder / page.stem, folder / "kernels") for page in wanted}


@pages
def test_every_block_of_a_page_prints_what_the_page_shows(page: Path, faults: Faults) -> None:
    assert "\n\n".join(faults[page].result()) == ""


# The runner itself -----------------------------------------------------------------------------------------


def run_text(tmp_path: Path, text: str, limit_s: float = 20.0) -> list[str]:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return run_page(page, tmp_path / "run", tmp_path.parent / "kernels", limit_s)


def fence(kind: str, *lines: str) -> str:
    return "\n".join([f"```{kind}", *lines, "```", "", ""])


def test_a_page_whose_outputs_are_right_passes(tmp_path: Path) -> None:
    page = fence("python", "x = 2") + "Prose.\n\n" + fence("python", "print(x + 1)") + fence("text", "3")
    assert run_text(tmp_path, page) == []


def test_a_wrong_output_is_reported_with_its_line(tmp_path: Path) -> None:
    page = "# Title\n\n" + fence("python", "print(1)", "print(2)") + fence("text", "1", "3")
    (fault,) = run_text(tmp_path, page)
    assert fault.startswith("page.md:10: the page shows '3', but the code printed '2'")


@pytest.mark.parametrize("shown", [["1"], ["1", "2", "3"]])
def test_a_line_too_few_or_too_many_is_a_wrong_output(tmp_path: Path, shown: list[str]) -> None:
    (fault,) = run_text(tmp_path, fence("python", "print(1)", "print(2)") + fence("text", *shown))
    assert "the page shows" in fault


def test_a_block_that_raises_is_reported_with_the_line_that_raised(tmp_path: Path) -> None:
    page = fence("python", "def f():", "    return 1 / 0") + fence("python", "a = 1", "f()")
    assert run_text(tmp_path, page) == ["page.md:3: this block raised ZeroDivisionError: division by zero"]


def test_a_block_that_is_no_python_is_reported_with_its_line(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "a = 1", "a = = 2"))
    assert fault.startswith("page.md:3: this block raised SyntaxError")


def test_a_block_that_prints_needs_a_fence_with_its_output(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "print(7)"))
    assert fault == "page.md:2: what this block prints is missing from the page:\n7"


def test_a_fence_after_other_words_is_not_an_output(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "print(7)") + "It prints\n\n" + fence("text", "7"))
    assert fault.startswith("page.md:7: this output belongs to no block")


def test_an_output_without_print_is_wrong(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "x = 7") + fence("text", "7"))
    assert "but the code printed None" in fault


def test_leaving_early_is_an_error(tmp_path: Path) -> None:
    page = fence("python", "import sys", "sys.exit(0)") + fence("python", "print(1)")
    assert run_text(tmp_path, page) == ["page.md:3: this block raised SystemExit: 0"]


def test_a_crash_is_blamed_on_the_block_that_crashed(tmp_path: Path) -> None:
    page = fence("python", "a = 1") + fence("python", "import os", "os.kill(os.getpid(), 11)")
    (fault,) = run_text(tmp_path, page)
    assert fault.startswith("page.md:6: this block ended the process: killed by SIGSEGV")


def test_a_crash_after_the_last_block_is_noticed(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "import atexit, os", "atexit.register(os.abort)"))
    assert fault.startswith("page.md: after its last block the process ended with killed by SIGABRT")


def test_a_block_that_never_ends_is_stopped(tmp_path: Path) -> None:
    (fault,) = run_text(tmp_path, fence("python", "import time", "time.sleep(60)"), limit_s=1.0)
    assert fault.startswith("page.md:2: this block ended the process: still ran after 1 s")


def test_what_a_child_process_prints_counts(tmp_path: Path) -> None:
    code = "import subprocess, sys", "subprocess.run([sys.executable, '-c', 'print(5)'])"
    assert run_text(tmp_path, fence("python", *code) + fence("text", "5")) == []


@pytest.mark.parametrize("opening", ["py", "python3", "pycon", "", "{code-block} python", "{literalinclude} x.py"])
def test_code_in_a_fence_that_is_not_run_is_refused(tmp_path: Path, opening: str) -> None:
    (fault,) = run_text(tmp_path, fence(opening, "1 / 0"))
    assert fault.startswith("page.md:1: a fence in")


def test_a_fence_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    assert run_text(tmp_path, "Words\n```python\nx = 1\n") == ["page.md:2: this fence is never closed"]


@pytest.mark.parametrize(
    "wrap",
    ["````{{note}}\n{}````\n", ":::{{tip}}\n{}:::\n", "````{{admonition}} Title\n:class: tip\n\n{}````\n"],
)
def test_blocks_inside_an_admonition_run_too(tmp_path: Path, wrap: str) -> None:
    (fault,) = run_text(tmp_path, wrap.format(fence("python", "1 / 0")))
    assert "ZeroDivisionError" in fault


def test_blocks_inside_a_list_run_too(tmp_path: Path) -> None:
    page = "- a point:\n\n  ```python\n  if True:\n      print(1)\n  ```\n\n  ```text\n  1\n  ```\n"
    assert run_text(tmp_path, page) == []


def test_a_graph_is_compared_without_its_addresses(tmp_path: Path) -> None:
    printed = 'digraph {\n{ 94 [label ="Exp", shape=rectangle]; }\n"x" -> 94\n}'
    shown = ":captions: exp", "", *graphs.normal(printed).splitlines()
    good = fence("python", f"print({printed!r})") + fence("{graph}", *shown)
    assert run_text(tmp_path, good) == []
    (fault,) = run_text(tmp_path, good.replace("Exp", "Sin", 1))
    assert fault.startswith("page.md:9: the page shows")


COMPARES = fence(
    "python",
    "import mlx.core as mx",
    "from compile_guide.timing import compare",
    "compare('one', mx.exp, mx.compile(mx.exp), mx.ones(4))",
)


def test_the_report_of_a_comparison_need_not_be_on_the_page(tmp_path: Path) -> None:
    assert run_text(tmp_path, COMPARES) == []


def test_a_comparison_below_a_block_has_to_be_the_one_it_made(tmp_path: Path) -> None:
    assert run_text(tmp_path, COMPARES + fence("{comparison} one", ":caption: One")) == []
    (fault,) = run_text(tmp_path, COMPARES + fence("{comparison} two"))
    assert fault == "page.md:7: the page shows two, but the block compared one"


# No measured digit -----------------------------------------------------------------------------------------


@pages
def test_no_page_holds_a_measured_digit(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert measured_digits(page, text) == []
    assert [phrase for phrase in COMPUTED.get(page.name, ()) if phrase not in text] == []


BY_HAND = """\
It takes 3.1 ms.
It takes 3.1ms a call.
down to 120 µs
after 2 seconds
a 5-second wait
400 GB/s
It is 1.6× as fast.
It is 1.6x faster.
five times faster
≈36 of them
40 % less
40% less
12.5 percent
a speed-up of 4.83
It needs 1,048.6 MB.
- 3 times as fast
| gelu | 15.5 ms |
[15.5 ms]{.published} without a source
""".splitlines()


@pytest.mark.parametrize("said", [*BY_HAND, "::::{note}\n3 ms\n::::", "````{tip}\n`a` takes 3 ms.\n````"])
def test_a_digit_typed_by_hand_is_found(said: str) -> None:
    assert len(measured_digits(Path("page.md"), f"# Title\n\n{said}\n")) == 1


FINE = """\
{measured}`gelu.ratio` and {measured}`gelu-sweep-1000.baseline`
MLX 0.32.4 of 2026-11-22, Python 3.11 to 3.14
float32, 11 operations, three traces, step 2
`time.sleep(3 ms)` and `` `3 ms` ``
32×1000×4096 values
[3.1 %]{.computed}
[15.5 → 3.1 ms]{.published} ([MLX](https://example.org))
[page](a.md#takes-3-ms)
the key 3 times, two times in a row
""".splitlines()


@pytest.mark.parametrize("said", [*FINE, "```python\nx = 3  # 3 ms\n```", "```{comparison} gelu\n:caption: 3 ms\n```"])
def test_what_was_not_measured_or_not_typed_passes(said: str) -> None:
    assert measured_digits(Path("page.md"), f"# Title\n\n{said}\n") == []


def test_the_line_of_a_digit_is_right() -> None:
    text = "# Title\n\n" + fence("python", "x = '3 ms'") + "Words\n`a` 3 ms\n"
    assert measured_digits(Path("page.md"), text) == ["page.md:8: '3 ms'"]


# Where to go next ------------------------------------------------------------------------------------------


@pages
def test_a_page_ends_with_where_to_go_next(page: Path) -> None:
    title, text = last_section(page, page.read_text(encoding="utf-8"))
    assert title == "Where to go next"
    assert LINK.search(text)


def test_another_last_section_is_noticed() -> None:
    text = "# T\n\n## Where to go next\n\n[a](b.md)\n\n## More\n\n" + fence("text", "## Where to go next")
    assert last_section(Path("page.md"), text)[0] == "More"
