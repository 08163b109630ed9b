"""The nine convolutional networks that the onnx package ships without weights, with random ones put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tools.light_models import PATHS, with_open_batch, with_random_weights

import onward
from tests.models.comparison import TOLERANCE, onnxruntime_outputs, relative_error

pytestmark = pytest.mark.models


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_same_numbers_as_onnxruntime(path: Path) -> None:
    data = with_random_weights(path).SerializeToString()
    session = onward.InferenceSession(data)
    (port,) = session.get_inputs()
    feeds = {port.name: np.random.default_rng(0).standard_normal(port.shape).astype(np.float32)}
    expected = onnxruntime_outputs(data, feeds)
    for output, array in zip(session.get_outputs(), session.run(None, feeds)):
        assert np.isfinite(expected[output.name]).all() and np.std(expected[output.name]) > 0
        assert relative_error(array, expected[output.name]) <= TOLERANCE, output.name


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem.endswith(("squeezenet", "shufflenet"))], ids=lambda path: path.stem)
def test_batches_of_any_size(path: Path) -> None:
    model = with_random_weights(path)
    (port,) = onward.InferenceSession(model.SerializeToString()).get_inputs()
    images = np.random.default_rng(0).standard_normal((2, *port.shape[1:])).astype(np.float32)
    expected = [onnxruntime_outputs(model.SerializeToString(), {port.name: image[None]}) for image in images]
    opened = onward.InferenceSession(with_open_batch(model).SerializeToString())
    for output, array in zip(opened.get_outputs(), opened.run(None, {port.name: images})):
        assert relative_error(array, np.concatenate([one[output.name] for one in expected])) <= TOLERANCE, output.name


def test_there_are_nine() -> None:
    assert len(PATHS) == 9
