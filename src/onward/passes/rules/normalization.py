"""LayerNormalization, RMSNormalization and GroupNormalization spelled out.

The core, without scale and bias, is recognised first, with a scale of ones; the scale and the bias that follow are
then taken in by rules of their own.
"""

from __future__ import annotations

import math

import numpy as np

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import Pattern, any_of, bind, constant, op, optional, wildcards
from onward.passes.rewrite import Builder, Rule
from onward.passes.rules.targets import reshape

x, y, gamma = wildcards("x y gamma")
epsilon = constant("epsilon")

mean = op.ReduceMean(x, axes=bind("axes"), keepdims=1)
centred = x - mean


def squared(pattern: Pattern) -> Pattern:
    """The square, as a power or as a product."""
    return any_of(pattern**2, pattern * pattern)


def over_root(numerator: Pattern, square: Pattern) -> Pattern:
    """numerator / sqrt(square + epsilon), as exporters write it."""
    root = op.Sqrt(square + epsilon)
    return any_of(
        numerator / root,
        numerator * op.Reciprocal(root),
        numerator * (1 / root),
        numerator * (square + epsilon) ** -0.5,
    )


variance = op.ReduceMean(squared(centred), axes=bind("axes"), keepdims=1)
other_variance = op.ReduceMean(squared(x - op.ReduceMean(x, axes=bind("axes"), keepdims=1)), axes=bind("axes"), keepdims=1)
mean_square = op.ReduceMean(squared(x), axes=bind("axes"), keepdims=1)


def _first_axis(match: Match) -> int | None:
    """The first of the axes when they are the last ones of x."""
    rank, axes = match.rank("x"), match.axes
    if rank is None or axes is None:
        return None
    places = sorted(axis % rank for axis in axes)
    return places[0] if places and places == list(range(places[0], rank)) else None


def _core(builder: Builder, match: Match, operator: str) -> Value | None:
    axis, shape, number = _first_axis(match), match.shape("x"), match.data("epsilon")
    if axis is None or shape is None or number.size != 1:
        return None
    inner = shape[axis:]
    if not all(isinstance(extent, int) for extent in inner):
        return None
    ones = builder.constant(np.ones(inner), like=match.x)  # type: ignore[arg-type]
    value = float(number.reshape(-1)[0])
    return builder.node(operator, (match.x, ones), {"axis": axis - len(shape), "epsilon": value})


def _fits_core(match: Match, name: str) -> bool:
    """Whether a value has exactly the shape of the axes that are normalised, but for leading ones."""
    shape, rank = match.shape(name), match.rank("x")
    whole = match.shape("x")
    if shape is None or rank is None or whole is None:
        return False
    inner = whole[match.axis % rank :]
    return shape[len(shape) - len(inner) :] == inner and all(extent == 1 for extent in shape[: len(shape) - len(inner)])


def _with_scale(builder: Builder, match: Match) -> Value | None:
    node = next(node for pattern, node in match.nodes.items() if pattern.operator != "Mul")
    if not _fits_core(match, "gamma") or match.dtype("gamma") != match.dtype("x"):
        return None
    whole, rank = match.shape("x"), match.rank("x")
    assert whole is not None and rank is not None
    scale = reshape(builder, match, match.gamma, whole[match.axis % rank :])
    attributes = {name: item.value for name, item in node.attributes.items()}
    return None if scale is None else builder.node(node.op_type, (match.x, scale), attributes)


def _with_bias(builder: Builder, match: Match) -> Value | None:
    node = next(node for pattern, node in match.nodes.items() if pattern.operator == "LayerNormalization")
    if not _fits_core(match, "y") or match.dtype("y") != match.dtype("x"):
        return None
    whole, rank = match.shape("x"), match.rank("x")
    assert whole is not None and rank is not None
    bias = reshape(builder, match, match.y, whole[match.axis % rank :])
    attributes = {name: item.value for name, item in node.attributes.items()}
    return None if bias is None else builder.node(node.op_type, (match.x, match.gamma, bias), attributes)


ones = constant("ones", value=1.0)
zeros = constant("zeros", value=0.0)


def _group_normalization(builder: Builder, match: Match) -> Value | None:
    """InstanceNormalization over the groups, as older PyTorch exporters write it."""
    shape = match.shape("x")
    inner = next(node for pattern, node in match.nodes.items() if pattern.operator == "InstanceNormalization").inputs[0]
    grouped = match.shape(inner)  # type: ignore[arg-type]
    if shape is None or grouped is None or len(grouped) != 3 or len(shape) < 2 or grouped[0] != shape[0]:
        return None
    groups, channels = grouped[1], shape[1]
    if not isinstance(groups, int) or not isinstance(channels, int) or channels % groups:
        return None
    if match.facts.opsets.get("", 1) < 21:
        return None
    scale = builder.constant(np.ones(channels), like=match.x)
    bias = builder.constant(np.zeros(channels), like=match.x)
    return builder.GroupNormalization(match.x, scale, bias, num_groups=groups, epsilon=match.epsilon)


def _channels(match: Match, name: str) -> np.ndarray | None:
    """The number for each channel that a constant of the shape (C, 1, ...) gives, or None."""
    shape, data = match.shape("x"), match.data(name)
    assert shape is not None
    form = (1,) * (len(shape) - data.ndim) + data.shape
    if len(form) != len(shape) or form[1] != shape[1] or math.prod(form) != form[1]:
        return None
    return data.reshape(-1)


factor, summand = constant("factor"), constant("summand")
weights, shifts = constant("weights"), constant("shifts")
grouped = op.GroupNormalization(x, weights, shifts, num_groups=bind("groups"), epsilon=bind("epsilon"))
per_channel = op.InstanceNormalization(x, weights, shifts, epsilon=bind("epsilon"))


def _affine(builder: Builder, match: Match, scale: bool) -> Value | None:
    """A factor or a summand for each channel after a normalization moves into it."""
    vector = _channels(match, "factor" if scale else "summand")
    node = next(node for pattern, node in match.nodes.items() if pattern.operator.endswith("Normalization"))
    if vector is None or match.data("weights").shape != vector.shape:
        return None
    weights, shifts = match.data("weights"), match.data("shifts")
    new_weights = builder.constant(weights * vector if scale else weights)
    new_shifts = builder.constant(shifts * vector if scale else shifts + vector)
    attributes = {name: item.value for name, item in node.attributes.items()}
    return builder.node(node.op_type, (match.x, new_weights, new_shifts), attributes)


RULES = (
    Rule(
        "layer normalization",
        any_of(over_root(centred, variance), over_root(centred, other_variance)),
        lambda b, m: _core(b, m, "LayerNormalization"),
    ),
    Rule("rms normalization", over_root(x, mean_square), lambda b, m: _core(b, m, "RMSNormalization")),
    Rule(
        "scale into layer normalization",
        op.LayerNormalization(x, ones, axis=bind("axis")) * gamma,
        _with_scale,
    ),
    Rule(
        "bias into layer normalization",
        op.LayerNormalization(x, gamma, axis=bind("axis")) + y,
        _with_bias,
    ),
    Rule("scale into rms normalization", op.RMSNormalization(x, ones, axis=bind("axis")) * gamma, _with_scale),
    Rule(
        "group normalization",
        op.Reshape(
            op.InstanceNormalization(op.Reshape(x, optional("how")), ones, zeros, epsilon=bind("epsilon")),
            optional("back"),
        ),
        _group_normalization,
    ),
    Rule(
        "scale into group normalization",
        any_of(grouped * factor, per_channel * factor),
        lambda b, m: _affine(b, m, True),
    ),
    Rule(
        "shift into group normalization",
        any_of(grouped + summand, per_channel + summand),
        lambda b, m: _affine(b, m, False),
    ),
)
