"""BitCast."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("BitCast", since=26)
def bit_cast(data: P.Array, *, to: int) -> P.Array:
    """The bits of each element as an element of type `to`, which has as many bits. ONNX BitCast-26."""
    kind = DataType(to)
    if kind.bits != data.dtype.bits:
        raise InvalidArgument(f"elements of {data.dtype.bits} bits ({data.dtype.name}) are no {kind.name}, which has {kind.bits}")
    if kind == data.dtype:
        return data
    (result,) = P.routine("bit_cast", [data], [(data.shape, kind)], dtype=kind)
    return result
