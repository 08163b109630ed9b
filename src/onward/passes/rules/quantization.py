"""Quantised models compute with integers: products of dequantised bytes become products of bytes.

In real numbers sum (a - z) s * (b - w) t = s t * sum (a - z) (b - w), and the sum is exact in integers, so the result is at
least as near to what the model means. What is quantised next by a known scale is multiplied by its reciprocal: a number
that lies between two integers, to the last bit, may then be rounded to the other one.

The sum must fit into 32 bits: products longer than LONGEST stay as they are. A length that only the run knows, that of attention,
counts as short.

These rules are for code of this package's own: other runtimes look for the forms that are taken away here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.ir import DataType, Node, Value
from onward.passes.match import Match
from onward.passes.pattern import Apply, any_of, bind, constant, op, optional, rest, wildcards
from onward.passes.rewrite import Builder, Rule

x, y, a, b = wildcards("x y a b")
bias, zero = optional("bias"), optional("zero")
BYTES = (DataType.UINT8, DataType.INT8)
LONGEST = (2**31 - 1) // 255**2
"""So many products of two bytes less their zero points have a sum that 32 bits hold, whatever the bytes."""


def _dequantized(name: str) -> Apply:
    """A tensor `name` of bytes, with a known scale `name_scale` and perhaps a zero point `name_zero` along `name_axis`."""
    value, (scale, point) = wildcards(name)[0], (constant(f"{name}_scale"), optional(f"{name}_zero"))
    return op.DequantizeLinear(value, scale, point, axis=bind(f"{name}_axis")).shared()


def _per_channel(match: Match, name: str, axis: int, rank: int) -> np.ndarray | None:
    """The scale of a tensor: one number, or one for each index of `axis`; None where it is something else."""
    scale = match.data(f"{name}_scale").astype(np.float64)
    own = match.bound.get(f"{name}_axis")
    if scale.size == 1:
        return scale.reshape(())
    return scale if scale.ndim == 1 and own is not None and own % rank == axis % rank else None


def _single(match: Match, name: str) -> np.ndarray | None:
    scale = match.data(f"{name}_scale").astype(np.float64)
    return scale.reshape(()) if scale.size == 1 else None


def _fits(match: Match, *names: str) -> bool:
    """Whether the tensors are bytes and the result is a float32."""
    if match.dtype(match.root.outputs[0]) != DataType.FLOAT:
        return False
    return all(match.dtype(name) in BYTES and match.rank(name) is not None for name in names)


def _is_short(shape: Sequence[Any] | None) -> bool:
    """Whether the sum over axes of these extents fits."""
    return math.prod(extent for extent in shape or () if isinstance(extent, int)) <= LONGEST


def _zero(match: Match, name: str) -> Value | None:
    """The zero point of a tensor; None where it is 0."""
    data = None if match.bound[f"{name}_zero"] is None else match.constant(f"{name}_zero")
    return None if data is not None and not data.any() else match.bound[f"{name}_zero"]


def _attributes(node: Node) -> dict[str, Any]:
    return {name: item.value for name, item in node.attributes.items()}


def _scaled(builder: Builder, total: Value, factor: np.ndarray) -> Value:
    return builder.Mul(builder.Cast(total, to=int(DataType.FLOAT)), builder.constant(factor.astype(np.float32)))


def _convolution(builder: Builder, match: Match) -> Value | None:
    """The scale of the filters, and the bias, stand on axis 1 of the result."""
    rank = match.rank("a")
    if rank is None or not _fits(match, "a", "b") or match.dtype("a") != DataType.UINT8 or not _is_short(match.b.shape[1:]):
        return None
    left, right = _single(match, "a"), _per_channel(match, "b", 0, rank)
    shift = None if match.bias is None else match.constant("bias")
    if left is None or right is None or (shift is None and match.bias is not None):
        return None
    form = (1, -1, *[1] * (rank - 2))
    inputs = (match.a, match.b, _zero(match, "a"), _zero(match, "b"))
    total = builder.node("ConvInteger", inputs, _attributes(match.root))
    result = _scaled(builder, total, (left * right).reshape(form) if right.ndim else left * right)
    return result if shift is None else builder.Add(result, builder.constant(shift.reshape(form)))


def _product(builder: Builder, match: Match, right: Value, axis: int) -> Value | None:
    """a @ right, where `right` is b or its transpose; `axis` of b are the columns."""
    rank = match.rank("b")
    if rank is None or rank < 2 or not _fits(match, "a", "b") or match.rank("a") < 2:  # type: ignore[operator]
        return None
    summed = rank - 1 if axis % rank == rank - 2 else rank - 2
    if not _is_short(match.b.shape[summed : summed + 1]):
        return None
    first, second = _single(match, "a"), _per_channel(match, "b", axis, rank)
    if first is None or second is None or (second.ndim and rank != 2):
        return None
    return _scaled(builder, builder.MatMulInteger(match.a, right, _zero(match, "a"), _zero(match, "b")), first * second)


def _matmul(builder: Builder, match: Match) -> Value | None:
    return _product(builder, match, match.b, -1)


def _gemm(builder: Builder, match: Match) -> Value | None:
    node = match.root
    if match.option(node, "transA", 0):
        return None
    turned = bool(match.option(node, "transB", 0))
    right = builder.Transpose(match.b, perm=[1, 0]) if turned else match.b
    result = _product(builder, match, right, 0 if turned else 1)
    alpha, beta = (float(match.option(node, name, 1.0)) for name in ("alpha", "beta"))
    if result is None:
        return None
    result = result if alpha == 1 else builder.Mul(result, builder.constant(np.float32(alpha)))
    if match.bias is None:
        return result
    shift = match.bias if beta == 1 else builder.Mul(match.bias, builder.constant(np.float32(beta)))
    return builder.Add(result, shift)


def _unsigned(builder: Builder, match: Match) -> Value | None:
    """int8 activations become uint8: all numbers and zero points are 128 more."""
    zeros = [_raised(builder, match, name) for name in ("zero", "x_zero")]
    signed = match.root.inputs[0]
    if signed is None or match.dtype(signed) != DataType.INT8 or zeros[0] is None or zeros[1] is None:
        return None
    quantized = builder.QuantizeLinear(match.y, match.scale, zeros[0], axis=match.y_axis)
    return builder.DequantizeLinear(quantized, match.x_scale, zeros[1], axis=match.x_axis)


def _raised(builder: Builder, match: Match, name: str) -> Value | None:
    if match.bound[name] is None:
        scale = match.data("scale" if name == "zero" else "x_scale")
        return builder.constant(np.full(scale.shape, 128, np.uint8))
    data = match.constant(name)
    return None if data is None or data.dtype != np.int8 else builder.constant((data.astype(np.int16) + 128).astype(np.uint8))


def _moved(builder: Builder, match: Match) -> Value | None:
    """Whatever only picks or moves elements does so with bytes."""
    node = match.root
    if _single(match, "x") is None or not _fits(match, "x") or any(value.uses for value in node.outputs[1:]):
        return None
    if node.op_type == "MaxPool" and match.data("x_scale").item() <= 0:
        return None
    moved = builder.node(node.op_type, (match.x, *match.get("others", ())), _attributes(node))
    return builder.DequantizeLinear(moved, match.x_scale, match.x_zero)


def _back_and_forth(match: Match) -> bool:
    """Whether quantising gives back the bytes that were dequantised."""
    zeros = [None if match.bound[name] is None else match.constant(name) for name in ("zero", "x_zero")]
    first, second = (np.zeros(1) if data is None else data for data in zeros)
    one = match.data("scale").size == match.data("x_scale").size == first.size == second.size == 1
    same = one and match.data("scale").item() == match.data("x_scale").item() and first.item() == second.item()
    return same and match.dtype(match.root.outputs[0]) == match.dtype("x")


def _quantized_by_factor(builder: Builder, match: Match) -> Value | None:
    if match.x.producer is not None and match.x.producer.op_type == "DequantizeLinear":
        return None  # the scales may yet turn out to be the same
    factor = np.float32(1 / match.data("scale").astype(np.float64).item())
    if not np.isfinite(factor) or match.dtype("x") != DataType.FLOAT:
        return None
    options = {name: item for name, item in _attributes(match.root).items() if name != "axis"}
    product = builder.Mul(match.x, builder.constant(factor))
    return builder.QuantizeLinear(product, builder.constant(np.float32(1)), match.zero, **options)


def _is_one_number(data: np.ndarray) -> bool:
    return data.size == 1 and data.item() != 1 and data.dtype == np.float32


def _starts_at_least(match: Match) -> bool:
    """Whether 0 is the least number that the quantised type has room for: negative numbers end there anyway."""
    dtype = match.dtype(match.root.outputs[0])
    data = None if match.bound["zero"] is None else match.constant("zero")
    if dtype not in BYTES or (data is None and match.bound["zero"] is not None):
        return False
    least = 0 if dtype == DataType.UINT8 else -128
    return least == 0 if data is None else bool(np.all(data == least))


def _written_out(builder: Builder, match: Match) -> Value | None:
    """An operator of com.microsoft on bytes as the float operator between DequantizeLinear and QuantizeLinear."""
    dtype = match.dtype("a")
    if dtype not in BYTES:
        return None
    left, right = (builder.DequantizeLinear(match.bound[name], match.bound[f"{name}_scale"], match.bound[f"{name}_zero"]) for name in "ab")
    point = match.zero if match.zero is not None else builder.constant(np.zeros((), dtype.numpy))
    result = builder.node(match.root.op_type.removeprefix("QLinear"), (left, right), {})
    return builder.QuantizeLinear(result, match.scale, point)


def _not_rectified(builder: Builder, match: Match) -> Value:
    return builder.node("QuantizeLinear", (match.x, match.y, match.zero), _attributes(match.root))


def _scales_times_factor(builder: Builder, match: Match) -> Value | None:
    first, second, factor = _single(match, "a"), _single(match, "b"), match.data("e").astype(np.float64)
    if first is None or second is None or factor.size != 1 or not _fits(match, "a", "b"):
        return None
    left, right = (builder.constant((scale * factor.item()).astype(np.float32)) for scale in (first, second))
    return builder.Add(builder.DequantizeLinear(match.a, left, match.a_zero), builder.DequantizeLinear(match.b, right, match.b_zero))


def _distributes(match: Match) -> bool:
    """Whether the sum is that of an integer product, which has an epilogue for it; constants stay small."""
    return all(match.data(name).size <= 1 << 16 for name in ("c", "d", "e")) and match.dtype("x") == DataType.FLOAT


def _rule(name: str, pattern: Any, replacement: Any, when: Any = None) -> Rule:
    return Rule(name, pattern, replacement, when, native=True)


c, d, e = constant("c"), constant("d"), constant("e")
scale, one_number = constant("scale"), constant("scale", test=_is_one_number)
moves = [op.MaxPool, op.Reshape, op.Transpose, op.Squeeze, op.Unsqueeze, op.Flatten, op.Slice, op.Gather]

microsoft = op.domain("com.microsoft")
two_operands = (a, constant("a_scale"), optional("a_zero"), b, constant("b_scale"), optional("b_zero"), scale, zero)

RULES = (
    _rule("sum of bytes written out", microsoft.QLinearAdd(*two_operands), _written_out),
    _rule("elementwise product of bytes written out", microsoft.QLinearMul(*two_operands), _written_out),
    _rule("convolution of bytes", op.Conv(_dequantized("a"), _dequantized("b"), bias), _convolution),
    _rule("product of bytes", op.MatMul(_dequantized("a"), _dequantized("b")), _matmul),
    _rule("product of bytes with bias", op.Gemm(_dequantized("a"), _dequantized("b"), bias), _gemm),
    _rule(
        "unsigned instead of signed bytes",
        op.DequantizeLinear(op.QuantizeLinear(y, scale, zero, axis=bind("y_axis")).shared(), constant("x_scale"), optional("x_zero"), axis=bind("x_axis")),
        _unsigned,
    ),
    _rule("move bytes", any_of(*(move(_dequantized("x"), rest("others")) for move in moves)), _moved),
    _rule("quantize what was dequantized", op.QuantizeLinear(_dequantized("x"), scale, zero), x, _back_and_forth),
    _rule("quantize a rectified number", op.QuantizeLinear(op.Relu(x), y, zero), _not_rectified, _starts_at_least),
    _rule("quantize by a factor", op.QuantizeLinear(x, one_number, zero), _quantized_by_factor),
    _rule("factor into dequantized numbers", (_dequantized("a") + _dequantized("b")) * e, _scales_times_factor),
    _rule("factor into a sum", (op.Mul(x, c) + d) * e, op.Mul(x, c * e) + d * e, _distributes),
)
