"""ReduceSum, ReduceMean, ReduceMax, ... The axes are an attribute at first and an input later."""

from __future__ import annotations

from collections.abc import Callable

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.arguments import known_integers
from onward.operators.numeric import NARROW
from onward.operators.registry import operator

Reduction = Callable[[P.Array, "list[int] | None", bool], P.Array]


def _sum(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.sum(x, axes, keep)


def _mean(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.mean(x, axes, keep)


def _sum_of_squares(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.reduce_axes("sum", x, axes, keep, lambda e: e * e)


def _l1(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.reduce_axes("sum", x, axes, keep, abs)


def _l2(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.sqrt(_sum_of_squares(x, axes, keep))


def _log_sum(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    return P.log(P.sum(x, axes, keep))


def _log_sum_exp(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
    """log(sum(exp(x))) with the greatest element taken out first, unless that is infinite."""
    greatest = P.max(x, axes, True)
    shift = P.elementwise(lambda e: P.where(P.is_infinite(e), 0.0, e), greatest)
    places = P.normalize_axes(axes, x.rank)
    result = P.log(P.sum(P.exp(x - shift), axes, True)) + shift
    return result if keep else P.squeeze_axes(result, places)


def _in_float(function: Reduction) -> Reduction:
    """For functions that leave the integers: integers go through float64, narrow floats through float32."""

    def reduction(x: P.Array, axes: list[int] | None, keep: bool) -> P.Array:
        kind = DataType.FLOAT if x.dtype in NARROW else DataType.DOUBLE if x.dtype.is_integer else x.dtype
        return P.cast(function(P.cast(x, kind), axes, keep), x.dtype)

    return reduction


def _apply(function: Reduction, x: P.Array, axes: list[int] | None, keep: int, empty_is_none: int = 0) -> P.Array:
    """Without axes all are reduced, or with `empty_is_none` none is."""
    if not axes:
        axes = [] if empty_is_none else None
    return function(x, axes, bool(keep))


def _known(axes: P.Array | None) -> list[int] | None:
    return None if axes is None else known_integers(axes, "the axes of a reduction")


@operator("ReduceSum", since=13)
def reduce_sum(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The sum over the axes of an input. ONNX ReduceSum-13."""
    return _apply(_sum, x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceSum", since=1)
def reduce_sum_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The sum over the axes of an attribute. ONNX ReduceSum-1."""
    return _apply(_sum, x, axes, keepdims)


@operator("ReduceMean", since=18)
def reduce_mean(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The mean; integers are rounded towards zero over the axes of an input. ONNX ReduceMean-18."""
    return _apply(_mean, x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceMean", since=1)
def reduce_mean_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The mean; integers are rounded towards zero over the axes of an attribute. ONNX ReduceMean-1."""
    return _apply(_mean, x, axes, keepdims)


@operator("ReduceMax", since=18)
def reduce_max(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The greatest element over the axes of an input. ONNX ReduceMax-18."""
    return _apply(P.max, x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceMax", since=1)
def reduce_max_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The greatest element over the axes of an attribute. ONNX ReduceMax-1."""
    return _apply(P.max, x, axes, keepdims)


@operator("ReduceMin", since=18)
def reduce_min(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The least element over the axes of an input. ONNX ReduceMin-18."""
    return _apply(P.min, x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceMin", since=1)
def reduce_min_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The least element over the axes of an attribute. ONNX ReduceMin-1."""
    return _apply(P.min, x, axes, keepdims)


@operator("ReduceProd", since=18)
def reduce_prod(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The product over the axes of an input. ONNX ReduceProd-18."""
    return _apply(P.prod, x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceProd", since=1)
def reduce_prod_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The product over the axes of an attribute. ONNX ReduceProd-1."""
    return _apply(P.prod, x, axes, keepdims)


@operator("ReduceSumSquare", since=18)
def reduce_sum_square(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The sum of squares over the axes of an input. ONNX ReduceSumSquare-18."""
    return _apply(_in_float(_sum_of_squares), x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceSumSquare", since=1)
def reduce_sum_square_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The sum of squares over the axes of an attribute. ONNX ReduceSumSquare-1."""
    return _apply(_in_float(_sum_of_squares), x, axes, keepdims)


@operator("ReduceL1", since=18)
def reduce_l1(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The sum of absolute values over the axes of an input. ONNX ReduceL1-18."""
    return _apply(_in_float(_l1), x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceL1", since=1)
def reduce_l1_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The sum of absolute values over the axes of an attribute. ONNX ReduceL1-1."""
    return _apply(_in_float(_l1), x, axes, keepdims)


@operator("ReduceL2", since=18)
def reduce_l2(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The root of the sum of squares over the axes of an input. ONNX ReduceL2-18."""
    return _apply(_in_float(_l2), x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceL2", since=1)
def reduce_l2_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The root of the sum of squares over the axes of an attribute. ONNX ReduceL2-1."""
    return _apply(_in_float(_l2), x, axes, keepdims)


@operator("ReduceLogSum", since=18)
def reduce_log_sum(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The logarithm of the sum over the axes of an input. ONNX ReduceLogSum-18."""
    return _apply(_in_float(_log_sum), x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceLogSum", since=1)
def reduce_log_sum_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The logarithm of the sum over the axes of an attribute. ONNX ReduceLogSum-1."""
    return _apply(_in_float(_log_sum), x, axes, keepdims)


@operator("ReduceLogSumExp", since=18)
def reduce_log_sum_exp(x: P.Array, axes: P.Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> P.Array:
    """The logarithm of the sum of exponentials over the axes of an input. ONNX ReduceLogSumExp-18."""
    return _apply(_in_float(_log_sum_exp), x, _known(axes), keepdims, noop_with_empty_axes)


@operator("ReduceLogSumExp", since=1)
def reduce_log_sum_exp_1(x: P.Array, *, axes: list[int] | None = None, keepdims: int = 1) -> P.Array:
    """The logarithm of the sum of exponentials over the axes of an attribute. ONNX ReduceLogSumExp-1."""
    return _apply(_in_float(_log_sum_exp), x, axes, keepdims)
