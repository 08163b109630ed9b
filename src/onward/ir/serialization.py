"""Messages to the IR and back."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.errors import FormatError, InvalidGraph
from onward.format.external import ExternalFiles
from onward.format.wire import Message, decode, encode_parts
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol
from onward.ir.graph import Attribute, Graph, Node, Origin, Value
from onward.ir.model import Function, Model
from onward.ir.tensor import Tensor
from onward.ir.types import MapType, OpaqueType, OptionalType, SequenceType, SparseTensorType, TensorType, Type

ATTRIBUTE_TYPES = [
    "UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS", "TENSORS", "GRAPHS",
    "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS",
]  # fmt: skip
_FIELD_OF = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "FLOATS": "floats", "INTS": "ints",
    "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs", "SPARSE_TENSOR": "sparse_tensor",
    "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTO": "tp", "TYPE_PROTOS": "type_protos",
}  # fmt: skip
DEEPEST_GRAPH = 40
CARRIED = frozenset({"configuration", "device_configurations"})
"""Fields that the IR does not look into: they come back as they were."""


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


def model_to_bytes(model: Model) -> bytes:
    """The bytes of an ONNX file with all tensors inline."""
    return b"".join(encode_parts(model_to_message(model)))


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
        function.attribute_defaults = {
            item.get("name", ""): self.attribute(item, [], 0) for item in message.items("attribute_proto")
        }
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
        field = _FIELD_OF[kind]
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
                raise FormatError(
                    f"tensor '{name}' of {dtype.name}{shape} needs {tensor.nbytes} bytes of data, but holds {len(tensor._data)}"
                )
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
            extents.append(Symbol(name) if name else None)
    denotations = tuple(item.get("denotation", "") for item in message.items("dim"))
    return tuple(extents), denotations if any(denotations) else ()


def _guess(message: Message) -> str:
    """Files of IR version 1 do not say an attribute's type."""
    return next((kind for kind, field in _FIELD_OF.items() if message.fields.get(field)), "UNDEFINED")


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


# -- writing ----------------------------------------------------------------------------------------------------------
def model_to_message(model: Model) -> Message:
    """The model as a message; tensors are shared, not copied."""
    message = Message("ModelProto", ir_version=model.ir_version)
    for name in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        if getattr(model, name):
            message.fields[name] = getattr(model, name)
    message.fields["graph"] = _graph_message(model.graph)
    message.fields["opset_import"] = _opsets(model.opset_imports, model.message)
    if model.metadata:
        message.fields["metadata_props"] = _props(model.metadata)
    if model.training_info:
        message.fields["training_info"] = model.training_info
    if model.functions:
        message.fields["functions"] = [_function_message(function) for function in model.functions.values()]
    return _like(message, model.message)


def _like(message: Message, original: Message | None) -> Message:
    """The message with the fields that the original spelled out although they say nothing, and without those that it
    left out; unknown fields come back."""
    if original is None:
        return message
    for name, value in original.fields.items():
        if name not in message.fields and (_says_nothing(value) or name in CARRIED):
            message.fields[name] = value
    for name, value in list(message.fields.items()):
        if name not in original.fields and _says_nothing(value):
            del message.fields[name]
    message.unknown = original.unknown
    return message


def _says_nothing(value: Any) -> bool:
    return not isinstance(value, Message) and (len(value) == 0 if hasattr(value, "__len__") else value == 0)


def _opsets(imports: Mapping[str, int], original: Message | None) -> list[Message]:
    kept = original.items("opset_import") if original is not None else []
    if [(item.get("domain", ""), item.get("version", 0)) for item in kept] == list(imports.items()):
        return kept
    return [Message("OperatorSetIdProto", domain=domain, version=version) for domain, version in imports.items()]


def _props(metadata: Mapping[str, str]) -> list[Message]:
    return [Message("StringStringEntryProto", key=key, value=value) for key, value in metadata.items()]


def _graph_message(graph: Graph) -> Message:
    message = Message("GraphProto", node=[_node_message(node) for node in graph.nodes], name=graph.name)
    tensors = [_tensor_message(value.tensor, value.name) for value in graph.initializers.values() if value.tensor]
    for field, kind in (("initializer", "TensorProto"), ("sparse_initializer", "SparseTensorProto")):
        message.fields[field] = [item for item in tensors if item.kind == kind]
    if graph.doc_string:
        message.fields["doc_string"] = graph.doc_string
    message.fields["input"] = [value_message(value) for value in graph.inputs]
    message.fields["output"] = [value_message(value) for value in graph.outputs]
    shown = set(graph.inputs) | set(graph.outputs)
    infos = [value_message(v) for n in graph.nodes for v in n.outputs if v.type is not None and v.name and v not in shown]
    message.fields["value_info"] = _in_order([*infos, *graph.loose_infos], graph.message)
    if graph.quantization_annotations:
        message.fields["quantization_annotation"] = graph.quantization_annotations
    if graph.metadata:
        message.fields["metadata_props"] = _props(graph.metadata)
    return _like(message, graph.message)


def _in_order(infos: list[Message], original: Message | None) -> list[Message]:
    """Descriptions of values in the order of the file; new ones last."""
    if original is None:
        return infos
    rank = {item.get("name", ""): place for place, item in enumerate(original.items("value_info"))}
    return sorted(infos, key=lambda item: rank.get(item.get("name", ""), len(rank)))


def _function_message(function: Function) -> Message:
    message = Message("FunctionProto", name=function.name, domain=function.domain)
    message.fields["input"] = [value.name for value in function.inputs]
    message.fields["output"] = [value.name for value in function.outputs]
    message.fields["node"] = [_node_message(node) for node in function.nodes]
    message.fields["attribute"] = list(function.attributes)
    message.fields["attribute_proto"] = [_attribute_message(item) for item in function.attribute_defaults.values()]
    message.fields["opset_import"] = _opsets(function.opset_imports, function.message)
    infos = [value_message(v) for n in function.nodes for v in n.outputs if v.type is not None and v.name]
    written = {info.get("name", "") for info in infos}
    kept = function.message.items("value_info") if function.message is not None else []
    infos = _in_order([*infos, *(info for info in kept if info.get("name", "") not in written)], function.message)
    for name, content in (
        ("overload", function.overload), ("doc_string", function.doc_string), ("value_info", infos),
        ("metadata_props", _props(function.metadata)),
    ):  # fmt: skip
        if content:
            message.fields[name] = content
    return _like(message, function.message)


def _node_message(node: Node) -> Message:
    message = Message("NodeProto")
    message.fields["input"] = ["" if value is None else value.name for value in node.inputs]
    message.fields["output"] = [value.name for value in node.outputs]
    for name in ("name", "op_type", "domain", "overload", "doc_string"):
        if getattr(node, name):
            message.fields[name] = getattr(node, name)
    message.fields["attribute"] = [_attribute_message(item) for item in node.attributes.values()]
    if node.metadata:
        message.fields["metadata_props"] = _props(node.metadata)
    return _like(message, node.message)


def _attribute_message(attribute: Attribute) -> Message:
    if attribute.message is not None and "GRAPH" not in attribute.type:
        message, value = attribute.message
        if value is attribute.value or isinstance(value, list) and value == attribute.value:
            return message
    message = Message("AttributeProto", name=attribute.name, type=ATTRIBUTE_TYPES.index(attribute.type))
    if attribute.doc_string:
        message.fields["doc_string"] = attribute.doc_string
    if attribute.reference:
        message.fields["ref_attr_name"] = attribute.reference
        return message
    table: dict[str, Callable[[Any], Any]] = {
        "TENSOR": lambda item: _tensor_message(item, item.name),
        "GRAPH": _graph_message,
        "TYPE_PROTO": type_message,
        "STRING": lambda item: item.encode() if isinstance(item, str) else item,
        "SPARSE_TENSOR": _sparse_message,
    }
    convert = table.get(attribute.type.removesuffix("S"), lambda item: item)
    content = attribute.value
    if attribute.type.endswith("S"):
        message.fields[_FIELD_OF[attribute.type]] = [convert(item) for item in content]
    elif attribute.type != "UNDEFINED":
        message.fields[_FIELD_OF[attribute.type]] = convert(content)
    return message


def _sparse_message(tensor: Tensor) -> Message:
    array = tensor.numpy()
    places = np.flatnonzero(array).astype(np.int64)
    values = Tensor.of(array.reshape(-1)[places], tensor.name)
    return Message(
        "SparseTensorProto", values=_tensor_message(values, tensor.name), indices=_tensor_message(Tensor.of(places), ""),
        dims=list(tensor.shape),
    )  # fmt: skip


def _tensor_message(tensor: Tensor, name: str) -> Message:
    original = tensor.message
    if original is not None and original.get("data_location", 0) == 0:
        if original.kind == "SparseTensorProto" or original.get("name", "") == name:
            return original
        renamed = Message(original.kind, **{**original.fields, "name": name})
        renamed.unknown = original.unknown
        return renamed
    message = Message("TensorProto", dims=list(tensor.shape), data_type=int(tensor.dtype))
    if tensor.dtype == DataType.STRING:
        items = tensor.numpy().reshape(-1)
        message.fields["string_data"] = [
            item.encode("utf-8", "surrogateescape") if isinstance(item, str) else bytes(item) for item in items
        ]
    else:
        message.fields["raw_data"] = tensor.raw()
    if name:
        message.fields["name"] = name
    if tensor.doc_string:
        message.fields["doc_string"] = tensor.doc_string
    return message


def value_message(value: Value) -> Message:
    """A ValueInfoProto."""
    if value.message is not None:
        original, kind = value.message
        if kind == value.type and original.get("name", "") == value.name:
            return original
    message = Message("ValueInfoProto", name=value.name)
    if value.type is not None:
        message.fields["type"] = type_message(value.type)
    if value.doc_string:
        message.fields["doc_string"] = value.doc_string
    if value.metadata:
        message.fields["metadata_props"] = _props(value.metadata)
    return message


def type_message(kind: Type) -> Message:
    """A TypeProto."""
    message = Message("TypeProto")
    match kind:
        case TensorType() | SparseTensorType():
            name = "Tensor" if isinstance(kind, TensorType) else "SparseTensor"
            inner = Message(f"TypeProto.{name}", elem_type=int(kind.dtype))
            if kind.shape is not None:
                inner.fields["shape"] = Message("TensorShapeProto", dim=[_dimension_message(d) for d in kind.shape])
            message.fields["tensor_type" if name == "Tensor" else "sparse_tensor_type"] = inner
            if isinstance(kind, TensorType) and kind.denotation:
                message.fields["denotation"] = kind.denotation
        case SequenceType() | OptionalType():
            name = "Sequence" if isinstance(kind, SequenceType) else "Optional"
            inner = Message(f"TypeProto.{name}")
            if kind.element is not None:
                inner.fields["elem_type"] = type_message(kind.element)
            message.fields[f"{name.lower()}_type"] = inner
        case MapType():
            inner = Message("TypeProto.Map", key_type=int(kind.key))
            if kind.value is not None:
                inner.fields["value_type"] = type_message(kind.value)
            message.fields["map_type"] = inner
        case OpaqueType():
            message.fields["opaque_type"] = Message("TypeProto.Opaque", domain=kind.domain, name=kind.name)
    return message


def _dimension_message(dimension: Dimension | None) -> Message:
    message = Message("TensorShapeProto.Dimension")
    if isinstance(dimension, Expression):
        message.fields["dim_param"] = str(dimension)
    elif dimension is not None:
        message.fields["dim_value"] = dimension
    return message


def read_tensor(message: Message) -> Tensor:
    """The tensor in a TensorProto, such as the .pb files of test data. Raises FormatError for damaged data."""
    return _Reader(None).tensor(message)
