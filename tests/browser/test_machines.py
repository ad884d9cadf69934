"""The choice among forty machines, made by mouse and by keyboard on a built page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_entry, make_record
from playwright.sync_api import Browser, Page
from site_builds import build, machine, put_records, write

from browser import visit
from browser.chromium import chromium

STATIC = Path(__file__).parents[2] / "docs" / "_static"
SETTINGS = f"""
html_static_path, html_css_files = [{str(STATIC)!r}], ["guide.css"]
html_js_files = [("guide.js", {{"defer": "defer"}})]
"""
TEXT = (
    "# T\n\n```{measured-on}\n```\n\nIt is {measured}`gelu`.\n\n```{comparison} gelu\n```\n" + "\nWords.\n" * 60
)  # enough to scroll
COUNT = 40


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A site with two pages that forty machines have measured, each with a ratio of its own."""
    folder = tmp_path_factory.mktemp("forty")
    others = [
        machine(
            f"{backend}-{number}", backend, make_entry("gelu", ratios=(2 + number / 10,) * 6), chip=f"Chip {number}"
        )
        for number, backend in zip(range(1, COUNT), ("cpu", "cuda", "metal") * COUNT, strict=False)
    ]
    write(folder, {"docs/index.md": TEXT + "\n```{toctree}\nother\n```\n", "docs/other.md": TEXT})
    put_records(folder, make_record(make_entry("gelu", ratios=(1.5,) * 6)), *others)
    return f"{build(folder, settings=SETTINGS).out.as_uri()}/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def tab(browser: Browser, address: str) -> Page:
    """The first page, in a profile that remembers no choice."""
    page = visit.context(browser).new_page()
    page.goto(address + "index.html")
    return page


def said(tab: Page) -> str:
    """The number in the page's sentence."""
    return tab.locator("p > .measured").first.inner_text()


def panels(tab: Page) -> list[str]:
    """What is to be seen of each thing that differs by machine."""
    return [found.inner_text() for found in tab.locator(".guide-panel").all() if found.is_visible()]


def test_the_list_offers_every_machine_by_backend(tab: Page) -> None:
    select = tab.locator(".guide-page-switch select")
    assert select.locator("option").count() == COUNT
    labels = [group.get_attribute("label") for group in select.locator("optgroup").all()]
    assert labels == ["CPU", "Apple silicon (Metal)", "CUDA"]


def test_a_machine_chosen_with_the_mouse_is_shown_everywhere_and_on_the_next_page(tab: Page, address: str) -> None:
    before = said(tab)
    select = tab.locator(".guide-page-switch select")
    select.click()
    select.select_option("metal-12")
    assert said(tab).startswith("3.2") and not before.startswith("3.2")
    assert len(panels(tab)) == 2 and all("Chip 12" in words or "3.20" in words for words in panels(tab))
    assert {one.input_value() for one in tab.locator(".guide-machine-choice select").all()} == {"metal-12"}
    tab.goto(address + "other.html")
    assert said(tab).startswith("3.2")


def test_a_machine_chosen_with_the_keyboard_keeps_the_focus_and_its_place(tab: Page) -> None:
    select = tab.locator(".guide-comparisons select").first
    select.focus()
    top = select.bounding_box()
    tab.keyboard.type("Chip 30")
    assert said(tab).startswith("5.0")
    assert select.evaluate("one => one === document.activeElement")
    after = select.bounding_box()
    assert top and after and abs(top["y"] - after["y"]) < 1
