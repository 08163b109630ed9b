"""ZipMap, DictVectorizer, CastMap and the probabilities of SVMClassifier, on sessions, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onward.errors import InvalidInput
from onward.runtime import InferenceSession


def sessions(op_type: str, x: Any, y: list[Any], **attributes: Any) -> tuple[Any, Any]:
    names = [f"y{number}" for number in range(len(y))]
    node = helper.make_node(op_type, ["x"], names, domain="ai.onnx.ml", **attributes)
    outputs = [helper.make_value_info(name, kind) for name, kind in zip(names, y)]
    graph = helper.make_graph([node], "g", [helper.make_value_info("x", x)], outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return InferenceSession(data), onnxruntime.InferenceSession(data)


def tensor(kind: int, *shape: Any) -> Any:
    return helper.make_tensor_type_proto(kind, shape)


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [4, 9, 2]}, {"classlabels_strings": ["a", "b", "c"]}])
def test_zip_map(labels: dict[str, Any]) -> None:
    kind = TensorProto.INT64 if "classlabels_int64s" in labels else TensorProto.STRING
    result = helper.make_sequence_type_proto(helper.make_map_type_proto(kind, tensor(TensorProto.FLOAT)))
    ours, theirs = sessions("ZipMap", tensor(TensorProto.FLOAT, None, 3), [result], **labels)
    for count in (1, 4):
        x = np.random.default_rng(0).random((count, 3)).astype(np.float32)
        assert ours.run(None, {"x": x}) == theirs.run(None, {"x": x})


def test_dict_vectorizer() -> None:
    kind = helper.make_map_type_proto(TensorProto.STRING, tensor(TensorProto.FLOAT))
    ours, theirs = sessions("DictVectorizer", kind, [tensor(TensorProto.FLOAT, 1, 3)], string_vocabulary=["a", "b", "c"])
    for x in ({"c": 1.5, "a": 2.5}, {"b": 3.5}):
        np.testing.assert_array_equal(ours.run(None, {"x": x})[0], theirs.run(None, {"x": x})[0])
    with pytest.raises(InvalidInput, match="expected a dictionary"):
        ours.run(None, {"x": [1.0]})


@pytest.mark.parametrize("form", ["DENSE", "SPARSE"])
def test_cast_map(form: str) -> None:
    kind = helper.make_map_type_proto(TensorProto.INT64, tensor(TensorProto.FLOAT))
    ours, theirs = sessions("CastMap", kind, [tensor(TensorProto.INT64, 1, None)], cast_to="TO_INT64", map_form=form, max_map=6)
    x = {3: 1.5, 1: 2.5}
    np.testing.assert_array_equal(ours.run(None, {"x": x})[0], theirs.run(None, {"x": x})[0])


@pytest.mark.parametrize("kernel", ["LINEAR", "RBF", "POLY", "SIGMOID"])
@pytest.mark.parametrize("classes", [3, 4])
def test_probabilities_of_several_classes(classes: int, kernel: str) -> None:
    generator = np.random.default_rng(classes)
    sizes, features = [3] * classes, 4
    pairs = classes * (classes - 1) // 2
    attributes = {
        "kernel_type": kernel, "kernel_params": [0.3, 0.1, 2.0], "vectors_per_class": sizes, "classlabels_ints": list(range(classes)),
        "support_vectors": generator.standard_normal(sum(sizes) * features).tolist(),
        "coefficients": generator.standard_normal((classes - 1) * sum(sizes)).tolist(),
        "rho": generator.standard_normal(pairs).tolist(), "prob_a": (-generator.random(pairs) - 0.5).tolist(),
        "prob_b": generator.standard_normal(pairs).tolist(),
    }  # fmt: skip
    outputs = [tensor(TensorProto.INT64, None), tensor(TensorProto.FLOAT, None, classes)]
    ours, theirs = sessions("SVMClassifier", tensor(TensorProto.FLOAT, None, features), outputs, **attributes)
    x = generator.standard_normal((20, features)).astype(np.float32)
    left, right = ours.run(None, {"x": x}), theirs.run(None, {"x": x})
    np.testing.assert_allclose(left[1], right[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(left[0], right[0])
    assert not ours.runs_in_stages
