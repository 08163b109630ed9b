"""Numbers: functions of elements, arithmetic, comparisons, reductions, products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, onnx_type
from onward.converters.keras.registry import operation
from onward.errors import UnsupportedOperator

UNARY = {
    "Relu": "Relu", "Sigmoid": "Sigmoid", "Softplus": "Softplus", "Softsign": "Softsign", "Tanh": "Tanh", "Exp": "Exp", "Log": "Log",
    "Sqrt": "Sqrt", "Abs": "Abs", "Absolute": "Abs", "Negative": "Neg", "Sin": "Sin", "Cos": "Cos", "Tan": "Tan", "Sinh": "Sinh",
    "Cosh": "Cosh", "Arcsin": "Asin", "Arccos": "Acos", "Arctan": "Atan", "Arcsinh": "Asinh", "Arccosh": "Acosh", "Arctanh": "Atanh",
    "Floor": "Floor", "Ceil": "Ceil", "Sign": "Sign", "Erf": "Erf", "Reciprocal": "Reciprocal", "HardSilu": "HardSwish", "Mish": "Mish", "Isnan": "IsNaN",
    "Isinf": "IsInf",
}  # fmt: skip
"""Functions of one number with the same name, or another, in ONNX; the type of the result is the argument's, or a float."""

BINARY = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "TrueDivide": "Div", "Power": "Pow", "Maximum": "Max",
    "Minimum": "Min",
}  # fmt: skip
COMPARISONS = {"Equal": "Equal", "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less", "LessEqual": "LessOrEqual"}
LOGICAL = {"LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor"}
REDUCTIONS = {"Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Amax": "ReduceMax", "Min": "ReduceMin", "Amin": "ReduceMin", "Prod": "ReduceProd"}


def floating(c: Emitter, x: Any) -> Tensor:
    """A tensor of floats."""
    x = c.tensor(x)
    return x if x.is_float else c.cast(x, c.floatx)


def alike(c: Emitter, *items: Any, at_least: str | None = None) -> list[Tensor]:
    """Tensors of the data type that Keras gives an operation of them."""
    known = [c.tensor(item) if not isinstance(item, (bool, int, float)) else item for item in items]
    kinds = [item.dtype if isinstance(item, Tensor) else type(item) for item in known]
    dtype = c.result_type(*kinds, *([at_least] if at_least else []))
    return [c.tensor(item, dtype) for item in known]


def _unary(name: str, operator: str) -> None:
    same = operator in ("Relu", "Abs", "Neg", "Sign", "Floor", "Ceil")

    @operation(name)
    def function(c: Emitter, operation: Any, x: Any) -> Any:
        return c.op(operator, c.tensor(x) if same else floating(c, x))


def _binary(name: str, operator: str) -> None:
    @operation(name)
    def function(c: Emitter, operation: Any, x1: Any, x2: Any) -> Any:
        return c.op(operator, *alike(c, x1, x2, at_least="float32" if operator == "Div" and not _any_float(x1, x2) else None))


def _any_float(*items: Any) -> bool:
    return any(isinstance(item, float) or "float" in str(getattr(item, "dtype", "")) for item in items)


def _comparison(name: str, operator: str) -> None:
    @operation(name)
    def function(c: Emitter, operation: Any, x1: Any, x2: Any) -> Any:
        return c.op(operator, *alike(c, x1, x2))


def _logical(name: str, operator: str) -> None:
    @operation(name)
    def function(c: Emitter, operation: Any, x1: Any, x2: Any) -> Any:
        return c.op(operator, c.tensor(x1, "bool"), c.tensor(x2, "bool"))


def _reduction(name: str, operator: str) -> None:
    @operation(name)
    def function(c: Emitter, operation: Any, x: Any) -> Any:
        x = floating(c, x) if operator == "ReduceMean" else c.tensor(x)
        x = c.cast(x, "int32") if x.dtype == "bool" else x
        axes = operation.axis if operation.axis is not None else range(x.rank)
        axes = [axes] if isinstance(axes, int) else list(axes)
        return c.op(operator, x, c.integers(axes), keepdims=int(operation.keepdims))


for table, register in ((UNARY, _unary), (BINARY, _binary), (COMPARISONS, _comparison), (LOGICAL, _logical), (REDUCTIONS, _reduction)):
    for their, ours in table.items():
        register(their, ours)


@operation("NotEqual")
def not_equal(c: Emitter, operation: Any, x1: Any, x2: Any) -> Any:
    return c.op("Not", c.op("Equal", *alike(c, x1, x2)))


@operation("LogicalNot")
def logical_not(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Not", c.tensor(x, "bool"))


@operation("Any", "All")
def any_or_all(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x, "bool")
    axes = operation.axis if operation.axis is not None else range(x.rank)
    name = "ReduceMax" if type(operation).__name__ == "Any" else "ReduceMin"
    found = c.op(name, c.cast(x, "int32"), c.integers([axes] if isinstance(axes, int) else axes), keepdims=int(operation.keepdims))
    return c.op("Cast", found, to=int(onnx_type("bool")))


@operation("Argmax", "Argmin")
def arg_extreme(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    axis = operation.axis
    if axis is None:
        x, axis = c.reshape(x, [-1]), 0
    found = c.op("ArgMax" if type(operation).__name__ == "Argmax" else "ArgMin", x, axis=axis, keepdims=int(operation.keepdims))
    return c.op("Cast", found, to=int(onnx_type("int32")))


@operation("Where")
def where(c: Emitter, operation: Any, condition: Any, x1: Any, x2: Any) -> Any:
    return c.op("Where", c.tensor(condition, "bool"), *alike(c, x1, x2))


@operation("Clip")
def clip(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    return c.op("Clip", x, c.tensor(operation.x_min, x.dtype), c.tensor(operation.x_max, x.dtype))


@operation("Cast")
def cast(c: Emitter, operation: Any, x: Any) -> Any:
    return c.tensor(x, str(operation.dtype))


@operation("Square")
def square(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Mul", x, x)


@operation("Rsqrt")
def rsqrt(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Reciprocal", c.op("Sqrt", floating(c, x)))


@operation("Log1p", "Expm1")
def near_zero(c: Emitter, operation: Any, x: Any) -> Any:
    """With the correction that keeps small numbers exact: log(1+x) = x log(u) / (u - 1), and exp(x) - 1 = 2 tanh(x/2) / (1 - tanh(x/2))."""
    x = floating(c, x)
    one = c.number(1, x.dtype)
    if type(operation).__name__ == "Log1p":
        u = c.op("Add", x, one)
        gap = c.op("Sub", u, one)
        exact = c.op("Div", c.op("Mul", x, c.op("Log", u)), gap)
        beyond = c.op("Or", c.op("IsInf", u), c.op("Equal", gap, c.number(0, x.dtype)))
        return c.op("Where", c.op("IsInf", u), u, c.op("Where", beyond, x, exact))
    half = c.op("Tanh", c.op("Mul", x, c.number(0.5, x.dtype)))
    small = c.op("Div", c.op("Mul", c.number(2, x.dtype), half), c.op("Sub", one, half))
    return c.op("Where", c.op("Less", c.op("Abs", x), one), small, c.op("Sub", c.op("Exp", x), one))


@operation("Relu6")
def relu6(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    return c.op("Clip", x, c.number(0, x.dtype), c.number(6, x.dtype))


@operation("Silu")
def silu(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Mul", x, c.op("Sigmoid", x))


@operation("HardSigmoid")
def hard_sigmoid(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@operation("LeakyRelu")
def leaky_relu(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("LeakyRelu", x, alpha=float(operation.negative_slope))


@operation("Elu", "Celu")
def elu(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op(type(operation).__name__, x, alpha=float(operation.alpha))


@operation("Selu")
def selu(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Selu", x)


@operation("Gelu")
def gelu(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Gelu", floating(c, x), approximate="tanh" if operation.approximate else "none")


@operation("LogSigmoid")
def log_sigmoid(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Neg", c.op("Softplus", c.op("Neg", x)))


@operation("HardTanh")
def hard_tanh(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    return c.op("Clip", x, c.number(-1, x.dtype), c.number(1, x.dtype))


@operation("HardShrink", "SoftShrink")
def shrink(c: Emitter, operation: Any, x: Any) -> Any:
    soft = type(operation).__name__ == "SoftShrink"
    return c.op("Shrink", x, lambd=float(operation.threshold), bias=float(operation.threshold) if soft else 0.0)


@operation("TanhShrink")
def tanh_shrink(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Sub", x, c.op("Tanh", x))


@operation("Softmax", "LogSoftmax")
def softmax(c: Emitter, operation: Any, x: Any) -> Any:
    x = floating(c, x)
    name = type(operation).__name__
    if isinstance(operation.axis, int):
        return c.op(name, x, axis=operation.axis)
    axes = c.integers(operation.axis)
    shifted = c.op("Sub", x, c.op("ReduceMax", x, axes, keepdims=1))
    total = c.op("ReduceSum", c.op("Exp", shifted), axes, keepdims=1)
    return c.op("Div", c.op("Exp", shifted), total) if name == "Softmax" else c.op("Sub", shifted, c.op("Log", total))


def _are_bytes(operands: Sequence[Any]) -> bool:
    """Whether Keras adds the products up in 32 bits."""
    return all(str(getattr(item, "dtype", "")) == "int8" for item in operands)


@operation("Matmul")
def matmul(c: Emitter, operation: Any, x1: Any, x2: Any) -> Any:
    return c.op("MatMulInteger", x1, x2) if _are_bytes([x1, x2]) else c.op("MatMul", *alike(c, x1, x2))


@operation("Einsum")
def einsum(c: Emitter, operation: Any, *operands: Any, **_: Any) -> Any:
    factors = [c.tensor(item, "int32") for item in operands] if _are_bytes(operands) else alike(c, *operands)
    return c.op("Einsum", *factors, equation=operation.subscripts.replace(" ", ""))


@operation("Var", "Std")
def variance(c: Emitter, operation: Any, x: Any) -> Any:
    x = floating(c, x)
    axes = operation.axis if operation.axis is not None else range(x.rank)
    axes = c.integers([axes] if isinstance(axes, int) else axes)
    gap = c.op("Sub", x, c.op("ReduceMean", x, axes, keepdims=1))
    found = c.op("ReduceMean", c.op("Mul", gap, gap), axes, keepdims=int(operation.keepdims))
    return found if type(operation).__name__ == "Var" else c.op("Sqrt", found)


VECTOR_NORMS = {None: "ReduceL2", 2: "ReduceL2", 1: "ReduceL1", float("inf"): "ReduceMax", float("-inf"): "ReduceMin"}


@operation("Norm")
def norm(c: Emitter, operation: Any, x: Any) -> Any:
    """Of vectors, and of matrices the root of the sum of squares; all others go through JAX."""
    x = floating(c, x)
    axes = [operation.axis] if isinstance(operation.axis, int) else operation.axis
    order = None if operation.ord == "fro" else operation.ord
    if order not in VECTOR_NORMS or order is not None and (axes is None or len(axes) > 1):
        raise UnsupportedOperator(f"the norm of order {order}")
    reduction = VECTOR_NORMS[order]
    x = x if reduction.startswith("ReduceL") else c.op("Abs", x)
    return c.op(reduction, x, None if axes is None else c.integers(axes), keepdims=int(operation.keepdims))


@operation("Normalize")
def normalize(c: Emitter, operation: Any, x: Any) -> Any:
    x = floating(c, x)
    axes = c.integers([operation.axis] if isinstance(operation.axis, int) else operation.axis)
    if operation.order == 2:  # the square of the norm is what must not be below the square of epsilon
        squares = c.op("ReduceSumSquare", x, axes, keepdims=1)
        return c.op("Div", x, c.op("Sqrt", c.op("Max", squares, c.number(operation.epsilon**2, x.dtype))))
    magnitudes = c.op("Abs", x)
    if operation.order == np.inf:
        norm = c.op("ReduceMax", magnitudes, axes, keepdims=1)
    else:
        powers = c.op("Pow", magnitudes, c.number(operation.order, x.dtype))
        norm = c.op("Pow", c.op("ReduceSum", powers, axes, keepdims=1), c.number(1 / operation.order, x.dtype))
    return c.op("Div", x, c.op("Max", norm, c.number(operation.epsilon, x.dtype)))


@operation("ReLU")
def relu_with_limits(c: Emitter, operation: Any, x: Any) -> Any:
    """min(x, max_value) from the threshold on, negative_slope * (x - threshold) below."""
    x = c.tensor(x)
    slope, limit, threshold = operation.negative_slope, operation.max_value, operation.threshold
    at = c.number(threshold, x.dtype)
    if slope == 0 and threshold == 0:
        return c.op("Relu", x) if limit is None else c.op("Clip", x, at, c.number(limit, x.dtype))
    above = x if limit is None else c.op("Min", x, c.number(limit, x.dtype))
    below = c.op("Mul", c.number(slope, x.dtype), c.op("Sub", x, at))
    return c.op("Where", c.op("GreaterOrEqual" if slope else "Greater", x, at), above, below)


@operation("Moments")
def moments(c: Emitter, operation: Any, x: Any) -> Any:
    x = floating(c, x)
    axes = c.integers([operation.axes] if isinstance(operation.axes, int) else operation.axes)
    mean = c.op("ReduceMean", x, axes, keepdims=1)
    gap = c.op("Sub", x, mean)
    spread = c.op("ReduceMean", c.op("Mul", gap, gap), axes, keepdims=int(operation.keepdims))
    return [mean if operation.keepdims else c.op("ReduceMean", x, axes, keepdims=0), spread]
