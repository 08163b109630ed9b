"""Messages of the ONNX format to the IR."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.errors import FormatError, InvalidGraph
from onward.format.external import ExternalFiles
from onward.format.wire import Message, decode
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Symbol
from onward.ir.graph import Attribute, Graph, Node, Origin, Value
from onward.ir.model import Function, Model
from onward.ir.tensor import Tensor
from onward.ir.types import MapType, OpaqueType, OptionalType, SequenceType, SparseTensorType, TensorType, Type

ATTRIBUTE_TYPES = [
    "UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS", "GRAPHS",
    "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS",
]  # fmt: skip
FIELD_OF = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "FLOATS": "floats", "INTS": "ints",
    "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs", "SPARSE_TENSOR": "sparse_tensor",
    "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTO": "tp", "TYPE_PROTOS": "type_protos",
}  # fmt: skip
"""The field of an AttributeProto that holds a value of the kind."""
DEEPEST_GRAPH = 40


def model_from_bytes(data: bytes | memoryview, path: Path | None = None) -> Model:
    """The model in the bytes of an ONNX file; `path` tells where external data lies."""
    collecting = gc.isenabled()
    gc.disable()  # thousands of small objects that all stay: looking for garbage among them doubles the time
    try:
        message = decode("ModelProto", data if isinstance(data, memoryview) else memoryview(data))
        if "graph" not in message.fields:
            raise FormatError(f"{path or 'the data'} holds no graph; it is empty or no ONNX model")
        return _Reader(path).model(message)
    finally:
        if collecting:
            gc.enable()


def read_tensor(message: Message) -> Tensor:
    """The tensor in a TensorProto, such as the .pb files of test data. Raises FormatError for damaged data."""
    return _Reader(None).tensor(message)


class _Reader:
    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.files = ExternalFiles(path.parent if path else Path("."))
        self.external: set[str] = set()

    def model(self, message: Message) -> Model:
        opsets = {item.get("domain", ""): item.get("version", 0) for item in message.items("opset_import")}
        model = Model(Graph(), opsets, message.get("ir_version", 0))
        model.opset_imports = opsets
        for name in ("producer_name", "producer_version", "domain", "doc_string"):
            setattr(model, name, message.get(name, ""))
        model.model_version = message.get("model_version", 0)
        model.metadata = _entries(message.items("metadata_props"))
        model.training_info = list(message.items("training_info"))
        model.path = str(self.path) if self.path else None
        model.message = message
        for item in message.items("functions"):
            function = self.function(item)
            model.functions[function.domain, function.name, function.overload] = function
        model.graph = self.graph(message.fields["graph"], [], 0)
        model.graph.model = model
        model.external = self.external
        return model

    # -- graphs ------------------------------------------------------------------------------------------------
    def graph(self, message: Message, scopes: list[dict[str, Value]], depth: int) -> Graph:
        if depth > DEEPEST_GRAPH:
            raise InvalidGraph(f"graphs are nested deeper than {DEEPEST_GRAPH} levels")
        graph = Graph(message.get("name", ""))
        graph.message = message
        graph.doc_string = message.get("doc_string", "")
        graph.metadata = _entries(message.items("metadata_props"))
        graph.quantization_annotations = list(message.items("quantization_annotation"))
        names: dict[str, Value] = {}
        inner = [*scopes, names]
        for item in message.items("input"):
            value = self.value_info(item)
            if value.name in names:
                raise InvalidGraph(f"graph '{graph.name}' has two inputs named '{value.name}'")
            names[value.name] = value
            value.graph = graph
            graph.inputs.append(value)
        self._initializers(message, graph, names)
        infos = {item.get("name", ""): item for item in (*message.items("value_info"), *message.items("output"))}
        self._nodes(message.items("node"), graph, names, inner, infos, depth)
        made = {value.name for node in graph.nodes for value in node.outputs}
        made -= {item.get("name", "") for item in (*message.items("input"), *message.items("output"))}
        graph.loose_infos = [item for item in message.items("value_info") if item.get("name", "") not in made]
        for item in message.items("output"):
            name = item.get("name", "")
            found = _find(name, inner)
            if found is None:
                raise InvalidGraph(f"output '{name}' of graph '{graph.name}' is made by no node, input or initialiser")
            if found.type is None:
                found.type = self.value_info(item).type
            graph.outputs.append(found)
        return graph

    def _initializers(self, message: Message, graph: Graph, names: dict[str, Value]) -> None:
        tensors = [self.tensor(item) for item in message.items("initializer")]
        tensors += [self.sparse(item) for item in message.items("sparse_initializer")]
        for tensor in tensors:
            if tensor.name in graph.initializers:
                raise InvalidGraph(f"graph '{graph.name}' has two initialisers named '{tensor.name}'")
            value = names.get(tensor.name)
            if value is None:
                value = names[tensor.name] = Value(tensor.name, TensorType(tensor.dtype, tensor.shape))
                value.graph = graph
            value.tensor = tensor
            graph.initializers[tensor.name] = value

    def _nodes(
        self,
        messages: Sequence[Message],
        graph: Graph | None,
        names: dict[str, Value],
        scopes: list[dict[str, Value]],
        infos: Mapping[str, Message],
        depth: int,
    ) -> list[Node]:
        place = f"graph '{graph.name}'" if graph is not None else "a function"
        outputs: list[list[Value]] = []
        for message in messages:  # all outputs first: a node may stand before what it reads, and is reported for it
            made = []
            for name in message.items("output"):
                if name and name in names:
                    raise InvalidGraph(f"{place}: '{name}' is produced more than once; the second time by {_named(message)}")
                value = self.value_info(infos[name]) if name in infos else Value(name)
                if name:
                    names[name] = value
                made.append(value)
            outputs.append(made)
        nodes = []
        for message, made in zip(messages, outputs):
            inputs: list[Value | None] = []
            for name in message.items("input"):
                source = _find(name, scopes) if name else None
                if name and source is None:
                    raise InvalidGraph(f"{place}: {_named(message)} reads '{name}', which nothing produces")
                inputs.append(source)
            attributes = {item.get("name", ""): self.attribute(item, scopes, depth) for item in message.items("attribute")}
            node = Node(
                message.get("op_type", ""), inputs, made, attributes,
                domain=message.get("domain", ""), name=message.get("name", ""), overload=message.get("overload", ""),
            )  # fmt: skip
            node.message = message
            node.doc_string = message.get("doc_string", "")
            node.metadata = _entries(message.items("metadata_props"))
            origin = Origin(node.name, node.op_type, node.metadata)
            for value in made:
                value.provenance = (origin,)
            nodes.append(node)
            if graph is not None:
                graph.append(node)
        return nodes

    def function(self, message: Message) -> Function:
        names: dict[str, Value] = {}
        inputs = []
        for name in message.items("input"):
            names[name] = Value(name)
            inputs.append(names[name])
        infos = {item.get("name", ""): item for item in message.items("value_info")}
        nodes = self._nodes(message.items("node"), None, names, [names], infos, 0)
        function = Function(message.get("domain", ""), message.get("name", ""), message.get("overload", ""), inputs, nodes=nodes)
        for name in message.items("output"):
            if name not in names:
                raise InvalidGraph(f"function '{function.name}' gives '{name}', which nothing produces")
            function.outputs.append(names[name])
        function.attributes = list(message.items("attribute"))
        function.attribute_defaults = {item.get("name", ""): self.attribute(item, [], 0) for item in message.items("attribute_proto")}
        function.opset_imports = {item.get("domain", ""): item.get("version", 0) for item in message.items("opset_import")}
        function.message = message
        function.doc_string = message.get("doc_string", "")
        function.metadata = _entries(message.items("metadata_props"))
        return function

    # -- leaves ------------------------------------------------------------------------------------------------
    def attribute(self, message: Message, scopes: list[dict[str, Value]], depth: int) -> Attribute:
        number = message.get("type", 0)
        kind = ATTRIBUTE_TYPES[number] if 0 < number < len(ATTRIBUTE_TYPES) else _guess(message)
        name = message.get("name", "")
        reference = message.get("ref_attr_name", "")
        value: Any = None
        if not reference and kind != "UNDEFINED":
            value = self._attribute_value(kind, message, scopes, depth)
        kept = list(value) if isinstance(value, list) else value
        return Attribute(name, kind, value, reference, message.get("doc_string", ""), (message, kept))

    def _attribute_value(self, kind: str, message: Message, scopes: list[dict[str, Value]], depth: int) -> Any:
        field = FIELD_OF[kind]
        plural = kind.endswith("S")
        content = message.items(field) if plural else message.get(field)
        table: dict[str, Callable[[Any], Any]] = {
            "TENSOR": self.tensor,
            "GRAPH": lambda item: self.graph(item, scopes, depth + 1),
            "SPARSE_TENSOR": self.sparse,
            "TYPE_PROTO": self.type,
            "STRING": _text,
        }
        convert = table.get(kind.removesuffix("S"))
        if convert is None:
            if plural:
                return list(content)
            return content if content is not None else (0.0 if kind == "FLOAT" else 0)
        if content is None:
            if kind == "STRING":
                return ""
            raise FormatError(f"attribute '{message.get('name', '')}' says it is a {kind} but holds none")
        return [convert(item) for item in content] if plural else convert(content)

    def value_info(self, message: Message) -> Value:
        value = Value(message.get("name", ""), self.type(message.fields["type"]) if "type" in message.fields else None)
        value.doc_string = message.get("doc_string", "")
        value.metadata = _entries(message.items("metadata_props"))
        value.message = (message, value.type)
        return value

    def type(self, message: Message) -> Type | None:
        denotation = message.get("denotation", "")
        if "tensor_type" in message.fields:
            inner = message.fields["tensor_type"]
            shape, denotations = _shape(inner.get("shape"))
            kind = _datatype(inner.get("elem_type", 0), "a tensor type")
            return TensorType(kind, shape, denotation, denotations)
        if "sparse_tensor_type" in message.fields:
            inner = message.fields["sparse_tensor_type"]
            return SparseTensorType(_datatype(inner.get("elem_type", 0), "a sparse tensor type"), _shape(inner.get("shape"))[0])
        for field, make in (("sequence_type", SequenceType), ("optional_type", OptionalType)):
            if field in message.fields:
                element = message.fields[field].get("elem_type")
                return make(self.type(element) if element is not None else None)
        if "map_type" in message.fields:
            inner = message.fields["map_type"]
            content = inner.get("value_type")
            return MapType(_datatype(inner.get("key_type", 0), "a map type"), self.type(content) if content is not None else None)
        if "opaque_type" in message.fields:
            inner = message.fields["opaque_type"]
            return OpaqueType(inner.get("domain", ""), inner.get("name", ""))
        return None

    def tensor(self, message: Message) -> Tensor:
        name = message.get("name", "")
        dtype = _datatype(message.get("data_type", 0), f"tensor '{name}'")
        if dtype == DataType.UNDEFINED:
            raise FormatError(f"tensor '{name}' does not say what its elements are (data type 0)")
        shape = [int(extent) for extent in message.items("dims")]
        if any(extent < 0 for extent in shape):
            raise FormatError(f"tensor '{name}' has a negative extent: {shape}")
        if math.prod(shape) > 1 << 48:
            raise FormatError(f"tensor '{name}' claims {math.prod(shape)} elements: {shape}")
        tensor = Tensor(dtype, shape, None, name)
        tensor.doc_string = message.get("doc_string", "")
        tensor.metadata = _entries(message.items("metadata_props"))
        tensor.message = message
        if message.get("data_location", 0) == 1:
            entries = _entries(message.items("external_data"))
            self.external.add(entries.get("location", ""))
            tensor._data = lambda: self.files.read(entries, name, tensor.nbytes)
        elif "raw_data" in message.fields:
            tensor._data = message.fields["raw_data"]
            if len(tensor._data) != tensor.nbytes:
                raise FormatError(f"tensor '{name}' of {dtype.name}{shape} needs {tensor.nbytes} bytes of data, but holds {len(tensor._data)}")
        else:
            tensor._data = lambda: _typed_data(message, tensor)
            _check_typed(message, tensor)
        return tensor

    def sparse(self, message: Message) -> Tensor:
        values, positions = message.get("values"), message.get("indices")
        if values is None or positions is None:
            raise FormatError("a sparse tensor lacks its values or its indices")
        content, places = self.tensor(values), self.tensor(positions)
        shape = [int(extent) for extent in message.items("dims")]
        if math.prod(shape) > 1 << 34:
            raise FormatError(f"sparse tensor '{content.name}' is too large to be made dense: {shape}")

        def dense() -> np.ndarray:
            result = np.zeros(shape, content.dtype.numpy)
            where = places.numpy()
            flat = where if where.ndim == 1 else np.ravel_multi_index(tuple(where.T), shape)
            if flat.size and (flat.min() < 0 or flat.max() >= result.size):
                raise FormatError(f"sparse tensor '{content.name}' has an index outside its shape {shape}")
            result.reshape(-1)[flat] = content.numpy().reshape(-1)
            return result

        tensor = Tensor(content.dtype, shape, dense, content.name)
        tensor.message = message
        return tensor


def _find(name: str, scopes: Sequence[dict[str, Value]]) -> Value | None:
    return next((scope[name] for scope in reversed(scopes) if name in scope), None)


def _named(message: Message) -> str:
    return f"node '{message.get('name', '')}' ({message.get('op_type', '')})"


def _entries(items: Iterable[Message]) -> dict[str, str]:
    return {item.get("key", ""): item.get("value", "") for item in items}


def _text(data: Any) -> str | bytes:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        return bytes(data)


def _datatype(number: int, what: str) -> DataType:
    try:
        return DataType(number)
    except ValueError:
        raise FormatError(f"{what} has data type {number}, which ONNX does not define") from None


def _shape(message: Message | None) -> tuple[tuple[Dimension | None, ...] | None, tuple[str, ...]]:
    if message is None:
        return None, ()
    extents: list[Dimension | None] = []
    for item in message.items("dim"):
        number, name = item.get("dim_value"), item.get("dim_param")
        if number is not None:
            extents.append(number if number >= 0 else None)
        else:
            extents.append(Symbol(name.replace("@", "@@")) if name else None)  # one @ is in the names that programs give
    denotations = tuple(item.get("denotation", "") for item in message.items("dim"))
    return tuple(extents), denotations if any(denotations) else ()


def _guess(message: Message) -> str:
    """Files of IR version 1 do not say an attribute's type."""
    return next((kind for kind, field in FIELD_OF.items() if message.fields.get(field)), "UNDEFINED")


def _typed_field(dtype: DataType) -> str:
    if dtype in (DataType.FLOAT, DataType.COMPLEX64):
        return "float_data"
    if dtype in (DataType.DOUBLE, DataType.COMPLEX128):
        return "double_data"
    if dtype == DataType.INT64:
        return "int64_data"
    if dtype in (DataType.UINT32, DataType.UINT64):
        return "uint64_data"
    return "string_data" if dtype == DataType.STRING else "int32_data"


def _check_typed(message: Message, tensor: Tensor) -> None:
    count = len(message.items(_typed_field(tensor.dtype)))
    expected = tensor.size * (2 if tensor.dtype.is_complex else 1)
    if tensor.dtype.bits < 8:
        expected = tensor.nbytes
    if count != expected:
        raise FormatError(f"tensor '{tensor.name}' of {tensor.dtype.name}{list(tensor.shape)} needs {expected} numbers, but holds {count}")


def _typed_data(message: Message, tensor: Tensor) -> Any:
    dtype = tensor.dtype
    items = message.items(_typed_field(dtype))
    if dtype == DataType.STRING:
        return [bytes(item) for item in items]
    if dtype in (DataType.FLOAT, DataType.DOUBLE, DataType.INT64, DataType.UINT64):
        return np.asarray(items, dtype.numpy)
    if dtype == DataType.UINT32:
        return np.asarray(items, np.uint64).astype(np.uint32)
    if dtype.is_complex:
        return np.asarray(items, np.float32 if dtype == DataType.COMPLEX64 else np.float64).view(dtype.numpy)
    numbers = np.asarray(items, np.int64)
    if dtype in (DataType.FLOAT16, DataType.BFLOAT16):
        return numbers.astype(np.uint16).view(dtype.numpy)
    if dtype.bits < 8:
        return memoryview(numbers.astype(np.uint8).tobytes())
    if dtype.is_float:
        return numbers.astype(np.uint8).view(dtype.numpy)
    return numbers.astype(dtype.numpy)
