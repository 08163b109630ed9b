"""Recurrences: written out and as a routine they are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.expressions import Symbol


def leaky_sums(x: P.Array, rate: P.Array, backwards: bool) -> tuple[P.Array, P.Array]:
    """s' = rate * s + x[t] * t: the last one, and all."""

    def step(number: P.Scalar, states: Sequence[P.Array], slices: Sequence[P.Array]) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        following = states[0] * (rate * 1.0) + slices[0] * P.compute((), lambda: P.cast(number, x.dtype))
        return [following], [following]

    (last,), (all_,) = P.recurrence(step, [P.full(x.shape[1:], 0.0, x.dtype)], [x], x.shape[0], backwards=backwards)
    return last, all_


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("length", [Symbol("length"), 5])
def test_a_recurrence_carries_its_state(length: P.Dimension, backwards: bool) -> None:
    x, rate = P.Input((length, 3), P.DataType.DOUBLE, "x"), P.Input((3,), P.DataType.DOUBLE, "rate")
    values, rates = np.random.default_rng(1).standard_normal((5, 3)), np.array([0.5, 1.0, -1.0])
    expected, state = np.empty((5, 3)), np.zeros(3)
    for number in reversed(range(5)) if backwards else range(5):
        state = expected[number] = state * rates + values[number] * number
    last, everything = P.evaluate(leaky_sums(x, rate, backwards), {x: values, rate: rates})
    np.testing.assert_allclose(everything, expected)
    np.testing.assert_allclose(last, state)


def test_only_what_the_body_needs_is_captured() -> None:
    x, rate = P.Input((Symbol("length"), 3), P.DataType.DOUBLE, "x"), P.Input((3,), P.DataType.DOUBLE, "rate")
    last, _ = leaky_sums(x, rate, False)
    assert isinstance(last, P.RoutineOutput)
    (captured,) = last.routine.attributes["body"].captured
    assert captured.sources == (rate,)  # the product of known arrays is computed once, outside


def test_no_steps_leave_the_state() -> None:
    x, rate = P.Input((Symbol("length"), 3), P.DataType.DOUBLE, "x"), P.Input((3,), P.DataType.DOUBLE, "rate")
    last, _ = P.evaluate(leaky_sums(x, rate, False), {x: np.empty((0, 3)), rate: np.ones(3)})
    np.testing.assert_array_equal(last, np.zeros(3))


def test_a_state_keeps_its_shape() -> None:
    x = P.Input((4, 3), P.DataType.DOUBLE, "x")
    with pytest.raises(InvalidArgument, match="before a step"):
        P.recurrence(lambda n, states, slices: ([P.expand_axes(slices[0], [0])], []), [P.full((3,), 0.0, x.dtype)], [x], 4)
