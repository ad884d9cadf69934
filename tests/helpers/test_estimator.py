"""Does the interval cover the true ratio as often as it says?  Simulated blocks through the real sampling loop."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from compile_guide import comparison, timing

TRUTH = 1.3
TRIALS = 800
Clock = Callable[[random.Random], "Noise"]
Noise = Callable[[], float]
"""Gives the factor by which the next block is slower than it should be; it keeps state from block to block."""


def steady(rng: random.Random) -> Noise:
    """Independent noise on each block."""
    return lambda: rng.lognormvariate(0, 0.05)


def drift(rng: random.Random) -> Noise:
    """The machine gets up to 60 % slower while it is measured."""
    step, now = rng.uniform(0, 0.6 / (2 * timing.MAX_PAIRS)), 1.0

    def noise() -> float:
        nonlocal now
        now += step
        return now * rng.lognormvariate(0, 0.03)

    return noise


def bursts(rng: random.Random) -> Noise:
    """A neighbor takes the processor for several blocks on end."""
    left = 0

    def noise() -> float:
        nonlocal left
        left = rng.randint(1, 8) if left == 0 and rng.random() < 0.1 else max(0, left - 1)
        return (2.5 if left else 1.0) * rng.lognormvariate(0, 0.03)

    return noise


def bimodal(rng: random.Random) -> Noise:
    """The clock jumps between two speeds and stays a while at each."""
    fast = True

    def noise() -> float:
        nonlocal fast
        fast = fast if rng.random() < 0.8 else not fast
        return (1.0 if fast else 1.35) * rng.lognormvariate(0, 0.02)

    return noise


CLOCKS: dict[str, Clock] = {"steady": steady, "drift": drift, "bursts": bursts, "bimodal": bimodal}


class FakeSide:
    """A side whose blocks take a made-up time."""

    def __init__(self, seconds: float, noise: Noise) -> None:
        self.seconds, self.noise = seconds, noise

    def block(self) -> float:
        """One block's seconds a call."""
        return self.seconds * self.noise()


def one_process(rng: random.Random, clock: Clock, ratio: float) -> comparison.Run:
    """Sample one process through the real loop, stop rule included."""
    noise = clock(rng)
    pair = object.__new__(timing._Pair)
    pair.name, pair.settings = str(rng.random()), timing.Settings(budget_s=60)
    pair.sides = (FakeSide(ratio, noise), FakeSide(1.0, noise))  # type: ignore[assignment]
    baseline, candidate = pair._samples()
    return comparison.Run(tuple(baseline), tuple(candidate), 1.0, 1.0)


def coverage(processes: int, clock: Clock, between: Callable[[random.Random], float]) -> float:
    """Share of trials whose interval holds the truth."""
    hits = 0
    for seed in range(TRIALS):
        rng = random.Random(seed)
        runs = tuple(one_process(rng, clock, TRUTH * between(rng)) for _ in range(processes))
        interval = comparison.Comparison("x", runs).interval
        assert interval is not None
        hits += interval[0] <= TRUTH <= interval[1]
    return hits / TRIALS


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_interval_of_one_process_covers_what_it_says_when_processes_do_not_differ(clock: Clock) -> None:
    assert coverage(1, clock, lambda rng: 1.0) >= comparison.CONFIDENCE - 0.01


BETWEEN: dict[str, Callable[[random.Random], float]] = {
    "processes alike": lambda rng: 1.0,
    "normal": lambda rng: rng.lognormvariate(0, 0.05),
    "two kinds of process": lambda rng: rng.choice((0.93, 1 / 0.93)) * rng.lognormvariate(0, 0.002),
    "one-sided tail": lambda rng: 1 + 0.1 * (rng.expovariate(1) - 0.6931),
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_interval_of_six_processes_covers_what_it_says(clock: Clock, between: Callable[[random.Random], float]) -> None:
    seen = coverage(6, clock, between)
    assert seen >= comparison.CONFIDENCE  # the range of six alone holds it in 62 of 64 cases


def test_interval_of_one_process_is_too_narrow_when_processes_differ() -> None:
    assert coverage(1, steady, BETWEEN["normal"]) < 0.6


class Cached:
    """Two functions on a made-up clock; the first calls after the other one are slow: their data left the caches.

    The seconds are about those seen with six operations on 100,000 values on MLX's CPU backend.
    """

    REFILL_S = (55e-6, 14e-6, 8e-6, 4e-6)

    def __init__(self) -> None:
        self.now, self.last, self.since = 0.0, "", 0
        self.events: list[str] = []

    def function(self, name: str, seconds: float) -> Callable[[], None]:
        """A function that takes so many seconds when its data is there."""

        def call() -> None:
            self.since = self.since + 1 if self.last == name else 0
            self.last = name
            self.now += seconds + (self.REFILL_S[self.since] if self.since < len(self.REFILL_S) else 0)
            self.events.append(name)

        return call

    def clock(self) -> float:
        """The time now."""
        self.events.append("clock")
        return self.now


def cached_pair(monkeypatch: pytest.MonkeyPatch) -> tuple[Cached, timing._Pair]:
    """A pair whose baseline takes 200 µs and whose candidate takes 50."""
    made = Cached()
    monkeypatch.setattr(timing.time, "perf_counter", made.clock)
    pair = object.__new__(timing._Pair)
    pair.name, pair.settings = "cached", timing.Settings(budget_s=0.1)
    pair.sides = (timing._Side(made.function("plain", 2e-4), ()), timing._Side(made.function("compiled", 5e-5), ()))
    for side in pair.sides:
        side.call_s = 1e-4
        side.calibrate(1e-3)
    return made, pair


def test_calls_that_refill_a_cache_after_the_other_function_do_not_bend_the_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, pair = cached_pair(monkeypatch)
    baseline, candidate = pair._samples()
    assert statistics.median(b / c for b, c in zip(baseline, candidate, strict=True)) == pytest.approx(4, rel=0.005)
    monkeypatch.setattr(timing, "WARM_UP_CALLS", 0)
    _, pair = cached_pair(monkeypatch)
    baseline, candidate = pair._samples()
    assert statistics.median(b / c for b, c in zip(baseline, candidate, strict=True)) < 3.8


def test_nothing_but_the_calls_stands_between_the_clock_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    made, pair = cached_pair(monkeypatch)
    side = pair.sides[0]
    made.events.clear()
    side.block()
    assert made.events == ["plain"] * side.warm_ups + ["clock"] + ["plain"] * side.calls + ["clock"]
    assert side.warm_ups == timing.WARM_UP_CALLS < side.calls


@pytest.mark.parametrize(("call_s", "warm_ups"), [(1e-4, 4), (1.5e-3, 4), (4e-3, 3), (6e-3, 2), (0.02, 1), (0.09, 1)])
def test_calls_off_the_clock_are_four_or_what_fits_ten_milliseconds_however_short_the_block(
    monkeypatch: pytest.MonkeyPatch, call_s: float, warm_ups: int
) -> None:
    _, pair = cached_pair(monkeypatch)
    side = pair.sides[0]
    side.call_s = call_s
    side.calibrate(1e-5)
    assert (side.calls, side.warm_ups) == (1, warm_ups)


def test_a_call_too_long_for_any_cache_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, pair = cached_pair(monkeypatch)
    pair.sides[0].call_s = 2 * timing.LONG_S
    pair.sides[0].calibrate(1e-3)
    made.events.clear()
    pair.sides[0].block()
    assert made.events == ["clock", "plain", "clock"]


def test_reported_ratio_is_unbiased() -> None:
    ratios = []
    for seed in range(500):
        rng = random.Random(seed)
        runs = tuple(one_process(rng, bursts, TRUTH) for _ in range(6))
        ratios.append(comparison.Comparison("x", runs).ratio or 0)
    assert abs(statistics.mean(ratios) / TRUTH - 1) < 0.002
