"""What is known of an array's elements before the run.

Small integer arrays computed from shapes and constants (the stuff of Reshape targets and slice bounds) are evaluated
element by element from their own definitions, with sizes as symbols. No operator needs a rule for this.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, is_nonnegative, maximum, minimum, substitute
from onward.program.array import Array, Compute, Concatenate, Constant, Input, Parameter, Reduce, Reshape, RoutineOutput
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select

LARGEST = 1024
"""Arrays with more elements are not evaluated symbolically."""

LARGEST_KNOWN = 1 << 27
"""Arrays with more elements are not computed before the run."""

Element = Any  # int | bool | float | Expression


class Unknown(Exception):
    """An element depends on data of the run."""


def symbolic_content(array: Array) -> np.ndarray | None:
    """The elements as an object array, or None when some element is not known before the run."""
    shape = tuple(extent for extent in array.shape if isinstance(extent, int))
    if len(shape) < len(array.shape) or math.prod(shape) > LARGEST or array.dtype == DataType.STRING or isinstance(array, Parameter):
        return None
    try:
        if isinstance(array, Constant):
            return array.tensor.numpy().astype(object)
        if isinstance(array, Reshape):
            content = array.source.content
            return None if content is None else content.reshape(shape)
        if isinstance(array, Concatenate):
            parts = [part.content for part in array.parts]
            known = [part for part in parts if part is not None]
            return np.concatenate(known, array.axis) if len(known) == len(parts) else None
        if isinstance(array, (Compute, Reduce)):
            result = np.empty(shape, object)
            for position in np.ndindex(*shape):
                result[position] = _compute_element(array, position) if isinstance(array, Compute) else _reduce_element(array, position)
            return result
    except Unknown:
        return None
    return None


def known_value(array: Array) -> np.ndarray | None:
    """The elements as a NumPy array when they depend on constants alone."""
    if isinstance(array, Constant):
        return array.tensor.numpy()
    content = array.content
    if content is not None:
        if any(isinstance(element, Expression) for element in content.reshape(-1)):
            return None
        return content.astype(array.dtype.numpy)
    if not depends_on_constants_alone(array):
        return None
    from onward.program.evaluate import evaluate

    return evaluate([array], {})[0]


def depends_on_constants_alone(array: Array, parameters: bool = False) -> bool:
    """Whether the array is computed from constants only, with static shapes; `parameters` says that these count as constants."""
    seen: set[Array] = set()
    pending = [array]
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, Input) or isinstance(item, Parameter) and not parameters or not isinstance(item.size, int) or item.size > LARGEST_KNOWN:
            return False
        if isinstance(item, (Compute, Reduce)) and _reads_sizes(item):
            return False
        if not item.sources and not isinstance(item, (Constant, Compute, Reduce)):
            return False
        if is_recurrence(item) or isinstance(item, RoutineOutput) and item.routine.name == "native":  # what a target says in its own words has no value here
            return False
        pending.extend(item.sources)
    return True


class Constancy:
    """`constancy(array)`: as `depends_on_constants_alone`, for many arrays of one program: each is looked at once."""

    def __init__(self, parameters: bool = False) -> None:
        self.parameters = parameters
        self._found: dict[Array, bool] = {}

    def __call__(self, array: Array) -> bool:
        order = [array]
        while order:
            item = order[-1]
            rest = [source for source in item.sources if source not in self._found]
            if item in self._found or not rest:
                order.pop()
                if item not in self._found:
                    self._found[item] = all(self._found[source] for source in item.sources) and depends_on_constants_alone(item, self.parameters)
            else:
                order.extend(rest)
        return self._found[array]


def is_recurrence(array: Array) -> bool:
    """Whether the array comes out of a loop: of how many turns, and whether it ends, is a matter of the run."""
    return isinstance(array, RoutineOutput) and array.routine.name == "recurrence"


def _reads_sizes(array: Compute | Reduce) -> bool:
    """Whether elements depend on a size that is known only at run time."""
    own = set(_names(array.variables))
    extents: tuple[Dimension, ...] = ()
    if isinstance(array, Reduce):
        own.update(_names(array.reduction))
        extents = array.extents
    used = list(extents)
    for scalar in array.body.walk():
        if isinstance(scalar, Read):
            used.extend(scalar.indices)
        elif isinstance(scalar, IndexValue):
            used.append(scalar.expression)
    return any(not item.symbols <= own for item in used if isinstance(item, Expression))


def _compute_element(array: Compute, position: tuple[int, ...]) -> Element:
    return _element(array.body, dict(zip(_names(array.variables), position)))


def _reduce_element(array: Reduce, position: tuple[int, ...]) -> Element:
    if not all(isinstance(extent, int) for extent in array.extents) or array.operation.startswith("arg"):
        raise Unknown
    table: dict[str, Callable[[Element, Element], Element]] = {
        "sum": lambda a, b: a + b,
        "prod": lambda a, b: a * b,
        "max": functools.partial(_extreme, maximum, np.maximum),
        "min": functools.partial(_extreme, minimum, np.minimum),
    }
    combine = table[array.operation]
    environment: dict[str, Dimension] = dict(zip(_names(array.variables), position))
    result: Element = None
    extents = tuple(int(extent) for extent in array.extents)
    if math.prod(extents) > LARGEST:
        raise Unknown
    for point in np.ndindex(*extents):
        item = _element(array.body, {**environment, **dict(zip(_names(array.reduction), point))})
        result = item if result is None else combine(result, item)
    if result is None:
        result = {"sum": 0, "prod": 1}.get(array.operation)
        if result is None:
            raise Unknown
    return result


def _extreme(
    symbolic: Callable[[Dimension, Dimension], Dimension],
    numeric: Callable[[Any, Any], Any],
    left: Element,
    right: Element,
) -> Element:
    """The greater or lesser of two elements; NaN if either is."""
    if isinstance(left, Expression) or isinstance(right, Expression):
        return symbolic(left, right)
    return numeric(left, right).item()


def _names(variables: tuple[Expression, ...]) -> list[str]:
    return [str(variable) for variable in variables]


def _element(scalar: Scalar, environment: Mapping[str, Dimension]) -> Element:
    match scalar:
        case Literal():
            return scalar.value
        case IndexValue():
            return _place(scalar.expression, environment)
        case Read():
            content = scalar.array.content
            position = tuple(p for p in (_place(index, environment) for index in scalar.indices) if isinstance(p, int))
            if content is None or len(position) != len(scalar.indices):
                raise Unknown
            if any(not 0 <= index < extent for index, extent in zip(position, content.shape)):
                raise Unknown
            return content[position]
        case Select():
            condition = _element(scalar.condition, environment)
            return _element(scalar.then if condition else scalar.otherwise, environment)
        case Cast():
            return _cast(_element(scalar.argument, environment), scalar.dtype)
        case Operation():
            if scalar.name == "and" and scalar.dtype == DataType.BOOL:
                return all(_element(argument, environment) for argument in scalar.arguments)
            return _apply(scalar, [_element(argument, environment) for argument in scalar.arguments])
    raise Unknown


def _place(expression: Dimension, environment: Mapping[str, Dimension]) -> Dimension:
    def opaque(payload: Hashable) -> Dimension:
        assert isinstance(payload, ScalarKey)
        return _element(payload.scalar, environment)

    if isinstance(expression, Expression):
        return expression.substitute(environment, opaque) if expression.opaque else substitute(expression, environment)
    return expression


def _cast(value: Element, dtype: DataType) -> Element:
    if isinstance(value, Expression):
        if dtype in (DataType.INT64, DataType.INT32):
            return value
        raise Unknown
    if dtype == DataType.BOOL:
        return bool(value)
    if dtype.is_integer:
        if isinstance(value, float) and not math.isfinite(value):
            raise Unknown
        return int(np.asarray(int(value)).astype(dtype.numpy))
    if dtype.is_float:
        return float(np.asarray(value, dtype.numpy))
    raise Unknown


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
}


def _apply(scalar: Operation, values: list[Element]) -> Element:
    name = scalar.name
    if not any(isinstance(value, Expression) for value in values):
        return _apply_numbers(scalar, values)
    if name in _COMPARISONS:
        return _compare(name, values[0], values[1])
    simple: dict[str, Callable[..., Element]] = {
        "add": lambda a, b: a + b,
        "subtract": _subtract,
        "multiply": lambda a, b: a * b,
        "negate": lambda a: -a,
        "minimum": minimum,
        "maximum": maximum,
    }
    if name in simple:
        return simple[name](*values)
    # Rounding towards zero and towards minus infinity agree where both sides are known not to be negative.
    if name in ("divide", "remainder", "truncated_remainder") and all(map(is_nonnegative, values)) and values[1] != 0:
        return values[0] // values[1] if name == "divide" else values[0] % values[1]
    raise Unknown


def _subtract(left: Element, right: Element) -> Element:
    """The difference; that of a number and its remainder is a multiple of the divisor."""
    atom = right.single_atom() if isinstance(right, Expression) else None
    if isinstance(atom, BinaryAtom) and atom.operation == "%" and atom.left == left:
        return left // atom.right * atom.right
    return left - right


def _apply_numbers(scalar: Operation, values: list[Element]) -> Element:
    from onward.program.evaluate import apply_operation

    dtype = scalar.arguments[0].dtype
    with np.errstate(all="ignore"):
        result = apply_operation(scalar.name, [np.asarray(value, dtype.numpy) for value in values])
    return result.item() if isinstance(result, (np.ndarray, np.generic)) else result


def _compare(name: str, left: Element, right: Element) -> bool:
    """A comparison of symbolic integers, when the difference decides it."""
    difference = left - right
    if isinstance(difference, int):
        return _COMPARISONS[name](difference, 0)
    if is_nonnegative(difference - 1):
        return name in ("greater", "greater_equal", "not_equal")
    if is_nonnegative(-difference - 1):
        return name in ("less", "less_equal", "not_equal")
    if is_nonnegative(difference) and name in ("greater_equal", "less"):
        return name == "greater_equal"
    if is_nonnegative(-difference) and name in ("less_equal", "greater"):
        return name == "less_equal"
    raise Unknown
