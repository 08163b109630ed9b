"""The types found in whole models, beside those that the onnx package finds."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import onnx
import onnx.backend.test
import onnx.shape_inference
import pytest
from onnx.backend.test.loader import load_model_tests

from onward.ir import TensorType, as_model
from onward.operators import check, infer

DATA = Path(onnx.backend.test.__file__).parent / "data"
OWN = Path(os.environ.get("ONWARD_TEST_MODELS", "/nowhere"))
"""A folder of further models to look at."""

MODELS = sorted([*DATA.glob("light/*.onnx"), *DATA.glob("pytorch-*/*/model.onnx"), *OWN.glob("*.onnx")])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem if path.stem != "model" else path.parent.name)
def test_every_static_extent_is_found(path: Path) -> None:
    model = as_model(path)
    check(model)
    infer(model)
    found = {value.name: value.type for value in model.graph.values()}
    assert all(isinstance(kind, TensorType) and kind.shape is not None for name, kind in found.items() if name)
    plain = onnx.load(path, load_external_data=False)
    expected = onnx.shape_inference.infer_shapes(plain, data_prop=True).graph
    made = {name for node in expected.node for name in node.output}  # a quantiser leaves the types of weights that it has replaced
    for item in [*(item for item in expected.value_info if item.name in made), *expected.output]:
        kind, tensor = found[item.name], item.type.tensor_type
        assert isinstance(kind, TensorType) and kind.dtype == tensor.elem_type, item.name
        if tensor.HasField("shape"):
            assert kind.shape is not None and len(kind.shape) == len(tensor.shape.dim), item.name
            for extent, other in zip(kind.shape, tensor.shape.dim):
                assert not other.HasField("dim_value") or extent == other.dim_value, item.name


def test_shapes_of_the_whole_suite() -> None:
    """Output shapes are taken out of each model of the suite: what onnx.shape_inference finds again is found, and the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [case.model for case in load_model_tests(kind="node") if case.model is not None]
    compared, unknown = 0, []
    for original in models:
        model = onnx.ModelProto()
        model.CopyFrom(original)
        for output in model.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
        try:
            theirs = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph.output
        except onnx.shape_inference.InferenceError:
            continue
        ours = {value.name: value.type for value in infer(as_model(model.SerializeToString())).graph.values()}
        for item in theirs:
            kind, tensor = ours.get(item.name), item.type.tensor_type
            if not item.type.HasField("tensor_type") or not tensor.HasField("shape"):
                continue
            assert isinstance(kind, TensorType) and kind.dtype == tensor.elem_type, original.graph.name
            if kind.shape is None:
                unknown.append(original.graph.name)
                continue
            extents = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
            assert len(kind.shape) == len(extents), original.graph.name
            assert all(b is None or a == b for a, b in zip(kind.shape, extents)), f"{original.graph.name}: {kind} {extents}"
            compared += 1
    assert compared > 1200
    assert len(unknown) <= 44, "of nodes whose axes or sizes are inputs, nothing is said before the run"
