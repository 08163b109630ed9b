"""Estimators that were fitted on sparse rows, and labels that truth values choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

import onward

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM


def rows() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((60, 5))
    x[np.abs(x) < 0.5] = 0
    return x


TWO = (rows()[:, 0] + rows()[:, 1] > 0).astype(int)
THREE = np.digitize(rows()[:, 0], [-0.3, 0.4])


@pytest.mark.parametrize(
    "estimator, target",
    [
        (SVC(), TWO), (SVC(kernel="linear"), THREE), (SVC(kernel="poly", decision_function_shape="ovo"), THREE), (NuSVC(nu=0.2), TWO),
        (SVR(), rows()[:, 2]), (OneClassSVM(), None), (LogisticRegression(), THREE), (Ridge(), rows()[:, 2]),
    ],
    ids=lambda item: type(item).__name__,
)  # fmt: skip
def test_fitted_on_sparse_rows(estimator: Any, target: np.ndarray | None) -> None:
    x = rows()
    fitted = estimator.fit(sparse.csr_array(x), target)
    model = onward.convert(fitted, x[:4])
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    first = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.testing.assert_allclose(np.ravel(first), fitted.predict(sparse.csr_array(x)), rtol=1e-9, atol=1e-9)


def test_boosting_of_two_classes() -> None:
    onward.convert(AdaBoostClassifier(n_estimators=5).fit(rows(), TWO), rows()[:4])
