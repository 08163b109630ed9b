"""Every page at symbolic sizes: the node tests of the onnx package with each extent of each tensor input a symbol.

Small integer vectors (axes, shapes, amounts) are constants, as they are in models.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from onward import program as P
from onward.ir import DataType, Model, Tensor, TensorType, as_model
from onward.operators import lower, unsupported_operators
from onward.runtime import InferenceSession

NEEDS_STATIC = {
    "GRU", "LSTM", "RNN", "Loop", "Scan", "If", "SplitToSequence", "SequenceMap", "DFT", "STFT", "Det",
    "MelWeightMatrix", "Attention", "ConstantOfShape", "OptionalGetElement", "OptionalHasElement",
    "LinearAttention",
}  # fmt: skip
"""Operators whose number of turns or of outputs is an extent, or whose input's length is the rank of the result,
or is no tensor."""

STATIC_INPUTS = {"GatherND": "indices", "ScatterND": "indices", "Resize": "roi scales", "Upsample": "scales"}
"""Inputs of which an extent is the rank of something."""

EXCLUDED = {
    "test_attention_4d_causal_fp16": "expects rounding to float16 after each step",
    "test_unique_sorted_with": "slices are compared element by element, so their size must be known",
    "test_bernoulli": "expects NumPy's random numbers",
    "test_resize_upsample_sizes_nearest_not": "the common scale is a ratio of static extents",
    "test_resize_downsample_sizes_nearest_not": "the common scale is a ratio of static extents",
}
"""beginnings of test names -> why they are left out"""


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    return [case for case in found if len(case.model.graph.node) == 1 and not case.name.startswith("test_training")]


def plain(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def is_parameter(value: np.ndarray) -> bool:
    return value.dtype.kind in "iu" and value.ndim <= 1 or value.size == 0 or value.dtype == bool and value.ndim == 0


def symbolic(name: str, shape: tuple[int, ...]) -> tuple[P.Dimension, ...]:
    return tuple(P.Symbol(f"{name}{axis}") if extent != 1 else 1 for axis, extent in enumerate(shape))


CASES = cases()


def prepare(case: Any) -> tuple[Model, dict[str, np.ndarray], dict[str, np.ndarray], list[np.ndarray]]:
    """The model with symbolic inputs; its feeds, those of them that are constants, and the outputs expected."""
    model = as_model(case.model)
    inputs, expected = ([plain(value) for value in values] for values in case.data_sets[0])
    operator = case.model.graph.node[0].op_type
    if unsupported_operators(model) or operator in NEEDS_STATIC or case.name.startswith(tuple(EXCLUDED)):
        pytest.skip("no page, or sizes that must be static")
    if any(not isinstance(value, np.ndarray) or value.dtype.kind in "OUS" for value in (*inputs, *expected)):
        pytest.skip("no numeric tensors")
    feeds = dict(zip([value.name for value in model.graph.inputs], inputs))
    static = STATIC_INPUTS.get(operator, "").split()
    constants = {n: value for n, value in feeds.items() if is_parameter(value) or n in static and value.ndim == 1}
    for value in model.graph.inputs:
        shape = feeds[value.name].shape
        kind = DataType.of(feeds[value.name].dtype)
        value.type = TensorType(kind, shape if value.name in static else symbolic(value.name, shape))
    for value in model.graph.outputs:
        value.type = None
    return model, feeds, constants, expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore")
def test_symbolic_sizes(case: Any) -> None:
    model, feeds, constants, expected = prepare(case)
    program = lower(model, constants=constants)
    results = P.evaluate(list(program.outputs.values()), {item: feeds[item.label] for item in program.inputs})
    Runner.assert_similar_outputs(expected, results, max(case.rtol, 1e-3), max(case.atol, 1e-6))


@pytest.mark.parametrize("case", CASES[::15], ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore")
def test_symbolic_sizes_in_compiled_code(case: Any) -> None:
    """A sample; each model compiles in some tens of milliseconds."""
    model, feeds, constants, expected = prepare(case)
    for value in [value for value in model.graph.inputs if value.name in constants]:
        value.tensor = Tensor.of(constants[value.name])
        model.graph.initializers[value.name] = value
        model.graph.inputs.remove(value)
    session = InferenceSession(model)
    results = session.run(None, {name: value for name, value in feeds.items() if name not in constants})
    Runner.assert_similar_outputs(expected, results, max(case.rtol, 1e-3), max(case.atol, 1e-6))


def test_sizes_may_be_named_like_what_programs_name_themselves() -> None:
    """A size that a routine finds in one model is not one of another model that has that name, and no index variable is a size."""
    points = InferenceSession(onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (int64[1, m] y) { y = NonZero(x) }'))
    found = str(points.get_outputs()[0].shape[1])
    prefix, _, number = str(P.fresh_symbol("i")).rpartition("@")
    names = [found, found.replace("@", ""), "m"] + [f"{prefix}@{int(number) + step}" for step in range(1, 40, 3)]
    generator = np.random.default_rng(0)
    for name in names:
        model = onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> g (float[a, b] x, float[b, 3] w) => (float[a, 3] y) { p = MatMul(x, w) y = Softmax(p) }'
        )
        for value, axis in ((model.graph.input[0], 0), (model.graph.output[0], 0)):
            value.type.tensor_type.shape.dim[axis].dim_param = name
        assert as_model(as_model(model).to_bytes()).to_bytes() == as_model(model).to_bytes()
        assert onnx.load_from_string(as_model(model).to_bytes()).graph.input[0].type.tensor_type.shape.dim[0].dim_param == name
        x, w = generator.standard_normal((5, 4), np.float32), generator.standard_normal((4, 3), np.float32)
        session = InferenceSession(model)
        assert session.get_inputs()[0].shape == [name, "b"]
        (got,) = session.run(None, {"x": x, "w": w})
        powers = np.exp(x @ w)
        np.testing.assert_allclose(got, powers / powers.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("bound", ["starts", "ends"])
def test_slice_from_the_end_by_a_size(bound: str) -> None:
    """Minus the size of another input: the last elements, or all but these; minus 0 is 0."""
    bounds = {"starts": ["minus", "huge"], "ends": ["zero", "minus"]}[bound]
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]), helper.make_node("Neg", ["size"], ["minus"]),
        helper.make_node("Slice", ["data", *bounds], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "from_the_end",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [f"{name}_size"]) for name in ("data", "x")],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["y_size"])],
        [numpy_helper.from_array(np.array([value]), name) for name, value in (("zero", 0), ("huge", 2**63 - 1))],
    )  # fmt: skip
    session = InferenceSession(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    data = np.arange(8, dtype=np.float32)
    for size in (0, 1, 3, 8, 9):
        (found,) = session.run(None, {"data": data, "x": np.zeros(size, np.float32)})
        np.testing.assert_array_equal(found, data[-size:] if bound == "starts" else data[:-size])


@pytest.mark.parametrize("step", [1, 2, -1, -2])
@pytest.mark.parametrize("bound", ["starts", "ends"])
def test_slice_by_the_difference_of_two_sizes(bound: str, step: int) -> None:
    """Which is negative for some sizes and not for others, and then counts from the end."""
    other = {("starts", True): "huge", ("starts", False): "tiny", ("ends", True): "zero", ("ends", False): "last"}[bound, step > 0]
    nodes = [
        helper.make_node("Shape", ["data"], ["size"]), helper.make_node("Shape", ["x"], ["other"]), helper.make_node("Sub", ["other", "size"], ["difference"]),
        helper.make_node("Slice", ["data", *(["difference", other] if bound == "starts" else [other, "difference"]), "zero", "step"], ["y"]),
    ]  # fmt: skip
    numbers = {"zero": 0, "last": -1, "huge": 2**63 - 1, "tiny": -(2**63), "step": step}
    graph = helper.make_graph(
        nodes, "by_a_difference",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [f"{name}_size"]) for name in ("data", "x")],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["y_size"])],
        [numpy_helper.from_array(np.array([value]), name) for name, value in numbers.items()],
    )  # fmt: skip
    session = InferenceSession(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    for size, length in ((size, length) for size in (0, 1, 2, 5) for length in range(12)):
        data = np.arange(size, dtype=np.float32)
        (found,) = session.run(None, {"data": data, "x": np.zeros(length, np.float32)})
        chosen = slice(length - size, None, step) if bound == "starts" else slice(None, length - size, step)
        np.testing.assert_array_equal(found, data[chosen], err_msg=f"{size} of {length}")
