"""What a function can reach and change beside its arguments: noted, put back, and compared with what it was."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from compile_guide import CompileGuideError
from compile_guide.shapeless_check import names_in

MOST = 5_000
"""Places that are looked at; a function that can reach more is not checked."""
ONCE = frozenset(["Popen", "debug", "info", "input", "open", "sleep", "system", "warning"])
"""Names in a function's code of what can't be undone. What ``print`` writes is held back instead."""
CLOSED = frozenset(["asyncio", "logging", "multiprocessing", "threading", "tqdm", "transformers"])
"""Libraries whose objects are not looked into."""


class UnrepeatableError(CompileGuideError):
    """A function can't be run twice; the text says why."""


class Place(NamedTuple):
    """A list, dict, object or variable; ``path`` and ``step`` make the name of what it holds under a key."""

    path: str
    step: str
    holder: Any
    names: frozenset[str] = frozenset()
    """Of a module's variables, those that a function's code names."""

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
            for key, value in values.items():
                holder[key] = value


def places(fun: Any, trees: Any) -> list[Place]:
    """Return what a function can reach: variables, objects' attributes and containers, and those of captured trees.

    Raises:
        UnrepeatableError: the function can't be run twice.
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
