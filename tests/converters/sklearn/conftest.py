"""What all tests of scikit-learn's estimators have in common."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Estimators without a seed of their own draw NumPy's numbers when they are fitted: the same whatever ran before."""
    np.random.seed(0)
