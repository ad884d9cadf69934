"""Numbers as text: times, ratios, rates, sizes and shares, each to the digits that its uncertainty supports; tables.

This file needs the standard library alone. It travels with :mod:`compile_guide.timing`.
"""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from typing import TextIO, TypeGuard

NO_BREAK = "\u00a0"  # the space between a number and its percent sign: no line ends there
NOTHING = "—"  # what stands for a number that is not known
UNMEASURED = "not measured on this machine yet"
AS_ASCII = "compile-guide"  # the name under which codecs know how to replace what an encoding lacks
ASCII = str.maketrans({"×": "x", "µ": "u", "–": "-", "—": "-", "−": "-", "→": "->", "…": "...", NO_BREAK: " "})


def known(value: float | None) -> TypeGuard[float]:
    """Return whether a number was measured: neither None nor NaN."""
    return value is not None and not math.isnan(value)


def digits_of(spread: float) -> int:
    """Return how many digits of a number a relative spread supports: 2 to 4."""
    return min(4, max(2, 1 + math.floor(-math.log10(max(spread, 1e-9)))))


def format_number(value: float, digits: int, *, grouped: bool = False) -> str:
    """Return a number to so many significant digits, in groups of thousands if wanted; "0" for what is not positive."""
    if value <= 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(value))
    return f"{round(value, decimals):{',' if grouped else ''}.{max(0, decimals)}f}"


def format_time(seconds: float | None, spread: float = 0.01) -> str:
    """Return a time with its unit, to the digits that a relative spread supports (2 to 4)."""
    if not known(seconds):
        return NOTHING
    digits = digits_of(spread)
    seconds = float(f"{seconds:.{digits - 1}e}")  # rounded first: 999.6 µs is 1.00 ms
    units = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
    size, unit = next((u for u in units if seconds >= u[0]), (1e-9, "ns"))
    return f"{format_number(seconds / size, digits)} {unit}"


def format_per_second(count: float, seconds: float | None, spread: float = 0.01) -> str:
    """Return a rate such as "1,230 /s" of so many things in that time, to the digits that a relative spread supports."""
    if not known(seconds) or not seconds:
        return NOTHING
    rate = float(format_number(count / seconds, digits_of(spread)))
    return f"{rate:,.0f} /s" if rate >= 100 else f"{format_number(rate, digits_of(spread))} /s"


def format_ratio(ratio: float | None, interval: tuple[float, float] | None) -> str:
    """Return "1.23× (1.21–1.26)" to the first digit that is uncertain; in words when the interval covers 1."""
    if not known(ratio):
        return "not compared" if ratio is None else UNMEASURED
    if interval is None:
        return f"about {format_number(ratio, 2)}× (too few samples for an interval)"
    low, high = interval
    digits = _decimals(low, high)
    text = f"({low:.{digits}f}–{high:.{digits}f})"
    return f"{ratio:.{digits}f}× {text}" if excludes_one(low, high) else f"no measurable difference {text}"


def _decimals(low: float, high: float) -> int:
    """Return the decimals that an interval of this width supports; more where rounding would hide that it excludes 1."""
    digits = min(3, max(0, -math.floor(math.log10(max((high - low) / 2, 1e-4)))))
    while digits < 3 and not low <= 1 <= high and round(low, digits) <= 1 <= round(high, digits):
        digits += 1
    return digits


def excludes_one(low: float, high: float) -> bool:
    """Return whether an interval of ratios excludes 1 when it is rounded as :func:`format_ratio` prints it."""
    digits = _decimals(low, high)
    return not round(low, digits) <= 1 <= round(high, digits)


def format_percent(share: float | None, *, signed: bool = False, tenths: bool = False) -> str:
    """Return a share (1 is 100 %) in percent to two digits: "4.1 %"; ``tenths``: three from 10 % on; "—" where not known."""
    if not known(share):
        return NOTHING
    size = abs(share)
    digits = int(tenths) if size >= 0.0995 or not size else 1 if size >= 0.00995 else 2
    return f"{100 * share:{'+' if signed and size else ''}.{digits}f}{NO_BREAK}%".replace("-", "−")


def format_count(count: int) -> str:
    """Return a count rounded to two digits, in groups of thousands: 1234 → "1,200"."""
    return f"{round(count, 2 - len(str(count))) if count > 99 else count:,}"


def format_calls(count: int) -> str:
    """Return "1 call" or "1,200 calls"."""
    return f"{format_count(count)} call{'' if count == 1 else 's'}"


def format_rate(rate: float | None) -> str:
    """Return bytes per second as GB/s (10⁹ bytes) to two digits."""
    return f"{format_number(rate / 1e9, 2)} GB/s" if known(rate) else NOTHING


def format_bytes(count: float | None) -> str:
    """Return a number of bytes with a decimal unit (1 MB is 10⁶ bytes)."""
    if not known(count):
        return NOTHING
    unit, size = next(((u, s) for u, s in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if count >= s), ("B", 1))
    return f"{format_number(count / size, 3) if size > 1 else int(count)} {unit}"


def printable(text: str, stream: TextIO) -> str:
    """Return the text with what the stream's encoding can't write replaced: "×" by "x", "µ" by "u" and so on."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, AS_ASCII).decode(encoding)


def _as_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(ASCII)
    return text.encode("ascii", "replace").decode(), error.end


codecs.register_error(AS_ASCII, _as_ascii)


def escaped(text: str) -> str:
    """Return the text with the characters that HTML gives a meaning replaced by references."""
    import html  # pages and notebooks ask for it; a process that measures does not import it

    return html.escape(text)


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; ``str()`` aligns them, a notebook or sphinx-gallery shows them as HTML."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Return the table as aligned plain text."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = (self.header, tuple("-" * w for w in widths), *self.rows)
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{escaped(cell)}</th>" for cell in self.header)
        body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        return f"<table class='guide-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
