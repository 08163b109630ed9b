"""Arrays that are an input of the model but for a range of elements: a cache with the keys of the next tokens in it.

Such a map is made whole where its memory is another than the input's. Where the caller of a run gives one memory for both, only that range is
written. It is recognised by its definition: a choice between something new, where an index is at or above one number and below another, and the element of
the input at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onward.compiler.rewrite import substitute
from onward.compiler.roots import Root
from onward.ir.expressions import Expression, Symbol
from onward.program.array import Input
from onward.program.scalar import IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select, scalar

FLIPPED = {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"}


@dataclass(frozen=True, eq=False)
class Update:
    """The `root` is `new` from `begin` up to, not including, `end` along an axis, and `source` elsewhere.

    All are in terms of the root's variables, the two numbers without that of the axis. If the source is shorter than the root, which may have something else
    beyond it, the two are not one memory.
    """

    root: Root
    source: Input
    axis: int
    begin: Scalar
    end: Scalar
    new: Scalar


def update_of(root: Root) -> Update | None:
    """A root as an update, or None. What is new may not be made of the source, which would be overwritten meanwhile."""
    body = root.body
    if root.reduce is not None or not isinstance(body, Select):
        return None
    source = _kept(body.otherwise, root)
    if source is None or source.dtype != root.array.dtype:
        return None
    for axis, variable in enumerate(root.variables):
        bounds = _bounds(body.condition, variable)
        if bounds is not None and not any(read.array is source for part in (*bounds, body.then) for read in part.reads()):
            return Update(root, source, axis, *bounds, body.then)
    return None


def _kept(value: Scalar, root: Root) -> Input | None:
    """The input whose element at the same place this is, wherever there is one; a number may stand beyond its end."""
    if isinstance(value, Select) and isinstance(value.otherwise, Literal):
        source = _kept(value.then, root)
        inside = [] if source is None else list(_tests(value.condition))
        for name, left, right in inside:
            places = [axis for axis, variable in enumerate(root.variables) if isinstance(left, IndexValue) and left.expression == variable]
            if name != "less" or not places or right is None or source is None or not _is(right, source.shape[places[0]]):
                return None
        return source if inside else None
    if isinstance(value, Read) and isinstance(value.array, Input) and value.indices == root.variables:
        return value.array
    return None


def _is(value: Scalar, size: object) -> bool:
    return isinstance(value, IndexValue) and value.expression == size or isinstance(value, Literal) and value.value == size


def _bounds(condition: Scalar, variable: Expression) -> tuple[Scalar, Scalar] | None:
    """The numbers that a condition keeps a variable between, where it says no more than that."""
    found: dict[str, Scalar] = {}
    for name, left, right in _tests(condition):
        if right is None or not isinstance(left, IndexValue) or left.expression != variable or _mentions(right, variable):
            return None
        side = "begin" if name.startswith("greater") else "end"
        if side in found or not right.dtype.is_integer:
            return None
        found[side] = _next(right) if name in ("greater", "less_equal") else right
    return (found["begin"], found["end"]) if len(found) == 2 else None


def _next(number: Scalar) -> Scalar:
    """The number after it; the greatest of all, which no index reaches, stays."""
    one = scalar(1, number.dtype)
    before_last = scalar(int(np.iinfo(number.dtype.numpy).max) - 1, number.dtype)
    return Operation("add", (Operation("minimum", (number, before_last), number.dtype), one), number.dtype)


def _tests(condition: Scalar) -> Iterator[tuple[str, Scalar, Scalar | None]]:
    """What must hold together: comparisons, the side that is an index first, or something else with nothing to compare it with."""
    if isinstance(condition, Operation) and condition.name == "and":
        for argument in condition.arguments:
            yield from _tests(argument)
    elif isinstance(condition, Operation) and condition.name in FLIPPED:
        left, right = condition.arguments
        name, left, right = (condition.name, left, right) if isinstance(left, IndexValue) else (FLIPPED[condition.name], right, left)
        yield name, left, right
    else:
        yield "", condition, None


def _mentions(value: Scalar, variable: Expression) -> bool:
    return ScalarKey(substitute(value, {str(variable): Symbol("another")})) != ScalarKey(value)
