"""Products by tile registers, which are emulated where the processor has none: the kernels are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from llvmlite import binding

from onward import InferenceSession
from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.native import assembly
from onward.compiler.schedule import contraction
from onward.compiler.schedule.splitting import split
from onward.compiler.targets import Target
from onward.converters.builder import ModelBuilder
from onward.deploy import build
from onward.errors import InvalidArgument
from onward.ir import TensorType
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from onward.runtime.options import SessionOptions
from onward.runtime.processor import AMX
from tests.compiler.native import text_of_contraction

RULE = contraction.is_worth_it
HOST = Target.parse("host")
HAS_AMX = HOST.is_x86 and all(binding.get_host_cpu_features().get(name) for name in AMX)
TARGETS = ["amx-emulated", *(["amx"] if HAS_AMX else [])]
on_x86 = pytest.mark.skipif(not HOST.is_x86, reason="another family of processors")


@pytest.fixture(autouse=True)
def at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles wherever they can be."""
    monkeypatch.setattr(contraction, "is_worth_it", lambda *_: True)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """The nearest numbers of bfloat16, in double precision."""
    return numbers.astype(ml_dtypes.bfloat16).astype(np.float64)


def compiled(inputs: Mapping[str, P.Input], result: P.Array, target: str, precision: str) -> Artifact:
    """The code of a result."""
    return compile_program(Program("test", tuple(inputs.values()), {"y": result}, {}), CompileOptions(target=target, precision=precision))


def run(inputs: Mapping[str, P.Input], result: P.Array, feeds: Mapping[str, np.ndarray], target: str, precision: str = "bfloat16") -> np.ndarray:
    """A result, computed with tiles by one number of threads and, equal to the last bit, by another."""
    artifact = compiled(inputs, result, target, precision)
    assert "contraction" in [kernel.kind for kernel in artifact.kernels]
    first, second = (Executable(artifact, threads=count).run([feeds[name] for name in inputs])[0] for count in (1, 3))
    np.testing.assert_array_equal(first, second)
    return first


def multiplied(numbers: np.ndarray, precision: str) -> np.ndarray:
    """What is multiplied in place of some numbers."""
    return rounded(numbers) if precision == "bfloat16" else numbers.astype(np.float64)


def close(got: np.ndarray, want: np.ndarray, terms: np.ndarray) -> None:
    """A sum and its exact value, where the terms have a sum `terms` of their magnitudes."""
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= 1e-6 * terms)


SIZES = [(2, 5, 3), (3, 7, 5), (16, 32, 16), (17, 33, 31), (32, 64, 32), (33, 65, 33), (64, 100, 96), (70, 513, 47), (2, 1031, 129)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, depth, columns", SIZES)
@pytest.mark.parametrize("kind, precision", [("constant", "bfloat16"), ("open", "bfloat16"), ("run", "bfloat16"), ("constant", "float32"), ("open", "float32")])
def test_products_of_floats(target: str, rows: int, depth: int, columns: int, kind: str, precision: str) -> None:
    """Weights, weights and a number of rows that only the run knows, and two operands of the run; with what follows a product."""
    g = np.random.default_rng(rows * depth + columns)
    feeds = {"x": g.standard_normal((rows, depth), np.float32), "w": g.standard_normal((depth, columns), np.float32)}
    bias = g.standard_normal(columns, np.float32)
    inputs = {"x": P.Input((Symbol("n", 0) if kind == "open" else rows, depth), DataType.FLOAT, "x")}
    if kind == "run":
        inputs["w"] = P.Input((depth, columns), DataType.FLOAT, "w")
    product = P.matmul(inputs["x"], inputs.get("w", P.constant(feeds["w"])))
    got = run(inputs, P.maximum(product + P.constant(bias), P.constant(np.zeros((), np.float32))), feeds, target, precision)
    left, right = (multiplied(feeds[name], precision) for name in "xw")
    close(got, np.maximum(left @ right + bias, 0), np.abs(left) @ np.abs(right) + np.abs(bias))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, depth, columns", SIZES)
@pytest.mark.parametrize("kind", ["constant", "open", "run"])
def test_products_of_bytes(target: str, rows: int, depth: int, columns: int, kind: str) -> None:
    """They are exact."""
    g = np.random.default_rng(rows * depth + columns)
    feeds = {"x": g.integers(0, 256, (rows, depth)).astype(np.uint8), "w": g.integers(-128, 128, (depth, columns)).astype(np.int8)}
    feeds["x"][0], feeds["w"][:, 0] = 255, -128
    inputs = {"x": P.Input((Symbol("n", 0) if kind == "open" else rows, depth), DataType.UINT8, "x")}
    if kind == "run":
        inputs["w"] = P.Input((depth, columns), DataType.INT8, "w")
    product = P.matmul(inputs["x"], inputs.get("w", P.constant(feeds["w"])), DataType.INT32)
    got = run(inputs, P.maximum(product, -1000), feeds, target, "float32")
    np.testing.assert_array_equal(got, np.maximum(feeds["x"].astype(np.int32) @ feeds["w"].astype(np.int32), -1000))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("is_open, precision", [(False, "bfloat16"), (True, "float32")])
@pytest.mark.parametrize(
    "groups, channels, filters, kernel, step", [(1, 3, 33, 7, 2), (1, 20, 40, 3, 1), (1, 64, 32, 1, 2), (2, 24, 35, 3, 2), (3, 5, 7, 2, 1)]
)
def test_convolutions(target: str, is_open: bool, precision: str, groups: int, channels: int, filters: int, kernel: int, step: int) -> None:
    """Rows in three loops, a reduction in three, groups as a batch, and a left operand in any order of its axes."""
    g = np.random.default_rng(channels)
    count, height, width = 2, 9 + kernel, 12 + kernel
    shape = (count, groups, channels, height, width)
    x = g.standard_normal(shape, np.float32)
    w = g.standard_normal((groups, filters, channels, kernel, kernel), np.float32)
    out = [(extent - kernel) // step + 1 for extent in (height, width)]
    given = P.Input((Symbol("n", 0) if is_open else count, *shape[1:]), DataType.FLOAT, "x")
    weights = P.constant(w)
    total = P.reduce(
        "sum", (given.shape[0], groups, filters, *out), (channels, kernel, kernel),
        lambda n, m, f, i, j, c, a, b: given[n, m, c, i * step + a, j * step + b] * weights[m, f, c, a, b],
    )  # fmt: skip
    got = run({"x": given}, total * 2.0, {"x": x}, target, precision)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (3, 4))[:, :, :, ::step, ::step]
    want, terms = (
        2 * np.einsum("nmcijab,mfcab->nmfij", left, right, optimize=True)
        for left, right in ((multiplied(windows, precision), multiplied(w, precision)), (np.abs(windows).astype(np.float64), np.abs(w)))
    )
    close(got, want, terms)


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_and_a_left_operand_that_lies_across(target: str) -> None:
    """Both operands have the batch, or the right one alone."""
    g = np.random.default_rng(1)
    feeds = {"x": g.standard_normal((3, 40, 35), np.float32), "w": g.standard_normal((3, 40, 50), np.float32)}
    x, w = (P.Input(feeds[name].shape, DataType.FLOAT, name) for name in "xw")
    across = np.swapaxes(feeds["x"], 1, 2)
    got = run({"x": x, "w": w}, P.matmul(P.transpose(x, [0, 2, 1]), w), feeds, target)
    close(got, rounded(across) @ rounded(feeds["w"]), np.abs(across).astype(np.float64) @ np.abs(feeds["w"]))
    one = {"x": feeds["x"][:1], "w": feeds["w"]}
    left = P.Input(one["x"].shape, DataType.FLOAT, "x")
    total = P.reduce("sum", (3, 35, 50), (40,), lambda n, i, j, k: left[0, k, i] * w[n, k, j])
    close(run({"x": left, "w": w}, total, one, target), rounded(across[:1]) @ rounded(feeds["w"]), np.abs(across[:1]).astype(np.float64) @ np.abs(feeds["w"]))


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("base", ["avx2", "host"])
def test_other_vectors(base: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epilogue with narrower vectors, and without masks; the sums are the same."""
    if not replace(Target.parse(base)).has_fma:
        pytest.skip("without it, the products of the emulation are rounded by themselves")
    g = np.random.default_rng(2)
    feeds = {"x": g.standard_normal((37, 70), np.float32)}
    x, w = P.Input((37, 70), DataType.FLOAT, "x"), P.constant(g.standard_normal((70, 45), np.float32))
    want = run({"x": x}, P.matmul(x, w), feeds, "amx-emulated", precision)
    target = replace(Target.parse(base), tiles="emulated", narrow=precision == "bfloat16")
    monkeypatch.setattr(Target, "parse", lambda name: target)
    np.testing.assert_array_equal(run({"x": x}, P.matmul(x, w), feeds, base, precision), want)


@pytest.mark.parametrize("target", TARGETS)
def test_the_order_of_sums(target: str) -> None:
    """Pairs of 32 neighbours: even and odd places by themselves, both together, and then with what was summed before. Subnormal numbers are 0."""
    g = np.random.default_rng(3)
    left, right = (rounded(g.standard_normal(shape)).astype(np.float32) for shape in ((20, 150), (150, 40)))
    left[3, 5], left[4] = 1e-39, 0
    left[4, 0], right[0, 7] = 2.0**-100, 2.0**-30
    total = np.zeros((20, 40), np.float32)
    padded = np.pad(np.where(np.abs(left) < 2.0**-126, 0, left), [(0, 0), (0, 10)]), np.pad(right, [(0, 10), (0, 0)])
    for chunk in range(0, 160, 32):
        sums = np.zeros((2, 20, 40), np.float32)
        for pair in range(chunk, chunk + 32, 2):
            for part in range(2):
                # Products of two numbers of 8 bits are exact.
                sums[part] += padded[0][:, pair + part, None] * padded[1][pair + part]
        total += sums[0] + sums[1]
    total[4, 7] = 0
    x = P.Input(left.shape, DataType.FLOAT, "x")
    np.testing.assert_array_equal(run({"x": x}, P.matmul(x, P.constant(right)), {"x": left}, target), total)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_what_is_no_number_stays_in_its_rows_and_columns(target: str, precision: str) -> None:
    """Zeros that fill tiles up meet no number that is none, and the parts of an infinity do not cancel one another."""
    g = np.random.default_rng(5)
    left, right = g.standard_normal((35, 40), np.float32), g.standard_normal((40, 50), np.float32)
    left[1, 39], left[32, 0], right[39, 49], right[3, 2], right[7, 3], left[33, 1] = np.inf, np.nan, -np.inf, 3e37, -np.inf, -np.inf
    right[1, 4] = 0
    if precision == "float32":  # bfloat16 rounds it to an infinity
        left[34, 2], right[2] = 3.4028e38, g.standard_normal(50) / 8
    with np.errstate(invalid="ignore", over="ignore"):
        want = (multiplied(left, precision) @ multiplied(right, precision)).astype(np.float32)
    x = P.Input(left.shape, DataType.FLOAT, "x")
    got = run({"x": x}, P.matmul(x, P.constant(right)), {"x": left}, target, precision)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


# -- float32 in three parts -----------------------------------------------------------------------------------------
def test_parts_are_the_number() -> None:
    g = np.random.default_rng(6)
    numbers = np.concatenate([np.ldexp(g.standard_normal(2000), g.integers(-100, 120, 2000)).astype(np.float32), np.float32([0, 3.4028e38, -3.4028e38])])
    parts = split(numbers, 3)
    assert all(np.array_equal(part, rounded(part)) for part in parts)
    np.testing.assert_array_equal(sum(part.astype(np.float64) for part in parts), numbers)
    assert np.all(np.abs(parts[2]) <= np.abs(numbers) * 2.0**-16)
    odd = np.float32([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(split(odd, 3), [odd, np.zeros(3), np.zeros(3)])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("depth, scale", [(40, 1), (768, 2.0**-80), (4608, 1), (10000, 1)])
def test_sums_are_better_than_those_of_vectors(target: str, depth: int, scale: float) -> None:
    """Relative errors in norm, against double precision, however small the numbers are."""
    g = np.random.default_rng(depth)
    left, right = (g.standard_normal((20, depth)) * scale).astype(np.float32), g.standard_normal((depth, 30), np.float32)
    x = P.Input(left.shape, DataType.FLOAT, "x")
    want = left.astype(np.float64) @ right
    ours, theirs = (
        np.linalg.norm(run({"x": x}, P.matmul(x, P.constant(right)), {"x": left}, name, "float32") - want) / np.linalg.norm(want) for name in (target, "host")
    )
    assert ours < 2.2e-7
    assert ours < 0.8 * theirs


def test_every_access_is_inside_its_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CHECKED", "1")
    test_convolutions("amx-emulated", True, "float32", 2, 24, 35, 3, 2)
    test_products_of_bytes("amx-emulated", 33, 65, 33, "run")


@pytest.mark.parametrize("target", TARGETS)
def test_a_product_in_a_loop(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is packed again in each turn."""
    monkeypatch.setenv("ONWARD_CPU", target)
    g = np.random.default_rng(4)
    weights, state = (g.standard_normal((40, 40)) / 8).astype(np.float32), g.standard_normal((3, 40)).astype(np.float32)
    b = ModelBuilder("loop")
    x, turns = b.input("x", DataType.FLOAT, [3, 40]), b.constant(np.array(20))
    with b.inner_graph("body") as body:
        for name, kind, shape in (("turn", DataType.INT64, ()), ("go", DataType.BOOL, ()), ("s", DataType.FLOAT, (3, 40))):
            body.inputs.append(body.new_value(TensorType(kind, shape), name))
        body.outputs.extend([b.op("Identity", body.inputs[1]), b.op("Tanh", b.op("MatMul", body.inputs[2], b.constant(weights)))])
    b.output(b.op("Loop", turns, None, x, body=body), "y")
    options = SessionOptions()
    options.add_session_config_entry("onward.precision", "bfloat16")
    (got,) = InferenceSession(b.model().to_bytes(), options).run(None, {"x": state})
    want = state
    for _ in range(20):
        want = np.tanh(rounded(want) @ rounded(weights)).astype(np.float32)
    np.testing.assert_allclose(got, want, rtol=0, atol=0.02)


# -- where tiles are used -------------------------------------------------------------------------------------------
@on_x86
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows, depth, columns, wanted", [(128, 768, 768, True), (196, 1024, 256, True), (1, 768, 768, False), (3136, 64, 4, False)])
def test_sizes_that_are_worth_it(precision: str, rows: int, depth: int, columns: int, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contraction, "is_worth_it", RULE)
    x = P.Input((rows, depth), DataType.FLOAT, "x")
    text = text_of({"x": x}, P.matmul(x, P.constant(np.ones((depth, columns), np.float32))), "amx", precision, monkeypatch)
    assert text.count("void @llvm.x86.tdpbf16ps(i8 ") == wanted * (4 if precision == "bfloat16" else 24)
    x = P.Input((rows, depth), DataType.UINT8, "x")
    text = text_of({"x": x}, P.matmul(x, P.constant(np.ones((depth, columns), np.int8)), DataType.INT32), "amx", precision, monkeypatch)
    assert ("tdpbusd" in text) == wanted


def text_of(inputs: Mapping[str, P.Input], result: P.Array, target: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The LLVM text of the only contraction."""
    return text_of_contraction(lambda: compiled(inputs, result, target, precision), monkeypatch)


def test_other_targets_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    x = P.Input((128, 768), DataType.FLOAT, "x")
    for target in ("host", "generic", "avx2", "avx512", "aarch64"):
        assert not Target.parse(target).tiles
        assert "llvm.x86.tile" not in text_of({"x": x}, P.matmul(x, P.constant(np.ones((768, 768), np.float32))), target, "bfloat16", monkeypatch)


@on_x86
@pytest.mark.parametrize("kind, instruction", [(np.float32, "tdpbf16ps"), (np.int8, "tdpbusd")])
def test_the_processor_s_own_instructions(kind: type, instruction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configured before, released after, two tiles each way that are used twice, and nothing in between."""
    narrow = kind is np.float32
    x = P.Input((128, 768), DataType.FLOAT if narrow else DataType.UINT8, "x")
    product = P.matmul(x, P.constant(np.ones((768, 1000), kind)), DataType.FLOAT if narrow else DataType.INT32)
    code = assembly(text_of({"x": x}, product, "amx", "bfloat16", monkeypatch), Target.parse("amx"))
    found = re.findall(r"^\s+(ldtilecfg|tile\w+|tdp\w+)\b", code, re.MULTILINE)
    assert found == ["ldtilecfg", *["tilezero"] * 4, *["tileloadd"] * 4, *[instruction] * 4, *["tilestored"] * 4, "tilerelease"]
    operands = re.findall(rf"{instruction}\s+%tmm(\d), %tmm(\d), %tmm(\d)", code)
    assert sorted((total, left, right) for right, left, total in operands) == [("0", "4", "6"), ("1", "4", "7"), ("2", "5", "6"), ("3", "5", "7")]
    assert not re.search("spill|reload", code, re.IGNORECASE)


@on_x86
def test_the_processor_s_own_instructions_for_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes: 12 loads for the 20 products of small parts, 4 for those of the large ones."""
    x = P.Input((128, 768), DataType.FLOAT, "x")
    code = assembly(text_of({"x": x}, P.matmul(x, P.constant(np.ones((768, 1000), np.float32))), "amx", "float32", monkeypatch), Target.parse("amx"))
    found = re.findall(r"^\s+(ldtilecfg|tile\w+|tdp\w+)\b", code, re.MULTILINE)
    load, multiply = "tileloadd", "tdpbf16ps"
    small = [*[load] * 4, *[multiply] * 4, *([load] * 2 + [multiply] * 4) * 4]
    assert found == ["ldtilecfg", *["tilezero"] * 4, *small, *[load] * 4, *[multiply] * 4, *["tilestored"] * 4, "tilerelease"]
    assert not re.search("spill|reload", code, re.IGNORECASE)


@pytest.mark.skipif(HAS_AMX, reason="it is here")
def test_it_is_refused_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    b = ModelBuilder("small")
    x = b.input("x", DataType.FLOAT, [2, 2])
    b.output(b.op("MatMul", x, b.constant(np.ones((2, 2), np.float32))), "y")
    monkeypatch.setenv("ONWARD_CPU", "amx")
    with pytest.raises(InvalidArgument, match="AMX.*unset ONWARD_CPU" if HOST.is_x86 else "unset ONWARD_CPU"):
        InferenceSession(b.model().to_bytes())


def test_a_library_cannot_have_it_yet(tmp_path: object) -> None:
    b = ModelBuilder("small")
    b.output(b.op("Relu", b.input("x", DataType.FLOAT, [2, 2])), "y")
    with pytest.raises(InvalidArgument, match="amx"):
        build(b.model(), str(tmp_path), target="amx")
