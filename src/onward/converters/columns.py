"""The input of a model of rows: one matrix, or an input for each column where the caller names them all or some hold categories.

A library that was trained on a DataFrame keeps the categories of its columns and works with their codes. Then a column's input takes the
category itself, text or a number, and the graph looks up its code; what is no category has NaN, as a missing value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import EXAMPLE, Reference
from onward.converters.frames import dataframe_of, is_missing
from onward.converters.request import Request
from onward.converters.tracing import Array, Trace
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.categories import places_of
from onward.converters.trees import MEMBER
from onward.errors import InvalidArgument, UnsupportedModel
from onward.ir import Model, Value
from onward.ir.datatypes import DataType

FEATURES = "onward.features"
"""Metadata: the names of the columns, as the source knows them; a JSON list."""

UNKNOWN_TEXT, UNKNOWN_NUMBER = "no such category", -12345.0


class Rows:
    """Rows of so many columns of one data type. `categories` are those that the source knows, by column and in the order of their codes;
    a source that does not take others is asked with missing values in their place.

    Raises InvalidArgument for names that are neither one nor one for each column, and for an example that is no such rows;
    UnsupportedModel for categories that are neither all text nor all numbers.
    """

    def __init__(
        self, request: Request, dtype: DataType, columns: int, features: Sequence[str] = (), categories: Mapping[int, Sequence[Any]] | None = None,
        takes_unknown: bool = True,
    ) -> None:  # fmt: skip
        self.dtype, self.columns, self.features, self.takes_unknown = dtype, columns, list(features), takes_unknown
        table = dataframe_of(request.example_inputs)
        plain = request.example_inputs is not None and table is None
        self.categories = dict(categories or {}) if not plain and len(request.input_names) in (0, columns) else {}
        usual = (self.features or [f"x{place}" for place in range(columns)]) if self.categories else ["x"]
        self.names = list(request.input_names) or usual
        if len(self.names) not in (1, columns) or len(set(self.names)) < len(self.names):
            raise InvalidArgument(f"{len(self.names)} names of inputs; expected one for the matrix, or {columns} different ones for its columns")
        for place, known in self.categories.items():
            if len({isinstance(item, str) for item in known}) > 1 or not all(isinstance(item, (str, int, float, np.number)) for item in known):
                raise UnsupportedModel(f"column '{self.names[place]}' has the categories {str(list(known))[:80]}; expected text only, or numbers only")
        self.example: dict[str, np.ndarray] | np.ndarray | None = None
        if request.example_inputs is not None:
            self.example = self._matrix(request.example_inputs) if table is None else self._read(table)

    def _matrix(self, example: Any) -> np.ndarray:
        """The example in the model's data type. Raises InvalidArgument for one that is no such rows."""
        try:
            rows = np.asarray(example.toarray() if hasattr(example, "toarray") else example, self.dtype.numpy)
        except (TypeError, ValueError) as problem:
            raise InvalidArgument(f"the example is no matrix of numbers: {problem}; categories are given by their codes") from problem
        self._check(rows.shape)
        return rows

    def _check(self, shape: Sequence[int]) -> None:
        if len(shape) != 2 or shape[1] != self.columns:
            raise InvalidArgument(f"the example has shape {tuple(shape)}; expected rows of {self.columns} columns")

    def _read(self, table: Any) -> dict[str, np.ndarray] | np.ndarray:
        """A DataFrame as the inputs take it. Raises InvalidArgument for a column that holds something else than its input."""
        self._check(table.shape)
        found = {}
        for place in range(self.columns):
            values, name = table.iloc[:, place].to_numpy(dtype=object), str(table.columns[place])
            made: list[Any] = [None if is_missing(item) else item for item in values]
            if self._is_text(place):
                found[place] = np.array(["" if item is None else str(item) for item in made], object).reshape(-1, 1)
                continue
            try:
                kind = np.float64 if place in self.categories else self.dtype.numpy
                found[place] = np.array([np.nan if item is None else item for item in made], kind).reshape(-1, 1)
            except (TypeError, ValueError) as problem:
                said = "the model does not tell its categories, so that they are given by their codes"
                raise InvalidArgument(f"column '{name}' of the example holds no numbers: {problem}; {said}") from problem
        return np.concatenate(list(found.values()), axis=1) if self.whole else {name: found[place] for place, name in enumerate(self.names)}

    def _is_text(self, place: int) -> bool:
        return any(isinstance(item, str) for item in self.categories.get(place, ()))

    @property
    def whole(self) -> bool:
        """Whether the input is one matrix."""
        return not self.categories and len(self.names) == 1

    def value(self, b: ModelBuilder) -> Value:
        """(rows, columns), made of the inputs, which this adds."""
        if self.whole:
            return b.input(self.names[0], self.dtype, ["rows", self.columns])
        return b.op("Concat", *[self._column(b, place) for place in range(self.columns)], axis=1)  # type: ignore[no-any-return]

    def _column(self, b: ModelBuilder, place: int) -> Value:
        if place not in self.categories:
            return b.input(self.names[place], self.dtype, ["rows", 1])
        text = self._is_text(place)
        given = b.input(self.names[place], DataType.STRING if text else DataType.DOUBLE, ["rows", 1])
        values = Trace(b).rows(b.op("Squeeze", given, b.constant(np.array([1]))), TEXT if text else np.float64)
        return codes_of(values, self.categories[place], self.dtype.numpy).reshape(-1, 1).value

    def finished(self, model: Model, reference: Reference) -> tuple[Model, Reference]:
        """The model with the names of the columns in its metadata, and a reference of matrices for its inputs."""
        if self.features:
            model.metadata[FEATURES] = json.dumps(self.features)
        coded = set() if self.categories else self._tested_for_membership(model)
        if coded:
            said = ", ".join(self.features[place] if place < len(self.features) else str(place) for place in sorted(coded))
            reference = replace(reference, notes=(*reference.notes, f"columns of categories take their codes: {said}"))
        if self.categories and not self.takes_unknown:
            reference = replace(reference, notes=(*reference.notes, "categories that the model does not know are missing values; the library refuses them"))
        if self.whole:
            return model, reference if self.example is None else replace(reference, data={**reference.data, EXAMPLE: self.example})
        return model, self._by_column(reference)

    def _tested_for_membership(self, model: Model) -> set[int]:
        """The columns of which trees ask whether they are in a set."""
        nodes = [node for node in model.graph.nodes if node.op_type == "TreeEnsemble" and node.attribute("membership_values") is not None]
        found = (zip(node.attribute("nodes_modes").numpy(), node.attribute("nodes_featureids")) for node in nodes)
        return {int(feature) % self.columns for pairs in found for mode, feature in pairs if mode == MEMBER}

    def _by_column(self, reference: Reference) -> Reference:
        data = {what: self._fed(rows, unknown=False) for what, rows in reference.data.items()}
        if self.categories:
            data |= {f"{what}, categories unknown": self._fed(rows, unknown=True) for what, rows in reference.data.items()}
        if self.example is not None:
            example = self.example
            data[EXAMPLE] = example if isinstance(example, dict) else {name: example[:, [place]] for place, name in enumerate(self.names)}
        judge = reference.outputs

        def outputs(feeds: Mapping[str, Any]) -> Mapping[str, np.ndarray] | None:
            assert judge is not None
            return judge(self.original(feeds))

        return replace(reference, data=data, outputs=None if judge is None else outputs)

    def _fed(self, rows: np.ndarray, unknown: bool) -> dict[str, np.ndarray]:
        """A matrix of codes as the inputs take it: of a code that is none something unknown, or else another category."""
        found = {}
        for place, name in enumerate(self.names):
            column, known = rows[:, place], self.categories.get(place)
            if known is None:
                found[name] = column[:, None]
                continue
            text = self._is_text(place)
            values = np.array([*known, *(["", UNKNOWN_TEXT] if text else [np.nan, UNKNOWN_NUMBER])], object if text else np.float64)
            codes = np.nan_to_num(column, nan=-1.0, posinf=-1.0, neginf=-1.0).astype(np.int64)
            places = np.where((codes >= len(known)) & unknown, len(known) + 1, codes % max(1, len(known)))
            found[name] = values[np.where(codes < 0, len(known), places)][:, None]
        return found

    def original(self, feeds: Mapping[str, np.ndarray]) -> Any:
        """What the inputs are fed with as the source takes it: a matrix, or a DataFrame where there are categories."""
        columns = list(feeds.values())
        if not self.categories:
            return columns[0] if self.whole else np.concatenate(columns, axis=1)
        import pandas

        made = {}
        for place, column in enumerate(columns):
            name = self.features[place] if self.features else str(place)
            known = self.categories.get(place)
            if known is None:
                made[name] = pandas.Series(column[:, 0])
                continue
            same = {float(item) if not isinstance(item, str) else item: item for item in known}
            values = [None if is_missing(item) or item == "" and "" not in same else same.get(item, item) for item in column[:, 0].tolist()]
            others = [item for item in dict.fromkeys(values) if item is not None and item not in same and self.takes_unknown]
            made[name] = pandas.Series(pandas.Categorical(values, categories=[*known, *others]))
        return pandas.DataFrame(made)


def codes_of(values: Array, categories: Sequence[Any], dtype: Any) -> Array:
    """(rows,): the code of each value, NaN for what is no category."""
    text = any(isinstance(item, str) for item in categories)
    places = places_of(values, np.array(list(categories), object if text else np.float64))
    return np.where(places >= 0, places.astype(dtype), np.array(np.nan, dtype))  # type: ignore[return-value]
