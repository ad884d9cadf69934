"""Every reason that ``watch`` gives, on real MLX. Compiled results stay unevaluated: no kernel is built."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest

from compile_guide import tracing
from compile_guide.tracing import TooManyTraces, Watched, watch

ROW, MATRIX = mx.zeros(4), mx.zeros((4, 5))
KEPT: list[Any] = []
"""Compiled functions that a second thread called: of such a one, MLX 0.32.4 forgets only the latest thread's traces when it
goes, and a function that comes to lie at the same address would be given the others'."""


@pytest.fixture(autouse=True)
def _some_mlx_work_first() -> Iterator[None]:
    mx.eval(mx.zeros(1) + 1)
    yield
    mx.enable_compile()


def call(*calls: tuple[Any, ...], **options: Any) -> Watched:
    """Compile a function of any arguments, call it with each tuple, return its log."""
    watched = watch(lambda *args, **kwargs: mx.zeros(1) + 1)
    compiled = mx.compile(watched, **options)
    for args in calls:
        compiled(*args)
    return watched


def call_with(*calls: dict[str, Any]) -> Watched:
    """Do the same with keywords."""
    watched = watch(lambda **kwargs: mx.zeros(1) + 1)
    compiled = mx.compile(watched)
    for kwargs in calls:
        compiled(**kwargs)
    return watched


def fresh(script: str, folder: Path, **environment: str) -> str:
    """Run a script in a process of its own, next to a copy of the helper and its package's ``__init__``."""
    package = folder / "compile_guide"
    package.mkdir()
    for name in ("__init__", "tracing"):
        shutil.copy(Path(tracing.__file__).with_stem(name), package)
    (folder / "script.py").write_text(script, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment = {**kept, "TMPDIR": str(folder), "PYTHONUTF8": "1", **environment}
    command = [sys.executable, "script.py"]
    run = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=True)
    return run.stdout


def test_cached_calls_are_no_traces() -> None:
    assert call((ROW,), (ROW + 1,), (ROW * 2,)).reasons == ("first call",)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ((ROW,), (ROW.astype(mx.float16),), "argument 1: dtype float32 → float16"),
        ((ROW, ROW), (ROW, mx.zeros(5)), "argument 2: shape (4,) → (5,)"),
        ((ROW,), (MATRIX,), "argument 1: shape (4,) → (4, 5)"),
        ((mx.array(1.0),), (ROW,), "argument 1: shape () → (4,)"),
        ((ROW, 2), (ROW, 3), "argument 2: value 2 → 3"),
        ((ROW, 1), (ROW, 1.0), "argument 2: value 1 → 1.0"),
        ((ROW, 0.0), (ROW, -0.0), "argument 2: value 0.0 → -0.0"),
        ((ROW, None), (ROW, 0), "argument 2: value None → 0"),
        ((ROW, "relu"), (ROW, "gelu"), "argument 2: value 'relu' → 'gelu'"),
        ((ROW, 2.0), (ROW, ROW), "argument 2: 2.0 → float32 array (4,)"),
        ((ROW,), (ROW, ROW), "number of arguments 1 → 2"),
        (([ROW],), ([ROW, ROW],), "argument 1: sequence of 1 → sequence of 2"),
        (([ROW],), (ROW,), "argument 1: sequence of 1 → float32 array (4,)"),
        (([ROW, 1],), ([ROW, 2],), "argument 1[1]: value 1 → 2"),
        (({"w": [ROW]},), ({"w": [MATRIX]},), "argument 1['w'][0]: shape (4,) → (4, 5)"),
        (({"w": ROW},), ({"v": ROW},), "argument 1: dict of 'w' → dict of 'v'"),
        (({"a": ROW, "b": 1},), ({"b": 1, "a": ROW},), "argument 1: dict of 'a', 'b' → dict of 'b', 'a'"),
    ],
)
def test_a_changed_argument_is_named_with_its_old_and_new_form(first: Any, second: Any, reason: str) -> None:
    assert call(first, second, first, second).reasons == ("first call", reason)


def test_all_differences_are_named_in_order() -> None:
    watched = call((ROW, 2, ROW), (MATRIX.astype(mx.int8), 3, ROW))
    assert watched.reasons[1] == (
        "argument 1: dtype float32 → int8; argument 1: shape (4,) → (4, 5); argument 2: value 2 → 3"
    )


def test_the_nearest_earlier_trace_is_the_one_compared_with() -> None:
    watched = call((ROW, 1, "a"), (MATRIX, 2, "b"), (ROW, 1, "c"))
    assert watched.reasons[2] == "argument 3: value 'a' → 'c'"


def test_of_equally_near_traces_the_latest_is_compared_with() -> None:
    assert call((ROW, 1), (ROW, 2), (ROW, 3)).reasons[2] == "argument 2: value 2 → 3"


@pytest.mark.parametrize(("first", "second"), [([ROW], (ROW,)), (True, 1), (float("nan"), float("nan"))])
def test_what_shares_a_trace_in_mlx_is_no_difference_here(first: Any, second: Any) -> None:
    assert call((ROW, first), (ROW, second)).traces == 1
    assert call((ROW, first, 1), (ROW, second, 2)).reasons[1] == "argument 3: value 1 → 2"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"x": ROW, "n": 2}, {"x": ROW, "n": 3}, "keyword n: value 2 → 3"),
        ({"x": ROW}, {"x": ROW, "n": 3}, "keywords x → x, n"),
        ({"x": ROW, "n": 2}, {"n": 2, "x": ROW}, "keywords x, n → n, x"),
        ({"x": ROW}, {"x": MATRIX}, "keyword x: shape (4,) → (4, 5)"),
    ],
)
def test_a_changed_keyword_is_named(first: dict[str, Any], second: dict[str, Any], reason: str) -> None:
    assert call_with(first, second).reasons == ("first call", reason)


def test_spelling_an_argument_as_keyword_is_named() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW)
    compiled(x=ROW)
    assert watched.reasons[1] == "number of arguments 1 → 0; keywords none → x"


def test_another_thread_traces_for_itself_and_twice_when_that_is_its_first_mlx_work() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    KEPT.append(compiled)
    calls = [compiled, compiled, compiled]
    compiled(ROW)
    for _ in range(5):  # Python gives later threads the idents of earlier ones
        thread = threading.Thread(target=lambda: [step(ROW) for step in calls])
        thread.start()
        thread.join()
    expected = ["first call"]
    for trace in range(2, 12, 2):
        expected += ["other thread", f"trace {trace} was its thread's first MLX work (same arguments)"]
    assert watched.reasons == tuple(expected)


def test_another_default_stream_is_named() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW)
    with mx.stream(mx.new_stream(mx.default_device())):
        compiled(ROW)
    compiled(ROW)
    assert watched.reasons == ("first call", "other default stream")


def test_captured_inputs_are_compared_by_dtype_and_shape() -> None:
    state: dict[str, Any] = {"w": [mx.zeros(4)], "step": 1}
    watched = watch(lambda x: x + state["w"][0], inputs=state)
    compiled = mx.compile(watched, inputs=state)
    compiled(ROW)
    state["step"] = 2  # not an array: MLX does not look at it
    compiled(ROW)
    state["w"][0] = mx.zeros((3, 4))
    compiled(ROW)
    state["b"] = mx.zeros(1)
    compiled(ROW)
    assert watched.reasons == (
        "first call",
        "captured inputs['w'][0]: shape (4,) → (3, 4)",
        "captured inputs: 1 → 2 arrays",
    )


def test_a_training_step_traces_twice_without_optimizer_init() -> None:
    model, optimizer = nn.Linear(2, 1), optim.SGD(learning_rate=0.1, momentum=0.9)
    state = [model.state, optimizer.state]
    loss = nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))

    def step(x: mx.array, y: mx.array) -> mx.array:
        value, gradients = loss(x, y)
        optimizer.update(model, gradients)
        return value

    watched = watch(step, inputs=state)
    compiled = mx.compile(watched, inputs=state, outputs=state)
    for _ in range(3):
        compiled(mx.ones((8, 2)), mx.ones((8, 1)))
    assert watched.reasons == ("first call", "captured inputs: 4 → 6 arrays")


def test_dropping_another_wrapper_flushes_the_cache() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW)
    mx.compile(watched)(ROW)
    compiled(ROW)
    assert watched.reasons == ("first call", "cache was flushed (same arguments as trace 1)")


def test_a_trace_that_raised_is_named_as_the_cause_of_the_next() -> None:
    watched = watch(lambda x, w: x @ w["w"])
    compiled, weights = mx.compile(watched), {"w": mx.zeros((4, 3))}
    compiled(ROW, weights)
    for _ in range(2):
        with pytest.raises(ValueError, match="matmul"):
            compiled(mx.zeros(5), weights)
    assert watched.reasons == (
        "first call",
        "argument 1: shape (4,) → (5,)",
        "trace 2 ended with ValueError (same arguments)",
    )


def test_the_double_first_trace_of_a_process_is_named(tmp_path: Path) -> None:
    script = (
        "import mlx.core as mx\nfrom compile_guide.tracing import watch\nx = mx.array([1.0])\n"
        "w = watch(lambda x: x + 1)\nf = mx.compile(w)\nfor _ in range(4): f(x)\nprint(w)"
    )
    assert fresh(script, tmp_path) == (
        "<lambda>: 2 traces\ntrace  reason\n    1  first call\n"
        "    2  trace 1 was its thread's first MLX work (same arguments)\n"
    )


def test_watching_leaves_the_double_first_trace_as_it_is(tmp_path: Path) -> None:
    script = (
        "import mlx.core as mx\nruns = []\nx = mx.array([1.0])\n"
        "f = mx.compile(lambda x: runs.append(1) or x + 1)\nfor _ in range(4): f(x)\nprint(len(runs))"
    )
    assert fresh(script, tmp_path) == "2\n"


@pytest.mark.parametrize("transform", [lambda f: f, mx.grad])
def test_a_function_that_is_not_compiled_makes_eager_calls(transform: Callable[..., Any]) -> None:
    watched = watch(lambda x: (x * x).sum())
    function = transform(watched)
    function(ROW)
    function(ROW)
    assert (watched.traces, watched.reasons) == (0, ("eager call (not compiled here)",) * 2)


def test_the_gradient_of_a_compiled_function_is_an_eager_call() -> None:
    watched = watch(lambda x: (x * x).sum())
    gradient = mx.grad(mx.compile(watched))
    gradient(ROW)
    gradient(ROW)
    assert watched.reasons == ("eager call (not compiled here)",) * 2


def test_a_compiled_gradient_is_traced_once() -> None:
    watched = watch(lambda x: (x * x).sum())
    gradient = mx.compile(mx.grad(watched))
    gradient(ROW)
    gradient(ROW)
    assert watched.reasons == ("first call",)


def test_with_compiling_switched_off_every_call_is_eager() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW)
    mx.disable_compile()
    compiled(ROW)
    compiled(2)
    mx.enable_compile()
    compiled(ROW)
    compiled(2)
    assert watched.reasons == (
        "first call",
        "eager call (compiling is off)",
        "eager call (compiling is off)",
        "argument 1: float32 array (4,) → 2",
    )


def test_a_missing_compiler_makes_every_call_eager(tmp_path: Path) -> None:
    script = (  # on the CPU by name, because Metal and CUDA bring a compiler of their own
        "import mlx.core as mx\nmx.set_default_device(mx.cpu)\n"
        "from compile_guide.tracing import watch\nw = watch(lambda x: x + 1)\n"
        "f = mx.compile(w)\nfor _ in range(2): f(mx.zeros(3))\nprint(w)"
    )
    assert fresh(script, tmp_path, PATH="") == (
        "<lambda>: 0 traces\ntrace  reason\n    -  eager call (compiling is off)\n"
        "    -  eager call (compiling is off)\n"
    )


def test_a_call_without_arrays_counts_as_a_trace() -> None:
    assert call((2,), (2,), (3,)).reasons == ("first call", "argument 1: value 2 → 3")


def test_shapeless_compiling_is_traced_again_for_a_rank_only() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched, shapeless=True)
    for shape in [(4,), (5,), (4, 5), (6, 7)]:
        compiled(mx.zeros(shape))
    assert watched.reasons == ("first call", "argument 1: shape (4,) → (4, 5)")


def test_a_module_passed_as_an_argument_is_walked_into() -> None:
    assert call((nn.Linear(2, 3),), (nn.Linear(2, 3, bias=False),)).reasons[1] == (
        "argument 1: dict of 'weight', 'bias' → dict of 'weight'"
    )


def test_results_and_errors_pass_through() -> None:
    watched = watch(lambda x, power: x**power)
    assert mx.array_equal(watched(mx.array([2.0, 3.0]), power=2), mx.array([4.0, 9.0]))
    with pytest.raises(TypeError, match="power"):
        watched(ROW)


def test_name_and_docstring_are_kept() -> None:
    def double(x: mx.array) -> mx.array:
        """Return twice x."""
        return x * 2

    watched = watch(double)
    assert (watched.__name__, watched.__doc__, watched.__wrapped__) == ("double", "Return twice x.", double)


def test_a_watched_function_can_be_watched_again() -> None:
    inner = watch(lambda x: x + 1)
    outer = watch(inner)
    mx.compile(outer)(ROW)
    assert inner.reasons == outer.reasons == ("first call",)
    assert outer.__wrapped__ is inner
    inner(ROW)
    assert (len(inner.reasons), len(outer.reasons)) == (2, 1)


def test_watch_is_a_decorator_under_compile() -> None:
    log = []

    @mx.compile
    @lambda fun: log.append(watch(fun)) or log[0]  # type: ignore[func-returns-value]
    def double(x: mx.array) -> mx.array:
        return x * 2

    double(ROW)
    assert str(log[0]) == "double: 1 trace\ntrace  reason\n    1  first call"


def test_reset_forgets_what_was_seen_but_not_what_mlx_cached() -> None:
    watched = watch(lambda x: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW)
    watched.reset()
    compiled(ROW)
    assert watched.reasons == ()
    compiled(MATRIX)
    assert watched.reasons == ("first call",)


def test_a_notebook_shows_the_table() -> None:
    watched = watch(lambda x, name: x + 1)
    compiled = mx.compile(watched)
    compiled(ROW, "a")
    compiled(ROW, "b")
    table = "<lambda>: 2 traces\ntrace  reason\n    1  first call\n    2  argument 2: value 'a' → 'b'"
    assert repr(watched) == table


def test_a_long_value_and_a_long_table_are_cut() -> None:
    watched = call(*((ROW, "x" * n) for n in range(99, 39, -1)), (ROW, 1), (ROW, 2))
    assert watched.reasons[1] == f"argument 2: value '{'x' * 38}… → '{'x' * 38}…"
    assert str(watched).splitlines()[-1] == "    …  and 2 more"
    assert len(str(watched).splitlines()) == 2 + tracing.SHOWN + 1


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^watch\(\) needs a function, but got int$"):
        watch(3)  # type: ignore[arg-type]


INLINED = "run inside the trace of another compiled function"


def test_a_compiled_helper_in_another_trace_is_no_trace_of_its_own() -> None:
    watched = watch(lambda x: x * 2)
    helper = mx.compile(watched)

    @mx.compile
    def outer(x: mx.array) -> mx.array:
        return helper(x) + helper(x + 1)  # used twice

    outer(ROW)
    outer(mx.zeros(5))
    assert (watched.traces, watched.reasons) == (0, (INLINED,) * 4)
    helper(ROW)
    helper(mx.zeros(5))
    assert (watched.traces, watched.reasons[4:]) == (2, ("first call", "argument 1: shape (4,) → (5,)"))


def test_a_compiled_helper_of_a_layer_in_a_training_step_is_no_trace_of_its_own() -> None:
    watched = watch(lambda gate, x: nn.silu(gate) * x)
    gated = mx.compile(watched, shapeless=True)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up = nn.Linear(4, 8), nn.Linear(4, 8)

        def __call__(self, x: mx.array) -> mx.array:
            return gated(self.gate(x), self.up(x))

    model, optimizer = nn.Sequential(Layer()), optim.SGD(learning_rate=0.1)
    state = [model.state, optimizer.state]
    gradient = nn.value_and_grad(model, lambda x: model(x).sum())

    def step(x: mx.array) -> mx.array:
        loss, gradients = gradient(x)
        optimizer.update(model, gradients)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    compiled(mx.ones((2, 4)))
    compiled(mx.ones((3, 4)))
    assert (watched.traces, set(watched.reasons)) == (0, {INLINED})


def test_a_plain_function_around_the_watched_one_changes_no_reason() -> None:
    watched = watch(lambda x, n: x + n)

    @mx.compile
    def around(*args: Any) -> mx.array:
        return watched(*args)

    around(ROW, 1)
    around(ROW, 2)
    assert watched.reasons == ("first call", "argument 2: value 1 → 2")


def test_state_that_mlx_replaces_while_it_traces_is_not_taken_for_another_trace() -> None:
    state = [mx.zeros(4)]

    def step(x: mx.array) -> mx.array:
        state[0] = state[0] + x
        return x

    watched = watch(step)
    compiled = mx.compile(watched, inputs=state, outputs=state)

    def train(held: list[mx.array], x: mx.array) -> None:
        compiled(x)

    train(state, ROW)
    assert watched.reasons == ("first call",)


@pytest.mark.parametrize(
    ("function", "in_axes", "small", "large"),
    [
        (lambda x: x * 2, 0, (mx.zeros((2, 4)),), (mx.zeros((5, 4)),)),
        (lambda x: x * 2, 1, (mx.zeros((4, 2)),), (mx.zeros((4, 5)),)),
        (lambda x, y: x + y, (0, None), (mx.zeros((2, 4)), ROW), (mx.zeros((5, 4)), ROW)),
        (lambda given: given["x"] * 2, 0, ({"x": mx.zeros((2, 4))},), ({"x": mx.zeros((5, 4))},)),
        (lambda x, y: x + y, 0, (mx.zeros((2, 4)), mx.zeros(2)), (mx.zeros((5, 4)), mx.zeros(5))),
    ],
)
def test_another_batch_size_under_a_compiled_vmap_is_named(function: Any, in_axes: Any, small: Any, large: Any) -> None:
    watched = watch(function)
    mapped = mx.compile(mx.vmap(watched, in_axes=in_axes))
    for args in (small, large, small, large):
        mapped(*args)
    assert watched.reasons == ("first call", "batch size 2 → 5")


def test_calls_by_a_vmap_that_is_not_compiled_are_not_put_down_to_a_flushed_cache() -> None:
    watched = watch(lambda x: x * 2)
    mapped = mx.vmap(watched)
    for _ in range(2):
        mapped(mx.zeros((2, 4)))
    reason = "mx.vmap ran it uncompiled, or the cache was flushed (same arguments as trace 1)"
    assert watched.reasons == ("first call", reason)


def test_a_batch_that_a_program_holds_is_not_taken_for_one_of_vmap() -> None:
    batches = [(mx.zeros((6, 4)), mx.zeros((6, 3))), (mx.zeros((7, 4)), mx.zeros((7, 3)))]
    watched = call((ROW, mx.zeros(3)), (ROW, mx.zeros(2)))
    assert len(batches) == 2
    assert watched.reasons == ("first call", "argument 2: shape (3,) → (2,)")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_trace_is_named_as_the_cause_of_the_next(kind: type[BaseException]) -> None:
    interrupts = [kind()]

    def step(x: mx.array) -> mx.array:
        if interrupts:
            raise interrupts.pop()
        return x + 1

    watched = watch(step)
    compiled = mx.compile(watched)
    with pytest.raises(kind):
        compiled(ROW)
    compiled(ROW)
    reason = f"the trace before was interrupted: trace 1 ended with {kind.__name__} (same arguments)"
    assert watched.reasons == ("first call", reason)


@pytest.mark.parametrize("sign", ["nan", "-nan"])
def test_nan_is_printed_with_its_sign(sign: str) -> None:
    other = {"nan": "-nan", "-nan": "nan"}[sign]
    values = {"nan": float("nan"), "-nan": -float("nan")}
    assert call((ROW, values[sign]), (ROW, values[other])).reasons[1] == f"argument 2: value {sign} → {other}"


def test_a_plain_call_takes_whatever_the_function_takes() -> None:
    class Wild:
        def __repr__(self) -> str:
            raise ValueError("no text")

        def __eq__(self, other: object) -> bool:
            raise ValueError("no equality")

        __hash__ = None  # type: ignore[assignment]

    circle: list[Any] = [ROW]
    circle.append(circle)
    empty: list[Any] = []
    empty.append(empty)
    watched = watch(lambda x: 7)
    for argument in (np.zeros(3), np.zeros(3), Wild(), Wild(), circle, empty, {"x": Wild()}, [ROW, np.zeros(3)]):
        assert watched(argument) == 7
    assert watched.reasons == ("eager call (not compiled here)",) * 8


def test_nothing_that_a_plain_call_got_is_kept() -> None:
    watched = watch(lambda x: None)
    tracemalloc.start()
    for _ in range(50):
        watched(np.zeros(100_000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000


def test_a_trace_costs_no_more_after_two_thousand_others() -> None:
    watched = watch(lambda x, n: x)
    compiled = mx.compile(watched)

    def seconds(numbers: range) -> float:
        times = []
        for number in numbers:
            start = time.perf_counter()
            compiled(ROW, number)
            times.append(time.perf_counter() - start)
        return min(times)

    seconds(range(2000))
    assert seconds(range(2000, 2050)) < 1e-3
    assert watched.traces == 2050 and watched.reasons[2000] == "argument 2: value 1999 → 2000"


def test_a_plain_call_costs_a_few_microseconds() -> None:
    watched = watch(lambda x: x)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        for _ in range(20):
            watched(ROW)
        times.append((time.perf_counter() - start) / 20)
    assert min(times) < 20e-6


def test_rows_are_kept_up_to_a_number_and_all_traces_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "KEPT", 3)
    watched = call(*((ROW, n) for n in range(5)))
    assert (watched.traces, len(watched.reasons)) == (5, 3)
    assert str(watched).splitlines()[-1] == "    …  and 2 more"


def test_an_old_trace_of_the_same_arguments_is_found_however_many_came_since() -> None:
    watched = watch(lambda x, n: x + n)
    compiled = mx.compile(watched)
    for number in range(40):
        compiled(ROW, number)
    mx.compile(watched)(ROW, 0)  # its end flushes the cache
    compiled(ROW, 3)
    assert watched.reasons[-1] == "cache was flushed (same arguments as trace 4)"


class Model:
    """A class with a watched method and a watched step."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self.step = watch(self.plain)

    def plain(self, x: mx.array) -> mx.array:
        return x * self.scale

    @watch
    def method(self, x: mx.array) -> mx.array:
        """Scale an array."""
        return x * self.scale


def test_a_watched_step_can_be_deep_copied_with_its_object() -> None:
    model = Model(2)
    model.step(ROW)
    twin = copy.deepcopy(model)
    twin.scale = 3
    assert mx.array_equal(twin.step(ROW + 1), mx.full(4, 3.0))
    assert (len(model.step.reasons), len(twin.step.reasons)) == (1, 2)


@watch
def decorated(x: mx.array) -> mx.array:
    return x + 1


def test_a_watched_function_is_pickled_as_the_function_would_be() -> None:
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy(decorated) is decorated
    again = pickle.loads(pickle.dumps(watch(os.path.join)))
    assert again("a", "b") == "a/b"


def test_a_watched_method_is_bound_and_its_arguments_are_counted_without_self() -> None:
    Model.method.reset()
    first, second = Model(2), Model(3)
    compiled = mx.compile(first.method)
    compiled(ROW)
    compiled(MATRIX)
    mx.compile(second.method)(ROW)
    assert first.method.reasons == ("first call", "argument 1: shape (4,) → (4, 5)", "method of another object")
    assert first.method.__doc__ == "Scale an array."


def test_a_watched_call_method_of_a_module_works() -> None:
    class Net(nn.Module):
        @watch
        def __call__(self, x: mx.array) -> mx.array:
            return x * 2

    mx.compile(Net())(ROW)
    assert Net.__call__.reasons == ("first call",)


def test_attributes_of_the_function_are_those_of_the_watched_one() -> None:
    watched = watch(nn.Linear(2, 3))
    assert watched.weight.shape == (3, 2)
    with pytest.raises(AttributeError):
        _ = watched.nothing


def test_one_trace_too_many_raises_with_the_reason() -> None:
    watched = watch(lambda x: x + 1, max_traces=1)
    watched(ROW)  # an eager call is no trace
    compiled = mx.compile(watched)
    compiled(ROW)
    compiled(ROW + 1)
    with pytest.raises(
        TooManyTraces, match=r"^<lambda>: trace 2, but max_traces is 1: argument 1: shape \(4,\) → \(5,\)$"
    ):
        compiled(mx.zeros(5))
    assert isinstance(TooManyTraces(), RuntimeError)
