"""Windows that slide over an array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.operators.reductions import extreme, monoid
from onward.converters.jax.operators.shapes import padded
from onward.converters.jax.registry import PRIMITIVES, primitive
from onward.converters.jax.sizes import is_static, same_padding
from onward.errors import UnsupportedOperator
from onward.ir import Value


@primitive("reduce_window_max", "reduce_window_min", "reduce_window_sum")
def reduce_window(
    c: Emitter, x: Array, *, window_dimensions: Sequence[int], window_strides: Sequence[int], padding: Sequence[Any],
    base_dilation: Sequence[int], window_dilation: Sequence[int],
) -> Value:  # fmt: skip
    """A pooling over the axes whose windows are wider than 1, which are moved to the end; a minimum is the maximum of the opposite,
    a sum a mean times the size of the window."""
    kind = c.primitive.removeprefix("reduce_window_")
    dtype = np.dtype(x.dtype)
    if dtype.kind in "iu" and dtype.itemsize == 8:
        raise UnsupportedOperator("windows over whole numbers of 64 bits")
    work = np.dtype(np.float64) if dtype.kind in "iub" else dtype
    value = c.convert(x, work)
    filler = 0 if kind == "sum" else -math.inf if dtype.kind not in "iub" else float(extreme(dtype, False))
    if kind == "min":
        value, filler = c.op("Neg", value), -math.inf if dtype.kind not in "iub" else -float(extreme(dtype, True))
    shape = list(x.shape)
    pairs = [tuple(pair) for pair in padding]
    moved = [axis for axis in range(x.rank) if _is_wide(axis, window_dimensions, window_strides, pairs, base_dilation)]
    same = _same(moved, shape, window_dimensions, window_strides, pairs, base_dilation, window_dilation) if dtype.kind == "f" else None
    if same is None and (
        any(not is_static(item) for axis in moved for item in pairs[axis])
        or any(base_dilation[axis] > 1 or min(pairs[axis]) < 0 for axis in moved)
        or _has_empty(moved, window_dimensions, window_dilation, pairs)
        or dtype.kind in "iub"
    ):
        configuration = [(*pairs[axis], base_dilation[axis] - 1) for axis in range(x.rank)]
        value = padded(c, value, c.number(filler, work), configuration, shape)
        pairs = [(0, 0)] * x.rank
    made = _pooled(c, value, shape, moved, kind, window_dimensions, window_strides, same or pairs, window_dilation)
    return c.convert(c.op("Neg", made) if kind == "min" else made, dtype)


def _same(moved: Sequence[int], shape: Sequence[Any], windows: Any, strides: Any, padding: Any, base: Any, dilation: Any) -> str | None:
    if any(max(base[axis], dilation[axis]) > 1 for axis in moved):
        return None
    extents, spans, steps, amounts = ([items[axis] for axis in moved] for items in (shape, windows, strides, padding))
    return same_padding(extents, spans, steps, amounts)


def _is_wide(axis: int, windows: Any, strides: Any, padding: Any, dilation: Any) -> bool:
    return not (windows[axis] == 1 and strides[axis] == 1 and tuple(padding[axis]) == (0, 0) and dilation[axis] == 1)


def _has_empty(moved: Sequence[int], windows: Any, dilation: Any, padding: Any) -> bool:
    """Whether padding is as wide as a window, which ONNX's operators do not take."""
    return any(max(padding[axis]) > (windows[axis] - 1) * dilation[axis] for axis in moved)


def _pooled(c: Emitter, value: Value, shape: Sequence[Any], moved: Sequence[int], kind: str, windows: Any, strides: Any, padding: Any, dilation: Any) -> Value:
    if not moved:
        return value
    rest = [axis for axis in range(len(shape)) if axis not in moved]
    order = [*rest, *moved]
    value = c.transpose(value, order)
    if len(rest) != 2:
        value = _two_leading(c, value, len(rest))
    same = padding if isinstance(padding, str) else None
    pads = [] if same else [*(padding[axis][0] for axis in moved), *(padding[axis][1] for axis in moved)]
    options: dict[str, Any] = {
        "kernel_shape": [windows[axis] for axis in moved], "strides": [strides[axis] for axis in moved], "pads": pads if any(pads) else None, "auto_pad": same,
        "dilations": [dilation[axis] for axis in moved] if any(dilation[axis] > 1 for axis in moved) else None,
    }  # fmt: skip
    if kind == "sum":
        made = c.op("AveragePool", value, count_include_pad=1, **options)
        made = c.op("Mul", made, c.number(math.prod(options["kernel_shape"]), c.dtype_of(made)))
    else:
        made = c.op("MaxPool", value, **options)
    if len(rest) != 2:
        extents = [c.result.shape[axis] for axis in order]
        made = c.reshape(made, extents)
    return c.transpose(made, [order.index(axis) for axis in range(len(shape))])


def _two_leading(c: Emitter, value: Value, count: int) -> Value:
    """Makes two axes of the first `count`."""
    if count < 2:
        return c.unsqueeze(value, *range(2 - count))
    return c.op("Reshape", value, c.op("Concat", np.array([-1]), c.op("Shape", value, start=count - 1), axis=0))


@primitive("reduce_window")
def reduce_window_by(c: Emitter, *arguments: Array, jaxpr: Any, **parameters: Any) -> list[Value]:
    """Windows over which a function of two numbers is applied, where it is one of those that pool."""
    name = {"max": "reduce_window_max", "min": "reduce_window_min", "add": "reduce_window_sum"}.get(monoid(jaxpr), "")
    if len(arguments) != 2 or not name:
        raise UnsupportedOperator("windows are reduced by add, max and min only")
    x, start = arguments
    c.primitive = name
    parameters.pop("consts", None)
    made = PRIMITIVES[name](c, x, **parameters)
    return [c.op({"max": "Max", "min": "Min", "add": "Add"}[monoid(jaxpr)], made, start)]
