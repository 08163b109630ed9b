"""The example of docs/architecture.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from onnx import parser

from onward import program as P
from onward.ir import as_model
from onward.operators import infer, lower

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"

MODEL = """
<ir_version: 9, opset_import: ["" : 18, "com.example" : 1]>
g (float[rows, 4] left, float[rows, 4] right, float[rows] weights) => (float[a, b] y) {
    mixed = com.example.Blend<bias: float = 1.0>(left, right, weights)
    y = Relu(mixed)
}"""


def test_the_worked_example() -> None:
    text = PAGE.read_text().split("### How to add an operator")[1]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    exec(found.group(1), {})  # noqa: S102 (our own page)
    model = infer(as_model(parser.parse_model(MODEL)))
    assert [str(extent) for extent in model.graph.outputs[0].shape or ()] == ["rows", "4"]
    program = lower(model)
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((3, 4)).astype(np.float32) for _ in range(2))
    weights = random.random(3).astype(np.float32)
    (y,) = P.evaluate([program.outputs["y"]], {"left": left, "right": right, "weights": weights})
    expected = weights[:, None] * left + (1 - weights[:, None]) * right + 1
    np.testing.assert_allclose(y, np.maximum(expected, 0), rtol=1e-6)
