"""Threads: what they share, and what each of them has to do for itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

from compile_guide.ledger.claims import Seen, claim, scrub

from ._observing import Counted, by_kernels, kernels_built
from ._sources import GUIDE, issue


def in_thread(thunk: Callable[[], Any]) -> Any:
    """Call ``thunk`` in a new thread and return what it returns, or ``Type: message`` of what it raises."""
    seen: list[Any] = []

    def run() -> None:
        try:
            seen.append(thunk())
        except Exception as error:  # any type is an observation
            seen.append(scrub(f"{type(error).__name__}: {error}"))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return seen[0]


@claim(
    "threads-share-traces",
    "A function compiled and called in one thread is ready for use in every other.",
    source=issue(2086),
    answer="Since 0.31.2 each thread traces for itself; before, one trace served all.",
)
def _(mx: Any) -> Seen:
    x = mx.ones((3,))
    mx.eval(x)
    counted = Counted(lambda x: mx.exp(x))
    compiled = mx.compile(counted)
    compiled(x)
    in_main = counted.runs

    def again() -> int:
        mx.eval(mx.array(1.0) + 1.0)
        compiled(x)
        compiled(x)
        return counted.runs - in_main

    return Seen(
        in_thread(again) == 0,
        f"{in_main} trace in the main thread, {counted.runs - in_main} more in a second",
    )


@claim(
    "thread-pool-right",
    "One compiled function may be called from a pool of threads.",
    source=issue(2086),
    answer="Yes, if each thread evaluates what it computes: then every result is right.",
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda x: mx.sqrt(x) * 2)
    inputs = [mx.array([float(n * n)]) for n in range(16)]
    mx.eval(inputs, compiled(inputs[0]))
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(lambda x: compiled(x).item(), inputs))
    right = sum(value == 2.0 * n for n, value in enumerate(values))
    return Seen(right == 16, f"{right} of 16 results from 4 threads are right")


@claim(
    "lazy-array-crosses-threads",
    "An array computed in one thread may be evaluated in another.",
    source=issue(3529),
    answer="Since 0.32 only an evaluated one: call mx.eval in the thread that made it, before handing it over.",
)
def _(mx: Any) -> Seen:
    lazy = mx.exp(mx.zeros((2,)))
    seen = in_thread(lambda: lazy.tolist())
    return Seen(seen == [1.0, 1.0], f"exp(0) made in the main thread, evaluated in a second: {seen}")


@claim(
    "evaluated-array-crosses-threads",
    "An evaluated array may be used in any thread.",
    source=GUIDE,
    answer="Yes: a value belongs to no stream.",
)
def _(mx: Any) -> Seen:
    x = mx.exp(mx.zeros((2,)))
    mx.eval(x)
    seen = in_thread(lambda: (x + 1).tolist())
    return Seen(seen == [2.0, 2.0], f"exp(0) + 1, exp evaluated in the main thread, the rest in a second: {seen}")


@claim(
    "thread-default-stream",
    "All threads work on one default stream.",
    source=GUIDE,
    answer="Since 0.31.2 each thread has a default stream of its own.",
)
def _(mx: Any) -> Seen:
    device = mx.default_device()
    same = in_thread(lambda: mx.default_stream(device)) == mx.default_stream(device)
    return Seen(same, f"the two threads' default streams are {'one' if same else 'two'}")


@claim(
    "seed-reaches-threads",
    "mx.random.seed in the main thread makes every thread's random numbers reproducible.",
    source="a habit from PyTorch and NumPy",
    answer="Since 0.31.2 the generator belongs to the thread: seed in each, or pass keys.",
)
def _(mx: Any) -> Seen:
    mx.random.seed(7)
    main = mx.random.uniform(shape=(4,)).tolist()
    mx.random.seed(7)
    other = in_thread(lambda: mx.random.uniform(shape=(4,)).tolist())
    seeded = in_thread(lambda: mx.random.seed(7) or mx.random.uniform(shape=(4,)).tolist())
    words = f"a second thread draws {'the same' if other == main else 'other'} numbers"
    return Seen(other == main, f"{words}; seeded itself, {'the same' if seeded == main else 'other'}")


@claim(
    "unseeded-threads-differ",
    "Threads that set no seed draw different random numbers.",
    source="a habit from NumPy",
    answer="Since 0.31.2 they draw the same: each of them starts from one state, which is the main thread's before its first "
    "draw. Seed each thread, or pass keys.",
)
def _(mx: Any) -> Seen:
    def draws() -> Any:
        return mx.random.uniform(shape=(4,)).tolist()

    first, second, main = in_thread(draws), in_thread(draws), draws()
    words = f"two threads draw {'the same' if first == second else 'different'} numbers"
    return Seen(first != second, f"{words}; the main thread then {'the same' if main == first else 'others'}")


@claim(
    "thread-draws-advance-main",
    "Random numbers drawn in one thread advance every thread's generator.",
    source="a habit from PyTorch and NumPy",
    answer="Since 0.31.2 not: the main thread's numbers no longer depend on what others draw.",
)
def _(mx: Any) -> Seen:
    def after(work: Any) -> Any:
        mx.random.seed(7)
        in_thread(work)
        return mx.random.uniform(shape=(4,)).tolist()

    same = after(lambda: None) == after(lambda: mx.eval(mx.random.uniform(shape=(2,))))
    return Seen(not same, f"after a draw elsewhere the main thread draws {'the same' if same else 'other'} numbers")


@claim(
    "stream-crosses-threads",
    "A stream made in the main thread may be used in a worker thread.",
    source=issue(3727),
    answer="Up to 0.31 yes; since 0.32 a stream belongs to its thread, so make it in the thread that uses it.",
)
def _(mx: Any) -> Seen:
    stream, x = mx.new_stream(mx.default_device()), mx.zeros((2,))
    mx.eval(x)
    number = re.compile(r"(?<=pu, )\d+")  # streams are numbered in the order of their making
    seen = number.sub("…", str(in_thread(lambda: mx.exp(x, stream=stream).tolist())))
    return Seen(seen == "[1.0, 1.0]", f"exp(0) in a second thread on the main thread's stream: {seen}")


@claim(
    "captured-random-in-worker",
    "With mx.random.state captured, a compiled function draws new numbers at each call, in any thread.",
    source=issue(4234),
    answer="Since 0.32.1; on 0.31.2 and 0.32.0 a worker thread got the same numbers again and again.",
)
def _(mx: Any) -> Seen:
    state = mx.random.state
    compiled = mx.compile(lambda: mx.random.uniform(), inputs=state, outputs=state)

    def draws() -> int:
        return len({compiled().item() for _ in range(3)})

    in_main, in_worker = draws(), in_thread(draws)
    words = f"different numbers in 3 calls: main thread {in_main}, worker {in_worker}"
    return Seen(in_main == in_worker == 3, words)


@claim(
    "disable-reaches-threads",
    "mx.disable_compile() holds for all threads.",
    source=GUIDE,
    answer="Yes: the switch belongs to the process.",
)
def _(mx: Any) -> Seen:
    counted = Counted(lambda x: mx.exp(x))
    compiled, x = mx.compile(counted), mx.ones((2,))
    mx.eval(x)
    mx.disable_compile()
    try:
        in_thread(lambda: [compiled(x) for _ in range(3)])
    finally:
        mx.enable_compile()
    return Seen(counted.runs == 3, f"switched off in the main thread, called 3 times in a second: {counted.runs} runs")


@claim(
    "threads-share-kernels",
    "Each thread builds the kernels again.",
    source=GUIDE,
    answer="No: a thread that traces for itself finds the kernel built.",
    cold=True,
)
def _(mx: Any) -> Seen:
    compiled = mx.compile(lambda x: mx.exp(x) * 2)
    first = kernels_built(lambda: mx.eval(compiled(mx.ones((3,)))))
    second = kernels_built(lambda: in_thread(lambda: mx.eval(compiled(mx.ones((3,))))))
    return by_kernels([first], second != 0, f"kernels built: {first} in the main thread, {second} in a second")
