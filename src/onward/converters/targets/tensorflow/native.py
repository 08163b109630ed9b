"""What TensorFlow has words of its own for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onward.converters.targets.channels_last import FLOATS, Padding, padding_of, repetitions
from onward.converters.targets.printing.forms import identity
from onward.converters.targets.printing.naming import number
from onward.converters.targets.printing.native import NativeRules, Writer
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression
from onward.operators.layout.channels_last import DOMAIN, channels_first
from onward.operators.linear.transposed_convolution import placement
from onward.operators.native import Call

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

RULES = NativeRules()

ACTIVATIONS = {"Relu": "relu", "Softplus": "softplus", "Softsign": "softsign"}


def is_float(call: Call) -> bool:
    """Whether all operands and results are of one type of floats."""
    kinds = {item.dtype for item in (*call.inputs, *call.results) if item is not None}
    return len(kinds) == 1 and kinds <= set(FLOATS)


def data_of(call: Call) -> Any:
    """The first input."""
    return call.inputs[0]


@RULES.rule(*ACTIVATIONS)
def activation(call: Call) -> Writer | None:
    if not is_float(call):
        return None
    return lambda printer: f"tf.nn.{ACTIVATIONS[call.node.op_type]}({printer.array(data_of(call))})"


@RULES.rule("LeakyRelu")
def leaky_relu(call: Call) -> Writer | None:
    alpha = number(float(call.attributes["alpha"]))
    return (lambda printer: f"tf.nn.leaky_relu({printer.array(data_of(call))}, alpha={alpha})") if is_float(call) else None


@RULES.rule("Elu")
def elu(call: Call) -> Writer | None:
    plain = is_float(call) and call.attributes["alpha"] == 1
    return (lambda printer: f"tf.nn.elu({printer.array(data_of(call))})") if plain else None


@RULES.rule("Gelu")
def gelu(call: Call) -> Writer | None:
    approximate = call.attributes["approximate"] == "tanh"
    return (lambda printer: f"tf.nn.gelu({printer.array(data_of(call))}, approximate={approximate})") if is_float(call) else None


@RULES.rule("Softmax", "LogSoftmax")
def softmax(call: Call) -> Writer | None:
    """Before version 13 the axes from `axis` on were one."""
    if call.version < 13 or not is_float(call):
        return None
    name = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[call.node.op_type]
    return lambda printer: f"tf.nn.{name}({printer.array(data_of(call))}, axis={int(call.attributes['axis'])})"


@RULES.rule("ReduceMean")
def mean(call: Call) -> Writer | None:
    axes = call.attributes.get("axes")
    if len(call.inputs) > 1 and call.inputs[1] is not None:
        axes = None if call.inputs[1].known is None else call.inputs[1].known.tolist()
    x = data_of(call)
    if x.dtype not in FLOATS or not axes:
        return None
    kept = ", keepdims=True" if call.attributes.get("keepdims", 1) else ""
    return lambda printer: f"tf.reduce_mean({printer.array(x)}, axis={[axis % x.rank for axis in axes]}{kept})"


@RULES.rule("MatMul")
def matmul(call: Call) -> Writer | None:
    left, right = call.inputs
    assert left is not None and right is not None
    if not is_float(call) or min(left.rank, right.rank) < 2:
        return None
    if left.rank > 2 and right.rank == 2:  # one product of two matrices; tf.matmul would make one for each of the first axes
        return lambda printer: f"tf.tensordot({printer.array(left)}, {printer.array(right)}, 1)"
    return lambda printer: f"tf.matmul({printer.array(left)}, {printer.array(right)})"


@RULES.rule("Gemm")
def gemm(call: Call) -> Writer | None:
    left, right, added = call.inputs
    given = call.attributes
    if not is_float(call):
        return None

    def write(printer: Printer) -> str:
        turned = [f"transpose_{name}=True" for name, place in (("a", "transA"), ("b", "transB")) if given[place]]
        text = f"tf.matmul({', '.join([printer.array(left), printer.array(right), *turned])})"  # type: ignore[arg-type]
        text = text if given["alpha"] == 1 else f"{text} * {number(float(given['alpha']))}"
        if added is None:
            return text
        return f"{text} + {printer.array(added)}" + ("" if given["beta"] == 1 else f" * {number(float(given['beta']))}")

    return write


# -- channels last --------------------------------------------------------------------------------------------------------
@RULES.rule("Conv", domain=DOMAIN)
def convolution(call: Call) -> Writer | None:
    x, w, b = call.inputs
    assert x is not None and w is not None
    if not is_float(call):
        return None
    rank = x.rank - 2
    padding = padding_of(call, w.shape[:rank])

    def write(printer: Printer) -> str:
        data, how = _padded(printer, printer.array(x), padding, rank == 2, "0.0")
        function = "tf.nn.conv2d" if rank == 2 else "tf.nn.convolution"
        return _biased(printer, f"{function}({data}, {printer.array(w)}, {_steps(call, rank)}, padding={how})", b)

    return write


@RULES.rule("DepthwiseConv", domain=DOMAIN)
def depthwise_convolution(call: Call) -> Writer | None:
    """TensorFlow takes the same step along both axes, and no step beside a dilation."""
    x, w, b = call.inputs
    assert x is not None and w is not None
    strides, dilations = (tuple(call.attributes.get(name) or [1, 1]) for name in ("strides", "dilations"))
    if not is_float(call) or strides[0] != strides[1] or strides != (1, 1) and dilations != (1, 1):
        return None
    padding = padding_of(call, w.shape[:2])

    def write(printer: Printer) -> str:
        data, how = _padded(printer, printer.array(x), padding, True, "0.0")
        dilated = f", dilations={list(dilations)}" if dilations != (1, 1) else ""
        text = f"tf.nn.depthwise_conv2d({data}, {printer.array(w)}, strides={[1, *strides, 1]}, padding={how}{dilated})"
        return _biased(printer, text, b)

    return write


@RULES.rule("ConvTranspose", domain=DOMAIN)
def transposed_convolution(call: Call) -> Writer | None:
    x, w, b = call.inputs
    assert x is not None and w is not None
    given, rank = call.attributes, x.rank - 2
    strides, dilations = (list(given.get(name) or [1] * rank) for name in ("strides", "dilations"))
    if not is_float(call) or rank != 2 or given.get("group", 1) != 1 or any(step != 1 for step in dilations):
        return None
    if any(isinstance(extent, Expression) for extent in w.shape[:rank]):
        return None
    extents = channels_first(x).shape[2:]
    full = [(extent - 1) * step + size for extent, step, size in zip(extents, strides, w.shape[:rank])]
    pads = given.get("pads") or [0] * (2 * rank)
    starts, sizes = placement(full, given.get("output_padding") or [0] * rank, extents, strides, pads, given.get("output_shape"), given["auto_pad"])
    ends = [whole - size - start for whole, size, start in zip(full, sizes, starts)]
    if any(not isinstance(amount, int) for amount in (*starts, *ends)) or min(map(int, starts)) < 0:  # type: ignore[arg-type]
        return None
    cut = [(int(start), int(end)) for start, end in zip(starts, ends)]  # type: ignore[arg-type]
    spare = [size - step for size, step in zip(w.shape[:rank], strides)]
    same = all(pair == (more // 2, more - more // 2) for pair, more in zip(cut, spare))

    def write(printer: Printer) -> str:
        """The whole of it, cut to what is wanted: TensorFlow Lite has no other paddings than these two."""
        data = printer.array(x)
        added = [0] * rank if same else [more + max(-end, 0) for more, (_, end) in zip(spare, cut)]
        spatial = [
            str(extent * step + more) if isinstance(extent, int) else f"{printer.words.size(data, axis)} * {step}" + (f" + {more}" if more else "")
            for axis, (extent, step, more) in enumerate(zip(extents, strides, added), 1)
        ]
        channels = printer.extent(call.results[0].shape[-1])
        shape = f"tf.cast([{', '.join([printer.words.size(data, 0), *spatial, channels])}], tf.int32)"
        text = f"tf.nn.conv2d_transpose({data}, {printer.array(w)}, {shape}, strides={strides}, padding={'SAME' if same else 'VALID'!r})"
        slices = [] if same else [f"{start or ''}:{-end if end > 0 else ''}" for start, end in cut]
        return _biased(printer, printer.words.slice(text, [":", *slices]), b)

    return write


@RULES.rule("MaxPool", domain=DOMAIN)
def max_pool(call: Call) -> Writer | None:
    window = call.attributes["kernel_shape"]
    if not is_float(call) or len(window) > 3 or any(step != 1 for step in call.attributes.get("dilations") or [1]):
        return None
    padding = padding_of(call, window)
    least = identity("max", data_of(call).dtype)

    def write(printer: Printer) -> str:
        value = printer.words.literal(least, data_of(call).dtype)
        data, how = _padded(printer, printer.array(data_of(call)), padding, False, value)
        return f"tf.nn.max_pool{len(window)}d({data}, ksize={list(window)}, {_steps(call, len(window))}, padding={how})"

    return write


@RULES.rule("AveragePool", domain=DOMAIN)
def average_pool(call: Call) -> Writer | None:
    """Padding that does not count has a name in TensorFlow, or none."""
    given, window = call.attributes, call.attributes["kernel_shape"]
    padding = padding_of(call, window)
    counts = bool(given.get("count_include_pad")) and padding.name != "VALID"
    if not is_float(call) or len(window) > 3 or any(step != 1 for step in given.get("dilations") or [1]):
        return None
    by_number = not counts and not padding.name
    if (counts or by_number) and given.get("ceil_mode"):
        return None
    counted = Padding("", padding.amounts) if counts else padding

    def pooled(printer: Printer, text: str) -> str:
        data, how = _padded(printer, text, counted, False, "0.0")
        return f"tf.nn.avg_pool{len(window)}d({data}, ksize={list(window)}, {_steps(call, len(window))}, padding={how})"

    def write(printer: Printer) -> str:
        text = printer.array(data_of(call))
        share = f"tf.ones_like({text}[:1, ..., :1])"  # what of a window is no padding
        return pooled(printer, text) + (f" / {pooled(printer, share)}" if by_number else "")

    return write


@RULES.rule("GlobalAveragePool", "GlobalMaxPool", domain=DOMAIN)
def global_pool(call: Call) -> Writer | None:
    name = {"GlobalAveragePool": "reduce_mean", "GlobalMaxPool": "reduce_max"}[call.node.op_type]
    axes = list(range(1, data_of(call).rank - 1))
    return (lambda printer: f"tf.{name}({printer.array(data_of(call))}, axis={axes}, keepdims=True)") if is_float(call) else None


@RULES.rule("BatchNormalization", domain=DOMAIN)
def batch_normalization(call: Call) -> Writer | None:
    if not is_float(call) or data_of(call).dtype not in (DataType.FLOAT, DataType.DOUBLE):
        return None
    epsilon = number(float(call.attributes["epsilon"]))

    def write(printer: Printer) -> str:
        x, scale, offset, mean, variance = (printer.array(item) for item in call.inputs if item is not None)
        return f"tf.nn.batch_normalization({x}, {mean}, {variance}, {offset}, {scale}, {epsilon})"

    return write


@RULES.rule("LRN", domain=DOMAIN)
def local_response_normalization(call: Call) -> Writer | None:
    """Of as many channels before as after."""
    x, given = data_of(call), call.attributes
    if x.dtype != DataType.FLOAT or x.rank != 4 or given["size"] % 2 == 0:
        return None
    numbers = [number(float(given[name]) / (given["size"] if name == "alpha" else 1)) for name in ("bias", "alpha", "beta")]
    options = ", ".join([str(given["size"] // 2), *(f"{name}={text}" for name, text in zip(("bias", "alpha", "beta"), numbers))])
    return lambda printer: f"tf.nn.local_response_normalization({printer.array(x)}, {options})"


@RULES.rule("Resize")
def repeat(call: Call) -> Writer | None:
    """Pictures whose elements are repeated."""
    counts = repetitions(call)

    def write(printer: Printer) -> str:
        text = printer.array(data_of(call))
        for axis, count in (counts or {}).items():
            text = f"tf.repeat({text}, {count}, axis={axis})"
        return text

    return write if counts else None


def _steps(call: Call, rank: int) -> str:
    strides, dilations = (list(call.attributes.get(name) or [1] * rank) for name in ("strides", "dilations"))
    return f"strides={strides}" + (f", dilations={dilations}" if any(step != 1 for step in dilations) else "")


def _padded(printer: Printer, text: str, padding: Padding, explicit: bool, value: str) -> tuple[str, str]:
    """The data and the argument `padding`: a name, amounts where the function takes them (`explicit`), or the data is padded before."""
    if padding.name:
        return text, repr(padding.name)
    around: Sequence[Any] = [(0, 0), *padding.amounts, (0, 0)]
    if explicit and not any(isinstance(amount, Expression) for pair in around for amount in pair):
        return text, str([list(pair) for pair in around])
    amounts = [(printer.extent(before), printer.extent(after)) for before, after in around]
    return printer.words.pad(text, amounts, value), repr("VALID")


def _biased(printer: Printer, text: str, bias: Any) -> str:
    return text if bias is None else f"{text} + {printer.array(bias)}"
