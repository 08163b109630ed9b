"""Arrays that hold one number everywhere, whatever the sizes: the element at an index that is a symbol tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onward.ir.expressions import Dimension, Expression, substitute
from onward.program import Array, Compute, Concatenate, Constant, Reshape, Scalar, fresh_symbol
from onward.program.content import Unknown
from onward.program.content import _apply as apply_symbolically
from onward.program.content import _cast as cast_symbolically
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Select

MOST_STEPS = 2000
"""Scalars that are looked at for one answer."""


def uniform_element(array: Array) -> Any:
    """The number that every element of the array is, or None where that is not proven.

    `Range(0, n, 1) >= 0` is True everywhere: the element at index i is i >= 0, and i is not negative.
    """
    try:
        element = _Walk().element(array, [fresh_symbol("i", extent) for extent in array.shape])
    except Unknown:
        return None
    return None if isinstance(element, Expression) else element


class _Walk:
    def __init__(self) -> None:
        self.steps = 0

    def element(self, array: Array, position: Sequence[Dimension]) -> Any:
        if isinstance(array, Constant):
            return self._constant(array, position)
        if isinstance(array, Compute):
            environment = {str(variable): place for variable, place in zip(array.variables, position)}
            return self.scalar(array.body, environment)
        if isinstance(array, Reshape):
            return self.element(array.source, _source_position(array, position))
        if isinstance(array, Concatenate):
            numbers = [self._number(part) for part in array.parts]
            if all(number == numbers[0] for number in numbers):
                return numbers[0]
        raise Unknown

    def _number(self, array: Array) -> Any:
        element = self.element(array, [fresh_symbol("i", extent) for extent in array.shape])
        if isinstance(element, Expression):
            raise Unknown
        return element

    def _constant(self, array: Constant, position: Sequence[Dimension]) -> Any:
        data = array.tensor.numpy()
        if data.dtype == object:  # text
            raise Unknown
        if all(isinstance(place, int) and 0 <= place < extent for place, extent in zip(position, data.shape)):
            return data[tuple(position)].item()
        if data.size and bool(np.all(data == data.flat[0])):
            return data.flat[0].item()
        raise Unknown

    def scalar(self, scalar: Scalar, environment: Mapping[str, Dimension]) -> Any:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Unknown
        match scalar:
            case Literal():
                return scalar.value
            case IndexValue():
                return self._place(scalar.expression, environment)
            case Read():
                return self.element(scalar.array, [self._place(index, environment) for index in scalar.indices])
            case Cast():
                return cast_symbolically(self.scalar(scalar.argument, environment), scalar.dtype)
            case Select():
                return self._select(scalar, environment)
            case Operation():
                return apply_symbolically(scalar, [self.scalar(argument, environment) for argument in scalar.arguments])
        raise Unknown

    def _select(self, scalar: Select, environment: Mapping[str, Dimension]) -> Any:
        try:
            condition = self.scalar(scalar.condition, environment)
        except Unknown:
            then, otherwise = self.scalar(scalar.then, environment), self.scalar(scalar.otherwise, environment)
            if isinstance(then, Expression) or isinstance(otherwise, Expression) or then != otherwise:
                raise
            return then
        if isinstance(condition, Expression):
            raise Unknown
        return self.scalar(scalar.then if condition else scalar.otherwise, environment)

    def _place(self, expression: Dimension, environment: Mapping[str, Dimension]) -> Dimension:
        if isinstance(expression, Expression) and expression.opaque:
            raise Unknown
        return substitute(expression, environment)


def _source_position(array: Reshape, position: Sequence[Dimension]) -> list[Dimension]:
    """Where the element at `position` stands in the source."""
    extents = array.source.shape
    moved = [place for place, extent in zip(position, array.shape) if extent != 1]
    if [extent for extent in extents if extent != 1] == [extent for extent in array.shape if extent != 1]:
        places = iter(moved)
        return [0 if extent == 1 else next(places) for extent in extents]
    flat: Dimension = 0
    for place, extent in zip(position, array.shape):
        flat = flat * extent + place
    result: list[Dimension] = []
    for extent in reversed(extents):
        result.append(flat % extent)
        flat = flat // extent
    return result[::-1]
