"""Complex numbers: real tensors with the real and the imaginary part in a last axis; Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import REAL, Emitter, Tensor
from onward.converters.tensorflow.operators.arithmetic import arc_tangent
from onward.converters.tensorflow.registry import OPERATORS, complex_operator
from onward.ir import Value

PARTWISE = (
    "Reshape", "ExpandDims", "Squeeze", "Transpose", "BroadcastTo", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "Slice", "StridedSlice", "Pad", "Tile",
    "ReverseV2", "Roll", "GatherV2", "GatherNd", "SelectV2", "Sum", "Mean", "Cumsum",
)  # fmt: skip
"""Operators that do the same to the real and to the imaginary parts."""


def parts(c: Emitter, x: Any) -> tuple[Value, Value]:
    """The real and the imaginary part."""
    return tuple(c.op("Gather", x, np.array(place), axis=-1) for place in (0, 1))  # type: ignore[return-value]


def joined(c: Emitter, real: Value, imaginary: Value) -> Value:
    """The pairs of two parts of one shape."""
    return c.op("Concat", c.unsqueeze(real, -1), c.unsqueeze(imaginary, -1), axis=-1)


def product(c: Emitter, left: tuple[Value, Value], right: tuple[Value, Value]) -> tuple[Value, Value]:
    """(a + bi) (x + yi)."""
    (a, b), (x, y) = left, right
    return c.op("Sub", c.op("Mul", a, x), c.op("Mul", b, y)), c.op("Add", c.op("Mul", a, y), c.op("Mul", b, x))


def squared(c: Emitter, pair: tuple[Value, Value]) -> Value:
    """The square of the size."""
    return c.op("Add", c.op("Mul", pair[0], pair[0]), c.op("Mul", pair[1], pair[1]))


@complex_operator(*PARTWISE)
def partwise(c: Emitter, op: Any, *inputs: Tensor) -> Any:
    """What the operator does to real numbers, done to both parts."""
    found = []
    for place in range(2):
        given = [_part(c, item, place) if item.is_complex else item for item in inputs]
        made = OPERATORS[op.type](c, op, *given)
        found.append(made if isinstance(made, list) else [made])
    results = [joined(c, *pair) for pair in zip(*found)]
    return results if len(results) > 1 else results[0]


def _part(c: Emitter, x: Tensor, place: int) -> Tensor:
    """One of the parts, as TensorFlow would know it."""
    with x.shadow.graph.as_default():
        shadow = tf.compat.v1.placeholder(REAL[x.dtype], x.shadow.shape)
    return Tensor(c, shadow, parts(c, x)[place])


@complex_operator("MatMul", "BatchMatMulV2")
def matrix_product(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    """Four products of real matrices."""
    flags = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    given = []
    for item, flag in zip((a, b), flags):
        real, imaginary = parts(c, item)
        if op[flag]:
            order = [*range(item.rank - 2), item.rank - 1, item.rank - 2]
            real, imaginary = c.transpose(real, order), c.transpose(imaginary, order)
            imaginary = c.op("Neg", imaginary) if flag.startswith("adj") else imaginary
        given.append((real, imaginary))
    (left, above), (right, below) = given
    return joined(
        c, c.op("Sub", c.op("MatMul", left, right), c.op("MatMul", above, below)), c.op("Add", c.op("MatMul", left, below), c.op("MatMul", above, right))
    )  # fmt: skip


@complex_operator("ConjugateTranspose")
def conjugate_transpose(c: Emitter, op: Any, x: Tensor, order: Tensor) -> Value:
    return c.op("Mul", partwise(c, op, x, order), c.number([1, -1], x))


@complex_operator("Square")
def square(c: Emitter, op: Any, x: Tensor) -> Value:
    return joined(c, *product(c, parts(c, x), parts(c, x)))


@complex_operator("Complex")
def complex_(c: Emitter, op: Any, real: Tensor, imaginary: Tensor) -> Value:
    zero = c.op("Mul", c.op("Add", real, imaginary), c.number(0, real))
    return joined(c, *(c.op("Expand", part, c.op("Shape", zero)) for part in (real, imaginary)))


@complex_operator("Real", "Imag")
def part(c: Emitter, op: Any, x: Tensor) -> Value:
    return parts(c, x)[op.type == "Imag"]


@complex_operator("ComplexAbs")
def size(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("ReduceL2", x, [-1], keepdims=0)


@complex_operator("Angle")
def angle(c: Emitter, op: Any, x: Tensor) -> Value:
    real, imaginary = parts(c, x)
    return arc_tangent(c, imaginary, real, x)


@complex_operator("Conj")
def conjugate(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Mul", x, c.number([1, -1], x))


@complex_operator("Neg")
def negative(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Neg", x)


@complex_operator("AddV2", "Add", "Sub")
def total(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    onnx = "Sub" if op.type == "Sub" else "Add"
    return joined(c, *(c.op(onnx, left, right) for left, right in zip(parts(c, a), parts(c, b))))


@complex_operator("Mul")
def multiplied(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return joined(c, *product(c, parts(c, a), parts(c, b)))


@complex_operator("RealDiv")
def divided(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    real, imaginary = parts(c, b)
    above = product(c, parts(c, a), (real, c.op("Neg", imaginary)))
    below = squared(c, (real, imaginary))
    return joined(c, *(c.op("Div", item, below) for item in above))


@complex_operator("Exp")
def exponential(c: Emitter, op: Any, x: Tensor) -> Value:
    real, imaginary = parts(c, x)
    length = c.op("Exp", real)
    return joined(c, c.op("Mul", length, c.op("Cos", imaginary)), c.op("Mul", length, c.op("Sin", imaginary)))


def transformed(c: Emitter, value: Value, axes: list[int], inverse: bool) -> Value:
    """A transform of pairs along several axes, counted from behind with the axis of the pairs."""
    for axis in axes:
        value = c.op("DFT", value, None, np.array(axis), inverse=int(inverse))
    return value


@complex_operator("FFT", "IFFT", "FFT2D", "IFFT2D", "FFT3D", "IFFT3D")
def fourier(c: Emitter, op: Any, x: Tensor) -> Value:
    return transformed(c, x.value, [-2 - axis for axis in range(_axes(op.type))], op.type.startswith("I"))


def _axes(name: str) -> int:
    return int(name[-2]) if name.endswith("D") else 1


def resized(c: Emitter, value: Value, axis: int, rank: int, extent: int, like: Any) -> Value:
    """An axis cut or filled with zeros to an extent."""
    place = rank + axis
    missing = c.op("Max", c.op("Sub", np.array([extent]), c.op("Shape", value, start=place, end=place + 1)), np.array([0]))
    longer = c.op("Pad", value, c.op("Concat", np.array([0]), missing, axis=0), c.number(0, like), [place])
    return c.op("Slice", longer, [0], [extent], [place])


@complex_operator("RFFT", "RFFT2D", "RFFT3D")
def fourier_of_real(c: Emitter, op: Any, x: Tensor, lengths: Tensor) -> Value:
    """The first half along the last axis."""
    sizes = c.known(lengths, "the length of the transform").tolist()
    value = c.unsqueeze(x, -1)
    for place, extent in enumerate(reversed(sizes)):
        value = resized(c, value, -2 - place, x.rank + 1, extent, x)
    zeros = c.op("Mul", value, c.number(0, x))
    value = transformed(c, c.op("Concat", value, zeros, axis=-1), [-2 - axis for axis in range(len(sizes))], False)
    return c.op("Slice", value, [0], [sizes[-1] // 2 + 1], [-2])


@complex_operator("IRFFT", "IRFFT2D", "IRFFT3D")
def real_of_fourier(c: Emitter, op: Any, x: Tensor, lengths: Tensor) -> Value:
    """The second half of the last axis is the conjugate of the first, mirrored once the other axes are done."""
    sizes = c.known(lengths, "the length of the transform").tolist()
    last, rank = sizes[-1], x.rank + 1
    value = x.value
    for place, extent in enumerate(reversed([*sizes[:-1], last // 2 + 1])):
        value = resized(c, value, -2 - place, rank, extent, x)
    value = transformed(c, value, [-3 - axis for axis in range(len(sizes) - 1)], True)
    if last > 2:
        rest = c.op("Slice", value, [(last + 1) // 2 - 1], [0], [rank - 2], [-1])
        value = c.op("Concat", value, c.op("Mul", rest, c.number([1, -1], x)), axis=-2)
    return c.op("Gather", transformed(c, value, [-2], True), np.array(0), axis=-1)
