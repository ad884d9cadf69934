"""Checks side by side: a lane for each core, with a browser of its own that stays open from task to task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser

from browser.chromium import chromium

LANES = 2


@dataclass
class Lane:
    """A browser, and what tasks keep in it for the next task of their kind."""

    browser: Browser
    kept: dict[str, Any] = field(default_factory=dict)


Task = Callable[[Lane], Any]


def side_by_side(tasks: Sequence[Task], lanes: int = LANES) -> list[Any]:
    """Return what each task returns, in the order of the tasks, in which they also begin.

    When one raises, the others in progress end, no other begins, and the error goes on.
    """
    waiting, results = deque(enumerate(tasks)), dict[int, Any]()

    def drive() -> None:
        with chromium() as browser:
            lane = Lane(browser)
            while waiting:
                try:
                    number, task = waiting.popleft()
                except IndexError:  # the other lane was faster
                    return
                results[number] = task(lane)

    with ThreadPoolExecutor(lanes) as pool:
        try:
            for ended in as_completed([pool.submit(drive) for _ in range(lanes)]):
                ended.result()
        finally:
            waiting.clear()
    return [results[number] for number in range(len(tasks))]
