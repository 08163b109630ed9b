"""Operators written as older ones, for versions in which they are not there yet.

Only operators are used that exist since version 7 or so, in the form of the version below the one the operator came with;
what of them is newer still is converted in its turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onward.ir import DataType, TensorType, Value
from onward.tools.rewriting import CannotConvert, Place

EXPANSIONS: dict[str, Callable[[Place], None]] = {}


def expansion(name: str) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """Registers how an operator is written as older ones."""

    def register(function: Callable[[Place], None]) -> Callable[[Place], None]:
        EXPANSIONS[name] = function
        return function

    return register


def number(place: Place, value: float, like: Value) -> Value:
    """A constant of the type of another value."""
    return place.constant(np.array(value), place.dtype(like))


@expansion("LessOrEqual")
def less_or_equal(place: Place) -> None:
    """x <= y is x < y or x = y."""
    _either(place, "Less")


@expansion("GreaterOrEqual")
def greater_or_equal(place: Place) -> None:
    """x >= y is x > y or x = y."""
    _either(place, "Greater")


def _either(place: Place, strict: str) -> None:
    x, y = place.input(0), place.input(1)
    kind = TensorType(DataType.BOOL, x.shape if x.shape == y.shape else None)
    place.become("Or", place.add(strict, x, y, type=kind), place.add("Equal", x, y, type=kind))


@expansion("Gelu")
def gelu(place: Place) -> None:
    """0.5 x (1 + erf(x / sqrt(2))), or its approximation by tanh."""
    x = place.input(0)
    if place.attribute("approximate", "none") == "tanh":
        cube = place.add("Mul", x, place.add("Mul", x, x))
        inner = place.add("Add", x, place.add("Mul", cube, number(place, 0.044715, x)))
        bell = place.add("Tanh", place.add("Mul", inner, number(place, math.sqrt(2 / math.pi), x)))
    else:
        bell = place.add("Erf", place.add("Mul", x, number(place, math.sqrt(0.5), x)))
    half = place.add("Mul", x, number(place, 0.5, x))
    place.become("Mul", half, place.add("Add", bell, number(place, 1.0, x)))


@expansion("HardSwish")
def hard_swish(place: Place) -> None:
    """x HardSigmoid(x)."""
    x = place.input(0)
    place.become("Mul", x, place.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))


@expansion("Swish")
def swish(place: Place) -> None:
    """x sigmoid(alpha x)."""
    x, alpha = place.input(0), place.attribute("alpha", 1.0)
    inner = x if alpha == 1 else place.add("Mul", x, number(place, alpha, x))
    place.become("Mul", x, place.add("Sigmoid", inner))


@expansion("SwiGLU")
def swish_gated_linear_unit(place: Place) -> None:
    """Swish(a) b."""
    a, alpha = place.input(0), place.attribute("alpha", 1.0)
    inner = a if alpha == 1 else place.add("Mul", a, number(place, alpha, a))
    place.become("Mul", place.add("Mul", a, place.add("Sigmoid", inner)), place.input(1))


@expansion("Mish")
def mish(place: Place) -> None:
    """x tanh(log(1 + exp(x)))."""
    x = place.input(0)
    place.become("Mul", x, place.add("Tanh", place.add("Softplus", x)))


@expansion("Celu")
def celu(place: Place) -> None:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    x, alpha = place.input(0), place.attribute("alpha", 1.0)
    scaled = place.add("Elu", place.add("Div", x, number(place, alpha, x)), alpha=1.0)
    place.become("Mul", scaled, number(place, alpha, x))


@expansion("CastLike")
def cast_like(place: Place) -> None:
    """A cast to a type that is known by now."""
    place.become("Cast", place.input(0), to=int(place.dtype(place.input(1))))


def _axes_from(place: Place, x: Value) -> list[int]:
    axis, rank = place.attribute("axis", -1), place.rank(x)
    return list(range(axis if axis >= 0 else axis + rank, rank))


@expansion("LayerNormalization")
def layer_normalization(place: Place) -> None:
    """Centred, scaled to a deviation of 1, times scale, plus bias. Written in version 16."""
    x, scale, bias = place.input(0), place.input(1), place.optional(2)
    axes = [item - place.rank(x) for item in _axes_from(place, x)]
    mean = place.add("ReduceMean", x, axes=axes, keepdims=1)
    centred = place.add("Sub", x, mean)
    variance = place.add("ReduceMean", place.add("Mul", centred, centred), axes=axes, keepdims=1)
    epsilon = number(place, place.attribute("epsilon", 1e-5), x)
    deviation = place.add("Sqrt", place.add("Add", variance, epsilon))
    normal = place.add("Div", centred, deviation)
    if len(place.node.outputs) > 2:
        place.give(2, "Reciprocal", deviation)
    if len(place.node.outputs) > 1:
        place.give(1, "Identity", mean)
    if bias is None:
        place.become("Mul", normal, scale)
    else:
        place.become("Add", place.add("Mul", normal, scale), bias)


@expansion("RMSNormalization")
def rms_normalization(place: Place) -> None:
    """Scaled to a mean square of 1, times scale. Written in version 22."""
    x, scale = place.input(0), place.input(1)
    axes = place.constant(_axes_from(place, x), hint="axes")
    square = place.add("ReduceMean", place.add("Mul", x, x), axes, keepdims=1)
    root = place.add("Sqrt", place.add("Add", square, number(place, place.attribute("epsilon", 1e-5), x)))
    place.become("Mul", place.add("Div", x, root), scale)


@expansion("GroupNormalization")
def group_normalization(place: Place) -> None:
    """InstanceNormalization of the groups, then scale and bias of the groups. Written in version 17."""
    x, groups = place.input(0), place.attribute("num_groups")
    rank = place.rank(x)
    shape = place.add("Shape", x, type=place.shape_type(rank))
    rows = place.add("Reshape", x, place.constant([0, groups, -1], hint="groups"))
    ones, zeros = (place.constant(np.full(groups, item), place.dtype(x)) for item in (1.0, 0.0))
    normal = place.add("InstanceNormalization", rows, ones, zeros, epsilon=place.attribute("epsilon", 1e-5))
    column = place.constant([1, groups, 1], hint="column")
    scale, bias = (place.add("Reshape", place.input(index), column) for index in (1, 2))
    result = place.add("Add", place.add("Mul", normal, scale), bias)
    place.become("Reshape", result, shape)


@expansion("MeanVarianceNormalization")
def mean_variance_normalization(place: Place) -> None:
    """Centred and scaled over some axes. Written in version 8."""
    x, axes = place.input(0), place.attribute("axes") or [0, 2, 3]
    centred = place.add("Sub", x, place.add("ReduceMean", x, axes=axes, keepdims=1))
    square = place.add("ReduceMean", place.add("Mul", centred, centred), axes=axes, keepdims=1)
    root = place.add("Add", place.add("Sqrt", square), number(place, 1e-9, x))
    place.become("Div", centred, root)


@expansion("ThresholdedRelu")
def thresholded_relu(place: Place) -> None:
    """x where x > alpha. Written in version 9."""
    x = place.input(0)
    bound = number(place, place.attribute("alpha", 1.0), x)
    flag = place.add("Greater", x, bound, type=TensorType(DataType.BOOL, x.shape))
    place.become("Mul", x, place.add("Cast", flag, type=x.type, to=int(place.dtype(x))))


@expansion("Shrink")
def shrink(place: Place) -> None:
    """x - bias above lambd, x + bias below -lambd, else 0. Written in version 8."""
    x = place.input(0)
    bound, bias = place.attribute("lambd", 0.5), place.attribute("bias", 0.0)
    kind, flags = int(place.dtype(x)), TensorType(DataType.BOOL, x.shape)
    above = place.add("Cast", place.add("Greater", x, number(place, bound, x), type=flags), type=x.type, to=kind)
    below = place.add("Cast", place.add("Less", x, number(place, -bound, x), type=flags), type=x.type, to=kind)
    left = place.add("Mul", place.add("Sub", x, number(place, bias, x)), above)
    right = place.add("Mul", place.add("Add", x, number(place, bias, x)), below)
    place.become("Add", left, right)


@expansion("Sign")
def sign(place: Place) -> None:
    """(x > 0) - (x < 0). Written in version 8."""
    x = place.input(0)
    kind, flags = int(place.dtype(x)), TensorType(DataType.BOOL, x.shape)
    zero = number(place, 0.0, x)
    above = place.add("Cast", place.add("Greater", x, zero, type=flags), type=x.type, to=kind)
    below = place.add("Cast", place.add("Less", x, zero, type=flags), type=x.type, to=kind)
    place.become("Sub", above, below)


@expansion("Where")
def where(place: Place) -> None:
    """condition x + (1 - condition) y, for finite elements. Written in version 8."""
    condition, x, y = place.input(0), place.input(1), place.input(2)
    if not all(value.tensor is not None and np.isfinite(value.tensor.numpy()).all() for value in (x, y)):
        raise CannotConvert("older operators would make NaN of infinite elements that are not chosen")
    kind = int(place.dtype(x))
    flag = place.add("Cast", condition, type=TensorType(place.dtype(x), condition.shape), to=kind)
    rest = place.add("Sub", number(place, 1.0, x), flag)
    place.become("Add", place.add("Mul", flag, x), place.add("Mul", rest, y))
