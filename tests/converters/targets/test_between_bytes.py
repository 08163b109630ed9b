"""Models whose operators compute with bytes, as onnxruntime's quantiser writes them, have the layers that they had before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime import quantization

import onward
from onward.converters.builder import ModelBuilder
from onward.converters.targets import LAYERED
from onward.converters.targets.between_bytes import FORMS, MICROSOFT, steps_of, with_float_operators
from onward.ir import DataType, Model, as_model

SHAPE = (2, 3, 8, 8)


def network() -> Model:
    """Layers of each kind that the quantiser has an operator on bytes for."""
    random = np.random.default_rng(0)
    b = ModelBuilder("network")

    def weight(name: str, *shape: int) -> Any:
        return b.constant((random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)

    x = b.op("Relu", b.op("Conv", b.input("x", DataType.FLOAT, list(SHAPE)), weight("stem.weight", 8, 3, 3, 3), weight("stem.bias", 8), pads=[1] * 4))
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    inner = b.op("LeakyRelu", b.op("Conv", x, weight("block.weight", 8, 1, 3, 3), weight("block.bias", 8), pads=[1] * 4, group=8), alpha=0.1)
    x = b.op("Add", x, b.op("Mul", inner, b.op("Sigmoid", inner)))
    x = b.op("Flatten", b.op("GlobalAveragePool", b.op("AveragePool", x, kernel_shape=[2, 2], strides=[1, 1])))
    x = b.op("MatMul", x, weight("product.weight", 8, 6))
    b.output(b.op("Gemm", x, weight("head.weight", 5, 6), weight("head.bias", 5), transB=1), "y")
    return b.model()


class Rows(quantization.CalibrationDataReader):
    """Random pictures to find ranges with."""

    def __init__(self) -> None:
        self.rows = [{"x": np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)} for seed in range(4)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.rows.pop() if self.rows else None


def quantised(folder: Path, by_channel: bool) -> Model:
    """The network as onnxruntime's quantiser writes it."""
    onnx.save(onnx.load_from_string(network().to_bytes()), folder / "floats.onnx")
    options = {"quant_format": quantization.QuantFormat.QOperator, "per_channel": by_channel, "weight_type": quantization.QuantType.QInt8}
    quantization.quantize_static(folder / "floats.onnx", folder / "bytes.onnx", Rows(), **options)
    return as_model(folder / "bytes.onnx")


def operators_of(model: Model) -> list[str]:
    return sorted({node.op_type for node in model.graph.nodes})


@pytest.mark.parametrize("by_channel", [True, False])
def test_every_operator_has_its_float_form(by_channel: bool, tmp_path: Path) -> None:
    """Only QuantizeLinear is left of what makes bytes, and results differ by a step of the output at most."""
    model = quantised(tmp_path, by_channel)
    made = with_float_operators(model)
    assert any(node.op_type.startswith("QLinear") for node in model.graph.nodes)
    assert not {kind for _, kind in FORMS} & set(operators_of(made))
    for node in made.graph.nodes:
        if node.op_type == "QuantizeLinear":
            assert {user.op_type for value in node.outputs for user, _ in value.uses} == {"DequantizeLinear"}
    (step,) = steps_of(made).values()
    onnx.checker.check_model(onnx.load_from_string(made.to_bytes()), full_check=True)
    x = np.random.default_rng(9).standard_normal(SHAPE).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(model.to_bytes()).run(None, {"x": x})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (result,) = onnxruntime.InferenceSession(made.to_bytes(), options).run(None, {"x": x})
    assert np.abs(result - expected).max() <= step * 1.001
    assert with_float_operators(network()).to_bytes() == network().to_bytes()


@pytest.mark.parametrize("target", LAYERED)
def test_targets_have_layers(target: str, tmp_path: Path) -> None:
    """The proof compares with the operators on bytes."""
    made = onward.convert(quantised(tmp_path, by_channel=True), to=target)
    if target == "torch":
        assert {name for name, _ in made.named_parameters()} >= {"stem.weight", "product.weight", "head.weight"}
        import torch

        made(torch.randn(SHAPE)).square().sum().backward()
        assert all(float(item.grad.abs().max()) > 0 for item in made.parameters() if item.grad is not None)
        assert made.stem.weight.grad is not None
    if target == "keras":
        kinds = [type(layer).__name__ for layer in made.layers]
        assert kinds.count("Conv2D") + kinds.count("DepthwiseConv2D") == 2 and kinds.count("Dense") == 2 and "FakeQuantize" in kinds


@pytest.mark.parametrize("version", [13, 21])
def test_operators_beside_layers(version: int) -> None:
    """A softmax, a mean, a choice and a concatenation of bytes: the float forms differ by a step at most."""
    b = ModelBuilder("beside", opset=version)
    scale, zero = b.constant(np.float32(0.02)), b.constant(np.uint8(128))
    x = b.op("QuantizeLinear", b.input("x", DataType.FLOAT, ["n", 3, 4]), scale, zero)
    at = (scale, zero)
    soft = b.op("QLinearSoftmax", x, *at, b.constant(np.float32(1 / 256)), b.constant(np.uint8(0)), domain=MICROSOFT, opset=13)
    mean = b.op("QLinearReduceMean", x, *at, *at, domain=MICROSOFT, axes=[2], keepdims=1)
    chosen = b.op("QLinearWhere", b.constant(np.array([True, False, True, True])), x, *at, mean, *at, *at, domain=MICROSOFT)
    both = b.op("QLinearConcat", *at, chosen, *at, soft, b.constant(np.float32(1 / 256)), b.constant(np.uint8(0)), domain=MICROSOFT, axis=1)
    b.output(b.op("DequantizeLinear", both, *at), "y")
    model = b.model()
    made = with_float_operators(model)
    assert {"Softmax", "ReduceMean", "Where", "Concat"} < set(operators_of(made)) and not any(node.domain for node in made.graph.nodes)
    data = np.random.default_rng(3).standard_normal((2, 3, 4)).astype(np.float32)
    theirs, ours = (onward.InferenceSession(item.to_bytes()).run(None, {"x": data})[0] for item in (model, made))
    assert np.abs(ours - theirs).max() <= 0.02 * 1.001 and ours.std() > 0.1


def test_what_is_not_known_stays_on_bytes() -> None:
    """A scale that is computed."""
    b = ModelBuilder("dynamic")
    x, scale = b.input("x", DataType.UINT8, [2, 3]), b.input("scale", DataType.FLOAT, [])
    zero, one = b.constant(np.uint8(3)), b.constant(np.float32(0.5))
    b.output(b.op("QLinearMatMul", x, scale, zero, b.constant(np.ones((3, 4), np.uint8)), one, zero, one, zero), "y")
    model = b.model()
    assert with_float_operators(model) is model
