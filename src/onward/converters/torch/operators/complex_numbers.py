"""Complex numbers: real tensors with the real and the imaginary part in a last dimension; Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import REAL, Emitter, Scalar, Tensor
from onward.converters.torch.operators import arithmetic, reductions, shapes, sorting, unary
from onward.converters.torch.registry import aten_complex
from onward.ir import Value
from onward.ir.datatypes import DataType


def real_dtype(c: Emitter) -> torch.dtype:
    """The type of the parts of the result."""
    dtype = unary.result_dtype(c)
    return REAL.get(dtype, dtype)


def parts(c: Emitter, item: Any, dtype: torch.dtype) -> tuple[Value, Value]:
    """The real and the imaginary part of a tensor or number, complex or not."""
    if isinstance(item, Tensor) and item.is_complex:
        value = item.value if REAL[item.dtype] is dtype else c.convert(item.value, dtype)
        return tuple(c.op("Gather", value, np.array(place), axis=-1) for place in (0, 1))  # type: ignore[return-value]
    if isinstance(item, complex):
        return c.number(item.real, dtype), c.number(item.imag, dtype)
    return c.number(item, dtype), c.number(0, dtype)


def joined(c: Emitter, real: Value, imaginary: Value) -> Value:
    """The pairs of two parts, which broadcast."""
    shape = c.op("Shape", c.op("Add", real, imaginary))
    pair = [c.op("Unsqueeze", c.op("Expand", part, shape), np.array([-1])) for part in (real, imaginary)]
    return c.op("Concat", *pair, axis=-1)


@aten_complex("add")
def add(c: Emitter, left: Any, right: Any, alpha: Any = 1) -> Value:
    dtype = real_dtype(c)
    (a, b), (x, y) = parts(c, left, dtype), parts(c, right, dtype)
    if alpha != 1:
        x, y = (c.op("Mul", part, c.number(alpha, dtype)) for part in (x, y))
    return joined(c, c.op("Add", a, x), c.op("Add", b, y))


@aten_complex("sub")
def sub(c: Emitter, left: Any, right: Any, alpha: Any = 1) -> Value:
    return add(c, left, right, -alpha)


@aten_complex("mul")
def mul(c: Emitter, left: Any, right: Any) -> Value:
    dtype = real_dtype(c)
    return joined(c, *product(c, parts(c, left, dtype), parts(c, right, dtype)))


def product(c: Emitter, left: tuple[Value, Value], right: tuple[Value, Value]) -> tuple[Value, Value]:
    (a, b), (x, y) = left, right
    return (
        c.op("Sub", c.op("Mul", a, x), c.op("Mul", b, y)),
        c.op("Add", c.op("Mul", a, y), c.op("Mul", b, x)),
    )


@aten_complex("div")
def div(c: Emitter, left: Any, right: Any) -> Value:
    dtype = real_dtype(c)
    (a, b), (x, y) = parts(c, left, dtype), parts(c, right, dtype)
    real, imaginary = product(c, (a, b), (x, c.op("Neg", y)))
    size = c.op("Add", c.op("Mul", x, x), c.op("Mul", y, y))
    return joined(c, c.op("Div", real, size), c.op("Div", imaginary, size))


@aten_complex("mm", "bmm", "matmul")
def matmul(c: Emitter, left: Tensor, right: Tensor) -> Value:
    dtype = real_dtype(c)
    (a, b), (x, y) = parts(c, left, dtype), parts(c, right, dtype)
    real = c.op("Sub", c.op("MatMul", a, x), c.op("MatMul", b, y))
    return joined(c, real, c.op("Add", c.op("MatMul", a, y), c.op("MatMul", b, x)))


@aten_complex("neg")
def neg(c: Emitter, x: Tensor) -> Value:
    return c.op("Neg", x)


@aten_complex("_conj", "conj", "_conj_physical", "conj_physical")
def conj(c: Emitter, x: Tensor) -> Value:
    return c.op("Mul", x, c.number(np.array([1.0, -1.0]), real_dtype(c)))


@aten_complex("view_as_real", "view_as_real_copy", "view_as_complex", "view_as_complex_copy", "alias", "clone", "detach",
              "contiguous", "resolve_conj", "resolve_neg", "lift_fresh_copy")  # fmt: skip
def same(c: Emitter, x: Tensor, *arguments: Any, **options: Any) -> Value:
    return x.value


@aten_complex("real", "imag")
def part(c: Emitter, x: Tensor) -> Value:
    return c.op("Gather", x, np.array(int(c.operator.endswith("imag"))), axis=-1)


@aten_complex("complex")
def complex_(c: Emitter, real: Tensor, imaginary: Tensor) -> Value:
    return joined(c, real.value, imaginary.value)


@aten_complex("polar")
def polar(c: Emitter, size: Tensor, angle: Tensor) -> Value:
    return joined(c, c.op("Mul", size, c.op("Cos", angle)), c.op("Mul", size, c.op("Sin", angle)))


@aten_complex("abs")
def absolute(c: Emitter, x: Tensor) -> Value:
    return c.op("ReduceL2", x, [-1], keepdims=0)


@aten_complex("angle")
def angle(c: Emitter, x: Tensor) -> Value:
    dtype = real_dtype(c)
    real, imaginary = parts(c, x, dtype)
    return arithmetic.arc_tangent(c, imaginary, real, dtype)


@aten_complex("exp")
def exp(c: Emitter, x: Tensor) -> Value:
    real, imaginary = parts(c, x, real_dtype(c))
    size = c.op("Exp", real)
    return joined(c, c.op("Mul", size, c.op("Cos", imaginary)), c.op("Mul", size, c.op("Sin", imaginary)))


@aten_complex("_to_copy")
def to_copy(c: Emitter, x: Tensor, dtype: Any = None, **options: Any) -> Value:
    result = unary.result_dtype(c)
    if x.is_complex and result.is_complex:
        return x.value if x.dtype is result else c.convert(x.value, REAL[result])
    if x.is_complex:
        return c.convert(c.op("Gather", x, np.array(0), axis=-1), result)
    value = c.cast(x, REAL[result])
    return joined(c, value, c.number(0, REAL[result]))


@aten_complex("full", "zeros", "ones", "new_zeros", "full_like", "zeros_like", "ones_like")
def full(c: Emitter, first: Any, *arguments: Any, **options: Any) -> Value:
    dtype = real_dtype(c)
    value = {"zeros": 0, "ones": 1, "new_zeros": 0, "zeros_like": 0, "ones_like": 1}.get(c.operator.partition("::")[2])
    value = arguments[-1] if value is None else value
    sizes = first if isinstance(first, list) else arguments[0] if arguments and isinstance(arguments[0], list) else None
    shape = c.sizes(sizes) if sizes is not None else c.shape(first)
    real, imaginary = parts(c, value, dtype)
    return joined(c, c.op("Expand", real, shape), c.op("Expand", imaginary, shape))


@aten_complex("sum", "sum.dim_IntList", "mean", "mean.dim")
def sum_(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    onnx = "ReduceMean" if "mean" in c.operator else "ReduceSum"
    return reductions.reduced(c, onnx, x, reductions.axes_of(x, dims), keepdim)


# A translation that leaves the last dimension alone serves for pairs as it is.
for _names, _function in [
    (("slice.Tensor",), shapes.slice_), (("select.int",), shapes.select), (("unsqueeze",), shapes.unsqueeze),
    (("squeeze",), shapes.squeeze), (("flip",), shapes.flip), (("sym_size.int",), shapes.sym_size),
    (("unbind.int",), shapes.unbind), (("split_with_sizes",), shapes.split_with_sizes),
]:  # fmt: skip
    aten_complex(*_names)(_function)


@aten_complex("cat")
def cat(c: Emitter, tensors: list[Tensor], dim: int = 0) -> Value:
    dtype = real_dtype(c)
    values = [item.value if item.is_complex and REAL[item.dtype] is dtype else joined(c, *parts(c, item, dtype)) for item in tensors]
    return c.op("Concat", *values, axis=tensors[0].axis(dim))


@aten_complex("permute")
def permute(c: Emitter, x: Tensor, dims: list[int]) -> Value:
    return c.transpose(x, [*[x.axis(dim) for dim in dims], x.rank])


@aten_complex("view", "reshape", "_unsafe_view")
def view(c: Emitter, x: Tensor, sizes: Any) -> Value:
    return c.reshape(x, [*c.known_sizes(sizes, c.result.shape), 2])


@aten_complex("expand")
def expand(c: Emitter, x: Tensor, sizes: list[Any], implicit: bool = False) -> Value:
    return c.op("Expand", x, [*[1 if item == -1 else item for item in sizes], 2])


@aten_complex("constant_pad_nd")
def pad(c: Emitter, x: Tensor, padding: list[Any], value: Any = 0) -> Value:
    return shapes._padded(c, Tensor(x.value, REAL[x.dtype], (*x.shape, 2)), [0, 0, *padding], "constant", c.number(0, REAL[x.dtype]))


def _transformed(c: Emitter, value: Value, axes: list[int], normalization: int, inverse: bool, sizes: list[Any]) -> Value:
    """Along several axes; normalization is none, 1/sqrt(n) or 1/n. ONNX divides by n in the inverse direction."""
    for axis in axes:
        value = c.op("DFT", value, None, np.array(axis), inverse=int(inverse))
    kind = c.real
    count = c.number(1.0, kind)
    for size in sizes:
        count = c.op("Mul", count, c.number(size, kind))
    if inverse:
        factor = {0: count, 1: c.op("Sqrt", count), 2: None}[normalization]
    else:
        factor = {0: None, 1: c.op("Reciprocal", c.op("Sqrt", count)), 2: c.op("Reciprocal", count)}[normalization]
    return value if factor is None else c.op("Mul", value, factor)


@aten_complex("_fft_c2c")
def fft_c2c(c: Emitter, x: Tensor, dims: list[int], normalization: int, forward: bool) -> Value:
    axes = [x.axis(dim) for dim in dims]
    c.real = REAL[x.dtype]
    return _transformed(c, x.value, axes, normalization, not forward, [c.size(x, axis) for axis in axes])


@aten_complex("_fft_r2c")
def fft_r2c(c: Emitter, x: Tensor, dims: list[int], normalization: int, onesided: bool) -> Value:
    axes = [x.axis(dim) for dim in dims]
    c.real = x.dtype
    sizes = [c.size(x, axis) for axis in axes]
    made = _transformed(c, joined(c, x.value, c.number(0, x.dtype)), axes, normalization, False, sizes)
    if not onesided:
        return made
    half = c.op("Add", c.op("Div", c.sizes([sizes[-1]]), np.array([2])), np.array([1]))
    return c.op("Slice", made, [0], half, [axes[-1]])


@aten_complex("_fft_c2r")
def fft_c2r(c: Emitter, x: Tensor, dims: list[int], normalization: int, size: Any) -> Value:
    """The other half of the last axis is the conjugate, mirrored along all axes transformed; the others go first."""
    axes = [x.axis(dim) for dim in dims]
    c.real = REAL[x.dtype]
    value = x.value
    for axis in axes[:-1]:
        value = c.op("DFT", value, None, np.array(axis), inverse=1)
    last = axes[-1]
    if isinstance(size, Scalar):
        mirrored = c.op("Div", c.op("Add", c.sizes([size]), np.array([1])), np.array([2]))
    else:
        mirrored = c.sizes([(size + 1) // 2])
    # A size may ask for more than is there; the rest is zero.
    needed = c.op("Add", c.op("Div", c.sizes([size]), np.array([2])), np.array([1]))
    missing = c.op("Max", c.op("Sub", needed, c.op("Shape", value, start=last, end=last + 1)), np.array([0]))
    value = c.op("Pad", value, c.op("Concat", np.array([0]), missing, axis=0), c.number(0, c.real), [last])
    value = c.op("Slice", value, [0], needed, [last])
    rest = c.op("Slice", value, [1], mirrored, [last])
    rest = c.op("Slice", rest, [-1], [-(2**63)], [last], [-1])
    rest = c.op("Mul", rest, c.number(np.array([1.0, -1.0]), c.real))
    whole = c.op("Concat", value, rest, axis=last)
    sizes = [*[c.size(x, axis) for axis in axes[:-1]], size]
    # The axes before the last were divided by their lengths already, as the factor expects.
    made = _transformed(c, whole, [last], normalization, True, sizes)
    return c.op("Gather", made, np.array(0), axis=-1)


@aten_complex("transpose.int", "t")
def transpose(c: Emitter, x: Tensor, first: int = 0, second: int = 1) -> Value:
    order = list(range(x.rank))
    first, second = x.axis(first), x.axis(second)
    order[first], order[second] = second, first
    return c.transpose(x, [*order, x.rank])


@aten_complex("nonzero")
def nonzero(c: Emitter, x: Tensor) -> Value:
    """Where a part is not zero."""
    parts = c.op("Cast", c.op("Cast", x, to=int(DataType.BOOL)), to=int(DataType.INT32))
    return sorting.nonzero(c, Tensor(c.op("ReduceMax", parts, [-1], keepdims=0), torch.int32, x.shape))
