"""Labels of rows whose greatest scores are equal but for rounding: either is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

NEAR = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11}
"""How near two scores are, relative to the greatest of all, that are a tie."""


def without_ties(
    model: Callable[..., Sequence[np.ndarray]], labels: int | None, scores: int | None, function: Callable[..., list[np.ndarray]]
) -> Callable[..., list[np.ndarray]]:
    """`function`, but where the scores of `model` are a tie it gives the label of `model`. `labels` and `scores` are places among the outputs."""
    if labels is None or scores is None:
        return function

    def settled(*inputs: np.ndarray) -> list[np.ndarray]:
        found = function(*inputs)
        ours = model(*inputs)
        numbers = ours[scores].reshape(len(ours[scores]), -1).astype(np.float64)
        near = NEAR.get(ours[scores].dtype, 1e-5) * np.abs(numbers[np.isfinite(numbers)]).max(initial=0)
        ordered = np.sort(numbers, axis=1)
        ties = ordered[:, -1] - ordered[:, -2] <= near if numbers.shape[1] > 1 else np.abs(numbers[:, 0]) <= near
        return [np.where(ties.reshape(-1, *[1] * (item.ndim - 1)), ours[place], item) if place == labels else item for place, item in enumerate(found)]

    return settled
