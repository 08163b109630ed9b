"""inline, extract, merge, rename and diff."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

import onward
from onward.errors import InvalidArgument

TWO_LAYERS = """<ir_version: 8, opset_import: ["" : 17]> two (float[N, 3] x) => (float[N, 2] y)
    <float[3, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float[4, 2] v = {1, 2, 3, 4, 5, 6, 7, 8}>
    { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }"""
CALLS = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]> calls (float[N] x) => (float[N] y)
    { a = local.twice(x) y = local.twice(a) }
    <domain: "local", opset_import: ["" : 17]> twice (x) => (y) { y = Add(x, x) }"""


def data(text: str) -> bytes:
    return parser.parse_model(text).SerializeToString()


def run(model: object, **feeds: np.ndarray) -> list[np.ndarray]:
    return onward.InferenceSession(model).run(None, feeds)


X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def test_functions_in_the_place_of_their_calls() -> None:
    model = onward.inline(data(CALLS))
    assert not model.functions and [node.op_type for node in model.graph.nodes] == ["Add", "Add"]
    onnx.checker.check_model(model.to_bytes(), full_check=True)
    x = np.ones(3, np.float32)
    np.testing.assert_array_equal(run(model, x=x)[0], 4 * x)


def test_a_part_of_a_model() -> None:
    whole = data(TWO_LAYERS)
    first, second = onward.extract(whole, ["x"], ["r"]), onward.extract(whole, ["r"], ["y"])
    for part in (first, second):
        onnx.checker.check_model(part.to_bytes(), full_check=True)
    assert list(first.graph.initializers) == ["w"] and list(second.graph.initializers) == ["v"]
    (r,) = run(first, x=X)
    np.testing.assert_array_equal(run(second, r=r)[0], run(whole, x=X)[0])
    np.testing.assert_array_equal(run(onward.extract(whole, None, ["h"]), x=X)[0], X @ np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3], np.float32).reshape(3, 4))
    with pytest.raises(InvalidArgument, match="did you mean"):
        onward.extract(whole, ["x"], ["yy"])
    with pytest.raises(InvalidArgument, match=r"depend on the inputs \['x'\]"):
        onward.extract(whole, ["v"], ["y"])


def test_models_put_together() -> None:
    whole = data(TWO_LAYERS)
    first, second = onward.extract(whole, ["x"], ["r"]), onward.extract(whole, ["r"], ["y"])
    for joined in (onward.merge(first, second), onward.merge(first, second, [("r", "r")], prefix1="a/", prefix2="b/")):
        onnx.checker.check_model(joined.to_bytes(), full_check=True)
        (name,) = (item.name for item in onward.InferenceSession(joined).get_inputs())
        np.testing.assert_array_equal(run(joined, **{name: X})[0], run(whole, x=X)[0])
    with pytest.raises(InvalidArgument, match="prefix"):
        onward.merge(whole, onward.rename(whole, {"x": "y1", "y": "x1"}), {"y": "y1"})
    with pytest.raises(InvalidArgument, match="no output 'z'"):
        onward.merge(first, second, [("z", "r")])
    with pytest.raises(InvalidArgument, match="convert_version"):
        onward.merge(first, onward.convert_version(second, 18), [("r", "r")])


def test_new_names() -> None:
    model = onward.rename(data(TWO_LAYERS), {"x": "pixels", "w": "weights"})
    onnx.checker.check_model(model.to_bytes(), full_check=True)
    np.testing.assert_array_equal(run(model, pixels=X)[0], run(data(TWO_LAYERS), x=X)[0])
    assert "weights" in model.graph.initializers
    with pytest.raises(InvalidArgument, match="has that name"):
        onward.rename(model, {"pixels": "y"})
    prefixed = onward.add_prefix(data(TWO_LAYERS), "net/")
    onnx.checker.check_model(prefixed.to_bytes(), full_check=True)
    assert [value.name for value in prefixed.graph.inputs] == ["net/x"]


def test_what_is_different() -> None:
    one = data(TWO_LAYERS)
    assert onward.diff(one, one) == []
    assert onward.diff(one, onward.rename(one, {"h": "hidden"})) == []
    other = TWO_LAYERS.replace("{1, 2, 3, 4, 5, 6, 7, 8}>", "{1, 2, 3, 4, 5, 6, 7, 8.5}>").replace("Relu", "Tanh").replace(": 17", ": 18")
    shown = [str(item) for item in onward.diff(one, data(other))]
    assert any("version of ai.onnx: 17 -> 18" in line for line in shown)
    assert any("only in the first" in line and "Relu" in line for line in shown)
    assert any("only in the second" in line and "Tanh" in line for line in shown)
    assert any("1 differ, by up to 0.5" in line for line in shown)
