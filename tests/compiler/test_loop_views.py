"""States of a loop that are views of each other."""

from __future__ import annotations

import numpy as np
import onnx.parser

from onward.converters.builder import ModelBuilder
from onward.ir import Graph, TensorType
from onward.ir.datatypes import DataType
from onward.runtime import InferenceSession


def test_a_state_is_another_one_reshaped() -> None:
    """A condition ends the loop, so that it is not written out; the next first state is the next second one in another shape."""
    b = ModelBuilder("loop")
    x = b.input("x", DataType.FLOAT, [1, 4])
    limit, one, zero = (b.constant(np.array(number, np.int32)) for number in (3, 1, 0))
    true, shape, empty = b.constant(np.array(True)), b.constant(np.array([1, 1, 4])), b.constant(np.zeros((1, 1, 4), np.float32))
    outer, b.graph = b.graph, Graph("body")
    for name, kind, rank in (("turn", DataType.INT64, 0), ("go", DataType.BOOL, 0), ("i", DataType.INT32, 0),
                             ("seen", DataType.FLOAT, 3), ("h", DataType.FLOAT, 2)):  # fmt: skip
        b.graph.inputs.append(b.graph.new_value(TensorType(kind, (None,) * rank), name))
    count = b.op("Add", b.graph.inputs[2], one)
    state = b.op("Tanh", b.op("Add", b.graph.inputs[4], b.graph.inputs[4]))
    results = (b.op("Less", count, limit), count, b.op("Reshape", state, shape), state)
    b.graph.outputs.extend(b.op("Identity", value) for value in results)
    body, b.graph = b.graph, outer
    made = b.op("Loop", None, true, zero, empty, x, body=body, outputs=3)
    for place in (1, 2):
        b.output(made[place], f"out{place}")
    given = np.array([[0.1, -0.2, 0.3, 0.05]], np.float32)
    expected = given
    for _ in range(3):
        expected = np.tanh(expected + expected)
    for result in InferenceSession(b.model().to_bytes()).run(None, {"x": given}):
        np.testing.assert_allclose(result.reshape(1, 4), expected, rtol=1e-6)


def test_two_states_are_one_array_in_two_shapes() -> None:
    """Both next states are reshapes of an array that is no state itself."""
    b = ModelBuilder("loop")
    x, y = b.input("x", DataType.FLOAT, [2, 6]), b.input("y", DataType.FLOAT, [12])
    table, line, other = (b.constant(np.array(shape)) for shape in ([2, 6], [12], [3, 4]))
    factor, turns = b.constant(np.array(0.4, np.float32)), b.constant(np.array(40))
    with b.inner_graph("body") as body:
        for name, kind, shape in (("turn", DataType.INT64, ()), ("go", DataType.BOOL, ()), ("s", DataType.FLOAT, (2, 6)), ("u", DataType.FLOAT, (12,))):
            body.inputs.append(body.new_value(TensorType(kind, shape), name))
        mixed = b.op("Reshape", b.op("Mul", b.op("Add", body.inputs[2], b.op("Reshape", body.inputs[3], table)), factor), other)
        body.outputs.extend([b.op("Identity", body.inputs[1]), b.op("Reshape", mixed, table), b.op("Reshape", mixed, line)])
    for place, made in enumerate(b.op("Loop", turns, None, x, y, body=body, outputs=2)):
        b.output(made, f"out{place}")
    first, second = np.arange(12, dtype=np.float32).reshape(2, 6), np.linspace(0, 1, 12).astype(np.float32)
    found = InferenceSession(b.model().to_bytes()).run(None, {"x": first, "y": second})
    for _ in range(40):
        first = (first + second.reshape(2, 6)) * np.float32(0.4)
        second = first.reshape(12)
    for result in found:
        np.testing.assert_allclose(result.ravel(), second, rtol=1e-5)


def test_sizes_that_a_turn_finds_belong_to_it() -> None:
    """Rows of different lengths, which follow from the turn's number: nothing of a row is computed before the loop."""
    text = """<ir_version: 9, opset_import: ["": 23]>
        rows (float[n] values, int64[m] splits, int64 count) => (float[k] sums)
        <int64[1] end = {-1}, int64[1] zero = {0}, int64 one = {1}, int64 begin = {0}> {
            last, sums = Loop <body = turns (int64 turn, bool condition, int64 place) => (bool again, int64 next, float part) {
                first = Reshape(place, end)
                next = Add(place, one)
                second = Reshape(next, end)
                start = Gather(splits, first)
                stop = Gather(splits, second)
                row = Slice(values, start, stop, zero)
                part = ReduceSum <keepdims = 0> (row, zero)
                again = Identity(condition)
            }> (count, , begin)
        }"""
    values = np.arange(20, dtype=np.float32)
    splits = np.array([0, 2, 2, 5, 20])
    session = InferenceSession(onnx.parser.parse_model(text).SerializeToString())
    (sums,) = session.run(None, {"values": values, "splits": splits, "count": np.array(4)})
    assert sums.tolist() == [values[start:stop].sum() for start, stop in zip(splits, splits[1:])]
