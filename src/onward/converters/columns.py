"""The input of a model of rows: one matrix, or an input for each column where the caller names them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import EXAMPLE, Reference
from onward.converters.request import Request
from onward.errors import InvalidArgument
from onward.ir import Model, Value
from onward.ir.datatypes import DataType

FEATURES = "onward.features"
"""Metadata: the names of the columns, as the source knows them; a JSON list."""


class Rows:
    """Rows of so many columns of one data type. Raises InvalidArgument for names that are neither one nor one for each column, and for an
    example that is no such rows."""

    def __init__(self, request: Request, dtype: DataType, columns: int) -> None:
        self.dtype = dtype
        self.columns = columns
        self.example = None if request.example_inputs is None else self._matrix(request.example_inputs)
        self.names = list(request.input_names) or ["x"]
        if len(self.names) not in (1, columns) or len(set(self.names)) < len(self.names):
            raise InvalidArgument(f"{len(self.names)} names of inputs; expected one for the matrix, or {columns} different ones for its columns")

    def _matrix(self, example: Any) -> np.ndarray:
        """The example in the model's data type. Raises InvalidArgument for one that is no such rows."""
        try:
            rows = np.asarray(example.toarray() if hasattr(example, "toarray") else example, self.dtype.numpy)
        except (TypeError, ValueError) as problem:
            raise InvalidArgument(f"the example is no matrix of numbers: {problem}; categories are given by their codes") from problem
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise InvalidArgument(f"the example has shape {rows.shape}; expected rows of {self.columns} columns")
        return rows

    @property
    def whole(self) -> bool:
        """Whether the input is one matrix."""
        return len(self.names) == 1

    def value(self, b: ModelBuilder) -> Value:
        """(rows, columns), made of the inputs, which this adds."""
        if self.whole:
            return b.input(self.names[0], self.dtype, ["rows", self.columns])
        return b.op("Concat", *[b.input(name, self.dtype, ["rows", 1]) for name in self.names], axis=1)  # type: ignore[no-any-return]

    def finished(self, model: Model, reference: Reference, features: Sequence[str]) -> tuple[Model, Reference]:
        """The model with the names of the columns in its metadata, and a reference of matrices for its inputs."""
        if features:
            model.metadata[FEATURES] = json.dumps(list(features))
        return model, reference if self.whole else self._by_column(reference)

    def _by_column(self, reference: Reference) -> Reference:
        matrices = dict(reference.data)
        if self.example is not None:
            matrices[EXAMPLE] = self.example
        data = {what: {name: rows[:, [place]] for place, name in enumerate(self.names)} for what, rows in matrices.items()}
        judge = reference.outputs

        def outputs(feeds: Mapping[str, Any]) -> Mapping[str, np.ndarray] | None:
            assert judge is not None
            return judge(np.concatenate([feeds[name] for name in self.names], axis=1))

        return replace(reference, data=data, outputs=None if judge is None else outputs)
