"""Softmax, LogSoftmax and Hardmax. Before opset 13 they work on a matrix: all axes from `axis` on are one."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("Softmax", since=13)
@computed_wide
def softmax(x: P.Array, *, axis: int = -1) -> P.Array:
    """exp(x) scaled to sum to 1 along one axis. ONNX Softmax-13."""
    return softmax_over(x, [axis])


@operator("LogSoftmax", since=13)
@computed_wide
def log_softmax(x: P.Array, *, axis: int = -1) -> P.Array:
    """The logarithm of Softmax along one axis. ONNX LogSoftmax-13."""
    return log_softmax_over(x, [axis])


@operator("Hardmax", since=13)
def hardmax(x: P.Array, *, axis: int = -1) -> P.Array:
    """1 for the first greatest element along one axis, 0 for the others. ONNX Hardmax-13."""
    place = P.normalize_axis(axis, x.rank)
    best = P.arg_extreme("argmax", x, place, True)
    return P.where(P.equal(P.indices(x.shape, place), best), P.scalar(1, x.dtype), P.scalar(0, x.dtype))


@operator("Softmax", since=1)
@computed_wide
def softmax_1(x: P.Array, *, axis: int = 1) -> P.Array:
    """exp(x) scaled to sum to 1 over all axes from `axis` on. ONNX Softmax-1, Softmax-11."""
    return softmax_over(x, _from(axis, x))


@operator("LogSoftmax", since=1)
@computed_wide
def log_softmax_1(x: P.Array, *, axis: int = 1) -> P.Array:
    """The logarithm of Softmax over all axes from `axis` on. ONNX LogSoftmax-1, LogSoftmax-11."""
    return log_softmax_over(x, _from(axis, x))


@operator("Hardmax", since=1)
def hardmax_1(x: P.Array, *, axis: int = 1) -> P.Array:
    """1 for the first greatest element over all axes from `axis` on, 0 for the others. ONNX Hardmax-1, Hardmax-11."""
    places = _from(axis, x)
    rows = x.shape[: x.rank - len(places)]
    columns = P.product(x.shape[axis] for axis in places)
    return P.reshape(hardmax(P.reshape(x, (*rows, columns)), axis=-1), x.shape)


def softmax_over(x: P.Array, axes: Sequence[int]) -> P.Array:
    """Softmax over several axes at once. The greatest element is taken out first, so exp cannot overflow."""
    e = P.exp(x - P.max(x, axes, keepdims=True))
    return e / P.sum(e, axes, keepdims=True)


def log_softmax_over(x: P.Array, axes: Sequence[int]) -> P.Array:
    """The logarithm of Softmax over several axes at once."""
    centred = x - P.max(x, axes, keepdims=True)
    return centred - P.log(P.sum(P.exp(centred), axes, keepdims=True))


def _from(axis: int, x: P.Array) -> list[int]:
    """The axes that are coerced into the second one; `axis` may be the rank, which leaves none."""
    return list(range(axis + x.rank if axis < 0 else axis, x.rank))
