"""Scales, shifts and pads beside convolutions and matrix products move into their weights, biases and attributes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onward.ir import Node, Value
from onward.passes.match import Match
from onward.passes.pattern import Apply, bind, constant, op, optional, wildcards
from onward.passes.rewrite import Builder, Rule

x, y = wildcards("x y")
weight, factor, summand = constant("weight"), constant("factor"), constant("summand")
bias = optional("bias")

convolution = op.Conv(x, weight, bias)
transposed = op.ConvTranspose(x, weight, bias)


def per_channel(data: np.ndarray, rank: int, channels: int) -> np.ndarray | None:
    """The vector of one number for each channel (axis 1) that broadcasting `data` to `rank` axes means, or None."""
    shape = (1,) * (rank - data.ndim) + data.shape
    if len(shape) != rank or shape[1] not in (1, channels) or math.prod(shape) != shape[1]:
        return None
    return np.broadcast_to(data.reshape(-1), (channels,))


def _vector(match: Match, name: str) -> np.ndarray | None:
    shape = match.shape(match.root.outputs[0])
    if shape is None or len(shape) < 2 or not isinstance(shape[1], int):
        return None
    return per_channel(match.data(name).astype(np.float64), len(shape), shape[1])


def _node(match: Match, operator: str) -> Node:
    return next(node for pattern, node in match.nodes.items() if pattern.operator == operator)


def _attributes(node: Node) -> dict[str, Any]:
    return {name: item.value for name, item in node.attributes.items()}


def _bias(match: Match, name: str = "bias") -> np.ndarray | float | None:
    """The data of the bias in float64; 0 where there is none; None where it is not constant."""
    if match.bound[name] is None:
        return 0.0
    data = match.constant(name)
    return None if data is None else data.astype(np.float64)


def _is_own(match: Match, name: str) -> bool:
    """Whether nobody else needs the constant: otherwise a changed copy would stand beside it."""
    return len(match.bound[name].uses) == 1


def _scaled(builder: Builder, match: Match, operator: str) -> Value | None:
    vector, shift = _vector(match, "factor"), _bias(match)
    if vector is None or shift is None or not _is_own(match, "weight"):
        return None
    node, data = _node(match, operator), match.data("weight").astype(np.float64)
    if operator == "Conv":
        data = data * vector.reshape(-1, *[1] * (data.ndim - 1))
    else:
        groups = int(match.option(node, "group", 1))
        form = (groups, 1, -1, *[1] * (data.ndim - 2))
        data = (data.reshape(groups, -1, *data.shape[1:]) * vector.reshape(form)).reshape(data.shape)
    new_bias = None if match.bias is None else builder.constant(shift * vector, like=match.x)
    inputs = (match.x, builder.constant(data, like=match.x), new_bias)
    return builder.node(operator, inputs, _attributes(node))


def _shifted(builder: Builder, match: Match, operator: str) -> Value | None:
    vector, shift = _vector(match, "summand"), _bias(match)
    if vector is None or shift is None:
        return None
    inputs = (match.x, match.weight, builder.constant(vector + shift, like=match.x))
    return builder.node(operator, inputs, _attributes(_node(match, operator)))


def _gemm_scaled(builder: Builder, match: Match) -> Value | None:
    vector, shift = _vector(match, "factor"), _bias(match)
    if vector is None or shift is None or not _is_own(match, "weight"):
        return None
    node = _node(match, "Gemm")
    form = (-1, 1) if match.option(node, "transB", 0) else (1, -1)
    data = match.data("weight").astype(np.float64) * vector.reshape(form)
    new_bias = None if match.bias is None else builder.constant(np.asarray(shift) * vector, like=match.x)
    return builder.node("Gemm", (match.x, builder.constant(data, like=match.x), new_bias), _attributes(node))


def _gemm_shifted(builder: Builder, match: Match) -> Value | None:
    vector, shift = _vector(match, "summand"), _bias(match)
    if vector is None or shift is None:
        return None
    node = _node(match, "Gemm")
    total = vector + float(match.option(node, "beta", 1.0)) * np.asarray(shift)
    attributes = {name: value for name, value in _attributes(node).items() if name != "beta"}
    return builder.node("Gemm", (match.x, match.weight, builder.constant(total, like=match.x)), attributes)


def _matmul_scaled(builder: Builder, match: Match) -> Value | None:
    """x W * f = x (W f) for a factor of one number per column, or one number."""
    data, vector = match.data("weight"), match.data("factor")
    if data.ndim < 2 or not _is_own(match, "weight"):
        return None
    if vector.size != 1 and (vector.shape[-1:] != data.shape[-1:] or vector.size != vector.shape[-1]):
        return None
    scaled = data.astype(np.float64) * vector.astype(np.float64).reshape(-1)
    return builder.MatMul(match.x, builder.constant(scaled, like=match.x))


def _padded(builder: Builder, match: Match) -> Value | None:
    """Zeros around the input are what a convolution pads with."""
    node, pads, rank = match.root, match.pads, match.rank("x")
    if rank is None or rank < 3 or match.option(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    axes = match.bound.get("axes") or list(range(rank))
    begin, end = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        begin[axis % rank], end[axis % rank] = pads[place], pads[len(axes) + place]
    if any(begin[:2]) or any(end[:2]) or min(begin + end) < 0:
        return None
    own = match.option(node, "pads") or [0] * (2 * (rank - 2))
    attributes = {name: value for name, value in _attributes(node).items() if name != "auto_pad"}
    attributes["pads"] = [left + right for left, right in zip(own, begin[2:] + end[2:])]
    return builder.node("Conv", (match.x, match.y, match.bias), attributes)


def _affine_scaled(builder: Builder, match: Match) -> Value | None:
    """(x W + b) * f = x (W f) + b f."""
    product = _matmul_scaled(builder, match)
    width, factor, summand = match.data("weight").shape[-1], match.data("factor"), match.data("summand")
    if product is None or any(data.size not in (1, width) or data.ndim > 1 for data in (factor, summand)):
        return None
    shift = summand.astype(np.float64).reshape(-1) * factor.astype(np.float64).reshape(-1)
    return builder.Add(product, builder.constant(shift, like=match.x))


def _is_zero_padding(match: Match) -> bool:
    pad = _node(match, "Pad")
    if match.option(pad, "mode", "constant") != "constant":
        return False
    if "value" in pad.attributes:
        return not pad.attribute("value")
    value = match.bound.get("value")
    data = None if value is None else match.facts.constant(value)
    return value is None or (data is not None and not data.any())


def _rule(name: str, operation: str, node: Apply, other: Any, build: Any) -> Rule:
    pattern = node * other if operation == "scale" else node + other
    return Rule(name, pattern, build)


gemm = op.Gemm(x, weight, bias)

RULES = (
    _rule("scale into convolution", "scale", convolution, factor, lambda b, m: _scaled(b, m, "Conv")),
    _rule("shift into convolution", "shift", convolution, summand, lambda b, m: _shifted(b, m, "Conv")),
    _rule("scale into transposed convolution", "scale", transposed, factor, lambda b, m: _scaled(b, m, "ConvTranspose")),
    _rule("shift into transposed convolution", "shift", transposed, summand, lambda b, m: _shifted(b, m, "ConvTranspose")),
    _rule("scale into matrix product with bias", "scale", gemm, factor, _gemm_scaled),
    _rule("shift into matrix product with bias", "shift", gemm, summand, _gemm_shifted),
    _rule("scale into matrix product", "scale", op.MatMul(x, weight), factor, _matmul_scaled),
    Rule("scale into matrix product and shift", (op.MatMul(x, weight) + summand) * factor, _affine_scaled),
    Rule(
        "pad into convolution",
        op.Conv(op.Pad(x, optional("value"), pads=bind("pads"), axes=bind("axes")), y, bias),
        _padded,
        when=_is_zero_padding,
    ),
)
