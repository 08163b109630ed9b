"""The NumPy evaluator: what a tensor program means, element by element, without any compiler.

It is the oracle that the compiler is tested against and the engine of constant folding. Sums run in the accumulator's
dtype over at most `CHUNK` elements at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onward.errors import IndexOutOfBounds, InvalidInput, RunError
from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, OpaqueAtom, SymbolAtom
from onward.ir.expressions import evaluate as evaluate_dimension
from onward.program.array import Array, Compute, Concatenate, Constant, Input, Reduce, Reshape, RoutineOutput
from onward.program.routines import EVALUATORS
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select

CHUNK = 1 << 22
"""Elements of a reduction's body that are held at a time."""


def evaluate(arrays: Sequence[Array], feeds: Mapping[Input | str, np.ndarray]) -> list[np.ndarray]:
    """The arrays' elements, given the inputs' (by Input or by label).

    Sizes are taken from the feeds' shapes. Raises InvalidInput for a missing feed or a shape that does not fit, and
    IndexOutOfBounds for an index from data that is outside its array.
    """
    evaluator = _Evaluator(feeds)
    with np.errstate(all="ignore"):
        return [evaluator.array(array) for array in arrays]


def evaluate_body(
    arrays: Sequence[Array],
    feeds: Mapping[Input | str, np.ndarray],
    known: Mapping[Array, np.ndarray],
    sizes: Mapping[str, int],
) -> list[np.ndarray]:
    """As `evaluate`, for a part of a program: the elements of the arrays in `known` are given, and some sizes."""
    evaluator = _Evaluator(feeds)
    evaluator.sizes.update(sizes)
    for array, value in known.items():
        bind_shape(array.shape, value.shape, evaluator.sizes, array.label)
    evaluator.done.update(known)
    return [evaluator.array(array) for array in arrays]


def bind_shape(shape: Sequence[Dimension], actual: Sequence[int], sizes: dict[str, int], what: str) -> None:
    """Enters the symbols of `shape` into `sizes`; raises InvalidInput where `actual` does not fit."""
    if len(shape) != len(actual):
        raise InvalidInput(f"{what}: expected {len(shape)} axes {list(map(str, shape))}, got shape {tuple(actual)}")
    for axis, (extent, number) in enumerate(zip(shape, actual)):
        if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom):
            known = sizes.setdefault(str(extent), int(number))
        elif isinstance(extent, Expression) and not extent.symbols <= sizes.keys():
            continue
        else:
            known = evaluate_dimension(extent, sizes)
        if known != number:
            raise InvalidInput(f"{what}: axis {axis} ({extent}) has extent {known} elsewhere, got shape {tuple(actual)}")


class _Evaluator:
    def __init__(self, feeds: Mapping[Input | str, np.ndarray]) -> None:
        self.feeds = {key if isinstance(key, str) else key.label: np.asarray(value) for key, value in feeds.items()}
        self.sizes: dict[str, int] = {}
        self.done: dict[Array, np.ndarray] = {}
        self.routines: dict[Any, tuple[np.ndarray, ...]] = {}
        for key, value in feeds.items():
            if isinstance(key, Input):
                bind_shape(key.shape, np.shape(value), self.sizes, f"input '{key.label}'")

    def array(self, array: Array) -> np.ndarray:
        order: list[tuple[Array, bool]] = [(array, False)]
        while order:  # an explicit stack: programs are deeper than Python's recursion limit
            item, ready = order.pop()
            if item in self.done:
                continue
            if ready:
                self.done[item] = self._compute(item)
            else:
                order.append((item, True))
                order.extend((source, False) for source in item.sources if source not in self.done)
        return self.done[array]

    def _shape(self, shape: Sequence[Dimension]) -> tuple[int, ...]:
        return tuple(self._size(extent) for extent in shape)

    def _size(self, extent: Dimension) -> int:
        if isinstance(extent, int):
            return extent
        for name in extent.symbols - self.sizes.keys():
            self._define(name)
        return extent.evaluate(self.sizes)

    def _define(self, name: str) -> None:
        from onward.program.array import defining_routine

        routine = defining_routine(name)
        if routine is None:
            raise InvalidInput(f"the size '{name}' is not determined by the inputs that were fed")
        self.array(routine.results[0])

    def _compute(self, array: Array) -> np.ndarray:
        match array:
            case Input():
                if array.label not in self.feeds:
                    raise InvalidInput(f"input '{array.label}' was not fed")
                value = self.feeds[array.label]
                bind_shape(array.shape, value.shape, self.sizes, f"input '{array.label}'")
                return value
            case Constant():
                return array.tensor.numpy()
            case Reshape():
                return np.asarray(self.done[array.source], order="C").reshape(self._shape(array.shape))
            case Concatenate():
                return np.concatenate([self.done[part] for part in array.parts], array.axis)
            case Compute():
                shape = self._shape(array.shape)
                grid = _grid(array.variables, shape, len(shape))
                result = self._scalar(array.body, grid, None)
                return np.asarray(np.broadcast_to(result, shape), order="C").astype(array.dtype.numpy, copy=False)
            case Reduce():
                return self._reduce(array)
            case RoutineOutput():
                return self._routine(array)
        raise TypeError(f"no rule for {type(array).__name__}")

    def _routine(self, array: RoutineOutput) -> np.ndarray:
        routine = array.routine
        if routine not in self.routines:
            inputs = [self.done[source] for source in routine.inputs]
            results = EVALUATORS[routine.name]({**routine.attributes, "sizes": self._size}, *inputs)
            if routine.name == "read_sizes":
                self.sizes.update({str(s): int(v) for s, v in zip(routine.symbols, inputs[0].reshape(-1))})
            for (shape, _), result in zip(routine.outputs, results):
                bind_shape(shape, result.shape, self.sizes, f"routine {routine.name}")
            self.routines[routine] = results
        return self.routines[routine][array.position]

    def _reduce(self, array: Reduce) -> np.ndarray:
        shape, extents = self._shape(array.shape), self._shape(array.extents)
        accumulator = array.body.dtype.numpy
        if math.prod(shape) == 0:
            return np.empty(shape, array.dtype.numpy)
        if array.operation.startswith("arg"):
            body = self._body(array, shape, extents, [np.arange(extent) for extent in extents])
            if array.operation == "argmax":
                return np.argmax(body, -1).astype(np.int64)
            return np.argmin(body, -1).astype(np.int64)
        if math.prod(extents) == 0:
            return np.full(shape, _identity(array.operation, array.body.dtype), accumulator)
        function = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[array.operation]
        axes = tuple(range(len(shape), len(shape) + len(extents)))
        result: np.ndarray | None = None
        for ranges in _chunks(extents, max(1, CHUNK // math.prod(shape))):
            body = self._body(array, shape, tuple(len(points) for points in ranges), ranges)
            part = function.reduce(body, axes, dtype=accumulator) if axes else body
            result = part if result is None else function(result, part)
        assert result is not None
        return result.astype(accumulator, copy=False)

    def _body(self, array: Reduce, shape: tuple[int, ...], extents: tuple[int, ...], ranges: Sequence[np.ndarray]) -> np.ndarray:
        rank = len(shape) + len(extents)
        grid = _grid(array.variables, shape, rank)
        for axis, (variable, points) in enumerate(zip(array.reduction, ranges)):
            form = [1] * rank
            form[len(shape) + axis] = -1
            grid[str(variable)] = points.reshape(form)
        return np.broadcast_to(self._scalar(array.body, grid, None), (*shape, *extents))

    # -- scalars -----------------------------------------------------------------------------------------------
    def _scalar(self, scalar: Scalar, grid: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        match scalar:
            case Literal():
                return np.asarray(scalar.value).astype(scalar.dtype.numpy)
            case IndexValue():
                return np.asarray(self._expression(scalar.expression, grid, mask), np.int64)
            case Read():
                return self._read(scalar, grid, mask)
            case Cast():
                return cast_elements(self._scalar(scalar.argument, grid, mask), scalar.argument.dtype, scalar.dtype, scalar.saturate)
            case Select():
                condition = self._scalar(scalar.condition, grid, mask)
                then = self._scalar(scalar.then, grid, condition if mask is None else mask & condition)
                otherwise = self._scalar(scalar.otherwise, grid, ~condition if mask is None else mask & ~condition)
                return np.where(condition, then, otherwise)
            case Operation():
                if scalar.name == "and" and scalar.dtype == DataType.BOOL:
                    return self._conjunction(scalar, grid, mask)
                values = [self._scalar(argument, grid, mask) for argument in scalar.arguments]
                return apply_operation(scalar.name, values)
        raise TypeError(f"no rule for {type(scalar).__name__}")

    def _conjunction(self, scalar: Operation, grid: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        left, right = (self._scalar(argument, grid, mask) for argument in scalar.arguments)
        return left & right

    def _read(self, read: Read, grid: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        data = self.done[read.array]
        if not read.indices:
            return data
        places = []
        for axis, index in enumerate(read.indices):
            place = np.asarray(self._expression(index, grid, mask))
            extent = data.shape[axis]
            outside = (place < 0) | (place >= extent)
            if np.any(outside):
                if mask is None or np.any(outside & mask):
                    wrong = place[np.nonzero(outside)][0] if place.ndim else place
                    raise IndexOutOfBounds(f"index {int(wrong)} is outside axis {axis} of extent {extent} of {read.array}")
                if extent == 0:
                    return np.zeros((1,) * len(read.indices), data.dtype)
                place = np.clip(place, 0, extent - 1)
            places.append(place)
        return np.asarray(data[tuple(places)], data.dtype)  # one text by itself is no array

    def _expression(self, expression: Dimension, grid: dict[str, np.ndarray], mask: np.ndarray | None) -> Any:
        if not isinstance(expression, Expression):
            return expression
        total: Any = 0
        for monomial, number in expression.terms.items():
            product: Any = number
            for atom, power in monomial:
                product = product * self._atom(atom, grid, mask) ** power
            total = total + product
        return total

    def _atom(self, atom: Any, grid: dict[str, np.ndarray], mask: np.ndarray | None) -> Any:
        if isinstance(atom, SymbolAtom):
            if atom.name in grid:
                return grid[atom.name]
            if atom.name not in self.sizes:
                self._define(atom.name)
            return self.sizes[atom.name]
        if isinstance(atom, OpaqueAtom):
            assert isinstance(atom.payload, ScalarKey)
            return self._scalar(atom.payload.scalar, grid, mask).astype(np.int64)
        assert isinstance(atom, BinaryAtom)
        left, right = (self._expression(operand, grid, mask) for operand in atom.operands)
        return {"//": np.floor_divide, "%": np.mod, "minimum": np.minimum, "maximum": np.maximum}[atom.operation](left, right)


def _grid(variables: Sequence[Expression], shape: Sequence[int], rank: int) -> dict[str, np.ndarray]:
    grid = {}
    for axis, (variable, extent) in enumerate(zip(variables, shape)):
        form = [1] * rank
        form[axis] = -1
        grid[str(variable)] = np.arange(extent).reshape(form)
    return grid


def _chunks(extents: tuple[int, ...], largest: int) -> list[list[np.ndarray]]:
    """The reduction's index space cut into boxes of at most about `largest` points, in order."""
    if not extents:
        return [[]]
    inner = math.prod(extents[1:])
    if inner > largest:
        return [[np.array([first]), *rest] for first in range(extents[0]) for rest in _chunks(extents[1:], largest)]
    step = max(1, largest // max(1, inner))
    rest = [np.arange(extent) for extent in extents[1:]]
    return [[np.arange(first, min(first + step, extents[0])), *rest] for first in range(0, extents[0], step)]


def _identity(operation: str, dtype: DataType) -> Any:
    if operation in ("sum", "prod"):
        return 0 if operation == "sum" else 1
    if dtype == DataType.BOOL:
        return operation == "min"
    if dtype.is_float:
        return -np.inf if operation == "max" else np.inf
    limits = np.iinfo(dtype.numpy)
    return limits.min if operation == "max" else limits.max


# -- the meaning of each scalar operation -----------------------------------------------------------------------------
def cast_elements(value: np.ndarray, source: DataType, target: DataType, saturate: bool = True) -> np.ndarray:
    """ONNX Cast. Float to integer truncates; out of range wraps through int64; float8 saturates when told to."""
    if source == target:
        return value
    kind = target.numpy
    if target == DataType.BOOL:
        return value != 0
    if source.is_float and target.is_integer:
        finite = np.nan_to_num(np.trunc(value.astype(np.float64)), nan=0.0, posinf=2.0**63, neginf=-(2.0**63))
        if target == DataType.UINT64:
            return np.where(
                finite < 2.0**63, finite.clip(-(2.0**63), 2.0**63 - 1024).astype(np.int64).astype(np.uint64), finite.clip(0, 2.0**64 - 2048).astype(np.uint64)
            )
        return finite.clip(-(2.0**63), 2.0**63 - 1024).astype(np.int64).astype(kind)
    if "FLOAT8" in target.name or target.name.startswith(("FLOAT4", "FLOAT6")):
        return _to_small_float(value, target, saturate)
    if source.is_float and value.dtype.kind == "V" or target.is_float and kind.kind == "V":
        return value.astype(np.float32).astype(kind)
    return value.astype(kind)


def _to_small_float(value: np.ndarray, target: DataType, saturate: bool) -> np.ndarray:
    import ml_dtypes

    wide = value.astype(np.float32)
    if saturate:
        limit = float(ml_dtypes.finfo(target.numpy).max)
        wide = np.where(np.isnan(wide), wide, np.clip(wide, -limit, limit))
    return wide.astype(target.numpy)


def apply_operation(name: str, values: Sequence[np.ndarray]) -> np.ndarray:
    """One scalar operation on NumPy arrays of one dtype. Narrow floats compute in float32 and round once."""
    kind = values[0].dtype
    narrow = kind.kind == "V" or kind == np.float16 or (kind.kind == "f" and kind.itemsize < 4) or kind.name == "bfloat16"
    if narrow:
        result = OPERATIONS[name](*(value.astype(np.float32) for value in values))
        return result if result.dtype == np.bool_ else result.astype(kind)
    result = np.asarray(OPERATIONS[name](*values))
    return result if result.dtype == np.bool_ or result.dtype == kind else result.astype(kind)


def _divide(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if left.dtype.kind not in "iu":
        return left / right
    safe = np.where(right == 0, 1, right)
    quotient = left // safe
    if left.dtype.kind == "i":
        quotient = quotient + ((quotient < 0) & (quotient * safe != left))
    return np.where(right == 0, 0, quotient)


def _remainder(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if left.dtype.kind not in "iu":
        return np.mod(left, right)
    return np.where(right == 0, 0, np.mod(left, np.where(right == 0, 1, right)))


def _truncated_remainder(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if left.dtype.kind not in "iu":
        return np.fmod(left, right)
    return np.where(right == 0, 0, np.fmod(left, np.where(right == 0, 1, right)))


def _shift_left(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    width = left.dtype.itemsize * 8
    return np.where(right >= width, 0, np.left_shift(left, np.minimum(right, width - 1)))


def _shift_right(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """By the whole width or more: 0, or -1 for negative numbers."""
    width = left.dtype.itemsize * 8
    shifted = np.right_shift(left, np.minimum(right, width - 1))
    return np.where(right >= width, 0, shifted) if left.dtype.kind == "u" else shifted


def _erf(value: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(value.astype(np.float64)), value.dtype)


def _sigmoid(value: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(value))
    return np.where(value >= 0, 1 / (1 + small), small / (1 + small))


def _power(base: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    if base.dtype.kind in "iu":
        return np.where(exponent < 0, 0, np.power(base, np.maximum(exponent, 0)))
    return np.power(base, exponent)


def _reciprocal(value: np.ndarray) -> np.ndarray:
    return (1 / value).astype(value.dtype)


def _divisor(value: np.ndarray) -> np.ndarray:
    if not value.all():
        raise RunError("a whole number is divided by 0; check the data that was fed")
    return value


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": _divide,
    "remainder": _remainder,
    "truncated_remainder": _truncated_remainder,
    "power": _power,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "negate": lambda x: np.subtract(0, x).astype(x.dtype) if x.dtype.kind == "u" else np.negative(x),
    "absolute": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "reciprocal": _reciprocal,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _erf,
    "sigmoid": _sigmoid,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "floor": np.floor,
    "ceil": np.ceil,
    "round_even": np.rint,
    "truncate": np.trunc,
    "is_nan": np.isnan,
    "is_infinite": np.isinf,
    "divisor": _divisor,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shift_left": _shift_left,
    "shift_right": _shift_right,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
"""Every scalar operation there is, with its meaning. The compiler implements the same names."""
