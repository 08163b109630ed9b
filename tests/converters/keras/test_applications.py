"""A sample of keras.applications with random weights: equal numbers, and one transposition, of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onward

keras = pytest.importorskip("keras")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MobileNet", {"alpha": 0.25}),
        ("MobileNetV2", {"alpha": 0.35}),
        ("MobileNetV3Small", {"minimalistic": False}),
        *(pytest.param(name, {}, marks=pytest.mark.models) for name in ("DenseNet121", "EfficientNetV2B0", "ResNet50V2")),
    ],
)
def test_application(name: str, options: dict[str, Any]) -> None:
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None, **options)
    random = np.random.default_rng(3)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):  # as they start, they let little of the image through
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
    made = onward.convert(model)
    onward.check(made)
    assert sum(node.op_type == "Transpose" for node in made.graph.nodes) <= 2
