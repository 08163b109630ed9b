"""The registry of operator pages: what each operator means, in the words of the tensor program.

A page is a module of one of the family packages. It is found by the name it registers and imported on first use.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from onward.ir import Graph, Node
    from onward.operators.schema import Schema

Function = TypeVar("Function", bound=Callable[..., Any])

_FIRST_ARGUMENT = re.compile(r"\boperator\(\s*\"(\w+)\"")


@dataclass(frozen=True, slots=True)
class Context:
    """What a definition may ask about the place where it is used.

    `schema` is None in domains beyond ONNX; `outputs` is the number of outputs of the node. `inline(graph, inputs)`
    lowers a sub-graph with the given arrays as its inputs and returns its outputs; `captured()` is what the node's
    sub-graphs read from around it.
    """

    node: Node
    schema: Schema | None
    opset: int
    outputs: int
    inline: Callable[[Graph, Sequence[Any]], tuple[Any, ...]]
    captured: Callable[[], list[Any]]


@dataclass(frozen=True)
class Definition:
    """One definition of an operator, valid from version `since` until the next definition."""

    domain: str
    name: str
    since: int
    function: Callable[..., Any]

    @functools.cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the function, by name."""
        return inspect.signature(self.function).parameters

    @functools.cached_property
    def attributes(self) -> frozenset[str]:
        """The attributes that the definition takes."""
        keyword = inspect.Parameter.KEYWORD_ONLY
        return frozenset(name for name, item in self.parameters.items() if item.kind is keyword) - {"context"}

    @functools.cached_property
    def wants_context(self) -> bool:
        """Whether the function takes the `Context`."""
        return "context" in self.parameters

    @functools.cached_property
    def takes_all_attributes(self) -> bool:
        """Whether the function takes any attribute (`**attributes`)."""
        return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self.parameters.values())

    @functools.cached_property
    def maximum_inputs(self) -> int | None:
        """The number of inputs the function takes; None when it takes any number."""
        kinds = [parameter.kind for parameter in self.parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return None
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return sum(kind in positional for kind in kinds)


_definitions: dict[tuple[str, str], list[Definition]] = {}


def operator(name: str, *, since: int = 1, domain: str = "") -> Callable[[Function], Function]:
    """Registers a function as the definition of operator `name` from version `since` on.

    Positional parameters are the inputs (None where an optional one is absent), keyword-only ones the attributes, with
    the schema's defaults filled in; a keyword-only `context` receives the `Context`. The function returns an Array or
    a tuple of Arrays. Decorators may be stacked when operators share a definition.
    """

    def register(function: Function) -> Function:
        found = _definitions.setdefault((domain, name), [])
        found.append(Definition(domain, name, since, function))
        found.sort(key=lambda definition: -definition.since)
        return function

    return register


def find_definition(domain: str, name: str, since: int) -> Definition | None:
    """The newest definition that holds for version `since` of the operator, or None when no page defines it."""
    for module in _pages().get(name, ()):
        importlib.import_module(module)
    if (domain, name) not in _definitions:
        _import_all_pages()
    found = _definitions.get((domain, name), ())
    return next((definition for definition in found if definition.since <= since), None)


def all_definitions() -> tuple[Definition, ...]:
    """Every definition of every page, by domain and name, newest first."""
    _import_all_pages()
    return tuple(definition for key in sorted(_definitions) for definition in _definitions[key])


@functools.cache
def _pages() -> dict[str, tuple[str, ...]]:
    """Operator name -> the modules whose text registers it; reading pages is ten times as fast as importing them."""
    pages: dict[str, list[str]] = {}
    for module, text in _modules():
        for name in set(_FIRST_ARGUMENT.findall(text)):
            pages.setdefault(name, []).append(module)
    return {name: tuple(modules) for name, modules in pages.items()}


@functools.cache
def _import_all_pages() -> None:
    for module, _ in _modules():
        importlib.import_module(module)


@functools.cache
def _modules() -> tuple[tuple[str, str], ...]:
    """(module name, text) of every page of every family."""
    found = []
    for family in sorted(resources.files("onward.operators").iterdir(), key=lambda item: item.name):
        if not family.is_dir() or family.name.startswith("_"):
            continue
        for page in sorted(family.iterdir(), key=lambda item: item.name):
            if page.name.endswith(".py") and not page.name.startswith("_"):
                found.append((f"onward.operators.{family.name}.{page.name[:-3]}", page.read_text()))
    return tuple(found)
