"""Conversions to operator sets that are older than what the converters write."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import onward


@pytest.mark.parametrize("version", [13, 15, 17])
@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), GradientBoostingClassifier(n_estimators=3), KNeighborsClassifier(3)], ids=lambda item: type(item).__name__
)
def test_estimators(estimator: object, version: int) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    fitted = estimator.fit(rows, (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0.5))  # type: ignore[attr-defined]
    model = onward.convert(fitted, rows, opset=version)
    assert model.opset_imports[""] == version
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {session.get_inputs()[0].name: rows})[0]
    np.testing.assert_allclose(probabilities, fitted.predict_proba(rows), rtol=0, atol=1e-6)


def test_modules() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.LayerNorm(4)).eval()
    images = torch.randn(2, 3, 8, 8)
    model = onward.convert(module, (images,), opset=13)
    assert model.opset_imports[""] == 13
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(got, module(images).detach().numpy(), rtol=0, atol=1e-5)
