"""Rows as sums of parts and places among neighbours, in the ways that `test_estimators.py` does not go."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import NMF, MiniBatchNMF, SparseCoder
from sklearn.kernel_approximation import PolynomialCountSketch
from sklearn.manifold import Isomap, LocallyLinearEmbedding

import onward

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((60, 6))
ATOMS = RANDOM.standard_normal((8, 6))
ATOMS /= np.linalg.norm(ATOMS, axis=1, keepdims=True)

ESTIMATORS: dict[str, Any] = {
    "Kullback-Leibler, with a rest": NMF(3, solver="mu", beta_loss="kullback-leibler", max_iter=57),
    "Itakura-Saito": NMF(3, solver="mu", beta_loss="itakura-saito"), "penalties": NMF(3, solver="mu", beta_loss=1.5, alpha_W=0.01, l1_ratio=0.5),
    "batches": MiniBatchNMF(3, batch_size=20, beta_loss="kullback-leibler"),
    "thresholds": SparseCoder(ATOMS, transform_algorithm="threshold", transform_alpha=0.3, split_sign=True),
    "positive Lasso": SparseCoder(ATOMS, transform_algorithm="lasso_cd", transform_alpha=0.1, positive_code=True),
    "least angles": SparseCoder(ATOMS, transform_algorithm="lars", transform_n_nonzero_coefs=4),
    "Lasso by least angles": SparseCoder(ATOMS, transform_algorithm="lasso_lars", transform_alpha=0.2),
    "positive least angles": SparseCoder(ATOMS, transform_algorithm="lasso_lars", transform_alpha=0.05, positive_code=True),
    "matching pursuit": SparseCoder(ATOMS, transform_n_nonzero_coefs=4), "many neighbours": LocallyLinearEmbedding(n_neighbors=9, reg=1e-2),
    "radius": Isomap(n_neighbors=None, radius=3.5), "sketches": PolynomialCountSketch(degree=3, coef0=1, gamma=0.5, n_components=20),
}  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATORS)
def test_transforms(name: str) -> None:
    estimator = ESTIMATORS[name]
    rows = np.abs(ROWS) + 0.01 if "NMF" in type(estimator).__name__ else ROWS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows)
        model = onward.convert(estimator, rows, methods=["transform"])
        found = onward.InferenceSession(model).run(None, {"x": rows})[0]
        np.testing.assert_allclose(found, estimator.transform(rows), rtol=1e-9, atol=1e-9)
