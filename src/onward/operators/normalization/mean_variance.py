"""MeanVarianceNormalization."""

from __future__ import annotations

from onward import program as P
from onward.operators.normalization.moments import mean_of_squares
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("MeanVarianceNormalization", since=9)
@computed_wide
def mean_variance_normalization(x: P.Array, *, axes: list[int] | None = None) -> P.Array:
    """(x - mean) / (deviation + 1e-9) over `axes`, which are 0, 2 and 3. ONNX MeanVarianceNormalization-9, -13."""
    places = [0, 2, 3] if axes is None else axes
    centred = x - P.mean(x, places, keepdims=True)
    return P.elementwise(lambda c, v: c / (P.sqrt(v) + 1e-9), centred, mean_of_squares(centred, places))
