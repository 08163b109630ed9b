"""convert_version against the checker of the onnx package, and against what the model computed before."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnx.backend.test.loader import load_model_tests

import onward
from onward.backend import OnwardBackend
from onward.errors import InvalidArgument, UnsupportedOperator

VERSIONS = (7, 9, 11, 13, 16, 18, 21, 24, 28)
EVERY = 6
"""One in so many of the suite's models is converted."""


@functools.cache
def models() -> list[tuple[str, Any, list[np.ndarray]]]:
    """Models of one operator of the default domain, with inputs."""
    found = []
    for case in load_model_tests(kind="node")[::EVERY]:
        values = [*case.model.graph.input, *case.model.graph.output] if case.model and case.data_sets else []
        tensors = values and all(value.type.WhichOneof("value") == "tensor_type" for value in values)
        if tensors and {item.domain for item in case.model.opset_import} == {""}:
            inputs, _ = case.data_sets[0]
            inputs = [numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item for item in inputs]
            found.append((case.name, case.model, inputs))
    return found


def results(data: Any, inputs: list[np.ndarray]) -> list[np.ndarray] | None:
    try:
        return list(OnwardBackend.prepare(data, evaluator="reference").run(list(inputs)))
    except (UnsupportedOperator, onward.errors.RunError):
        return None


@pytest.mark.parametrize("version", VERSIONS)
def test_models_of_the_suite_compute_the_same_in_other_versions(version: int) -> None:
    count: Counter[str] = Counter()
    for name, model, inputs in models():
        own = model.opset_import[0].version
        if own == version:
            continue
        try:
            converted = onward.convert_version(model, version)
        except UnsupportedOperator:
            count["refused"] += 1
            assert own > version or (own == 8 and name == "test_scan_sum"), f"{name} cannot be brought from {own} to {version}"
            continue
        onnx.checker.check_model(converted.to_bytes())
        expected, found = results(model.SerializeToString(), inputs), results(converted.to_bytes(), inputs)
        if expected is None:
            continue
        assert found is not None, name
        count["converted"] += 1
        for left, right in zip(found, expected, strict=True):
            if np.asarray(right).dtype == object:
                assert np.asarray(left).tolist() == np.asarray(right).tolist()
                continue
            kind = np.complex128 if np.asarray(right).dtype.kind == "c" else np.float64
            tolerance = 1e-2 if "16" in str(np.asarray(right).dtype) else 1e-4
            left, right = np.asarray(left).astype(kind), np.asarray(right).astype(kind)
            np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance, err_msg=f"{name} {own} -> {version}")
    assert count["converted"] >= 60, count


def model(text: str, version: int) -> bytes:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : {version}]> {text}').SerializeToString()


def test_down_and_up_again_is_the_same() -> None:
    text = """g (float[N, 4] x, float[4] s, float[4] b) => (float[N, 4] y) {
        n = LayerNormalization(x, s, b) g = Relu(n) u = Unsqueeze(g, axes) q = Squeeze(u, axes) y = Softmax<axis = 1>(q) }"""
    text = text.replace("=> (float[N, 4] y) {", "=> (float[N, 4] y) <int64[1] axes = {0}> {")
    data = model(text, 17)
    old = onward.convert_version(data, 9)
    assert old.opset_imports[""] == 9 and "LayerNormalization" not in {node.op_type for node in old.graph.nodes}
    onnx.checker.check_model(old.to_bytes(), full_check=True)
    new = onward.convert_version(old, 21)
    onnx.checker.check_model(new.to_bytes(), full_check=True)
    x, s, b = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4,), (4,)))
    expected = onward.InferenceSession(data).run(None, {"x": x, "s": s, "b": b})
    for item in (old, new):
        np.testing.assert_allclose(onward.InferenceSession(item).run(None, {"x": x, "s": s, "b": b})[0], expected[0], rtol=1e-5)


def test_graphs_inside_are_converted() -> None:
    text = """g (bool c, float[2, 3] x) => (float[A] y) {
        y = If<then_branch = t() => (float[B] o) { o = ReduceSum<axes = [0], keepdims = 0>(x) },
               else_branch = e() => (float[C] p) { q = Squeeze<axes = [0]>(x1) p = Relu(q) }>(c) }"""
    text = text.replace("=> (float[A] y) {", "=> (float[A] y) { x1 = Unsqueeze<axes = [0]>(z) z = ReduceSum<axes = [1], keepdims = 0>(x)")
    text = text.replace(
        "{ x1 = Unsqueeze<axes = [0]>(z) z = ReduceSum<axes = [1], keepdims = 0>(x)",
        "{ z = ReduceSum<axes = [1], keepdims = 0>(x) x1 = Unsqueeze<axes = [0]>(z)",
    )
    data = model(text, 11)
    converted = onward.convert_version(data, 18)
    onnx.checker.check_model(converted.to_bytes())
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for flag in (True, False):
        feeds = {"c": np.array(flag), "x": x}
        left, right = (onward.InferenceSession(item).run(None, feeds)[0] for item in (data, converted))
        np.testing.assert_array_equal(left, right)


def test_every_node_that_has_no_equal_is_named() -> None:
    text = 'g (float[2, 3] x, float[2, 3] y) => (float[2, 3] z) { a = Einsum<equation = "ij,ij->ij">(x, y) b = Trilu(a) z = Relu(b) }'
    with pytest.raises(UnsupportedOperator, match=r"(?s)Einsum.*version 12.*Trilu.*version 14"):
        onward.convert_version(model(text, 17), 9)


def test_versions_that_there_are_not() -> None:
    data = model("g (float[2] x) => (float[2] y) { y = Relu(x) }", 17)
    for version in (0, 99):
        with pytest.raises(InvalidArgument, match="has no version"):
            onward.convert_version(data, version)
    with pytest.raises(InvalidArgument, match="has no version"):
        onward.convert_version(data, {"com.nobody": 1})


@pytest.mark.parametrize("bounds", ["start = 1", "start = -2, end = -1", "end = 2", "start = 5", "start = -9, end = 9"])
def test_parts_of_shapes_before_version_15(bounds: str) -> None:
    data = model(f"g (float[N, 3, M] x) => (int64[K] y) {{ y = Shape<{bounds}>(x) }}", 17)
    older = onward.convert_version(data, 13)
    x = np.zeros((2, 3, 4), np.float32)
    want, got = (onward.InferenceSession(item).run(None, {"x": x})[0] for item in (data, older))
    np.testing.assert_array_equal(got, want)


def test_reshapes_without_a_zero_before_version_14() -> None:
    text = "g (float[4] x) => (float[2, 2] y) <int64[2] s = {{2, {size}}}> {{ y = Reshape<allowzero = 1>(x, s) }}"
    assert onward.convert_version(model(text.format(size=-1), 17), 13).opset_imports[""] == 13
    with pytest.raises(UnsupportedOperator, match="allowzero"):
        onward.convert_version(model(text.format(size=0), 17), 13)
