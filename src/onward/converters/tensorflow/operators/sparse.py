"""Sparse tensors, which are places, numbers and a shape; ONNX gets them whole."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


@operator("SparseToDense")
def to_dense(c: Emitter, op: Any, places: Tensor, shape: Tensor, numbers: Tensor, otherwise: Tensor) -> Value:
    """The numbers at their places; `places` is a matrix, for vectors a vector too."""
    where = c.cast(places, tf.int64)
    if places.rank < 2:
        where = c.reshape(where, [-1, 1])
    count = c.slice(c.op("Shape", where), 0, 0, 1)
    everywhere = c.op("Expand", otherwise, c.sizes(shape))
    return c.op("ScatterND", everywhere, where, c.op("Expand", numbers, count))


@operator("SparseTensorDenseMatMul")
def product(c: Emitter, op: Any, places: Tensor, numbers: Tensor, shape: Tensor, right: Tensor) -> Value:
    """Numbers at the same place add up."""
    zeros = c.op("Expand", c.number(0, numbers), c.sizes(shape))
    left = c.op("ScatterND", zeros, c.cast(places, tf.int64), numbers, reduction="add")
    left = c.transpose(left, [1, 0]) if op["adjoint_a"] else left
    return c.op("MatMul", left, c.transpose(right, [1, 0]) if op["adjoint_b"] else right)
