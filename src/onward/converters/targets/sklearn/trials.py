"""Inputs of a model as what an estimator takes, and data that try what it can tell apart: categories that it knows, words, rows near those of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onward.converters.targets.recognition.rows import Unrecognized
from onward.ir import Model

COUNT = 200
"""Rows that are tried, where the model leaves it open how many."""

MOST = 2**22
"""Numbers of an output that are compared at once."""

WORDS = ("a", "b", "ab", "The cat", "")

OF_DICTIONARIES = ("DictVectorizer", "FeatureHasher")
"""Classes whose rows are dictionaries: each input is the values of the key that it is called, where empty text stands for none."""

INNER = ("estimators_", "estimator_", "best_estimator_", "estimator", "calibrated_classifiers_")
"""Attributes in which estimators hold others that look at the same rows."""


KINDS: Mapping[str, Callable[[Sequence[int]], np.ndarray]] = {
    "positive": lambda shape: np.abs(np.random.default_rng(1).standard_normal(shape)),
    "zeros": np.zeros, "ones": np.ones, "large": lambda shape: 30 * np.random.default_rng(2).standard_normal(shape),
}  # fmt: skip
"""Numbers that are tried besides random ones."""


class Inputs:
    """The inputs of a model, in order, as the rows of an estimator: a matrix, a table with named columns, or a list of texts.

    Raises Unrecognized for inputs that are no such rows.
    """

    def __init__(self, model: Model, estimator: Any) -> None:
        self.values = [value for value in model.graph.inputs if value.tensor is None]
        self.estimator = estimator
        shapes = [value.shape for value in self.values]
        if not shapes or any(not shape or any(not isinstance(extent, int) for extent in shape[1:]) for shape in shapes):
            raise Unrecognized("its inputs are no rows of known sizes")
        self.shapes = [tuple(int(extent) for extent in shape[1:]) for shape in shapes]  # type: ignore[index,arg-type]
        counts = [shape[0] for shape in shapes if isinstance(shape[0], int)]  # type: ignore[index]
        widest = max(int(np.prod([extent for extent in (value.shape or ())[1:] if isinstance(extent, int)])) for value in model.graph.outputs)
        self.open = not counts
        self.count = min(COUNT, max(2, MOST // max(1, widest))) if self.open else int(counts[0])
        self.columns = sum(shape[0] if shape else 1 for shape in self.shapes)
        self.names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
        if getattr(estimator, "n_features_in_", self.columns) != self.columns and all(len(shape) < 2 for shape in self.shapes):
            raise Unrecognized(f"the estimator that is noted is not of {self.columns} columns")

    def rows(self, *arrays: np.ndarray) -> Any:
        """The arrays of the inputs as the estimator's rows."""
        if self.names:
            import pandas

            columns = [column for array in arrays for column in array.reshape(len(array), -1).T]
            return pandas.DataFrame(dict(zip(self.names, columns, strict=True)))
        first = first_step(self.estimator)
        if type(first).__name__ in OF_DICTIONARIES and getattr(first, "input_type", "dict") != "string":
            keyed = [(value.name, array.reshape(-1).tolist()) for value, array in zip(self.values, arrays)]
            rows = [{name: column[place] for name, column in keyed if column[place] != ""} for place in range(len(arrays[0]))]
            return [list(row.items()) for row in rows] if getattr(first, "input_type", "dict") == "pair" else rows
        if len(arrays) == 1 and arrays[0].ndim > 2 and getattr(self.estimator, "n_features_in_", None) == arrays[0][0].size:
            return arrays[0].reshape(len(arrays[0]), -1)
        if len(arrays) == 1:
            return arrays[0]
        text = any(array.dtype == object for array in arrays)
        return np.concatenate([array.astype(object) if text else array for array in arrays], axis=1)

    def trials(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Sets of arrays by input: some of them only some estimators take."""
        random = np.random.default_rng(0)
        known = known_values(self.estimator) | known_texts(first_step(self.estimator), [value.name for value in self.values])
        first = self._set(random.standard_normal, known, random)
        yield "random", first
        if self.open:
            yield "one row", {name: array[:1] for name, array in first.items()}
        training = getattr(self.estimator, "_fit_X", None)
        if training is not None and len(self.values) == 1 and np.shape(training)[1:] == self.shapes[0]:
            near = random.choice(np.asarray(training, np.float64), self.count) + 1e-3 * random.standard_normal((self.count, *self.shapes[0]))
            yield "near rows of training", {self.values[0].name: near.astype(self._dtype(self.values[0]))}
        for what, kind in KINDS.items():
            yield what, self._set(kind, known, random)

    @staticmethod
    def _dtype(value: Any) -> np.dtype:
        return np.dtype(value.dtype.numpy)

    def _set(self, kind: Callable[[Sequence[int]], np.ndarray], known: Mapping[int, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
        found, place = {}, 0
        for value, shape in zip(self.values, self.shapes):
            dtype, whole = self._dtype(value), (self.count, *shape)
            array = random.choice(np.array(WORDS, object), whole) if dtype.kind in "OUS" else kind(whole).astype(dtype)
            columns = array if array.ndim == 2 else array.reshape(self.count, -1)
            for column in range(columns.shape[1]) if len(shape) < 2 else ():
                if len(known.get(place, ())) and (known[place].dtype.kind in "OUS") == (dtype.kind in "OUS"):
                    columns[:, column] = random.choice(known[place], self.count)
                place += 1
            found[value.name] = array
        return found


def first_step(estimator: Any) -> Any:
    """What looks at the rows first: the first step of a pipeline."""
    return first_step(estimator.steps[0][1]) if getattr(estimator, "steps", ()) else estimator


def known_texts(estimator: Any, keys: Sequence[str]) -> dict[int, np.ndarray]:
    """By place of a key of dictionaries, the texts of it that an estimator knows."""
    if type(estimator).__name__ != "DictVectorizer":
        return {}
    starts = [f"{key}{estimator.separator}" for key in keys]
    texts = [[name.removeprefix(start) for name in estimator.feature_names_ if name.startswith(start)] for start in starts]
    return {place: np.array([*known, "", "other"], object) for place, known in enumerate(texts) if known}


def known_values(estimator: Any) -> dict[int, np.ndarray]:
    """By column, the values that an estimator knows: categories, labels, texts of its words. Other columns take any number."""
    if hasattr(estimator, "steps"):
        steps = [step for _, step in estimator.steps if hasattr(step, "get_params")]
        return known_values(steps[0]) if steps else {}
    if hasattr(estimator, "_transformer_to_input_indices"):
        places = estimator._transformer_to_input_indices
        return {places[name][column]: values for name, part, _ in estimator.transformers_ for column, values in known_values(part).items()}
    for values in _own_values(estimator):
        return dict(enumerate(values))
    parts = [part for _, part in getattr(estimator, "transformer_list", ())]
    for name in INNER:
        inner = getattr(estimator, name, ())
        parts += list(np.ravel(np.array(inner, object))) if isinstance(inner, (list, np.ndarray)) else [inner]
    return {column: values for part in parts if hasattr(part, "__dict__") for column, values in known_values(part).items()}


def _own_values(estimator: Any) -> Iterator[list[np.ndarray]]:
    """The values of each column, where the estimator itself knows them."""
    if hasattr(estimator, "categories_") or hasattr(estimator, "n_categories_"):
        found = getattr(estimator, "categories_", None)
        found = [np.arange(count) for count in estimator.n_categories_] if found is None else found
        yield [np.array([value for value in column if value is not None and value == value]) for column in found]
    elif hasattr(estimator, "vocabulary_") and type(estimator).__name__ not in OF_DICTIONARIES:
        random, words = np.random.default_rng(0), sorted(estimator.vocabulary_)
        yield [np.array([" ".join(random.choice(words, 1 + place % 5)) for place in range(40)], object)]
    elif type(estimator).__name__ in ("LabelEncoder", "LabelBinarizer"):
        yield [estimator.classes_]
