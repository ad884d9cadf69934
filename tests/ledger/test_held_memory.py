"""What a claim's check takes for the memory in use: what is left when memory that was freed no longer counts."""

from __future__ import annotations

import itertools
import time

from claims import fusion


class FakeMlx:
    """Says one number after the other, and the last for ever."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = itertools.chain(numbers, itertools.repeat(numbers[-1]))

    def get_active_memory(self) -> int:
        return next(self.numbers)


class Restless(FakeMlx):
    """Never says the same twice."""

    def __init__(self) -> None:
        self.numbers = itertools.count()


def test_memory_that_is_still_being_freed_is_waited_for() -> None:
    assert fusion._held(FakeMlx(9, 9, 8, 5, 1)) == 1


def test_memory_that_never_stands_still_is_waited_for_no_longer_than_a_second() -> None:
    start = time.monotonic()
    assert fusion._held(Restless()) > 5
    assert 0.9 < time.monotonic() - start < 10
