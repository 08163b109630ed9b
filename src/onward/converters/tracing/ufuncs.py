"""NumPy's ufuncs, and SciPy's, as ONNX operators. The data types are those of NumPy's own loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from onward.converters import special_functions
from onward.converters.tracing.array import TEXT, UFUNCS, Array, Trace, as_array, implements, refusal
from onward.converters.tracing.indexing import broadcast_shape

BOOL = np.dtype(bool)


def apply(trace: Trace, ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """The traced result of a ufunc: inputs cast as its loop wants them, then its translation."""
    arrays = [as_array(trace, item) for item in inputs]
    if any(array.dtype == TEXT for array in arrays):
        if ufunc not in (np.equal, np.not_equal, np.isnan):
            raise refusal(f"the ufunc {ufunc.__name__} meets text")
        arrays = [array.astype(TEXT) for array in arrays]
        result = BOOL
    else:
        given = [type(item) if type(item) in (int, float) else array.dtype for item, array in zip(inputs, arrays)]
        *loop, result = ufunc.resolve_dtypes((*given, *(None,) * ufunc.nout))[: len(arrays) + 1]
        arrays = [
            as_array(trace, item, dtype) if not isinstance(item, Array) else array.astype(dtype, copy=False) for item, array, dtype in zip(inputs, arrays, loop)
        ]
    made = UFUNCS[ufunc](*arrays)
    return made if isinstance(made, tuple) else made.astype(result, copy=False)


def elementwise(name: str, *arrays: Array, dtype: Any = None, **attributes: Any) -> Array:
    """One node over broadcast arrays."""
    shape = broadcast_shape(*(array.shape for array in arrays))
    return arrays[0].trace.op(name, *arrays, dtype=dtype or arrays[0].dtype, shape=shape, **attributes)


def where(condition: Any, left: Array, right: Array) -> Array:
    """Elements of `left` where the condition holds, else of `right`; both have one data type."""
    shape = broadcast_shape(condition.shape, left.shape, right.shape)
    return left.trace.op("Where", condition, left, right, dtype=left.dtype, shape=shape)


def number(like: Array, value: Any) -> Array:
    """A constant of an array's data type."""
    return as_array(like.trace, np.array(value, like.dtype))


def _direct(ufunc: Any, name: str, dtype: Any = None, also_bool: str = "") -> None:
    def translation(*arrays: Array) -> Array:
        chosen = also_bool if also_bool and arrays[0].dtype == BOOL else name
        return elementwise(chosen, *arrays, dtype=dtype)

    UFUNCS[ufunc] = translation


for _ufunc, _name, _also in (
    (np.add, "Add", "Or"), (np.subtract, "Sub", ""), (np.multiply, "Mul", "And"), (np.divide, "Div", ""), (np.negative, "Neg", ""),
    (np.absolute, "Abs", ""), (np.fabs, "Abs", ""), (np.exp, "Exp", ""), (np.log, "Log", ""), (np.sqrt, "Sqrt", ""), (np.sin, "Sin", ""),
    (np.cos, "Cos", ""), (np.tan, "Tan", ""), (np.arcsin, "Asin", ""), (np.arccos, "Acos", ""), (np.arctan, "Atan", ""),
    (np.sinh, "Sinh", ""), (np.cosh, "Cosh", ""), (np.tanh, "Tanh", ""), (np.arcsinh, "Asinh", ""), (np.arccosh, "Acosh", ""),
    (np.arctanh, "Atanh", ""), (np.power, "Pow", ""), (np.float_power, "Pow", ""), (np.maximum, "Max", "Or"), (np.minimum, "Min", "And"),
    (np.reciprocal, "Reciprocal", ""), (np.bitwise_and, "BitwiseAnd", "And"),
    (np.bitwise_or, "BitwiseOr", "Or"), (np.bitwise_xor, "BitwiseXor", "Xor"), (np.invert, "BitwiseNot", "Not"),
):  # fmt: skip
    _direct(_ufunc, _name, also_bool=_also)
for _ufunc, _name in (
    (np.equal, "Equal"), (np.less, "Less"), (np.less_equal, "LessOrEqual"), (np.greater, "Greater"),
    (np.greater_equal, "GreaterOrEqual"),
):  # fmt: skip
    _direct(_ufunc, _name, BOOL)


def ufunc(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers what a ufunc becomes; its arrays have the data types of the ufunc's loop."""
    return implements(function, UFUNCS)


def _truth(x: Array) -> Array:
    return x.astype(BOOL, copy=False)


@ufunc(np.not_equal)
def not_equal(a: Array, b: Array) -> Array:
    return elementwise("Not", elementwise("Equal", a, b, dtype=BOOL))


@ufunc(np.logical_and)
def logical_and(a: Array, b: Array) -> Array:
    return elementwise("And", _truth(a), _truth(b))


@ufunc(np.logical_or)
def logical_or(a: Array, b: Array) -> Array:
    return elementwise("Or", _truth(a), _truth(b))


@ufunc(np.logical_xor)
def logical_xor(a: Array, b: Array) -> Array:
    return elementwise("Xor", _truth(a), _truth(b))


@ufunc(np.logical_not)
def logical_not(x: Array) -> Array:
    return elementwise("Not", _truth(x))


def _rounding(function: Any, name: str) -> None:
    UFUNCS[function] = lambda x: elementwise(name, x) if x.dtype.kind == "f" else x


for _function, _name in ((np.floor, "Floor"), (np.ceil, "Ceil"), (np.rint, "Round")):
    _rounding(_function, _name)


@ufunc(np.trunc)
def trunc(x: Array) -> Array:
    if x.dtype.kind != "f":
        return x
    return where(elementwise("Less", x, number(x, 0), dtype=BOOL), elementwise("Ceil", x), elementwise("Floor", x))


@ufunc(np.sign)
def sign(x: Array) -> Array:
    return where(isnan(x), x, elementwise("Sign", x)) if x.dtype.kind == "f" else elementwise("Sign", x)


@ufunc(np.positive)
def positive(x: Array) -> Array:
    return x


ufunc(np.conjugate)(positive)


@ufunc(np.square)
def square(x: Array) -> Array:
    return elementwise("Mul", x, x)


@ufunc(np.cbrt)
def cbrt(x: Array) -> Array:
    root = elementwise("Pow", elementwise("Abs", x), number(x, 1 / 3))
    third = elementwise("Div", elementwise("Abs", x), elementwise("Mul", root, root))
    better = elementwise("Div", root + root + third, number(x, 3))  # a step of Newton's method
    return elementwise("Mul", sign(x), where(elementwise("Equal", x, number(x, 0), dtype=BOOL), x, better))


@ufunc(np.isnan)
def isnan(x: Array) -> Array:
    if x.dtype == TEXT and x.trace.empty_is_missing:
        return elementwise("Equal", x, as_array(x.trace, np.array("", object)), dtype=BOOL)
    if x.dtype.kind != "f":
        return elementwise("Not", elementwise("Equal", x, x, dtype=BOOL), dtype=BOOL)
    return elementwise("IsNaN", x, dtype=BOOL)


@ufunc(np.isinf)
def isinf(x: Array) -> Array:
    if x.dtype.kind != "f":
        return isnan(x)
    return elementwise("IsInf", x, dtype=BOOL)


@ufunc(np.isfinite)
def isfinite(x: Array) -> Array:
    return elementwise("Not", elementwise("Or", isnan(x), isinf(x)))


@ufunc(np.signbit)
def signbit(x: Array) -> Array:
    below = elementwise("Less", x, number(x, 0), dtype=BOOL)
    if x.dtype.kind != "f":
        return below
    return elementwise("Or", below, elementwise("Less", elementwise("Reciprocal", x), number(x, 0), dtype=BOOL))


@ufunc(np.copysign)
def copysign(a: Array, b: Array) -> Array:
    size = elementwise("Abs", a)
    return where(signbit(b), elementwise("Neg", size), size)


@ufunc(np.floor_divide)
def floor_divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return elementwise("Floor", elementwise("Div", a, b))
    quotient, rest = elementwise("Div", a, b), elementwise("Mod", a, b)
    uneven = (rest != 0) & (rest != elementwise("Sub", a, elementwise("Mul", quotient, b)))
    return where(uneven, elementwise("Sub", quotient, number(a, 1)), quotient)


@ufunc(np.remainder)
def remainder(a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        return elementwise("Mod", a, b)
    rest = elementwise("Mod", a, b, fmod=1)
    return where((rest != 0) & ((rest < 0) != (b < 0)), elementwise("Add", rest, b), rest)


@ufunc(np.fmod)
def fmod(a: Array, b: Array) -> Array:
    return elementwise("Mod", a, b, fmod=1)


@ufunc(np.divmod)
def divmod_(a: Array, b: Array) -> tuple[Array, Array]:
    return floor_divide(a, b), remainder(a, b)


@ufunc(np.modf)
def modf(x: Array) -> tuple[Array, Array]:
    whole = trunc(x)
    return elementwise("Sub", x, whole), whole


@ufunc(np.fmax)
def fmax(a: Array, b: Array) -> Array:
    return where(isnan(a), b, where(isnan(b), a, elementwise("Max", a, b)))


@ufunc(np.fmin)
def fmin(a: Array, b: Array) -> Array:
    return where(isnan(a), b, where(isnan(b), a, elementwise("Min", a, b)))


@ufunc(np.left_shift)
def left_shift(a: Array, b: Array) -> Array:
    return _shifted(a, b, "LEFT")


@ufunc(np.right_shift)
def right_shift(a: Array, b: Array) -> Array:
    return _shifted(a, b, "RIGHT")


def _shifted(a: Array, b: Array, direction: str) -> Array:
    """Of signed numbers the bits are shifted; to the right a negative one as its complement, which keeps the sign."""
    if a.dtype.kind == "u":
        return elementwise("BitShift", a, b, direction=direction)
    unsigned = np.dtype(f"u{a.dtype}")

    def shifted(x: Array) -> Array:
        return elementwise("BitShift", x.astype(unsigned), b.astype(unsigned), direction=direction).astype(a.dtype)

    return shifted(a) if direction == "LEFT" else where(a < 0, ~shifted(~a), shifted(a))


@ufunc(np.log1p)
def log1p(x: Array) -> Array:
    """Exact near 0: the error of 1 + x is divided out again (Goldberg 1991, theorem 4)."""
    one = number(x, 1)
    above = elementwise("Add", x, one)
    scaled = elementwise("Div", elementwise("Mul", elementwise("Log", above), x), elementwise("Sub", above, one))
    plain = elementwise("Or", isinf(above), elementwise("LessOrEqual", above, number(x, 0), dtype=BOOL))
    return where(elementwise("Equal", above, one, dtype=BOOL), x, where(plain, elementwise("Log", above), scaled))


@ufunc(np.expm1)
def expm1(x: Array) -> Array:
    """2 tanh(x / 2) / (1 - tanh(x / 2)) near 0, else e^x - 1."""
    half = elementwise("Tanh", elementwise("Mul", x, number(x, 0.5)))
    near = elementwise("Div", elementwise("Mul", half, number(x, 2)), elementwise("Sub", number(x, 1), half))
    far = elementwise("Sub", elementwise("Exp", x), number(x, 1))
    return where(elementwise("Less", elementwise("Abs", x), number(x, 0.5), dtype=BOOL), near, far)


@ufunc(np.exp2)
def exp2(x: Array) -> Array:
    return elementwise("Pow", number(x, 2), x)


@ufunc(np.log2)
def log2(x: Array) -> Array:
    return elementwise("Div", elementwise("Log", x), number(x, math.log(2)))


@ufunc(np.log10)
def log10(x: Array) -> Array:
    return elementwise("Div", elementwise("Log", x), number(x, math.log(10)))


@ufunc(np.logaddexp)
def logaddexp(a: Array, b: Array) -> Array:
    larger = elementwise("Max", a, b)
    gap = elementwise("Neg", elementwise("Abs", elementwise("Sub", a, b)))
    gap = where(isnan(gap), number(gap, 0), gap)  # both are the same infinity
    return elementwise("Add", larger, log1p(elementwise("Exp", gap)))


@ufunc(np.arctan2)
def arctan2(y: Array, x: Array) -> Array:
    angle = elementwise("Atan", elementwise("Div", y, x))
    turned = where(signbit(y), angle - math.pi, angle + math.pi)
    angle = where(signbit(x), turned, angle)
    origin = (x == 0) & (y == 0)
    return where(origin, where(signbit(x), copysign(number(x, math.pi), y), y), angle)


@ufunc(np.hypot)
def hypot(a: Array, b: Array) -> Array:
    return elementwise("Sqrt", elementwise("Add", square(a), square(b)))


@ufunc(np.heaviside)
def heaviside(x: Array, middle: Array) -> Array:
    side = (elementwise("Sign", x) + 1) * number(x, 0.5)
    return where(isnan(x), x, where(elementwise("Equal", x, number(x, 0), dtype=BOOL), middle, side))


@ufunc(np.deg2rad)
def deg2rad(x: Array) -> Array:
    return elementwise("Mul", x, number(x, math.pi / 180))


@ufunc(np.rad2deg)
def rad2deg(x: Array) -> Array:
    return elementwise("Mul", x, number(x, 180 / math.pi))


ufunc(np.radians)(deg2rad)
ufunc(np.degrees)(rad2deg)


@ufunc(np.matmul)
def matmul(a: Array, b: Array) -> Array:
    left, right = a.shape, b.shape
    if len(left) <= 2 and len(right) <= 2:
        shape: tuple[Any, ...] = (*left[:-1], *right[1:])
    else:
        matrix = (*left[-2:-1], *right[-1:]) if len(right) > 1 else left[-2:-1]
        shape = (*broadcast_shape(left[:-2], right[:-2]), *matrix)
    return a.trace.op("MatMul", a, b, dtype=a.dtype, shape=shape)


def _scipy() -> None:
    """SciPy's special functions, where SciPy is there."""
    try:
        from scipy import special
    except ImportError:
        return

    def stable_sigmoid(x: Array) -> Array:
        return elementwise("Sigmoid", x)

    def log_expit(x: Array) -> Array:
        return elementwise("Neg", logaddexp(number(x, 0), elementwise("Neg", x)))

    def xlogy(a: Array, b: Array) -> Array:
        return where((a == 0) & ~isnan(b), number(a, 0) * elementwise("Identity", a), elementwise("Mul", a, elementwise("Log", b)))

    def xlog1py(a: Array, b: Array) -> Array:
        return where((a == 0) & ~isnan(b), number(a, 0) * elementwise("Identity", a), elementwise("Mul", a, log1p(b)))

    def ndtr(x: Array) -> Array:
        return elementwise("Mul", elementwise("Add", elementwise("Erf", x * (0.5**0.5)), number(x, 1)), number(x, 0.5))

    for function, translation in (
        (special.expit, stable_sigmoid), (special.log_expit, log_expit), (special.erf, lambda x: elementwise("Erf", x)),
        (special.erfc, lambda x: 1 - elementwise("Erf", x)), (special.xlogy, xlogy), (special.xlog1py, xlog1py), (special.ndtr, ndtr),
        (special.logit, lambda x: np.log(x / (1 - x))), (special.exp2, exp2), (special.log1p, log1p), (special.expm1, expm1),
        (special.cbrt, cbrt), (special.inv_boxcox, lambda y, power: np.where(power == 0, np.exp(y), (y * power + 1) ** (1 / power))),
        (special.boxcox, boxcox), (special.psi, _series(special_functions.digamma)), (special.gammaln, _series(special_functions.lgamma)),
        (special.erfinv, _series(special_functions.erfinv)),
    ):  # fmt: skip
        UFUNCS[function] = translation


class _Writer:
    """A trace as the writer of special functions."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace

    def op(self, operator: str, *inputs: Any, **attributes: Any) -> Any:
        return self.trace.b.op(operator, *(self.array(item) if isinstance(item, np.ndarray) else item for item in inputs), **attributes)

    def array(self, array: np.ndarray, /) -> Any:
        return self.trace.constant(array)


def _series(function: Callable[..., Any]) -> Callable[[Array], Array]:
    """A special function in double precision."""

    def traced(x: Array) -> Array:
        kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
        made = function(_Writer(x.trace), x.astype(np.float64).value)
        return Array(x.trace, made, np.dtype(np.float64), x.shape).astype(kind)

    return traced


def boxcox(x: Array, power: Array) -> Array:
    """(x^power - 1) / power, the logarithm for a power of 0."""
    safe = where(elementwise("Equal", power, number(power, 0), dtype=BOOL), number(power, 1), power)
    return where(power == 0, np.log(x), expm1(elementwise("Mul", safe, np.log(x))) / safe)


_scipy()
