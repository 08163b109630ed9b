"""What JAX has of its own for operators of ONNX; all others are printed as their definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onward.converters.targets.printing.forms import identity
from onward.converters.targets.printing.naming import number
from onward.converters.targets.printing.native import NativeRules, Writer
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.layout.channels_last import DOMAIN, channels_first
from onward.operators.linear.transposed_convolution import placement
from onward.operators.native import Call
from onward.operators.pooling.window import Window, window_over
from onward.program.array import Array

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

RULES = NativeRules()

FUNCTIONS = {"Relu": "relu", "Softplus": "softplus", "Softsign": "soft_sign", "HardSwish": "hard_swish", "Mish": "mish"}
"""operator -> function of `jax.nn`, for those without attributes"""

EXACT = (DataType.FLOAT, DataType.DOUBLE)
"""Types of elements whose sums in another order are near enough; a convolution of others keeps more digits."""

MOST_WINDOWS = 49
"""Elements of a filter of a depthwise convolution that is a sum of windows."""

MOST_GROUPS = 16
"""Groups of a convolution of one place that is a product for each."""

WITH_ALPHA = {"LeakyRelu": "leaky_relu", "Elu": "elu", "Celu": "celu"}


@RULES.rule(*FUNCTIONS)
def function(call: Call) -> Writer:
    return lambda printer: f"jax.nn.{FUNCTIONS[call.node.op_type]}({printer.array(_input(call))})"


@RULES.rule(*WITH_ALPHA)
def function_of_alpha(call: Call) -> Writer:
    alpha = number(float(call.attributes["alpha"]))
    return lambda printer: f"jax.nn.{WITH_ALPHA[call.node.op_type]}({printer.array(_input(call))}, {alpha})"


@RULES.rule("Gelu")
def gelu(call: Call) -> Writer:
    approximate = call.attributes["approximate"] == "tanh"
    return lambda printer: f"jax.nn.gelu({printer.array(_input(call))}, approximate={approximate})"


@RULES.rule("Softmax", "LogSoftmax")
def softmax(call: Call) -> Writer | None:
    """Before version 13 the axes from `axis` on were one."""
    if call.version < 13:
        return None
    name = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[call.node.op_type]
    return lambda printer: f"jax.nn.{name}({printer.array(_input(call))}, axis={int(call.attributes['axis'])})"


@RULES.rule("ReduceMean")
def mean(call: Call) -> Writer | None:
    """Along axes that are known."""
    x, axes = _input(call), call.attributes.get("axes")
    if len(call.inputs) > 1 and call.inputs[1] is not None:
        axes = None if call.inputs[1].known is None else call.inputs[1].known.tolist()
    if x.dtype not in EXACT or not axes:
        return None
    kept = ", keepdims=True" if call.attributes.get("keepdims", 1) else ""
    return lambda printer: f"jnp.mean({printer.array(x)}, axis={tuple(axis % x.rank for axis in axes)}{kept})"


@RULES.rule("Conv")
def convolution(call: Call) -> Writer:
    """One inside of a loop or branch, where channels stay second."""
    x, w, b = call.inputs
    assert x is not None and w is not None
    window = _window(call, x, call.attributes.get("kernel_shape") or w.shape[2:])

    def write(printer: Printer) -> str:
        text = f"jax.lax.conv_general_dilated({', '.join([printer.array(x), printer.array(w), *_sliding(printer, call, window)])})"
        return text if b is None else f"{text} + {printer.words.slice(printer.array(b), [':', *['None'] * window.rank])}"

    return write


# -- channels last --------------------------------------------------------------------------------------------------------
@RULES.rule("Conv", "DepthwiseConv", domain=DOMAIN)
def channels_last_convolution(call: Call) -> Writer:
    x, w, b = call.inputs
    assert x is not None and w is not None
    rank, group = x.rank - 2, call.attributes["group"]
    extents, is_exact = w.shape[:rank], x.dtype in EXACT
    window = _window(call, channels_first(x), extents)
    filters = w.shape[rank:] if call.node.op_type == "DepthwiseConv" else (group, w.shape[-1] // group)
    is_depthwise = is_exact and filters == (x.shape[-1], 1) and product_of(extents) <= MOST_WINDOWS
    is_pointwise = is_exact and product_of(extents) == 1 and not any(window.before) and not any(window.after) and group <= MOST_GROUPS

    def write(printer: Printer) -> str:
        data, kernel = printer.array(x), printer.array(w)
        if is_depthwise:
            places = [str(window.strides), _padding(printer, window), str(window.dilations)]
            return _biased(printer, printer.words.helper("depthwise_convolution", data, kernel, *places), b)
        if is_pointwise:
            data = printer.words.slice(data, [":", *(":" if step == 1 else f"::{step}" for step in window.strides)])
            kernel = f"{kernel}[{', '.join(['0'] * rank)}]"
            return _biased(printer, f"{data} @ {kernel}" if group == 1 else printer.words.helper("grouped_product", data, kernel, str(group)), b)
        if call.node.op_type == "DepthwiseConv":
            kernel = f"{kernel}.reshape({printer.shape((*extents, 1, filters[0] * filters[1]))})"
        arguments = [data, kernel, *_sliding(printer, call, window), f"dimension_numbers={_letters(rank)}"]
        return _biased(printer, f"jax.lax.conv_general_dilated({', '.join(arguments)})", b)

    return write


@RULES.rule("ChannelShuffle", domain=DOMAIN)
def channel_shuffle(call: Call) -> Writer:
    return lambda printer: printer.words.helper("channel_shuffle", printer.array(_input(call)), str(call.attributes["groups"]))


@RULES.rule("ConvTranspose", domain=DOMAIN)
def transposed_convolution(call: Call) -> Writer:
    x, w, b = call.inputs
    assert x is not None and w is not None
    given, rank = call.attributes, x.rank - 2
    places, window = channels_first(x).shape[2:], w.shape[:rank]
    strides, dilations = (tuple(given.get(name) or [1] * rank) for name in ("strides", "dilations"))
    reach = [(extent - 1) * step + 1 for extent, step in zip(window, dilations)]
    full = [(extent - 1) * step + far for extent, step, far in zip(places, strides, reach)]
    extra, pads = given.get("output_padding") or [0] * rank, given.get("pads") or [0] * (2 * rank)
    starts, extents = placement(full, extra, places, list(strides), pads, given.get("output_shape"), given["auto_pad"])
    margins = [(far - 1 - start, extent + start - whole + far - 1) for far, start, extent, whole in zip(reach, starts, extents, full)]

    def write(printer: Printer) -> str:
        options = [str(strides), _pairs(printer, margins), str(dilations), str(given["group"]), _letters(rank)]
        return _biased(printer, printer.words.helper("transposed_convolution", printer.array(x), printer.array(w), *options), b)

    return write


@RULES.rule("MaxPool", domain=DOMAIN)
def max_pool(call: Call) -> Writer:
    x = _input(call)
    window = _window(call, channels_first(x), call.attributes["kernel_shape"], bool(call.attributes.get("ceil_mode", 0)))

    def write(printer: Printer) -> str:
        words = printer.words
        least = f"np.array({words.literal(identity('max', x.dtype), x.dtype)}, {words.dtype(x.dtype)})"  # only of what is no array of JAX's are gradients known
        return f"jax.lax.reduce_window({printer.array(x)}, {least}, jax.lax.max, {_over(printer, window)})"

    return write


@RULES.rule("AveragePool", domain=DOMAIN)
def average_pool(call: Call) -> Writer:
    x, given = _input(call), call.attributes
    window = _window(call, channels_first(x), given["kernel_shape"], bool(given.get("ceil_mode", 0)))
    counted = _window(call, channels_first(x), given["kernel_shape"])
    margins = list(zip(counted.before, counted.after)) if given.get("count_include_pad", 0) else [(0, 0)] * window.rank

    def write(printer: Printer) -> str:
        return printer.words.helper("average_pool", printer.array(x), _pairs(printer, margins), _over(printer, window))

    return write


@RULES.rule("GlobalAveragePool", "GlobalMaxPool", domain=DOMAIN)
def global_pool(call: Call) -> Writer | None:
    x, name = _input(call), {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}[call.node.op_type]
    axes = tuple(range(1, x.rank - 1))
    return (lambda printer: f"jnp.{name}({printer.array(x)}, axis={axes}, keepdims=True)") if x.dtype in EXACT else None


@RULES.rule("BatchNormalization", domain=DOMAIN)
def batch_normalization(call: Call) -> Writer | None:
    """What is done to each channel is computed once for all places."""
    if any(item is None or item.dtype not in EXACT for item in call.inputs):
        return None
    epsilon = number(float(call.attributes["epsilon"]))
    return lambda printer: printer.words.helper("batch_normalization", *(printer.array(item) for item in call.inputs if item is not None), epsilon)


def product_of(extents: Sequence[Dimension]) -> float:
    """How many elements, infinitely many where an extent is open."""
    return math.prod(extent if isinstance(extent, int) else math.inf for extent in extents)


def _input(call: Call) -> Any:
    return call.inputs[0]


def _window(call: Call, x: Array, kernel: Sequence[Dimension], ceil_mode: bool = False) -> Window:
    """The window of a call over `x` (N, C, ...)."""
    given = call.attributes
    options = {name: given.get(name) for name in ("strides", "dilations", "pads")}
    return window_over(x, kernel, auto_pad=given["auto_pad"], ceil_mode=ceil_mode, **options)


def _sliding(printer: Printer, call: Call, window: Window) -> list[str]:
    """How a convolution goes over its data, as arguments."""
    found = [str(window.strides), _padding(printer, window)]
    found += [f"rhs_dilation={window.dilations}"] if any(step != 1 for step in window.dilations) else []
    return found + ([f"feature_group_count={call.attributes['group']}"] if call.attributes["group"] != 1 else [])


def _letters(rank: int) -> str:
    """The order of axes of data, kernel and result, in JAX's letters."""
    places = "DHW"[-rank:] if rank <= 3 else "0123456789"[:rank]
    return str((f"N{places}C", f"{places}IO", f"N{places}C"))


def _over(printer: Printer, window: Window) -> str:
    """The arguments of `reduce_window`, the first axis being that of samples, the last that of channels."""
    sizes = [printer.extent(extent) for extent in window.kernel]
    arguments = [printer.words.tuple(["1", *sizes, "1"]), str((1, *window.strides, 1))]
    arguments.append(_pairs(printer, [(0, 0), *zip(window.before, window.after), (0, 0)]))
    arguments += [f"window_dilation={(1, *window.dilations, 1)}"] if any(step != 1 for step in window.dilations) else []
    return ", ".join(arguments)


def _padding(printer: Printer, window: Window) -> str:
    return _pairs(printer, list(zip(window.before, window.after)))


def _pairs(printer: Printer, pairs: Sequence[tuple[Dimension, Dimension]]) -> str:
    return f"[{', '.join(printer.shape(pair) for pair in pairs)}]"


def _biased(printer: Printer, text: str, bias: Any) -> str:
    return text if bias is None else f"{text} + {printer.array(bias)}"
