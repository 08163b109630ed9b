"""Functions of complex numbers by their real and imaginary parts, comparisons of them, and operators that move them.

Functions are computed in double precision: the formulas cancel where the real ones are written with care.
Source: Abramowitz and Stegun, Handbook of Mathematical Functions, chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import REAL, Description, Emitter, Tensor
from onward.converters.torch.operators import arithmetic, indexing, reductions, shapes
from onward.converters.torch.operators.complex_numbers import joined, parts, product, real_dtype
from onward.converters.torch.registry import aten_complex
from onward.ir import Value

Pair = tuple[Value, Value]
DOUBLE = torch.float64
Function = Callable[[Emitter, Pair], Pair]


def number(c: Emitter, value: float) -> Value:
    return c.number(value, DOUBLE)


def scaled(c: Emitter, factor: float, z: Pair) -> Pair:
    return c.op("Mul", z[0], number(c, factor)), c.op("Mul", z[1], number(c, factor))


def plus(c: Emitter, z: Pair, real: float) -> Pair:
    return c.op("Add", z[0], number(c, real)), z[1]


def added(c: Emitter, z: Pair, w: Pair) -> Pair:
    return c.op("Add", z[0], w[0]), c.op("Add", z[1], w[1])


def turned(c: Emitter, z: Pair) -> Pair:
    """i z."""
    return c.op("Neg", z[1]), z[0]


def turned_back(c: Emitter, z: Pair) -> Pair:
    """-i z."""
    return z[1], c.op("Neg", z[0])


def size(c: Emitter, z: Pair) -> Value:
    """|z|, without squares that leave the range."""
    larger, smaller = (c.op(onnx, c.op("Abs", z[0]), c.op("Abs", z[1])) for onnx in ("Max", "Min"))
    safe = c.op("Where", c.op("Equal", larger, number(c, 0)), number(c, 1), larger)
    ratio = c.op("Div", smaller, safe)
    return c.op("Mul", larger, c.op("Sqrt", c.op("Add", c.op("Mul", ratio, ratio), number(c, 1))))


def exponential(c: Emitter, z: Pair) -> Pair:
    grown = c.op("Exp", z[0])
    return c.op("Mul", grown, c.op("Cos", z[1])), c.op("Mul", grown, c.op("Sin", z[1]))


def logarithm(c: Emitter, z: Pair) -> Pair:
    return c.op("Log", size(c, z)), arithmetic.arc_tangent(c, z[1], z[0], DOUBLE)


def root(c: Emitter, z: Pair) -> Pair:
    """The square root with a real part that is not negative."""
    half = c.op("Sqrt", c.op("Mul", c.op("Add", size(c, z), c.op("Abs", z[0])), number(c, 0.5)))
    safe = c.op("Where", c.op("Equal", half, number(c, 0)), number(c, 1), half)
    other = c.op("Div", c.op("Mul", z[1], number(c, 0.5)), safe)
    right = c.op("GreaterOrEqual", z[0], number(c, 0))
    below = c.op("Less", z[1], number(c, 0))
    upright = c.op("Where", below, c.op("Neg", half), half)
    return c.op("Where", right, half, c.op("Abs", other)), c.op("Where", right, other, upright)


def inverse(c: Emitter, z: Pair) -> Pair:
    """1 / z; of 0 it is infinite without an angle."""
    square = c.op("Add", c.op("Mul", z[0], z[0]), c.op("Mul", z[1], z[1]))
    real = c.op("Where", c.op("Equal", square, number(c, 0)), number(c, math.inf), c.op("Div", z[0], square))
    return real, c.op("Neg", c.op("Div", z[1], square))


def hyperbolic_sine(c: Emitter, z: Pair) -> Pair:
    return c.op("Mul", c.op("Sinh", z[0]), c.op("Cos", z[1])), c.op("Mul", c.op("Cosh", z[0]), c.op("Sin", z[1]))


def hyperbolic_cosine(c: Emitter, z: Pair) -> Pair:
    return c.op("Mul", c.op("Cosh", z[0]), c.op("Cos", z[1])), c.op("Mul", c.op("Sinh", z[0]), c.op("Sin", z[1]))


def hyperbolic_tangent(c: Emitter, z: Pair) -> Pair:
    """By the tangents of the parts, which do not leave the range."""
    along, across, one = c.op("Tanh", z[0]), c.op("Tan", z[1]), number(c, 1)
    first, second = c.op("Mul", along, along), c.op("Mul", across, across)
    below = c.op("Add", one, c.op("Mul", first, second))
    real = c.op("Div", c.op("Mul", along, c.op("Add", one, second)), below)
    return real, c.op("Div", c.op("Mul", across, c.op("Sub", one, first)), below)


def area_sine(c: Emitter, z: Pair) -> Pair:
    """log(z + sqrt(z z + 1)), of the half where nothing cancels; the function is odd."""
    left = c.op("Less", z[0], number(c, 0))
    sign = c.op("Where", left, number(c, -1), number(c, 1))
    right = (c.op("Mul", z[0], sign), c.op("Mul", z[1], sign))
    found = logarithm(c, added(c, right, root(c, plus(c, product(c, right, right), 1))))
    return c.op("Mul", found[0], sign), c.op("Mul", found[1], sign)


def area_cosine(c: Emitter, z: Pair) -> Pair:
    return logarithm(c, added(c, z, product(c, root(c, plus(c, z, 1)), root(c, plus(c, z, -1)))))


def area_tangent(c: Emitter, z: Pair) -> Pair:
    opposite = (c.op("Neg", z[0]), c.op("Neg", z[1]))
    first, second = logarithm(c, plus(c, z, 1)), logarithm(c, plus(c, opposite, 1))
    return scaled(c, 0.5, (c.op("Sub", first[0], second[0]), c.op("Sub", first[1], second[1])))


def about_the_axis(function: Function) -> Function:
    """The circular function of a hyperbolic one: -i f(i z)."""
    return lambda c, z: turned_back(c, function(c, turned(c, z)))


def arc_cosine(c: Emitter, z: Pair) -> Pair:
    found = about_the_axis(area_sine)(c, z)
    return c.op("Sub", number(c, math.pi / 2), found[0]), c.op("Neg", found[1])


FUNCTIONS: dict[str, Function] = {
    "log": logarithm, "sqrt": root, "reciprocal": inverse, "sinh": hyperbolic_sine, "cosh": hyperbolic_cosine, "tanh": hyperbolic_tangent,
    "asinh": area_sine, "acosh": area_cosine, "atanh": area_tangent, "sin": about_the_axis(hyperbolic_sine),
    "cos": lambda c, z: hyperbolic_cosine(c, turned(c, z)), "tan": about_the_axis(hyperbolic_tangent), "asin": about_the_axis(area_sine),
    "acos": arc_cosine, "atan": about_the_axis(area_tangent), "log2": lambda c, z: scaled(c, 1 / math.log(2), logarithm(c, z)),
    "log10": lambda c, z: scaled(c, 1 / math.log(10), logarithm(c, z)), "log1p": lambda c, z: logarithm(c, plus(c, z, 1)),
    "exp2": lambda c, z: exponential(c, scaled(c, math.log(2), z)), "expm1": lambda c, z: plus(c, exponential(c, z), -1),
    "rsqrt": lambda c, z: inverse(c, root(c, z)),
    "sigmoid": lambda c, z: inverse(c, plus(c, exponential(c, scaled(c, -1, z)), 1)),
}  # fmt: skip


def given_back(c: Emitter, z: Pair) -> Value:
    """The pairs in the type of the result."""
    dtype = real_dtype(c)
    return joined(c, *(part if dtype is DOUBLE else c.convert(part, dtype) for part in z))


def _translation(function: Function) -> Any:
    return lambda c, x: given_back(c, function(c, parts(c, x, DOUBLE)))


for _name, _function in FUNCTIONS.items():
    aten_complex(_name)(_translation(_function))


@aten_complex("pow")
def power(c: Emitter, base: Any, exponent: Any) -> Value:
    """exp(w log z). Of 0 it is 0 for exponents with a positive real part, infinite for negative ones, no number for the others but the number 0."""
    z, w = parts(c, base, DOUBLE), parts(c, exponent, DOUBLE)
    nothing = _both(c, "Equal", z, (number(c, 0), number(c, 0)), "And")
    safe = (c.op("Where", nothing, number(c, 1), z[0]), z[1])
    found = exponential(c, product(c, w, logarithm(c, safe)))
    odd, zero = number(c, math.nan), number(c, 0)
    positive, negative = c.op("Greater", w[0], zero), c.op("Less", w[0], zero)
    real = c.op("Where", positive, zero, c.op("Where", negative, number(c, math.inf), odd))
    imaginary = c.op("Where", positive, zero, odd)
    if not isinstance(exponent, Tensor) and exponent == 0:
        real, imaginary = number(c, 1), zero
    return given_back(c, (c.op("Where", nothing, real, found[0]), c.op("Where", nothing, imaginary, found[1])))


def _both(c: Emitter, onnx: str, z: Pair, w: Pair, joining: str) -> Value:
    return c.op(joining, c.op(onnx, z[0], w[0]), c.op(onnx, z[1], w[1]))


@aten_complex("eq", "ne")
def equal(c: Emitter, left: Any, right: Any) -> Value:
    same = _both(c, "Equal", parts(c, left, DOUBLE), parts(c, right, DOUBLE), "And")
    return c.op("Not", same) if "::ne" in c.operator else same


def _truth(c: Emitter, x: Any) -> Value:
    """Whether numbers are not 0."""
    return c.op("Not", _both(c, "Equal", parts(c, x, DOUBLE), (number(c, 0), number(c, 0)), "And"))


@aten_complex("logical_not")
def logical_not(c: Emitter, x: Tensor) -> Value:
    return c.op("Not", _truth(c, x))


@aten_complex("logical_and", "logical_or", "logical_xor")
def logical(c: Emitter, left: Tensor, right: Tensor) -> Value:
    return c.op(c.operator.rpartition("_")[2].title(), _truth(c, left), _truth(c, right))


@aten_complex("var.correction", "std.correction", "var_mean.correction", "std_mean.correction")
def variance(c: Emitter, x: Tensor, dims: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    """The sum of those of the parts, which is real."""
    dtype = REAL[x.dtype]
    moments = [reductions.moments(c, Tensor(part, dtype, x.shape), dims, correction, keepdim) for part in parts(c, x, dtype)]
    found = c.op("Add", moments[0][0], moments[1][0])
    if "std" in c.operator:
        found = c.op("Sqrt", found)
    return [found, joined(c, moments[0][1], moments[1][1])] if "_mean" in c.operator else found


def pairs(c: Emitter, item: Any) -> Value:
    """Numbers, complex or not, as pairs in the type of the result."""
    dtype = real_dtype(c)
    whole = isinstance(item, Tensor) and item.is_complex and REAL[item.dtype] is dtype
    return item.value if whole else joined(c, *parts(c, item, dtype))


@aten_complex("scalar_tensor")
def scalar_tensor(c: Emitter, item: Any, **options: Any) -> Value:
    return pairs(c, item)


@aten_complex("where.self", "where.Scalar", "where.ScalarSelf", "where.ScalarOther")
def where(c: Emitter, condition: Tensor, left: Any, right: Any) -> Value:
    test = c.op("Unsqueeze", c.cast(condition, torch.bool), np.array([-1]))
    return c.op("Where", test, pairs(c, left), pairs(c, right))


@aten_complex("masked_fill")
def masked_fill(c: Emitter, x: Tensor, mask: Tensor, value: Any) -> Value:
    return where(c, mask, value, x)


def moved(c: Emitter, function: Callable[..., Value], x: Tensor, *arguments: Any) -> Value:
    """What an operator that moves numbers makes of pairs as rows: its other arguments speak of one more dimension."""
    result = c.result
    c.result = Description(REAL[result.dtype], (*result.shape, 2))
    found = function(c, _rows(x), *arguments)
    c.result = result
    return found


def _rows(x: Tensor) -> Tensor:
    return Tensor(x.value, REAL[x.dtype], (*x.shape, 2))


@aten_complex("index.Tensor", "_unsafe_index.Tensor")
def index(c: Emitter, x: Tensor, indices: list[Any]) -> Value:
    return moved(c, indexing.index, x, [*indices, *[None] * (x.rank - len(indices))] if x.rank > len(indices) else indices)


@aten_complex("index_put", "_unsafe_index_put")
def index_put(c: Emitter, x: Tensor, indices: list[Any], values: Tensor, accumulate: bool = False) -> Value:
    return moved(c, indexing.index_put, x, indices, Tensor(pairs(c, values), REAL[x.dtype], (*values.shape, 2)), accumulate)


@aten_complex("index_select")
def index_select(c: Emitter, x: Tensor, dim: int, index: Tensor) -> Value:
    return x.value if x.rank == 0 else moved(c, indexing.index_select, x, x.axis(dim), index)


@aten_complex("gather", "scatter.src", "scatter_add")
def elements(c: Emitter, x: Tensor, dim: int, index: Tensor, *source: Any, **options: Any) -> Value:
    if x.rank == 0:
        return moved(c, lambda c, row: source[0].value if source else row.value, x)
    wide = c.op("Expand", c.op("Unsqueeze", index, np.array([-1])), np.array([2]))
    function = indexing.scatter if source else indexing.gather
    return moved(c, function, x, x.axis(dim), Tensor(wide, index.dtype, (*index.shape, 2)), *map(_rows, source))


@aten_complex("as_strided", "as_strided_copy")
def as_strided(c: Emitter, x: Tensor, sizes: list[int], strides: list[int], offset: int | None = 0) -> Value:
    return moved(c, shapes.as_strided, x, [*sizes, 2], [*(2 * stride for stride in strides), 1], 2 * (offset or 0))


@aten_complex("unfold")
def unfold(c: Emitter, x: Tensor, dim: int, size: int, step: int) -> Value:
    """The place in the window comes before the parts."""
    if x.rank == 0:
        return c.reshape(x, [1, 2])
    return c.transpose(moved(c, shapes.unfold, x, x.axis(dim), size, step), [*range(x.rank), x.rank + 1, x.rank])


@aten_complex("masked_select")
def masked_select(c: Emitter, x: Tensor, mask: Tensor) -> Value:
    wide = Tensor(c.op("Unsqueeze", mask, np.array([-1])), mask.dtype, (*mask.shape, 1))
    return c.reshape(moved(c, indexing.masked_select, x, wide), [-1, 2])


@aten_complex("isnan")
def isnan(c: Emitter, x: Tensor) -> Value:
    real, imaginary = parts(c, x, REAL[x.dtype])
    return c.op("Or", c.op("IsNaN", real), c.op("IsNaN", imaginary))


@aten_complex("cumsum")
def cumsum(c: Emitter, x: Tensor, dim: int, dtype: Any = None) -> Value:
    return pairs(c, x) if x.rank == 0 else c.op("CumSum", pairs(c, x), np.array(x.axis(dim)))


@aten_complex("copy")
def copy(c: Emitter, x: Tensor, source: Any, non_blocking: bool = False) -> Value:
    return c.op("Expand", pairs(c, source), c.op("Concat", c.shape(x), np.array([2]), axis=0))
