"""Limits of numbers hold, whatever the data are."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onward import program as P
from onward.compiler.schedule.limits import limits_of
from onward.ir.datatypes import DataType
from onward.program.array import Array, Constant
from onward.program.scalar import Cast, Scalar, operation

BINARY = ["add", "subtract", "multiply", "minimum", "maximum"]


def known(array: Array) -> np.ndarray | None:
    return array.tensor.numpy() if isinstance(array, Constant) else None


@st.composite
def expressions(draw: st.DrawFn, inputs: dict[DataType, P.Input], place: P.Dimension) -> Scalar:
    """A float made of bytes and whole numbers that are read, of known floats and of literals."""
    scalars: list[Scalar] = [Cast(array[place], DataType.FLOAT) for array in inputs.values()]
    data = draw(st.lists(st.floats(-100, 100, width=32), min_size=8, max_size=8))
    scalars += [P.constant(np.array(data, np.float32))[place], P.scalar(draw(st.floats(-4, 4, width=32)), DataType.FLOAT)]
    for _ in range(draw(st.integers(1, 6))):
        left, right = (draw(st.sampled_from(scalars)) for _ in range(2))
        scalars.append(draw(st.sampled_from([P.round_even(left), *(operation(name, left, right) for name in BINARY)])))
    return scalars[-1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_values_are_within_their_limits(data: st.DataObject) -> None:
    inputs = {kind: P.Input((8,), kind, kind.name) for kind in (DataType.UINT8, DataType.INT8, DataType.INT32)}
    found: list[Scalar] = []
    result = P.compute((8,), lambda i: found.append(data.draw(expressions(inputs, i))) or found[0])
    low, high = limits_of(found[0], known)
    g = np.random.default_rng(data.draw(st.integers(0, 99)))
    feeds = {array: g.integers(np.iinfo(kind.numpy).min, np.iinfo(kind.numpy).max, 8, kind.numpy, endpoint=True) for kind, array in inputs.items()}
    (values,) = P.evaluate([result], feeds)
    values = values[np.isfinite(values)].astype(np.float64)
    room = 1e-5 * max((abs(item) for item in (low, high) if math.isfinite(item)), default=0)
    assert np.all(low - room <= values) and np.all(values <= high + room)


def test_limits_are_those_of_the_parts() -> None:
    x, i = P.Input((4,), DataType.UINT8, "x"), P.constant(np.array([-2.0, 0.5, 3.0, 1.0], np.float32))
    body = P.compute((4,), lambda k: P.cast(x[k], DataType.FLOAT) * i[k] - 7.0).body
    assert limits_of(body, known) == (-2 * 255 - 7, 3 * 255 - 7)
    total = P.compute((4,), lambda k: P.cast(P.cast(x[k], DataType.INT32) * 2**28, DataType.FLOAT)).body
    assert limits_of(total, known) == (-(2.0**31), 2.0**31 - 1), "it wraps"
    assert limits_of(P.Input((1,), DataType.FLOAT, "y").item(), known) == (-math.inf, math.inf)
    assert limits_of(P.constant(np.array([np.nan], np.float32)).item(), known) == (-math.inf, math.inf)
