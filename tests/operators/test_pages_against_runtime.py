"""Operator pages against onnxruntime, on random shapes and attributes, with the NumPy evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from onward import program as P
from onward.ir import as_model
from onward.ir.expressions import Symbol
from onward.operators import lower

Inputs = dict[str, np.ndarray]
Case = tuple[str, Inputs, dict[str, Any]]
"""operator, inputs by name (those that begin with '_' are constants), attributes"""


class Chooser:
    """Draws the parts of a case."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 2**32)))

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def numbers(self, count: int, low: int, high: int) -> list[int]:
        return [self.number(low, high) for _ in range(count)]

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def floats(self, *shape: int) -> np.ndarray:
        return np.asarray(self.random.standard_normal(shape), np.float32)

    def integers(self, low: int, high: int, dtype: type, *shape: int) -> np.ndarray:
        return np.asarray(self.random.integers(low, high, shape), dtype)


def _window(c: Chooser, rank: int, extents: list[int], *, dilated: bool = True) -> dict[str, Any]:
    kernel = c.numbers(rank, 1, 3)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": c.numbers(rank, 1, 3)}
    if dilated and c.one_of(True, False):
        attributes["dilations"] = c.numbers(rank, 1, 2)
    reach = [(k - 1) * d for k, d in zip(kernel, attributes.get("dilations", [1] * rank))]
    mode = c.one_of("pads", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if mode == "pads":
        attributes["pads"] = [c.number(0, k - 1) for k in [*kernel, *kernel]]
    elif "dilations" not in attributes or mode == "VALID":
        attributes["auto_pad"] = mode
        if mode.startswith("SAME"):  # a stride beyond the kernel would need negative padding
            attributes["strides"] = [min(s, k) for s, k in zip(attributes["strides"], kernel)]
    assume(all(extent > r for extent, r in zip(extents, reach)))
    return attributes


def convolution(c: Chooser) -> Case:
    rank, group = c.number(1, 3), c.number(1, 3)
    extents = c.numbers(rank, 3, 7)
    attributes = _window(c, rank, extents)
    depth = c.number(1, 3)
    w = c.floats(group * c.number(1, 3), depth, *attributes["kernel_shape"])
    inputs = {"x": c.floats(c.number(1, 2), group * depth, *extents), "w": w, "b": c.floats(w.shape[0])}
    return "Conv", inputs, {**attributes, "group": group}


def transposed_convolution(c: Chooser) -> Case:
    rank, group = c.number(1, 2), c.number(1, 2)
    attributes = _window(c, rank, [9] * rank)
    attributes.pop("auto_pad", None)
    depth = c.number(1, 3)
    w = c.floats(group * depth, c.number(1, 3), *attributes["kernel_shape"])
    if c.one_of(True, False):
        attributes["output_padding"] = [c.number(0, s - 1) for s in attributes["strides"]]
    x = c.floats(c.number(1, 2), group * depth, *c.numbers(rank, 3, 6))
    return "ConvTranspose", {"x": x, "w": w}, {**attributes, "group": group}


def pooling(c: Chooser) -> Case:
    rank = c.number(1, 3)
    extents = c.numbers(rank, 3, 8)
    name = c.one_of("MaxPool", "AveragePool", "LpPool")
    attributes = _window(c, rank, extents, dilated=name == "MaxPool")
    if name != "LpPool" and "auto_pad" not in attributes:
        attributes["ceil_mode"] = c.number(0, 1)
    if name == "AveragePool":
        attributes["count_include_pad"] = c.number(0, 1)
    return name, {"x": c.floats(c.number(1, 2), c.number(1, 3), *extents)}, attributes


def reduction(c: Chooser) -> Case:
    rank = c.number(1, 4)
    x = c.floats(*c.numbers(rank, 1, 4))
    axes = c.draw(st.lists(st.integers(0, rank - 1), unique=True, max_size=rank))
    name = c.one_of("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSumExp")
    attributes = {"keepdims": c.number(0, 1), "noop_with_empty_axes": c.number(0, 1)}
    return "Reduce" + name, {"x": x, "_axes": np.array(axes, np.int64)}, attributes


def argument_of_extreme(c: Chooser) -> Case:
    rank = c.number(1, 3)
    x = c.integers(0, 3, np.float32, *c.numbers(rank, 1, 5))
    attributes = {"axis": c.number(-rank, rank - 1), "keepdims": c.number(0, 1), "select_last_index": c.number(0, 1)}
    return c.one_of("ArgMax", "ArgMin"), {"x": x}, attributes


def softmax(c: Chooser) -> Case:
    rank = c.number(1, 4)
    name = c.one_of("Softmax", "LogSoftmax", "Hardmax")
    return name, {"x": 30 * c.floats(*c.numbers(rank, 1, 5))}, {"axis": c.number(-rank, rank - 1)}


def matrix_product(c: Chooser) -> Case:
    batch, depth = c.numbers(c.number(0, 2), 1, 3), c.number(1, 6)
    left = [c.one_of(1, extent) for extent in batch]
    right = [c.one_of(1, extent) for extent in batch][c.number(0, len(batch)) :]
    a = c.floats(depth) if c.number(0, 5) == 0 else c.floats(*left, c.number(1, 5), depth)
    b = c.floats(depth) if c.number(0, 5) == 0 else c.floats(*right, depth, c.number(1, 5))
    return "MatMul", {"a": a, "b": b}, {}


def general_product(c: Chooser) -> Case:
    m, n, k = c.numbers(3, 1, 5)
    transposed = c.numbers(2, 0, 1)
    a, b = c.floats(m, k), c.floats(k, n)
    inputs = {"a": a.T.copy() if transposed[0] else a, "b": b.T.copy() if transposed[1] else b}
    if c.one_of(True, False):
        inputs["c"] = c.floats(*c.one_of((m, n), (n,), (1, n), (m, 1), ()))
    return "Gemm", inputs, {"transA": transposed[0], "transB": transposed[1], "alpha": 0.5, "beta": 2.0}


def einstein_sum(c: Chooser) -> Case:
    sizes = dict(zip("abcijk", c.numbers(6, 1, 4)))
    equation = c.one_of("ij,jk->ik", "bij,bjk->bik", "ij->ji", "ii->i", "ij->", "...ij,...jk->...ik", "abi,abj->aij", "ij,j,jk->k", "ij,kj", "ia,jb")
    terms = equation.split("->")[0].replace("...", "a").split(",")
    return "Einsum", {f"x{n}": c.floats(*(sizes[label] for label in t)) for n, t in enumerate(terms)}, {"equation": equation}


def arithmetic(c: Chooser) -> Case:
    extents = c.numbers(c.number(0, 3), 1, 4)
    shapes = [[c.one_of(1, extent) for extent in extents][c.number(0, len(extents)) :] for _ in range(2)]
    name = c.one_of("Add", "Sub", "Mul", "Div", "Pow", "Less", "GreaterOrEqual", "Equal", "Mod", "Max", "PRelu")
    if name in ("Div", "Mod") and c.one_of(True, False):
        a, b = c.integers(-20, 20, np.int64, *shapes[0]), c.integers(1, 6, np.int64, *shapes[1])
        return name, {"a": a, "b": b * c.one_of(1, -1)}, {}
    if name == "PRelu":
        shapes[0] = extents
    a = abs(c.floats(*shapes[0])) if name == "Pow" else c.floats(*shapes[0])
    return name, {"a": a, "b": c.floats(*shapes[1])}, {"fmod": 1} if name == "Mod" else {}


def normalization(c: Chooser) -> Case:
    rank = c.number(3, 4)
    x = c.floats(*c.numbers(rank, 1, 5))
    channels = x.shape[1]
    per_channel = {"s": c.floats(channels), "b": c.floats(channels)}
    name = c.one_of("LayerNormalization", "BatchNormalization", "InstanceNormalization", "LRN", "LpNormalization")
    if name == "LayerNormalization":
        axis = c.number(-rank, rank - 1)
        shape = x.shape[axis:]
        return name, {"x": x, "s": c.floats(*shape), "b": c.floats(*shape)}, {"axis": axis}
    if name == "BatchNormalization":
        return name, {"x": x, **per_channel, "m": c.floats(channels), "v": abs(c.floats(channels)) + 0.1}, {"epsilon": 0.01}
    if name == "InstanceNormalization":
        return name, {"x": x, **per_channel}, {}
    if name == "LRN":
        return name, {"x": c.floats(1, c.number(1, 7), 2, 3)}, {"size": c.one_of(1, 3, 5), "alpha": 0.1, "bias": 2.0}
    return name, {"x": x}, {"axis": c.number(-rank, rank - 1), "p": c.number(1, 2)}


def recurrent(c: Chooser) -> Case:
    name, gates = c.one_of(("RNN", 1), ("GRU", 3), ("LSTM", 4))
    time, batch, inputs, hidden = c.numbers(4, 1, 4)
    direction = c.one_of("forward", "reverse", "bidirectional")
    ways = 2 if direction == "bidirectional" else 1
    values = {
        "x": c.floats(time, batch, inputs),
        "w": c.floats(ways, gates * hidden, inputs),
        "r": c.floats(ways, gates * hidden, hidden),
        "b": c.floats(ways, 2 * gates * hidden),
    }
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if name == "GRU":
        attributes["linear_before_reset"] = c.number(0, 1)
    if c.one_of(True, False):
        values["lengths"] = c.integers(1, time + 1, np.int32, batch)
        values["h"] = c.floats(ways, batch, hidden)
        if name == "LSTM":
            values["c"] = c.floats(ways, batch, hidden)
            values["p"] = c.floats(ways, 3 * hidden)
    return name, values, attributes


def quantization(c: Chooser) -> Case:
    shape = c.numbers(c.number(1, 3), 1, 4)
    axis = c.number(0, len(shape) - 1)
    count = c.one_of((), (shape[axis],))
    kind = c.one_of(np.uint8, np.int8)
    scale, zero = abs(c.floats(*count)) + 0.1, c.integers(0, 9, kind, *count)
    if c.one_of(True, False):
        return "QuantizeLinear", {"x": 50 * c.floats(*shape), "s": scale, "z": zero}, {"axis": axis}
    return "DequantizeLinear", {"x": c.integers(0, 100, kind, *shape), "s": scale, "z": zero}, {"axis": axis}


def integer_product(c: Chooser) -> Case:
    m, k, n = c.numbers(3, 1, 5)
    inputs = {"a": c.integers(0, 255, np.uint8, m, k), "b": c.integers(-100, 100, np.int8, k, n)}
    zeros = {"az": c.integers(0, 255, np.uint8), "bz": c.integers(-9, 9, np.int8, *c.one_of((), (n,)))}
    return "MatMulInteger", {**inputs, **zeros}, {}


def quantized_convolution(c: Chooser) -> Case:
    _, plain, attributes = convolution(c)
    x = c.integers(0, 255, np.uint8, *plain["x"].shape)
    w = c.integers(-100, 100, np.int8, *plain["w"].shape)
    count = c.one_of((), (w.shape[0],))
    inputs = {
        "x": x, "xs": np.float32(0.02), "xz": np.uint8(c.number(0, 255)),
        "w": w, "ws": abs(c.floats(*count)) + 0.01, "_wz": np.zeros(count, np.int8),
        "ys": np.float32(0.5), "yz": np.uint8(100), "b": c.integers(-999, 999, np.int32, w.shape[0]),
    }  # fmt: skip
    return "QLinearConv", inputs, attributes


def quantized_matrix_product(c: Chooser) -> Case:
    m, k, n = c.numbers(3, 1, 5)
    inputs = {
        "a": c.integers(0, 255, np.uint8, m, k), "as": np.float32(0.02), "az": np.uint8(c.number(0, 255)),
        "b": c.integers(0, 255, np.uint8, k, n), "bs": np.float32(0.03), "bz": np.uint8(c.number(0, 255)),
        "ys": np.float32(0.5), "yz": np.uint8(100),
    }  # fmt: skip
    return "QLinearMatMul", inputs, {}


def region_pooling(c: Chooser) -> Case:
    x = c.floats(2, 2, *c.numbers(2, 3, 9))
    corners = c.random.uniform(0, 12, (3, 2))
    rois = np.concatenate([corners, corners + c.random.uniform(0, 12, (3, 2))], 1).astype(np.float32)
    if c.number(0, 4) == 0:
        rows = np.concatenate([np.array([[0], [1], [1]]), rois.round()], 1).astype(np.float32)
        return "MaxRoiPool", {"x": x, "r": rows}, {"pooled_shape": c.numbers(2, 1, 3), "spatial_scale": 0.5}
    attributes = {
        "output_height": c.number(1, 3), "output_width": c.number(1, 3), "sampling_ratio": c.number(0, 2),
        "spatial_scale": 0.5, "mode": c.one_of("avg", "max"), "coordinate_transformation_mode": c.one_of("half_pixel", "output_half_pixel"),
    }  # fmt: skip
    return "RoiAlign", {"x": x, "r": rois, "i": np.array([0, 1, 1], np.int64)}, attributes


def suppression(c: Chooser) -> Case:
    corners = c.random.uniform(0, 5, (2, 9, 2))
    boxes = np.concatenate([corners, corners + c.random.uniform(0, 5, (2, 9, 2))], 2).astype(np.float32)
    limits = {"most": np.array([c.number(1, 5)]), "overlap": np.float32([0.3]), "least": np.float32([-0.5])}
    return "NonMaxSuppression", {"x": boxes, "s": c.floats(2, 3, 9), **limits}, {"center_point_box": c.number(0, 1)}


def transform(c: Chooser) -> Case:
    x = c.floats(*c.numbers(c.number(1, 2), 1, 6), c.number(1, 2))
    inverse = c.number(0, 1)
    onesided = 0 if inverse else c.number(0, 1 if x.shape[-1] == 1 else 0)
    attributes = {"inverse": inverse if x.shape[-1] == 2 else 0, "onesided": onesided}
    return "DFT", {"!x": x, "_length": np.array(c.number(1, 8)), "_axis": np.array(x.ndim - 2)}, attributes


def sampling(c: Chooser) -> Case:
    x = c.floats(c.number(1, 2), c.number(1, 3), *c.numbers(2, 2, 5))
    grid = 1.4 * c.floats(x.shape[0], *c.numbers(2, 1, 4), 2).clip(-1, 1)
    attributes = {
        "mode": c.one_of("linear", "nearest", "cubic"),
        "padding_mode": c.one_of("zeros", "border", "reflection"),
        "align_corners": c.number(0, 1),
    }
    return "GridSample", {"x": x, "grid": grid}, attributes


def attention(c: Chooser) -> Case:
    batch, heads, shared, queries, keys, size = c.numbers(6, 1, 4)
    q = c.floats(batch, heads * shared, queries, size)
    k, v = c.floats(batch, heads, keys, size), c.floats(batch, heads, keys, c.number(1, 4))
    inputs = {"q": q, "k": k, "v": v}
    if c.one_of(True, False):
        shape = c.one_of((queries, keys), (batch, 1, queries, keys))
        inputs["mask"] = c.one_of(c.floats(*shape), c.integers(0, 2, np.bool_, *shape) | (np.arange(keys) == 0))
    attributes = {"softcap": c.one_of(0.0, 2.0), "is_causal": c.number(0, 1), "scale": c.one_of(0.3, 1.0)}
    return "Attention", inputs, attributes


def activation(c: Chooser) -> Case:
    names = "Relu LeakyRelu Elu Selu Celu HardSigmoid HardSwish Softplus Softsign ThresholdedRelu Mish Gelu Sigmoid Tanh Erf"
    return c.one_of(*names.split()), {"x": 3 * c.floats(*c.numbers(c.number(0, 3), 1, 4))}, {}


CASES = [
    convolution, transposed_convolution, pooling, reduction, argument_of_extreme, softmax, matrix_product, general_product,
    einstein_sum, arithmetic, normalization, recurrent, quantization, integer_product, quantized_convolution,
    quantized_matrix_product, region_pooling, suppression, transform, sampling, attention, activation,
]  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_as_onnxruntime(make: Callable[[Chooser], Case], data: st.DataObject) -> None:
    """The same numbers, with all extents known or none. An input '!x' keeps its extents, '_x' is a constant."""
    chooser = Chooser(data.draw)
    name, inputs, attributes = make(chooser)
    inputs = {label: np.asarray(array) for label, array in inputs.items()}
    model = _model(name, inputs, attributes)
    expected = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)
    actual = _evaluated(model, inputs, chooser.one_of(True, False))
    for mine, theirs in zip(actual, expected):
        assert mine.dtype == theirs.dtype
        if name.startswith("QLinear"):  # halves may be rounded either way
            assert np.abs(mine.astype(int) - theirs.astype(int)).max(initial=0) <= 1
        else:
            np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-5)


def _model(name: str, inputs: Inputs, attributes: dict[str, Any]) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(label, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for label, array in inputs.items()]
    labels = list(inputs)
    if name in ("RNN", "GRU", "LSTM") and "lengths" not in inputs:
        labels.insert(4, "")
    outputs = {"RNN": 2, "GRU": 2, "LSTM": 3}.get(name, 1)
    results = [f"y{number}" for number in range(outputs)]
    node = helper.make_node(name, labels, results, name=name, **attributes)
    graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info(label) for label in results])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21 if name in ("MaxRoiPool", "RoiAlign") else 23)], ir_version=11)


def _evaluated(model: onnx.ModelProto, inputs: Inputs, symbolic: bool) -> list[np.ndarray]:
    constants = {label: array for label, array in inputs.items() if label.startswith("_")}
    shapes = {
        label: [Symbol(f"{label}.{axis}") for axis in range(array.ndim)] for label, array in inputs.items() if symbolic and not label.startswith(("_", "!"))
    }
    program = lower(as_model(model), shapes=shapes, constants=constants)
    return P.evaluate(list(program.outputs.values()), {item: inputs[item.label] for item in program.inputs})
