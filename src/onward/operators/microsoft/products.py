"""FusedMatMul, FusedMatMulActivation, TransposeMatMul, FusedGemm, GemmFastGelu, FusedConv, NhwcFusedConv and Inverse."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.operators.arguments import known_integers
from onward.operators.linear.convolution import convolution
from onward.operators.linear.gemm import gemm
from onward.operators.linear.transposed_convolution import transposed_convolution
from onward.operators.microsoft.activations import DOMAIN, activated, fast_gelu
from onward.operators.numeric import computed_wide
from onward.operators.pooling.max_pool import max_pool
from onward.operators.registry import Context, operator


@operator("TransposeMatMul", domain=DOMAIN)
@operator("FusedMatMul", domain=DOMAIN)
@computed_wide
def fused_matmul(
    a: P.Array,
    b: P.Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> P.Array:
    """alpha * a @ b. `transBatch` moves the first axis behind the batch axes, `trans` swaps the last two."""
    product = P.matmul(_turned(a, transA, transBatchA), _turned(b, transB, transBatchB))
    return product if alpha == 1 else product * alpha


@operator("FusedMatMulActivation", domain=DOMAIN)
def fused_matmul_activation(
    a: P.Array,
    b: P.Array,
    *,
    activation: str,
    activation_alpha: float | None = None,
    activation_axis: int | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    **attributes: Any,
) -> P.Array:
    """An activation of FusedMatMul."""
    return activated(fused_matmul(a, b, **attributes), activation, [activation_alpha, activation_beta, activation_gamma])


@operator("FusedGemm", domain=DOMAIN)
def fused_gemm(
    a: P.Array,
    b: P.Array,
    c: P.Array | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    **attributes: Any,
) -> P.Array:
    """An activation of Gemm."""
    return activated(gemm(a, b, c, **attributes), activation, [activation_alpha, activation_beta, activation_gamma])


@operator("GemmFastGelu", domain=DOMAIN)
def gemm_fast_gelu(x: P.Array, w: P.Array, bias: P.Array | None = None) -> P.Array:
    """FastGelu of x @ w + bias."""
    return fast_gelu(fused_matmul(x, w), bias)


@operator("FusedConv", domain=DOMAIN)
@computed_wide
def fused_convolution(
    x: P.Array,
    w: P.Array,
    b: P.Array | None = None,
    z: P.Array | None = None,
    *,
    activation: str = "",
    activation_params: list[float] | None = None,
    **attributes: Any,
) -> P.Array:
    """An activation of Conv + z."""
    total = convolution(x, w, b, **attributes)
    return activated(total if z is None else total + z, activation, activation_params or [])


@operator("NhwcConv", domain=DOMAIN)
@operator("NhwcFusedConv", domain=DOMAIN)
def channels_last_convolution(x: P.Array, w: P.Array, b: P.Array | None = None, z: P.Array | None = None, **attributes: Any) -> P.Array:
    """FusedConv with the channels of x, z and the result on the last axis; filters as those of Conv."""
    added = None if z is None else channels_first(z)
    return channels_last(fused_convolution(channels_first(x), w, b, added, **attributes))


@operator("NhwcMaxPool", domain=DOMAIN)
def channels_last_max_pool(x: P.Array, *, kernel_shape: list[int], context: Context, **attributes: Any) -> P.Array:
    """MaxPool with the channels on the last axis."""
    result = max_pool(channels_first(x), kernel_shape=kernel_shape, context=context, **attributes)
    return channels_last(result[0] if isinstance(result, tuple) else result)


@operator("ConvTransposeWithDynamicPads", domain=DOMAIN)
def transposed_convolution_with_pads(x: P.Array, w: P.Array, pads: P.Array | None = None, b: P.Array | None = None, **attributes: Any) -> P.Array:
    """ConvTranspose whose padding is an input, which must be a constant."""
    amounts = None if pads is None else known_integers(pads, "the padding")
    return transposed_convolution(x, w, b, pads=amounts, **attributes)


@operator("Inverse", domain=DOMAIN)
@computed_wide
def inverse(x: P.Array) -> P.Array:
    """The inverses of the matrices on the last two axes, by Gauss-Jordan elimination with pivots."""
    size = x.shape[-1]
    if not isinstance(size, int):
        raise UnsupportedOperator(f"the inverse of matrices of a size that is not known ({size})")
    if x.rank < 2 or x.shape[-2] != size:
        raise InvalidArgument(f"only square matrices have inverses, got {x}")
    outer = x.shape[:-2]
    zero, one = P.scalar(0.0, x.dtype), P.scalar(1.0, x.dtype)

    def joined(*place: P.Dimension) -> P.Scalar:
        *batch, row, column = place
        unit = P.where(P.equal(P.scalar(column), P.scalar(row + size)), one, zero)
        return P.where(P.less(P.scalar(column), P.scalar(size)), x[(*batch, row, column)], unit)

    state: P.Array = P.compute((*outer, size, 2 * size), joined)
    for step in range(size):
        state = _cleared(state, step, size)
    return P.compute(x.shape, lambda *i: state[(*i[:-1], i[-1] + size)])


def _cleared(state: P.Array, step: int, size: int) -> P.Array:
    """The rows with the greatest element of column `step` moved there, scaled to 1, and taken from all others."""
    outer = state.shape[:-2]
    below = P.compute((*outer, size - step), lambda *i: P.absolute(state[(*i[:-1], i[-1] + step, step)]))
    best = P.reduce("argmax", outer, (size - step,), lambda *i: below[i])

    def swapped(*place: P.Dimension) -> P.Scalar:
        *batch, row, column = place
        chosen = best[tuple(batch)] + step
        here = P.scalar(row)
        source = P.where(P.equal(here, step), chosen, P.where(P.equal(here, chosen), P.scalar(step), here))
        return state[(*batch, source, column)]

    rows = P.compute(state.shape, swapped)

    def element(*place: P.Dimension) -> P.Scalar:
        *batch, row, column = place
        scaled = rows[(*batch, step, column)] / rows[(*batch, step, step)]
        cleared = rows[tuple(place)] - rows[(*batch, row, step)] * scaled
        return P.where(P.equal(P.scalar(row), step), scaled, cleared)

    return P.compute(state.shape, element)


def channels_first(x: P.Array) -> P.Array:
    """(N, ..., C) as (N, C, ...)."""
    return P.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])


def channels_last(x: P.Array) -> P.Array:
    """(N, C, ...) as (N, ..., C)."""
    return P.transpose(x, [0, *range(2, x.rank), 1])


def _turned(x: P.Array, swap: int, batch: int) -> P.Array:
    if batch and x.rank > 2:
        x = P.transpose(x, [*range(1, x.rank - 1), 0, x.rank - 1])
    return P.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2]) if swap and x.rank > 1 else x
