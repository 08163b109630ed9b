"""Convolutions and pooling. ONNX has channels first: what has them last is transposed before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


def is_first(op: Any) -> bool:
    """Whether channels are axis 1."""
    return bool(op.get("data_format", "NHWC").startswith("NC"))


def channels_first(c: Emitter, op: Any, x: Any, rank: int) -> Value:
    return c.of(x) if is_first(op) else c.transpose(x, [0, rank - 1, *range(1, rank - 1)])  # type: ignore[return-value]


def back(c: Emitter, op: Any, value: Value, rank: int) -> Value:
    return value if is_first(op) else c.transpose(value, [0, *range(2, rank), 1])


def spatial(op: Any, name: str, rank: int) -> list[int]:
    """The part of an attribute that is about space. Raises UnsupportedOperator where batch or channels have a part in it."""
    whole = list(op.get(name) or [1] * rank)
    if len(whole) == 1:
        return [int(whole[0])] * (rank - 2)
    place = 1 if is_first(op) else rank - 1
    if whole[0] != 1 or whole[place] != 1:
        raise UnsupportedOperator(f"{name} over batch or channels")
    return [int(size) for axis, size in enumerate(whole) if axis not in (0, place)]


def padding(op: Any, rank: int) -> dict[str, Any]:
    """ONNX's attributes for the padding; that of SAME depends on the sizes and is said by name."""
    kind = op["padding"]
    if kind == "EXPLICIT":
        pairs = np.array(op["explicit_paddings"]).reshape(rank, 2)
        place = 1 if is_first(op) else rank - 1
        inner = np.delete(pairs, [0, place], 0)
        return {"pads": inner.T.reshape(-1).tolist()}
    return {"auto_pad": "SAME_UPPER"} if kind == "SAME" else {}


def weights(c: Emitter, x: Tensor, order: Sequence[int]) -> Value:
    """A kernel with its axes in ONNX's order."""
    return c.array(x.known.transpose(order), x.name) if x.known is not None else c.transpose(x, order)


def padded(c: Emitter, op: Any, value: Any, x: Tensor, kernel: list[int | None], strides: list[int], dilations: list[int]) -> tuple[Any, dict[str, Any]]:
    """What a convolution with SAME padding takes: `value` (channels first) and attributes. With dilation the padding is written
    out, since ONNX's own formula leaves that open."""
    options = padding(op, x.rank)
    if "auto_pad" not in options or all(step == 1 for step in dilations):
        return value, options
    if None in kernel:
        raise UnsupportedOperator("a dilated kernel of open size")
    spans = [(size - 1) * step + 1 for size, step in zip(kernel, dilations)]  # type: ignore[operator]
    if all(step == 1 for step in strides):
        total = [span - 1 for span in spans]
        return value, {"pads": [part // 2 for part in total] + [part - part // 2 for part in total]}
    sizes = c.op("Shape", value, start=2)
    step = np.array(strides)
    outputs = c.op("Div", c.op("Add", sizes, step - 1), c.array(step))
    needed = c.op("Sub", c.op("Add", c.op("Mul", c.op("Sub", outputs, np.array([1])), c.array(step)), np.array(spans)), sizes)
    needed = c.op("Max", needed, np.array([0]))
    before = c.op("Div", needed, np.array([2]))
    amounts = c.op("Concat", before, c.op("Sub", needed, before), axis=0)
    return c.op("Pad", value, amounts, None, list(range(2, x.rank))), {}


@operator("Conv2D", "Conv3D")
def conv(c: Emitter, op: Any, x: Tensor, kernel: Tensor) -> Value:
    rank = x.rank
    strides, dilations = spatial(op, "strides", rank), spatial(op, "dilations", rank)
    channels = x.shape[1 if is_first(op) else rank - 1]
    each = kernel.shape[rank - 2]
    if channels is None or each is None:
        raise UnsupportedOperator("an open number of channels")
    value, options = padded(c, op, channels_first(c, op, x, rank), x, kernel.shape[:-2], strides, dilations)
    weight = weights(c, kernel, [rank - 1, rank - 2, *range(rank - 2)])
    made = c.op("Conv", value, weight, strides=strides, dilations=dilations, group=channels // each, **options)
    return back(c, op, made, rank)


@operator("Conv")
def general_conv(c: Emitter, op: Any, x: Tensor, kernel: Tensor) -> Value:
    if op["batch_dims"] != 1:
        raise UnsupportedOperator("several batch axes")
    rank = x.rank
    first = op["data_format"] == "CHANNELS_FIRST"
    value = x.value if first else c.transpose(x, [0, rank - 1, *range(1, rank - 1)])
    options: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if op["padding"] == "SAME" else {}
    if op["padding"] == "EXPLICIT":
        raise UnsupportedOperator("explicit padding")
    weight = weights(c, kernel, [rank - 1, rank - 2, *range(rank - 2)])
    place = 2 if first else 1
    strides, dilations = ([int(size) for size in (op[name] or [1] * rank)][place : place + rank - 2] for name in ("strides", "dilations"))
    made = c.op("Conv", value, weight, strides=strides, dilations=dilations, group=int(op["groups"]), **options)
    return made if first else c.transpose(made, [0, *range(2, rank), 1])


@operator("DepthwiseConv2dNative")
def depthwise(c: Emitter, op: Any, x: Tensor, kernel: Tensor) -> Value:
    rows, columns, channels, multiple = kernel.shape
    if channels is None or multiple is None:
        raise UnsupportedOperator("an open number of channels")
    strides, dilations = spatial(op, "strides", 4), spatial(op, "dilations", 4)
    value, options = padded(c, op, channels_first(c, op, x, 4), x, [rows, columns], strides, dilations)
    if kernel.known is not None:
        weight = c.array(kernel.known.transpose(2, 3, 0, 1).reshape(channels * multiple, 1, *kernel.known.shape[:2]), kernel.name)
    else:
        weight = c.reshape(c.transpose(kernel, [2, 3, 0, 1]), [channels * multiple, 1, *[c.size(kernel, axis) for axis in (0, 1)]])
    made = c.op("Conv", value, weight, strides=strides, dilations=dilations, group=channels, **options)
    return back(c, op, made, 4)


@operator("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def transposed(c: Emitter, op: Any, sizes: Tensor, kernel: Tensor, x: Tensor) -> Value:
    """A transposed convolution of the full size, from which the padding of the forward one is cut."""
    rank = x.rank
    strides, dilations = spatial(op, "strides", rank), spatial(op, "dilations", rank)
    place = 1 if is_first(op) else rank - 1
    channels, each = x.shape[place], kernel.shape[rank - 2]
    total = op.outputs[0].shape.as_list()[place] if op.outputs[0].shape.rank else None
    if None in kernel.shape or channels is None or (total not in (None, each)):
        raise UnsupportedOperator("groups, or an open size of the kernel")
    weight = weights(c, kernel, [rank - 1, rank - 2, *range(rank - 2)])
    spans = [(size - 1) * step + 1 for size, step in zip(kernel.shape, dilations)]  # type: ignore[operator]
    value = channels_first(c, op, x, rank)
    known = _known_cut(op, x, spans, strides)
    if known is not None:
        return back(c, op, c.op("ConvTranspose", value, weight, strides=strides, dilations=dilations, **known), rank)
    made = c.op("ConvTranspose", value, weight, strides=strides, dilations=dilations)
    begin = 2 if is_first(op) else 1
    wanted = c.slice(c.sizes(sizes), 0, begin if sizes.shape[0] == rank else 0, begin + rank - 2 if sizes.shape[0] == rank else rank - 2)
    if op["padding"] == "EXPLICIT":
        cut: Any = padding(op, rank)["pads"][: rank - 2]
    elif op["padding"] == "VALID":
        cut = [0] * (rank - 2)
    else:
        inner = c.op("Shape", value, start=2)
        reach = c.op("Add", c.op("Mul", c.op("Sub", inner, np.array([1])), np.array(strides)), np.array(spans))
        cut = c.op("Div", c.op("Max", c.op("Sub", reach, wanted), np.array([0])), np.array([2]))
    axes = list(range(2, rank))
    # What the forward convolution never saw is zero.
    full = c.op("Pad", made, c.op("Concat", np.array([0] * (rank - 2)), c.op("Max", c.op("Sub", c.op("Add", wanted, c.sizes(cut) if isinstance(cut, list) else cut),
                c.op("Shape", made, start=2)), np.array([0])), axis=0), None, axes)  # fmt: skip
    start = c.sizes(cut) if isinstance(cut, list) else cut
    return back(c, op, c.op("Slice", full, start, c.op("Add", start, wanted), axes), rank)


def _known_cut(op: Any, x: Tensor, spans: list[int], strides: list[int]) -> dict[str, Any] | None:
    """The padding of a transposed convolution whose sizes are known; None where they are not, or ONNX does not allow it."""
    if op["padding"] == "EXPLICIT" or op.outputs[0].shape.rank is None:
        return None
    axes = range(2, x.rank) if is_first(op) else range(1, x.rank - 1)
    begins, ends, beyond = [], [], []
    for place, axis in enumerate(axes):
        size, wanted = x.shape[axis], op.outputs[0].shape.as_list()[axis]
        if size is None or wanted is None:
            return None
        total = (size - 1) * strides[place] + spans[place] - wanted
        begins.append(max(total, 0) // 2 if op["padding"] == "SAME" else 0)
        ends.append(max(total - begins[-1], 0))
        beyond.append(max(-total, 0))
    if any(more >= step for more, step in zip(beyond, strides)):
        return None
    return {"pads": begins + ends, "output_padding": beyond}


@operator("MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D", "MaxPoolV2")
def pool(c: Emitter, op: Any, x: Tensor, *settings: Tensor) -> Value:
    if settings:
        raise UnsupportedOperator("sizes as inputs")
    rank = x.rank
    options = padding(op, rank)
    onnx = "MaxPool" if op.type.startswith("Max") else "AveragePool"
    made = c.op(onnx, channels_first(c, op, x, rank), kernel_shape=spatial(op, "ksize", rank), strides=spatial(op, "strides", rank), **options)
    return back(c, op, made, rank)


@operator("MaxPoolWithArgmax")
def pool_with_places(c: Emitter, op: Any, x: Tensor) -> list[Value]:
    """Places count through (row, column, channel), ONNX's through (channel, row, column) of each picture."""
    made, places = c.op(
        "MaxPool", c.transpose(x, [0, 3, 1, 2]), kernel_shape=spatial(op, "ksize", 4), strides=spatial(op, "strides", 4), outputs=2, **padding(op, 4)
    )
    batch, rows, columns, channels = (c.sizes([c.size(x, axis)]) for axis in range(4))
    area = c.op("Mul", rows, columns)
    inside = c.op("Mod", c.transpose(places, [0, 2, 3, 1]), c.op("Mul", area, channels))
    channel, place = c.op("Div", inside, area), c.op("Mod", inside, area)
    index = c.op("Add", c.op("Mul", place, channels), channel)
    if op["include_batch_in_index"]:
        each = c.op("Mul", c.op("Mul", area, channels), c.op("Range", np.array(0), c.squeeze(batch, 0), np.array(1)))
        index = c.op("Add", index, c.reshape(each, [-1, 1, 1, 1]))
    return [c.transpose(made, [0, 2, 3, 1]), index if op.outputs[1].dtype == tf.int64 else c.cast(index, tf.int32)]


@operator("Dilation2D")
def dilation(c: Emitter, op: Any, x: Tensor, kernel: Tensor) -> Value:
    """The greatest of x plus kernel over each window, offset by offset."""
    rows, columns, _ = kernel.shape
    strides, rates = op["strides"][1:3], op["rates"][1:3]
    if rows is None or columns is None:
        raise UnsupportedOperator("an open size of the kernel")
    windows = shifted(c, x, [rows, columns], strides, rates, op["padding"], -np.inf if x.dtype.is_floating else x.dtype.min)
    sums = [c.op("Add", window, c.op("Slice", kernel, [row, column], [row + 1, column + 1], [0, 1])) for (row, column), window in windows]
    return c.op("Max", *sums)


def shifted(c: Emitter, x: Tensor, kernel: Sequence[int], strides: Sequence[int], rates: Sequence[int], kind: str, empty: Any) -> list[Any]:
    """For each offset of a window over space (axes 1 ...), the elements that all windows have there."""
    spans = [(size - 1) * rate + 1 for size, rate in zip(kernel, rates)]
    axes = list(range(1, len(kernel) + 1))
    sizes = c.op("Slice", c.shape(x), [1], [len(kernel) + 1], [0])
    step = c.array(np.array(strides, np.int64))
    value = x.value
    if kind == "SAME":
        outputs = c.op("Div", c.op("Add", sizes, np.array(strides) - 1), step)
        needed = c.op("Sub", c.op("Add", c.op("Mul", c.op("Sub", outputs, np.array([1])), step), np.array(spans)), sizes)
        needed = c.op("Max", needed, np.array([0]))
        before = c.op("Div", needed, np.array([2]))
        value = c.op("Pad", value, c.op("Concat", before, c.op("Sub", needed, before), axis=0), c.number(empty, x), axes)
    else:
        outputs = c.op("Div", c.op("Max", c.op("Add", sizes, np.array(strides) - np.array(spans)), np.array([0])), step)
    length = c.op("Max", c.op("Add", c.op("Mul", c.op("Sub", outputs, np.array([1])), step), np.array([1])), np.array([0]))
    made = []
    for offset in np.ndindex(*kernel):
        start = np.array(offset) * np.array(rates)
        made.append((offset, c.op("Slice", value, c.array(start.astype(np.int64)), c.op("Add", length, c.array(start.astype(np.int64))), axes, list(strides))))
    return made


@operator("ExtractImagePatches", "ExtractVolumePatches")
def patches(c: Emitter, op: Any, x: Tensor) -> Value:
    inner = slice(1, x.rank - 1)
    kernel, strides = op["ksizes"][inner], op["strides"][inner]
    rates = op["rates"][inner] if op.type == "ExtractImagePatches" else [1] * len(kernel)
    return c.op("Concat", *(window for _, window in shifted(c, x, kernel, strides, rates, op["padding"], 0)), axis=-1)
