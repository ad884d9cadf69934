"""Threads and ends: what happens when a compiled function goes, or a thread or the process ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from compile_guide.ledger.claims import Seen, claim

from ._observing import in_child, missing
from ._sources import GUIDE, issue
from .threads import in_thread

_TRIES = 24


def _first_crash(mx: Any, function: Callable[[Any, bool], Any]) -> str:
    """Run a function in fresh processes; return how the first that did not end well ended, or an empty text.

    Chance decides how a process with threads ends, so once is not enough. On one core nearly all end badly that can;
    with two, from one in six to one in two did here. So every second process keeps to one core, where the system knows how.
    """
    ends = (in_child(mx, function, number % 2 == 0).how for number in range(_TRIES))
    return next((how for how in ends if how != "exit 0"), "")


def _keep_to_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):  # macOS has no such call
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _draw_in_workers(mx: Any, one_core: bool) -> Any:
    """Draw random numbers in four threads, one after the other, when the main thread has worked before."""
    if one_core:
        _keep_to_one_core()
    mx.eval(mx.array(1.0) + 1.0)
    return [in_thread(lambda: len(mx.random.uniform(shape=(4,)).tolist())) for _ in range(4)]


@claim(
    "worker-draws-safely",
    "Random numbers may be drawn in a worker thread.",
    source=GUIDE,
    answer="With a key and uncompiled, yes: else, since 0.31.2, the process can abort at its end (not each time).",
)
def _(mx: Any) -> Seen:
    if how := _first_crash(mx, _draw_in_workers):
        return Seen(False, f"the numbers came, and then the process ended with {how}")
    return Seen(True, f"{_TRIES} processes drew and ended well")


@claim(
    "released-in-other-thread",
    "A compiled function may be dropped in another thread than the one that called it.",
    source=issue(3940),
    answer="Since 0.32.1; on 0.31.2 and 0.32.0 its traces stayed, and a new function at the same address got them.",
)
def _(mx: Any) -> Seen:
    asked: SimpleQueue[int | None] = SimpleQueue()
    made: SimpleQueue[tuple[int, Any]] = SimpleQueue()
    x = mx.zeros((8,))

    def worker() -> None:
        while (extra := asked.get()) is not None:
            padded = mx.compile(lambda x, n=extra: mx.pad(x, (0, n)))
            made.put((padded(x).size - x.size, padded))
            del padded

    thread = Thread(target=worker, daemon=True)
    thread.start()
    wrong = 0
    for extra in range(20):
        asked.put(extra)
        seen, padded = made.get(timeout=60)
        wrong += seen != extra
        del padded  # here, and not in the thread that traced it
        gc.collect()
    asked.put(None)
    thread.join()
    words = "another function's result was seen" if wrong else "every function gave its own result"
    return Seen(wrong == 0, words)


_alive: list[Any] = []
"""Holds a compiled function to the end of the process, as a module does that defines one."""


def _call_in_workers(mx: Any, one_core: bool, clear: bool = False) -> Any:
    """Call one compiled function in the main thread, which has worked before, and in four more.

    ``clear``: each of the four gives its streams back at its end.
    """
    if one_core:
        _keep_to_one_core()
    mx.eval(mx.array(1.0) + 1.0)
    compiled = mx.compile(lambda x: mx.exp(-x) + 1)
    _alive.append(compiled)
    mx.eval(compiled(mx.zeros((2,))))

    def call() -> Any:
        values = compiled(mx.zeros((2,))).tolist()
        if clear:
            mx.clear_streams()
        return values

    return [in_thread(call) for _ in range(4)]


def clear_in_workers(mx: Any, one_core: bool) -> Any:
    """Call a compiled function in threads that clear their streams."""
    return _call_in_workers(mx, one_core, clear=True)


@claim(
    "worker-calls-safely",
    "A compiled function may be called in a worker thread.",
    source=GUIDE,
    answer="Its results are right, but on 0.32.0, and again since 0.32.2, the process can abort at its end if the function is "
    "still there (not each time): let the thread end its work with mx.clear_streams().",
)
def _(mx: Any) -> Seen:
    if how := _first_crash(mx, _call_in_workers):
        return Seen(False, f"the results came, and then the process ended with {how}")
    return Seen(True, f"{_TRIES} processes called it and ended well")


@claim(
    "clear-streams-ends-well",
    "A thread that ends with mx.clear_streams() leaves nothing that could abort the process.",
    source=GUIDE,
    answer="Yes on the newest version, as far as was seen: none of the processes that did so aborted; on 0.32.0 some did.",
)
def _(mx: Any) -> Seen:
    if absent := missing(mx, "clear_streams"):
        return absent
    how = _first_crash(mx, clear_in_workers)
    return Seen(not how, f"a process ended with {how}" if how else f"{_TRIES} processes ended well")


@claim(
    "traces-go-with-function",
    "When a compiled function goes, all its traces go with it.",
    source=GUIDE,
    answer="Since 0.32.1 only those of the thread that called it last: another thread's stay there, and a new function at the same "
    "address gets them.",
)
def _(mx: Any) -> Seen:
    wrong = in_child(mx, call_in_two_threads)
    if wrong.how != "exit 0":
        return Seen(False, f"the process ended with {wrong.how}")
    return Seen(not wrong.result, f"later functions got {'an earlier one’s' if wrong.result else 'their own'} results")


def call_in_two_threads(mx: Any) -> bool:
    """Call functions here, then in a thread, and drop them; say whether one gets another's result here."""
    x = mx.zeros((8,))
    mx.eval(x)
    wrong = 0
    for extra in range(20):
        padded = mx.compile(lambda x, n=extra: mx.pad(x, (0, n)))
        wrong += padded(x).size - x.size != extra
        in_thread(partial(padded, x))
        del padded
        gc.collect()
    return wrong > 0
