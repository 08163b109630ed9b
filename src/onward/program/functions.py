"""Functions on whole arrays, in NumPy's manner, and their scalar forms.

Every elementwise function takes arrays (broadcast against each other) or scalars (inside a definition).
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

import onward.program.scalar as _scalar
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression
from onward.ir.expressions import maximum as _maximum_dimension
from onward.ir.expressions import minimum as _minimum_dimension
from onward.ir.tensor import Tensor
from onward.program.array import (
    Array,
    ArrayLike,
    Compute,
    Concatenate,
    Constant,
    Reduce,
    Reshape,
    Shape,
    compute,
    fresh_symbol,
    reduce,
    routine,
)
from onward.program.guards import require_equal
from onward.program.scalar import Scalar, ScalarLike


# -- making arrays ----------------------------------------------------------------------------------------------------
def constant(value: Any, dtype: DataType | None = None) -> Constant:
    """Known data: a Tensor, a NumPy array, or numbers."""
    if isinstance(value, Tensor):
        return Constant(value)
    array = np.asarray(value) if dtype is None else np.asarray(value, dtype.numpy)
    return Constant(Tensor.of(array))


def full(shape: Sequence[Dimension], value: ScalarLike, dtype: DataType) -> Compute:
    """Every element is `value`."""
    return compute(shape, lambda *indices: _scalar.scalar(value, dtype), dtype)


def indices(shape: Sequence[Dimension], axis: int = 0, dtype: DataType = DataType.INT64) -> Compute:
    """Every element is its index along `axis`."""
    return compute(shape, lambda *position: _scalar.scalar(position[axis], dtype))


def dimensions_array(dimensions: Sequence[Dimension]) -> Array:
    """The int64 vector of the given dimensions, symbolic ones included."""
    if all(isinstance(dimension, int) for dimension in dimensions):
        return constant(np.array(dimensions, np.int64).reshape(-1))
    parts = [compute((1,), lambda i, d=dimension: _scalar.scalar(d, DataType.INT64)) for dimension in dimensions]
    return concatenate(parts, 0)


def array(value: ArrayLike, dtype: DataType | None = None) -> Array:
    """`value` as an array; Python numbers take `dtype`."""
    if isinstance(value, Array):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return constant(np.asarray(value))
    return constant(np.asarray(value, None if dtype is None else dtype.numpy))


def dimensions(vector: Array, what: str = "a shape") -> tuple[Dimension, ...]:
    """The elements of an integer vector as dimensions.

    Known or symbolic contents are used as they are; otherwise the elements become symbols that are read at run time.
    """
    content = vector.content
    if content is not None:
        return tuple(item if isinstance(item, Expression) else int(item) for item in content.reshape(-1))
    if vector.rank > 1 or not isinstance(vector.size, int) or vector.size > MOST_SIZES:
        raise InvalidArgument(f"{what} must be a vector of known length, at most {MOST_SIZES}, got {vector}")
    symbols = [fresh_symbol("size") for _ in range(vector.size)]
    flat = cast(reshape(vector, (vector.size,)), DataType.INT64)
    routine("read_sizes", [flat], [(flat.shape, DataType.INT64)], symbols)
    return tuple(symbols)


MOST_SIZES = 4096
"""No vector of sizes is longer; a broken model may say so."""


# -- broadcasting -----------------------------------------------------------------------------------------------------
def broadcast_shapes(*shapes: Sequence[Dimension]) -> Shape:
    """The shape NumPy broadcasting gives. Raises InvalidArgument for static extents that do not agree.

    Two different symbolic extents broadcast to their maximum: each is that or 1 at run time.
    """
    rank = builtins.max((len(shape) for shape in shapes), default=0)
    result: list[Dimension] = []
    for position in range(-rank, 0):
        extent: Dimension = 1
        for shape in shapes:
            if len(shape) >= -position:
                extent = _broadcast_extent(extent, shape[position], shapes)
        result.append(extent)
    return tuple(result)


def _broadcast_extent(left: Dimension, right: Dimension, shapes: Sequence[Sequence[Dimension]]) -> Dimension:
    if isinstance(left, int) and left == 1 or left == right:
        return right
    if isinstance(right, int) and right == 1:
        return left
    if isinstance(left, int) and isinstance(right, int):
        shown = " and ".join("(" + ", ".join(map(str, shape)) + ")" for shape in shapes)
        raise InvalidArgument(f"shapes {shown} do not broadcast: {left} against {right}")
    result = left if isinstance(left, int) else right if isinstance(right, int) else _maximum_dimension(left, right)
    for extent in (left, right):
        require_equal(extent, result, "extents that do not broadcast", or_one=True)
    return result


def broadcast_read(source: Array, shape: Sequence[Dimension], position: Sequence[Dimension]) -> Scalar:
    """The element of `source` that stands at `position` of the broadcast `shape`."""
    skipped = len(shape) - source.rank
    found: list[Dimension] = []
    for axis, extent in enumerate(source.shape):
        wanted, place = shape[axis + skipped], position[axis + skipped]
        if isinstance(extent, int) and extent == 1:
            found.append(0)
        elif extent == wanted:
            found.append(place)
        else:
            found.append(_minimum_dimension(place, extent - 1))
    return source[tuple(found)]


def broadcast_to(source: Array, shape: Sequence[Dimension]) -> Array:
    """`source` broadcast to `shape`."""
    if source.shape == tuple(shape):
        return source
    return compute(shape, lambda *position: broadcast_read(source, shape, position))


def elementwise(function: Callable[..., ScalarLike], *operands: ArrayLike) -> Array:
    """`function` of the operands' elements, broadcast against each other. Python numbers take the arrays' dtype.

    What is done to a reduction whose axes a Reshape merged is done before that Reshape: there it is the reduction's epilogue.
    """
    dtype = next((operand.dtype for operand in operands if isinstance(operand, Array)), None)
    sources = [operand if isinstance(operand, Array) else _number(operand, dtype) for operand in operands]
    shape = broadcast_shapes(*(source.shape for source in sources if isinstance(source, Array)))
    apart = next((source for source in sources if isinstance(source, Reshape) and source.shape == shape and _merges_reduction(source)), None)

    def element(*position: Dimension) -> ScalarLike:
        return function(*(_element(source, shape, position, apart) if isinstance(source, Array) else source for source in sources))

    if apart is None:
        return compute(shape, element)
    return reshape(compute(apart.source.shape, element), shape)


def _element(source: Array, shape: Shape, position: Sequence[Dimension], apart: Reshape | None) -> Scalar:
    """The element at a place of the broadcast shape; the place is one before the axes were merged where they are `apart`."""
    if apart is None:
        return broadcast_read(source, shape, position)
    if isinstance(source, Reshape) and source.shape == shape and source.source.shape == apart.source.shape:
        return source.source[tuple(position)]
    places: list[Dimension] = []
    for axes in apart.merged or ():
        place: Dimension = 0
        for axis in axes:
            place = place * apart.source.shape[axis] + position[axis]
        places.append(place)
    return broadcast_read(source, shape, places)


LONGEST_EPILOGUE = 8
"""How many elementwise functions after a reduction are looked at."""


def _merges_reduction(array: Reshape) -> bool:
    """Whether a Reshape merges axes of a reduction, or of what is made of one element by element."""
    return array.rank < array.source.rank and _follows_reduction(array.source) and array.merged is not None


def _follows_reduction(array: Array) -> bool:
    for _ in range(LONGEST_EPILOGUE):
        if not isinstance(array, Compute):
            break
        array = next((read.array for read in array.body.reads() if read.indices == array.variables and isinstance(read.array, (Compute, Reduce))), array)
    return isinstance(array, Reduce)


def _number(value: Any, dtype: DataType | None) -> Scalar | Array:
    if isinstance(value, np.ndarray):
        return constant(value)
    return _scalar.scalar(value.item() if isinstance(value, np.generic) else value, dtype)


def elementwise_operation(name: str, *operands: ArrayLike) -> Array:
    """The named scalar operation on whole arrays."""
    return elementwise(functools.partial(_scalar.operation, name), *operands)


def _function(name: str) -> Callable[..., Any]:
    def apply(*operands: Any) -> Any:
        if any(isinstance(operand, (Array, np.ndarray)) for operand in operands):
            return elementwise_operation(name, *operands)
        return _scalar.operation(name, *operands)

    apply.__name__ = name
    apply.__doc__ = f"Elementwise `{name}` of arrays (broadcast) or scalars."
    return apply


add = _function("add")
subtract = _function("subtract")
multiply = _function("multiply")
divide = _function("divide")  # integers: rounded towards zero
remainder = _function("remainder")  # sign of the divisor, as in Python
truncated_remainder = _function("truncated_remainder")  # sign of the dividend, as fmod in C
power = _function("power")
minimum = _function("minimum")  # NaN if either is
maximum = _function("maximum")  # NaN if either is
negate = _function("negate")
absolute = _function("absolute")
sign = _function("sign")
exp = _function("exp")
log = _function("log")
sqrt = _function("sqrt")
reciprocal = _function("reciprocal")
sin = _function("sin")
cos = _function("cos")
tan = _function("tan")
asin = _function("asin")
acos = _function("acos")
atan = _function("atan")
sinh = _function("sinh")
cosh = _function("cosh")
tanh = _function("tanh")
asinh = _function("asinh")
acosh = _function("acosh")
atanh = _function("atanh")
erf = _function("erf")
sigmoid = _function("sigmoid")
expm1 = _function("expm1")
log1p = _function("log1p")
floor = _function("floor")
ceil = _function("ceil")
round_even = _function("round_even")  # halves to even
truncate = _function("truncate")
is_nan = _function("is_nan")
is_infinite = _function("is_infinite")
logical_and = _function("and")
logical_or = _function("or")
logical_xor = _function("xor")
divisor = _function("divisor")
"""A whole number itself; a 0 ends the run with an error. Without it, a division by 0 gives 0."""
logical_not = _function("not")
shift_left = _function("shift_left")
shift_right = _function("shift_right")  # logical for unsigned, arithmetic for signed
equal = _function("equal")
not_equal = _function("not_equal")
less = _function("less")
less_equal = _function("less_equal")
greater = _function("greater")
greater_equal = _function("greater_equal")


def where(condition: Any, then: Any, otherwise: Any) -> Any:
    """`then` where `condition` holds, else `otherwise`; arrays (broadcast) or scalars."""
    if not any(isinstance(operand, (Array, np.ndarray)) for operand in (condition, then, otherwise)):
        return _scalar.select(condition, then, otherwise)
    dtype = next((value.dtype for value in (then, otherwise) if isinstance(value, Array)), None)
    then, otherwise = (value if isinstance(value, Array) else _number(value, dtype) for value in (then, otherwise))
    return elementwise(_scalar.select, condition, then, otherwise)


@overload
def cast(value: Array, dtype: DataType, saturate: bool = True) -> Array: ...
@overload
def cast(value: Scalar, dtype: DataType, saturate: bool = True) -> Scalar: ...
def cast(value: Any, dtype: DataType, saturate: bool = True) -> Any:
    """`value` (array or scalar) converted to `dtype` with the rules of ONNX Cast."""
    if isinstance(value, Scalar):
        return _scalar.cast(value, dtype, saturate)
    if value.dtype == dtype:
        return value
    return elementwise(lambda element: _scalar.cast(element, dtype, saturate), value)


# -- views ------------------------------------------------------------------------------------------------------------
def reshape(source: Array, shape: Sequence[Dimension]) -> Array:
    """The same elements in row-major order. Raises InvalidArgument when static sizes differ."""
    shape = tuple(shape)
    if shape == source.shape:
        return source
    base = source.source if isinstance(source, Reshape) else source
    if shape == base.shape:
        return base
    result = Reshape(base, shape)
    if isinstance(result.size, int) and isinstance(source.size, int) and result.size != source.size:
        raise InvalidArgument(f"cannot reshape {source} ({source.size} elements) to {list(shape)} ({result.size})")
    require_equal(source.size, result.size, f"numbers of elements of {source} and its new shape")
    return result


def normalize_axis(axis: int, rank: int) -> int:
    """A possibly negative axis as 0 <= axis < rank. Raises InvalidArgument outside the range."""
    if not -rank <= axis < rank:
        raise InvalidArgument(f"axis {axis} is outside [-{rank}, {rank - 1}]")
    return axis + rank if axis < 0 else axis


def normalize_axes(axes: Sequence[int] | None, rank: int) -> list[int]:
    """Sorted non-negative axes; all of them for None."""
    return list(range(rank)) if axes is None else sorted({normalize_axis(int(axis), rank) for axis in axes})


def transpose(source: Array, permutation: Sequence[int]) -> Array:
    """Axis `k` of the result is axis `permutation[k]` of the source."""
    if list(permutation) == list(range(source.rank)):
        return source
    inverse = [list(permutation).index(axis) for axis in range(source.rank)]
    shape = [source.shape[axis] for axis in permutation]
    return compute(shape, lambda *position: source[tuple(position[place] for place in inverse)])


def expand_axes(source: Array, axes: Sequence[int]) -> Array:
    """Axes of extent 1 inserted so that they stand at `axes` of the result."""
    rank = source.rank + len(axes)
    places = normalize_axes(axes, rank)
    shape = list(source.shape)
    for place in places:
        shape.insert(place, 1)
    return compute(shape, lambda *position: source[tuple(p for k, p in enumerate(position) if k not in places)])


def squeeze_axes(source: Array, axes: Sequence[int]) -> Array:
    """Axes of extent 1 removed."""
    places = normalize_axes(axes, source.rank)
    shape = [extent for axis, extent in enumerate(source.shape) if axis not in places]

    def element(*position: Dimension) -> Scalar:
        rest = iter(position)
        return source[tuple(0 if axis in places else next(rest) for axis in range(source.rank))]

    return compute(shape, element)


def slice(source: Array, starts: Sequence[Dimension], extents: Sequence[Dimension], steps: Sequence[int] | None = None) -> Array:
    """`extents[k]` elements along each axis k, from `starts[k]`, every `steps[k]`-th (steps may be negative)."""
    steps = steps or [1] * source.rank
    return compute(
        extents,
        lambda *position: source[tuple(start + step * place for start, step, place in zip(starts, steps, position))],
    )


def pad(source: Array, before: Sequence[Dimension], after: Sequence[Dimension], value: ScalarLike = 0) -> Array:
    """`source` with constant `value` around it. Negative amounts crop."""
    if all(isinstance(amount, int) and amount == 0 for amount in (*before, *after)):
        return source
    shape = [low + extent + high for low, extent, high in zip(before, source.shape, after)]

    def element(*position: Dimension) -> Scalar:
        inside: Scalar | None = None
        places = [place - low for place, low in zip(position, before)]
        for place, extent, low, high in zip(places, source.shape, before, after):
            for needed, test in ((low, lambda p: _scalar.scalar(p) >= 0), (high, lambda p: _scalar.scalar(p) < extent)):
                if isinstance(needed, int) and needed <= 0:
                    continue
                inside = test(place) if inside is None else inside & test(place)
        read = source[tuple(places)]
        return read if inside is None else _scalar.select(inside, read, _scalar.scalar(value, source.dtype))

    return compute(shape, element)


def concatenate(parts: Sequence[Array], axis: int) -> Array:
    """The parts one after another along `axis`; other extents agree by contract."""
    kept = [part for part in parts if not (isinstance(part.shape[axis], int) and part.shape[axis] == 0)]
    if len(kept) <= 1:
        return kept[0] if kept else parts[0]
    for part in kept[1:]:
        for place, (extent, other) in enumerate(zip(part.shape, kept[0].shape)):
            if place != axis:
                require_equal(extent, other, f"extents of concatenated parts along axis {place}")
    return Concatenate(kept, axis)


def take(source: Array, indices: Array, axis: int) -> Array:
    """`source` at integer `indices` along `axis`; negative indices count from the end (ONNX Gather)."""
    extent = source.shape[axis]
    shape = (*source.shape[:axis], *indices.shape, *source.shape[axis + 1 :])

    def element(*position: Dimension) -> Scalar:
        where_ = position[axis : axis + indices.rank]
        return source[(*position[:axis], wrap_index(indices[tuple(where_)], extent), *position[axis + indices.rank :])]

    return compute(shape, element)


def wrap_index(index: Scalar, extent: Dimension) -> Scalar:
    """An int64 index with negative values counted from the end."""
    index = _scalar.cast(index, DataType.INT64)
    return _scalar.select(index < 0, index + _scalar.scalar(extent, DataType.INT64), index)


# -- reductions -------------------------------------------------------------------------------------------------------
def reduce_axes(operation: str, source: Array, axes: Sequence[int] | None, keepdims: bool, function: Callable[[Scalar], Scalar] | None = None) -> Array:
    """`operation` of `function(element)` over `axes` (all for None)."""
    places = normalize_axes(axes, source.rank)
    kept = [axis for axis in range(source.rank) if axis not in places]

    def element(*position: Dimension) -> Scalar:
        indices: list[Dimension] = [0] * source.rank
        for axis, place in zip([*kept, *places], position):
            indices[axis] = place
        read = source[tuple(indices)]
        return function(read) if function else read

    result = reduce(operation, [source.shape[axis] for axis in kept], [source.shape[axis] for axis in places], element)
    return expand_axes(result, places) if keepdims and places else result


def sum(source: Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Sum over axes."""
    return reduce_axes("sum", source, axes, keepdims)


def prod(source: Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Product over axes."""
    return reduce_axes("prod", source, axes, keepdims)


def max(source: Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Maximum over axes; NaN if any is."""
    return reduce_axes("max", source, axes, keepdims)


def min(source: Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Minimum over axes; NaN if any is."""
    return reduce_axes("min", source, axes, keepdims)


def mean(source: Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Mean over axes; float16 and bfloat16 are averaged in float32, integers rounded towards zero."""
    count: Dimension = 1
    for axis in normalize_axes(axes, source.rank):
        count = count * source.shape[axis]
    wide = cast(source, DataType.FLOAT) if source.dtype in (DataType.FLOAT16, DataType.BFLOAT16) else source
    total = sum(wide, axes, keepdims)
    return cast(elementwise(lambda element: element / _scalar.scalar(count, wide.dtype), total), source.dtype)


def arg_extreme(operation: str, source: Array, axis: int, keepdims: bool) -> Array:
    """`argmax` or `argmin` along one axis: the int64 index of the first extreme element."""
    return reduce_axes(operation, source, [axis], keepdims)


def matmul(left: Array, right: Array, dtype: DataType | None = None) -> Array:
    """Matrix product with NumPy's rules for vectors and batch axes, of elements converted to `dtype` if given.

    Raises InvalidArgument when K disagrees.
    """
    if left.rank == 1 or right.rank == 1:
        wide_left = expand_axes(left, [0]) if left.rank == 1 else left
        wide_right = expand_axes(right, [1]) if right.rank == 1 else right
        gone = ([-2] if left.rank == 1 else []) + ([-1] if right.rank == 1 else [])
        return squeeze_axes(matmul(wide_left, wide_right, dtype), gone)
    depth, other = left.shape[-1], right.shape[-2]
    if isinstance(depth, int) and isinstance(other, int) and depth != other:
        raise InvalidArgument(f"matmul of {left} and {right}: the inner extents {depth} and {other} differ")
    require_equal(other, depth, f"inner extents of the product of {left} and {right}")
    batch = broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1])

    def element(*position: Dimension) -> Scalar:
        *outer, row, column, k = position
        left_index = _batch_index(left, batch, outer)
        right_index = _batch_index(right, batch, outer)
        first, second = left[(*left_index, row, k)], right[(*right_index, k, column)]
        return first * second if dtype is None else cast(first, dtype) * cast(second, dtype)

    return reduce("sum", shape, (depth,), element)


def _batch_index(source: Array, batch: Shape, outer: Sequence[Dimension]) -> list[Dimension]:
    skipped = len(batch) - (source.rank - 2)
    return [
        0
        if isinstance(extent, int) and extent == 1
        else outer[axis + skipped]
        if extent == batch[axis + skipped]
        else _minimum_dimension(outer[axis + skipped], extent - 1)
        for axis, extent in enumerate(source.shape[:-2])
    ]
