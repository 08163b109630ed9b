"""Kernels and tables of codes (`model.quantize`), and what is multiplied with them, rounded as Keras rounds it.

A layer says its mode (`quantization_mode`) and, where its inputs are rounded too, `inputs_quantizer`. Codes of four bits lie in pairs in
bytes; those in groups have a scale and a zero for each group, and `g_idx` says of which group a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, onnx_type
from onward.converters.keras.registry import operate
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType

MATRIX = "...a,ab->...b"
"""The equation of a product of matrices."""


def product(c: Emitter, owner: Any, x: Tensor, equation: str = MATRIX) -> Any:
    """Inputs times the kernel of a layer, with its codes scaled back.

    Raises UnsupportedOperator for layers with factors beside their codes (LoRA).
    """
    mode = owner.quantization_mode
    if mode is None:
        return _times(c, equation, x, c.tensor(owner.kernel, x.dtype))
    _check(owner, PRODUCTS)
    return PRODUCTS[mode](c, owner, x, equation)


def rows(c: Emitter, owner: Any, index: Tensor) -> Value:
    """Rows of a table of codes, scaled back, in the type that the layer computes in."""
    _check(owner, ("int8", "int4"))
    if owner.quantization_mode == "int8":
        table = c.tensor(owner._embeddings)
    else:
        table = _pairs(c, owner._embeddings, -1, owner.output_dim)
    found = c.op("Cast", c.op("Gather", table, index, axis=0), to=_computed(c))
    scale = c.op("Gather", owner.embeddings_scale, index, axis=0)
    zero = _zero(owner, "embeddings")
    if zero is None:
        made: Value = c.op("Div", found, c.unsqueeze(scale, -1))
        return made
    return _grouped(c, found, scale, c.op("Gather", zero, index, axis=0), owner.g_idx, -1)


def scores(c: Emitter, owner: Any, x: Tensor) -> Value:
    """Inputs times a table of codes turned around: a score for each of its rows."""
    _check(owner, ("int8", "int4"))
    tied, four = owner.tie_weights, owner.quantization_mode == "int4"
    name = "embeddings" if tied else "reverse_embeddings"
    stored = owner._embeddings if tied else owner.reverse_embeddings
    codes = _pairs(c, stored, -1 if tied else 0, owner.output_dim) if four else c.tensor(stored)
    scale, zero = getattr(owner, f"{name}_scale"), _zero(owner, name)
    if tied:
        codes, scale, zero = _turned(c, codes), _turned(c, scale), None if zero is None else _turned(c, zero)
    x, inputs_scale = _rounded(c, owner, x, [-1])
    if zero is None:
        total = c.op("Cast", operate(c, "Matmul", x, codes), to=_computed(c))
        made: Value = c.op("Div", total, scale if inputs_scale is None else c.op("Mul", inputs_scale, scale))
        return made
    table = _grouped(c, c.cast(codes, c.compute_dtype), scale, zero, owner.g_idx, 0)
    found = operate(c, "Matmul", x, c.described(table))
    return found.value if inputs_scale is None else c.op("Div", found, inputs_scale)


def bias(c: Emitter, owner: Any, dtype: str) -> Tensor:
    """The bias of a layer, which passes through 16 bits beside a product of eight."""
    found = c.tensor(owner.bias, dtype)
    return c.cast(c.cast(found, "bfloat16"), dtype) if owner.quantization_mode == "float8" and dtype == "float32" else found


def _eight_bits(c: Emitter, owner: Any, x: Tensor, equation: str) -> Value:
    x, inputs_scale = _rounded(c, owner, x, _summed(equation))
    total = c.op("Cast", _times(c, equation, x, c.tensor(owner._kernel)), to=_computed(c))
    scale = c.tensor(owner.kernel_scale)
    found: Value = c.op("Div", total, scale if inputs_scale is None else c.op("Mul", scale, _aligned(c, inputs_scale, equation)))
    return found


def _four_bits(c: Emitter, owner: Any, x: Tensor, equation: str) -> Any:
    """Codes of matrices alone are multiplied as they are, all others scaled back before."""
    scale, zero = owner.kernel_scale, _zero(owner, "kernel")
    codes = _pairs(c, owner._kernel, -1, scale.shape[-1])
    if zero is not None:
        kernel = _grouped(c, c.cast(codes, c.compute_dtype), scale, zero, owner.g_idx, 0)
        return _times(c, equation, x, kernel if equation == MATRIX else c.reshape(kernel, owner.original_kernel_shape))
    x, inputs_scale = _rounded(c, owner, x, _summed(equation))
    if equation == MATRIX:
        total = c.op("Cast", operate(c, "Matmul", x, codes), to=_computed(c))
        return c.op("Div", total, scale if inputs_scale is None else c.op("Mul", scale, inputs_scale))
    kernel = c.reshape(c.op("Div", c.cast(codes, c.compute_dtype), scale), owner.original_kernel_shape)
    found = _times(c, equation, x, kernel)
    return found if inputs_scale is None else c.op("Div", found, _aligned(c, inputs_scale, equation))


def _float_eight(c: Emitter, owner: Any, x: Tensor, equation: str) -> Any:
    kernel = _through_eight_bits(c, c.tensor(owner._kernel, c.compute_dtype), owner.kernel_scale)
    return _times(c, equation, _through_eight_bits(c, x, owner.inputs_scale), kernel)


def _calibrated(c: Emitter, owner: Any, x: Tensor, equation: str) -> Any:
    """Codes without a sign, a row for each result, in groups along it (GPTQ, AWQ); those of AWQ are of a kernel whose rows were multiplied. A layer
    that waits for its calibration computes with its numbers."""
    if not getattr(owner, f"is_{owner.quantization_mode}_calibrated", True):
        return _times(c, equation, x, c.tensor(owner._kernel, x.dtype))
    if getattr(owner, "quantized_kernel", None) is None:
        raise UnsupportedOperator(f"weights of the mode '{owner.quantization_mode}', whose zeros Keras leaves out of its files: convert the model itself")
    stored, scale, count = owner.quantized_kernel, owner.kernel_scale, owner.kernel_scale.shape[0]
    codes = c.tensor(stored) if stored.shape[0] == count else _unsigned_pairs(c, stored, count)
    kernel = _turned(c, _grouped(c, c.op("Cast", codes, to=_computed(c)), scale, owner.kernel_zero, owner.g_idx, -1))
    if owner.quantization_mode == "awq":
        kernel = c.described(c.op("Div", kernel, c.unsqueeze(owner.awq_scales, -1)))
    return _times(c, equation, x, kernel if equation == MATRIX else c.reshape(kernel, owner.original_kernel_shape))


PRODUCTS: dict[str, Callable[[Emitter, Any, Tensor, str], Any]] = {
    "int8": _eight_bits, "int4": _four_bits, "float8": _float_eight, "gptq": _calibrated, "awq": _calibrated,
}  # fmt: skip


def _check(owner: Any, modes: Any) -> None:
    if owner.quantization_mode not in modes:
        raise UnsupportedOperator(f"weights of the mode '{owner.quantization_mode}'")
    if getattr(owner, "lora_enabled", False):
        raise UnsupportedOperator("factors (LoRA) beside weights of codes")


def _computed(c: Emitter) -> int:
    return int(onnx_type(c.compute_dtype))


def _zero(owner: Any, name: str) -> Any:
    """The zeros of groups, None where there are no groups."""
    return getattr(owner, f"{name}_zero", None)


def _times(c: Emitter, equation: str, x: Tensor, kernel: Any) -> Any:
    kernel = c.described(c.value(kernel))
    return operate(c, "Matmul", x, kernel) if equation == MATRIX else operate(c, "Einsum", x, kernel, subscripts=equation)


def _turned(c: Emitter, item: Any) -> Tensor:
    item = c.tensor(item)
    return item if item.rank < 2 else c.described(c.op("Transpose", item, perm=[1, 0]))


def _rounded(c: Emitter, owner: Any, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Value | None]:
    """Codes of eight bits for inputs, and by what they were multiplied before they were rounded: the greatest along `axes` becomes the
    greatest code. Inputs that the layer does not round stay as they are, without a scale."""
    quantizer = owner.inputs_quantizer
    if quantizer is None:
        return x, None
    low, high = quantizer.value_range
    greatest = c.op("Add", c.op("ReduceMax", c.op("Abs", x), c.integers(axes), keepdims=1), c.number(quantizer.epsilon, x.dtype))
    scale = c.op("Div", c.number(high, x.dtype), greatest)
    codes = c.op("Clip", c.op("Round", c.op("Mul", x, scale)), c.number(low, x.dtype), c.number(high, x.dtype))
    return c.described(c.op("Cast", codes, to=int(DataType.INT8))), scale


def _through_eight_bits(c: Emitter, x: Tensor, scale: Any) -> Tensor:
    """Numbers as a scale and floats of eight bits keep them."""
    greatest = float(ml_dtypes.finfo(ml_dtypes.float8_e4m3fn).max)
    divided = c.op("Clip", c.op("Div", x, c.tensor(scale, x.dtype)), c.number(-greatest, x.dtype), c.number(greatest, x.dtype))
    kept = c.op("Cast", c.op("Cast", divided, to=int(DataType.FLOAT8E4M3FN)), to=int(onnx_type(x.dtype)))
    return c.described(c.op("Mul", kept, c.tensor(scale, x.dtype)))


def _pairs(c: Emitter, stored: Any, axis: int, extent: int) -> Tensor:
    """Codes of four bits that lie in pairs along an axis, the first of a pair in the lower bits, as bytes."""

    def taken_apart(packed: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(packed.astype(np.int8), axis, 0)
        codes = np.stack([(moved << 4) >> 4, moved >> 4], axis=1).reshape(-1, *moved.shape[1:])[:extent]
        return np.moveaxis(codes, 0, axis).astype(ml_dtypes.int4 if c.opset >= 21 else np.int8)

    return c.cast(c.rewritten(stored, taken_apart), "int8")


def _unsigned_pairs(c: Emitter, stored: Any, extent: int) -> Tensor:
    """Codes of four bits without a sign that lie in pairs along the first axis."""

    def taken_apart(packed: np.ndarray) -> np.ndarray:
        codes = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1, *packed.shape[1:])[:extent]
        return codes.astype(ml_dtypes.uint4 if c.opset >= 21 else np.uint8)

    return c.rewritten(stored, taken_apart)


def _grouped(c: Emitter, codes: Any, scale: Any, zero: Any, group_of: Any, axis: int) -> Value:
    """(codes - zero) * scale, each of the group of its place along the axis."""
    groups = c.op("Cast", group_of, to=int(DataType.INT32))
    scales, zeros = (c.op("Gather", item, groups, axis=axis) for item in (scale, zero))
    found: Value = c.op("Mul", c.op("Sub", codes, c.op("Cast", zeros, to=_computed(c))), scales)
    return found


def letters_of(equation: str) -> list[str]:
    """The letters of the inputs, the kernel and the result; Keras has no codes for equations that leave letters out."""
    return equation.replace(" ", "").replace("->", ",").split(",")


def _summed(equation: str) -> list[int]:
    if equation == MATRIX:
        return [-1]
    inputs, _, result = letters_of(equation)
    return [axis for axis, letter in enumerate(inputs) if letter not in result]


def _aligned(c: Emitter, scale: Value, equation: str) -> Value:
    """The scale of inputs, which has all of their axes, with those of the result."""
    if equation == MATRIX:
        return scale
    inputs, _, result = letters_of(equation)
    kept = [letter for letter in inputs if letter in result]
    order = [kept.index(letter) for letter in result if letter in kept]
    found = c.op("Transpose", c.squeeze(scale, *_summed(equation)), perm=order)
    return c.unsqueeze(found, *[axis for axis, letter in enumerate(result) if letter not in kept])
