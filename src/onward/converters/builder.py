"""Writes the graph of a converted model: `b.op("Sigmoid", x)` adds a node and gives its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from onward.ir import Graph, Model, Node, TensorType, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Symbol
from onward.ir.tensor import Tensor

OPSET = 21
DOMAINS = {"ai.onnx.ml": 5, "com.microsoft": 1}
"""The versions of the other domains."""


class ModelBuilder:
    """A graph under construction. Names of inputs and outputs are the caller's; others are made up."""

    def __init__(self, name: str, opset: int | None = None) -> None:
        self.graph = Graph(name)
        self.opset = opset or OPSET
        self.domains: dict[str, int] = {"": self.opset}
        self.fixed = False
        """Whether the version is the caller's."""
        self.outer: list[Graph] = []
        """The graphs around the one at hand, outermost first."""

    def raise_opset(self, opset: int) -> None:
        """A later version, for an operator that the one at hand lacks, unless the caller chose that one."""
        if not self.fixed and self.opset < opset:
            self.opset = self.domains[""] = opset

    @property
    def outermost(self) -> Graph:
        """Where constants stand, those of inner graphs too."""
        return self.outer[0] if self.outer else self.graph

    @contextmanager
    def inner_graph(self, name: str) -> Iterator[Graph]:
        """Nodes made inside go into a graph of their own (a branch, a body), whose names differ from those of the graphs around it."""
        outer = self.graph
        outer.fresh_name("name")
        inner = Graph(name)
        inner._names, inner._fresh = outer._names, outer._fresh
        self.outer.append(outer)
        self.graph = inner
        try:
            yield inner
        finally:
            self.graph = outer
            self.outer.pop()

    def input(self, name: str, dtype: DataType, shape: Sequence[int | str]) -> Value:
        """An input; extents that are text are symbols."""
        extents: list[Dimension] = [Symbol(extent) if isinstance(extent, str) else extent for extent in shape]
        value = Value(name, TensorType(dtype, tuple(extents)))
        value.graph = self.graph
        self.graph.inputs.append(value)
        return value

    def constant(self, array: np.ndarray, name: str = "constant") -> Value:
        """An initializer of the outermost graph."""
        return self.outermost.add_initializer(Tensor.of(np.asarray(array, order="C")), name)

    def op(self, operator: str, *inputs: Value | None, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """The output of a new node, or all of them when there are several. Absent inputs at the end are left out: onnxruntime ends the
        process where it fuses a LayerNormalization whose bias is there without a name."""
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        if domain:
            self.domains[domain] = DOMAINS[domain]
        results = [self.graph.new_value(hint=operator.lower()) for _ in range(outputs)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self.graph.append(Node(operator, inputs, results, given, domain=domain, name=self.graph.fresh_name(operator)))
        return results[0] if outputs == 1 else results

    def output(self, value: Value, name: str) -> None:
        """Makes a value an output of that name."""
        result = self.op("Identity", value)
        for other in self.graph.values():
            if other.name == name and other is not result and other.producer is not None:
                other.name = self.graph.fresh_name(name)
        result.name = name
        self.graph.outputs.append(result)

    def model(self) -> Model:
        """The finished model, with the types of its outputs."""
        from onward.operators import infer

        return infer(Model(self.graph, self.domains, ir_version=10))
