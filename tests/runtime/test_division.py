"""Whole numbers divided by 0 are an error, in every lane of a vector and behind conditions only where they count."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from onward.errors import RunError
from onward.runtime import InferenceSession

HEADER = '<ir_version: 9, opset_import: ["" : 17]>\n'


@pytest.mark.parametrize("operator", ["Div", "Mod", "Mod<fmod = 1>"])
@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint16, np.int64])
@pytest.mark.parametrize("extent", [1, 5, 64, 1001])
def test_division_by_zero(operator: str, kind: type, extent: int) -> None:
    text = f"g ({np.dtype(kind).name}[N] x, {np.dtype(kind).name}[N] d) => ({np.dtype(kind).name}[N] y) {{ y = {operator}(x, d) }}"
    session = InferenceSession(parser.parse_model(HEADER + text).SerializeToString())
    x, d = np.arange(extent).astype(kind), np.full(extent, 3, kind)
    assert session.run(None, {"x": x, "d": d})[0].shape == (extent,)
    for place in {0, extent // 2, extent - 1}:
        wrong = d.copy()
        wrong[place] = 0
        with pytest.raises(RunError, match="divided by 0"):
            session.run(None, {"x": x, "d": wrong})
    assert session.run(None, {"x": x, "d": d})[0].shape == (extent,)


def test_floats_are_divided_by_zero() -> None:
    text = "g (float[N] x, float[N] d) => (float[N] y) { y = Div(x, d) }"
    session = InferenceSession(parser.parse_model(HEADER + text).SerializeToString())
    x, d = np.array([1, -1, 0], np.float32), np.zeros(3, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x, "d": d})[0], np.array([np.inf, -np.inf, np.nan], np.float32))
