"""Exported models give what PyTorch and onnxruntime give, at every size that their file allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
import pytest

import onward
from tests.models.comparison import TOLERANCE, onnxruntime_outputs, relative_error

pytestmark = pytest.mark.models

NAMES = ("resnet50", "mobilenetv2", "convnext", "vit", "bert", "gpt2", "minilm")
VARIANTS = {"static": ("small",), "dynamic": ("small", "large"), "legacy": ("small", "large")}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_same_numbers_as_pytorch_and_onnxruntime(model_folder: Path, name: str, variant: str) -> None:
    path = model_folder / f"{name}_{variant}.onnx"
    references = np.load(model_folder / f"{name}.npz")
    session = onward.InferenceSession(path)
    errors: dict[str, float] = {}
    for size in VARIANTS[variant]:
        feeds = {item.name: references[f"{size}:{item.name}"] for item in session.get_inputs()}
        found = dict(zip([item.name for item in session.get_outputs()], session.run(None, feeds)))
        peer = onnxruntime_outputs(path, feeds)
        for output, array in found.items():
            assert array.dtype == np.float32 and np.isfinite(array).all()
            for precision in ("single", "double"):
                expected = references[f"{size}:{precision}:{output}"]
                errors[f"{size} {output} against PyTorch in {precision} precision"] = relative_error(array, expected)
            errors[f"{size} {output} against onnxruntime"] = relative_error(array, peer[output])
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("name", NAMES)
def test_optimised_model_is_valid_and_equal(model_folder: Path, name: str, tmp_path: Path) -> None:
    """What the optimiser writes is a valid model for others, with the same answer."""
    path = model_folder / f"{name}_dynamic.onnx"
    references = np.load(model_folder / f"{name}.npz")
    optimised = onward.optimize(path)
    onward.check(optimised)
    onward.save(optimised, tmp_path / "optimised.onnx")
    names = [value.name for value in optimised.graph.inputs]
    found = onnxruntime_outputs(tmp_path / "optimised.onnx", {item: references[f"large:{item}"] for item in names})
    for output, array in found.items():
        assert relative_error(array, references[f"large:double:{output}"]) <= TOLERANCE


def _without_weights(model: Any) -> Any:
    """The model with its large tensors as inputs: their shapes say all, and onnx copies the rest several times."""
    large = [tensor for tensor in model.graph.initializer if tensor.ByteSize() > 4096]
    for tensor in large:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        model.graph.initializer.remove(tensor)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_unknown_after_shape_inference(model_folder: Path, name: str) -> None:
    """Every value has a rank, and every size that onnx's own inference finds is found."""
    for variant in VARIANTS:
        path = model_folder / f"{name}_{variant}.onnx"
        inferred = onward.infer_shapes(path)
        types = {value.name: value.shape for value in inferred.graph.values()}
        unknown = [item for item, shape in types.items() if item and (shape is None or None in shape)]
        assert not unknown, f"{variant}: {unknown[:10]}"
        peer = onnx.shape_inference.infer_shapes(_without_weights(onnx.load(path, load_external_data=False)), data_prop=True)
        for value in peer.graph.value_info:
            for found, item in zip(types[value.name] or (), value.type.tensor_type.shape.dim):
                assert not item.HasField("dim_value") or found == item.dim_value, (variant, value.name)
