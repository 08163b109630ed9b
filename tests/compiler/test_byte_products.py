"""Products of 8-bit integers: exact on every kind of processor, at sizes where groups, tiles and vectors end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from onward import InferenceSession
from onward import program as P
from onward.compiler.native import assembly
from onward.compiler.schedule.packing import pack_panels
from onward.compiler.schedule.products import product_of
from onward.compiler.schedule.tiles import legal_tiles
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.operators.quantization.quantize_linear import dequantize_linear, quantize_linear
from tests.compiler.native import compare, compile_arrays, only_with, text_of_contraction

HOST = Target.parse("host")

TARGETS = [
    "host",
    "generic",
    pytest.param("avx2", marks=only_with("avx2")),
    pytest.param("avxvnni", marks=only_with("avxvnni")),
    pytest.param("avx512", marks=only_with("avx512bw")),
]
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def matrices(rows: int, depth: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Random bytes with the extremes, whose products do not fit 16 bits when two are added."""
    g = np.random.default_rng(rows * depth + columns)
    left, right = g.integers(0, 256, (rows, depth)).astype(np.uint8), g.integers(-128, 128, (depth, columns)).astype(np.int8)
    left[0], right[:, 0] = 255, -128
    return left, right


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("rows, depth, columns", [(1, 1, 1), (3, 7, 5), (2, 18, 129), (13, 64, 37), (40, 21, 96), (29, 131, 64)])
def test_products_are_exact(target: str, constant: bool, rows: int, depth: int, columns: int) -> None:
    left, right = matrices(rows, depth, columns)
    x = P.Input((rows, depth), DataType.UINT8, "x")
    w = P.constant(right) if constant else P.Input((depth, columns), DataType.INT8, "w")
    inputs = [x] if constant else [x, w]
    product = P.matmul(x, w, DataType.INT32)
    artifact = compare(inputs, {"y": P.maximum(product, -1000)}, {"x": left, "w": right}, target)
    assert columns == 1 or "contraction" in [kernel.kind for kernel in artifact.kernels]


@pytest.mark.parametrize("target", ["host", "generic"])
def test_a_left_operand_that_lies_across(target: str) -> None:
    left, right = matrices(6, 11, 20)
    x = P.Input((11, 6), DataType.UINT8, "x")
    compare([x], {"y": P.matmul(P.transpose(x, [1, 0]), P.constant(right), DataType.INT32)}, {"x": left.T.copy()}, target)


def test_a_batch_of_products() -> None:
    g = np.random.default_rng(3)
    left, right = g.integers(0, 256, (3, 2, 9, 14)).astype(np.uint8), g.integers(-128, 128, (2, 14, 33)).astype(np.int8)
    x, w = P.Input(left.shape, DataType.UINT8, "x"), P.Input(right.shape, DataType.INT8, "w")
    compare([x, w], {"y": P.matmul(x, w, DataType.INT32)}, {"x": left, "w": right}, "host")
    compare([x], {"y": P.matmul(x, P.constant(right), DataType.INT32)}, {"x": left}, "host")


def text_of_product(target: str | Target, monkeypatch: pytest.MonkeyPatch) -> str:
    """The machine code of a product that is large enough for the tallest tiles."""
    target = Target.parse(target) if isinstance(target, str) else target
    monkeypatch.setattr(Target, "parse", lambda name: target)
    x = P.Input((128, 256), DataType.UINT8, "x")
    product = P.matmul(x, P.constant(np.ones((256, 512), np.int8)), DataType.INT32)
    return assembly(text_of_contraction(lambda: compile_arrays([x], {"y": product}, "host"), monkeypatch), target)


def with_dot_on_arm() -> Target:
    return replace(Target.parse("aarch64"), features="+neon,+i8mm")


@pytest.mark.parametrize(
    "target, instruction",
    [("avxvnni", "vpdpbusd"), ("avx2", "vpmaddwd"), ("avx512", "vpmaddwd"), ("generic", "pmaddwd"), ("aarch64", "mla"), (with_dot_on_arm, "usdot")],
)
def test_each_processor_has_its_instructions(target: str | Callable[[], Target], instruction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not HOST.is_x86 and target == "generic":
        pytest.skip("the baseline of another family")
    code = text_of_product(target if isinstance(target, str) else target(), monkeypatch)
    assert instruction in code
    assert not re.search("spill|reload", code, re.IGNORECASE)


@pytest.mark.parametrize("name", ["generic", "avx2", "avxvnni", "avx512", "aarch64"])
def test_tiles_leave_room(name: str) -> None:
    target = Target.parse(name)
    product = product_of(DataType.INT8, target)
    tiles = legal_tiles(target, product)
    assert tiles and all(product.registers(tile.rows, tile.vectors) <= target.vector_registers for tile in tiles)


@pytest.mark.parametrize("run", [1, 4, 6, 12])
def test_packing_in_groups(run: int) -> None:
    array = np.arange(1, 1 + 12 * 5, dtype=np.int8).reshape(12, 5)
    packed = pack_panels(array, 0, 4, run, 4)
    steps = 12 // run * -(-run // 4)
    assert packed.shape == (1, 2, steps, 4, 4)
    for depth in range(12):
        step, place = depth // run * -(-run // 4) + depth % run // 4, depth % run % 4
        for column in range(5):
            assert packed[0, column // 4, step, column % 4, place] == array[depth, column]
    assert packed.astype(np.int64).sum() == array.astype(np.int64).sum(), "everything else is 0"


# -- what follows a product -----------------------------------------------------------------------------------------
def quantized(x: P.Array, zero: int, dtype: DataType = DataType.UINT8) -> P.Array:
    return quantize_linear(x, P.constant(np.float32(1)), P.constant(np.asarray(zero, dtype.numpy)))


def dequantized(x: P.Array, scale: float, zero: int) -> P.Array:
    return dequantize_linear(x, P.constant(np.float32(scale)), P.constant(np.asarray(zero, x.dtype.numpy)))


@pytest.mark.parametrize("target", ["host", "avx2", "generic"])
@pytest.mark.parametrize("dtype, zero", [(DataType.UINT8, 0), (DataType.UINT8, 77), (DataType.INT8, -128), (DataType.INT8, 5), (DataType.UINT16, 9)])
def test_numbers_become_bytes_and_floats_again(target: str, dtype: DataType, zero: int) -> None:
    values = np.concatenate([np.arange(-600, 600) / 4, [1e9, -1e9, 3e38, np.inf, -np.inf, 0.5, -0.5, 70000]]).astype(np.float32)
    x = P.Input(values.shape, DataType.FLOAT, "x")
    whole = quantized(x, zero, dtype)
    compare([x], {"bytes": whole}, {"x": values}, target)
    compare([x], {"floats": dequantized(whole, 0.25, zero), "others": dequantized(quantized(x * 2, zero, dtype), 1, 3)}, {"x": values}, target, 0)


def bytes_of_product(dtype: DataType, zero: int, scale: float, columns: int) -> tuple[P.Input, P.Array]:
    """Sums with an offset for each column, scaled and quantised; many of them are beyond both limits."""
    g = np.random.default_rng(columns)
    _, right = matrices(19, 12, columns)
    x = P.Input((19, 12), DataType.UINT8, "x")
    bias, factor = (P.constant(item) for item in (g.integers(-(2**20), 2**20, columns, np.int32), (scale * g.random(columns)).astype(np.float32)))
    total = P.matmul(x, P.constant(right), DataType.INT32) - 3 * P.constant(right.sum(0, np.int32)) + bias
    return x, quantized(P.cast(total, DataType.FLOAT) * factor, zero, dtype)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype, zero", [(DataType.UINT8, 0), (DataType.UINT8, 77), (DataType.INT8, -5)])
@pytest.mark.parametrize("columns, scale", [(32, 1e-3), (231, 1e-3), (64, 1e6)], ids=["pairs", "all", "too large for 32 bits"])
def test_sums_end_as_bytes(target: str, dtype: DataType, zero: int, columns: int, scale: float) -> None:
    x, result = bytes_of_product(dtype, zero, scale, columns)
    compare([x], {"y": result}, {"x": matrices(19, 12, columns)[0]}, target)


@pytest.mark.parametrize("name", ["avx512", "avx2", "generic"])
def test_numbers_that_fit_are_limited_by_the_narrowing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target.parse(name)
    if not target.is_x86:
        pytest.skip("the baseline of another family")
    monkeypatch.setattr(Target, "parse", lambda name: target)
    codes = []
    for scale in (1e-3, 1e6):
        x, result = bytes_of_product(DataType.UINT8, 0, scale, 128)
        codes.append(assembly(text_of_contraction(lambda x=x, result=result: compile_arrays([x], {"y": result}, "host"), monkeypatch), target))
    assert "packuswb" in codes[0] and "minps" not in codes[0] and "maxps" not in codes[0]
    assert "minps" in codes[1]


def test_where_products_meet_all_but_one_end_as_bytes() -> None:
    left, right = matrices(50, 32, 64)
    x = P.Input(left.shape, DataType.UINT8, "x")
    sums = [P.cast(P.matmul(x, P.constant(right - shift), DataType.INT32), DataType.FLOAT) * 1.0037e-3 for shift in (0, 1)]
    first, second = (dequantized(quantized(total + 0.3017, 40), 0.1, 40) for total in sums)
    artifact = compare([x], {"y": quantized(first + second, 100)}, {"x": left}, "host")
    assert [kernel.kind for kernel in artifact.kernels] == ["contraction", "contraction"]
    assert artifact.arena_bytes == left.shape[0] * 64, "bytes, not sums"


# -- operators --------------------------------------------------------------------------------------------------------
def run_both(operator: str, inputs: dict[str, np.ndarray], constants: set[str], attributes: dict[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """An integer operator here and in onnxruntime."""
    kinds = {np.dtype(np.uint8): 2, np.dtype(np.int8): 3}
    node = helper.make_node(operator, list(inputs), ["y"], **attributes)
    fed = {name: array for name, array in inputs.items() if name not in constants}
    graph = helper.make_graph(
        [node], "test", [helper.make_tensor_value_info(name, kinds[a.dtype], a.shape) for name, a in fed.items()],
        [helper.make_tensor_value_info("y", 6, None)], [onnx.numpy_helper.from_array(inputs[name], name) for name in constants],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    theirs = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return InferenceSession(model).run(None, fed)[0], theirs.run(None, fed)[0]


def bytes_like(kind: type, shape: tuple[int, ...], seed: int) -> np.ndarray:
    limits = np.iinfo(kind)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(kind)


@pytest.mark.parametrize("cpu", TARGETS)
@SLOW
@given(data=st.data())
def test_matmul_integer(cpu: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CPU", cpu)
    draw = data.draw
    kind, other = draw(st.sampled_from([np.uint8, np.int8])), draw(st.sampled_from([np.uint8, np.int8]))
    rows, depth, columns = (draw(st.integers(1, 40)) for _ in range(3))
    inputs = {"a": bytes_like(kind, (2, rows, depth), rows), "b": bytes_like(other, (depth, columns), depth)}
    if draw(st.booleans()):
        inputs["az"] = bytes_like(kind, (), columns)
        if draw(st.booleans()):
            inputs["bz"] = bytes_like(other, draw(st.sampled_from([(), (columns,)])), columns)
    constants = draw(st.sampled_from([set(), {"b"}, {"b", "bz"}, {"b", "az", "bz"}])) & inputs.keys()
    ours, theirs = run_both("MatMulInteger", inputs, constants, {})
    np.testing.assert_array_equal(ours, theirs)
    left, right = (inputs[name].astype(np.int64) - inputs.get(f"{name}z", np.int64(0)).astype(np.int64) for name in "ab")
    np.testing.assert_array_equal(ours, left @ right)


@pytest.mark.parametrize("cpu", TARGETS)
@SLOW
@given(data=st.data())
def test_convolution_integer(cpu: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CPU", cpu)
    draw = data.draw
    group, depth, filters = draw(st.sampled_from([(1, 1, 1), (1, 3, 20), (1, 16, 5), (2, 5, 3), (24, 1, 1), (3, 2, 2)]))
    kernel = draw(st.sampled_from([1, 2, 3]))
    height, width = draw(st.integers(4, 11)), draw(st.integers(4, 11))
    inputs = {
        "x": bytes_like(np.uint8, (2, group * depth, height, width), height),
        "w": bytes_like(draw(st.sampled_from([np.uint8, np.int8])), (group * filters, depth, kernel, kernel), width),
    }
    if draw(st.booleans()):
        inputs["xz"] = bytes_like(np.uint8, (), height * width)
        if draw(st.booleans()):
            inputs["wz"] = bytes_like(inputs["w"].dtype.type, (), height * width)
    constants = draw(st.sampled_from([{"w", "xz", "wz"}, {"w"}, set()])) & inputs.keys()
    attributes = {
        "group": group, "strides": [draw(st.integers(1, 2))] * 2, "pads": [draw(st.integers(0, kernel - 1))] * 4,
        "dilations": [draw(st.integers(1, 2 if kernel < 3 else 1))] * 2,
    }  # fmt: skip
    ours, theirs = run_both("ConvInteger", inputs, constants, attributes)
    np.testing.assert_array_equal(ours, theirs)
