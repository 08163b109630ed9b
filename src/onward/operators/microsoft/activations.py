"""Gelu, FastGelu, BiasGelu, QuickGelu, BiasSplitGelu, BiasAdd, BiasDropout, and the activations that fused operators name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.activation.gelu import gelu
from onward.operators.numeric import computed_wide, pointwise
from onward.operators.registry import operator

DOMAIN = "com.microsoft"


@operator("Gelu", domain=DOMAIN)
def exact_gelu(x: P.Array) -> P.Array:
    """x times the normal distribution function."""
    return gelu(x)


@operator("BiasGelu", domain=DOMAIN)
def bias_gelu(x: P.Array, bias: P.Array) -> P.Array:
    """Gelu(x + bias), the bias along the last axis."""
    return gelu(x + bias)


@operator("FastGelu", domain=DOMAIN)
def fast_gelu(x: P.Array, bias: P.Array | None = None) -> P.Array:
    """The approximation of Gelu(x + bias) by tanh."""
    return gelu(x if bias is None else x + bias, approximate="tanh")


@operator("QuickGelu", domain=DOMAIN)
def quick_gelu(x: P.Array, *, alpha: float = 1.702) -> P.Array:
    """x * sigmoid(alpha * x)."""
    return pointwise(lambda e: e * P.sigmoid(alpha * e), x)


@operator("BiasSplitGelu", domain=DOMAIN)
@computed_wide
def bias_split_gelu(x: P.Array, bias: P.Array) -> P.Array:
    """The first half of x + bias along the last axis times Gelu of the second half."""
    total = x + bias
    half = total.shape[-1] // 2
    outer = total.shape[:-1]
    left = P.compute((*outer, half), lambda *i: total[i])
    right = P.compute((*outer, half), lambda *i: total[(*i[:-1], i[-1] + half)])
    return left * gelu(right)


@operator("BiasAdd", domain=DOMAIN)
def bias_add(x: P.Array, bias: P.Array, skip: P.Array) -> P.Array:
    """x + bias + skip."""
    return x + bias + skip


@operator("BiasDropout", domain=DOMAIN)
def bias_dropout(
    data: P.Array,
    bias: P.Array,
    residual: P.Array | None = None,
    ratio: P.Array | None = None,
    training_mode: P.Array | None = None,
    *,
    seed: int = 0,
) -> tuple[P.Array, P.Array]:
    """data + bias + residual, as it is in inference; and a mask of ones."""
    if training_mode is not None and (training_mode.known is None or training_mode.known.any()):
        raise InvalidArgument("BiasDropout is defined for inference: training_mode must be false")
    total = data + bias
    return (total if residual is None else total + residual), P.full(total.shape, True, DataType.BOOL)


def _clip(e: P.Scalar, least: float = -math.inf, most: float = math.inf) -> P.Scalar:
    return P.minimum(P.maximum(e, least), most)


ACTIVATIONS: dict[str, Callable[..., P.Scalar]] = {
    "": lambda e: e,
    "Identity": lambda e: e,
    "Relu": lambda e: P.maximum(e, 0.0),
    "LeakyRelu": lambda e, alpha=0.01: P.where(e < 0.0, e * alpha, e),
    "Tanh": P.tanh,
    "Sigmoid": P.sigmoid,
    "Clip": _clip,
    "HardSigmoid": lambda e, alpha=0.2, beta=0.5: _clip(e * alpha + beta, 0.0, 1.0),
    "Elu": lambda e, alpha=1.0: P.where(e < 0.0, (P.exp(e) - 1.0) * alpha, e),
    "Gelu": lambda e: 0.5 * e * (1.0 + P.erf(e * math.sqrt(0.5))),
    "HardSwish": lambda e: e * _clip(e / 6.0 + 0.5, 0.0, 1.0),
    "QuickGelu": lambda e, alpha=1.702: e * P.sigmoid(e * alpha),
}
"""The functions that fused operators name, with their parameters in the order of the attributes."""


def activated(x: P.Array, name: str, parameters: Sequence[float | None] = ()) -> P.Array:
    """`x` after a named activation. Raises InvalidArgument for an unknown one."""
    if name not in ACTIVATIONS:
        raise InvalidArgument(f"there is no activation '{name}'; known are {', '.join(filter(None, ACTIVATIONS))}")
    given = [float(np.float32(item)) for item in parameters if item is not None]
    return x if not name else pointwise(lambda e: ACTIVATIONS[name](e, *given), x)
