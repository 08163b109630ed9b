"""Graph, Node, Value: a model's computation, with links from producers to users."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onward.errors import InvalidGraph
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.ir.types import ShapeLike, TensorType, Type

if TYPE_CHECKING:
    from onward.ir.model import Model


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: the node of the original model and its metadata (such as a stack trace)."""

    node_name: str
    op_type: str
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)


@dataclass(eq=False)
class Attribute:
    """An attribute: `type` is the ONNX AttributeType name; `reference` names a function's attribute instead of a value."""

    name: str
    type: str
    value: Any
    reference: str = ""
    doc_string: str = ""
    message: Any = field(default=None, repr=False)
    """What the file said, for writing it again as it was; (message, value) where the value came from one."""


class Value:
    """An edge of the graph. `tensor` is set for initialisers."""

    __slots__ = (
        "name", "type", "producer", "output_index", "_uses", "tensor", "graph", "provenance", "doc_string", "metadata",
        "message",
    )  # fmt: skip

    def __init__(self, name: str, type: Type | None = None, tensor: Tensor | None = None) -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.tensor = tensor
        self.producer: Node | None = None
        self.output_index = 0
        self._uses: dict[tuple[Node, int], None] = {}
        self.graph: Graph | None = None
        self.provenance: tuple[Origin, ...] = ()
        self.doc_string = ""
        self.metadata: dict[str, str] = {}
        self.message: Any = None

    @property
    def uses(self) -> tuple[tuple[Node, int], ...]:
        """The (node, input index) pairs that read the value."""
        return tuple(self._uses)

    @property
    def dtype(self) -> DataType | None:
        """The data type of a tensor, if known."""
        return self.type.dtype if isinstance(self.type, TensorType) else None

    @property
    def shape(self) -> ShapeLike | None:
        """The shape of a tensor, if its rank is known."""
        return self.type.shape if isinstance(self.type, TensorType) else None

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.type})"


class Node:
    """An operator applied to values."""

    __slots__ = ("op_type", "domain", "name", "overload", "_inputs", "_outputs", "attributes", "graph", "doc_string", "metadata", "message")

    def __init__(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value] | int = 1,
        attributes: Mapping[str, Any] | None = None,
        *,
        domain: str = "",
        name: str = "",
        overload: str = "",
    ) -> None:
        self.op_type = op_type
        self.domain = domain
        self.name = name
        self.overload = overload
        self.graph: Graph | None = None
        self.doc_string = ""
        self.metadata: dict[str, str] = {}
        self.message: Any = None
        self.attributes: dict[str, Attribute] = {
            key: item if isinstance(item, Attribute) else make_attribute(key, item) for key, item in (attributes or {}).items()
        }
        self._inputs: tuple[Value | None, ...] = tuple(inputs)
        for index, value in enumerate(self._inputs):
            if value is not None:
                value._uses[(self, index)] = None
        values = [Value("") for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self._outputs: tuple[Value, ...] = tuple(values)
        for index, value in enumerate(values):
            if value.producer is not None:
                raise InvalidGraph(f"value '{value.name}' is produced by two nodes: '{value.producer.name}' and '{name}'")
            value.producer = self
            value.output_index = index

    @property
    def inputs(self) -> tuple[Value | None, ...]:
        """The values read; None where an optional input is absent."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values made. An output with an empty name is not used."""
        return self._outputs

    def attribute(self, name: str, default: Any = None) -> Any:
        """The plain value of an attribute, or the default."""
        found = self.attributes.get(name)
        return default if found is None else found.value

    def replace_input(self, index: int, value: Value | None) -> None:
        """Reads another value at an input position."""
        old = self._inputs[index]
        if old is not None:
            del old._uses[(self, index)]
        self._inputs = (*self._inputs[:index], value, *self._inputs[index + 1 :])
        if value is not None:
            value._uses[(self, index)] = None

    def set_inputs(self, values: Sequence[Value | None]) -> None:
        """Reads other values, as many as are given."""
        self.detach()
        self._inputs = tuple(values)
        for index, value in enumerate(self._inputs):
            if value is not None:
                value._uses[(self, index)] = None

    def drop_outputs(self, count: int) -> None:
        """Makes only the first `count` values. Raises InvalidGraph where a later one is used."""
        for value in self._outputs[count:]:
            if value.uses or self.graph is not None and value in self.graph.outputs:
                raise InvalidGraph(f"output '{value.name}' of node '{self.name}' ({self.op_type}) is used")
        self.set_outputs(self._outputs[:count])

    def set_outputs(self, values: Sequence[Value]) -> None:
        """Makes other values; those it made before are made by nobody."""
        for value in self._outputs:
            value.producer = None
        self._outputs = tuple(values)
        for index, value in enumerate(self._outputs):
            value.producer, value.output_index = self, index

    def detach(self) -> None:
        """Gives up all inputs."""
        for index in range(len(self._inputs)):
            self.replace_input(index, None)

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs among the attributes."""
        for attribute in self.attributes.values():
            if isinstance(attribute.value, Graph):
                yield attribute.value
            elif attribute.type == "GRAPHS":
                yield from attribute.value

    def __repr__(self) -> str:
        inputs = ", ".join(value.name if value is not None else "-" for value in self.inputs)
        return f"{', '.join(value.name for value in self.outputs)} = {self.op_type}({inputs})"


def make_attribute(name: str, value: Any) -> Attribute:
    """An attribute whose type follows from a Python value."""
    if isinstance(value, bool):
        return Attribute(name, "INT", int(value))
    if isinstance(value, int):
        return Attribute(name, "INT", value)
    if isinstance(value, float):
        return Attribute(name, "FLOAT", value)
    if isinstance(value, (str, bytes)):
        return Attribute(name, "STRING", value)
    if isinstance(value, Tensor):
        return Attribute(name, "TENSOR", value)
    if isinstance(value, Graph):
        return Attribute(name, "GRAPH", value)
    items = list(value)
    if any(isinstance(item, float) for item in items):
        return Attribute(name, "FLOATS", [float(item) for item in items])
    if items and isinstance(items[0], (str, bytes)):
        return Attribute(name, "STRINGS", items)
    return Attribute(name, "INTS", [int(item) for item in items])


class Graph:
    """Inputs, nodes in order, outputs."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self._nodes: list[Node] = []
        self.initializers: dict[str, Value] = {}
        self.doc_string = ""
        self.metadata: dict[str, str] = {}
        self.quantization_annotations: list[Any] = []
        self.message: Any = None
        self.loose_infos: list[Any] = []
        """Descriptions in the file of values that no node makes."""
        self.model: Model | None = None
        self._fresh = itertools.count()
        self._names: set[str] | None = None

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes in order, as a snapshot that mutation does not disturb."""
        return tuple(self._nodes)

    def append(self, node: Node) -> Node:
        """Adds a node at the end."""
        self._adopt(node)
        self._nodes.append(node)
        return node

    def insert_before(self, node: Node, anchor: Node) -> Node:
        """Adds a node before another."""
        self._adopt(node)
        self._nodes.insert(self._nodes.index(anchor), node)
        return node

    def _adopt(self, node: Node) -> None:
        node.graph = self
        for value in node.outputs:
            value.graph = self
            if not value.name:
                continue
            if self._names is not None:
                self._names.add(value.name)

    def remove(self, node: Node) -> None:
        """Removes a node whose outputs nobody reads."""
        for value in node.outputs:
            if value.uses or value in self.outputs:
                raise InvalidGraph(f"node '{node.name}' ({node.op_type}) cannot be removed: '{value.name}' is still used")
        node.detach()
        self._nodes.remove(node)
        node.graph = None

    def replace_value(self, old: Value, new: Value) -> None:
        """All uses of `old`, outputs of the graph included, become uses of `new`, which inherits the provenance."""
        for node, index in old.uses:
            node.replace_input(index, new)
        if old in self.outputs:
            self.outputs = [new if value is old else value for value in self.outputs]
            old.name, new.name = (self.fresh_name(new.name or "value"), old.name)
            if new.type is None:
                new.type = old.type
        new.provenance = tuple(dict.fromkeys((*new.provenance, *old.provenance)))

    def new_value(self, type: Type | None = None, hint: str = "value") -> Value:  # noqa: A002
        """A value with a name nobody has."""
        value = Value(self.fresh_name(hint), type)
        value.graph = self
        return value

    def fresh_name(self, hint: str) -> str:
        """A name no value of the graph has."""
        if self._names is None:
            self._names = {value.name for value in self.values()}
        name = hint
        while name in self._names:
            name = f"{hint}_{next(self._fresh)}"
        self._names.add(name)
        return name

    def forget_names(self) -> None:
        """To be called after values were renamed."""
        self._names = None

    def add_initializer(self, tensor: Tensor, hint: str = "constant") -> Value:
        """A new constant."""
        value = self.new_value(TensorType(tensor.dtype, tuple(tensor.shape)), tensor.name or hint)
        value.tensor = tensor
        self.initializers[value.name] = value
        return value

    def values(self) -> Iterator[Value]:
        """All values: inputs, initialisers, outputs of nodes."""
        yield from self.inputs
        yield from self.initializers.values()
        for node in self._nodes:
            yield from node.outputs

    def topological_sort(self) -> None:
        """Orders the nodes so that each comes after what it reads. Raises InvalidGraph for a cycle."""
        made = {value: node for node in self._nodes for value in node.outputs}
        state: dict[Node, int] = {}
        order: list[Node] = []
        for start in self._nodes:
            pending = [(start, False)]
            while pending:
                node, ready = pending.pop()
                if ready:
                    if state[node] != 2:
                        state[node] = 2
                        order.append(node)
                    continue
                if state.get(node) == 2:
                    continue
                if state.get(node) == 1:
                    raise InvalidGraph(f"graph '{self.name}' has a cycle through node '{node.name}' ({node.op_type})")
                state[node] = 1
                pending.append((node, True))
                for value in reversed(list(_all_inputs(node))):
                    source = made.get(value)
                    if source is not None and state.get(source) != 2:
                        if state.get(source) == 1 and (source, True) in pending:
                            raise InvalidGraph(f"graph '{self.name}' has a cycle through node '{source.name}' ({source.op_type})")
                        pending.append((source, False))
        self._nodes = order

    def copy(self) -> Graph:
        """An independent graph that shares the tensors."""
        return copy_graph(self, {})


def _all_inputs(node: Node) -> Iterator[Value]:
    yield from (value for value in node.inputs if value is not None)
    for graph in node.subgraphs():
        for inner in graph.nodes:
            yield from _all_inputs(inner)
        yield from graph.outputs


def captured_values(node: Node) -> Iterator[Value]:
    """The values of outer graphs that the sub-graphs of a node read."""
    for graph in node.subgraphs():
        own = set(graph.values())
        reads = [value for inner in graph.nodes for value in (*inner.inputs, *captured_values(inner)) if value is not None]
        yield from (value for value in (*reads, *graph.outputs) if value not in own)


def copy_graph(graph: Graph, table: dict[Value, Value]) -> Graph:
    """A copy; `table` maps values of the outer graphs, and receives the new ones."""
    result = Graph(graph.name)
    result.doc_string, result.metadata = graph.doc_string, dict(graph.metadata)
    result.quantization_annotations = list(graph.quantization_annotations)
    result.message, result.loose_infos = graph.message, list(graph.loose_infos)

    def clone(value: Value) -> Value:
        if value not in table:
            new = Value(value.name, value.type, value.tensor)
            new.provenance, new.doc_string, new.metadata = value.provenance, value.doc_string, dict(value.metadata)
            new.graph, new.message = result, value.message
            table[value] = new
        return table[value]

    result.inputs = [clone(value) for value in graph.inputs]
    result.initializers = {name: clone(value) for name, value in graph.initializers.items()}
    for node in graph.nodes:
        for value in node.outputs:
            clone(value)
    for node in graph.nodes:
        result.append(copy_node(node, table))
    result.outputs = [table.get(value, value) for value in graph.outputs]
    return result


def copy_node(node: Node, table: dict[Value, Value]) -> Node:
    """A copy of a node between the values of `table`."""
    attributes: dict[str, Any] = {}
    for name, item in node.attributes.items():
        value = item.value
        if isinstance(value, Graph):
            value = copy_graph(value, table)
        elif item.type == "GRAPHS":
            value = [copy_graph(graph, table) for graph in value]
        attributes[name] = Attribute(name, item.type, value, item.reference, item.doc_string, item.message)
    inputs = [None if value is None else table.get(value, value) for value in node.inputs]
    outputs = [table.get(value) or Value(value.name, value.type) for value in node.outputs]
    new = Node(node.op_type, inputs, outputs, attributes, domain=node.domain, name=node.name, overload=node.overload)
    new.doc_string, new.metadata, new.message = node.doc_string, dict(node.metadata), node.message
    return new


def walk_nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes and those of their sub-graphs."""
    for node in nodes:
        yield node
        for graph in node.subgraphs():
            yield from walk_nodes(graph.nodes)
