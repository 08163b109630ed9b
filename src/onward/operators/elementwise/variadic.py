"""Sum, Mean, Min and Max of any number of inputs."""

from __future__ import annotations

import functools

from onward import program as P
from onward.operators.numeric import pointwise
from onward.operators.registry import operator


@operator("Sum")
def variadic_sum(*inputs: P.Array) -> P.Array:
    """The sum of the inputs. ONNX Sum-1, Sum-8 (broadcasting)."""
    return pointwise(lambda *elements: functools.reduce(lambda left, right: left + right, elements), *inputs)


@operator("Mean")
def variadic_mean(*inputs: P.Array) -> P.Array:
    """The mean of the inputs. ONNX Mean-1, Mean-8 (broadcasting)."""
    number = float(len(inputs))
    return pointwise(lambda *elements: functools.reduce(lambda left, right: left + right, elements) / number, *inputs)


@operator("Min")
def variadic_minimum(*inputs: P.Array) -> P.Array:
    """The least of the inputs; NaN if any is. ONNX Min-1, Min-8 (broadcasting), Min-12 (integers)."""
    return P.elementwise(lambda *elements: functools.reduce(P.minimum, elements), *inputs)


@operator("Max")
def variadic_maximum(*inputs: P.Array) -> P.Array:
    """The greatest of the inputs; NaN if any is. ONNX Max-1, Max-8 (broadcasting), Max-12 (integers)."""
    return P.elementwise(lambda *elements: functools.reduce(P.maximum, elements), *inputs)
