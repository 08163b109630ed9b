"""Model and Function: a graph with its versions and metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onward.ir.graph import Attribute, Graph, Node, Value, copy_graph


@dataclass(eq=False)
class Function:
    """A model-local function: a named body of nodes."""

    domain: str
    name: str
    overload: str = ""
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    attribute_defaults: dict[str, Attribute] = field(default_factory=dict)
    opset_imports: dict[str, int] = field(default_factory=dict)
    doc_string: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    message: Any = field(default=None, repr=False)


class Model:
    """A graph, the operator sets it is written in, functions, and what is said about it."""

    def __init__(self, graph: Graph, opset_imports: dict[str, int] | None = None, ir_version: int = 10) -> None:
        self.graph = graph
        graph.model = self
        self.opset_imports: dict[str, int] = dict(opset_imports or {"": 21})
        self.ir_version = ir_version
        self.producer_name = "onward"
        self.producer_version = ""
        self.domain = ""
        self.model_version = 0
        self.doc_string = ""
        self.functions: dict[tuple[str, str, str], Function] = {}
        self.metadata: dict[str, str] = {}
        self.training_info: list[Any] = []
        self.path: str | None = None
        self.external: set[str] = set()
        self.message: Any = None

    def external_locations(self) -> set[str]:
        """The names of the external data files that the tensors lie in, relative to the model's folder."""
        return self.external

    def copy(self) -> Model:
        """An independent model that shares the tensors."""
        result = Model(copy_graph(self.graph, {}), dict(self.opset_imports), self.ir_version)
        for name in ("producer_name", "producer_version", "domain", "model_version", "doc_string", "path"):
            setattr(result, name, getattr(self, name))
        result.functions = dict(self.functions)
        result.metadata = dict(self.metadata)
        result.training_info = list(self.training_info)
        result.external, result.message = set(self.external), self.message
        return result

    def to_bytes(self) -> bytes:
        """The model as an ONNX file."""
        from onward.ir.serialization import model_to_bytes

        return model_to_bytes(self)

    def SerializeToString(self) -> bytes:  # noqa: N802 (the name that ONNX tools call)
        """The same as `to_bytes`."""
        return self.to_bytes()
