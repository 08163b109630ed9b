"""Constant, ConstantOfShape and EyeLike: tensors from nothing but attributes and shapes."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import DataType, Tensor
from onward.operators.registry import operator


@operator("Constant")
def constant(
    *,
    value: Tensor | None = None,
    sparse_value: object = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    value_string: str | None = None,
    value_strings: list[str] | None = None,
) -> P.Array:
    """The tensor of the one attribute that is set. ONNX Constant-1, Constant-12 (plain values)."""
    if value is not None:
        return P.constant(value)
    if value_float is not None or value_floats is not None:
        return P.constant(value_floats if value_float is None else value_float, DataType.FLOAT)
    if value_int is not None or value_ints is not None:
        return P.constant(value_ints if value_int is None else value_int, DataType.INT64)
    if value_string is not None or value_strings is not None:
        return P.constant(value_strings if value_string is None else value_string, DataType.STRING)
    if sparse_value is not None:
        raise UnsupportedOperator("Constant with a sparse value")
    raise InvalidArgument("Constant has no value attribute")


@operator("ConstantOfShape", since=9)
def constant_of_shape(shape: P.Array, *, value: Tensor | None = None) -> P.Array:
    """Every element is the one element of `value`, float32 zero by default. ONNX ConstantOfShape-9."""
    extents = P.dimensions(shape, "the shape of ConstantOfShape")
    if any(isinstance(extent, int) and extent < 0 for extent in extents):
        raise InvalidArgument(f"ConstantOfShape got the shape {list(extents)} with a negative extent")
    if value is None:
        return P.full(extents, 0.0, DataType.FLOAT)
    return P.full(extents, value.numpy().reshape(-1)[0].item(), value.dtype)


@operator("EyeLike", since=9)
def eye_like(like: P.Array, *, dtype: int | None = None, k: int = 0) -> P.Array:
    """A matrix of the shape of `like` with ones on diagonal `k`. ONNX EyeLike-9."""
    kind = like.dtype if dtype is None else DataType(dtype)
    one, zero = P.scalar(1, kind), P.scalar(0, kind)
    return P.compute(like.shape, lambda i, j: P.where(P.equal(P.scalar(j - i), k), one, zero))
