"""How a result is compared with what others compute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

TOLERANCE = 1e-5
"""Relative error in norm that single precision is held to."""

Arrays = Mapping[str, np.ndarray]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """|found - expected| / |expected| in the Euclidean norm over all elements; infinite where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    difference = np.linalg.norm((found.astype(np.float64) - expected).ravel())
    return float(difference / max(np.linalg.norm(expected.ravel()), 1e-30))


def onnxruntime_outputs(model: Path | bytes, feeds: Arrays) -> dict[str, np.ndarray]:
    """What onnxruntime computes on two threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, dict(feeds))))
