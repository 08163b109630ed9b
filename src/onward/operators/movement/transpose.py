"""Transpose."""

from __future__ import annotations

from onward import program as P
from onward.operators.arguments import permuted
from onward.operators.registry import operator


@operator("Transpose")
def transpose(data: P.Array, *, perm: list[int] | None = None) -> P.Array:
    """Axis k of the result is axis `perm[k]` of the data; without `perm` the axes are reversed. ONNX Transpose-1."""
    return P.transpose(data, permuted(data.rank, perm))
