"""Convolutions, in all layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.operators.shapes import padded
from onward.converters.jax.registry import primitive
from onward.converters.jax.sizes import is_static, same_padding
from onward.ir import Value


@primitive("conv_general_dilated")
def conv_general_dilated(
    c: Emitter, left: Array, right: Array, *, window_strides: Sequence[int], padding: Sequence[Any], lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int], dimension_numbers: Any, feature_group_count: int, batch_group_count: int, preferred_element_type: Any = None,
    **parameters: Any,
) -> Value:  # fmt: skip
    """Transposed to (batch, channels, ...) and back. What dilates the input is a ConvTranspose where the steps are 1."""
    dtype = np.dtype(c.result.dtype)
    work = dtype if dtype.kind not in "iub" else np.dtype(np.float64)
    of_left, of_right, of_result = dimension_numbers
    x, w = c.transpose(c.convert(left, work), of_left), c.transpose(c.convert(right, work), of_right)
    shape = [left.shape[axis] for axis in of_left]
    kernel = c.static(Array(right.held, right.dtype, tuple(right.shape[axis] for axis in of_right)), "the kernel of a convolution")
    groups = feature_group_count
    if batch_group_count > 1:
        x, shape = _batches_as_groups(c, x, shape, batch_group_count)
        groups = batch_group_count
    spatial = kernel[2:]
    amounts = [tuple(pair) for pair in padding]
    known = all(is_static(item) for pair in amounts for item in pair)
    if known and any(step > 1 for step in lhs_dilation) and all(step == 1 for step in window_strides):
        ends = [tuple(rate * (size - 1) - item for item in pair) for size, rate, pair in zip(spatial, rhs_dilation, amounts, strict=True)]
        if all(item >= 0 for pair in ends for item in pair):
            made = _transposed(c, x, w, kernel, groups, lhs_dilation, rhs_dilation, ends)
            return c.convert(_in_layout(c, made, of_result), dtype)
    dense = all(step == 1 for step in (*lhs_dilation, *rhs_dilation))  # onnxruntime has no such padding of dilated windows
    same = same_padding(shape[2:], spatial, window_strides, amounts) if dense else None
    if not (known or same) or any(step > 1 for step in lhs_dilation) or known and any(item < 0 for pair in amounts for item in pair):
        configuration = [(0, 0, 0), (0, 0, 0), *((*pair, step - 1) for pair, step in zip(amounts, lhs_dilation, strict=True))]
        x = padded(c, x, None, configuration, shape)
        amounts = [(0, 0)] * len(spatial)
    if not spatial:
        x, w, spatial, amounts, window_strides, rhs_dilation = c.unsqueeze(x, 2), c.unsqueeze(w, 2), [1], [(0, 0)], [1], [1]
        return c.convert(_in_layout(c, c.squeeze(_convolved(c, x, w, spatial, amounts, window_strides, rhs_dilation, groups), 2), of_result), dtype)
    return c.convert(_in_layout(c, _convolved(c, x, w, spatial, same or amounts, window_strides, rhs_dilation, groups), of_result), dtype)


def _convolved(
    c: Emitter, x: Value, w: Value, kernel: Sequence[int], padding: Sequence[Any] | str, strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Value:
    same, pairs = (padding, []) if isinstance(padding, str) else (None, list(padding))
    pads = [*(low for low, _ in pairs), *(high for _, high in pairs)]
    return c.op(
        "Conv", x, w, kernel_shape=list(kernel), auto_pad=same, pads=pads if any(pads) else None, strides=list(strides) if any(step != 1 for step in strides) else None,
        dilations=list(dilations) if any(rate != 1 for rate in dilations) else None, group=groups if groups > 1 else None,
    )  # fmt: skip


def _transposed(
    c: Emitter, x: Value, w: Value, kernel: Sequence[int], groups: int, strides: Sequence[int], dilations: Sequence[int], pads: Sequence[Any]
) -> Value:
    """The kernel of a ConvTranspose has the input's channels first and is turned round."""
    axes = list(range(2, len(kernel)))
    flipped = c.op("Slice", w, [-1] * len(axes), [np.iinfo(np.int64).min] * len(axes), axes, [-1] * len(axes))
    out, inner, *spatial = kernel
    if groups > 1:
        apart = c.op("Reshape", flipped, [groups, out // groups, inner, *spatial])
        turned = c.transpose(apart, [0, 2, 1, *range(3, 3 + len(spatial))])
        flipped = c.op("Reshape", turned, [groups * inner, out // groups, *spatial])
    else:
        flipped = c.transpose(flipped, [1, 0, *axes])
    return c.op(
        "ConvTranspose", x, flipped, kernel_shape=list(spatial), strides=list(strides), dilations=list(dilations), group=groups,
        pads=[*(low for low, _ in pads), *(high for _, high in pads)],
    )  # fmt: skip


def _batches_as_groups(c: Emitter, x: Value, shape: list[Any], count: int) -> tuple[Value, list[Any]]:
    """(count batch, channels, ...) as (batch, count channels, ...)."""
    batch, channels, *spatial = shape
    apart = c.reshape(x, [count, batch // count, channels, *spatial])
    turned = c.transpose(apart, [1, 0, *range(2, 3 + len(spatial))])
    made = [batch // count, count * channels, *spatial]
    return c.reshape(turned, made), made


def _in_layout(c: Emitter, value: Value, layout: Sequence[int]) -> Value:
    return c.transpose(value, [list(layout).index(axis) for axis in range(len(layout))])
