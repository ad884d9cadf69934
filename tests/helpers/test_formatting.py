"""Numbers as text: to the digits that they are known to."""

from __future__ import annotations

import io
from typing import Any

import pytest

from compile_guide.comparison import unmeasured
from compile_guide.formatting import (
    Table,
    format_bytes,
    format_calls,
    format_count,
    format_per_second,
    format_percent,
    format_rate,
    format_ratio,
    format_time,
    printable,
)


def test_a_rate_of_what_was_never_measured_is_a_dash() -> None:
    assert format_per_second(10, unmeasured("new").baseline_s, unmeasured("new").spread) == "—"


@pytest.mark.parametrize(
    ("ratio", "interval", "text"),
    [
        (1.2345, (1.21, 1.26), "1.23× (1.21–1.26)"),
        (1.2345, (1.2341, 1.2349), "1.234× (1.234–1.235)"),
        (4.83, (4.1, 5.6), "4.8× (4.1–5.6)"),
        (48.3, (41, 56), "48× (41–56)"),
        (4.83, (4.5, 5.1), "4.8× (4.5–5.1)"),
        (1.02, (0.98, 1.05), "no measurable difference (0.98–1.05)"),
        (2.9, (1.3, 7.2), "2.9× (1.3–7.2)"),
        (0.97, (0.966, 0.998), "0.970× (0.966–0.998)"),
        (1.007, (1.0004, 1.017), "no measurable difference (1.000–1.017)"),
        (0.8, None, "about 0.80× (too few samples for an interval)"),
        (None, None, "not compared"),
    ],
)
def test_a_ratio_is_printed_to_the_digit_its_interval_supports(ratio: float, interval: Any, text: str) -> None:
    assert format_ratio(ratio, interval) == text


@pytest.mark.parametrize(
    ("seconds", "spread", "text"),
    [
        (1.2345, 0.01, "1.23 s"),
        (1.2345e-3, 0.06, "1.2 ms"),
        (123.45e-6, 0.06, "120 µs"),
        (995.1e-6, 0.06, "1.0 ms"),
        (45e-9, 0.01, "45.0 ns"),
        (None, 0.1, "—"),
    ],
)
def test_a_time_is_printed_with_its_unit(seconds: float | None, spread: float, text: str) -> None:
    assert format_time(seconds, spread) == text


@pytest.mark.parametrize(
    ("count", "seconds", "spread", "text"),
    [
        (29, 0.0123456, 0.01, "2,350 /s"),
        (29, 0.0123456, 0.2, "2,300 /s"),
        (1, 0.3, 0.01, "3.33 /s"),
        (999.6, 1, 0.01, "1,000 /s"),
        (99.96, 1, 0.01, "100 /s"),
        (29, None, 0.01, "—"),
    ],
)
def test_a_rate_is_rounded_to_the_digits_that_its_spread_supports(
    count: float, seconds: float | None, spread: float, text: str
) -> None:
    assert format_per_second(count, seconds, spread) == text


def test_other_quantities_are_printed_plainly() -> None:
    assert [format_count(n) for n in (7, 99, 123, 64321)] == ["7", "99", "120", "64,000"]
    assert [format_bytes(n) for n in (12, 4000, 524e6, 2e9)] == ["12 B", "4.00 kB", "524 MB", "2.00 GB"]
    assert format_rate(123e9) == "120 GB/s"


def test_one_call_is_not_calls() -> None:
    assert [format_calls(n) for n in (1, 2)] == ["1 call", "2 calls"]


@pytest.mark.parametrize(
    ("share", "options", "text"),
    [
        (0.414, {}, "41\u00a0%"),
        (0.0414, {}, "4.1\u00a0%"),
        (0.00414, {}, "0.41\u00a0%"),
        (0.0996, {}, "10\u00a0%"),
        (1.2, {}, "120\u00a0%"),
        (0.0, {"signed": True}, "0\u00a0%"),
        (0.896, {"tenths": True}, "89.6\u00a0%"),
        (0.041, {"signed": True}, "+4.1\u00a0%"),
        (-0.17, {"signed": True}, "−17\u00a0%"),
        (None, {}, "—"),
        (float("nan"), {}, "—"),
    ],
)
def test_a_share_is_printed_in_percent_to_two_digits(share: float | None, options: Any, text: str) -> None:
    assert format_percent(share, **options) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("utf-8", "1.2× 3 µs → 4–5 …"), ("latin-1", "1.2× 3 µs -> 4-5 ..."), ("ascii", "1.2x 3 us -> 4-5 ...")],
)
def test_what_an_encoding_cannot_write_is_replaced(encoding: str, text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    stream.write(printable("1.2× 3 µs → 4–5 …", stream))
    stream.seek(0)
    assert stream.read() == text


def test_a_table_is_aligned_plain_text() -> None:
    assert str(Table(("name", "n"), (("a", "1"), ("long name", "22")))) == (
        "name       n\n---------  --\na          1\nlong name  22"
    )


def test_html_of_a_table_escapes_what_it_shows() -> None:
    assert "<td>&lt;b&gt;</td>" in Table(("a",), (("<b>",),))._repr_html_()
