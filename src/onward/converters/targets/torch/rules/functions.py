"""Functions without weights: activations, pooling, shapes, reductions, sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onward.converters.targets.printing.native import Writer
from onward.converters.targets.torch.rules.layers import NEURAL, arguments, evenly, is_known, number_of, padded
from onward.converters.targets.torch.rules.registry import rule
from onward.converters.targets.torch.words import whole
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression
from onward.operators.native import Call, Native, call_of
from onward.operators.pooling.window import Window, window_over
from onward.program.array import Array

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer


def called(function: str, x: Array, **options: object) -> Writer:
    """A function of one tensor."""
    return lambda printer: f"{function}({arguments(printer.array(x), **options)})"


# -- activations -------------------------------------------------------------------------------------------------------------
PLAIN = {
    "Relu": "F.relu", "Sigmoid": "torch.sigmoid", "Tanh": "torch.tanh", "Softsign": "F.softsign", "Mish": "F.mish", "HardSwish": "F.hardswish",
    "Erf": "torch.erf", "Softplus": "F.softplus",
}  # fmt: skip


@rule(*PLAIN)
def activation(call: Call) -> Writer | None:
    (x,) = call.inputs
    if call.node.op_type == "Softplus":  # PyTorch's is linear from 20 on, where float64 can tell the difference
        return called("F.softplus", x) if x.dtype == DataType.FLOAT else None
    return called(PLAIN[call.node.op_type], x) if x.dtype in NEURAL else None


@rule("Sqrt")
def square_root(call: Call) -> Writer | None:
    return called("torch.sqrt", call.inputs[0]) if call.inputs[0].dtype in NEURAL else None


@rule("Reciprocal")
def reciprocal(call: Call) -> Native | None:
    """After a square root `torch.rsqrt`, which rounds once."""
    before = call_of(call.inputs[0])
    if before is None or before.node.op_type != "Sqrt":
        return None
    return Native(called("torch.rsqrt", before.inputs[0]), (before.inputs[0],))


@rule("LeakyRelu", "Elu", "Celu")
def one_slope(call: Call) -> Writer | None:
    (x,), alpha = call.inputs, number_of(call.attributes["alpha"])
    function, usual = {"LeakyRelu": ("F.leaky_relu", "0.01"), "Elu": ("F.elu", "1.0"), "Celu": ("F.celu", "1.0")}[call.node.op_type]
    if x.dtype not in NEURAL:
        return None
    return lambda printer: f"{function}({arguments(printer.array(x), *([alpha] if alpha != usual else []))})"


@rule("Gelu")
def gaussian_unit(call: Call) -> Writer | None:
    (x,) = call.inputs
    return called("F.gelu", x, approximate="'tanh'" if call.attributes["approximate"] == "tanh" else None) if x.dtype in NEURAL else None


@rule("Swish")
def swish(call: Call) -> Writer | None:
    (x,) = call.inputs
    return called("F.silu", x) if x.dtype in NEURAL and call.attributes.get("alpha", 1.0) == 1 else None


@rule("Mul")
def sigmoid_unit(call: Call) -> Native | None:
    """x * sigmoid(x)."""
    for x, other in (call.inputs, call.inputs[::-1]):
        gate = call_of(other)
        if gate is not None and gate.node.op_type == "Sigmoid" and gate.inputs[0] is x and x.dtype in NEURAL:
            return Native(called("F.silu", x), (x,))
    return None


@rule("HardSigmoid")
def hard_sigmoid(call: Call) -> Writer | None:
    (x,), given = call.inputs, call.attributes
    if x.dtype not in NEURAL or abs(given["alpha"] - 1 / 6) > 1e-6 or given["beta"] != 0.5:
        return None
    return called("F.hardsigmoid", x)


@rule("Softmax", "LogSoftmax")
def softmax(call: Call) -> Writer | None:
    (x,), axis = call.inputs, call.attributes["axis"]
    if x.dtype not in NEURAL or call.version < 13 and axis % max(x.rank, 1) != x.rank - 1:
        return None
    function = "F.softmax" if call.node.op_type == "Softmax" else "F.log_softmax"
    return called(function, x, dim=axis)


@rule("Clip")
def clip(call: Call) -> Writer | None:
    x = call.inputs[0]
    limits = [call.attributes.get("min"), call.attributes.get("max")] if len(call.inputs) == 1 else [_limit(item) for item in call.inputs[1:3]]
    if x.dtype not in NEURAL or any(item is False for item in limits):
        return None
    texts = [None if item is None or not math.isfinite(item) or abs(item) > 3e38 else number_of(item) for item in limits]
    if not any(texts):
        return None
    if texts == ["0.0", "6.0"]:
        return called("F.relu6", x)
    return lambda printer: f"{whole(printer.array(x))}.clamp({arguments(min=texts[0], max=texts[1])})"


def _limit(item: Array | None) -> float | bool | None:
    if item is None:
        return None
    return False if item.known is None or item.rank else float(item.known)


@rule("Dropout")
def dropout(call: Call) -> Writer | None:
    """The model is in evaluation mode; in training mode it drops what the model's author wanted."""
    x = call.inputs[0]
    ratio = call.inputs[1] if len(call.inputs) > 1 else None
    share = call.attributes.get("ratio", 0.5) if ratio is None else ratio.known
    off = len(call.inputs) < 3 or call.inputs[2] is None or call.inputs[2].known is not None and not call.inputs[2].known.any()
    if share is None or len(call.node.outputs) > 1 or not off or x.dtype not in NEURAL or not 0 <= float(share) < 1:
        return None
    return called("F.dropout", x, p=number_of(float(share)), training="self.training")


# -- pooling -----------------------------------------------------------------------------------------------------------------
def _window(call: Call) -> Window | None:
    x, given = call.inputs[0], call.attributes
    if x.rank not in (3, 4, 5) or x.dtype not in NEURAL:
        return None
    return window_over(
        x, given["kernel_shape"], strides=given.get("strides"), dilations=given.get("dilations"), pads=given.get("pads"), auto_pad=given["auto_pad"]
    )


def _fits(window: Window, ceiling: bool) -> bool:
    """Whether PyTorch's pooling knows the padding."""
    return window.before == window.after and all(isinstance(pad, int) and 0 <= 2 * pad <= size for pad, size in zip(window.before, window.kernel))  # type: ignore[operator]


@rule("MaxPool")
def max_pool(call: Call) -> Writer | None:
    window = _window(call)
    if window is None or len(call.node.outputs) > 1:
        return None
    (x,), ceiling, rank = call.inputs, call.attributes.get("ceil_mode", 0), window.rank
    even = _fits(window, bool(ceiling))
    if not even and (ceiling or not is_known(window)):
        return None
    same = window.strides == window.kernel
    options = {
        "stride": None if same else evenly(window.strides, -1), "padding": evenly(window.before, 0) if even else None,
        "dilation": evenly(window.dilations, 1), "ceil_mode": "True" if ceiling else None,
    }  # fmt: skip

    def write(printer: Printer) -> str:
        source = printer.array(x)
        if not even:
            source = f"{padded(source, window)[:-1]}, value=-torch.inf)"
        return f"F.max_pool{rank}d({arguments(source, evenly(window.kernel, -1), **options)})"

    return write


@rule("AveragePool")
def average_pool(call: Call) -> Writer | None:
    window = _window(call)
    if window is None or any(item != 1 for item in window.dilations):
        return None
    (x,), ceiling, rank = call.inputs, call.attributes.get("ceil_mode", 0), window.rank
    if ceiling or not _fits(window, False):
        return None
    options = {
        "stride": None if window.strides == window.kernel else evenly(window.strides, -1), "padding": evenly(window.before, 0),
        "count_include_pad": "False" if window.is_padded and not call.attributes.get("count_include_pad") else None,
    }  # fmt: skip
    return lambda printer: f"F.avg_pool{rank}d({arguments(printer.array(x), evenly(window.kernel, -1), **options)})"


@rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call) -> Writer | None:
    (x,) = call.inputs
    if x.rank not in (3, 4, 5) or x.dtype not in NEURAL:
        return None
    kind = "avg" if call.node.op_type == "GlobalAveragePool" else "max"
    return lambda printer: f"F.adaptive_{kind}_pool{x.rank - 2}d({printer.array(x)}, 1)"


# -- shapes ------------------------------------------------------------------------------------------------------------------
@rule("Reshape", "Flatten")
def reshape(call: Call) -> Writer | Native | None:
    """`flatten`, `unflatten` or `reshape`; sizes that are the tensor's own are read from it."""
    from onward.converters.targets.torch.rules.recurrent import in_order

    x, (result,) = call.inputs[0], call.results
    if not x.rank or not result.rank:
        return None
    sequence = in_order(call)
    if sequence is not None:
        return sequence
    if x.shape == result.shape:
        return lambda printer: (printer.array(x),)

    def write(printer: Printer) -> str:
        text = whole(printer.array(x))
        merged = _merged(x.shape, result.shape)
        if merged is not None:
            first, last = merged
            return f"{text}.flatten({first}{'' if last == x.rank - 1 else f', {last}'})"
        split = _merged(result.shape, x.shape)
        if split is not None and all(isinstance(extent, int) for extent in result.shape[split[0] : split[1] + 1]):
            return f"{text}.unflatten({split[0]}, {tuple(result.shape[split[0] : split[1] + 1])})"
        return f"{text}.reshape({', '.join(sizes_near(printer, result.shape, x))})"

    return write


def _merged(long: Sequence[Dimension], short: Sequence[Dimension]) -> tuple[int, int] | None:
    """The axes of the one shape that are one axis of the other, all others being the same."""
    gone = len(long) - len(short)
    if gone < 1:
        return None
    for first in range(len(short)):
        last = first + gone
        merged: Dimension = 1
        for extent in long[first : last + 1]:
            merged = merged * extent
        if merged == short[first] and tuple(long[:first]) == tuple(short[:first]) and tuple(long[last + 1 :]) == tuple(short[first + 1 :]):
            return first, last
    return None


def sizes_near(printer: Printer, shape: Sequence[Dimension], x: Array) -> list[str]:
    """Sizes, as those of the tensor at hand where it has them; one that is the only unknown one is -1."""
    unknown = [extent for extent in shape if not isinstance(extent, int)]
    if len(unknown) == 1 and all(extent for extent in shape if isinstance(extent, int)) and unknown[0] not in x.shape:
        return [str(extent) if isinstance(extent, int) else "-1" for extent in shape]
    text = printer.array(x)
    return [
        printer.words.size(whole(text), x.shape.index(extent)) if isinstance(extent, Expression) and extent in x.shape else printer.extent(extent)
        for extent in shape
    ]


@rule("Expand")
def expand(call: Call) -> Writer | None:
    x, (result,) = call.inputs[0], call.results
    if x.shape == result.shape or not result.rank:
        return None

    def write(printer: Printer) -> str:
        lead = result.rank - x.rank
        sizes = ["-1" if axis >= lead and extent == x.shape[axis - lead] else printer.extent(extent) for axis, extent in enumerate(result.shape)]
        return f"{whole(printer.array(x))}.expand({', '.join(sizes)})"

    return write


@rule("GatherElements")
def gather_elements(call: Call) -> Writer | None:
    """torch.gather, for indices that cannot be negative; others count from the end of the axis."""
    x, places = call.inputs
    axis = call.attributes["axis"] % x.rank
    extent = x.shape[axis]

    def write(printer: Printer) -> str:
        text = printer.array(places)
        known = places.known
        if known is None or known.size and known.min() < 0:
            text = (
                f"{text} % {printer.extent(extent)}"
                if isinstance(extent, int) or str(extent) in printer.sizes
                else f"{text} % {printer.words.size(whole(printer.array(x)), axis)}"
            )
        return f"torch.gather({printer.array(x)}, {axis}, {text})"

    same = all(index == have for place, (index, have) in enumerate(zip(places.shape, x.shape)) if place != axis)
    return write if same and places.dtype == DataType.INT64 else None


@rule("Range")
def numbers_between(call: Call) -> Writer | None:
    """torch.arange, of whole numbers whose bounds are sizes."""
    start, limit, step = call.inputs
    (result,) = call.results
    contents = [item.content for item in (start, limit, step)]
    if result.dtype != DataType.INT64 or any(item is None for item in contents):
        return None
    first, last, by = (item.reshape(-1)[0] for item in contents)  # type: ignore[union-attr]

    def write(printer: Printer) -> str:
        texts = [printer.extent(item) for item in (first, last, by)]
        texts = texts[1:2] if texts[0] == "0" and texts[2] == "1" else texts[:2] if texts[2] == "1" else texts
        return f"torch.arange({', '.join(texts)}, device=device)"

    return write


@rule("Split")
def split(call: Call) -> Writer | None:
    x, axis = call.inputs[0], call.attributes.get("axis", 0) % call.inputs[0].rank
    sizes = [item.shape[axis] for item in call.results]
    if not all(isinstance(size, int) for size in sizes) or len(sizes) < 2 or len(call.results) != len(call.node.outputs):
        return None
    if len(set(sizes)) == 1 and sizes[0]:
        return lambda printer: f"{whole(printer.array(x))}.chunk({len(sizes)}, {axis})"
    return lambda printer: f"{whole(printer.array(x))}.split({list(sizes)}, {axis})"


# -- reductions --------------------------------------------------------------------------------------------------------------
REDUCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin", "ReduceLogSumExp": "logsumexp"}


@rule(*REDUCTIONS)
def reduction(call: Call) -> Writer | None:
    x = call.inputs[0]
    keep = call.attributes["keepdims"]
    given = call.attributes.get("axes")
    if len(call.inputs) > 1 and call.inputs[1] is not None:
        given = None if call.inputs[1].known is None else call.inputs[1].known.reshape(-1).tolist()
        if given is None:
            return None
    if not given and call.attributes.get("noop_with_empty_axes") or x.dtype not in NEURAL or not x.rank:
        return None
    axes = [axis % x.rank for axis in given] if given else list(range(x.rank))
    if any(isinstance(x.shape[axis], int) and x.shape[axis] == 0 for axis in axes):
        return None
    place = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
    return lambda printer: f"{whole(printer.array(x))}.{REDUCTIONS[call.node.op_type]}({arguments(place, keepdim='True' if keep else None)})"


# -- sampling ----------------------------------------------------------------------------------------------------------------
@rule("Resize", "Upsample")
def resize(call: Call) -> Writer | None:
    """F.interpolate, where it knows the coordinates."""
    x, (result,), given = call.inputs[0], call.results, call.attributes
    if x.rank not in (3, 4, 5) or x.dtype not in NEURAL or x.shape[:2] != result.shape[:2]:
        return None
    if given.get("antialias") or given.get("exclude_outside") or given.get("keep_aspect_ratio_policy", "stretch") != "stretch" or call.node.op_type != "Resize":
        return None
    coordinates, mode = given.get("coordinate_transformation_mode", "asymmetric"), given["mode"]
    known = all(isinstance(extent, int) for extent in (*x.shape[2:], *result.shape[2:]))
    whole_factor = known and all(new % old == 0 for old, new in zip(x.shape[2:], result.shape[2:]))  # type: ignore[operator]
    options: dict[str, str] = {}
    if mode == "nearest":
        if coordinates != "asymmetric" or given.get("nearest_mode", "floor") != "floor":
            return None
    elif mode == "linear" and coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        options["align_corners"] = str(coordinates == "align_corners")
        if coordinates == "pytorch_half_pixel" and not (known and all(isinstance(extent, int) and extent > 1 for extent in result.shape[2:])):
            return None
    elif mode == "cubic" and coordinates in ("half_pixel", "align_corners") and x.rank == 4 and number_of(given.get("cubic_coeff_a", -0.75)) == "-0.75":
        options["align_corners"] = str(coordinates == "align_corners")
    else:
        return None
    scales = _scales(call, x, result)
    if scales is None and not known:
        return None
    if scales is not None and not whole_factor and not all(float(scale).is_integer() for scale in scales):
        return None  # the sizes alone do not tell the coordinates
    name = {"nearest": "'nearest'", "linear": {3: "'linear'", 4: "'bilinear'", 5: "'trilinear'"}.get(x.rank), "cubic": "'bicubic'"}[mode]

    def write(printer: Printer) -> str:
        if known:
            place = {"size": str(tuple(result.shape[2:]))}
        else:
            assert scales is not None
            place = {"scale_factor": evenly(scales, -1) or "-1"}
        return f"F.interpolate({arguments(printer.array(x), **place, mode=name, **options)})"

    return write


def _scales(call: Call, x: Array, result: Array) -> list[float] | None:
    """The factors of the spatial axes, where they are what the node says."""
    place = 2 if call.version >= 11 else 1
    item = call.inputs[place] if len(call.inputs) > place else None
    if item is None or item.known is None or item.known.size != x.rank:
        return None
    return [float(scale) for scale in np.asarray(item.known).reshape(-1)[2:]]


@rule("GridSample")
def grid_sample(call: Call) -> Writer | None:
    x, grid = call.inputs
    given = call.attributes
    mode = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest", "cubic": "bicubic", "bicubic": "bicubic"}.get(given["mode"])
    if x.rank not in (4, 5) or x.dtype not in NEURAL or grid.dtype != x.dtype or mode is None or mode == "bicubic" and x.rank == 5:
        return None
    if given["padding_mode"] not in ("zeros", "border", "reflection"):
        return None
    options = {
        "mode": repr(mode) if mode != "bilinear" else None, "padding_mode": repr(given["padding_mode"]) if given["padding_mode"] != "zeros" else None,
        "align_corners": str(bool(given["align_corners"])),
    }  # fmt: skip
    return lambda printer: f"F.grid_sample({arguments(printer.array(x), printer.array(grid), **options)})"


@rule("DepthToSpace")
def depth_to_space(call: Call) -> Writer | None:
    (x,) = call.inputs
    if call.attributes.get("mode", "DCR") != "CRD" or x.rank != 4:
        return None
    return lambda printer: f"F.pixel_shuffle({printer.array(x)}, {call.attributes['blocksize']})"


@rule("Einsum")
def einsum(call: Call) -> Writer | None:
    equation = call.attributes["equation"].replace(" ", "")
    if not all(item.dtype in NEURAL for item in call.inputs if item is not None) or not all(
        letter.isalpha() and letter.isascii() or letter in ",->." for letter in equation
    ):
        return None
    return lambda printer: f"torch.einsum({equation!r}, {', '.join(printer.array(item) for item in call.inputs if item is not None)})"


@rule("Trilu")
def triangle(call: Call) -> Writer | None:
    x, diagonal = call.inputs
    if diagonal is not None and diagonal.known is None:
        return None
    place = 0 if diagonal is None else int(diagonal.known.reshape(-1)[0])  # type: ignore[union-attr]
    name = "triu" if call.attributes["upper"] else "tril"
    return lambda printer: f"torch.{name}({arguments(printer.array(x), *([place] if place else []))})"


@rule("Pad")
def pad(call: Call) -> Writer | None:
    """Reflections and edges; constants are said by the language itself."""
    x, mode = call.inputs[0], call.attributes["mode"]
    amounts = call.inputs[1].known if len(call.inputs) > 1 and call.inputs[1] is not None else call.attributes.get("pads")
    if mode not in ("reflect", "edge") or amounts is None or x.dtype not in NEURAL or len(call.inputs) > 3 and call.inputs[3] is not None:
        return None
    pairs = list(zip(*np.asarray(amounts).reshape(2, -1).tolist()))
    inner = [pair for place, pair in enumerate(pairs) if place >= 2]
    if len(pairs) != x.rank or x.rank not in (3, 4, 5) or any(pair != (0, 0) for pair in pairs[:2]) or any(item < 0 for pair in pairs for item in pair):
        return None
    turned = ", ".join(str(item) for pair in reversed(inner) for item in pair)
    kind = "replicate" if mode == "edge" else "reflect"
    if mode == "reflect" and any(isinstance(extent, int) and max(pair) >= extent for extent, pair in zip(x.shape[2:], inner)):
        return None
    return lambda printer: f"F.pad({printer.array(x)}, ({turned}), mode={kind!r})"
