"""The parts of an estimator and what their methods give: where a conversion fails, or where a difference begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from onward.converters.tracing import Array, Frame, RowCount
from onward.converters.tracing.frame import NoInput
from onward.errors import UnsupportedOperator
from onward.ir import Value

METHODS = ("transform", "predict", "predict_proba", "decision_function", "score_samples")
Call = tuple[str, str, int]
"""The path of a part, its method, and which call of it."""

Observer = Callable[[Any, str, Callable[[], Any], tuple[Any, ...]], Any]
"""Called in place of a method: with the estimator, the method's name, what calls it, and its arguments."""


def paths_of(item: Any) -> dict[int, str]:
    """By identity, where each estimator stands inside an estimator: `standardscaler`, `estimators_[0].tree`; "" is itself."""
    found: dict[int, str] = {}

    def walk(part: Any, path: str) -> None:
        if isinstance(part, (list, tuple)):
            named = isinstance(part, tuple) and len(part) > 1 and isinstance(part[0], str)
            outer = path.rpartition(".")[0]
            for place, inner in enumerate(part):
                walk(inner, (f"{outer}.{part[0]}".strip(".") if named else f"{path}[{place}]"))
        elif isinstance(part, np.ndarray) and part.dtype == object:
            walk(part.ravel().tolist(), path)
        elif hasattr(part, "get_params") and hasattr(part, "__dict__") and not inspect.isclass(part) and id(part) not in found:
            found[id(part)] = path
            for name, inner in vars(part).items():
                walk(inner, f"{path}.{name}".strip("."))

    walk(item, "")
    return found


class _Watched:
    """A method of a class that an observer is asked for; where an object does not have the method it still does not."""

    def __init__(self, original: Any, name: str, observer: Observer) -> None:
        self.original, self.name, self.observer = original, name, observer

    def __get__(self, instance: Any, owner: type) -> Any:
        bound = self.original.__get__(instance, owner)
        if instance is None:
            return bound

        @functools.wraps(bound)
        def called(*arguments: Any, **options: Any) -> Any:
            return self.observer(instance, self.name, lambda: bound(*arguments, **options), arguments)

        return called


@contextmanager
def observed(parts: list[Any], observer: Observer) -> Iterator[None]:
    """Within the block, methods of the classes of these estimators go through the observer."""
    with ExitStack() as stack:
        for owner in {kind for part in parts if hasattr(part, "get_params") for kind in type(part).__mro__}:
            for name in METHODS:
                original = vars(owner).get(name)
                if original is not None and hasattr(original, "__get__"):
                    stack.callback(setattr, owner, name, original)
                    setattr(owner, name, _Watched(original, name, observer))
        yield


class Results:
    """What the methods of an estimator's parts gave, in the order in which they ended."""

    def __init__(self, estimator: Any) -> None:
        self.paths = paths_of(estimator)
        self.found: list[tuple[Call, Any]] = []
        self._counts: dict[tuple[str, str], int] = {}
        self._active: set[tuple[int, str]] = set()

    def observe(self, instance: Any, name: str, call: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        """Notes the result of a method, unless it is one of a class above that the method itself calls."""
        key = (id(instance), name)
        if key[0] not in self.paths or key in self._active:
            return call()
        self._active.add(key)
        try:
            result = self.called(instance, name, call, arguments)
        finally:
            self._active.discard(key)
        made = self.next_call(instance, name)
        self.found.append((made, result.copy() if isinstance(result, (Array, np.ndarray)) else result))  # it may be written over later
        self._counts[made[:2]] = made[2] + 1
        return result

    def next_call(self, instance: Any, name: str) -> Call:
        """The call of a method that has not ended yet."""
        path = self.paths[id(instance)]
        return path, name, self._counts.get((path, name), 0)

    def called(self, instance: Any, name: str, call: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        """The result of a method."""
        return call()

    def times(self, call: Call) -> int:
        """How often the method was called."""
        return self._counts[call[:2]]

    def arrays(self) -> dict[Call, np.ndarray]:
        """The results that are arrays."""
        made = {}
        for call, result in self.found:
            array = result.toarray() if hasattr(result, "toarray") else result
            if isinstance(array, np.ndarray):
                made[call] = array
        return made


class Traced(Results):
    """The same of a trace: nodes learn where they come from, and a part that cannot be traced is noted and stood in for."""

    def __init__(self, estimator: Any, known: dict[Call, np.ndarray]) -> None:
        super().__init__(estimator)
        self.known = known
        """What the source itself gave for some rows."""
        self.problems: list[str] = []

    def called(self, instance: Any, name: str, call: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        given = next((array for item in arguments for array in series_of(item)), None)
        trace = given.trace if given is not None else None
        begin = len(trace.b.graph.nodes) if trace is not None else 0
        try:
            result = call()
        except NoInput:
            raise
        except Exception as problem:
            self.problems.append(_told(self.paths[id(instance)], instance, name, problem))
            like = self.known.get(self.next_call(instance, name))
            if given is None or like is None:
                raise UnsupportedOperator(self.said()) from problem
            value = given.trace.b.graph.new_value(hint="missing")
            return Array(given.trace, value, like.dtype, (RowCount(given, 0), *like.shape[1:]))
        if trace is not None:
            self._noted(trace.b.graph.nodes[begin:], instance, name)
        return result

    def _noted(self, nodes: Any, instance: Any, name: str) -> None:
        """Tells nodes which method of which part they come from, unless a part inside has done so."""
        code = getattr(inspect.unwrap(getattr(type(instance), name)), "__code__", None)
        for node in nodes:
            if "onward.module" not in node.metadata:
                node.metadata["onward.module"] = f"{self.paths[id(instance)]}.{name}".strip(".")
                if code is not None:
                    node.metadata.setdefault("onward.source", f"{code.co_filename}:{code.co_firstlineno}")

    def said(self) -> str:
        """All that could not be traced."""
        problems = list(dict.fromkeys(self.problems))
        return problems[0] if len(problems) == 1 else "\n  ".join([f"{len(problems)} methods have no translation:", *problems])

    def values(self) -> dict[Call, Value]:
        """The values of the graph that are results, named after what gives them, so that another conversion gives them the same names."""
        made = {call: result.value for call, result in self.found if isinstance(result, Array) and result.value.producer is not None}
        for (path, name, number), value in reversed(made.items()):  # a part's name stands, not that of what it is in
            value.name = f"{path}.{name}{f'.{number}' if number else ''}".strip(".")
        return made


def series_of(item: Any) -> list[Array]:
    """The traced arrays of an argument."""
    return [item] if isinstance(item, Array) else [array for array in item.arrays.values() if isinstance(array, Array)] if isinstance(item, Frame) else []


def _told(path: str, instance: Any, name: str, problem: Exception) -> str:
    """What is wrong with a method, and what to do."""
    kind = type(instance).__name__
    where = f"{kind}.{name}" + (f" (at '{path}')" if path else "")
    if isinstance(problem, UnsupportedOperator):
        reason = str(problem)
    else:
        reason = f"cannot be traced: {type(problem).__name__}: {str(problem)[:300]}"
    return f"{where}: {reason}; a translation can be registered with @onward.converters.sklearn.registry.method('{name}', '{kind}')"
