"""Does a compiled function still return what the plain one returns?  Calls of the program are made again, and compared."""

from __future__ import annotations

import builtins
import contextlib
import copy
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from compile_guide import CompileGuideError, mx
from compile_guide.comparison import TOLERANCE, is_array, leaves, unequal
from compile_guide.shapeless_check import names_in, words
from compile_guide.timing import PLAIN, fused_kernels
from compile_guide.tracing import arrays_of, describe
from compile_guide.watching.compiler import LOCAL, Call

FIRST, EVERY, SIGNATURES, SHAKEN = 2, 32, 4096, 3
"""Of each signature the first calls are checked, and those whose number is a power of two or a multiple of ``EVERY``. At most so
many signatures are told apart. A difference counts unless one of so many plain runs with shaken inputs has it, too."""
ONE = threading.RLock()  # held while a call is made again: what another check changes meanwhile would be put back, too
MOST = 5_000  # places that are looked at; a function that can reach more is not checked
ONCE = frozenset(["Popen", "debug", "info", "input", "open", "sleep", "system", "warning"])
"""Names in a function's code of what can't be undone. What ``print`` writes is held back instead."""
CLOSED = frozenset(["asyncio", "logging", "multiprocessing", "threading", "tqdm", "transformers"])
"""Libraries whose objects are not looked into."""
Values = dict[str, Any]


class Observer:
    """Sees the outermost calls of compiled functions: checks some of them, and keeps the latest to measure with."""

    def __init__(self, check: bool, keep: bool) -> None:
        self.check, self.keep, self.compile = check, keep, mx.compile
        self.kept: dict[int, Call] = {}

    def observe(self, call: Call) -> Any:
        """Make the call and return its result."""
        signature = hash((describe(call.args), describe(call.kwargs))) % SIGNATURES
        number = call.function.notes[signature] = call.function.notes.get(signature, 0) + 1
        if not (number <= FIRST or number.bit_count() == 1 or number % EVERY == 0) or call.has_placeholders():
            return call.function.run(call)
        if self.keep:
            self.kept[id(call.function.site)] = Call(call.function, *_changed((call.args, call.kwargs), copy.copy))
        return self._checked(call, signature) if self.check else call.function.run(call)

    def _checked(self, call: Call, signature: int) -> Any:
        finding, rehearsal = "", None
        with ONE:
            try:
                rehearsal = _Rehearsal(call, signature)
            except UnrepeatableError as error:
                finding = f"not checked: {error}"
            result = call.function.run(call)
            if call.ran and not call.traced:
                return result
            if rehearsal:
                with rehearsal:
                    try:
                        finding = rehearsal.judge(self.compile)
                    except Exception as error:  # whatever the plain function raises, or what state that is broken does
                        finding = f"not checked: {words(error)}"
        findings, kind = call.function.site.findings, finding.partition(":")[0]
        findings[next((known for known in findings if known.partition(":")[0] == kind), finding)] += 1
        return result


class _Rehearsal:
    """A call that can be made again, plain or compiled, from the state that it found; what that changes is put back."""

    def __init__(self, call: Call, signature: int) -> None:
        self.call, self.function, self.random = call, call.function, _random()
        trees = (self.function.inputs, self.function.outputs)
        self.before = [(place, place.read()) for place in places(self.function.fun, trees)]
        given = {id(array) for _, array in arrays_of(trees[0])}
        self.known = {
            place.path + place.step % (key,): ("array", id(value)) if isinstance(value, mx.array) else value
            for place, held in self.before
            for key, value in held.items()
            if id(value) not in given and isinstance(value, (mx.array, *PLAIN))
        }
        self.shapes = " and ".join(str(tuple(array.shape)) for _, array in arrays_of((call.args, call.kwargs)))
        self.trace = "trace", 0 if self.function.shapeless else signature % 64

    def __enter__(self) -> None:
        self.after, self.random_after, show = [(place, place.read()) for place, _ in self.before], _random(), print
        self.print, LOCAL.rehearsing = show, True
        builtins.print = lambda *args, **kwargs: None if LOCAL.rehearsing else show(*args, **kwargs)

    def __exit__(self, *error: object) -> None:
        builtins.print, LOCAL.rehearsing = self.print, False
        for place, held in self.after:
            place.write(held)
        _set_random(self.random_after)

    def values(self, fun: Callable[..., Any], change: Callable[[Any], Any] = copy.copy) -> Values:
        """Call a function, and return by name all that it returned, the captured outputs, and the state of random numbers."""
        for place, held in self.before:  # copies, because a function may change an array in place
            place.write({key: change(value) if isinstance(value, mx.array) else value for key, value in held.items()})
        _set_random(self.random)
        args, kwargs = _changed((self.call.args, self.call.kwargs), change)
        result = fun(*args, **kwargs)
        found = {f"result{path}": leaf for path, leaf in leaves(result) if is_array(leaf) or isinstance(leaf, PLAIN)}
        found |= {f"outputs{[*keys]}": array for keys, array in arrays_of(self.function.outputs)}
        arrays = [value for value in found.values() if isinstance(value, mx.array)]
        if fun is self.function.counted and self.call.traced:
            self.function.site.kernels += fused_kernels(arrays)
        mx.eval(arrays)
        return found | {"random": _random()[0]}

    def judge(self, compile: Callable[..., Any]) -> str:
        """Return in words what is wrong with the compiled function, "" when nothing is."""
        function = self.function
        if self.random_after[0] is None:
            return "broken random numbers: mx.random.state is left a placeholder (pass it as inputs= and as outputs=)"
        plain, kept = self.values(function.fun), self.values(function.counted)
        wrong = _differences(plain, kept)
        drew = wrong.pop("random", "")
        if self.call.traced:
            function.notes[self.trace] = self.known, self.shapes
            if plain.keys() != kept.keys():  # state that this call has made isn't there when it is made again
                wrong = {name: text for name, text in wrong.items() if not name.startswith("outputs")}
            return self._beyond_rounding(plain, wrong)
        if drew:
            return "frozen random numbers: those of the trace (pass mx.random.state as inputs= and as outputs=)"
        known, shapes = function.notes.get(self.trace) or ({}, self.shapes)
        changed = [f"{name}: {_words(old)} → {_words(self.known[name])}" for name, old in known.items()
                   if name in self.known and old is not self.known[name] and old != self.known[name]]  # fmt: skip
        if not (wrong or changed):
            return ""
        anew = compile(lambda *args, **kwargs: function.fun(*args, **kwargs), function.inputs, function.outputs)
        new = self.values(anew)
        exact = not wrong  # a captured number may do little; but the same kernels give the same bits
        stale = _differences(new, kept, exact)
        if not stale or (exact and _differences(new, self.values(anew), exact)):
            return self._beyond_rounding(plain, wrong)
        reason = f"frozen state: {'; '.join(changed[:3]) or 'what it reads is not what it was'}"
        if function.shapeless and shapes != self.shapes:
            size = f"wrong at another size: traced with {shapes}, called with {self.shapes}"
            reason = f"{size}, or {reason}" if changed else size
        return f"{reason}; {_first(stale)}"

    def _beyond_rounding(self, plain: Values, wrong: dict[str, str]) -> str:
        """Return the first difference that the plain function doesn't have with itself when its inputs are shaken."""
        for number in range(SHAKEN if wrong else 0):
            shaken = self.values(self.function.fun, partial(_shaken, number))
            wrong = {name: text for name, text in wrong.items() if name not in _differences(plain, shaken)}
        return f"differs from the plain function: {_first(wrong)}" if wrong else ""


def _first(differences: dict[str, str]) -> str:
    return ": ".join(next(iter(differences.items())))


def _words(value: Any) -> str:
    return "an array" if isinstance(value, tuple) else f"{value!r:.40}"


def _differences(a: Values, b: Values, exact: bool = False) -> dict[str, str]:
    bounds = (0.0, 0.0) if exact else (None, None)
    pairs = {name: unequal(value, b[name], *bounds) for name, value in a.items() if name in b}
    return {name: "only one has it" for name in a.keys() ^ b.keys()} | {k: text for k, text in pairs.items() if text}


def _changed(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a tree with other arrays, in new containers, as MLX makes them."""
    from mlx.utils import tree_map

    return tree_map(lambda leaf: change(leaf) if isinstance(leaf, mx.array) else leaf, tree)


def _shaken(number: int, array: Any) -> Any:
    dtype = str(array.dtype).rpartition(".")[2]
    step = TOLERANCE[dtype][1] if dtype in TOLERANCE else 0.0
    noise = mx.random.uniform(-step, step, array.shape, key=mx.random.key(number))
    return (array * (1 + noise)).astype(array.dtype) if step else copy.copy(array)


def _random() -> tuple[int | None, Any, Any]:
    """Return the seed that makes the present state of MLX's random numbers, and the state of Python's and NumPy's."""
    numpy, seed = sys.modules.get("numpy"), None
    with contextlib.suppress(RuntimeError, ValueError):  # a placeholder, where it is captured by half
        state: Any = mx.random.state
        high, low = state[0].tolist()
        seed = (high << 32) | low
    return seed, random.getstate(), numpy.random.get_state() if numpy else None


def _set_random(state: tuple[int | None, Any, Any]) -> None:
    if state[0] is not None:
        mx.random.seed(state[0])
    random.setstate(state[1])
    if state[2] is not None:
        sys.modules["numpy"].random.set_state(state[2])


# What a function can reach and change beside its arguments


class UnrepeatableError(CompileGuideError):
    """A function can't be run twice; the text says why."""


class Place(NamedTuple):
    """A list, dict, object or variable; ``path`` and ``step`` make the name of what it holds under a key."""

    path: str
    step: str
    holder: Any
    names: frozenset[str] = frozenset()  # of a module's variables, those that a function's code names

    def read(self) -> dict[Any, Any]:
        """Return what is held, by key."""
        if isinstance(self.holder, CellType):
            return {"": self.holder.cell_contents}
        if isinstance(self.holder, list):
            return dict(enumerate(self.holder))
        return {key: value for key, value in self.holder.items() if not self.names or key in self.names}

    def write(self, values: dict[Any, Any]) -> None:
        """Make it hold again what was read; where it still does, leave it alone: other threads may use it."""
        now, holder = self.read(), self.holder
        if now.keys() == values.keys() and all(now[key] is value for key, value in values.items()):
            return
        if isinstance(holder, CellType):
            holder.cell_contents = values[""]
        elif isinstance(holder, list):
            holder[:] = values.values()
        else:
            for key in now.keys() - values.keys():
                del holder[key]
            for key, value in values.items():  # update() of a module of mlx.nn does something else
                holder[key] = value


def places(fun: Any, trees: Any) -> list[Place]:
    """Return what a function can reach: variables, objects' attributes and containers, and those of captured trees.

    Raises UnrepeatableError where the function can't be run twice.
    """
    found: list[Place] = []
    seen: dict[int, Any] = {}
    queue = deque([("captured", trees), (getattr(fun, "__name__", type(fun).__name__), fun)])
    while queue:
        path, value = queue.popleft()
        if id(value) in seen or isinstance(value, ModuleType | type) or type(value).__module__.split(".")[0] in CLOSED:
            continue
        seen[id(value)] = value
        if path.count(".") < 2 and (isinstance(value, Iterator | random.Random) or "Generator" in type(value).__name__):
            raise UnrepeatableError(f"it can reach {path}, a {type(value).__name__}, which can't be put back")
        queue.extend(_fixed(path, value))
        for place in _places_of(path, value):
            found.append(place)
            if once := ONCE & place.names:
                raise UnrepeatableError(f"its code names {', '.join(sorted(once))}, which can't be undone")
            if len(found) > MOST:
                raise UnrepeatableError(f"it can reach more than {MOST} lists, dicts and objects")
            queue.extend((place.path + place.step % (key,), item) for key, item in place.read().items())
    return found


def _places_of(path: str, value: Any) -> Iterator[Place]:
    if isinstance(value, FunctionType):  # compiled functions claim to be one, and answer for what they wrap
        yield Place("", "%s", value.__globals__, frozenset(names_in(value.__code__)) or frozenset([""]))
    elif isinstance(value, CellType):
        yield from () if repr(value).endswith(": empty>") else [Place(path, "%.0s", value)]
    else:
        if isinstance(value, list | dict):
            yield Place(path, "[%r]", value)
        if isinstance(getattr(value, "__dict__", None), dict):
            yield Place(path, ".%s", vars(value))


def _fixed(path: str, value: Any) -> list[tuple[str, Any]]:
    """Return the parts of a value that can't be replaced, but may hold what changes."""
    if isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return [*cells, (path, value.__defaults__), (path, value.__kwdefaults__)]
    if isinstance(value, MethodType):
        return [("self", value.__self__), (path, value.__func__)]
    if isinstance(value, partial):
        return [(path, value.func), (path, value.args), (path, value.keywords)]
    if isinstance(value, tuple):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    calls = [(path, vars(kind).get("__call__")) for kind in type(value).__mro__]  # what runs when an object is called
    return [call for call in calls if isinstance(call[1], FunctionType)]
