"""Arrays whose sizes only the run finds."""

from __future__ import annotations

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.errors import IndexOutOfBounds
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


def test_nothing_of_an_open_size_is_no_constant() -> None:
    """An array of no rows and open columns has a known number of elements, but no known shape."""
    b = ModelBuilder("nothing")
    x = b.input("x", DataType.FLOAT, ["columns"])
    sizes = b.op("Concat", b.constant(np.array([0])), b.op("Shape", x), axis=0)
    empty = b.op("Expand", b.constant(np.array(0, np.float32)), sizes)
    b.output(b.op("ScatterND", empty, b.constant(np.array([[0]])), b.op("Unsqueeze", x, b.constant(np.array([0])))), "y")
    session = onward.InferenceSession(b.model())
    with pytest.raises(IndexOutOfBounds):
        session.run(None, {"x": np.ones(3, np.float32)})
