"""Quantised models: what the rules make of them, and how far the results are from what the models say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import onward
from onward.ir import as_model
from onward.passes import Report, optimize

SETTINGS = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


class Writer:
    """Writes a quantised model node by node."""

    def __init__(self, seed: int, activation: type, weight: type) -> None:
        self.random = np.random.default_rng(seed)
        self.activation, self.weight = activation, weight
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.scales: dict[float, float] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def constant(self, array: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def quantized(self, value: str, scale: float, zero: int) -> str:
        """Through bytes and back. Scales are no round numbers: sums of their multiples would lie between two bytes often."""
        odd = self.scales.setdefault(scale, scale * self.random.uniform(1.0, 1.2))
        parameters = (self.constant(odd), self.constant(zero, self.activation))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", value, *parameters), *parameters)

    def weights(self, shape: tuple[int, ...], axis: int | None) -> str:
        limits = np.iinfo(self.weight)
        data = self.random.integers(limits.min, limits.max + 1, shape)
        count = () if axis is None else (shape[axis],)
        scale = self.random.uniform(0.001, 0.004, count)
        zero = np.full(count, 0 if limits.min else 128)
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", self.constant(data, self.weight), self.constant(scale), self.constant(zero, self.weight), **attributes)

    def bias(self, count: int) -> str:
        return self.node("DequantizeLinear", self.constant(self.random.integers(-99, 99, count), np.int32), self.constant(0.0107))

    def model(self, output: str, shape: list[int], rank: int = 2) -> bytes:
        graph = helper.make_graph(
            self.nodes, "test", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * rank)], self.constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def as_written(model: bytes, x: np.ndarray) -> np.ndarray:
    """onnxruntime on floats between the bytes, as the model says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def fired(model: bytes, native: bool = True) -> dict[str, int]:
    report = Report()
    optimize(as_model(model), report=report, native=native)
    return report.fired


def zero_point(kind: type, share: float) -> int:
    limits = np.iinfo(kind)
    return int(limits.min + share * (limits.max - limits.min))


def residual_block(w: Writer) -> tuple[bytes, list[int]]:
    """Convolutions with a shortcut, a pool, and a linear layer, as a quantiser writes them."""
    low, middle = zero_point(w.activation, 0), zero_point(w.activation, 0.5)
    x = w.quantized("x", 0.02, middle)
    first = w.node("Conv", x, w.weights((16, 5, 3, 3), 0), w.bias(16), pads=[1] * 4)
    first = w.quantized(w.node("Relu", first), 0.03, low)
    pooled = w.quantized(w.node("MaxPool", first, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 0.03, low)
    depthwise = w.quantized(w.node("Conv", pooled, w.weights((16, 1, 3, 3), 0), w.bias(16), group=16, pads=[1] * 4), 0.02, middle)
    last = w.quantized(w.node("Conv", depthwise, w.weights((16, 16, 1, 1), 0)), 0.02, middle)
    total = w.quantized(w.node("Relu", w.node("Add", last, pooled)), 0.04, low)
    flat = w.quantized(w.node("Reshape", total, w.constant([16, -1], np.int64)), 0.04, low)
    result = w.node("Gemm", flat, w.weights((7, 16 * 16), 0), w.bias(7), transB=1)
    return w.model(w.quantized(result, 0.1, middle), [16, 5, 8, 7]), [16, 5, 8, 7]


def products(w: Writer) -> tuple[bytes, list[int]]:
    """Matrix products, of activations with each other too."""
    middle = zero_point(w.activation, 0.5)
    x = w.quantized("x", 0.02, middle)
    queries = w.quantized(w.node("Add", w.node("MatMul", x, w.weights((24, 18), 1)), w.bias(18)), 0.02, middle)
    keys = w.quantized(w.node("MatMul", x, w.weights((24, 18), None)), 0.03, middle)
    scores = w.quantized(w.node("MatMul", queries, w.node("Transpose", keys, perm=[0, 2, 1])), 0.05, middle)
    shares = w.quantized(w.node("Softmax", scores, axis=-1), 1 / 255, zero_point(w.activation, 0))
    return w.model(w.quantized(w.node("MatMul", shares, keys), 0.02, middle), [2, 9, 24], 3), [2, 9, 24]


@pytest.mark.parametrize("make", [residual_block, products])
@pytest.mark.parametrize("cpu", ["host", "generic"])
@SETTINGS
@given(seed=st.integers(0, 2**32), activation=st.sampled_from([np.uint8, np.int8]), weight=st.sampled_from([np.int8, np.uint8]))
def test_results_are_those_of_the_model(
    make: Callable[[Writer], tuple[bytes, list[int]]], cpu: str, seed: int, activation: type, weight: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tensor of bytes may be off by a step where a number lies between two; later layers add theirs."""
    monkeypatch.setenv("ONWARD_CPU", cpu)
    model, shape = make(Writer(seed, activation, weight))
    x = np.random.default_rng(seed).standard_normal(shape, np.float32)
    expected, found = as_written(model, x), onward.InferenceSession(model).run(None, {"x": x})[0]
    step = 0.1 if make is residual_block else 0.02
    steps = np.abs(found - expected) / step
    assert steps.max() <= 1.3
    assert steps.mean() <= 0.1, "most are the same"


@pytest.mark.parametrize("activation", [np.uint8, np.int8])
def test_every_product_becomes_one_of_bytes(activation: type) -> None:
    model, _ = residual_block(Writer(0, activation, np.int8))
    times = fired(model)
    assert times["convolution of bytes"] == 3
    assert times["product of bytes with bias"] == 1
    assert times["move bytes"] == 2
    assert times["quantize what was dequantized"] == 2, "the pool and the reshape have no scale of their own"
    assert times.get("unsigned instead of signed bytes", 0) == (0 if activation is np.uint8 else 8)


def test_models_for_others_keep_their_form() -> None:
    model, _ = residual_block(Writer(0, np.uint8, np.int8))
    assert not fired(model, native=False).keys() & {"convolution of bytes", "move bytes", "quantize by a factor"}


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}, {"transB": 1}, {"transA": 1}])
def test_attributes_of_a_product(attributes: dict[str, float]) -> None:
    w = Writer(1, np.uint8, np.int8)
    x = w.quantized("x", 0.02, 128)
    right = w.weights((7, 5) if "transB" in attributes else (5, 7), 0 if "transB" in attributes else 1)
    model = w.model(w.node("Gemm", x, right, w.bias(7), **attributes), [5, 5])
    x_data = np.random.default_rng(0).standard_normal((5, 5), np.float32)
    found = onward.InferenceSession(model).run(None, {"x": x_data})[0]
    np.testing.assert_allclose(found, as_written(model, x_data), rtol=1e-5, atol=1e-5)
    assert ("product of bytes with bias" in fired(model)) == ("transA" not in attributes)


@pytest.mark.parametrize("operator", ["Add", "Mul"])
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("point", [True, False])
def test_operators_on_bytes_are_written_out(operator: str, kind: type, point: bool) -> None:
    zeros = [numpy_helper.from_array(np.asarray(place, kind), f"z{place}") for place in (3, 5, 9)]
    scales = [numpy_helper.from_array(np.asarray(scale, np.float32), f"s{place}") for place, scale in enumerate((0.0213, 0.0371, 0.0419))]
    names = ["a", "s0", "z3", "b", "s1", "z5", "s2", "z9"][: None if point else -1]
    node = helper.make_node(f"QLinear{operator}", names, ["y"], domain="com.microsoft")
    element = TensorProto.UINT8 if kind is np.uint8 else TensorProto.INT8
    graph = helper.make_graph(
        [node], "test", [helper.make_tensor_value_info("a", element, [5, 70]), helper.make_tensor_value_info("b", element, [70])],
        [helper.make_tensor_value_info("y", element, [5, 70])], [*scales, *zeros],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    limits, g = np.iinfo(kind), np.random.default_rng(0)
    feeds = {name: g.integers(limits.min, limits.max + 1, shape).astype(kind) for name, shape in (("a", (5, 70)), ("b", (70,)))}
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    found = onward.InferenceSession(model).run(None, feeds)[0]
    assert any(name.endswith("written out") for name in fired(model))
    assert found.dtype == expected.dtype
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert (found != expected).mean() < 0.02


@pytest.mark.parametrize("operator", ["MatMul", "Gemm", "Conv"])
@pytest.mark.parametrize("length", [33_025, 33_026])
def test_sums_that_32_bits_do_not_hold_stay_in_floats(operator: str, length: int) -> None:
    """All bytes are the greatest there are: one product more, and the sum of bytes would be negative."""
    scale, zero = (onnx.helper.make_tensor(name, kind, [], [value]) for name, kind, value in (("s", TensorProto.FLOAT, 1 / 255), ("z", TensorProto.UINT8, 0)))
    shapes = {"MatMul": ([1, length], [length, 1]), "Gemm": ([1, length], [1, length]), "Conv": ([1, length, 1], [1, length, 1])}[operator]
    weights = numpy_helper.from_array(np.full(shapes[1], 255, np.uint8), "w")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["b"]), helper.make_node(operator, ["a", "b"], ["y"], **({"transB": 1} if operator == "Gemm" else {})),
    ]  # fmt: skip
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "long", *ports, [weights, scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (found,) = onward.InferenceSession(model.SerializeToString()).run(None, {"x": np.ones(shapes[0], np.float32)})
    np.testing.assert_allclose(found.ravel(), [length], rtol=1e-3)
