"""The pattern language of the rewrite rules.

A pattern is an expression tree over operators; so is a replacement. `x + 0` is the tree Add(x, 0), and

    Rule("add zero", x + 0, x)
    Rule("silu", x * op.Sigmoid(x), op.Swish(x))

are two rules. The leaves are wildcards (the same wildcard twice is the same value), numbers (a constant whose every
element is that number, within a tolerance) and `constant(...)`. Keyword arguments of an operator are its *options*: an
attribute, or a constant input of that name, whichever the operator's version has. So `op.ReduceMean(x, axes=[-1])`
stands for both forms. An option may be fixed, bound to a name with `bind`, or tested by a function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

PatternLike = Union["Pattern", int, float]

COMMUTATIVE = frozenset({"Add", "Mul", "And", "Or", "Xor", "Equal", "Max", "Min", "Sum", "BitwiseAnd", "BitwiseOr", "BitwiseXor"})
"""Operators whose two inputs may stand in either order."""


class Pattern:
    """A node of a pattern tree. Arithmetic on patterns gives patterns."""

    def __add__(self, other: PatternLike) -> Apply:
        return Apply("Add", (self, as_pattern(other)))

    def __radd__(self, other: PatternLike) -> Apply:
        return Apply("Add", (as_pattern(other), self))

    def __sub__(self, other: PatternLike) -> Apply:
        return Apply("Sub", (self, as_pattern(other)))

    def __rsub__(self, other: PatternLike) -> Apply:
        return Apply("Sub", (as_pattern(other), self))

    def __mul__(self, other: PatternLike) -> Apply:
        return Apply("Mul", (self, as_pattern(other)))

    def __rmul__(self, other: PatternLike) -> Apply:
        return Apply("Mul", (as_pattern(other), self))

    def __truediv__(self, other: PatternLike) -> Apply:
        return Apply("Div", (self, as_pattern(other)))

    def __rtruediv__(self, other: PatternLike) -> Apply:
        return Apply("Div", (as_pattern(other), self))

    def __pow__(self, other: PatternLike) -> Apply:
        return Apply("Pow", (self, as_pattern(other)))

    def __neg__(self) -> Apply:
        return Apply("Neg", (self,))


@dataclass(frozen=True, eq=False)
class Wildcard(Pattern):
    """Any value. `optional` also matches an absent input (bound to None); `many` takes all inputs that are left."""

    name: str
    optional: bool = False
    many: bool = False


@dataclass(frozen=True, eq=False)
class Constant(Pattern):
    """A value whose data are known before the run.

    With `value`, all its elements are that number, within `tolerance` (relative; the precision of the data type is
    added). With `test`, the test holds for the data.
    """

    name: str = ""
    value: float | None = None
    tolerance: float = 2e-6
    test: Callable[[np.ndarray], bool] | None = None

    def accepts(self, data: np.ndarray) -> bool:
        """Whether the data are as the pattern says."""
        if self.value is not None and not _all_equal(data, self.value, self.tolerance):
            return False
        return self.test is None or bool(self.test(data))


@dataclass(frozen=True, eq=False)
class Apply(Pattern):
    """An operator applied to patterns.

    An inner operator must be used by the matched nodes alone, unless it is `shared`. The same object at two places of
    a pattern is the same node.
    """

    operator: str
    inputs: tuple[Pattern, ...]
    options: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    is_shared: bool = False

    def output(self, index: int) -> Output:
        """Output number `index`; the tree itself stands for output 0."""
        return Output(self, index)

    def shared(self) -> Apply:
        """The same pattern, but other nodes may use the result as well: the matched node stays."""
        return Apply(self.operator, self.inputs, self.options, self.domain, True)


@dataclass(frozen=True, eq=False)
class Output(Pattern):
    """One of several outputs of an operator."""

    node: Apply
    index: int


@dataclass(frozen=True, eq=False)
class Choice(Pattern):
    """The first of several patterns that matches."""

    alternatives: tuple[Pattern, ...]


@dataclass(frozen=True)
class Bind:
    """An option whose value is bound to a name. In a replacement: the value bound to the name."""

    name: str


class Operators:
    """`op.Name(...)` is the pattern of an operator; `op.domain("x").Name(...)` that of another domain's."""

    def __init__(self, domain: str = "") -> None:
        self._domain = domain

    def domain(self, domain: str) -> Operators:
        """The operators of another domain."""
        return Operators(domain)

    def __getattr__(self, name: str) -> Callable[..., Apply]:
        def apply(*inputs: PatternLike, **options: Any) -> Apply:
            return Apply(name, tuple(map(as_pattern, inputs)), options, self._domain)

        return apply


op = Operators()


def wildcards(names: str) -> tuple[Wildcard, ...]:
    """Wildcards of the given names, which blanks separate."""
    return tuple(Wildcard(name) for name in names.split())


def optional(name: str) -> Wildcard:
    """A wildcard that also matches an absent input."""
    return Wildcard(name, optional=True)


def rest(name: str) -> Wildcard:
    """A wildcard for all inputs that are left, bound to a tuple."""
    return Wildcard(name, many=True)


def constant(name: str = "", value: float | None = None, test: Callable[[np.ndarray], bool] | None = None) -> Constant:
    """A value that is known before the run."""
    return Constant(name, value, test=test)


def any_of(*alternatives: PatternLike) -> Choice:
    """One of several patterns."""
    return Choice(tuple(map(as_pattern, alternatives)))


def bind(name: str) -> Bind:
    """An option to be remembered."""
    return Bind(name)


def as_pattern(item: PatternLike) -> Pattern:
    """A number becomes the constant all of whose elements are that number."""
    return item if isinstance(item, Pattern) else Constant(value=item)


def roots(pattern: Pattern) -> tuple[Apply, ...]:
    """The operators that a match may start from."""
    if isinstance(pattern, Choice):
        return tuple(itertools.chain.from_iterable(map(roots, pattern.alternatives)))
    assert isinstance(pattern, Apply), "a rule's pattern starts with an operator"
    return (pattern,)


CONSTANT = "a constant"
"""Stands among the names of operators for a value that no operator computes, but that is known."""

Needs = tuple[frozenset[str] | None, ...]


def needs_of(pattern: Apply) -> Needs:
    """For each input, the operators that may compute it; None for any value. A quick first test of a place.

    Options may be inputs as well, so that only the place of the first input is certain when there are some.
    """
    needs = tuple(_makers(item) for item in pattern.inputs)
    return needs[:1] if pattern.options or any(isinstance(i, Wildcard) and i.many for i in pattern.inputs) else needs


def _makers(pattern: Pattern) -> frozenset[str] | None:
    if isinstance(pattern, Apply):
        return frozenset((pattern.operator,))
    if isinstance(pattern, Output):
        return frozenset((pattern.node.operator,))
    if isinstance(pattern, Constant):
        return frozenset((CONSTANT,))
    if isinstance(pattern, Choice):
        inner = [_makers(item) for item in pattern.alternatives]
        return None if None in inner else frozenset().union(*(item for item in inner if item is not None))
    return None


def subpatterns(pattern: Pattern) -> Iterator[Pattern]:
    """The pattern and everything inside it."""
    yield pattern
    children: Sequence[Pattern] = ()
    if isinstance(pattern, Apply):
        children = pattern.inputs
    elif isinstance(pattern, Output):
        children = (pattern.node,)
    elif isinstance(pattern, Choice):
        children = pattern.alternatives
    for child in children:
        yield from subpatterns(child)


def _all_equal(data: np.ndarray, value: float, tolerance: float) -> bool:
    if data.size == 0 or data.dtype.kind not in "fiubV":
        return False
    wide = data.astype(np.float64)
    if not np.isfinite(value) or value == 0 or data.dtype.kind in "iub":
        return bool(np.all(wide == value))
    return bool(np.all(np.abs(wide - value) <= (tolerance + _precision(data.dtype)) * abs(value)))


def _precision(dtype: np.dtype) -> float:
    if dtype.kind == "f":
        return 2 * float(np.finfo(dtype).eps)
    return 2.0**-7  # bfloat16, which NumPy's finfo does not know
