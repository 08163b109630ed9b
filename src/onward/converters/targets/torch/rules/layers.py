"""Layers with weights: convolutions, products, normalisations, embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import program as P
from onward.converters.targets.printing.forms import parameters_of
from onward.converters.targets.printing.native import Writer, is_broadcast_at_run_time
from onward.converters.targets.torch.modules import numbers
from onward.converters.targets.torch.rules.registry import rule
from onward.converters.targets.torch.words import whole
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native, call_of
from onward.operators.pooling.window import Window, window_over
from onward.program.array import Array, Compute
from onward.program.content import depends_on_constants_alone
from onward.program.scalar import Read

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

NEURAL = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)
"""The types that PyTorch's layers compute in."""


def is_weight(*arrays: Array | None) -> bool:
    """Whether arrays are known, weights or what is computed from weights; those that are absent are."""
    return all(array is None or depends_on_constants_alone(array, parameters=True) for array in arrays)


def extents(array: Array, *axes: int) -> list[int] | None:
    """The known extents of some axes."""
    found = [array.shape[axis] for axis in axes]
    return [extent for extent in found if isinstance(extent, int)] if all(isinstance(extent, int) for extent in found) else None


def arguments(*positional: Any, **named: Any) -> str:
    """The arguments of a call; named ones that are None are left out."""
    return ", ".join([*(str(item) for item in positional), *(f"{name}={item}" for name, item in named.items() if item is not None)])


def dtype_of(array: Array) -> str | None:
    """The `dtype` argument of a layer's constructor."""
    return (
        None
        if array.dtype == DataType.FLOAT
        else f"torch.{ {DataType.DOUBLE: 'float64', DataType.FLOAT16: 'float16', DataType.BFLOAT16: 'bfloat16'}[array.dtype] }"
    )


def said(printer: Printer, call: Call, layer: str, weights: Mapping[str, Array | None], x: str, function: str, rest: str = "") -> str:
    """A call of the layer, or where its weights have names of their own of the function: `function(x, weights ..., rest)`."""
    path = printer.words.modules.layer(call, layer, weights)  # type: ignore[attr-defined]
    return f"{path}({x})" if path is not None else called_with(printer, function, x, weights, rest)


def called_with(printer: Printer, function: str, x: str, weights: Mapping[str, Array | None], rest: str = "") -> str:
    """A function of a tensor and weights."""
    given = ["None" if array is None else printer.array(array) for array in weights.values()]
    while given and given[-1] == "None":
        given.pop()
    return f"{function}({', '.join([x, *given, *([rest] if rest else [])])})"


def evenly(numbers: Sequence[Any], default: int) -> str | None:
    """An argument that is one number where all axes have the same; None for the default."""
    if all(item == default for item in numbers):
        return None
    return str(numbers[0]) if len(set(numbers)) == 1 else str(tuple(numbers))


def is_known(window: Window) -> bool:
    """Whether the padding is known."""
    return all(isinstance(item, int) for item in (*window.before, *window.after))


def padded(x: str, window: Window) -> str:
    """The input with the padding that a layer does not say: one that is uneven."""
    amounts = [(before, after) for before, after in zip(window.before, window.after)]
    return f"F.pad({x}, ({', '.join(str(item) for pair in reversed(amounts) for item in pair)}))"


@rule("Conv")
def convolution(call: Call) -> Writer | None:
    x, weight, bias = call.inputs
    rank, given = x.rank - 2, call.attributes
    if rank not in (1, 2, 3) or x.dtype not in NEURAL or not all(isinstance(extent, int) for extent in weight.shape):
        return None
    window = window_over(
        x, weight.shape[2:], strides=given.get("strides"), dilations=given.get("dilations"), pads=given.get("pads"), auto_pad=given["auto_pad"]
    )
    even = window.before == window.after and all(isinstance(item, int) and item >= 0 for item in window.before)
    if not even and not is_known(window):
        return None
    group, (filters, depth, *kernel) = given["group"], weight.shape
    options = {
        "stride": evenly(window.strides, 1), "padding": evenly(window.before, 0) if even else None, "dilation": evenly(window.dilations, 1),
        "groups": group if group != 1 else None,
    }  # fmt: skip
    layer = arguments(depth * group, filters, evenly(kernel, -1), **options, bias=None if bias is not None else "False", dtype=dtype_of(x))

    def write(printer: Printer) -> str:
        source = printer.array(x) if even else padded(printer.array(x), window)
        function, rest = f"F.conv{rank}d", arguments(**options)
        if not is_weight(weight, bias):
            return called_with(printer, function, source, {"weight": weight, "bias": bias}, rest)
        return said(printer, call, f"nn.Conv{rank}d({layer})", {"weight": weight, "bias": bias}, source, function, rest)

    return write


@rule("ConvTranspose")
def transposed_convolution(call: Call) -> Writer | None:
    x, weight, bias = call.inputs
    rank, given = x.rank - 2, call.attributes
    if rank not in (1, 2, 3) or x.dtype not in NEURAL or not all(isinstance(extent, int) for extent in weight.shape):
        return None
    if given["auto_pad"] != "NOTSET" or given.get("output_shape") is not None:
        return None
    pads, extra = given.get("pads") or [0] * (2 * rank), list(given.get("output_padding") or [0] * rank)
    before, after = pads[:rank], pads[rank:]
    extra = [more + low - high for more, low, high in zip(extra, before, after)]
    strides, dilations = given.get("strides") or [1] * rank, given.get("dilations") or [1] * rank
    if any(item < 0 for item in before) or not all(0 <= more < max(s, d) for more, s, d in zip(extra, strides, dilations)):
        return None
    group, (channels, depth, *kernel) = given["group"], weight.shape
    options = {"stride": evenly(strides, 1), "padding": evenly(before, 0), "output_padding": evenly(extra, 0), "groups": group if group != 1 else None,
               "dilation": evenly(dilations, 1)}  # fmt: skip
    layer = arguments(channels, depth * group, evenly(kernel, -1), **options, bias=None if bias is not None else "False", dtype=dtype_of(x))

    def write(printer: Printer) -> str:
        function, rest = f"F.conv_transpose{rank}d", arguments(**options)
        if not is_weight(weight, bias):
            return called_with(printer, function, printer.array(x), {"weight": weight, "bias": bias}, rest)
        return said(printer, call, f"nn.ConvTranspose{rank}d({layer})", {"weight": weight, "bias": bias}, printer.array(x), function, rest)

    return write


# -- products ----------------------------------------------------------------------------------------------------------------
def transposed(array: Array) -> Array | None:
    """The matrix that an array is the transpose of."""
    if isinstance(array, Compute) and array.rank == 2 and isinstance(array.body, Read) and array.body.array.rank == 2:
        if tuple(map(str, array.body.indices)) == tuple(map(str, reversed(array.variables))) and array.body.array.shape == array.shape[::-1]:
            return array.body.array
    return None


def linear(call: Call, x: Array, weight: Array, bias: Array | None) -> Writer | None:
    """x weight + bias as nn.Linear; `weight` (in, out)."""
    sizes = extents(weight, 0, 1)
    if sizes is None or x.dtype not in NEURAL or not is_weight(weight, bias) or bias is not None and bias.shape != (weight.shape[1],):
        return None
    inner = transposed(weight)
    layer = f"nn.Linear({arguments(*sizes, bias=None if bias is not None else 'False', dtype=dtype_of(x))})"

    def write(printer: Printer) -> str:
        text = printer.array(x)
        if inner is not None:
            return said(printer, call, layer, {"weight": inner, "bias": bias}, text, "F.linear")
        turned = {"weight": (weight, np.ascontiguousarray(numbers(weight).T))}
        shared = any(uses(item, call) > 1 for item in parameters_of(weight))
        path = None if shared else printer.words.modules.layer(call, layer, {"bias": bias}, turned)  # type: ignore[attr-defined]
        if path is not None:
            return f"{path}({text})"
        product = f"{text} @ {printer.array(weight)}"
        return f"({product})" if bias is None else f"({product} + {printer.array(bias)})"

    return write


def uses(parameter: P.Parameter, call: Call) -> int:
    """How often the model reads a weight."""
    return next((len(value.uses) for value in call.node.inputs if value is not None and value.name == parameter.label), 1)


@rule("MatMul")
def product(call: Call) -> Writer | None:
    left, right = call.inputs
    if left.dtype not in NEURAL:
        return None
    made = linear(call, left, right, None) if right.rank == 2 and left.rank >= 1 else None
    return made or (lambda printer: f"({printer.array(left)} @ {printer.array(right)})")


@rule("Add")
def biased(call: Call) -> Native | None:
    """With the product before it, one layer; a sum where the definition would look at sizes that PyTorch compares itself."""
    for source, bias in (call.inputs, call.inputs[::-1]):
        before = call_of(source)
        if before is None or before.node.op_type != "MatMul" or before.node.domain not in ("", "ai.onnx") or bias.rank != 1:
            continue
        left, right = before.inputs
        made = linear(call, left, right, bias) if right.rank == 2 and left.rank >= 2 else None
        if made is not None:
            return Native(made, (left,))
    left, right = call.inputs
    if is_broadcast_at_run_time(left, right):
        return Native(lambda printer: f"({printer.array(left)} + {printer.array(right)})", (left, right))
    return None


@rule("Gemm")
def general_product(call: Call) -> Writer | None:
    x, weight, bias = call.inputs
    given = call.attributes
    if given["alpha"] != 1 or given["transA"] or x.dtype not in NEURAL or bias is not None and given["beta"] != 1:
        return None
    if given["transB"]:
        sizes = extents(weight, 1, 0)
        if sizes is None or bias is not None and bias.shape != (weight.shape[0],):
            return None
        if not is_weight(weight, bias):
            return lambda printer: called_with(printer, "F.linear", printer.array(x), {"weight": weight, "bias": bias})
        layer = f"nn.Linear({arguments(*sizes, bias=None if bias is not None else 'False', dtype=dtype_of(x))})"
        return lambda printer: said(printer, call, layer, {"weight": weight, "bias": bias}, printer.array(x), "F.linear")
    return linear(call, x, weight, bias)


@rule("Gather")
def gather(call: Call) -> Writer | None:
    """An embedding where places are rows of a weight, else indexing."""
    source, places = call.inputs
    axis = call.attributes["axis"] % source.rank
    if places.rank == 0 and places.known is not None:
        index = int(places.known)
        return lambda printer: f"{whole(printer.array(source))}[{':, ' * axis}{index}]"
    if axis or source.rank != 2 or not is_weight(source) or source.dtype not in NEURAL or is_weight(places):
        return lambda printer: f"{whole(printer.array(source))}[{':, ' * axis}{printer.array(places)}]"
    sizes = extents(source, 0, 1)
    layer = None if sizes is None else f"nn.Embedding({arguments(*sizes, dtype=dtype_of(source))})"

    def write(printer: Printer) -> str:
        text = printer.array(places)
        path = None if layer is None else printer.words.modules.layer(call, layer, {"weight": source})  # type: ignore[attr-defined]
        return f"{path}({text})" if path is not None else f"{whole(printer.array(source))}[{text}]"

    return write


# -- normalisation -----------------------------------------------------------------------------------------------------------
@rule("BatchNormalization")
def batch_normalization(call: Call) -> Writer | None:
    x, scale, bias, mean, variance = call.inputs[:5]
    if call.attributes.get("training_mode") or len(call.node.outputs) > 1 or not is_weight(scale, bias, mean, variance) or x.rank not in (2, 3, 4, 5):
        return None
    channels = extents(scale, 0)
    if channels is None or x.dtype not in NEURAL or scale.dtype != x.dtype or mean.dtype != x.dtype or call.attributes.get("spatial", 1) != 1:
        return None
    epsilon, momentum = (number_of(call.attributes[name]) for name in ("epsilon", "momentum"))
    kept = round(1 - call.attributes["momentum"], 6)
    options = {"eps": epsilon if epsilon != "1e-05" else None, "momentum": kept if kept != 0.1 else None, "dtype": dtype_of(x)}
    layer = f"nn.BatchNorm{max(x.rank - 2, 1)}d({arguments(channels[0], **options)})"

    def write(printer: Printer) -> str:
        text, weights = printer.array(x), {"weight": scale, "bias": bias, "running_mean": mean, "running_var": variance}
        path = printer.words.modules.layer(call, layer, weights, more={"num_batches_tracked": np.array(0)})  # type: ignore[attr-defined]
        if path is not None:
            return f"{path}({text})"
        texts = [printer.array(item) for item in (mean, variance, scale, bias)]
        return f"F.batch_norm({', '.join([text, *texts])}, eps={epsilon})"

    return write


def number_of(value: float) -> str:
    """A number of float32 in as few digits as say it."""
    return repr(float(str(np.float32(value))))


def is_filled(array: Array | None, value: float) -> bool:
    """Whether an array is no weight, and all of its elements are `value`."""
    if array is None:
        return True
    return not parameters_of(array) and depends_on_constants_alone(array) and bool(np.all(array.known == value))


@rule("LayerNormalization")
def layer_normalization(call: Call) -> Writer | None:
    x, scale, bias = call.inputs
    axis = call.attributes["axis"] % x.rank
    shape = x.shape[axis:]
    if len(call.node.outputs) > 1 or x.dtype not in NEURAL or not all(isinstance(extent, int) for extent in shape) or call.attributes.get("stash_type", 1) != 1:
        return None
    epsilon = number_of(call.attributes["epsilon"])
    option = None if epsilon == "1e-05" else epsilon
    sizes = str(shape[0]) if len(shape) == 1 else str(tuple(shape))
    if is_filled(scale, 1) and is_filled(bias, 0):
        return lambda printer: f"F.layer_norm({arguments(printer.array(x), tuple(shape), eps=option)})"
    if scale.shape != shape or bias is not None and bias.shape != shape:
        return None
    layer = f"nn.LayerNorm({arguments(sizes, eps=option, bias=None if bias is not None else 'False', dtype=dtype_of(scale))})"

    def write(printer: Printer) -> str:
        path = printer.words.modules.layer(call, layer, {"weight": scale, "bias": bias}) if is_weight(scale, bias) else None  # type: ignore[attr-defined]
        text = printer.array(x)
        if path is not None:
            return f"{path}({text})"
        texts = [printer.array(item) for item in (scale, bias) if item is not None]
        return f"F.layer_norm({arguments(text, tuple(shape), *texts, eps=option)})"

    return write


@rule("RMSNormalization")
def root_mean_square_normalization(call: Call) -> Writer | None:
    x, scale = call.inputs
    shape = x.shape[call.attributes["axis"] % x.rank :]
    if x.dtype not in NEURAL or not all(isinstance(extent, int) for extent in shape) or not is_weight(scale) or scale.shape != shape:
        return None
    epsilon = number_of(call.attributes["epsilon"])
    sizes = str(shape[0]) if len(shape) == 1 else str(tuple(shape))
    if is_filled(scale, 1):
        return lambda printer: f"F.rms_norm({printer.array(x)}, {tuple(shape)}, eps={epsilon})"
    layer = f"nn.RMSNorm({arguments(sizes, eps=epsilon, dtype=dtype_of(scale))})"

    def write(printer: Printer) -> str:
        path = printer.words.modules.layer(call, layer, {"weight": scale})  # type: ignore[attr-defined]
        return f"{path}({printer.array(x)})" if path is not None else f"F.rms_norm({printer.array(x)}, {tuple(shape)}, {printer.array(scale)}, {epsilon})"

    return write


@rule("GroupNormalization")
def group_normalization(call: Call) -> Writer | None:
    x, scale, bias = call.inputs
    channels, groups = extents(x, 1), call.attributes["num_groups"]
    if channels is None or x.dtype not in NEURAL or scale.shape != (channels[0],) or bias.shape != (channels[0],) or call.attributes.get("stash_type", 1) != 1:
        return None
    epsilon = number_of(call.attributes["epsilon"])
    option = None if epsilon == "1e-05" else epsilon
    if is_filled(scale, 1) and is_filled(bias, 0):
        return lambda printer: f"F.group_norm({arguments(printer.array(x), groups, eps=option)})"
    if not is_weight(scale, bias):
        return None
    layer = f"nn.GroupNorm({arguments(groups, channels[0], eps=option, dtype=dtype_of(scale))})"
    rest = arguments(eps=option)

    def write(printer: Printer) -> str:
        path = printer.words.modules.layer(call, layer, {"weight": scale, "bias": bias})  # type: ignore[attr-defined]
        text = printer.array(x)
        if path is not None:
            return f"{path}({text})"
        return f"F.group_norm({', '.join([text, str(groups), printer.array(scale), printer.array(bias), *([rest] if rest else [])])})"

    return write


@rule("InstanceNormalization")
def instance_normalization(call: Call) -> Writer | None:
    x, scale, bias = call.inputs
    channels = extents(x, 1)
    if channels is None or x.dtype not in NEURAL or not is_weight(scale, bias) or x.rank not in (3, 4, 5):
        return None
    if any(isinstance(extent, int) and extent == 1 for extent in x.shape[2:]):  # PyTorch refuses a single element
        return None
    epsilon = number_of(call.attributes["epsilon"])
    option = None if epsilon == "1e-05" else epsilon
    if is_filled(scale, 1) and is_filled(bias, 0):
        return lambda printer: f"F.instance_norm({arguments(printer.array(x), eps=option)})"
    layer = f"nn.InstanceNorm{x.rank - 2}d({arguments(channels[0], eps=option, affine='True', dtype=dtype_of(scale))})"

    def write(printer: Printer) -> str:
        text = printer.array(x)
        path = printer.words.modules.layer(call, layer, {"weight": scale, "bias": bias})  # type: ignore[attr-defined]
        if path is not None:
            return f"{path}({text})"
        return f"F.instance_norm({arguments(text, weight=printer.array(scale), bias=printer.array(bias), eps=option)})"

    return write


@rule("PRelu")
def parametric_rectifier(call: Call) -> Writer | None:
    x, slope = call.inputs
    if x.dtype not in NEURAL or not is_weight(slope) or x.rank < 2:
        return None
    count = extents(x, 1)
    sizes = [extent for extent in slope.shape if extent != 1]
    leading = x.rank - slope.rank
    one = not sizes
    if not one and (count is None or sizes != count or leading > 1 or slope.shape[1 - leading] != sizes[0]):
        return None
    layer = f"nn.PReLU({arguments(*([] if one else sizes), dtype=dtype_of(x))})"

    def write(printer: Printer) -> str:
        text, modules = printer.array(x), printer.words.modules  # type: ignore[attr-defined]
        root = reshaped_from(slope)
        if slope.shape == (1 if one else sizes[0],):
            path = modules.layer(call, layer, {"weight": slope})
        elif root is not None and root.shape == (1 if one else sizes[0],):
            path = modules.layer(call, layer, {"weight": root})
        else:
            path = (
                modules.layer(call, layer, {}, {"weight": (slope, numbers(slope).reshape(-1))})
                if not any(uses(item, call) > 1 for item in parameters_of(slope))
                else None
            )
        return f"{path}({text})" if path is not None else f"torch.where({text} < 0, {text} * {printer.array(slope)}, {text})"

    return write


def reshaped_from(array: Array) -> Array | None:
    """The weight that an array is in another shape."""
    seen: Any = array
    while isinstance(seen, P.Reshape) or isinstance(seen, Compute) and isinstance(seen.body, Read) and seen.size == seen.body.array.size:
        seen = seen.source if isinstance(seen, P.Reshape) else seen.body.array  # type: ignore[attr-defined]
    return seen if isinstance(seen, P.Parameter) and seen is not array else None
