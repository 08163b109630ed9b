"""The IR to messages of the ONNX format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onward.format.wire import Message, encode_parts
from onward.ir.datatypes import DataType
from onward.ir.deserialization import ATTRIBUTE_TYPES, FIELD_OF
from onward.ir.expressions import Dimension, Expression
from onward.ir.graph import Attribute, Graph, Node, Value
from onward.ir.model import Function, Model
from onward.ir.tensor import Tensor
from onward.ir.types import MapType, OpaqueType, OptionalType, SequenceType, SparseTensorType, TensorType, Type

CARRIED = frozenset({"configuration", "device_configurations"})
"""Fields that the IR does not look into: they come back as they were."""


def model_to_bytes(model: Model) -> bytes:
    """The bytes of an ONNX file with all tensors inline."""
    return b"".join(encode_parts(model_to_message(model)))


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
        message.fields[FIELD_OF[attribute.type]] = [convert(item) for item in content]
    elif attribute.type != "UNDEFINED":
        message.fields[FIELD_OF[attribute.type]] = convert(content)
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
        message.fields["string_data"] = [item.encode("utf-8", "surrogateescape") if isinstance(item, str) else bytes(item) for item in items]
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


def dimension_text(dimension: Expression, mark: str = "@") -> str:
    """A size in words: an @ in the names of the model itself is doubled in memory (`deserialization`), one alone is of a name that a program gave."""
    return "@".join(part.replace("@", mark) for part in str(dimension).split("@@"))


def _dimension_message(dimension: Dimension | None) -> Message:
    message = Message("TensorShapeProto.Dimension")
    if isinstance(dimension, Expression):
        message.fields["dim_param"] = dimension_text(dimension, "_")
    elif dimension is not None:
        message.fields["dim_value"] = dimension
    return message
