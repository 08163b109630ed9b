"""XGBoost: sums of trees and linear models as a Booster, or as an XGBClassifier where the model gives labels and their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from onward.converters.targets.proof import Subject
from onward.converters.targets.recognition.data import by_input, rows_at
from onward.converters.targets.recognition.forests import Forest
from onward.converters.targets.recognition.heads import Head
from onward.converters.targets.recognition.layers import Dense, Imputed, Network, network_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized, feature_names
from onward.converters.targets.recognition.scaled_forests import forest_of_rows
from onward.converters.targets.recognition.ties import without_ties
from onward.converters.targets.xgboost.document import Learner, document, linear_booster, tree_booster
from onward.converters.xgboost import load
from onward.errors import InvalidArgument, UnsupportedModel
from onward.ir import Model

TOLERANCES = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-5}
"""The library computes in single precision, whatever the model does."""

ENDINGS = (".ubj", ".json")


def native(model: Model, constants: Mapping[str, Any] | None = None) -> Subject:
    """The Booster whose predictions are the model's scores, or an XGBClassifier for labels 0, 1, ... and their probabilities.

    Raises UnsupportedModel with the reasons for a model that is neither a sum of trees nor a linear model that ignores missing values.
    """
    rows, found, learner = _recognised(model, constants)
    result: Any = xgboost.XGBClassifier() if _is_classifier(found.head) else xgboost.Booster()
    result.load_model(bytearray(document(learner, found.head, rows.columns, feature_names(model, rows.columns)), "utf-8"))
    return _subject(rows, found, result)


def _recognised(model: Model, constants: Mapping[str, Any] | None) -> tuple[RowModel, Forest | Network, Learner]:
    """What a model computes, and the learner that does so."""
    if constants:
        raise InvalidArgument("the models of XGBoost have rows as their only input: there is nothing to be constant")
    reasons = []
    try:
        rows = RowModel(model)
        readers: tuple[Callable[[RowModel], tuple[Forest | Network, Learner]], ...] = (_forest, _linear)
        for reader in readers:
            try:
                return rows, *reader(rows)
            except Unrecognized as problem:
                reasons.append(str(problem))
    except Unrecognized as problem:
        raise UnsupportedModel(f"XGBoost has models of rows of numbers: {problem}") from problem
    trees, linear = reasons
    raise UnsupportedModel(
        f"XGBoost has sums of trees, and linear models that ignore missing values. The model is no sum of trees: {trees}. It is no such linear model: {linear}"
    )


def _forest(rows: RowModel) -> tuple[Forest, Learner]:
    forest = forest_of_rows(rows)
    return forest, tree_booster(forest)


def _linear(rows: RowModel) -> tuple[Network, Learner]:
    """A matrix product of rows in which 0 stands for missing values: that is what the library has."""
    network = network_of(rows)
    match network.steps:
        case [Imputed(), Dense()] if not network.steps[0].values.any():  # type: ignore[union-attr]
            return network, linear_booster(network.steps[1])  # type: ignore[arg-type]
        case [Dense()]:
            raise Unrecognized("it does not take missing values for 0")
    raise Unrecognized(f"it has more steps than one matrix product: {', '.join(type(step).__name__ for step in network.steps)}")


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes the library's own file, .json or .ubj. Raises InvalidArgument for another ending."""
    if path.suffix not in ENDINGS:
        raise InvalidArgument(f"models of XGBoost are written to files that end in {' or '.join(ENDINGS)}, not '{path.name}'")
    subject.result.save_model(path)


def opened(path: Path, trust: bool, model: Model, constants: Mapping[str, Any]) -> Subject:
    """The Booster or classifier of a file. Raises FormatError for a damaged one."""
    rows, found, _ = _recognised(model, constants)
    result = load(path)
    if not _is_classifier(found.head):
        return _subject(rows, found, result)
    classifier = xgboost.XGBClassifier()
    classifier.load_model(path)
    return _subject(rows, found, classifier)


def _subject(rows: RowModel, found: Forest | Network, result: Any) -> Subject:
    """How an object is compared: a Booster gives scores and no labels."""
    head, limits, categorical = found.head, [np.zeros(0)] * rows.columns, set[int]()
    if isinstance(found, Forest):
        limits, categorical = found.limits(), found.categorical()
    classifier = _is_classifier(head)
    booster = result.get_booster() if classifier else result
    names, types = booster.feature_names, booster.feature_types
    assert head.scores is not None

    def outputs(*inputs: np.ndarray) -> list[np.ndarray]:
        matrix = np.concatenate(inputs, axis=1).astype(np.float32)
        if classifier:
            both = {head.labels: np.asarray(result.predict(matrix)), head.scores: np.asarray(result.predict_proba(matrix))}
            return [both[place] for place in sorted(place for place in both if place is not None)]
        prediction = booster.predict(xgboost.DMatrix(matrix, feature_names=names, feature_types=types, enable_categorical=True))
        return [_shaped(head, prediction)]

    compared = rows.judge if classifier else rows.judge.copy()
    if not classifier:
        compared.graph.outputs = [compared.graph.outputs[head.scores]]
    notes = () if head.labels is None or classifier else ("a Booster gives scores alone: labels were not compared",)
    judged = without_ties(rows.called, head.labels, head.scores, outputs) if classifier else outputs
    return Subject(result, compared, judged, by_input(rows, rows_at(limits, categorical)), TOLERANCES, notes)


def _shaped(head: Head, prediction: np.ndarray) -> np.ndarray:
    """The predictions of a Booster as the model gives them."""
    column = prediction.reshape(len(prediction), -1)
    if head.link in ("logistic of two", "complement"):
        column = np.concatenate([1 - column, column], axis=1)
    elif head.link == "opposites":
        column = np.concatenate([-column, column], axis=1)
    return column[:, 0] if head.rank == 1 else column


def _is_classifier(head: Head) -> bool:
    return head.link in ("logistic of two", "softmax") and head.scores is not None and head.classes == list(range(len(head.classes or ())))
