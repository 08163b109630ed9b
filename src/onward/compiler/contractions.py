"""What a contraction is: a sum of products of two reads, sorted by which loop moves which operand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onward.compiler.rewrite import replace_part
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, SymbolAtom
from onward.program.array import Array, Compute, Concatenate, Input, Reduce, Reshape, RoutineOutput
from onward.program.scalar import Cast, Operation, Read, Scalar, ScalarKey, operation


@dataclass(frozen=True, eq=False)
class Contraction:
    """sum over `inner` of left[batch, rows, inner] * right[batch, inner, columns], every index affine."""

    left: Read
    right: Read
    batch: tuple[Expression, ...]
    rows: tuple[Expression, ...]
    columns: tuple[Expression, ...]


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


def without_divisor(body: Scalar, reduction: Sequence[Expression]) -> tuple[Scalar, Scalar] | None:
    """e^x / y * z as (e^x * z, y), where y is the same for all terms of the sum; None for everything else.

    So weights need not be scaled one by one: their sum is divided. Exponents must be shifted, as those of softmax are: the powers are
    between 0 and 1 then, and nothing overflows but what is within a factor of their number of the greatest float.
    """
    if not isinstance(body, Operation) or body.name != "multiply":
        return None
    for weight, other in (body.arguments, body.arguments[::-1]):
        if isinstance(weight, Operation) and weight.name == "divide" and weight.dtype in (DataType.FLOAT, DataType.DOUBLE):
            power, divisor = weight.arguments
            if _is_shifted_power(power) and not any(uses(place, variable) for read in divisor.reads() for place in read.indices for variable in reduction):
                return Operation("multiply", (power, other) if weight is body.arguments[0] else (other, power), body.dtype), divisor
    return None


def _is_shifted_power(scalar: Scalar) -> bool:
    """Whether it is e^(x - m), stored somewhere, where m is made of a greatest value."""
    power = _definition(scalar)
    if not (isinstance(power, Operation) and power.name == "exp"):
        return False
    exponent = _definition(power.arguments[0])
    return isinstance(exponent, Operation) and exponent.name == "subtract" and _has_greatest(exponent.arguments[1])


def _definition(scalar: Scalar) -> Scalar:
    while isinstance(scalar, Read) and isinstance(scalar.array, Compute):
        scalar = scalar.array.body
    return scalar


def _has_greatest(scalar: Scalar) -> bool:
    """Whether a greatest value goes into it, through elementwise arrays alone."""
    pending, seen = [read.array for read in scalar.reads()], set[Array]()
    while pending:
        array = pending.pop()
        if isinstance(array, Reduce) and array.operation == "max":
            return True
        if isinstance(array, (Compute, Reshape)) and array not in seen:
            seen.add(array)
            pending += array.sources
    return False


def split_offset(body: Scalar, total: Array, rows: Sequence[Expression]) -> tuple[Scalar | None, Scalar]:
    """What is added to a sum of integers first, the same for all `rows`, and `body` as it is made of the sum that began with that."""
    found = {ScalarKey(read): read for read in body.reads() if read.array is total}
    if len(found) != 1:
        return None, body
    (own,) = found.values()
    offset: Scalar | None = None
    link: Scalar = own
    while True:
        parents = {ScalarKey(item): item for item in body.walk() if any(link.same(argument) for argument in item.arguments)}
        added = _added(next(iter(parents.values())), link) if len(parents) == 1 else None
        if added is None or not _is_fixed(added[1], total, rows):
            return offset, body if offset is None else replace_part(body, link, own)
        link, (sign, other) = next(iter(parents.values())), added
        offset = (other if sign == "add" else -other) if offset is None else operation(sign, offset, other)


def _added(scalar: Scalar, link: Scalar) -> tuple[str, Scalar] | None:
    """The other term of a sum or difference that begins with `link`, or of a sum that ends with it."""
    if not isinstance(scalar, Operation) or scalar.name not in ("add", "subtract") or not scalar.dtype.is_integer:
        return None
    left, right = scalar.arguments
    if left.same(link):
        return scalar.name, right
    return ("add", left) if scalar.name == "add" else None


def _is_fixed(scalar: Scalar, total: Array, rows: Sequence[Expression]) -> bool:
    """Whether a term knows neither the sum nor where in the rows it is."""
    names = {name for row in rows for name in row.symbols}
    places = [place for item in scalar.walk() for place in (*getattr(item, "indices", ()), getattr(item, "expression", 0))]
    moves = any(isinstance(place, Expression) and names & place.symbols for place in places)
    return not moves and not any(read.array is total for read in scalar.reads())


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
