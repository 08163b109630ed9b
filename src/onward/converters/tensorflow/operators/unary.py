"""Functions of one number: activations, exponentials, trigonometry, rounding, tests, casts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value

PLAIN = {
    "Abs": "Abs", "Acos": "Acos", "Acosh": "Acosh", "Asin": "Asin", "Asinh": "Asinh", "Atan": "Atan", "Atanh": "Atanh", "Ceil": "Ceil",
    "Cos": "Cos", "Cosh": "Cosh", "Erf": "Erf", "Exp": "Exp", "Floor": "Floor", "Log": "Log", "LogicalNot": "Not", "Neg": "Neg",
    "Relu": "Relu", "Selu": "Selu", "Sigmoid": "Sigmoid", "Sin": "Sin", "Sinh": "Sinh", "Softplus": "Softplus", "Softsign": "Softsign",
    "Sqrt": "Sqrt", "Tan": "Tan", "Tanh": "Tanh", "Invert": "BitwiseNot", "IsNan": "IsNaN", "Elu": "Elu",
}  # fmt: skip


def _plain(onnx: str) -> Any:
    return lambda c, op, x: c.op(onnx, x)


for _name, _onnx in PLAIN.items():
    operator(_name)(_plain(_onnx))


@operator("Reciprocal", "Inv")
def reciprocal(c: Emitter, op: Any, x: Tensor) -> Value:
    if x.dtype.is_integer:
        return c.op("Div", c.number(1, x), x)
    return c.op("Reciprocal", x)


@operator("Rsqrt")
def rsqrt(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Reciprocal", c.op("Sqrt", x))


@operator("Square")
def square(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Mul", x, x)


@operator("Sign")
def sign(c: Emitter, op: Any, x: Tensor) -> Value:
    """NaN stays NaN."""
    if not x.dtype.is_floating:
        return c.op("Sign", x)
    return c.op("Where", c.op("IsNaN", x), x, c.op("Sign", x))


@operator("Rint", "Round")
def round_(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Round", x) if x.dtype.is_floating else x.value


@operator("Relu6")
def relu6(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Clip", x, c.number(0, x), c.number(6, x))


@operator("LeakyRelu")
def leaky_relu(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("LeakyRelu", x, alpha=float(op["alpha"]))


@operator("Softmax", "LogSoftmax")
def softmax(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op(op.type, x, axis=-1)


@operator("Log1p")
def log1p(c: Emitter, op: Any, x: Tensor) -> Value:
    """log(u) x / (u - 1) with u = 1 + x, which is exact to rounding for small x (Kahan)."""
    one = c.number(1, x)
    raised = c.op("Add", x, one)
    gone = c.op("Sub", raised, one)
    log = c.op("Log", raised)
    kept = c.op("Or", c.op("IsInf", gone), c.op("Equal", log, c.number(-math.inf, x)))
    small = c.op("Equal", gone, c.number(0, x))
    return c.op("Where", small, x, c.op("Where", kept, log, c.op("Mul", log, c.op("Div", x, gone))))


@operator("Expm1")
def expm1(c: Emitter, op: Any, x: Tensor) -> Value:
    """(u - 1) x / log(u) with u = exp(x), which is exact to rounding for small x (Kahan)."""
    one = c.number(1, x)
    raised = c.op("Exp", x)
    gone = c.op("Sub", raised, one)
    corrected = c.op("Mul", gone, c.op("Div", x, c.op("Log", raised)))
    far = c.op("Greater", c.op("Abs", x), one)
    small = c.op("Equal", gone, c.number(0, x))
    return c.op("Where", far, gone, c.op("Where", small, x, corrected))


@operator("IsInf")
def is_infinite(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("IsInf", x.value if x.dtype in (tf.float32, tf.float64) else c.cast(x, tf.float32))


@operator("IsFinite")
def is_finite(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Not", c.op("Or", is_infinite(c, op, x), c.op("IsNaN", x)))


@operator("Cast")
def cast(c: Emitter, op: Any, x: Tensor) -> Value:
    """Real numbers become whole ones towards zero. What TensorFlow does outside the range depends on the machine."""
    if x.dtype == op.dtype:
        return x.value
    return c.op("Cast", x, to=int(data_type(op.dtype)))


@operator("Bitcast")
def bitcast(c: Emitter, op: Any, x: Tensor) -> Value:
    if data_type(x.dtype).bits != data_type(op.dtype).bits:
        raise UnsupportedOperator("between types of different widths")
    return c.op("BitCast", x, to=int(data_type(op.dtype)))


@operator("CheckNumerics", "CheckNumericsV2", "DebugGradientIdentity", "DeepCopy", "Copy", "CopyHost", "DebugIdentity", "DebugIdentityV2",
          "DebugIdentityV3")  # fmt: skip
def same(c: Emitter, op: Any, x: Tensor) -> Value:
    return x.value


@operator("PopulationCount")
def population_count(c: Emitter, op: Any, x: Tensor) -> Value:
    value = c.cast(x, tf.int64)
    bits = x.dtype.size * 8
    if bits == 64:
        raise UnsupportedOperator("of 64 bits")
    shifted = c.op("Mod", c.op("Div", c.op("Add", value, np.array(2**bits)), c.array(2 ** np.arange(bits).reshape(-1, *[1] * x.rank))), np.array(2))
    return c.cast(c.op("ReduceSum", shifted, [0], keepdims=0), tf.uint8)
