"""Products of matrices."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


def turned(c: Emitter, x: Tensor, is_turned: bool) -> Value:
    """A matrix, or its transpose."""
    return c.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2]) if is_turned else x.value


@operator("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "SparseMatMul")
def matmul(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    names = ("transpose_a", "transpose_b") if op.type in ("MatMul", "SparseMatMul") else ("adj_x", "adj_y")
    sides = [turned(c, x, bool(op[name])) for x, name in zip((a, b), names)]
    if {a.dtype, b.dtype} <= {tf.int8, tf.uint8} and op.dtype == tf.int32:
        made: Value = c.op("MatMulInteger", *sides)
        return made
    wide = [side if x.dtype == op.dtype else c.cast(side, op.dtype) for x, side in zip((a, b), sides)]
    return c.op("MatMul", *wide)


@operator("Einsum")
def einsum(c: Emitter, op: Any, *items: Tensor) -> Value:
    return c.op("Einsum", *items, equation=op["equation"])


@operator("MatrixDeterminant", "BatchMatrixDeterminant")
def determinant(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Det", x)
