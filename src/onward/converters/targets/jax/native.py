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
from onward.operators.linear.transposed_convolution import placement
from onward.operators.native import Call
from onward.operators.pooling.window import Window, window_over

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

RULES = NativeRules()

FUNCTIONS = {"Relu": "relu", "Softplus": "softplus", "Softsign": "soft_sign", "HardSwish": "hard_swish", "Mish": "mish"}
"""operator -> function of `jax.nn`, for those without attributes"""

MOST_WINDOWS = 25
"""Elements of a filter of a depthwise convolution that is a sum of windows."""

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


@RULES.rule("Conv")
def convolution(call: Call) -> Writer:
    x, w, b = call.inputs
    assert x is not None and w is not None
    given = call.attributes
    window = _window(call, given.get("kernel_shape") or w.shape[2:])
    exact = x.dtype in (DataType.FLOAT, DataType.DOUBLE)  # sums of other types lose more than a convolution does
    is_depthwise = exact and w.shape[0] == given["group"] == x.shape[1] and w.shape[1] == 1 and product_of(w.shape[2:]) <= MOST_WINDOWS
    is_pointwise = exact and product_of(w.shape[2:]) == 1 and not any(window.before) and not any(window.after)

    def write(printer: Printer) -> str:
        if is_depthwise:
            places = [str(window.strides), _padding(printer, window), str(window.dilations)]
            return _biased(printer, printer.words.helper("depthwise_convolution", printer.array(x), printer.array(w), *places), b, window.rank)
        if is_pointwise:
            places = [str(window.strides), str(given["group"])]
            return _biased(printer, printer.words.helper("pointwise_convolution", printer.array(x), printer.array(w), *places), b, window.rank)
        arguments = [printer.array(x), printer.array(w), str(window.strides), _padding(printer, window)]
        arguments += [f"rhs_dilation={window.dilations}"] if any(step != 1 for step in window.dilations) else []
        arguments += [f"feature_group_count={given['group']}"] if given["group"] != 1 else []
        return _biased(printer, f"jax.lax.conv_general_dilated({', '.join(arguments)})", b, window.rank)

    return write


@RULES.rule("ConvTranspose")
def transposed_convolution(call: Call) -> Writer:
    x, w, b = call.inputs
    assert x is not None and w is not None
    given, rank = call.attributes, x.rank - 2
    strides, dilations = (tuple(given.get(name) or [1] * rank) for name in ("strides", "dilations"))
    reach = [(extent - 1) * step + 1 for extent, step in zip(w.shape[2:], dilations)]
    full = [(extent - 1) * step + far for extent, step, far in zip(x.shape[2:], strides, reach)]
    extra, pads = given.get("output_padding") or [0] * rank, given.get("pads") or [0] * (2 * rank)
    starts, extents = placement(full, extra, x.shape[2:], list(strides), pads, given.get("output_shape"), given["auto_pad"])
    margins = [(far - 1 - start, extent + start - whole + far - 1) for far, start, extent, whole in zip(reach, starts, extents, full)]

    def write(printer: Printer) -> str:
        padding = _pairs(printer, margins)
        text = printer.words.helper("transposed_convolution", printer.array(x), printer.array(w), str(strides), padding, str(dilations), str(given["group"]))
        return _biased(printer, text, b, rank)

    return write


@RULES.rule("MaxPool")
def max_pool(call: Call) -> Writer | None:
    """The places of the greatest are left to the definition."""
    if len(call.results) > 1:
        return None
    x = _input(call)
    window = _window(call, call.attributes["kernel_shape"], bool(call.attributes.get("ceil_mode", 0)))

    def write(printer: Printer) -> str:
        words = printer.words
        least = f"np.array({words.literal(identity('max', x.dtype), x.dtype)}, {words.dtype(x.dtype)})"  # only of what is no array of JAX's are gradients known
        return f"jax.lax.reduce_window({printer.array(x)}, {least}, jax.lax.max, {_over(printer, window)})"

    return write


@RULES.rule("AveragePool")
def average_pool(call: Call) -> Writer:
    x, given = _input(call), call.attributes
    window = _window(call, given["kernel_shape"], bool(given.get("ceil_mode", 0)))
    counted = _window(call, given["kernel_shape"])
    margins = list(zip(counted.before, counted.after)) if given.get("count_include_pad", 0) else [(0, 0)] * window.rank

    def write(printer: Printer) -> str:
        return printer.words.helper("average_pool", printer.array(x), _pairs(printer, margins), _over(printer, window))

    return write


def product_of(extents: Sequence[Dimension]) -> float:
    """How many elements, infinitely many where an extent is open."""
    return math.prod(extent if isinstance(extent, int) else math.inf for extent in extents)


def _input(call: Call) -> Any:
    return call.inputs[0]


def _window(call: Call, kernel: Sequence[Dimension], ceil_mode: bool = False) -> Window:
    given = call.attributes
    options = {name: given.get(name) for name in ("strides", "dilations", "pads")}
    return window_over(_input(call), kernel, auto_pad=given["auto_pad"], ceil_mode=ceil_mode, **options)


def _over(printer: Printer, window: Window) -> str:
    """The arguments of `reduce_window`, the first two axes being those of samples and channels."""
    sizes = [printer.extent(extent) for extent in window.kernel]
    arguments = [printer.words.tuple(["1", "1", *sizes]), str((1, 1, *window.strides))]
    arguments.append(_pairs(printer, [(0, 0), (0, 0), *zip(window.before, window.after)]))
    arguments += [f"window_dilation={(1, 1, *window.dilations)}"] if any(step != 1 for step in window.dilations) else []
    return ", ".join(arguments)


def _padding(printer: Printer, window: Window) -> str:
    return _pairs(printer, list(zip(window.before, window.after)))


def _pairs(printer: Printer, pairs: Sequence[tuple[Dimension, Dimension]]) -> str:
    return f"[{', '.join(printer.shape(pair) for pair in pairs)}]"


def _biased(printer: Printer, text: str, bias: Any, rank: int) -> str:
    return text if bias is None else f"{text} + {printer.words.slice(printer.array(bias), [':', *['None'] * rank])}"
