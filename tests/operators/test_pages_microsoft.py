"""The operators of com.microsoft against onnxruntime's own kernels, on compiled code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from onward.errors import OnwardError
from onward.runtime import InferenceSession

GENERATOR = np.random.default_rng(11)


def floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (GENERATOR.standard_normal(shape) * scale).astype(np.float32)


def uint8(*shape: int) -> np.ndarray:
    return GENERATOR.integers(0, 256, shape).astype(np.uint8)


def int8(*shape: int) -> np.ndarray:
    return GENERATOR.integers(-128, 128, shape).astype(np.int8)


def number(value: Any, kind: Any = np.float32) -> np.ndarray:
    return np.array(value, kind)


@dataclass
class Case:
    """One node: its inputs (None where absent), attributes, number of outputs, and how far results may differ."""

    name: str
    inputs: list[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[int, ...] = (0,)
    tolerance: float = 1e-5
    domain: str = "com.microsoft"
    constants: tuple[int, ...] = ()
    label: str = ""

    def model(self) -> bytes:
        names = [f"x{place}" if item is not None else "" for place, item in enumerate(self.inputs)]
        results = [f"y{place}" if place in self.outputs else "" for place in range(max(self.outputs) + 1)]
        node = helper.make_node(self.name, names, results, domain=self.domain, **self.attributes)
        given = {name: item for name, item in zip(names, self.inputs) if item is not None}
        values = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(item.dtype), item.shape)
            for name, item in given.items()
            if int(name[1:]) not in self.constants
        ]
        weights = [onnx.numpy_helper.from_array(given[f"x{place}"], f"x{place}") for place in self.constants]
        empty = [onnx.ValueInfoProto(name=name) for name in results if name]
        graph = helper.make_graph([node], self.name, values, empty, initializer=weights)
        opsets = [helper.make_opsetid("", 9 if self.domain == "" else 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

    def feeds(self) -> dict[str, np.ndarray]:
        return {f"x{place}": item for place, item in enumerate(self.inputs) if item is not None and place not in self.constants}

    def __str__(self) -> str:
        return f"{self.name}{self.label}"


def masks(kind: str) -> np.ndarray:
    if kind == "lengths":
        return np.array([3, 5], np.int32)
    return np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)


def attention_cases() -> list[Case]:
    weights, bias = floats(8, 48, scale=0.3), floats(48)
    x, heads = floats(2, 5, 8), {"num_heads": 4}
    past = floats(2, 2, 4, 3, 4)
    cases = [
        Case("Attention", [x, weights, bias], heads),
        Case("Attention", [x, weights, bias], {**heads, "unidirectional": 1}, label=" causal"),
        Case("Attention", [x, weights, bias, masks("lengths")], heads, label=" lengths"),
        Case("Attention", [x, weights, bias, masks("flags")], heads, label=" flags"),
        Case("Attention", [x, weights, bias, None, None, floats(1, 4, 5, 5)], {**heads, "scale": 0.3}, label=" bias"),
        Case("Attention", [x, weights, bias, None, past], {**heads, "unidirectional": 1}, (0, 1), label=" past"),
    ]
    q, k, v = floats(2, 3, 16), floats(2, 6, 16), floats(2, 6, 16)
    heads = {"num_heads": 4}
    cases += [
        Case("MultiHeadAttention", [q, k, v], heads),
        Case("MultiHeadAttention", [q, k, v, floats(48)], heads, label=" bias"),
        Case("MultiHeadAttention", [q, k, v, None, None, floats(2, 4, 3, 6)], heads, label=" attention bias"),
        Case("MultiHeadAttention", [q, k, v, None, np.array([[1] * 4 + [0] * 2, [1] * 6], np.int32)], heads, label=" padding"),
        Case("MultiHeadAttention", [q, floats(2, 4, 6, 4), floats(2, 4, 6, 4)], heads, label=" heads"),
        Case("MultiHeadAttention", [q, floats(2, 3, 16), floats(2, 3, 16), None, None, None, floats(2, 4, 2, 4), floats(2, 4, 2, 4)],
             {**heads, "unidirectional": 1}, (0, 1, 2), label=" past"),
        Case("MultiHeadAttention", [floats(1, 80, 16) for _ in range(3)], {**heads, "unidirectional": 1}, label=" many rows"),
        Case("MultiHeadAttention", [*(floats(1, 80, 16) for _ in range(3)), None, None, floats(1, 4, 80, 80)], {**heads, "unidirectional": 1},
             label=" many rows, bias"),
    ]  # fmt: skip
    return cases


def group_cases() -> list[Case]:
    angles = GENERATOR.uniform(0, 6, (20, 8)).astype(np.float32)
    tables = [np.cos(angles), np.sin(angles)]
    attributes = {"num_heads": 4, "kv_num_heads": 2}
    cases = []
    for label, extra in (("", {}), (" rotary", {"do_rotary": 1}), (" window", {"local_window_size": 3}), (" softcap", {"softcap": 2.0}),
                         (" interleaved", {"do_rotary": 1, "rotary_interleaved": 1}), (" smooth", {"smooth_softmax": 1})):  # fmt: skip
        rotary = tables if extra.get("do_rotary") else [None, None]
        prompt = [floats(2, 5, 64), floats(2, 5, 32), floats(2, 5, 32), floats(2, 2, 0, 16), floats(2, 2, 0, 16)]
        cases.append(Case("GroupQueryAttention", [*prompt, number([4, 4], np.int32), number(5, np.int32), *rotary],
                          {**attributes, **extra}, (0, 1, 2), label=f" prompt{label}"))  # fmt: skip
        step = [floats(2, 1, 64), floats(2, 1, 32), floats(2, 1, 32), floats(2, 2, 6, 16), floats(2, 2, 6, 16)]
        cases.append(Case("GroupQueryAttention", [*step, number([6, 6], np.int32), number(7, np.int32), *rotary],
                          {**attributes, **extra}, (0, 1, 2), label=f" step{label}"))  # fmt: skip
        room = [*step[:3], *(np.concatenate([cache, np.zeros((2, 2, 5, 16), np.float32)], 2) for cache in step[3:])]
        cases.append(Case("GroupQueryAttention", [*room, number([6, 6], np.int32), number(7, np.int32), *rotary],
                          {**attributes, **extra}, (0, 1, 2), label=f" step with room{label}"))  # fmt: skip
    packed = [
        floats(1, 1, 64),
        None,
        None,
        floats(1, 2, 6, 8),
        floats(1, 2, 6, 8),
        number([6], np.int32),
        number(7, np.int32),
    ]
    cases.append(Case("GroupQueryAttention", packed, attributes, (0, 1, 2), label=" packed"))
    return cases


def rotary_cases() -> list[Case]:
    angles = GENERATOR.uniform(0, 6, (20, 4)).astype(np.float32)
    tables = [np.cos(angles), np.sin(angles)]
    places = GENERATOR.integers(0, 20, (2, 3))
    return [
        Case("RotaryEmbedding", [floats(2, 3, 16), places, *tables]),
        Case("RotaryEmbedding", [floats(2, 3, 16), number([4], np.int64), *tables], label=" offset"),
        Case("RotaryEmbedding", [floats(2, 2, 3, 8), places, *tables], {"interleaved": 1}, label=" interleaved"),
        Case(
            "RotaryEmbedding",
            [floats(2, 3, 32), places, *tables],
            {"num_heads": 2, "rotary_embedding_dim": 8},
            label=" part",
        ),
    ]


def normalization_cases() -> list[Case]:
    x, skip, vector = floats(2, 3, 8), floats(2, 3, 8), floats(8)
    ids = GENERATOR.integers(0, 10, (2, 4)).astype(np.int32)
    segments = GENERATOR.integers(0, 2, (2, 4)).astype(np.int32)
    tables = [floats(10, 8), floats(6, 8), floats(2, 8), floats(8), floats(8)]
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    return [
        Case("SkipLayerNormalization", [x, skip, vector, floats(8), floats(8)], {"epsilon": 1e-5}, (0, 3)),
        Case("SkipLayerNormalization", [x, skip, vector], label=" plain"),
        Case("SkipSimplifiedLayerNormalization", [x, skip, vector, floats(8)], {"epsilon": 1e-6}, (0, 3)),
        Case("SimplifiedLayerNormalization", [x, vector], {"epsilon": 1e-6}, domain=""),
        Case("EmbedLayerNormalization", [ids, segments, *tables, mask], outputs=(0, 1, 2)),
        Case("EmbedLayerNormalization", [ids, None, tables[0], tables[1], None, tables[3], tables[4], None, ids[:1] % 6], outputs=(0, 1), label=" positions"),
    ]  # fmt: skip


def product_cases() -> list[Case]:
    x, w = floats(2, 3, 6, 6), floats(4, 3, 3, 3)
    cases = [
        Case("FusedMatMul", [floats(3, 4), floats(4, 5)], {"alpha": 0.5}),
        Case("FusedMatMul", [floats(2, 4, 3), floats(2, 5, 4)], {"transA": 1, "transB": 1}, label=" transposed"),
        Case("FusedMatMul", [floats(3, 2, 4), floats(2, 4, 5)], {"transBatchA": 1}, label=" batch"),
        Case("FusedGemm", [floats(3, 4), floats(5, 4), floats(5)], {"transB": 1, "activation": "Relu"}),
        Case("FusedGemm", [floats(3, 4), floats(4, 5)], {"activation": "LeakyRelu", "activation_alpha": 0.3}, label=" leaky"),
        Case("FusedConv", [x, w, floats(4)], {"activation": "Relu"}),
        Case("FusedConv", [x, w, floats(4), floats(2, 4, 4, 4)], {"activation": "Relu"}, label=" sum"),
        Case("FusedConv", [x, w], {"activation": "Clip", "activation_params": [0.0, 1.5], "pads": [1] * 4}, label=" clip"),
        Case("FusedConv", [x, w], {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]}, label=" hard sigmoid"),
        Case("ConvTransposeWithDynamicPads", [x, floats(3, 2, 3, 3), np.array([1, 1, 1, 1])], {"strides": [2, 2]}, constants=(2,)),
        Case("Inverse", [floats(2, 4, 4) + 3 * np.eye(4, dtype=np.float32)], tolerance=1e-4),
        Case("CDist", [floats(4, 3), floats(5, 3)], {"metric": "euclidean"}, tolerance=1e-4),
        Case("CDist", [floats(4, 3), floats(5, 3)], {"metric": "sqeuclidean"}, tolerance=1e-4, label=" squared"),
        Case("NhwcMaxPool", [uint8(1, 6, 6, 4)], {"kernel_shape": [2, 2], "strides": [2, 2]}, tolerance=0),
    ]  # fmt: skip
    for block, bits, columns in ((16, 4, 40), (32, 4, 64), (32, 8, 64), (16, 2, 64)):
        blocks = -(-columns // block)
        b, scales = uint8(6, blocks, block * bits // 8), floats(6, blocks)
        attributes = {"K": columns, "N": 6, "block_size": block, "bits": bits}
        packed = uint8(6, -(-blocks * bits // 8))
        for zero in (None, packed):
            label = f" {bits} bits, blocks of {block}{', zero points' if zero is not None else ''}"
            cases.append(
                Case(
                    "MatMulNBits",
                    [floats(2, 3, columns), b, scales, zero],
                    attributes,
                    tolerance=1e-3,
                    constants=(1, 2) + ((3,) if zero is not None else ()),
                    label=label,
                )
            )
    return cases


def activation_cases() -> list[Case]:
    x = floats(2, 3, 8, scale=3.0)
    return [
        Case("Gelu", [x]),
        Case("BiasGelu", [x, floats(8)]),
        Case("FastGelu", [x, floats(8)]),
        Case("FastGelu", [x], label=" without bias"),
        Case("QuickGelu", [x]),
        Case("Affine", [x], {"alpha": 2.0, "beta": 0.5}, domain=""),
        Case("ParametricSoftplus", [x], {"alpha": 2.0, "beta": 0.5}, domain=""),
        Case("ScaledTanh", [x], {"alpha": 2.0, "beta": 0.5}, domain=""),
        Case("ImageScaler", [floats(1, 3, 4, 4)], {"scale": 2.0, "bias": [1.0, 2.0, 3.0]}, domain=""),
    ]


def quantized_cases() -> list[Case]:
    a, b, scale, zero = uint8(3, 4), uint8(3, 4), number(0.02), number(120, np.uint8)
    image = uint8(1, 4, 6, 6)
    two = [a, scale, zero, b, number(0.03), number(130, np.uint8), number(0.05), number(125, np.uint8)]
    one = [a, scale, zero, number(1 / 256), number(0, np.uint8)]
    weights = int8(4, 6)
    filters = int8(5, 4, 3, 3)
    convolution = [
        image,
        scale,
        zero,
        filters,
        floats(5) ** 2 * 0.01 + 0.001,
        np.zeros(5, np.int8),
        number(0.2),
        number(128, np.uint8),
    ]
    return [
        Case("QLinearAdd", two, tolerance=1),
        Case("QLinearMul", two, tolerance=1),
        Case("QLinearSigmoid", one, tolerance=1),
        Case("QLinearLeakyRelu", one, {"alpha": 0.1}, tolerance=1),
        Case("QLinearSoftmax", one, {"axis": -1, "opset": 13}, tolerance=1),
        Case("QLinearAveragePool", [image, scale, zero, number(0.03), number(110, np.uint8)], {"kernel_shape": [3, 3], "pads": [1] * 4}, tolerance=1),
        Case("QLinearGlobalAveragePool", [image, scale, zero, number(0.01), number(110, np.uint8)], tolerance=1),
        Case("QLinearConcat", [number(0.03), number(100, np.uint8), a, scale, zero, b, number(0.01), number(90, np.uint8)], {"axis": 1}, tolerance=1, constants=(0, 1, 3, 4, 6, 7)),
        Case("QLinearWhere", [a > 100, a, scale, zero, b, number(0.03), number(130, np.uint8), number(0.05), number(125, np.uint8)], tolerance=1, constants=(2, 3, 5, 6, 7, 8)),
        Case("QLinearConv", convolution, {"kernel_shape": [3, 3], "pads": [1] * 4}, tolerance=1, constants=(1, 2, 3, 4, 5, 6, 7)),
        Case("QGemm", [a, scale, zero, weights, number(0.01), number(3, np.int8), None, None, None], tolerance=1e-4),
        Case("QGemm", [a, scale, zero, weights, number(0.01), number(3, np.int8), np.arange(6, dtype=np.int32), number(0.1), number(128, np.uint8)], tolerance=1, label=" quantised"),
        Case("MatMulIntegerToFloat", [a, weights, scale, number(0.01), zero, number(3, np.int8), floats(6)], tolerance=1e-4),
        Case("DynamicQuantizeMatMul", [floats(3, 4), weights, number(0.01), number(3, np.int8), floats(6)], tolerance=1e-4),
        Case("MatMulInteger16", [GENERATOR.integers(-99, 99, (3, 4)).astype(np.int16), GENERATOR.integers(-99, 99, (4, 2)).astype(np.int16)], tolerance=0),
        Case("QuantizeLinear", [floats(3, 4), scale, zero], tolerance=1),
        Case("DequantizeLinear", [a, scale, zero]),
        Case("QAttention", [uint8(2, 5, 8), int8(8, 48), floats(48), scale, number(0.01), None, zero, number(0, np.int8)], {"num_heads": 4}, tolerance=1e-3),
        Case("GatherBlockQuantized", [uint8(10, 16), GENERATOR.integers(0, 10, (2, 3)), floats(10, 2), uint8(10, 1)],
             {"bits": 4, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}, constants=(0, 2, 3)),
        Case("GatherBlockQuantized", [uint8(10, 32), GENERATOR.integers(0, 10, (2, 3)), floats(10, 2)],
             {"bits": 8, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}, constants=(0, 2), label=" 8 bits"),
    ]  # fmt: skip


def tensor_cases() -> list[Case]:
    return [
        Case("Trilu", [floats(3, 4), number(1, np.int64)], {"upper": 0}, tolerance=0),
        Case("ExpandDims", [floats(3, 4), number(-1, np.int32)], tolerance=0),
        Case("Pad", [floats(3, 4), np.array([[1, 0, 0, 2]])], tolerance=0, constants=(1,)),
        Case("GridSample", [floats(1, 2, 4, 5), GENERATOR.uniform(-1, 1, (1, 3, 3, 2)).astype(np.float32)], {"align_corners": 1}),
        Case("Unique", [np.array([3, 1, 3, 2, 1], np.float32)], outputs=(0, 1, 2), tolerance=0),
        Case("CropAndResize", [floats(2, 3, 6, 7), GENERATOR.uniform(0, 1, (4, 4)).astype(np.float32), np.array([0, 1, 1, 0], np.int32), np.array([3, 5], np.int32)]),
        Case("GatherND", [floats(3, 4), np.array([[0, 1], [2, 3]])], tolerance=0),
    ]  # fmt: skip


def text_cases() -> list[Case]:
    texts = np.array(["The cat, the café", "", "a☃b\tX1 日本 it's", "...", "é"], object)
    how = {"mark": 0, "mincharnum": 1, "pad_value": "#"}
    expressions = [r"[\pL\pN_]+", r"[\pL\pN_]{3,}", r"[a-z]+(?:'[a-z]+)?", r"[^\s\x{2603}]+", r"^[\pL]", "[a-z]|[0-9]+", "(?i)THE"]
    return [
        *(Case("Tokenizer", [texts], {**how, "tokenexp": item}, label=" " + item) for item in expressions),
        Case("Tokenizer", [texts.reshape(1, 5)], {**how, "separators": [""]}, label=" characters"),
        Case("Tokenizer", [texts], {**how, "separators": ["[ ,]+", "a"], "mincharnum": 2}, label=" separators"),
        Case("Tokenizer", [texts], {**how, "separators": [""], "mark": 1}, label=" characters with marks"),
        Case("Tokenizer", [texts[1:2]], {**how, "separators": [""], "mark": 1}, label=" of nothing"),
        Case("MurmurHash3", [texts], {"positive": 0}, label=" of text"), Case("MurmurHash3", [texts], {"seed": 7}, label=" with a seed"),
        Case("MurmurHash3", [GENERATOR.integers(-9, 9, (2, 3))], {"positive": 0}, label=" of integers"), Case("MurmurHash3", [floats(3)], label=" of floats"),
    ]  # fmt: skip


CASES = [
    *attention_cases(), *group_cases(), *rotary_cases(), *normalization_cases(), *product_cases(), *activation_cases(),
    *quantized_cases(), *tensor_cases(), *text_cases(),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_agrees_with_onnxruntime(case: Case) -> None:
    theirs = onnxruntime.InferenceSession(case.model(), providers=["CPUExecutionProvider"]).run(None, case.feeds())
    ours = InferenceSession(case.model()).run(None, case.feeds())
    for left, right in zip(ours, theirs, strict=True):
        assert left.dtype == right.dtype and left.shape == right.shape
        if right.dtype.kind == "O" or case.name == "MurmurHash3":
            np.testing.assert_array_equal(left, right)
        elif right.dtype == np.uint8 or right.dtype == np.int8:
            assert np.abs(left.astype(int) - right.astype(int)).max() <= case.tolerance
        else:
            np.testing.assert_allclose(left, right, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("expression", ["a|ab", "a?(?:ab)?", "a+?", "[ab]*a"])
def test_words_that_the_longest_match_and_the_first_tell_apart_are_refused(expression: str) -> None:
    case = Case("Tokenizer", [np.array(["ab"], object)], {"mark": 0, "mincharnum": 1, "pad_value": "", "tokenexp": expression})
    with pytest.raises(OnwardError, match="not deterministic"):
        InferenceSession(case.model()).run(None, case.feeds())


def test_packed_queries_keys_and_values_are_taken_apart() -> None:
    packed = floats(2, 5, 4, 3, 4)
    parts = [np.ascontiguousarray(packed[:, :, :, place].reshape(2, 5, 16)) for place in range(3)]
    together = Case("MultiHeadAttention", [packed], {"num_heads": 4})
    apart = Case("MultiHeadAttention", list(parts), {"num_heads": 4})
    (left,), (right,) = (InferenceSession(case.model()).run(None, case.feeds()) for case in (together, apart))
    np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


def test_packed_tokens_see_their_own_sequence_alone() -> None:
    lengths, weights, bias = [3, 5], floats(8, 48, scale=0.3), floats(48)
    rows = [floats(1, length, 8) for length in lengths]
    offsets = np.array([[0, 1, 2, 8, 9], [5, 6, 7, 10, 11]], np.int32)  # what matters here is its shape
    boundaries = np.array([0, 3, 8], np.int32)
    packed = Case("PackedAttention", [np.concatenate(rows, 1)[0], weights, bias, offsets, boundaries], {"num_heads": 4})
    (found,) = InferenceSession(packed.model()).run(None, packed.feeds())
    alone = [Case("Attention", [row, weights, bias], {"num_heads": 4}) for row in rows]
    expected = [InferenceSession(case.model()).run(None, case.feeds())[0][0] for case in alone]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-5, atol=1e-5)
