"""An estimator that the conversion to ONNX has noted, as the subject of a proof: which of its methods gives which output of the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onward.converters.comparison import difference
from onward.converters.targets.proof import TOLERANCES, Subject
from onward.converters.targets.recognition.rows import Unrecognized, without_maps
from onward.converters.targets.recognition.ties import without_ties
from onward.converters.targets.sklearn.fitting import REFUSALS
from onward.converters.targets.sklearn.remembered import remembered
from onward.converters.targets.sklearn.trials import Inputs
from onward.errors import OnwardError
from onward.ir import Model
from onward.runtime import InferenceSession

METHODS = ("predict", "transform", "predict_proba", "decision_function", "score_samples")

Call = tuple[str, int | None]
"""A method, and the place in the list that it gives, where it gives one."""


def noted_subject(model: Model, noted: Mapping[str, Any]) -> Subject:
    """The estimator that is noted. Raises Unrecognized where none is, or where it does not give what the model does."""
    if "numbers" not in noted and "steps" not in noted:
        raise Unrecognized("it does not say what it was made of")
    try:
        return subject_of(model, remembered(model, noted))
    except REFUSALS as problem:
        raise Unrecognized(f"the estimator that is noted does not work ({str(problem)[:80]})") from problem


def subject_of(model: Model, estimator: Any) -> Subject:
    """An estimator, and which of its methods gives which output of a model. Raises Unrecognized where they do not."""
    judge = without_maps(model)
    inputs = Inputs(judge, estimator)
    session = InferenceSession(judge.to_bytes())
    names = [value.name for value in inputs.values]

    def expected(*arrays: np.ndarray) -> list[Any]:
        return session.run(None, dict(zip(names, arrays, strict=True)))

    taken = {}
    for what, feeds in inputs.trials():
        try:
            taken[what] = feeds, expected(*feeds.values()), dict(_results(estimator, inputs.rows(*feeds.values())))
        except (OnwardError, *REFUSALS):
            continue
    if not any(results for _, _, results in taken.values()):
        raise Unrecognized("the estimator that is noted takes no rows that the model takes")
    calls = _calls(list(taken.values()))

    def outputs(*arrays: np.ndarray) -> list[np.ndarray]:
        results = _called(estimator, inputs.rows(*arrays), calls)
        return [_shaped(found, array) for found, array in zip(results, expected(*arrays), strict=True)]

    labels, scores = _places(next(iter(taken.values()))[1])
    settled = without_ties(expected, labels, scores, outputs)
    data = {what: feeds for what, (feeds, _, results) in taken.items() if all(call in results for call in calls)}
    for feeds in data.values():
        if not all(_same(found, array) for found, array in zip(settled(*feeds.values()), expected(*feeds.values()), strict=True)):
            raise Unrecognized("the estimator that is noted gives other numbers")
    return Subject(estimator, judge, settled, data, TOLERANCES)


def _calls(taken: Sequence[tuple[Any, list[np.ndarray], Mapping[Call, np.ndarray]]]) -> list[Call]:
    """For each output the first method that gives it, by the first rows that the estimator takes. Raises Unrecognized where none does."""
    _, expected, results = next(item for item in taken if item[2])
    found = []
    for array in expected:
        fitting = [call for call, result in results.items() if np.size(result) == np.size(array) and _same(_shaped(result, array), array)]
        if not fitting:
            raise Unrecognized("the estimator that is noted has no method that gives what the model does")
        found.append(fitting[0])
    return found


def _results(estimator: Any, rows: Any) -> Iterator[tuple[Call, np.ndarray]]:
    """What the methods give that take these rows."""
    for method in METHODS:
        if hasattr(estimator, method):
            try:
                yield from _items(estimator, method, rows)
            except REFUSALS:
                continue


def _items(estimator: Any, method: str, rows: Any) -> Iterator[tuple[Call, np.ndarray]]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        result = getattr(estimator, method)(rows)
    for place, item in enumerate(result) if isinstance(result, list) else [(None, result)]:
        yield (method, place), np.asarray(item.toarray() if hasattr(item, "toarray") else item)


def _called(estimator: Any, rows: Any, calls: Sequence[Call]) -> list[np.ndarray]:
    found = {call: array for method in dict.fromkeys(method for method, _ in calls) for call, array in _items(estimator, method, rows)}
    return [found[call] for call in calls]


def _shaped(found: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A result in the shape and the type of the model's output."""
    if like.dtype != object:
        return found.reshape(like.shape).astype(like.dtype)
    return found.reshape(like.shape).astype(str).astype(object)


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
    if expected.dtype.kind != "f":
        return np.array_equal(found, expected)
    return difference(found, expected, "rows")["relative"] <= TOLERANCES.get(expected.dtype, 0.0)


def _places(arrays: Sequence[np.ndarray]) -> tuple[int | None, int | None]:
    """The places of labels and of their scores, where a model gives just these."""
    floats = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]
    others = [place for place in range(len(arrays)) if place not in floats]
    return (others[0], floats[0]) if len(floats) == len(others) == 1 else (None, None)
