"""What a model makes of its scores: a link (identity, logistic, softmax ...) and the labels of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.comparison import difference
from onward.converters.targets.recognition.rows import Unrecognized
from onward.errors import OnwardError

NEAR = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12, np.dtype(np.float16): 2e-3}
"""How near a link must come, relative to the largest value: some graphs write it in other steps."""

PROBES = 64
"""Rows of scores that are tried."""


def _logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _shares(z: np.ndarray) -> np.ndarray:
    return _logistic(z) / _logistic(z).sum(axis=1, keepdims=True)


LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda z: z,
    "logistic": _logistic,
    "softmax": _softmax,
    "exponential": np.exp,
    "logistic of two": lambda z: np.concatenate([1 - _logistic(z), _logistic(z)], axis=1),
    "complement": lambda z: np.concatenate([1 - z, z], axis=1),
    "opposites": lambda z: np.concatenate([-z, z], axis=1),
    "one versus rest": _shares,
    "step": lambda z: (z > 0).astype(np.float64),
    "place": lambda z: z.argmax(axis=1).astype(np.float64)[:, None],
}
"""From scores (rows, scores) to what a model gives of them, (rows, outputs). The last two lose what the scores were."""

FOR_ONE = ("logistic of two", "complement", "opposites")
"""Links of a single score."""


@dataclass(frozen=True)
class Head:
    """`link` names what becomes of the scores in the output `scores` (its place; None where the model gives labels alone), whose
    shape has `rank` axes. `classes` are the labels of a classifier, in the order of the scores, and `labels` the place of that output."""

    link: str | None
    scores: int | None
    rank: int
    classes: list[Any] | None
    labels: int | None


def probes(columns: int) -> np.ndarray:
    """Scores (rows, columns) that tell links apart: small and large ones, none of them equal."""
    random = np.random.default_rng(0)
    return random.standard_normal((PROBES, columns)) * random.choice([0.3, 1.0, 4.0], (PROBES, 1))


def head_of(after: Callable[[np.ndarray], Sequence[np.ndarray]], columns: int) -> Head:
    """The head of a model, where `after` gives its outputs for rows of scores. Raises Unrecognized for another one."""
    z = probes(columns)
    found = [np.asarray(item) for item in _called(after, z)]
    labels = [place for place, item in enumerate(found) if item.ndim == 1 and item.dtype.kind in "iubOUS"]
    numbers = [place for place, item in enumerate(found) if item.dtype.kind == "f"]
    if len(labels) > 1 or len(numbers) > 1 or len(labels) + len(numbers) < len(found):
        raise Unrecognized("its outputs are not one column of labels, one of scores, or these two")
    link = None
    if numbers:
        link = link_between(z, found[numbers[0]])
        if link is None:
            raise Unrecognized(f"what it makes of its scores is none of {', '.join(LINKS)}")
    if not labels and not numbers:
        raise Unrecognized("it has no outputs")
    place = numbers[0] if numbers else None
    rank = 1 if place is None else found[place].ndim
    return Head(link, place, rank, _classes(after, columns, labels[0], link) if labels else None, labels[0] if labels else None)


def link_between(z: np.ndarray, result: np.ndarray) -> str | None:
    """The name of the link that makes `result` of the scores."""
    allowed = NEAR.get(result.dtype, 1e-12)
    scores = z.astype(result.dtype).astype(np.float64)
    flat = result.reshape(len(result), -1)
    for name, link in LINKS.items():
        if name in FOR_ONE and z.shape[1] != 1 or name == "one versus rest" and z.shape[1] == 1:
            continue
        expected = link(scores)
        if expected.shape == flat.shape and difference(flat, expected.astype(flat.dtype), name)["relative"] <= allowed:
            return name
    return None


def _classes(after: Callable[[np.ndarray], Sequence[np.ndarray]], columns: int, place: int, link: str | None) -> list[Any]:
    """The labels in the order of the scores; of a single score, that of the small ones and that of the great ones.

    Raises Unrecognized where labels are not those of the greatest score.
    """
    decisive = np.array([[-20.0], [20.0]]) if columns == 1 else np.where(np.eye(columns), 20.0, -20.0)
    classes = np.asarray(_called(after, decisive)[place]).tolist()
    z = probes(columns)
    given = np.asarray(_called(after, z)[place]).tolist()
    limit = 0.5 if link == "complement" or link is None and columns == 1 and given != _chosen(z, classes, 0.0) else 0.0
    if given != _chosen(z, classes, limit):
        raise Unrecognized("its label is not that of the greatest score")
    return classes


def _chosen(z: np.ndarray, classes: list[Any], limit: float) -> list[Any]:
    places = (z[:, 0] > limit).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)
    return [classes[place] for place in places]


def _called(after: Callable[[np.ndarray], Sequence[np.ndarray]], z: np.ndarray) -> Sequence[np.ndarray]:
    try:
        return after(z)
    except (OnwardError, ValueError, LookupError) as problem:
        raise Unrecognized(f"what follows its scores depends on more than these ({str(problem)[:120]})") from problem
