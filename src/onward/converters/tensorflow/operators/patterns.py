"""What TensorFlow takes apart and ONNX has as one operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.operators.control_flow import source_of
from onward.converters.tensorflow.registry import structure


def _is_number(tensor: Any, number: float) -> bool:
    """Whether a tensor is this constant, as exactly as its type has it."""
    op = source_of(tensor).op
    if op.type != "Const" or not tensor.dtype.is_floating:
        return False
    array = np.asarray(tf.make_ndarray(op.get_attr("value")), np.float64)
    return array.size == 1 and math.isclose(float(array.reshape(())), number, rel_tol=1e-6)


def _other(tensor: Any, number: float) -> Any:
    """The factor beside a number in a product, or None."""
    if tensor.op.type != "Mul":
        return None
    left, right = tensor.op.inputs
    return right if _is_number(left, number) else left if _is_number(right, number) else None


@structure("Mul")
def mul(w: Any, op: Any, a: Any, b: Any) -> list[Any]:
    """x / 2 erfc(-x / sqrt(2)) is Gelu."""
    for half, gate in (op.source.inputs, reversed(op.source.inputs)):
        x = _other(half, 0.5)
        if x is None or gate.op.type != "Erfc":
            continue
        turned = _other(gate.op.inputs[0], math.sqrt(0.5))
        if turned is not None and turned.op.type == "Neg" and turned.op.inputs[0].name == x.name:
            shadow = w.shadow_of(op.source, [a, b])[0]
            return [w.wrapped(w.c.op("Gelu", w.values[x.name]), shadow)]
    return list(w.translated(op.source, [a, b]))
