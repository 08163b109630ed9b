"""What Keras has layers for, and what it has operations for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import program as P
from onward.converters.targets.channels_last import Padding, padding_of, repetitions
from onward.converters.targets.keras.words import FLOATS
from onward.converters.targets.printing.naming import module_of, number
from onward.converters.targets.printing.native import NativeRules, Writer, is_broadcast_at_run_time
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression
from onward.operators.layout.channels_last import DOMAIN, channels_first
from onward.operators.linear.transposed_convolution import placement
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Compute, Constant, Reduce, RoutineOutput

if TYPE_CHECKING:
    from onward.converters.targets.keras.network import Network
    from onward.converters.targets.printing.printer import Printer

LAYERS = NativeRules()
"""Rules whose writers are given the network and write a call of a layer."""

FUNCTIONS = NativeRules()
"""Rules whose writers write an expression of `keras.ops`."""


def numbers(array: Array | None) -> np.ndarray | None:
    """The elements of an array that only weights and constants go into."""
    if array is None or not _is_fixed(array):
        return None
    return array.tensor.numpy() if isinstance(array, Constant) else P.evaluate([array], {})[0]


def _is_fixed(array: Array) -> bool:
    pending, seen = [array], set()
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, RoutineOutput) and item.routine.name == "native":  # a layer: what is before it need not be looked at
            return False
        if not isinstance(item, Constant) and not item.sources and not isinstance(item, (Compute, Reduce)):
            return False
        if any(isinstance(extent, Expression) for extent in item.shape):
            return False
        pending.extend(item.sources)
    return not isinstance(array.size, Expression)


def scope(array: Any, call: Call) -> str:
    """The name of the layer that a weight belongs to, else that of the node or its operator."""
    while array is not None and not isinstance(array, Constant) and array.sources:  # a weight in another order, or in steps of a scale
        array = array.sources[0]
    label = array.label.replace("/", ".") if isinstance(array, Constant) else ""
    return label.rpartition(".")[0] or plain(call)


def plain(call: Call) -> str:
    """The name of a layer whose weights have none: that of the module that its node comes from, else the node's."""
    first = next(iter(call.node.outputs[0].provenance), None)
    found = module_of(first.node_name, first.metadata) if first is not None else ""
    return found or module_of(call.node.name, call.node.metadata) or call.node.name or call.node.op_type


def short(value: Any, dtype: DataType = DataType.FLOAT) -> str:
    """A number that a model has in single precision, or several; those that are equal are one."""
    if isinstance(value, (list, tuple)):
        return short(value[0], dtype) if len(value) > 1 and len(set(value)) == 1 else f"({', '.join(short(item, dtype) for item in value)})"
    return number(float(str(np.float32(value))) if isinstance(value, float) and dtype != DataType.DOUBLE else value)


def is_float(call: Call) -> bool:
    """Whether all operands and results are of one type of floats."""
    kinds = {item.dtype for item in (*call.inputs, *call.results) if item is not None}
    return len(kinds) == 1 and kinds <= set(FLOATS)


def one(call: Call, kind: str, arguments: Sequence[str] = (), weights: Sequence[np.ndarray] = (), name: str = "") -> Native:
    """A layer of the first input."""
    x: Any = call.inputs[0]

    def write(network: Network) -> str:
        return network.layer(f"layers.{kind}", arguments, name or plain(call), network.array(x), weights, x.dtype, call.inputs[1:])

    return Native(write, (x,))


# -- activations ------------------------------------------------------------------------------------------------------------
ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign"}


@LAYERS.rule(*ACTIVATIONS)
def activation(call: Call) -> Native | None:
    return one(call, "Activation", [repr(ACTIVATIONS[call.node.op_type])]) if is_float(call) else None


@LAYERS.rule("Clip")
def rectifier(call: Call) -> Native | None:
    """One with a greatest value; other limits are an operation."""
    limits = _limits(call)
    if limits is None or limits[0] != 0 or not math.isfinite(limits[1]):
        return None
    return one(call, "ReLU", [f"max_value={short(limits[1], call.results[0].dtype)}"])


@FUNCTIONS.rule("Clip")
def clip(call: Call) -> Writer | None:
    limits = _limits(call)
    if limits is None:
        return None
    low, high = (short(limit, call.results[0].dtype) for limit in limits)
    return lambda printer: f"ops.clip({_text(printer, call)}, {low}, {high})"


def _limits(call: Call) -> tuple[float, float] | None:
    if len(call.inputs) == 1:
        return float(call.attributes["min"]), float(call.attributes["max"])
    low, high = (numbers(item) for item in call.inputs[1:3])
    known = is_float(call) and low is not None and high is not None and low.size == high.size == 1
    return (float(low.reshape(())), float(high.reshape(()))) if known else None  # type: ignore[union-attr]


@LAYERS.rule("LeakyRelu", "Elu")
def sloping(call: Call) -> Native | None:
    kind, argument = {"LeakyRelu": ("LeakyReLU", "negative_slope"), "Elu": ("ELU", "alpha")}[call.node.op_type]
    return one(call, kind, [f"{argument}={short(float(call.attributes['alpha']), call.results[0].dtype)}"]) if is_float(call) else None


@LAYERS.rule("Softmax")
def softmax(call: Call) -> Native | None:
    """Before version 13 the axes from `axis` on were one."""
    return one(call, "Softmax", [f"axis={int(call.attributes['axis'])}"]) if call.version >= 13 and is_float(call) else None


@FUNCTIONS.rule("LogSoftmax")
def log_softmax(call: Call) -> Writer | None:
    axis = int(call.attributes["axis"])
    return (lambda printer: f"ops.log_softmax({_text(printer, call)}, axis={axis})") if call.version >= 13 and is_float(call) else None


@FUNCTIONS.rule("Gelu")
def gelu(call: Call) -> Writer | None:
    approximate = call.attributes["approximate"] == "tanh"
    return (lambda printer: f"ops.gelu({_text(printer, call)}, approximate={approximate})") if is_float(call) else None


REDUCTIONS = {"ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min", "ReduceSum": "sum"}


@FUNCTIONS.rule(*REDUCTIONS)
def reduction(call: Call) -> Writer | None:
    x, axes = call.inputs[0], call.attributes.get("axes")
    if len(call.inputs) > 1 and call.inputs[1] is not None:
        known = numbers(call.inputs[1])
        axes = None if known is None else known.tolist()
    if x is None or x.dtype not in FLOATS or not axes:
        return None
    if call.node.op_type in ("ReduceMax", "ReduceMin") and any(not isinstance(x.shape[axis], int) or not x.shape[axis] for axis in axes):
        return None  # there may be nothing
    places, kept = tuple(axis % x.rank for axis in axes), bool(call.attributes.get("keepdims", 1))
    return lambda printer: f"ops.{REDUCTIONS[call.node.op_type]}({printer.array(x)}, axis={places}, keepdims={kept})"


# -- two operands -----------------------------------------------------------------------------------------------------------
MERGING = {"Add": "Add", "Sub": "Subtract", "Mul": "Multiply"}


def merged(call: Call) -> Native | None:
    """A layer of two arrays of one shape."""
    left, right = call.inputs
    if left is None or right is None or not is_float(call) or left.rank < 2:
        return None
    if any(numbers(item) is not None for item in (left, right)) or left is right or left.shape != right.shape and not is_broadcast_at_run_time(left, right):
        return None
    kind = MERGING[call.node.op_type]

    def write(network: Network) -> str:
        return network.layer(f"layers.{kind}", [], plain(call), f"[{network.array(left)}, {network.array(right)}]", (), left.dtype)

    return Native(write, (left, right))


def concatenation(call: Call) -> Native | None:
    parts = [item for item in call.inputs if item is not None]
    axis = call.attributes["axis"] % call.results[0].rank
    if len(parts) < 2 or axis == 0 or not is_float(call) or any(numbers(item) is not None for item in parts):
        return None

    def write(network: Network) -> str:
        texts = ", ".join(network.array(item) for item in parts)
        return network.layer("layers.Concatenate", [f"axis={axis}"], plain(call), f"[{texts}]", (), parts[0].dtype)

    return Native(write, tuple(parts))


# -- shapes -----------------------------------------------------------------------------------------------------------------
@LAYERS.rule("Reshape", "Flatten")
def reshape(call: Call) -> Native | None:
    """One that leaves the batch as it is, with one open size at most."""
    x, result = call.inputs[0], call.results[0]
    if x is None or x.rank == 0 or result.rank < 2 or x.shape[0] != result.shape[0]:
        return None
    rest = [extent if isinstance(extent, int) else -1 for extent in result.shape[1:]]
    if rest.count(-1) > 1 or 0 in rest or not all(isinstance(extent, int) for extent in x.shape[1:]) and -1 not in rest:
        return None
    return one(call, "Reshape", [str(tuple(rest))])


@FUNCTIONS.rule("Split")
def split(call: Call) -> Writer | None:
    """Along an axis whose extents are known."""
    x: Any = call.inputs[0]
    axis = call.attributes["axis"] % x.rank
    extents = [item.shape[axis] for item in call.results]
    if len(extents) < 2 or not all(isinstance(extent, int) and extent for extent in extents):
        return None
    ends = [sum(extents[: place + 1]) for place in range(len(extents) - 1)]
    where = len(extents) if len(set(extents)) == 1 else ends
    return lambda printer: f"ops.split({printer.array(x)}, {where}, axis={axis})"


@FUNCTIONS.rule("Transpose")
def transpose(call: Call) -> Writer:
    x: Any = call.inputs[0]
    order = call.attributes.get("perm") or list(range(x.rank))[::-1]
    return lambda printer: f"ops.transpose({printer.array(x)}, axes={tuple(order)})"


# -- normalisation ----------------------------------------------------------------------------------------------------------
def _batch_normalization(call: Call) -> Native | None:
    _, *moments = call.inputs
    weights = [numbers(item) for item in moments]
    if not is_float(call) or any(item is None for item in weights):
        return None
    arguments = [
        f"epsilon={short(float(call.attributes['epsilon']), call.results[0].dtype)}",
        f"momentum={short(float(call.attributes.get('momentum', 0.9)), call.results[0].dtype)}",
    ]
    names = [scope(item, call) for item in moments]
    name = next((found for found in names if found != plain(call)), names[0])  # a factor of ones that the source lacks has none
    return one(call, "BatchNormalization", arguments, weights, name)  # type: ignore[arg-type]


@LAYERS.rule("BatchNormalization", domain=DOMAIN)
def batch_normalization(call: Call) -> Native | None:
    return _batch_normalization(call)


@LAYERS.rule("BatchNormalization")
def batch_normalization_of_rows(call: Call) -> Native | None:
    """Of data whose channels are the last axis anyway."""
    is_plain = call.inputs[0].rank == 2 and len(call.results) == 1 and not call.attributes.get("training_mode")
    return _batch_normalization(call) if is_plain else None


@LAYERS.rule("GroupNormalization")
def group_normalization(call: Call) -> Native | None:
    """With a factor and an offset for each channel, as from version 21 on."""
    x, *parts = call.inputs
    weights = [numbers(item) for item in parts]
    if not is_float(call) or any(item is None or item.shape != (x.shape[1],) for item in weights):
        return None
    arguments = [str(call.attributes["num_groups"]), "axis=1", f"epsilon={short(float(call.attributes['epsilon']), x.dtype)}"]
    return one(call, "GroupNormalization", arguments, weights, scope(parts[0], call))  # type: ignore[arg-type]


@LAYERS.rule("RMSNormalization")
def root_mean_square_normalization(call: Call) -> Native | None:
    x, scale = call.inputs
    factors = numbers(scale)
    if not is_float(call) or factors is None or call.attributes["axis"] % x.rank != x.rank - 1 or factors.shape != x.shape[-1:]:
        return None
    return one(call, "RMSNormalization", [f"epsilon={short(float(call.attributes['epsilon']), x.dtype)}"], [factors], scope(scale, call))


@LAYERS.rule("PRelu")
def learned_slopes(call: Call) -> Native | None:
    x, slope = call.inputs
    slopes = numbers(slope)
    if not is_float(call) or slopes is None or slopes.ndim > x.rank or x.rank < 2 or slopes.ndim == x.rank and slopes.shape[0] != 1:
        return None
    slopes = slopes.reshape((1,) * (x.rank - slopes.ndim) + slopes.shape)[0]
    shared = [axis + 1 for axis, extent in enumerate(slopes.shape) if extent == 1]
    return one(call, "PReLU", [f"shared_axes={shared}"] if shared else [], [slopes], scope(slope, call))


@LAYERS.rule("LayerNormalization")
def layer_normalization(call: Call) -> Native | None:
    x, scale, bias = call.inputs
    factors, offsets = numbers(scale), numbers(bias)
    if x is None or factors is None or bias is not None and offsets is None or not is_float(call) or len(call.node.outputs) > 1:
        return None
    first = call.attributes["axis"] % x.rank
    if first != x.rank - 1 or factors.shape != x.shape[-1:] or offsets is not None and offsets.shape != factors.shape:
        return None
    arguments = [f"epsilon={short(float(call.attributes['epsilon']), call.results[0].dtype)}"] + (["center=False"] if offsets is None else [])
    return one(call, "LayerNormalization", arguments, [factors] if offsets is None else [factors, offsets], scope(scale, call))


@LAYERS.rule("Gather")
def embedding(call: Call) -> Native | None:
    table, places = call.inputs
    data = numbers(table)
    if data is None or places is None or data.ndim != 2 or call.attributes["axis"] != 0 or data.dtype.name not in ("float32", "float64"):
        return None
    if not isinstance(table, P.Parameter) or places.rank == 0:
        return None

    def write(network: Network) -> str:
        return network.layer(
            "layers.Embedding", [str(data.shape[0]), str(data.shape[1])], scope(table, call), network.array(places), [data], table.dtype, (table,)
        )

    return Native(write, (places,))


# -- channels last ----------------------------------------------------------------------------------------------------------
def _padded(network: Network, text: str, padding: Padding, rank: int, dtype: Any, name: str) -> tuple[str, list[str]]:
    """The data, in a layer of zeros where the padding has no name, and the argument `padding` where it is not the usual."""
    if padding.name:
        return text, [] if padding.name == "VALID" else [f"padding={padding.name.lower()!r}"]
    padded, amounts = network.names.fresh("padded"), padding.amounts[0] if rank == 1 else padding.amounts
    network.write(f"{padded} = {network.layer(f'layers.ZeroPadding{rank}D', [_amounts(amounts)], name, text, (), dtype)}")
    return padded, []


def _amounts(amounts: Any) -> str:
    """What stands before and after each axis, where that is the same one number."""
    flat = {amount for pair in amounts for amount in (pair if isinstance(pair, tuple) else (pair,))}
    return str(flat.pop()) if len(flat) == 1 else str(amounts)


def _steps(call: Call, rank: int) -> tuple[list[int], list[int]]:
    return tuple(list(call.attributes.get(name) or [1] * rank) for name in ("strides", "dilations"))  # type: ignore[return-value]


def _is_open(padding: Padding) -> bool:
    return not padding.name and any(not isinstance(amount, int) for pair in padding.amounts for amount in pair)


@LAYERS.rule("Conv", "DepthwiseConv", domain=DOMAIN)
def convolution(call: Call) -> Native | None:
    x, w, b = call.inputs
    assert x is not None
    kernel, bias = numbers(w), numbers(b)
    rank = x.rank - 2
    strides, dilations = _steps(call, rank)
    if kernel is None or b is not None and bias is None or not is_float(call) or rank > 3 or not isinstance(x.shape[-1], int):
        return None
    padding = padding_of(call, kernel.shape[:rank])
    depthwise = call.node.op_type == "DepthwiseConv"
    if _is_open(padding) or max(strides) > 1 and max(dilations) > 1 or depthwise and strides[0] != strides[1]:
        return None
    what = [f"depth_multiplier={kernel.shape[-1]}"] * (kernel.shape[-1] > 1) if depthwise else [str(kernel.shape[-1])]
    what.insert(0 if depthwise else 1, short(kernel.shape[:rank]))
    what += [f"strides={short(strides)}"] if max(strides) > 1 else []
    what += [f"dilation_rate={short(dilations)}"] if max(dilations) > 1 else []
    what += [f"groups={call.attributes['group']}"] if not depthwise and call.attributes.get("group", 1) > 1 else []
    what += ["use_bias=False"] if bias is None else []
    name = scope(w, call)

    def write(network: Network) -> str:
        data, how = _padded(network, network.array(x), padding, rank, x.dtype, name)
        kind = f"layers.{'Depthwise' if depthwise else ''}Conv{rank}D"
        return network.layer(kind, [*what, *how], name, data, [kernel] if bias is None else [kernel, bias], x.dtype, (w, b))

    return Native(write, (x,))


@LAYERS.rule("ConvTranspose", domain=DOMAIN)
def transposed_convolution(call: Call) -> Native | None:
    """The whole of it, cut to what is wanted."""
    x, w, b = call.inputs
    assert x is not None
    kernel, bias, given, rank = numbers(w), numbers(b), call.attributes, x.rank - 2
    strides, dilations = _steps(call, rank)
    if kernel is None or b is not None and bias is None or not is_float(call) or rank > 3 or given.get("group", 1) != 1:
        return None
    extents = channels_first(x).shape[2:]
    spans = [(size - 1) * step + 1 for size, step in zip(kernel.shape, dilations)]
    full = [(extent - 1) * step + span for extent, step, span in zip(extents, strides, spans)]
    pads = given.get("pads") or [0] * (2 * rank)
    starts, sizes = placement(full, given.get("output_padding") or [0] * rank, extents, strides, pads, given.get("output_shape"), given["auto_pad"])
    cut = [(start, whole - size - start) for whole, size, start in zip(full, sizes, starts)]
    if any(not isinstance(amount, int) or amount < 0 for pair in cut for amount in pair) or any(span < step for span, step in zip(spans, strides)):
        return None
    if max(strides) > 1 and max(dilations) > 1:
        return None
    name = scope(w, call)
    same = all((before, after) == ((span - step) // 2, span - step - (span - step) // 2) for (before, after), span, step in zip(cut, spans, strides))
    what = [str(kernel.shape[-2]), short(kernel.shape[:rank]), f"strides={short(strides)}", *(["padding='same'"] if same else [])]
    what += [f"dilation_rate={short(dilations)}"] if max(dilations) > 1 else []
    what += ["use_bias=False"] if bias is None else []

    def write(network: Network) -> str:
        text = network.layer(f"layers.Conv{rank}DTranspose", what, name, network.array(x), [kernel] if bias is None else [kernel, bias], x.dtype, (w, b))
        if same or not any(map(any, cut)):
            return text
        amounts = cut[0] if rank == 1 else tuple(cut)
        return network.layer(f"layers.Cropping{rank}D", [str(amounts)], f"{name}_crop", text, (), x.dtype)

    return Native(write, (x,))


@LAYERS.rule("MaxPool", "AveragePool", domain=DOMAIN)
def pool(call: Call) -> Native | None:
    """Zeros around data count as nothing beside greatest numbers that are not negative, and in means that count them."""
    x: Any = call.inputs[0]
    window, rank, given = call.attributes["kernel_shape"], x.rank - 2, call.attributes
    strides, dilations = _steps(call, rank)
    if not is_float(call) or rank > 3 or max(dilations) > 1:
        return None
    padding, before = padding_of(call, window), call_of(x)
    if call.node.op_type == "MaxPool":
        if not padding.name and (_is_open(padding) or before is None or before.node.op_type not in ("Relu", "Sigmoid")):
            return None
    elif given.get("count_include_pad") and padding.name != "VALID":
        if given.get("ceil_mode") or any(not isinstance(amount, int) for pair in padding.amounts for amount in pair):
            return None
        padding = Padding("", padding.amounts)
    elif not padding.name:
        return None
    kind = {"MaxPool": "MaxPooling", "AveragePool": "AveragePooling"}[call.node.op_type]
    size, step = (tuple(items) if rank > 1 else items[0] for items in (window, strides))

    def write(network: Network) -> str:
        data, how = _padded(network, network.array(x), padding, rank, x.dtype, plain(call))
        return network.layer(
            f"layers.{kind}{rank}D", [short(size), *([] if step == size else [f"strides={short(step)}"]), *how], plain(call), data, (), x.dtype
        )

    return Native(write, (x,))


@LAYERS.rule("GlobalAveragePool", "GlobalMaxPool", domain=DOMAIN)
def global_pool(call: Call) -> Native | None:
    x: Any = call.inputs[0]
    if not is_float(call) or x.rank > 5:
        return None
    kind = {"GlobalAveragePool": "GlobalAveragePooling", "GlobalMaxPool": "GlobalMaxPooling"}[call.node.op_type]
    return one(call, f"{kind}{x.rank - 2}D", ["keepdims=True"])


@LAYERS.rule("Resize")
def upsampling(call: Call) -> Native | None:
    """Pictures whose elements are repeated along their two axes."""
    counts = repetitions(call)
    if not counts or not is_floating(call.inputs[0]) or call.results[0].rank != 4 or 0 in counts or 3 in counts:
        return None
    return one(call, "UpSampling2D", [str((counts.get(1, 1), counts.get(2, 1)))])


def is_floating(array: Any) -> bool:
    """Whether its elements are of a type of floats."""
    return array.dtype in FLOATS


def _text(printer: Printer, call: Call) -> str:
    x = call.inputs[0]
    assert x is not None
    return printer.array(x)
