"""The file of what builds, recordings and growth cost, ``docs/bench/costs/ID.json``: one a machine."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

from benchmarks import BenchError
from compile_guide._files import write_atomically

PARTS = ("builds", "record", "scale", "since")
SCHEMA = 1


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part: where and when it was measured, and the values of each kind, one a repeat.

    Seconds; for ``scale`` and the pages of ``builds`` also bytes, as the kind's name says.
    """

    created: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    values: dict[str, tuple[float, ...]]

    def median(self, kind: str) -> float:
        """Return the median of a kind's values."""
        return statistics.median(self.values[kind])

    def quartiles(self, kind: str) -> tuple[float, float]:
        """Return the values between which half of a kind's values lie."""
        return _quartiles(self.values[kind])

    def ratio(self, one: str, other: str) -> tuple[float, float, float]:
        """Return how many times ``other``'s value ``one``'s is, repeat by repeat: median and quartiles."""
        ratios = tuple(a / b for a, b in zip(self.values[one], self.values[other], strict=True))
        return statistics.median(ratios), *_quartiles(ratios)


def _quartiles(values: tuple[float, ...]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def side_by_side(part: Part, one: str, other: str) -> list[str]:
    """Return a line for each case of builds: the median of both sides, and how many times ``other``'s ``one``'s is."""
    lines = []
    for case in sorted({kind.partition(", ")[0] for kind in part.values}):
        kinds = [f"{case}, {side}, wall" for side in (one, other)]
        ratio, low, high = part.ratio(*kinds)
        seconds = ", ".join(f"{side} {part.median(kind):.2f} s" for side, kind in zip((one, other), kinds, strict=True))
        lines.append(f"{case}: {seconds}, {ratio:.2f} times (half of the repeats: {low:.2f}-{high:.2f})")
    return lines


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parts that were measured on one machine."""

    schema: int = SCHEMA
    parts: dict[str, Part] = {}


def load(file: Path) -> Costs:
    """Read a file that :func:`put` wrote.

    Raises:
        BenchError: it isn't one; the message names the file and the place.
    """
    try:
        costs = msgspec.json.decode(file.read_bytes(), type=Costs)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{file}: {error}; delete it and measure again with 'nox -s bench -- builds'") from error
    if costs.schema != SCHEMA:
        raise BenchError(f"{file}: schema {costs.schema}, and this program reads {SCHEMA}; measure again")
    return costs


def put(file: Path, name: str, part: Part) -> None:
    """Write a part in place of an older one; the others stay. A reader sees the old file or the new one."""
    parts = {**(load(file).parts if file.exists() else {}), name: part}
    ordered = {name: parts[name] for name in PARTS if name in parts}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(msgspec.json.format(msgspec.json.encode(Costs(SCHEMA, ordered)), indent=1) + b"\n", file)
