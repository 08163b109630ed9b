"""A model of rows: its inputs as one matrix, its outputs as labels and scores, and the part behind any value of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward import operators
from onward import program as P
from onward.converters.columns import FEATURES
from onward.ir import Model, Value
from onward.ir.expressions import Expression
from onward.operators.lowering import Program
from onward.passes import optimize
from onward.program.evaluate import evaluate_body


class Unrecognized(Exception):
    """A model, or a part of it, is not what was looked for; the text says why."""


class RowModel:
    """A model whose inputs are columns of one matrix (rows, columns), and whose outputs are one row for each of its rows.

    `judge` is the model without its ZipMap nodes, `model` that optimised, `program` its tensor program. Raises Unrecognized for a model
    of other inputs or outputs.
    """

    def __init__(self, model: Model) -> None:
        self.judge = without_maps(model)
        self.model = optimize(self.judge)
        self.program: Program = operators.lower(self.model)
        self.inputs = self.program.inputs
        if not self.inputs:
            raise Unrecognized("it has no inputs")
        for item in self.inputs:
            if item.rank != 2 or not isinstance(item.shape[1], int) or not item.dtype.is_float:
                raise Unrecognized(f"its input '{item.label}' is no matrix of numbers with a known number of columns")
        self.widths = [int(item.shape[1]) for item in self.inputs]  # type: ignore[arg-type]
        self.columns = sum(self.widths)
        for name, array in self.program.outputs.items():
            if not isinstance(array, P.Array) or array.rank not in (1, 2):
                raise Unrecognized(f"its output '{name}' is no column or matrix")

    @property
    def outputs(self) -> list[Value]:
        """The outputs of the graph, in order."""
        return list(self.model.graph.outputs)

    @property
    def fixed_rows(self) -> int | None:
        """The number of rows where the model leaves it no choice."""
        extent = self.inputs[0].shape[0]
        return None if isinstance(extent, Expression) else int(extent)

    @property
    def dtype(self) -> np.dtype:
        """The type of the rows."""
        return np.dtype(np.result_type(*[item.dtype.numpy for item in self.inputs]))

    def feeds(self, rows: np.ndarray) -> dict[Any, np.ndarray]:
        """A matrix as the inputs of the program."""
        parts = np.split(rows, np.cumsum(self.widths)[:-1], axis=1)
        return {item: part.astype(item.dtype.numpy) for item, part in zip(self.inputs, parts, strict=True)}

    def array_of(self, value: Value) -> P.Array:
        """What a value of the graph is in the program."""
        found = self.program.values[value]
        if not isinstance(found, P.Array):
            raise Unrecognized(f"the value '{value.name}' is no array")
        return found

    def after(self, array: P.Array, numbers: np.ndarray) -> list[np.ndarray]:
        """The outputs where `array` has these elements, whatever the rows are: nothing else may depend on them."""
        known = {array: numbers.astype(array.dtype.numpy)}
        return self._evaluated(list(self.program.outputs.values()), np.zeros((len(numbers), self.columns)), known)

    def before(self, array: P.Array, numbers: np.ndarray, start: P.Array | None = None) -> np.ndarray:
        """The elements of `array` where the rows, or else `start`, have these elements."""
        if start is None:
            return self._evaluated([array], numbers, {})[0]
        return self._evaluated([array], np.zeros((len(numbers), self.columns)), {start: numbers.astype(start.dtype.numpy)})[0]

    def results(self, rows: np.ndarray) -> list[np.ndarray]:
        """The outputs for a matrix."""
        return self._evaluated(list(self.program.outputs.values()), rows, {})

    def called(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs for the inputs one by one."""
        return self.results(np.concatenate(inputs, axis=1))

    def _evaluated(self, arrays: Sequence[P.Array], rows: np.ndarray, known: dict[P.Array, np.ndarray]) -> list[np.ndarray]:
        """The elements of arrays, for as many rows at a time as the model takes."""
        size, count = self.fixed_rows or len(rows), len(rows)
        found = []
        for start in range(0, count, size):
            chosen = np.minimum(np.arange(start, start + size), count - 1)
            sizes = {str(item.shape[0]): size for item in self.inputs if isinstance(item.shape[0], Expression)}
            part = {array: numbers[chosen] for array, numbers in known.items()}
            with np.errstate(all="ignore"):
                found.append(evaluate_body(arrays, self.feeds(rows[chosen]), part, sizes))
        return [np.concatenate(parts)[:count] for parts in zip(*found, strict=True)]


def without_maps(model: Model) -> Model:
    """The model with a matrix where a ZipMap made a dictionary of each row."""
    if not any(node.op_type == "ZipMap" for node in model.graph.nodes):
        return model
    copy = model.copy()
    graph = copy.graph
    for node in [node for node in graph.nodes if node.op_type == "ZipMap" and node.outputs[0] in graph.outputs]:
        (matrix,), (maps,) = node.inputs, node.outputs
        assert matrix is not None
        name, maps.name = maps.name, graph.fresh_name("maps")
        graph.outputs[graph.outputs.index(maps)] = matrix
        node.set_outputs([])
        graph.remove(node)
        matrix.name, matrix.type = name, None
    return operators.infer(copy)


def feature_names(model: Model, columns: int) -> list[str]:
    """The names of the columns: those that the source knew, or of inputs that are a column each; or none."""
    try:
        names = json.loads(model.metadata.get(FEATURES, "[]"))
    except (ValueError, RecursionError):
        names = []
    inputs = [value.name for value in model.graph.inputs if value.tensor is None]
    names = inputs if not names and len(inputs) > 1 else names
    return names if isinstance(names, list) and len(names) == columns and all(isinstance(name, str) for name in names) else []
