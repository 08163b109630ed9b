"""Complex numbers: real arrays with the real and the imaginary part in a last axis; Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter, stored
from onward.converters.jax.registry import complex_primitive
from onward.ir import Value

Pair = tuple[Value, Value]


def parts(c: Emitter, x: Array) -> Pair:
    """The real and the imaginary part."""
    if not x.is_complex:
        value = c.value(x)
        assert value is not None
        return value, c.number(0, x.dtype)
    return tuple(c.op("Gather", x, np.array(place), axis=x.rank) for place in (0, 1))  # type: ignore[return-value]


def joined(c: Emitter, real: Value, imaginary: Value) -> Value:
    """The pairs of two parts of the same shape."""
    return c.op("Concat", c.unsqueeze_last(real), c.unsqueeze_last(imaginary), axis=-1)  # type: ignore[no-any-return]


def _linear(operator: str) -> Any:
    return lambda c, *arguments, **parameters: c.op(operator, *arguments)


for _name, _operator in {"add": "Add", "add_any": "Add", "sub": "Sub", "neg": "Neg"}.items():
    complex_primitive(_name)(_linear(_operator))


@complex_primitive("complex")
def complex_(c: Emitter, real: Array, imaginary: Array) -> Value:
    shape = c.result.shape
    left, right = (c.value(item) if item.shape == shape else c.expand(item, shape) for item in (real, imaginary))
    assert left is not None and right is not None
    return joined(c, left, right)


@complex_primitive("real", "imag")
def part(c: Emitter, x: Array) -> Value:
    return parts(c, x)[int(c.primitive == "imag")]


@complex_primitive("conj")
def conj(c: Emitter, x: Array, **parameters: Any) -> Value:
    real, imaginary = parts(c, x)
    if not x.is_complex:
        return joined(c, real, c.op("Sub", real, real))
    return joined(c, real, c.op("Neg", imaginary))


def product(c: Emitter, left: Pair, right: Pair, operator: str = "Mul") -> Pair:
    (a, b), (x, y) = left, right
    return (
        c.op("Sub", c.op(operator, a, x), c.op(operator, b, y)),
        c.op("Add", c.op(operator, a, y), c.op(operator, b, x)),
    )


@complex_primitive("mul")
def mul(c: Emitter, left: Array, right: Array, **parameters: Any) -> Value:
    return joined(c, *product(c, parts(c, left), parts(c, right)))


@complex_primitive("square")
def square(c: Emitter, x: Array, **parameters: Any) -> Value:
    return mul(c, x, x)


@complex_primitive("div")
def div(c: Emitter, left: Array, right: Array, **parameters: Any) -> Value:
    x, y = parts(c, right)
    real, imaginary = product(c, parts(c, left), (x, c.op("Neg", y)))
    size = c.op("Add", c.op("Mul", x, x), c.op("Mul", y, y))
    return joined(c, c.op("Div", real, size), c.op("Div", imaginary, size))


@complex_primitive("abs")
def absolute(c: Emitter, x: Array) -> Value:
    """The larger part times the root of 1 and the square of the quotient, so that nothing overflows on the way."""
    real, imaginary = (c.op("Abs", item) for item in parts(c, x))
    larger, smaller = c.op("Max", real, imaginary), c.op("Min", real, imaginary)
    dtype = stored(x.dtype)
    quotient = c.op("Div", smaller, c.where(c.op("Equal", larger, c.number(0, dtype)), c.number(1, dtype), larger))
    return c.op("Mul", larger, c.op("Sqrt", c.op("Add", c.number(1, dtype), c.op("Mul", quotient, quotient))))  # type: ignore[no-any-return]


@complex_primitive("exp")
def exp(c: Emitter, x: Array, **parameters: Any) -> Value:
    real, imaginary = parts(c, x)
    size = c.op("Exp", real)
    return joined(c, c.op("Mul", size, c.op("Cos", imaginary)), c.op("Mul", size, c.op("Sin", imaginary)))


@complex_primitive("eq", "ne")
def equal(c: Emitter, left: Array, right: Array) -> Value:
    same = c.op("ReduceMin", c.op("Equal", left, right), np.array([-1]), keepdims=0)
    return same if c.primitive == "eq" else c.op("Not", same)  # type: ignore[no-any-return]


@complex_primitive("convert_element_type")
def convert_element_type(c: Emitter, x: Array, *, new_dtype: Any, **parameters: Any) -> Value:
    kind = np.dtype(stored(new_dtype))
    if not x.is_complex:
        value = c.convert(x, kind)
        return joined(c, value, c.op("Sub", value, value))
    if np.dtype(new_dtype).kind == "c":
        return c.convert(x, kind)
    return c.convert(parts(c, x)[0], new_dtype)


@complex_primitive("reduce_sum")
def reduce_sum(c: Emitter, x: Array, *, axes: Sequence[int], **parameters: Any) -> Value:
    return c.op("ReduceSum", x, np.array(axes, np.int64), keepdims=0) if axes else c.op("Identity", x)  # type: ignore[no-any-return]


@complex_primitive("dot_general")
def dot_general(c: Emitter, left: Array, right: Array, *, dimension_numbers: Any, **parameters: Any) -> Value:
    from onward.converters.jax.operators import products

    def times(one: Value, other: Value) -> Value:
        return products.product(c, one, other, left.rank, right.rank, dimension_numbers)

    (a, b), (x, y) = parts(c, left), parts(c, right)
    return joined(c, c.op("Sub", times(a, x), times(b, y)), c.op("Add", times(a, y), times(b, x)))


@complex_primitive("fft")
def fft(c: Emitter, x: Array, *, fft_type: Any, fft_lengths: Sequence[int]) -> Value:
    """One axis after another; what is real has half of its spectrum."""
    kind = int(fft_type)
    axes = list(range(x.rank - len(fft_lengths), x.rank))
    value = c.value(x) if x.is_complex else c.unsqueeze_last(x)
    if kind == 2:
        value = c.op("DFT", value, None, np.array(axes[-1]), onesided=1)
        axes = axes[:-1]
    others = axes[:-1] if kind == 3 else axes
    for axis in others:
        value = c.op("DFT", value, None, np.array(axis), inverse=int(kind in (1, 3)))
    if kind != 3:
        assert value is not None
        return value
    return _real_inverse(c, value, axes[-1], fft_lengths[-1], stored(x.dtype))


def _real_inverse(c: Emitter, value: Any, axis: int, length: int, dtype: np.dtype) -> Value:
    """The other half of the spectrum is the first turned round and conjugated."""
    if length > 2:
        half = c.slice(value, axis, 1, length - length // 2)
        turned = c.slice(half, axis, -1, np.iinfo(np.int64).min, -1)
        value = c.op("Concat", value, c.op("Mul", turned, c.array(np.array([1, -1], dtype))), axis=axis)
    return c.op("Gather", c.op("DFT", value, None, np.array(axis), inverse=1), np.array(0), axis=-1)  # type: ignore[no-any-return]
