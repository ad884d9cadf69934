"""What stands in for ``mx.compile``: the objects behave as MLX's own, and the counts are those of a counter in each body."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest

from compile_guide.tracing import TooManyTraces
from compile_guide.watching.compiler import MOST_EVENTS, MOST_REASONS, Compiler, Site

ROW = mx.zeros(4)


@pytest.fixture(autouse=True)
def some_mlx_work_first() -> Iterator[None]:
    mx.eval(mx.zeros(1) + 1)
    yield
    mx.enable_compile()


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


def site(compiler: Compiler, name: str) -> Site:
    (found,) = (site for site in compiler.sites.values() if site.name.endswith(name))
    return found


def calls(seen: Site) -> int:
    return next(copy.copy(seen.calls))


def double(x: mx.array, times: int = 1) -> mx.array:
    """Return twice x."""
    return x * 2 * times


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = mx.array(3.0)
        self.inner = nn.Linear(4, 4)

    def __call__(self, x: mx.array) -> mx.array:
        return self.inner(x) * self.factor


def outcome(ask: Callable[[Any], Any], of: Any) -> Any:
    """Return what a question gives, or the error that it raises, without addresses."""
    try:
        return ask(of)
    except Exception as error:
        return type(error), str(error)


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "name": lambda f: f.__name__,
    "doc": lambda f: f.__doc__,
    "class": lambda f: f.__class__,
    "wrapped": lambda f: f.__wrapped__,
    "code": lambda f: f.__code__,
    "dict": lambda f: f.__dict__,
    "dir": dir,
    "type name": lambda f: (type(f).__name__, type(f).__qualname__, type(f).__module__),
    "repr": lambda f: repr(f).partition(" at ")[0],
    "callable": callable,
    "is a function": inspect.isfunction,
    "is a dict": lambda f: isinstance(f, dict),
    "is a module": lambda f: isinstance(f, nn.Module),
    "unknown": lambda f: f.nothing,
    "set": lambda f: setattr(f, "extra", 1),
    "delete": lambda f: delattr(f, "__doc__"),
    "len": len,
    "iterate": list,
    "item": lambda f: f["factor"],
    "bool": bool,
    "equal": lambda f: f == f,
    "weak reference": lambda f: weakref.ref(f)() is f,
    "copy": lambda f: type(copy.copy(f)),
    "deep copy": lambda f: type(copy.deepcopy(f)),
    "pickle": lambda f: type(pickle.loads(pickle.dumps(f))),
    "wraps": lambda f: functools.wraps(f)(lambda: None).__name__,
    "parameters": lambda f: sorted(f.parameters()),
    "training": lambda f: f.training,
}


@pytest.mark.parametrize("fun", [double, Scale(), functools.partial(double, times=2), mx.grad(lambda x: x.sum()), Scale],
                         ids=["function", "module", "partial", "gradient", "class"])  # fmt: skip
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_compiled_object_answers_as_that_of_mlx(compiler: Compiler, fun: Any, question: str) -> None:
    ask = QUESTIONS[question]
    assert outcome(ask, compiler(fun)) == outcome(ask, mx.compile(fun))


@pytest.mark.parametrize(
    ("args", "options"),
    [((3,), {}), ((), {}), ((double, None, None, 2), {}), ((double,), {"nothing": 1}), ((double,), {"fun": double})],
)
def test_what_mlx_refuses_to_compile_is_refused_with_its_message(
    compiler: Compiler, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    assert outcome(lambda f: f(*args, **options), compiler) == outcome(lambda f: f(*args, **options), mx.compile)


@pytest.mark.parametrize("given", [(object(),), (ROW, {"x": {1, 2}}), ()])
def test_an_error_of_a_call_is_that_of_mlx(compiler: Compiler, given: tuple[Any, ...]) -> None:
    def ask(compiled: Any) -> Any:
        return compiled(*given)

    assert outcome(ask, compiler(double)) == outcome(ask, mx.compile(double))


def test_it_is_no_method_where_a_class_holds_it_as_mlx_own(compiler: Compiler) -> None:
    holder = type("Holder", (), {"jit": compiler, "step": compiler(double)})()
    assert holder.jit(double)(ROW).tolist() == holder.step(ROW).tolist() == [0.0] * 4


def test_a_keyword_may_have_any_name(compiler: Compiler) -> None:
    assert compiler(lambda **given: given["self"] + given["args"])(self=ROW, args=ROW + 1).tolist() == [1.0] * 4


def test_a_module_keeps_a_compiled_module_and_its_parameters(compiler: Compiler) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = compiler(Scale())

    assert sorted(Outer().parameters()["scale"]) == ["factor", "inner"]
    assert sorted(copy.deepcopy(Outer()).parameters()["scale"]) == ["factor", "inner"]


def test_inputs_and_outputs_may_be_given_by_position_or_by_keyword(compiler: Compiler) -> None:
    state = [mx.array(1.0)]

    def step(x: mx.array) -> mx.array:
        state[0] = state[0] + x
        return state[0] * 2

    for compiled in (compiler(step, state, state), functools.partial(compiler, inputs=state, outputs=state)(step)):
        before = state[0].item()
        assert [compiled(mx.array(1.0)).item() for _ in range(2)] == [2 * before + 2, 2 * before + 4]


def test_traces_are_those_of_a_counter_in_the_body_and_have_their_reasons(compiler: Compiler) -> None:
    runs = []

    @compiler
    def step(x: mx.array, n: int) -> mx.array:
        runs.append(n)
        return x * n

    for n in (1, 2, 1, 3, 2):
        step(ROW, n)
    step(mx.zeros(5), 1)
    seen = site(compiler, "step")
    assert (calls(seen), seen.traces, len(runs)) == (6, 4, 4)
    assert seen.reasons == {"first call": 1, "argument 2: value 1 → 2": 2, "argument 1: shape (4,) → (5,)": 1}
    assert [reason for _, reason in seen.events][2] == "argument 2: value 2 → 3"


def test_a_run_inside_another_trace_is_none_of_its_own(compiler: Compiler) -> None:
    inner = compiler(double)
    outer = compiler(lambda x: inner(x) + inner(x + 1))
    outer(ROW)
    outer(ROW)
    inner(ROW)
    seen = site(compiler, "double")
    assert (calls(seen), seen.traces, seen.inlined, seen.eager) == (3, 1, 2, 0)


def test_a_call_inside_a_trace_without_its_placeholders_is_a_trace(compiler: Compiler) -> None:
    inner = compiler(double)
    outer = compiler(lambda x: x + inner(mx.ones(4)) + inner(mx.ones(4)))
    outer(ROW)
    assert (site(compiler, "double").traces, site(compiler, "double").inlined) == (1, 0)


@pytest.mark.parametrize("transform", [lambda f: mx.grad(lambda x: f(x).sum()), mx.vmap])
def test_a_run_in_a_transformation_that_is_not_compiled_is_eager(compiler: Compiler, transform: Any) -> None:
    gradient = transform(compiler(double))
    for _ in range(2):
        gradient(ROW)
    seen = site(compiler, "double")
    assert (seen.traces, seen.inlined, seen.eager) == (0, 0, 2)


def test_captured_state_that_is_a_placeholder_makes_the_run_eager(compiler: Compiler) -> None:
    model = nn.Linear(4, 1)
    forward = compiler(model, inputs=model.state)
    nn.value_and_grad(model, lambda: forward(mx.ones((2, 4))).sum())()
    assert (site(compiler, "Linear").traces, site(compiler, "Linear").eager) == (0, 1)


def test_with_compiling_switched_off_calls_are_eager(compiler: Compiler) -> None:
    compiled = compiler(double)
    mx.disable_compile()
    compiled(ROW)
    assert site(compiler, "double").reasons == {"eager call (compiling is off)": 1}


def test_a_training_step_without_optimizer_init_names_what_was_added(compiler: Compiler) -> None:
    model, optimizer = nn.Linear(2, 1), optim.SGD(learning_rate=0.1, momentum=0.9)
    state = [model.state, optimizer.state]
    loss = nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))

    def step(x: mx.array, y: mx.array) -> mx.array:
        value, gradients = loss(x, y)
        optimizer.update(model, gradients)
        return value

    compiled = compiler(step, inputs=state, outputs=state)
    for _ in range(3):
        compiled(mx.ones((8, 2)), mx.ones((8, 1)))
    assert site(compiler, "step").reasons == {"first call": 1, "captured inputs: 4 → 6 arrays": 1}


def test_two_compiled_objects_of_one_function_share_its_traces_as_in_mlx(compiler: Compiler) -> None:
    runs = []

    def body(x: mx.array) -> mx.array:
        runs.append(1)
        return x + 1

    one, other = compiler(body), compiler(body)
    one(ROW)
    other(ROW)
    del one  # MLX forgets the traces of the other, too
    other(ROW)
    assert [count.traces for count in compiler.sites.values()] == [2] and len(runs) == 2


def test_a_function_that_is_compiled_anew_each_time_is_told(compiler: Compiler) -> None:
    for _ in range(3):
        compiler(lambda x: x + 1)(ROW)
    (seen,) = compiler.sites.values()
    assert (seen.functions, seen.traces) == (3, 3)
    assert seen.reasons == {"first call": 1, "first call of another function that was compiled here": 2}


def test_a_compiled_function_and_what_it_holds_are_freed(compiler: Compiler) -> None:
    class Held:
        pass

    held = Held()
    kept = weakref.ref(held)
    compiled = compiler(lambda x, held=held: x + 1)
    compiled(ROW)
    del held, compiled
    gc.collect()
    assert kept() is None


def test_what_another_thread_has_traced_is_not_given_to_a_later_function(compiler: Compiler) -> None:
    calls: queue.Queue[Any] = queue.Queue()
    done: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: [done.put(call(ROW)) for call in iter(calls.get, None)])
    thread.start()  # it lives on, and its traces with it
    for number in range(20):
        compiled = compiler(lambda x, number=number: x + number)
        calls.put(compiled)
        done.get()
        compiled(ROW)
        del compiled
    calls.put(None)
    thread.join()
    assert site(compiler, "<lambda>").reasons["other thread"] == 20


def test_calls_of_several_threads_are_all_counted(compiler: Compiler) -> None:
    compiled = compiler(double)
    threads = [threading.Thread(target=lambda: [compiled(ROW) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls(site(compiler, "double")) == 2000


def test_where_a_function_was_compiled_is_the_line_of_its_decorator_or_call(compiler: Compiler) -> None:
    @functools.partial(compiler, shapeless=True)
    def decorated(x: mx.array) -> mx.array:
        return x

    (seen,) = compiler.sites.values()
    lines, start = inspect.getsourcelines(inspect.currentframe().f_code)  # type: ignore[union-attr]
    assert seen.file == __file__ and "partial(compiler" in lines[seen.line - start]
    assert decorated(ROW) is not ROW


def test_of_many_reasons_a_bounded_number_is_kept_and_all_are_counted() -> None:
    seen = Site("f", "f.py", 1)
    for number in range(MOST_EVENTS + MOST_REASONS):
        seen.note(number, f"reason {'x' * number}")
    assert len(seen.reasons) == MOST_REASONS + 1 and seen.reasons.total() == seen.traces == MOST_EVENTS + MOST_REASONS
    assert len(seen.events) == MOST_EVENTS


def test_one_trace_too_many_raises_with_the_reason() -> None:
    compiled = Compiler(max_traces=1)(double)
    compiled(ROW)
    with pytest.raises(TooManyTraces, match=r"double: trace 2, but max_traces is 1: argument 1: shape \(4,\) → \(5,\)"):
        compiled(mx.zeros(5))


def test_the_signature_is_that_of_the_function(compiler: Compiler) -> None:
    assert inspect.signature(compiler(double)) == inspect.signature(mx.compile(double)) == inspect.signature(double)
