"""Functions of one number: activations, exponentials, trigonometry, rounding, tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.registry import aten
from onward.ir import Value

PLAIN = {
    "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "cos": "Cos",
    "cosh": "Cosh", "erf": "Erf", "special_erf": "Erf", "exp": "Exp", "log": "Log", "mish": "Mish", "reciprocal": "Reciprocal",
    "selu": "Selu", "sigmoid": "Sigmoid", "special_expit": "Sigmoid", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt",
    "tan": "Tan", "tanh": "Tanh",
}  # fmt: skip
"""Operators that ONNX has too; whole numbers become floating-point ones first."""

SAME_TYPE = {"abs": "Abs", "neg": "Neg", "sign": "Sign", "sgn": "Sign", "relu": "Relu", "bitwise_not": "BitwiseNot"}
ROUNDING = {"ceil": "Ceil", "floor": "Floor", "round": "Round"}


def result_dtype(c: Emitter) -> torch.dtype:
    """The data type of the result, of the first one where there are several."""
    meta = c.result[0] if isinstance(c.result, (list, tuple)) else c.result
    return meta.dtype


def _plain(onnx: str) -> Any:
    return lambda c, x: c.op(onnx, c.cast(x, result_dtype(c)))


def _same_type(onnx: str) -> Any:
    def emit(c: Emitter, x: Tensor) -> Value:
        if x.dtype is torch.bool:
            return c.op("Not", x) if onnx == "BitwiseNot" else x.value
        if x.dtype is torch.uint8 and onnx == "Neg":
            return c.convert(c.op("Neg", c.cast(x, torch.int64)), x.dtype)
        return c.op(onnx, x)

    return emit


def _rounding(onnx: str) -> Any:
    return lambda c, x: c.op(onnx, x) if x.dtype.is_floating_point else x.value


for _name, _onnx in PLAIN.items():
    aten(_name)(_plain(_onnx))
for _name, _onnx in SAME_TYPE.items():
    aten(_name)(_same_type(_onnx))
for _name, _onnx in ROUNDING.items():
    aten(_name)(_rounding(_onnx))


@aten("round.decimals", "special_round")
def round_decimals(c: Emitter, x: Tensor, decimals: int = 0) -> Value:
    if not x.dtype.is_floating_point:
        return x.value
    factor = c.number(10.0 ** abs(decimals), x.dtype)
    if decimals >= 0:
        return c.op("Div", c.op("Round", c.op("Mul", x, factor)), factor)
    return c.op("Mul", c.op("Round", c.op("Div", x, factor)), factor)


@aten("trunc", "fix")
def trunc(c: Emitter, x: Tensor) -> Value:
    return truncated(c, x.value) if x.dtype.is_floating_point else x.value


def truncated(c: Emitter, value: Value) -> Value:
    """A real number towards zero."""
    return c.op("Mul", c.op("Sign", value), c.op("Floor", c.op("Abs", value)))


@aten("frac")
def frac(c: Emitter, x: Tensor) -> Value:
    return c.op("Sub", x, truncated(c, x.value))


@aten("rsqrt")
def rsqrt(c: Emitter, x: Tensor) -> Value:
    return c.op("Reciprocal", c.op("Sqrt", c.cast(x, result_dtype(c))))


@aten("square")
def square(c: Emitter, x: Tensor) -> Value:
    return c.op("Mul", x, x)


@aten("exp2", "special_exp2")
def exp2(c: Emitter, x: Tensor) -> Value:
    dtype = result_dtype(c)
    return c.op("Pow", c.number(2.0, dtype), c.cast(x, dtype))


@aten("log2")
def log2(c: Emitter, x: Tensor) -> Value:
    return _logarithm(c, x, 2.0)


@aten("log10")
def log10(c: Emitter, x: Tensor) -> Value:
    return _logarithm(c, x, 10.0)


def _logarithm(c: Emitter, x: Tensor, base: float) -> Value:
    dtype = result_dtype(c)
    return c.op("Div", c.op("Log", c.cast(x, dtype)), c.number(math.log(base), dtype))


@aten("log1p", "special_log1p")
def log1p(c: Emitter, x: Tensor) -> Value:
    """log(u) x / (u - 1) with u = 1 + x, which is exact to rounding for small x (Kahan)."""
    dtype = result_dtype(c)
    value, one = c.cast(x, dtype), c.number(1.0, dtype)
    raised = c.op("Add", value, one)
    gone = c.op("Sub", raised, one)
    log = c.op("Log", raised)
    kept = c.op("Or", c.op("IsInf", gone), c.op("Equal", log, c.number(-math.inf, dtype)))
    small = c.op("Equal", gone, c.number(0.0, dtype))
    corrected = c.op("Mul", log, c.op("Div", value, gone))
    return c.op("Where", small, value, c.op("Where", kept, log, corrected))


@aten("expm1", "special_expm1")
def expm1(c: Emitter, x: Tensor) -> Value:
    """(u - 1) x / log(u) with u = exp(x), which is exact to rounding for small x (Kahan)."""
    dtype = result_dtype(c)
    value, one = c.cast(x, dtype), c.number(1.0, dtype)
    raised = c.op("Exp", value)
    gone = c.op("Sub", raised, one)
    corrected = c.op("Mul", gone, c.op("Div", value, c.op("Log", raised)))
    far = c.op("Greater", c.op("Abs", value), one)
    small = c.op("Equal", gone, c.number(0.0, dtype))
    return c.op("Where", far, gone, c.op("Where", small, value, corrected))


@aten("silu")
def silu(c: Emitter, x: Tensor) -> Value:
    return c.op("Mul", x, c.op("Sigmoid", x))


@aten("gelu")
def gelu(c: Emitter, x: Tensor, approximate: str = "none") -> Value:
    return c.op("Gelu", x, approximate=approximate)


@aten("relu6")
def relu6(c: Emitter, x: Tensor) -> Value:
    return c.op("Clip", x, c.number(0, x.dtype), c.number(6, x.dtype))


@aten("hardtanh")
def hardtanh(c: Emitter, x: Tensor, low: float = -1, high: float = 1) -> Value:
    return c.op("Clip", x, c.number(low, x.dtype), c.number(high, x.dtype))


@aten("elu")
def elu(c: Emitter, x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    if input_scale == 1:
        result = c.op("Elu", x, alpha=float(alpha))
    else:
        below = c.op("Mul", c.op("Sub", c.op("Exp", c.op("Mul", x, c.number(input_scale, x.dtype))), c.number(1, x.dtype)),
                     c.number(alpha, x.dtype))  # fmt: skip
        result = c.op("Where", c.op("Greater", x, c.number(0, x.dtype)), x, below)
    return result if scale == 1 else c.op("Mul", result, c.number(scale, x.dtype))


@aten("celu")
def celu(c: Emitter, x: Tensor, alpha: float = 1) -> Value:
    if x.dtype is torch.float32:
        return c.op("Celu", x, alpha=float(alpha))
    scaled = c.op("Elu", c.op("Div", x, c.number(alpha, x.dtype)), alpha=1.0)
    return c.op("Where", c.op("Greater", x, c.number(0, x.dtype)), x, c.op("Mul", scaled, c.number(alpha, x.dtype)))


@aten("leaky_relu")
def leaky_relu(c: Emitter, x: Tensor, slope: float = 0.01) -> Value:
    return c.op("LeakyRelu", x, alpha=float(slope))


@aten("rrelu", "rrelu_with_noise", "rrelu_with_noise_functional")
def rrelu(c: Emitter, x: Tensor, *arguments: Any, **options: Any) -> Any:
    """In inference the slope is the middle of its range."""
    bounds = [item for item in arguments if isinstance(item, float)] or [1 / 8, 1 / 3]
    made = c.op("LeakyRelu", x, alpha=sum(bounds[:2]) / 2)
    return [made, made] if isinstance(c.result, (tuple, list)) else made


@aten("prelu", "_prelu_kernel")
def prelu(c: Emitter, x: Tensor, weight: Tensor) -> Value:
    """A weight for each channel, which is dimension 1."""
    slope = weight.value
    if weight.rank == 1 and x.rank > 2:
        slope = c.reshape(weight, [-1] + [1] * (x.rank - 2))
    elif weight.rank == 1 and x.rank < 2:
        slope = c.reshape(weight, [1] * x.rank)
    return c.op("PRelu", x, slope)


@aten("hardswish")
def hardswish(c: Emitter, x: Tensor) -> Value:
    return c.op("HardSwish", x)


@aten("hardsigmoid")
def hardsigmoid(c: Emitter, x: Tensor) -> Value:
    return c.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@aten("hardshrink")
def hardshrink(c: Emitter, x: Tensor, lambd: float = 0.5) -> Value:
    """Keeps NaN, unlike ONNX Shrink."""
    inside = c.op("LessOrEqual", c.op("Abs", x), c.number(lambd, x.dtype))
    return c.op("Where", inside, c.number(0, x.dtype), x)


@aten("softshrink")
def softshrink(c: Emitter, x: Tensor, lambd: float = 0.5) -> Value:
    return c.op("Shrink", x, lambd=float(lambd), bias=float(lambd))


@aten("softplus")
def softplus(c: Emitter, x: Tensor, beta: float = 1, threshold: float = 20) -> Value:
    scaled = x.value if beta == 1 else c.op("Mul", x, c.number(beta, x.dtype))
    soft = c.op("Softplus", scaled)
    soft = soft if beta == 1 else c.op("Div", soft, c.number(beta, x.dtype))
    return c.op("Where", c.op("Greater", scaled, c.number(threshold, x.dtype)), x, soft)


@aten("softsign")
def softsign(c: Emitter, x: Tensor) -> Value:
    return c.op("Softsign", x)


@aten("log_sigmoid", "log_sigmoid_forward")
def log_sigmoid(c: Emitter, x: Tensor) -> Any:
    made = c.op("Neg", c.op("Softplus", c.op("Neg", x)))
    return [made, made] if isinstance(c.result, (tuple, list)) else made


@aten("tanhshrink")
def tanhshrink(c: Emitter, x: Tensor) -> Value:
    return c.op("Sub", x, c.op("Tanh", x))


@aten("threshold")
def threshold(c: Emitter, x: Tensor, bound: float, value: float) -> Value:
    return c.op("Where", c.op("LessOrEqual", x, c.number(bound, x.dtype)), c.number(value, x.dtype), x)


@aten("logit", "special_logit")
def logit(c: Emitter, x: Tensor, eps: float | None = None) -> Value:
    dtype = result_dtype(c)
    value, one = c.cast(x, dtype), c.number(1.0, dtype)
    if eps is not None:
        value = c.op("Clip", value, c.number(eps, dtype), c.number(1 - eps, dtype))
    return c.op("Log", c.op("Div", value, c.op("Sub", one, value)))


@aten("logical_not")
def logical_not(c: Emitter, x: Tensor) -> Value:
    return c.op("Not", c.cast(x, torch.bool))


@aten("isnan")
def isnan(c: Emitter, x: Tensor) -> Value:
    return c.op("IsNaN", x) if x.dtype.is_floating_point else falsehood(c, x)


@aten("isinf")
def isinf(c: Emitter, x: Tensor) -> Value:
    return _is_infinite(c, x, 1, 1)


@aten("isposinf")
def isposinf(c: Emitter, x: Tensor) -> Value:
    return _is_infinite(c, x, 1, 0)


@aten("isneginf")
def isneginf(c: Emitter, x: Tensor) -> Value:
    return _is_infinite(c, x, 0, 1)


def _is_infinite(c: Emitter, x: Tensor, positive: int, negative: int) -> Value:
    if not x.dtype.is_floating_point:
        return falsehood(c, x)
    value = x.value if x.dtype in (torch.float32, torch.float64) else c.cast(x, torch.float32)
    return c.op("IsInf", value, detect_positive=positive, detect_negative=negative)


@aten("isfinite")
def isfinite(c: Emitter, x: Tensor) -> Value:
    if not x.dtype.is_floating_point:
        return c.op("Not", falsehood(c, x))
    return c.op("Not", c.op("Or", _is_infinite(c, x, 1, 1), c.op("IsNaN", x)))


def falsehood(c: Emitter, x: Tensor) -> Value:
    """False for every element."""
    return c.op("Expand", np.array(False), c.shape(x))


@aten("isreal")
def isreal(c: Emitter, x: Tensor) -> Value:
    return c.op("Not", falsehood(c, x))


@aten("signbit")
def signbit(c: Emitter, x: Tensor) -> Value:
    """Below zero, or minus zero, whose reciprocal is."""
    if not x.dtype.is_floating_point:
        return falsehood(c, x) if x.dtype is torch.bool else c.op("Less", x, c.number(0, x.dtype))
    zero = c.number(0, x.dtype)
    below = c.op("Less", x, zero)
    minus_zero = c.op("And", c.op("Equal", x, zero), c.op("Less", c.op("Reciprocal", x), zero))
    return c.op("Or", below, minus_zero)


@aten("nan_to_num")
def nan_to_num(c: Emitter, x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Value:
    if not x.dtype.is_floating_point:
        return x.value
    limits = torch.finfo(x.dtype)
    high = c.number(limits.max if posinf is None else posinf, x.dtype)
    low = c.number(limits.min if neginf is None else neginf, x.dtype)
    value = c.op("Where", c.op("IsNaN", x), c.number(nan or 0.0, x.dtype), x)
    value = c.op("Where", c.op("Equal", x, c.number(math.inf, x.dtype)), high, value)
    return c.op("Where", c.op("Equal", x, c.number(-math.inf, x.dtype)), low, value)


@aten("deg2rad")
def deg2rad(c: Emitter, x: Tensor) -> Value:
    dtype = result_dtype(c)
    return c.op("Mul", c.cast(x, dtype), c.number(math.pi / 180, dtype))


@aten("rad2deg")
def rad2deg(c: Emitter, x: Tensor) -> Value:
    dtype = result_dtype(c)
    return c.op("Mul", c.cast(x, dtype), c.number(180 / math.pi, dtype))


@aten("sinc", "special_sinc")
def sinc(c: Emitter, x: Tensor) -> Value:
    dtype = result_dtype(c)
    angle = c.op("Mul", c.cast(x, dtype), c.number(math.pi, dtype))
    at_zero = c.op("Equal", angle, c.number(0, dtype))
    return c.op("Where", at_zero, c.number(1, dtype), c.op("Div", c.op("Sin", angle), angle))


@aten("angle")
def angle(c: Emitter, x: Tensor) -> Value:
    dtype = result_dtype(c)
    value = c.cast(x, dtype)
    turned = c.op("Where", c.op("Less", value, c.number(0, dtype)), c.number(math.pi, dtype), c.number(0, dtype))
    return c.op("Where", c.op("IsNaN", value), value, turned)


@aten("real", "conj", "conj_physical", "_conj", "_conj_physical", "resolve_conj", "resolve_neg", "positive")
def identity(c: Emitter, x: Tensor) -> Value:
    return x.value


@aten(
    "alias", "clone", "contiguous", "detach", "lift_fresh", "lift_fresh_copy", "lift", "alias_copy", "detach_copy",
)  # fmt: skip
def same(c: Emitter, x: Tensor, *arguments: Any, **options: Any) -> Value:
    return x.value


@aten("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(c: Emitter, x: Tensor, p: float, train: bool) -> Value:
    """Nothing in inference."""
    if train and p > 0:
        return c.op("Dropout", x, np.array(p, np.float32), np.array(True))
    return x.value


@aten("native_dropout")
def native_dropout(c: Emitter, x: Tensor, p: float, train: bool | None) -> Any:
    if train and p > 0:
        return c.op("Dropout", x, np.array(p, np.float32), np.array(True), outputs=2)
    return [x.value, c.op("Not", falsehood(c, x))]
