"""The functions of `onward.backend` beside the suite."""

from __future__ import annotations

import numpy as np
import onnx.backend.base
import pytest
from onnx import helper

import onward.backend as backend
from onward.errors import InvalidArgument, InvalidInput

NODE = helper.make_node("Add", ["x", "y"], ["z"])
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_it_is_a_backend_of_the_onnx_package() -> None:
    assert issubclass(backend.OnwardBackend, onnx.backend.base.Backend)


def test_run_node_takes_the_types_of_its_inputs() -> None:
    outputs = backend.run_node(NODE, [X, X[:1]], evaluator="reference")
    np.testing.assert_array_equal(outputs[0], X + X[:1])
    assert outputs.z is outputs[0]


def test_run_node_in_an_older_version() -> None:
    node = helper.make_node("Unsqueeze", ["x"], ["y"], axes=[0])
    (result,) = backend.run_node(node, [X], opset_version=11, evaluator="reference")
    assert result.shape == (1, 2, 3)


def test_inputs_by_name_or_in_order() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Sub", ["a", "b"], ["c"])],
            "g",
            [helper.make_tensor_value_info(name, 1, ["n"]) for name in "ab"],
            [helper.make_tensor_value_info("c", 1, ["n"])],
        )
    )
    prepared = backend.prepare(model, evaluator="reference")
    one, two = np.ones(2, np.float32), np.full(2, 2, np.float32)
    np.testing.assert_array_equal(prepared.run([two, one])[0], one)
    np.testing.assert_array_equal(prepared.run({"b": two, "a": one})[0], -one)
    with pytest.raises(InvalidInput, match="2 inputs, got 3"):
        prepared.run([one, one, one])


def test_other_devices_and_evaluators_are_refused() -> None:
    assert backend.supports_device("CPU") and not backend.supports_device("CUDA:0")
    with pytest.raises(InvalidArgument, match="CUDA"):
        backend.run_node(NODE, [X, X], device="CUDA")
    with pytest.raises(InvalidArgument, match="native, reference"):
        backend.run_node(NODE, [X, X], evaluator="magic")
    with pytest.raises(InvalidInput, match="reads 2 values, got 1"):
        backend.run_node(NODE, [X])
