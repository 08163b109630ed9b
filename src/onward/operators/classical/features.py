"""Preparation of features: ArrayFeatureExtractor, Binarizer, FeatureVectorizer, Imputer, Normalizer, OneHotEncoder, Scaler."""

from __future__ import annotations

import math

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(x: P.Array, indices: P.Array) -> P.Array:
    """The elements of the last axis at `indices`. ONNX ArrayFeatureExtractor-1. A vector becomes a matrix of one row."""
    flat = P.reshape(indices, (indices.size,))
    result = P.take(x, flat, x.rank - 1)
    return P.expand_axes(result, [0]) if result.rank == 1 else result


@operator("Binarizer", domain="ai.onnx.ml")
def binarizer(x: P.Array, *, threshold: float = 0.0) -> P.Array:
    """1 where x > threshold, else 0. ONNX Binarizer-1."""
    limit = threshold if x.dtype.is_float else math.floor(threshold)
    return P.elementwise(lambda e: P.cast(e > limit, x.dtype), x)


@operator("FeatureVectorizer", domain="ai.onnx.ml")
def feature_vectorizer(*inputs: P.Array, inputdimensions: list[int] | None = None) -> P.Array:
    """The inputs side by side as float32. ONNX FeatureVectorizer-1. Each takes the width that `inputdimensions` says."""
    parts = []
    for number, item in enumerate(inputs):
        rows = item if item.rank == 2 else P.reshape(item, (1, item.size) if item.rank < 2 else (item.shape[0], item.size // item.shape[0]))
        width = inputdimensions[number] if inputdimensions else rows.shape[1]
        padded = P.pad(P.cast(rows, DataType.FLOAT), [0, 0], [0, width - rows.shape[1]])
        parts.append(padded)
    return P.concatenate(parts, 1)


@operator("Imputer", domain="ai.onnx.ml")
def imputer(
    x: P.Array,
    *,
    imputed_value_floats: list[float] | None = None,
    imputed_value_int64s: list[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> P.Array:
    """x with a value that stands for a missing one replaced, for each feature by its own. ONNX Imputer-1."""
    integer = x.dtype.is_integer
    values = imputed_value_int64s if integer else imputed_value_floats
    if not values:
        raise InvalidArgument(f"Imputer of {x} needs imputed values of that type")
    wanted: float | int = replaced_value_int64 if integer else replaced_value_float
    table = P.constant(np.array(values[0] if len(values) == 1 else values, x.dtype.numpy))
    missing = P.is_nan if isinstance(wanted, float) and math.isnan(wanted) else lambda e: P.equal(e, wanted)
    return P.elementwise(lambda e, v: P.where(missing(e), v, e), x, table)


@operator("Normalizer", domain="ai.onnx.ml")
def normalizer(x: P.Array, *, norm: str = "MAX") -> P.Array:
    """Each row divided by its maximum, its 1-norm or its 2-norm; rows of zeros stay. ONNX Normalizer-1."""
    values = P.cast(x, DataType.FLOAT)
    if norm == "MAX":
        size = P.max(values, [-1], keepdims=True)
    elif norm == "L1":
        size = P.reduce_axes("sum", values, [-1], True, abs)
    elif norm == "L2":
        size = P.sqrt(P.reduce_axes("sum", values, [-1], True, lambda e: e * e))
    else:
        raise InvalidArgument(f"Normalizer knows the norms MAX, L1 and L2, got '{norm}'")
    return P.elementwise(lambda e, s: P.where(P.equal(s, 0.0), e, e / s), values, size)


@operator("OneHotEncoder", domain="ai.onnx.ml")
def one_hot_encoder(x: P.Array, *, cats_int64s: list[int] | None = None, cats_strings: list[str] | None = None, zeros: int = 1) -> P.Array:
    """1 at the place of x among the categories, on a new last axis. ONNX OneHotEncoder-1.

    Unknown values give zeros whatever `zeros` says: there is no error during a run.
    """
    if x.dtype == DataType.STRING:
        table = P.constant(np.array(cats_strings or [], object))
    else:
        table = P.constant(np.array(cats_int64s or [], np.int64))
        x = P.cast(x, DataType.INT64)
    return P.compute((*x.shape, *table.shape), lambda *i: P.cast(P.equal(x[i[:-1]], table[i[-1]]), DataType.FLOAT))


@operator("Scaler", domain="ai.onnx.ml")
def scaler(x: P.Array, *, offset: list[float] | None = None, scale: list[float] | None = None) -> P.Array:
    """(x - offset) * scale, for each feature or for all. ONNX Scaler-1."""
    shift, factor = (_parameter(values, default) for values, default in ((offset, 0.0), (scale, 1.0)))
    return (P.cast(x, DataType.FLOAT) - shift) * factor


def _parameter(values: list[float] | None, default: float) -> P.Array:
    values = values or [default]
    return P.constant(np.array(values[0] if len(values) == 1 else values, np.float32))
