"""What a comparison says of its samples, and when two results agree."""

from __future__ import annotations

import dataclasses
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from conftest import make_entry

from compile_guide.comparison import (
    Comparison,
    Run,
    difference,
    is_array,
    leaves,
    median_interval,
    process_interval,
    table,
)

NAN, INF = float("nan"), float("inf")


def run_of(ratios: list[float]) -> Run:
    return Run(tuple(ratios), (1.0,) * len(ratios), 1.0, 10.0)


def test_of_an_older_record_only_the_state_of_the_cache_is_told() -> None:
    run = Run((1.0,), (1.0,), 1.0, 1.0, cache="empty")
    assert Comparison("old", (run,)).first_call_words() == "process began with an empty kernel cache"


def test_a_comparison_that_needs_another_machine_has_a_row_that_says_so() -> None:
    (row,) = table([Comparison("other")]).rows
    assert row == ("other", "—", "—", "not on this machine", "—", "—")


def test_what_was_measured_says_so() -> None:
    assert make_entry().comparison().measured and Comparison("slow", slow_call_s=9.0).measured


def test_the_record_keeps_all_that_a_comparison_knows() -> None:
    entry = make_entry()
    assert isinstance(entry.runs[0], Run)
    assert {f.name for f in dataclasses.fields(Comparison)} == set(entry.__struct_fields__) - {
        "example",
        "others",
        "throttled",
    }


@pytest.mark.parametrize(
    ("count", "interval"),
    [(5, None), (6, (0, 5)), (8, (0, 7)), (9, (1, 7)), (20, (5, 14)), (48, (16, 31))],
)
def test_median_interval_takes_the_order_statistics_of_the_sign_test(
    count: int, interval: tuple[int, int] | None
) -> None:
    # Ranks for 95 % from the binomial distribution, as printed in tables of the sign test (1-based 6 and 15 for n = 20).
    assert median_interval(list(range(count))) == interval


def test_the_interval_of_several_processes_ignores_their_pairs() -> None:
    runs = tuple(run_of([r] * 20) for r in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5))
    assert Comparison("x", runs).interval == process_interval((1.0, 1.1, 1.2, 1.3, 1.4, 1.5))
    assert Comparison("x", runs[:5]).interval is None


@pytest.mark.parametrize(
    ("medians", "interval"),
    [
        ((1.0,) * 6, (0.987654, 1.0125)),
        ((1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (0.970669, 1.537924)),
        ((2.0,) * 6, (1.975309, 2.025)),
        ((1.5, 1.0, 1.4, 1.1, 1.3, 1.2), (0.970669, 1.537924)),
        ((0.1, 1.0, 1.1, 1.2, 1.3, 1.3, 1.4, 1.5, 9.0), (0.966380, 1.530573)),
        ((1.0,) * 5, None),
    ],
)
def test_the_interval_of_processes_is_wider_than_their_order_statistics(
    medians: tuple[float, ...], interval: tuple[float, float] | None
) -> None:
    assert process_interval(medians) == (interval and pytest.approx(interval, abs=1e-6))


def test_break_even_counts_the_calls_that_pay_for_the_first() -> None:
    run = Run((2.0,) * 6, (1.0,) * 6, 2.0, 10.0)
    assert Comparison("x", (run,)).break_even == 9
    assert Comparison("x", (dataclasses.replace(run, candidate_s=(2.0,) * 6),)).break_even is None


def test_html_escapes_what_it_shows() -> None:
    shown = Comparison("x", (run_of([2.0] * 6),), note="<script>")._repr_html_()
    assert "&lt;script&gt;" in shown and "<script>" not in shown


def test_table_has_one_row_a_comparison() -> None:
    rows = table([Comparison("x", (run_of([2.0] * 6),)), Comparison("y", slow_call_s=9.0)]).rows
    assert rows[0] == ("x", "2.000 s", "1.000 s", "2.000× (2.000–2.000)", "10.0 s", "9 calls")
    assert rows[1] == ("y", "—", "—", "not compared", "—", "—")


@pytest.mark.parametrize(
    ("ratios", "break_even"), [([2.0] * 5, None), ([0.9, 2.0, 2.0, 2.0, 2.0, 2.0], None), ([2.0] * 6, 9)]
)
def test_nothing_is_paid_back_without_an_interval_that_excludes_one(
    ratios: list[float], break_even: int | None
) -> None:
    assert Comparison("x", (run_of(ratios),)).break_even == break_even


def test_a_row_says_never_only_where_an_interval_says_so() -> None:
    few, same = Comparison("few", (run_of([1.2] * 5),)), Comparison("same", (run_of([0.9, 1.1] * 6),))
    assert [row[-1] for row in table([few, same]).rows] == ["—", "never"]
    assert "paid back" not in few.describe()


def test_a_comparison_prints_as_its_summary_and_no_repr_dumps_its_samples() -> None:
    comparison = Comparison("x", (run_of([2.0] * 48),))
    assert str(comparison) == comparison.describe()
    assert repr(comparison) == "<Comparison x: 2.000× (2.000–2.000)>"
    assert repr(comparison.runs) == "(<Run of 48 pairs>,)"
    assert "comparisons" not in repr(table([comparison]))


def test_a_table_of_comparisons_knows_them() -> None:
    comparisons = [Comparison("x", (run_of([2.0] * 6),)), Comparison("y")]
    made = table(iter(comparisons))
    assert made.comparisons == tuple(comparisons)
    assert len(made.rows) == 2


def test_leaves_are_named_by_their_place() -> None:
    @dataclasses.dataclass
    class Pair:
        one: int
        two: int

    tree = {"b": [1, (2,)], "a": Pair(3, 4)}
    assert list(leaves(tree)) == [("['a'].one", 3), ("['a'].two", 4), ("['b'][0]", 1), ("['b'][1][0]", 2)]


def test_numbers_text_and_text_arrays_are_no_arrays() -> None:
    assert [is_array(x) for x in (mx.zeros(2), np.zeros(2), np.float32(1), np.zeros(2, ">f4"))] == [True] * 4
    assert [is_array(x) for x in (1.0, "a", None, [1], np.array(["a"]), mx.float32)] == [False] * 6


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (mx.array([1.0, NAN, INF, -INF]), mx.array([1.0, NAN, INF, -INF])),
        (mx.array([1.0]), mx.array([1.000005])),
        (mx.array([1e-9]), mx.array([1.000005e-9])),
        (mx.array([1.0, 0.0]), mx.array([1.0, 1e-7])),
        (mx.array([1e-45]), mx.array([0.0])),
        (mx.array([1.0], mx.float16), mx.array([1.002], mx.float16)),
        (mx.array([1.0], mx.bfloat16), mx.array([1.016], mx.bfloat16)),
        (mx.array([1 + 1j]), mx.array([1 + 1.000001j])),
        (mx.zeros((0, 3)), mx.zeros((0, 3))),
        (np.array([1.0, NAN]), mx.array([1.0, NAN])),
        (np.arange(3), mx.arange(3)),
        (np.arange(3, dtype=">i4"), mx.arange(3)),
        (np.array([1.0]), mx.array([1 + 0j])),
        (np.array(["a", "b"]), np.array(["a", "b"])),
        (mx.array([complex(3e38, 3e38)]), mx.array([complex(3e38, 3e38)])),
        (mx.array([0.0] * 7 + [1.0]), mx.array([1e-7] + [0.0] * 6 + [1.0])),
        (np.ones(2, np.float16), mx.ones(2, mx.bfloat16)),
        (np.float64(2), mx.array(2.0)),
        (2.0, mx.array(2.0)),
        (0.65239000, 0.65239006),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, None, "x"], (1, None, "x")),
        (mx.ones(2), [mx.ones(2)]),
    ],
)
def test_equal_results_do_not_differ(expected: Any, actual: Any) -> None:
    assert difference(expected, actual) == ""


I64 = mx.int64
MIN = mx.finfo(mx.float32).min
"""What masks the rest of a row of scores."""


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (mx.arange(200000, 200010), mx.arange(200000, 200010) + 1, "values that differ by up to 1, first 200000"),
        (
            mx.array([2**53 + 1], I64),
            mx.array([2**53 + 3], I64),
            "by up to 2, first 9007199254740993 and 9007199254740995",
        ),
        (mx.array([-(2**63)], I64), mx.array([2**63 - 1], I64), "values that differ by up to 18446744073709551615"),
        (mx.array([3], mx.uint8), mx.array([4], mx.uint8), "values that differ by up to 1, first 3 and 4"),
        (mx.array([255], mx.uint8), mx.array([0], mx.uint8), "values that differ by up to 255"),
        (mx.array([True]), mx.array([False]), "values that differ by up to 1, first True and False"),
        (mx.array([1.0, 1e-9]) * 1e-9, mx.array([1.0, 1e-9]) * 2e-9, "values that differ by up to 1e-09"),
        (mx.array([1.0, INF]), mx.array([1.0, -INF]), "first inf and -inf"),
        (mx.array([INF]), mx.array([3e38]), "first inf and "),
        (mx.array([NAN]), mx.array([1.0]), "first nan and 1"),
        (mx.array([6e4], mx.float16), mx.array([-6e4], mx.float16), "by up to 1.2e+05"),
        (mx.array([complex(INF, 1)]), mx.array([complex(INF, 2)]), "first inf+1j and inf+2j"),
        (
            mx.array([complex(3e38, 3e38)]),
            mx.array([complex(3e38, -3e38)]),
            "first 3.000000005e+38+3.000000005e+38j and ",
        ),
        (np.array([1.0]), mx.array([1 + 1j]), "by up to 1, first 1+0j and 1+1j"),
        (np.array([1.0], ">f4"), mx.array([2.0]), "by up to 1, first 1 and 2"),
        (np.array(["a", "b"]), np.array(["a", "c"]), "['a', 'b'] and ['a', 'c']"),
        (mx.array([-1e9, 0.5, 0.7, 0.9]), mx.array([-1e9, 0.6, 0.7, 0.9]), "by up to 0.1, first 0.5 and 0.6"),
        (mx.array([MIN, 0.5, 0.7, 0.9]), mx.array([MIN, 0.6, 0.7, 0.9]), "by up to 0.1, first 0.5 and 0.6"),
        ({"a": mx.ones(1)}, {"b": mx.ones(1)}, "one is at ['a'], one at ['b']"),
        ({"a": mx.ones(1)}, [mx.ones(1)], "one is at ['a'], one at [0]"),
        (mx.array([1.0], mx.bfloat16), mx.array([1.1], mx.bfloat16), "by up to 0.102"),
        (mx.zeros((0, 3)), mx.zeros((3, 0)), "mlx.core.float32 (0, 3) and mlx.core.float32 (3, 0)"),
        (mx.array(3), mx.array(3.0), "mlx.core.int32 () and mlx.core.float32 ()"),
        (np.array([2**53 + 1]), mx.array([2**53 + 3], I64), "by up to 2, "),
        (np.array([2**64 - 1], np.uint64), mx.array([-1], I64), "first 18446744073709551615 and -1"),
        (np.array([1.0]), np.array([1.000000001]), "by up to 1e-09, first 1 and 1.000000001"),
        (np.ones(3), mx.ones(2), "float64 (3,) and mlx.core.float32 (2,)"),
        (2**53, 2**53 + 1, "9007199254740992 and 9007199254740993"),
        (0.6523, 0.6524, "0.6523 and 0.6524"),
        (None, mx.ones(1), "NoneType and mlx.core.float32 (1,)"),
        ({"a": 1, "c": 2}, {"b": 1, "c": 2}, "one is at ['a'], one at ['b']"),
        ([1], [1, 2], "different numbers of values, 1 and 2"),
    ],
)
def test_a_difference_is_told_with_its_size_and_the_first_values(expected: Any, actual: Any, words: str) -> None:
    assert words in difference(expected, actual)


def test_given_tolerances_replace_the_ones_of_the_dtype() -> None:
    assert difference(mx.array([1.0]), mx.array([1.01]), rtol=0.02) == ""
    assert difference(mx.array([1.0]), mx.array([1.01]), atol=0.02) == ""
    assert difference(mx.array([1.0]), mx.array([1.0000002]), rtol=0, atol=0) != ""
    assert difference(mx.array([3]), mx.array([4]), rtol=1, atol=1) != ""
