"""What the elements of an array are whatever the sizes: the element at an index that is a symbol tells."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from onward.ir.expressions import Dimension, Expression, Symbol, SymbolAtom, substitute
from onward.program import Array, Compute, Concatenate, Constant, Reshape, RoutineOutput, Scalar, fresh_symbol
from onward.program.content import Unknown
from onward.program.content import _apply as apply_symbolically
from onward.program.content import _cast as cast_symbolically
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, ScalarKey, Select

MOST_STEPS = 2000
"""Scalars that are looked at for one answer."""


def uniform_element(array: Array) -> Any:
    """The number that every element of the array is, or None where that is not proven.

    `Range(0, n, 1) >= 0` is True everywhere: the element at index i is i >= 0, and i is not negative.
    """
    element = element_at(array)[1]
    return None if isinstance(element, Expression) else element


def element_at(array: Array, *last: int) -> tuple[list[Expression], Any]:
    """The indices, which are symbols (but for the `last` of them), and the number or expression that the element there is; None where it is not known.

    An element is there, so that no size is 0: the last of i and 1 + i, for i from 0 to min(1, n), is 1 + i everywhere.
    """
    indices = [fresh_symbol("i", extent) for extent in array.shape[: array.rank - len(last)]]
    try:
        return indices, _Walk(array.shape).element(array, [*indices, *last])
    except Unknown:
        return indices, None


class _Walk:
    def __init__(self, shape: Sequence[Dimension]) -> None:
        self.steps = 0
        self.sizes = {
            str(extent): Symbol(str(extent), 1) for extent in shape if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom)
        }

    def element(self, array: Array, position: Sequence[Dimension]) -> Any:
        if isinstance(array, Constant):
            return self._constant(array, position)
        if isinstance(array, Compute):
            environment = {**self.sizes, **{str(variable): place for variable, place in zip(array.variables, position)}}
            return self.scalar(array.body, environment)
        if isinstance(array, Reshape):
            return self.element(array.source, _source_position(array, position))
        if isinstance(array, Concatenate):
            return self._part(array, position)
        if isinstance(array, RoutineOutput) and array.routine.name == "cumulative" and array.routine.attributes["operation"] == "sum":
            if self._number(array.sources[0]) == 0:
                return 0
        raise Unknown

    def _part(self, array: Concatenate, position: Sequence[Dimension]) -> Any:
        """The element of the part that the position lies in, or what those of all parts are."""
        place, found = position[array.axis], []
        start: Dimension = 0
        for part in array.parts:
            extent = substitute(part.shape[array.axis], self.sizes)
            inside = [*position[: array.axis], place - start, *position[array.axis + 1 :]]
            if isinstance(place, int) and isinstance(start, int) and isinstance(extent, int):
                if start <= place < start + extent:
                    return self.element(part, inside)
            else:
                found.append(self.element(part, inside))
            start = start + extent
        if not found or any(item != found[0] for item in found):
            raise Unknown
        return found[0]

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
                return self._read(scalar, environment)
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

    def _read(self, scalar: Read, environment: Mapping[str, Dimension]) -> Any:
        try:
            position = [self._place(index, environment) for index in scalar.indices]
        except Unknown:
            return self._number(scalar.array)
        return self.element(scalar.array, position)

    def _place(self, expression: Dimension, environment: Mapping[str, Dimension]) -> Dimension:
        def read(payload: Hashable) -> Dimension:
            assert isinstance(payload, ScalarKey)
            return self.scalar(payload.scalar, environment)

        return expression.substitute(environment, read) if isinstance(expression, Expression) else expression


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
