"""The library as the judge: rows that go all ways through the trees, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onward.converters.catboost.document import Document
from onward.converters.certificate import Reference
from onward.converters.frames import dataframe_of
from onward.errors import ConversionError, InvalidArgument

UNSEEN = "a category of no training data"


class Columns:
    """The columns of an example by what they are for the model: `texts` has the distinct texts of each categorical one."""

    def __init__(self, document: Document, example: Any) -> None:
        self.document = document
        self.texts: list[list[str]] = [[] for _ in document.categories]
        self.example = self._matrix(example)
        if self.example is not None:
            for place, feature in enumerate(document.categories):
                self.texts[place] = list(dict.fromkeys(map(str, self.example[:, feature["flat_feature_index"]])))

    def _matrix(self, example: Any) -> np.ndarray | None:
        """The example as one matrix of objects, in the order of the model's columns. Raises InvalidArgument for too few columns."""
        if example is None:
            return None
        table = dataframe_of(example)
        matrix = np.asarray(example if table is None else table.to_numpy(), object)
        wanted = len(self.document.floats) + len(self.document.categories)
        if matrix.ndim != 2 or matrix.shape[1] < wanted:
            raise InvalidArgument(f"the example has shape {matrix.shape}; expected rows of {wanted} columns")
        return matrix

    def feeds(self, names: list[str]) -> dict[str, dict[str, np.ndarray]]:
        """Data by input name: at borders and beside them, missing, infinite, random; categories known and unknown."""
        random = np.random.default_rng(0)
        numbers = self._borders(random, 500)
        normal = random.standard_normal(numbers.shape).astype(np.float32)
        made = {
            "borders and their neighbours": numbers,
            "missing values": np.where(random.random(numbers.shape) < 0.4, np.float32(np.nan), numbers),
            "random numbers": normal,
            "one row": normal[:1],
        }
        found = {}
        for what, rows in made.items():
            own = {names[0]: rows} if self.document.floats else {}
            found[what] = own | ({names[-1]: self._categories(random, len(rows))} if self.document.categories else {})
        if self.example is not None:
            found["the example"] = self._split(names)
        return found

    def _borders(self, random: np.random.Generator, count: int) -> np.ndarray:
        numbers = np.empty((count, len(self.document.floats)), np.float32)
        for place, feature in enumerate(self.document.floats):
            values = np.unique(np.array([0.0, *(feature.get("borders") or [])], np.float32))
            finite = values[np.abs(values) < np.finfo(np.float32).max]  # CatBoost has borders at the end of the range too
            beside = [np.nextafter(finite, np.float32(side)) for side in (np.inf, -np.inf)]
            numbers[:, place] = random.choice(np.concatenate([values, *beside, [np.inf, -np.inf]]).astype(np.float32), count)
        return numbers

    def _categories(self, random: np.random.Generator, count: int) -> np.ndarray:
        usual = [*map(str, range(-1, 12)), "nan", UNSEEN, ""]
        columns = [random.choice(np.array([*own, *usual[: max(3, len(own))], UNSEEN], object), count) for own in self.texts]
        return np.stack(columns, axis=1)

    def _split(self, names: list[str]) -> dict[str, np.ndarray]:
        assert self.example is not None
        floats = [feature["flat_feature_index"] for feature in self.document.floats]
        texts = [feature["flat_feature_index"] for feature in self.document.categories]
        found = {names[0]: self.example[:, floats].astype(np.float32)} if floats else {}
        return found | ({names[-1]: np.vectorize(str, otypes=[object])(self.example[:, texts])} if texts else {})


def reference_of(source: Any, document: Document, columns: Columns, names: list[str]) -> Reference:
    """What the library computes; a document alone has no library to run it."""
    data = columns.feeds(names)
    if isinstance(source, Document):
        return Reference.unjudged("CatBoost", data)
    import catboost

    def outputs(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return results(feeds)
        except catboost.CatBoostError as problem:  # a file that the library opens, but does not compute with
            raise ConversionError(f"CatBoost does not run this model: {problem}") from problem

    def results(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        pool = _rows(document, feeds, names)
        if not hasattr(source, "predict_proba"):
            return {"prediction": np.asarray(source.predict(pool))}
        labels = np.asarray(source.predict(pool))
        labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.dtype.kind in "OUS":
            labels = np.array([str(label) for label in labels.ravel()], object).reshape(labels.shape)
        elif labels.dtype.kind != "b":
            labels = labels.astype(np.int64)
        return {"label": labels, "probabilities": np.asarray(source.predict_proba(pool))}

    return Reference(f"catboost {catboost.__version__}", data, outputs)


def sums_of(source: Any, document: Document, names: list[str]) -> Callable[[Mapping[str, np.ndarray], int], np.ndarray]:
    """What the library's first trees add up to, without scale and bias."""

    def sums(feeds: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        found = np.asarray(source.predict(_rows(document, feeds, names), prediction_type="RawFormulaVal", ntree_end=count))
        return (found.reshape(-1, document.targets) - document.bias) / document.scale  # type: ignore[no-any-return]

    return sums


def _rows(document: Document, feeds: Mapping[str, np.ndarray], names: list[str]) -> Any:
    """The feeds as the library takes them."""
    if not document.categories:
        return feeds[names[0]]
    import pandas

    columns: dict[int, np.ndarray] = {}
    for input_name, features in ((names[0], document.floats), (names[-1], document.categories)):
        for place, feature in enumerate(features):
            columns[feature["flat_feature_index"]] = feeds[input_name][:, place]
    identifiers = {item["flat_feature_index"]: item.get("feature_id") or item["flat_feature_index"] for item in (*document.floats, *document.categories)}
    return pandas.DataFrame({identifiers[place]: columns[place] for place in sorted(columns)})
