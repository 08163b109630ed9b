"""Gemm."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("Gemm", since=7)
@computed_wide
def gemm(
    a: P.Array,
    b: P.Array,
    c: P.Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> P.Array:
    """alpha * A @ B + beta * C with A and B transposed on request; C broadcasts. ONNX Gemm-7, Gemm-11."""
    if a.rank != 2 or b.rank != 2:
        raise InvalidArgument(f"Gemm multiplies matrices, got {a} and {b}")
    depth, rows = a.shape if transA else reversed(a.shape)
    columns, other = b.shape if transB else reversed(b.shape)
    if isinstance(depth, int) and isinstance(other, int) and depth != other:
        raise InvalidArgument(f"Gemm of {a} and {b}: the inner extents {depth} and {other} differ")
    product = P.reduce(
        "sum",
        (rows, columns),
        (depth,),
        lambda i, j, k: (a[k, i] if transA else a[i, k]) * (b[j, k] if transB else b[k, j]),
    )
    result = _scaled(product, alpha)
    return result if c is None else P.broadcast_to(result + _scaled(c, beta), (rows, columns))


@operator("Gemm", since=1)
def gemm_1(
    a: P.Array,
    b: P.Array,
    c: P.Array,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,
    transB: int = 0,
) -> P.Array:
    """As Gemm-7; C broadcasts when `broadcast` says so. ONNX Gemm-1, Gemm-6."""
    return gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)


def _scaled(x: P.Array, factor: float) -> P.Array:
    if factor == 1:
        return x
    return x * (factor if x.dtype.is_float else int(factor))
