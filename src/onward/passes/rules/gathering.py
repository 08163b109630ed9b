"""Elements taken at indices that are known, whatever the sizes."""

from __future__ import annotations

from onward.ir import Value
from onward.ir.expressions import Dimension, Expression
from onward.passes.match import Match
from onward.passes.pattern import op, wildcards
from onward.passes.rewrite import Builder, Rule

x, y = wildcards("x y")


def _at_a_grid(builder: Builder, match: Match) -> Value | None:
    """Elements taken at every index of each axis are the array itself, with other axes between (transformers makes its masks so)."""
    shape, indices, result = match.shape("x"), match.shape("y"), match.shape(match.root.outputs[0])
    if not shape or not indices or result is None or match.option(match.root, "batch_dims", 0) or indices[-1] != len(shape):
        return None
    found = [_place_of_index(match, number, extent) for number, extent in enumerate(shape)]
    places = [place for place in found if place is not None]
    others = [axis for axis in range(len(result)) if axis not in places]
    if len(set(places)) < len(shape) or any(result[axis] != 1 for axis in others):
        return None
    order = sorted(range(len(shape)), key=places.__getitem__)
    turned = match.x if order == list(range(len(shape))) else builder.Transpose(match.x, perm=order)
    return builder.Unsqueeze(turned, axes=others) if others else turned


def _place_of_index(match: Match, number: int, extent: Dimension) -> int | None:
    """The axis of the result along which the indices of an axis of x run from 0 to its end."""
    indices, element = match.facts.element(match.y, number)
    shape = match.shape("y") or ()
    return next((axis for axis, index in enumerate(indices) if isinstance(element, Expression) and index == element and shape[axis] == extent), None)


def _one_number(builder: Builder, match: Match) -> Value | None:
    """Whatever is taken from equal whole numbers is that number."""
    number, dtype = match.facts.uniform(match.x), match.dtype("x")
    if number is None or dtype is None or not dtype.is_integer:
        return None
    return builder.Expand(builder.constant(number, match.x), builder.Shape(match.y))


RULES = (
    Rule("elements at a grid", op.GatherND(x, y), _at_a_grid),
    Rule("elements of equal numbers", op.GatherElements(x, y), _one_number),
)
