"""Arrays whose sizes only the run finds."""

from __future__ import annotations

import numpy as np

import onward
from onward.converters.builder import ModelBuilder
from onward.ir.datatypes import DataType


def test_parts_with_sizes_of_their_own_are_joined() -> None:
    """Each part's rows are found during the run, the later ones after the first part is written."""
    b = ModelBuilder("joined")
    x = b.input("x", DataType.FLOAT, ["rows", 3])
    parts = []
    for number in range(4):
        size = b.input(f"size_{number}", DataType.INT64, [2])
        scaled = b.op("Mul", x, b.constant(np.array(number + 1, np.float32)))
        parts.append(b.op("Exp", b.op("Expand", scaled, size)))
    b.output(b.op("Concat", *parts, axis=0), "y")
    session = onward.InferenceSession(b.model())
    rows = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    for counts in ((900, 20000, 1, 40000), (1, 1, 1, 1), (50000, 2, 3, 4)):
        feeds = {f"size_{number}": np.array([count, 3]) for number, count in enumerate(counts)}
        (found,) = session.run(None, {"x": rows, **feeds})
        wanted = [np.broadcast_to(np.exp(rows * (number + 1)), (count, 3)) for number, count in enumerate(counts)]
        np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-6)
