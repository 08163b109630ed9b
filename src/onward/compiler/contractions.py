"""What a contraction is: a sum of products of two reads, sorted by which loop moves which operand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onward.compiler.rewrite import substitute
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, SymbolAtom, ceiling_divide, product
from onward.program.array import Compute, Concatenate, Input, Reduce, Reshape, RoutineOutput, compute
from onward.program.scalar import Cast, Operation, Read, Scalar, scalar
from onward.program.scalar import select as where


@dataclass(frozen=True, eq=False)
class Contraction:
    """sum over `inner` of left[batch, rows, inner] * right[batch, inner, columns], every index affine.

    With a `group_step`, the right operand was laid out for the run in groups of four along the reduction, that many elements
    from one to the next; it is read at the first of them.
    """

    left: Read
    right: Read
    batch: tuple[Expression, ...]
    rows: tuple[Expression, ...]
    columns: tuple[Expression, ...]
    group_step: Dimension = 0


Parts = tuple[tuple[Expression, ...], tuple[Expression, ...], tuple[Expression, ...]]


def is_affine(read: Read) -> bool:
    """Whether every index is a sum of multiples of symbols."""
    return all(not isinstance(place, Expression) or all(isinstance(atom, SymbolAtom) for atom in place.atoms) for place in read.indices)


def operands_of(body: Scalar) -> tuple[Read, Read] | None:
    """What a product multiplies: two floats, or an unsigned and a signed byte in 32 bits, read at affine indices."""
    if not isinstance(body, Operation) or body.name != "multiply":
        return None
    pair = body.arguments
    if body.dtype == DataType.INT32 and all(isinstance(item, Cast) for item in pair):
        pair = tuple(item.arguments[0] for item in pair)
        if [item.dtype for item in pair] != [DataType.UINT8, DataType.INT8]:
            return None
    elif body.dtype not in (DataType.FLOAT, DataType.DOUBLE):
        return None
    left, right = pair
    if isinstance(left, Read) and isinstance(right, Read) and is_affine(left) and is_affine(right):
        return left, right
    return None


def classify(
    variables: Sequence[Expression],
    shape: Sequence[Dimension],
    reduction: Sequence[Expression],
    left: Read,
    right: Read,
) -> Parts | None:
    """The variables of both operands, of the left and of the right one, or None where it is no contraction."""
    batch, rows, columns = [], [], []
    for variable, extent in zip(variables, shape):
        in_left = any(uses(place, variable) for place in left.indices)
        in_right = any(uses(place, variable) for place in right.indices)
        if in_left and in_right:
            batch.append(variable)
        elif in_left:
            rows.append(variable)
        elif in_right:
            columns.append(variable)
        elif extent != 1:
            return None
    for variable in reduction:
        if not (any(uses(place, variable) for place in left.indices) and any(uses(p, variable) for p in right.indices)):
            return None
    if not (rows or columns) or not reduction:
        return None
    return tuple(batch), tuple(rows), tuple(columns)


def uses(place: Dimension, variable: Expression) -> bool:
    """Whether an index mentions a variable."""
    return isinstance(place, Expression) and bool(place.symbols & variable.symbols)


def unit_stride_last(read: Read, columns: tuple[Expression, ...]) -> bool:
    """Whether the last column variable walks the last axis of a row-major array, and nothing else does."""
    kinds = (Compute, Reduce, Reshape, Concatenate, Input, RoutineOutput)
    return bool(read.indices) and read.indices[-1] == columns[-1] and isinstance(read.array, kinds)


def in_groups(
    read: Read, inner: Expression, batch: Sequence[Expression], columns: Sequence[Expression], extents: Mapping[str, Dimension]
) -> tuple[Compute, tuple[Dimension, ...], Dimension]:
    """The right operand laid out as (batch, groups, columns, 4), with zeros after the last; how to read it, and its group step."""
    used = [variable for variable in batch if any(uses(place, variable) for place in read.indices)]
    depth, across = extents[str(inner)], [extents[str(variable)] for variable in columns]

    def element(*position: Dimension) -> Scalar:
        place = position[len(used)] * 4 + position[-1]
        mapping: dict[str, Dimension] = {str(variable): index for variable, index in zip(used, position)}
        mapping |= {str(variable): index for variable, index in zip(columns, position[len(used) + 1 :])}
        return where(scalar(place) < depth, substitute(read, {**mapping, str(inner): place}), 0)

    copy = compute([*(extents[str(variable)] for variable in used), ceiling_divide(depth, 4), *across, 4], element)
    return copy, (*used, 0, *columns, 0), product(across) * 4
