"""The types found in whole models, beside those that the onnx package finds."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnx.backend.test
import onnx.shape_inference
import pytest

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
    for item in [*expected.value_info, *expected.output]:
        kind, tensor = found[item.name], item.type.tensor_type
        assert isinstance(kind, TensorType) and kind.dtype == tensor.elem_type, item.name
        if tensor.HasField("shape"):
            assert kind.shape is not None and len(kind.shape) == len(tensor.shape.dim), item.name
            for extent, other in zip(kind.shape, tensor.shape.dim):
                assert not other.HasField("dim_value") or extent == other.dim_value, item.name
