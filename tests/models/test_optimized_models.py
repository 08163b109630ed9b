"""Models as onnxruntime's optimiser and quantiser write them: operators of com.microsoft, QDQ, QLinear and dynamic forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime import GraphOptimizationLevel
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

import onward
from tests.models.comparison import relative_error

pytestmark = pytest.mark.models

NAMES = ("mobilenetv2", "minilm")


class Calibration(CalibrationDataReader):
    """One batch."""

    def __init__(self, feeds: dict[str, np.ndarray]) -> None:
        self.rest = [feeds]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.rest.pop() if self.rest else None


def feeds_of(folder: Path, name: str) -> dict[str, np.ndarray]:
    references = np.load(folder / f"{name}.npz")
    session = onnxruntime.InferenceSession(folder / f"{name}_static.onnx")
    return {item.name: references[f"small:{item.name}"] for item in session.get_inputs()}


def optimized(path: Path, result: Path) -> Path:
    """What onnxruntime makes of the model, all levels but the one for a single machine."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(result)
    onnxruntime.InferenceSession(str(path), options)
    return result


def errors(path: Path, feeds: dict[str, np.ndarray]) -> list[float]:
    """Relative errors, in norm, against onnxruntime on the same file without its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = onnxruntime.InferenceSession(str(path), options).run(None, feeds)
    found = onward.InferenceSession(path).run(None, feeds)
    return [relative_error(ours, theirs) for ours, theirs in zip(found, expected, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_fused_operators(model_folder: Path, name: str, tmp_path: Path) -> None:
    path = optimized(model_folder / f"{name}_static.onnx", tmp_path / "model.onnx")
    assert max(errors(path, feeds_of(model_folder, name))) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_dynamic_quantisation(model_folder: Path, name: str, tmp_path: Path) -> None:
    """Ranges are found during the run, so a last place of a float may move a rounding, which then goes through all layers:
    the result is as near to that of the model before quantisation as onnxruntime's is."""
    path, feeds = model_folder / f"{name}_static.onnx", feeds_of(model_folder, name)
    quantize_dynamic(path, tmp_path / "model.onnx")
    exact = onnxruntime.InferenceSession(path).run(None, feeds)
    ours = onward.InferenceSession(tmp_path / "model.onnx").run(None, feeds)
    theirs = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, feeds)
    for left, right, expected in zip(ours, theirs, exact, strict=True):
        assert relative_error(left, expected) <= 1.25 * relative_error(right, expected) + 1e-5
        assert relative_error(left, right) < 0.5 * relative_error(right, expected) + 1e-5


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_static_quantisation(model_folder: Path, form: Any, tmp_path: Path) -> None:
    """Roundings of halves may fall to either side, so a few last places of the 8 bits differ."""
    feeds = feeds_of(model_folder, "mobilenetv2")
    quantize_static(model_folder / "mobilenetv2_static.onnx", tmp_path / "model.onnx", Calibration(feeds), quant_format=form)
    assert max(errors(tmp_path / "model.onnx", feeds)) < 0.05
    fused = optimized(tmp_path / "model.onnx", tmp_path / "fused.onnx")
    assert max(errors(fused, feeds)) < 0.05
