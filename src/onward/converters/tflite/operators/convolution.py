"""Convolutions, pooling and resampling: in ONNX with channels first, in TFLite with channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.converters.channels_last import pads
from onward.converters.tflite.emitter import Emitter, First, Node
from onward.converters.tflite.operators.products import quantized_as_it_runs
from onward.converters.tflite.reader import Record
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor
from onward.errors import UnsupportedOperator

Sizes = Sequence[int]


def padding(x: Tensor, kind: str, window: Sizes, strides: Sizes, dilations: Sizes) -> dict[str, Any]:
    """Attributes for TFLite's padding of a picture."""
    return pads(kind, [None if extent < 0 else extent for extent in x.shape[1:-1]], window, strides, dilations)


def _spatial(options: Record, pattern: str, axes: str) -> list[int]:
    """An option of every spatial axis."""
    found = [int(getattr(options, pattern.format(axis))) for axis in axes]
    if any(number < 1 for number in found):
        raise ValueError(f"{pattern.format('*')} is {found}")
    return found


def _convolution(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None, order: Sizes, group: int, axes: str) -> First:
    o = node.options
    strides, dilations = _spatial(o, "stride_{}", axes), _spatial(o, "dilation_{}_factor", axes)
    weights = c.weights(w, order)
    window = [w.shape[order[place + 2]] for place in range(len(axes))]
    value = c.first(x)
    if w.quantization is not None and x.quantization is None:
        value = quantized_as_it_runs(c, value, list(range(1, x.rank)), w.quantization.each)
    result = c.op(
        "Conv", value, weights, None if b is None else c.value(b), strides=strides, dilations=dilations, group=group,
        kernel_shape=window, **padding(x, o.padding, window, strides, dilations),
    )  # fmt: skip
    return First(c.activated(result, o.fused_activation_function))


@operator("CONV_2D")
def convolution(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> First:
    group = x.shape[3] // w.shape[3] if x.shape[3] > 0 else 1
    return _convolution(c, node, x, w, b, [0, 3, 1, 2], group, "hw")


@operator("DEPTHWISE_CONV_2D")
def depthwise_convolution(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> First:
    group = x.shape[3] if x.shape[3] > 0 else w.shape[3] // max(int(node.options.depth_multiplier), 1)
    return _convolution(c, node, x, w, b, [3, 0, 1, 2], group, "hw")


@operator("CONV_3D")
def convolution_3d(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> First:
    group = x.shape[4] // w.shape[3] if x.shape[4] > 0 else 1
    return _convolution(c, node, x, w, b, [4, 3, 0, 1, 2], group, "dhw")


def _transposed(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None, order: Sizes, dilations: Sizes, axes: str) -> First:
    """The shape of the result decides how much is cut off; where it is open, it is the usual one for the padding."""
    o = node.options
    strides = _spatial(o, "stride_{}", axes)
    window = [w.shape[order[place + 2]] for place in range(len(axes))]
    before, after, missing = [], [], []
    for place, (width, stride, dilation) in enumerate(zip(window, strides, dilations, strict=True)):
        reach = (width - 1) * dilation + 1
        extent, result = x.shape[place + 1], node.outputs[0].shape[place + 1]
        excess = (extent - 1) * stride + reach - result if extent >= 0 and result >= 0 else (reach - stride if o.padding == "SAME" else 0)
        cut = max(excess, 0)
        start = cut // 2 if o.padding == "SAME" else 0
        before.append(start)
        after.append(cut - start)
        missing.append(max(-excess, 0))
    result = c.op(
        "ConvTranspose", c.first(x), c.weights(w, order), None if b is None else c.value(b), strides=strides,
        dilations=list(dilations), pads=before + after, output_padding=missing, kernel_shape=window,
    )  # fmt: skip
    return First(c.activated(result, o.fused_activation_function))


@operator("TRANSPOSE_CONV")
def transposed_convolution(c: Emitter, node: Node, shape: Tensor, w: Tensor, x: Tensor, b: Tensor | None = None) -> First:
    if shape.data is not None:
        node.outputs[0].shape = (x.shape[0], *(int(extent) for extent in shape.data[1:]))
    if w.quantization is not None and x.quantization is None:
        raise UnsupportedOperator("a transposed convolution of real numbers with quantised weights")
    return _transposed(c, node, x, w, b, [3, 0, 1, 2], [1, 1], "hw")


@operator("CONV_3D_TRANSPOSE")
def transposed_convolution_3d(c: Emitter, node: Node, shape: Tensor, w: Tensor, x: Tensor, b: Tensor | None = None) -> First:
    if shape.data is not None:
        node.outputs[0].shape = (x.shape[0], *(int(extent) for extent in shape.data[1:]))
    return _transposed(c, node, x, w, b, [4, 3, 0, 1, 2], _spatial(node.options, "dilation_{}_factor", "dhw"), "dhw")


def _pool(c: Emitter, node: Node, kind: str, x: Tensor, value: Any, **attributes: Any) -> Any:
    o = node.options
    window, strides = _spatial(Record("", {"h": o.filter_height, "w": o.filter_width}), "{}", "hw"), _spatial(o, "stride_{}", "hw")
    return c.op(kind, value, kernel_shape=window, strides=strides, **padding(x, o.padding, window, strides, [1, 1]), **attributes)


@operator("AVERAGE_POOL_2D")
def average_pool(c: Emitter, node: Node, x: Tensor) -> First:
    return First(c.activated(_pool(c, node, "AveragePool", x, c.first(x), count_include_pad=0), node.options.fused_activation_function))


@operator("MAX_POOL_2D")
def max_pool(c: Emitter, node: Node, x: Tensor) -> First:
    return First(c.activated(_pool(c, node, "MaxPool", x, c.first(x)), node.options.fused_activation_function))


@operator("L2_POOL_2D")
def l2_pool(c: Emitter, node: Node, x: Tensor) -> First:
    value = c.first(x)
    mean = _pool(c, node, "AveragePool", x, c.op("Mul", value, value), count_include_pad=0)
    return First(c.activated(c.op("Sqrt", mean), node.options.fused_activation_function))


def _coordinates(o: Record) -> str:
    return "align_corners" if o.align_corners else "half_pixel" if o.half_pixel_centers else "asymmetric"


@operator("RESIZE_BILINEAR")
def resize_bilinear(c: Emitter, node: Node, x: Tensor, size: Tensor) -> First:
    return First(c.op(
        "Resize", c.first(x), None, None, c.long(size), mode="linear", axes=[2, 3],
        coordinate_transformation_mode=_coordinates(node.options),
    ))  # fmt: skip


@operator("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(c: Emitter, node: Node, x: Tensor, size: Tensor) -> First:
    """Centres of pixels are not moved back by half before rounding down, which is the same as rounding half up afterwards."""
    kind = _coordinates(node.options)
    return First(c.op(
        "Resize", c.first(x), None, None, c.long(size), mode="nearest", axes=[2, 3], coordinate_transformation_mode=kind,
        nearest_mode="floor" if kind == "asymmetric" else "round_prefer_ceil",
    ))  # fmt: skip


@operator("SPACE_TO_DEPTH")
def space_to_depth(c: Emitter, node: Node, x: Tensor) -> First:
    return First(c.op("SpaceToDepth", c.first(x), blocksize=int(node.options.block_size)))


@operator("DEPTH_TO_SPACE")
def depth_to_space(c: Emitter, node: Node, x: Tensor) -> First:
    return First(c.op("DepthToSpace", c.first(x), blocksize=int(node.options.block_size), mode="DCR"))


@operator("SPACE_TO_BATCH_ND")
def space_to_batch(c: Emitter, node: Node, x: Tensor, block: Tensor, paddings: Tensor) -> Any:
    blocks = [int(size) for size in c.known(block, "the block")]
    count, rest = len(blocks), x.rank - len(blocks) - 1
    pads = c.op("Transpose", c.long(paddings), perm=[1, 0])
    before, after = (c.op("Squeeze", half, [0]) for half in c.op("Split", pads, axis=0, num_outputs=2, outputs=2))
    edge = [0] * rest
    amounts = c.op("Concat", [0], before, *([edge] if rest else []), [0], after, *([edge] if rest else []), axis=0)
    value = c.op("Pad", c.value(x), amounts, c.number(0, x))
    shape = c.op("Shape", value)
    parts = []
    for place, size in enumerate(blocks):
        extent = c.op("Slice", shape, [place + 1], [place + 2])
        parts += [c.op("Div", extent, [size]), c.array([size])]
    tail = [c.op("Slice", shape, [1 + count], [x.rank])] if rest else []
    value = c.op("Reshape", value, c.op("Concat", c.op("Slice", shape, [0], [1]), *parts, *tail, axis=0))
    inner = [2 + 2 * place for place in range(count)]
    outer = [1 + 2 * place for place in range(count)]
    value = c.op("Transpose", value, perm=[*inner, 0, *outer, *range(1 + 2 * count, x.rank + count)])
    return c.op("Reshape", value, c.op("Concat", [-1], *parts[::2], *tail, axis=0))


@operator("BATCH_TO_SPACE_ND")
def batch_to_space(c: Emitter, node: Node, x: Tensor, block: Tensor, crops: Tensor) -> Any:
    blocks = [int(size) for size in c.known(block, "the block")]
    count, rest = len(blocks), x.rank - len(blocks) - 1
    shape = c.op("Shape", c.value(x))
    tail = [c.op("Slice", shape, [1], [x.rank])]
    value = c.op("Reshape", c.value(x), c.op("Concat", [*blocks, -1], *tail, axis=0))
    order = [count]
    for place in range(count):
        order += [count + 1 + place, place]
    value = c.op("Transpose", value, perm=[*order, *range(2 * count + 1, x.rank + count)])
    parts = [c.op("Mul", c.op("Slice", shape, [place + 1], [place + 2]), [size]) for place, size in enumerate(blocks)]
    end = [c.op("Slice", shape, [1 + count], [x.rank])] if rest else []
    value = c.op("Reshape", value, c.op("Concat", [-1], *parts, *end, axis=0))
    cut = c.op("Transpose", c.long(crops), perm=[1, 0])
    before, after = (c.op("Squeeze", half, [0]) for half in c.op("Split", cut, axis=0, num_outputs=2, outputs=2))
    full = c.op("Concat", *parts, axis=0) if count > 1 else parts[0]
    return c.op("Slice", value, before, c.op("Sub", full, after), list(range(1, count + 1)))
