"""compare(): what it checks, what it measures, what it prints; with real MLX."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from conftest import make_entry, make_record

from compile_guide import timing
from compile_guide.comparison import from_dict
from compile_guide.formatting import format_rate
from compile_guide.records import schema
from compile_guide.timing import Comparison, ComparisonError, compare

X = mx.ones((1000,))


def chain(x: mx.array) -> mx.array:
    return mx.abs(mx.exp(-x) + 1) * x


def test_compare_returns_paired_samples_and_prints_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    result = compare("chain", chain, mx.compile(chain), X, bytes_moved=2 * X.nbytes, budget=0.05)
    (run,) = result.runs
    assert len(run.baseline_s) == len(run.candidate_s) >= 3
    assert all(s > 0 for s in (*run.baseline_s, *run.candidate_s, run.first_candidate_s))
    assert run.baseline_peak >= X.nbytes
    assert capsys.readouterr().out == result.describe() + "\n"
    assert (result.share(result.candidate_s) or 0) > 0


def test_functions_that_return_trees_are_compared_and_evaluated() -> None:
    def tree(x: mx.array) -> dict[str, Any]:
        return {"a": [x + 1, (x * 2,)], "n": 3}

    assert compare("tree", tree, mx.compile(tree), X, budget=0.02).runs


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: chain(x) + 1e-3, "values that differ by up to 0.001"),
        (lambda x: chain(x).astype(mx.float16), "mlx.core.float32 (1000,) and mlx.core.float16 (1000,)"),
        (lambda x: chain(x)[:2], "mlx.core.float32 (1000,) and mlx.core.float32 (2,)"),
        (lambda x: [chain(x), x], "different numbers of values"),
    ],
)
def test_a_wrong_candidate_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match="wrong: ") as caught:
        compare("wrong", chain, wrong, X, budget=0.02)
    assert message in str(caught.value)


def test_a_malformed_name_is_refused() -> None:
    with pytest.raises(ValueError, match="comparison name 'Two Words'"):
        compare("Two Words", chain, chain, X)


def test_compiling_switched_off_is_refused() -> None:
    mx.disable_compile()
    try:
        with pytest.raises(RuntimeError, match="compiled functions run uncompiled here"):
            compare("off", chain, mx.compile(chain), X, budget=0.02)
        assert compare("plain-against-plain", chain, chain, X, compiled=False, budget=0.02).runs
    finally:
        mx.enable_compile()


def test_nobody_counts_kernels_where_metal_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    mx.eval(mx.compile(chain)(X))
    assert timing.kernel_files() != 0
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(mx.gpu))
    assert timing.kernel_files() is None


@pytest.mark.skipif(sys.platform != "linux", reason="MLX's CPU backend, which needs g++, is the default on Linux alone")
def test_missing_compiler_is_refused(tmp_path: Path) -> None:
    code = "from compile_guide.timing import check_compiling; check_compiling()"
    env = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(timing.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "install a C++ compiler named g++" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="MLX's CPU backend, which needs g++, is the default on Linux alone")
def test_failing_compiler_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "g++"
    fake.write_text("#!/bin/sh\ncase $* in *-shared*) echo broken >&2; exit 1;; esac\n")
    fake.chmod(0o755)
    code = "from compile_guide.timing import check_compiling; check_compiling()"
    env = {"PATH": f"{tmp_path}:/bin", "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(timing.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "MLX can't build a compiled kernel here; is g++ whole?" in ended.stderr


def make_step(compiled: bool) -> Any:
    mx.random.seed(0)
    model = nn.Linear(8, 1)
    optimizer = optim.SGD(learning_rate=0.01, momentum=0.9)
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    x, y = mx.ones((4, 8)), mx.ones((4, 1))
    loss_and_grad = nn.value_and_grad(model, lambda m, a, b: mx.mean((m(a) - b) ** 2))

    def step() -> mx.array:
        loss, grads = loss_and_grad(model, x, y)
        optimizer.update(model, grads)
        return loss

    run = mx.compile(step, inputs=state, outputs=state) if compiled else step
    return lambda: [run(), model.state, optimizer.state]


def test_steps_with_state_get_fresh_state_on_each_side() -> None:
    result = compare("step", lambda: make_step(False), lambda: make_step(True), fresh=True, budget=0.05)
    assert result.runs


def test_a_step_that_learns_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="stale: value 0 differs"):
        compare(
            "stale",
            lambda: make_step(False),
            lambda: lambda: [mx.array(2.0), *make_step(False)()[1:]],
            fresh=True,
            budget=0.05,
        )


def test_a_compiled_baseline_is_noted() -> None:
    note = compare("twice", nn.gelu, mx.compile(nn.gelu), X, budget=0.02).note
    assert note == "the baseline is a compiled function too"


def test_a_gradient_as_baseline_is_not_taken_for_a_compiled_function() -> None:
    slope = mx.grad(lambda x: chain(x).sum())
    assert compare("slope", slope, mx.compile(slope), X, budget=0.02).note == ""


def test_a_call_slower_than_the_cap_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "HARD_CAP", 1e-9)
    result = compare("slow", chain, mx.compile(chain), X)
    assert result.runs == () and result.slow_call_s is not None
    assert result.facts() == [("result", f"one call takes {timing.format_time(result.slow_call_s)} here, not compared")]


def test_a_first_call_that_is_slow_because_it_builds_does_not_count_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def builds_first(x: mx.array) -> mx.array:
        calls.append(1)
        time.sleep(0.2 if len(calls) == 1 else 0)
        return chain(x)

    monkeypatch.setattr(timing, "HARD_CAP", 0.3)
    assert compare("builds", builds_first, mx.compile(chain), X, budget=0.02).runs


@pytest.mark.skipif(sys.platform == "darwin", reason="Metal keeps no kernels as files")
def test_a_first_call_says_whether_it_wrote_kernels(tmp_path: Path) -> None:
    code = (
        "import mlx.core as mx\n"
        "from compile_guide.timing import compare\n"
        "def chain(x):\n    return mx.exp(x) * 2 + 1\n"
        "first = compare('first', chain, mx.compile(chain), mx.ones(8), budget=0.01)\n"
        "second = compare('second', chain, mx.compile(lambda x: chain(x)), mx.ones(9), budget=0.01)\n"
        "print(first.kernels_built, second.kernels_built)\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 0"
    assert "(wrote 1 kernel file)" in done.stdout and "(wrote no kernel files)" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="MLX's CPU backend, which needs g++, is the default on Linux alone")
@pytest.mark.parametrize("number", range(4))
def test_kernels_are_counted_where_mlx_puts_them(tmp_path: Path, number: int) -> None:
    names = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")
    code = (
        "import mlx.core as mx\n"
        "from compile_guide.timing import kernel_files\n"
        "mx.set_default_device(mx.cpu)\n"
        "mx.eval(mx.compile(lambda x: mx.exp(x) * 2)(mx.ones(3)))\n"
        "print(kernel_files())\n"
    )
    env = {key: value for key, value in os.environ.items() if key not in names}
    for name in names[number:]:  # the first that is named counts
        (tmp_path / name).mkdir()
        env[name] = str(tmp_path / name)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert len(list((tmp_path / names[number]).rglob("*.so"))) == 1


def test_nothing_is_said_of_kernels_that_could_not_be_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "temp_folder", lambda: tmp_path)
    monkeypatch.setenv("MLX_PTX_CACHE_DIR", str(tmp_path / "none"))
    result = compare("elsewhere", chain, mx.compile(chain), X, budget=0.01)
    assert result.kernels_built is None
    assert result.first_call_words() == ""


def test_a_call_slower_than_the_budget_still_gets_three_pairs() -> None:
    assert len(compare("few", chain, mx.compile(chain), X, budget=1e-6).runs[0].ratios) == 3


def test_sink_takes_settings_from_its_first_line_and_gets_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = tmp_path / "sink.jsonl"
    sink.write_text('{"budget_s": 1e-6, "cache": "empty"}\n')
    monkeypatch.setenv(timing.SINK, str(sink))
    result = compare("chain", chain, mx.compile(chain), X)
    lines = sink.read_text().splitlines()
    assert from_dict(json.loads(lines[1])) == result
    assert len(lines) == 2 and result.runs[0].cache == "empty" and len(result.runs[0].ratios) == 3
    assert capsys.readouterr().out == ""


def test_sink_knows_what_an_earlier_process_found_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = tmp_path / "sink.jsonl"
    sink.write_text('{"slow": {"huge": 7.5}}\n')
    monkeypatch.setenv(timing.SINK, str(sink))
    assert compare("huge", chain, mx.compile(chain), X).slow_call_s == 7.5


@pytest.mark.parametrize(("long", "calls"), [("", 3), ("gelu", 3), ("sleeps", 2)])
def test_a_call_that_an_earlier_process_found_long_is_not_warmed_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: str, calls: int
) -> None:
    called = []

    def sleeps(x: mx.array) -> mx.array:
        called.append(1)
        time.sleep(0.11)
        return x + 1

    monkeypatch.setattr(timing, "HARD_CAP", 0.1)  # one pair is all that its budget allows
    sink = tmp_path / "sink.jsonl"
    sink.write_text(json.dumps({"long": [long], "comparisons": 9}) + "\n")
    monkeypatch.setenv(timing.SINK, str(sink))
    (run,) = compare("sleeps", sleeps, sleeps, X, compiled=False).runs
    assert (run.baseline_calls, run.candidate_calls, len(run.ratios)) == (1, 1, 1)
    assert len(called) == 2 * calls
    assert run.baseline_peak >= X.nbytes and run.candidate_peak >= X.nbytes


@pytest.mark.parametrize(("comparisons", "noted"), [(0, True), (9, False)])
def test_only_the_first_process_looks_whether_the_candidate_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparisons: int, noted: bool
) -> None:
    sink = tmp_path / "sink.jsonl"
    sink.write_text(json.dumps({"budget_s": 1e-6, "comparisons": comparisons}) + "\n")
    monkeypatch.setenv(timing.SINK, str(sink))
    assert ("isn't compiled" in compare("plain", chain, chain, X).note) is noted


@pytest.mark.parametrize(("longest", "pairs"), [(5.0, 1), (0.1, None)])
def test_a_recorder_compares_slow_calls_by_a_single_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: float, pairs: int | None
) -> None:
    def slow(x: mx.array) -> mx.array:
        time.sleep(0.3)
        return x + 1

    monkeypatch.setattr(timing, "HARD_CAP", 0.3)  # three pairs of such calls don't fit it
    assert compare("slow", slow, slow, X, compiled=False).runs == ()
    sink = tmp_path / "sink.jsonl"
    sink.write_text(f'{{"longest_call_s": {longest}}}\n')
    monkeypatch.setenv(timing.SINK, str(sink))
    result = compare("slow", slow, slow, X, compiled=False)
    assert [len(run.ratios) for run in result.runs] == ([] if pairs is None else [pairs])
    assert (result.slow_call_s is None) == (pairs is not None)


def test_a_recorder_compares_calls_of_up_to_fifteen_seconds_and_a_script_less(tmp_path: Path) -> None:
    sink = tmp_path / "sink.jsonl"
    sink.write_text('{"budget_s": 0.3}\n')
    settings = timing._settings_of(sink, timing.Settings())
    assert [settings.too_slow(seconds) for seconds in (14.9, 15.1)] == [False, True]
    assert [timing.Settings(0.3).too_slow(seconds) for seconds in (3.3, 3.4)] == [False, True]


def test_a_script_ends_after_as_many_comparisons_as_its_sink_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = tmp_path / "sink.jsonl"
    sink.write_text('{"comparisons": 2, "budget_s": 1e-6}\n')
    monkeypatch.setenv(timing.SINK, str(sink))
    compare("first", chain, mx.compile(chain), X)
    with pytest.raises(timing.Done):
        compare("second", chain, mx.compile(chain), X)
    assert len(sink.read_text().splitlines()) == 3


def test_replay_returns_the_recorded_comparison_and_runs_nothing(
    record_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(timing.REPLAY, str(record_file))
    result = compare("gelu", lambda: 1 / 0, lambda: 1 / 0)
    assert result == from_dict(json.loads(record_file.read_bytes())["comparisons"][0]) and result.ratio == 2
    assert capsys.readouterr().out == ""


def test_a_name_that_is_missing_beside_others_of_its_script_is_an_error(
    record_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(timing.REPLAY, str(record_file))
    monkeypatch.setattr("sys.argv", ["/somewhere/gelu_speedup.py"])
    with pytest.raises(LookupError, match="has no comparison 'other': record it again"):
        compare("other", chain, chain)


def test_what_this_machine_cannot_compare_is_neither_called_nor_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = compare("other", lambda: 1 / 0, lambda: 1 / 0, available=False)
    assert capsys.readouterr().out == result.describe() + "\n" == "other\n  result       not on this machine\n"
    sink = tmp_path / "sink.jsonl"
    sink.write_text("{}\n")
    monkeypatch.setenv(timing.SINK, str(sink))
    compare("other", lambda: 1 / 0, lambda: 1 / 0, available=False)
    assert sink.read_text() == "{}\n"


@pytest.mark.parametrize("here", [True, False])
def test_replay_of_an_optional_comparison_goes_by_the_record_alone(
    record_file: Path, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    monkeypatch.setenv(timing.REPLAY, str(record_file))
    monkeypatch.setattr("sys.argv", ["/somewhere/gelu_speedup.py"])
    assert compare("gelu", chain, chain, available=here).ratio == 2
    assert compare("other", chain, chain, available=here) == Comparison("other")


@pytest.fixture
def not_yet(record_file: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """A replayed comparison of a script of which the record has nothing."""
    monkeypatch.setenv(timing.REPLAY, str(record_file))
    monkeypatch.setattr("sys.argv", ["/somewhere/brand_new.py"])
    return compare("other", lambda: 1 / 0, lambda: 1 / 0, bytes_moved=8)


def test_a_script_that_was_never_recorded_says_so_where_its_numbers_would_be(not_yet: Comparison) -> None:
    assert not not_yet.measured
    assert not_yet.describe() == "other\n  result       not measured on this machine yet"
    assert "<td>not measured on this machine yet</td>" in not_yet._repr_html_()
    assert timing.table([not_yet]).rows == (("other", "—", "—", "not measured on this machine yet", "—", "—"),)


def test_numbers_that_are_not_measured_can_be_calculated_with_and_printed(not_yet: Comparison) -> None:
    low, high = not_yet.interval or (0.0, 0.0)
    numbers = [not_yet.ratio, low, high, not_yet.baseline_s, not_yet.candidate_s, not_yet.first_call_s]
    numbers += [not_yet.first_call_warm_s, not_yet.candidate_peak, not_yet.share(not_yet.candidate_s), not_yet.spread]
    assert all(number is not None and math.isnan(2 * number) for number in numbers)
    assert not_yet.bytes_moved == 8
    assert not_yet.break_even is None and not_yet.differs is None
    assert format_rate(not_yet.bandwidth(not_yet.candidate_s)) == timing.format_bytes(not_yet.baseline_peak) == "—"


def test_replay_notices_that_the_record_changed(record_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.REPLAY, str(record_file))
    assert compare("gelu", chain, chain).ratio == 2
    schema.save(make_record(make_entry(ratios=(3, 3, 3, 3, 3, 3))), record_file)
    assert compare("gelu", chain, chain).ratio == 3


def test_the_helpers_work_when_copied_next_to_a_script(tmp_path: Path) -> None:
    (tmp_path / "compile_guide").mkdir()
    for name in ("__init__", "timing", "comparison", "formatting"):
        (tmp_path / "compile_guide" / f"{name}.py").write_bytes(Path(timing.__file__).with_stem(name).read_bytes())
    script = tmp_path / "mine.py"
    script.write_text(
        "import mlx.core as mx\nfrom compile_guide.timing import compare\n"
        "f = lambda x: mx.exp(x) + 1\ncompare('mine', f, mx.compile(f), mx.ones(10), budget=0.02)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", SEARCH, str(script)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("mine\n  speed-up")


# Only MLX's own folder and the script's are on the path: nothing else that is installed can be reached.
SEARCH = f"""
import sys, runpy
sys.path[:] = [p for p in sys.path if "site-packages" not in p] + [{str(Path(mx.__file__).parents[1])!r}]
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("rate", "memory", "largest"),
    [(1e10, 2**40, 2**28), (1e12, 2**40, 2**32), (4e11, 2**40, 2**30), (1e12, 2**34, 2**30), (1e12, 2**32, 2**28)],
)
def test_a_copy_that_is_over_in_a_moment_is_made_larger_while_memory_allows(
    rate: float, memory: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(timing, "_copy_s", lambda size: sizes.append(size) or 2 * size / rate)
    monkeypatch.setattr(mx, "device_info", lambda: {"memory_size": memory})
    assert timing.copy_bandwidth.__wrapped__() == rate
    assert max(sizes) == largest


def test_copy_bandwidth_is_a_rate_that_memory_can_have() -> None:
    assert 1e8 < timing.copy_bandwidth() < 1e14


@dataclasses.dataclass
class Result:
    """What a user's function may return."""

    values: mx.array


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: None, "None, in which there is no array;"),
        (lambda: 1.5, "1.5, in which there is no array;"),
        (lambda: [], "[], in which there is no array;"),
        (lambda: Result(X), "Result;"),
        (lambda: [X, Result(X)], "Result (at [1]);"),
        (lambda: {"x": object()}, "object (at ['x']);"),
        (lambda: iter([X]), "list_iterator;"),
    ],
)
def test_a_result_that_would_not_be_evaluated_is_refused(make: Callable[[], Any], what: str) -> None:
    with pytest.raises(ComparisonError) as caught:
        compare("blind", make, make, compiled=False, budget=0.01)
    assert str(caught.value) == (
        f"blind: the baseline returns {what} so nothing would be evaluated and timed. Return an array, or a list, tuple or"
        " dict of arrays"
    )


def test_a_numpy_baseline_is_compared_by_value() -> None:
    numbers = np.linspace(0, 1, 1000)
    assert compare("numpy", lambda x: np.exp(numbers), mx.exp, mx.array(numbers), compiled=False, budget=0.01).runs
    with pytest.raises(ComparisonError, match=r"by up to 0\.001, first 1 and 1\.001"):
        compare("numpy", lambda: np.exp(numbers), lambda: mx.array(np.exp(numbers) + 1e-3), compiled=False)


def test_wrong_integers_are_refused_however_large_they_are() -> None:
    large = mx.array([2**53 + 1], mx.int64)
    with pytest.raises(ComparisonError, match="values that differ by up to 2, "):
        compare("ids", lambda: large, lambda: large + 2, compiled=False, budget=0.01)


def test_a_candidate_that_is_not_compiled_gets_a_note() -> None:
    note = "the candidate isn't compiled in effect: each call runs as much Python as the baseline's"
    assert compare("plain", chain, lambda x: chain(x), X, budget=0.01).note == note
    assert compare("anew", chain, lambda x: mx.compile(chain)(x), X, budget=0.01).note == note
    assert compare("builtin", mx.exp, mx.exp, X, budget=0.01).note == note
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU())  # nn.gelu is compiled
    assert compare("model", model, lambda x: model(x), mx.ones((2, 8)), budget=0.01).note == note
    note = "the candidate isn't compiled in effect: each call runs nearly the same Python with compiling off"
    assert compare("shorter", lambda x: chain(x), chain, X, budget=0.01).note == note
    assert compare("layers", lambda x: model(x), model, mx.ones((2, 8)), budget=0.01).note == note


def compiled_chain() -> Callable[[mx.array], mx.array]:
    fast = mx.compile(chain)
    return lambda x: fast(x)


def compiled_variance() -> Callable[[mx.array], mx.array]:
    """Call a function of MLX compiled, which runs no Python, with compiling on or off."""
    fast = mx.compile(mx.var)
    return lambda x: fast(x)


def all_compiled_here(**options: bool) -> Callable[[mx.array], mx.array]:
    """Compile at each call, and call the result four times."""

    def run(x: mx.array) -> mx.array:
        fast = mx.compile(chain, **options)
        return fast(fast(fast(fast(x))))

    return run


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        (chain, mx.compile(chain)),
        (chain, compiled_chain()),
        (lambda x: (lambda y: mx.var(y))(x), compiled_variance()),
        (mx.exp, mx.compile(mx.exp)),
        (all_compiled_here(), all_compiled_here(shapeless=True)),
        (lambda x: x @ x, mx.compile(lambda x: x @ x)),
    ],
)
def test_a_compiled_candidate_gets_no_note(baseline: Any, candidate: Any) -> None:
    assert compare("fine", baseline, candidate, X, budget=0.01).note == ""


def test_nothing_is_noted_where_compiling_is_not_the_question() -> None:
    assert compare("plain", chain, lambda x: chain(x), X, compiled=False, budget=0.01).note == ""


def add_one(x: Any) -> Any:
    x += 1
    return x * 2


def append(parts: list[mx.array]) -> mx.array:
    parts.append(parts[0] + 1)
    return parts[0]


@pytest.mark.parametrize(
    ("function", "argument", "words"),
    [
        (
            add_one,
            mx.array([1.0]),
            "the baseline changes its inputs (inputs[0]: values that differ by up to 1, first 1 and 2)",
        ),
        (
            add_one,
            np.array([1.0]),
            "the baseline changes its inputs (inputs[0]: values that differ by up to 1, first 1 and 2)",
        ),
        (append, [mx.array([1.0])], "the baseline changes its inputs (1 values became 2)"),
    ],
)
def test_a_baseline_that_changes_its_inputs_is_named(function: Any, argument: Any, words: str) -> None:
    with pytest.raises(ComparisonError) as caught:
        compare("changing", function, function, argument, compiled=False, budget=0.01)
    assert words in str(caught.value)


def test_a_candidate_that_changes_its_inputs_is_named() -> None:
    with pytest.raises(ComparisonError, match="the candidate changes its inputs"):
        compare("changing", lambda x: (x + 1) * 2, add_one, mx.array([1.0]), compiled=False, budget=0.01)


def stateful(x: mx.array) -> Callable[[], mx.array]:
    return lambda: add_one(x)


def test_a_step_that_changes_what_both_sides_get_is_named() -> None:
    with pytest.raises(ComparisonError, match=r"the baseline changes its inputs \(.* Work on a copy$"):
        compare("shared", stateful, stateful, mx.zeros(3), fresh=True, compiled=False, budget=0.01)


def test_fresh_state_without_a_step_is_refused() -> None:
    with pytest.raises(
        ComparisonError, match=r"with fresh=True the candidate must return the step to time, .* NoneType$"
    ):
        compare("none", lambda: chain, lambda: None, fresh=True, compiled=False)


BUFFER = np.zeros(3), mx.zeros(3)


def fill(number: int, buffer: Any) -> Any:
    buffer[:] = number
    return [buffer]


@pytest.mark.parametrize("buffer", BUFFER, ids=["numpy", "mlx"])
def test_two_functions_that_fill_the_same_array_are_told_apart(buffer: Any) -> None:
    with pytest.raises(ComparisonError, match="by up to 1, first 2 and 3"):
        compare("fill", lambda: fill(2, buffer), lambda: fill(3, buffer), compiled=False, budget=0.01)


def test_a_baseline_that_disagrees_with_itself_is_named() -> None:
    with pytest.raises(ComparisonError, match="The baseline returns other values at its second call"):
        compare("random", lambda: mx.random.normal((8,)), lambda: mx.zeros(8), compiled=False, budget=0.01)


def test_a_comparison_is_printed_into_any_encoding(tmp_path: Path) -> None:
    code = (
        "import mlx.core as mx\nfrom compile_guide.timing import compare\n"
        "compare('x', mx.exp, lambda x: mx.exp(x), mx.ones(3), compiled=False, budget=0.01)\n"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert " us a call\n" in done.stdout
