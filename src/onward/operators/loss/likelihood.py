"""NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.activation.softmax import log_softmax_over
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("NegativeLogLikelihoodLoss", since=12)
@computed_wide
def negative_log_likelihood_loss(
    x: P.Array,
    target: P.Array,
    weight: P.Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> P.Array:
    """-x[n, target[n, ...], ...] times the weight of the target. ONNX NegativeLogLikelihoodLoss-12, -13.

    x (N, C, ...), target (N, ...). The mean is that of the weighted elements.
    """
    weights = P.compute(target.shape, lambda *i: _weight(target[i], weight, ignore_index, x))

    def element(n: Dimension, *place: Dimension) -> P.Scalar:
        index = target[(n, *place)]
        loss = -x[(n, _wrapped(index, x), *place)] * weights[(n, *place)]
        return loss if ignore_index is None else P.where(P.equal(index, ignore_index), P.scalar(0.0, x.dtype), loss)

    losses = P.compute(target.shape, element)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return P.sum(losses)
    if reduction != "mean":
        raise InvalidArgument(f"a loss is reduced by 'none', 'sum' or 'mean', got '{reduction}'")
    return P.mean(losses) if weight is None and ignore_index is None else P.sum(losses) / P.sum(weights)


@operator("SoftmaxCrossEntropyLoss", since=12)
@computed_wide
def softmax_cross_entropy_loss(
    x: P.Array,
    target: P.Array,
    weight: P.Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[P.Array, P.Array]:
    """The negative log likelihood of the softmax over axis 1, and its logarithm. ONNX SoftmaxCrossEntropyLoss-12, -13."""
    logarithms = log_softmax_over(x, [1])
    loss = negative_log_likelihood_loss(logarithms, target, weight, ignore_index=ignore_index, reduction=reduction)
    return loss, logarithms


def _wrapped(index: P.Scalar, x: P.Array) -> P.Scalar:
    return P.wrap_index(P.cast(index, DataType.INT64), x.shape[1])


def _weight(index: P.Scalar, weight: P.Array | None, ignore_index: int | None, x: P.Array) -> P.Scalar:
    own = P.scalar(1.0, x.dtype) if weight is None else weight[_wrapped(index, x)]
    return own if ignore_index is None else P.where(P.equal(index, ignore_index), P.scalar(0.0, x.dtype), own)
