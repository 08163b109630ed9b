"""Inputs that are smaller than the windows that go over them: nothing may be computed of a size below 0."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onward
from onward.errors import InferenceError, InvalidInput, OnwardError

AXES = numpy_helper.from_array(np.array([2, 3]), "axes")
WEIGHTS = numpy_helper.from_array(np.ones((2, 1, 5, 5), np.float32), "w")


def _model(nodes: list[onnx.NodeProto], rank: int, spatial: tuple[int | str, int | str] = ("h", "w")) -> bytes:
    graph = helper.make_graph(
        nodes,
        "windows",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1, *spatial])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * rank)],
        [AXES, WEIGHTS],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


CASES = {
    "an output": ([helper.make_node("Conv", ["x", "w"], ["y"], "windows")], 4),
    "within": ([helper.make_node("Conv", ["x", "w"], ["c"], "windows"), helper.make_node("ReduceSum", ["c", "axes"], ["y"], keepdims=0)], 2),
    "grown again": (
        [
            helper.make_node("AveragePool", ["x"], ["c"], "windows", kernel_shape=[5, 5]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("MaxPool", ["r"], ["y"], kernel_shape=[3, 3], pads=[2, 2, 2, 2]),
        ],
        4,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_input_smaller_than_a_window_is_refused(case: str) -> None:
    """With the node's name, before anything runs; and the session goes on with others."""
    nodes, rank = CASES[case]
    session = onward.InferenceSession(_model(nodes, rank))
    for shape in ((1, 1, 3, 3), (1, 1, 9, 2), (2, 1, 2, 7)):
        with pytest.raises(InvalidInput, match=r"'windows'.*size of the result would be negative"):
            session.run(None, {"x": np.ones(shape, np.float32)})
    assert session.run(None, {"x": np.ones((1, 1, 9, 9), np.float32)})[0].size


def test_known_sizes_are_refused_when_the_model_is_compiled() -> None:
    """The node is named, too."""
    nodes, rank = CASES["within"]
    with pytest.raises(InferenceError, match=r"'windows'.*size of the result would be negative"):
        onward.InferenceSession(_model(nodes, rank, (3, 9)))


def test_a_branch_that_is_not_taken_asks_for_nothing() -> None:
    """Only where an input is large enough is a window moved over it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["height"], start=2, end=3),
        helper.make_node("ReduceMin", ["height"], ["least"], keepdims=0),
        helper.make_node("Constant", [], ["five"], value_int=5),
        helper.make_node("Less", ["least", "five"], ["small"]),
        helper.make_node(
            "If",
            ["small"],
            ["y"],
            then_branch=helper.make_graph([helper.make_node("Identity", ["x"], ["a"])], "then", [], [helper.make_empty_tensor_value_info("a")]),
            else_branch=helper.make_graph(
                [helper.make_node("AveragePool", ["x"], ["b"], kernel_shape=[5, 5])], "else", [], [helper.make_empty_tensor_value_info("b")]
            ),
        ),
    ]
    session = onward.InferenceSession(_model(nodes, 4))
    for height, expected in ((3, 3), (4, 4), (5, 1), (9, 5)):
        assert session.run(None, {"x": np.ones((1, 1, height, 9), np.float32)})[0].shape[2] == expected


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_nothing_cannot_be_repeated(mode: str) -> None:
    """An axis without elements has none that could stand beside it; other axes may be empty."""
    model = _model([helper.make_node("Pad", ["x", "pads", "", "axis"], ["y"], "border", mode=mode)], 4)
    with_amounts = onnx.load_from_string(model)
    with_amounts.graph.initializer.extend([numpy_helper.from_array(np.array([1, 1]), "pads"), numpy_helper.from_array(np.array([3]), "axis")])
    session = onward.InferenceSession(with_amounts.SerializeToString())
    with pytest.raises(InvalidInput, match=r"'border'.*nothing to repeat along axis 3"):
        session.run(None, {"x": np.ones((1, 1, 2, 0), np.float32)})
    assert session.run(None, {"x": np.ones((1, 1, 0, 1), np.float32)})[0].shape == (1, 1, 0, 3)


@pytest.mark.parametrize("known", [True, False])
def test_more_than_there_is_cannot_be_chosen(known: bool) -> None:
    """However the number is given."""
    model = onnx.load_from_string(_model([helper.make_node("TopK", ["x", "k"], ["y", "places"], "greatest", axis=3)], 4))
    if known:
        model.graph.initializer.append(numpy_helper.from_array(np.array([3]), "k"))
    else:
        model.graph.input.append(helper.make_tensor_value_info("k", onnx.TensorProto.INT64, [1]))
    session = onward.InferenceSession(model.SerializeToString())
    more = {} if known else {"k": np.array([3])}
    for width in (0, 1, 2):
        with pytest.raises(OnwardError, match=r"'greatest'.*more elements than there are along axis 3"):
            session.run(None, {"x": np.ones((1, 1, 2, width), np.float32), **more})
    assert session.run(None, {"x": np.ones((1, 1, 2, 3), np.float32), **more})[0].shape == (1, 1, 2, 3)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
def test_there_is_no_greatest_of_nothing(operator: str) -> None:
    """It has no place."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], "best", axis=1, select_last_index=1)],
        "places",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", "m"])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT64, [None, 1])],
    )
    session = onward.InferenceSession(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString())
    with pytest.raises(InvalidInput, match=r"'best'.*no greatest or least of no elements along axis 1"):
        session.run(None, {"x": np.ones((2, 0), np.float32)})
    assert session.run(None, {"x": np.ones((0, 3), np.float32)})[0].shape == (0, 1)


def test_sizes_that_are_divided_by_0() -> None:
    """What has no value is refused with the node's name."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]> g (float[N, M] x) => (float[K, L] y) <int64[1] rest = {-1}> {
        rows = Shape<start = 0, end = 1>(x) columns = Shape<start = 1>(x) parts = Div(rows, columns) sizes = Concat<axis = 0>(parts, rest)
        y = Reshape(x, sizes) }"""
    )
    session = onward.InferenceSession(model)
    assert session.run(None, {"x": np.zeros((4, 2), np.float32)})[0].shape == (2, 4)
    with pytest.raises(InvalidInput, match="(?s)Reshape.*divided by one that is 0"):
        session.run(None, {"x": np.zeros((4, 0), np.float32)})
