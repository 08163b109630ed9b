"""Quantisation as PyTorch trains with it: a tensor that is quantised and dequantised is one function, through whose rounding gradients pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onward.converters.targets.printing.native import Writer
from onward.converters.targets.torch.quantized import QUANTIZED
from onward.converters.targets.torch.rules.layers import arguments, number_of
from onward.converters.targets.torch.rules.registry import rule
from onward.converters.targets.torch.words import TYPES, whole
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Constant

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer


def is_single(array: Array) -> bool:
    """Whether an array is one number for the whole tensor, which is known."""
    return array.size == 1 and array.known is not None


def only(array: Array) -> float:
    """The element of an array that has one."""
    assert array.known is not None
    return float(array.known.reshape(-1)[0])


def steps(call: Call) -> tuple[Array, Array, Array, int | None] | None:
    """The tensor, its scale and zero point, and their axis (None: one for the whole tensor).

    None where these are not known ahead or PyTorch does not train with them.
    """
    x, scale, zero = call.inputs
    given = call.attributes
    if zero is None or zero.dtype not in QUANTIZED or scale.dtype != DataType.FLOAT or given.get("block_size") or given.get("precision"):
        return None
    if is_single(scale) and is_single(zero):
        return x, scale, zero, None
    if scale.rank != 1 or not isinstance(scale, Constant) or not isinstance(zero, Constant):
        return None
    return x, scale, zero, given.get("axis", 1) % x.rank


def limits(dtype: DataType) -> tuple[int, int]:
    """The least and greatest number of a type."""
    return (0, (1 << dtype.bits) - 1) if dtype.name.startswith("U") else (-(1 << dtype.bits - 1), (1 << dtype.bits - 1) - 1)


@rule("QuantizeLinear", of_weights=True)
def quantize(call: Call) -> Writer | None:
    """Not trained by itself, but known to the next rule."""
    found = steps(call)
    if found is None or call.inputs[0].dtype != DataType.FLOAT:
        return None
    x, scale, zero, axis = found
    kind = TYPES.get(zero.dtype)
    if kind is None:
        return None

    def write(printer: Printer) -> str:
        low, high = limits(zero.dtype)
        text = f"torch.round({whole(printer.array(x))} / {_aligned(printer, scale, x, axis)})"
        return f"({text} + {_aligned(printer, zero, x, axis)}).clamp({low}, {high}).to(torch.{kind})"

    return write


def _aligned(printer: Printer, array: Array, x: Array, axis: int | None) -> str:
    if axis is None:
        return number_of(only(array))
    return f"{printer.array(array)}.reshape({', '.join(['-1', *['1'] * (x.rank - axis - 1)])})"


@rule("DequantizeLinear", of_weights=True)
def fake_quantize(call: Call) -> Native | None:
    """After QuantizeLinear of the same steps."""
    before = call_of(call.inputs[0])
    if before is None or before.node.op_type != "QuantizeLinear" or before.node.domain or call.results[0].dtype != DataType.FLOAT:
        return None
    found, taken = steps(call), steps(before)
    if found is None or taken is None or not all(_same(left, right) for left, right in zip(found[1:3], taken[1:3])) or found[3] != taken[3]:
        return None
    source, scale, zero, axis = taken
    low, high = limits(zero.dtype)

    def write(printer: Printer) -> str:
        text = printer.array(source)
        if axis is None:
            numbers = number_of(only(scale)), int(only(zero))
            return f"torch.fake_quantize_per_tensor_affine({arguments(text, *numbers, low, high)})"
        return f"torch.fake_quantize_per_channel_affine({arguments(text, printer.array(scale), f'{printer.array(zero)}.to(torch.int32)', axis, low, high)})"

    return Native(write, (source,))


def _same(left: Array, right: Array) -> bool:
    if left is right:
        return True
    return left.known is not None and right.known is not None and left.shape == right.shape and bool((left.known == right.known).all())
