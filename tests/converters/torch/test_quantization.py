"""Quantised graphs of torch.ao: its own passes make them, its own operators are the judge."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.ao.quantization import QConfigMapping, default_dynamic_qconfig, get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import _convert_to_reference_decomposed_fx, prepare_fx

import onward
from onward.ir.expressions import Symbol
from tests.converters.torch.test_modules import Function

CODES = torch.ops.quantized_decomposed


class Network(nn.Module):
    """Convolutions with a norm that is folded, an addition of what both quantise, a product."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.last((torch.relu(self.second(x)) + x).mean((2, 3)))


def quantized(module: nn.Module, mapping: Any, *examples: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_fx(module.eval(), mapping, examples)
        prepared(*examples)
        return _convert_to_reference_decomposed_fx(prepared)


def operators(model: onward.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.nodes)


@pytest.mark.parametrize("backend", ["x86", "qnnpack"])
def test_networks(backend: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    graph = quantized(Network(), get_default_qconfig_mapping(backend), x)
    model = onward.convert(graph, (x,))
    found = operators(model)
    assert found["QuantizeLinear"] < found["DequantizeLinear"] and found["Conv"] == 2
    weights = [value for value in model.graph.initializers.values() if "codes" in value.name]
    assert len(weights) == 3 and not any(name.endswith("first.weight") for name in model.graph.initializers)
    (theirs,) = onnxruntime.InferenceSession(model.to_bytes()).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(theirs, graph(x).numpy(), atol=0.05)


def test_codes_found_in_the_run() -> None:
    layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.randn(5, 8)
    model = onward.convert(quantized(layers, QConfigMapping().set_global(default_dynamic_qconfig), x), (x,))
    assert operators(model)["DequantizeLinear"] == 4  # (of two inputs and two weights)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_types_of_codes(dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)

    def round_trip(x: torch.Tensor) -> Any:
        zero = 0 if dtype is torch.int32 else 7
        codes = CODES.quantize_per_tensor(x, 0.25, zero, limits.min, limits.max, dtype)
        fewer = CODES.quantize_per_tensor(x, 0.25, zero, 1, 100, dtype)
        return codes, fewer, CODES.dequantize_per_tensor(codes, 0.25, zero, limits.min, limits.max, dtype)

    onward.convert(Function(round_trip), (torch.randn(4, 6) * 20,))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int32])
def test_scales_by_channel(axis: int, dtype: torch.dtype) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scales", torch.tensor([0.5, 0.25, 2.0]))
            self.register_buffer("zeros", torch.tensor([0, -3, 5]))
            self.register_buffer("codes", torch.randint(-100, 100, (3, 3), dtype=dtype))

        def forward(self, x: torch.Tensor) -> Any:
            limits = torch.iinfo(torch.int8)
            made = CODES.quantize_per_channel(x, self.scales, self.zeros, axis, limits.min, limits.max, torch.int8)
            return made, CODES.dequantize_per_channel(self.codes, self.scales, self.zeros, axis, -100, 100, dtype)

    onward.convert(Scaled(), (torch.randn(3, 3) * 20,))


def test_parameters_of_symmetric_codes() -> None:
    def parameters(x: torch.Tensor) -> Any:
        scale, zero = CODES.choose_qparams_symmetric.tensor(x, -128, 127, 1e-7, torch.int8)
        return CODES.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8).float() * scale.float()

    onward.convert(Function(parameters), (torch.randn(4, 6),))


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_by_group(bits: int) -> None:
    """Weights with a scale for each group of neighbouring columns; four bits are stored as such."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scales", torch.rand(6, 4) + 0.1)
            self.register_buffer("zeros", torch.randint(-2, 3, (6, 4), dtype=torch.int32))
            self.register_buffer("codes", torch.randint(low, high + 1, (6, 32), dtype=torch.int8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = CODES.dequantize_per_channel_group(self.codes, self.scales, self.zeros, low, high, torch.int8, 8, torch.float32)
            return nn.functional.linear(x, weight)

    model = onward.convert(Grouped(), (torch.randn(3, 32),))
    (node,) = (node for node in model.graph.nodes if node.op_type == "DequantizeLinear")
    assert node.attribute("block_size", 0) == 8
    assert node.inputs[0] is not None
    assert node.inputs[0].tensor is not None
    assert node.inputs[0].tensor.dtype.bits == bits
    feeds = {model.graph.inputs[0].name: np.random.default_rng(0).standard_normal((3, 32)).astype(np.float32)}
    (theirs,) = onnxruntime.InferenceSession(model.to_bytes()).run(None, feeds)
    np.testing.assert_allclose(theirs, onward.InferenceSession(model).run(None, feeds)[0], atol=1e-4)


def test_groups_and_tokens_found_in_the_run() -> None:
    scales, zeros = torch.tensor([[0.25, 0.5], [1.0, 2.0]]), torch.tensor([[0, 3], [-4, 0]])

    def whole(x: torch.Tensor) -> Any:
        made = [CODES.quantize_per_channel_group(x, scales, zeros, -8, 7, torch.int8, 4)]
        for choose in (CODES.choose_qparams_per_token, CODES.choose_qparams_per_token_asymmetric):
            scale, zero = choose(x, torch.int8)
            codes = CODES.quantize_per_token(x, scale, zero, -128, 127, torch.int8)
            made.append(CODES.dequantize_per_token(codes, scale, zero, -128, 127, torch.int8, torch.float32))
        return made

    onward.convert(Function(whole), (torch.randn(2, 8),), dynamic_shapes={})


def test_products_of_codes() -> None:
    codes = torch.randint(-128, 128, (8, 4), dtype=torch.int8)
    model = onward.convert(Function(lambda x: torch._int_mm(x, codes)), (torch.randint(-128, 128, (3, 8), dtype=torch.int8),))
    assert operators(model)["MatMulInteger"] == 1


@pytest.mark.parametrize("name", ["weights", "activations", "eight bits"])
def test_tensors_of_torchao(name: str) -> None:
    """Where it is installed: its tensors are taken apart into codes and scales; those of four bits are stored as such."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchao: Any = pytest.importorskip("torchao.quantization")
    by_group = torchao.PerGroup(32)
    ways = {
        "weights": lambda: torchao.IntxWeightOnlyConfig(torch.int4, granularity=by_group),
        "activations": lambda: torchao.Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=by_group),
        "eight bits": lambda: torchao.Int8DynamicActivationInt8WeightConfig(),
    }
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5)).eval()
    torchao.quantize_(module, ways[name]())
    model = onward.convert(module, (torch.randn(3, 64),))
    assert model.graph.inputs[0].shape[0] == Symbol("batch")
    stored = [value for value in model.graph.initializers.values() if value.tensor is not None and value.tensor.dtype.bits == 4]
    assert len(stored) == (0 if name == "eight bits" else 4)
