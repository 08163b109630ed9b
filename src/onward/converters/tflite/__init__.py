"""TFLite: a .tflite file, read without TensorFlow.

The file is a flatbuffer (`reader.py`, `schema.txt`). Each builtin operator is a function of `operators/`; quantised tensors become
real numbers between QuantizeLinear and DequantizeLinear. Pictures keep the layout of the file outside, and are turned once
for a run of operators that ONNX has with channels first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onward.converters.request import Request
from onward.converters.tflite.emitter import Emitter
from onward.converters.tflite.graph import Walker, codes, parameters, picked
from onward.converters.tflite.operators.randomness import RANDOM
from onward.converters.tflite.reader import Record, read_model
from onward.converters.tflite.reference import reference_of
from onward.converters.tflite.tensors import Laid, Tensor
from onward.errors import FormatError, InvalidArgument, UnsupportedModel
from onward.ir import Model
from onward.ir.datatypes import DataType


@dataclass(frozen=True)
class File:
    """A TFLite file: its bytes and what they say."""

    data: bytes
    content: Record


@dataclass(frozen=True)
class Signature:
    """A function of the file: its subgraph, and the names of its inputs and outputs in the subgraph's order."""

    subgraph: int
    inputs: list[str]
    outputs: list[str]
    called: tuple[str, list[str], list[str]]
    """What the file calls it, its inputs and its outputs."""


def load(path: Any, trust: bool = False) -> File:
    """The content of a file. Raises FormatError for one that is damaged or of another format."""
    data = Path(path).read_bytes()
    return File(data, read_model(data))


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a TFLite file (or of its bytes), and what it is to reproduce."""
    source = request.source
    if isinstance(source, (bytes, bytearray)):
        source = File(bytes(source), read_model(bytes(source)))
    if not isinstance(source, File):
        raise UnsupportedModel(f"TFLite models are files or bytes, not {type(source).__name__}")
    model, signature, given, made = _written(source, request)
    exactly = _written(source, request, exact=True)[0] if _is_quantised(source.content) else None
    kinds = {node.op_type for node in model.graph.nodes}
    reference = reference_of(
        source.data, signature.called if signature.subgraph else None, signature.inputs, signature.outputs, given, made, exactly, "NonMaxSuppression" in kinds
    )
    if kinds & RANDOM:
        reference = replace(reference, random=True, notes=(*reference.notes, "the source draws random numbers: only shapes and types were compared"))
    return model, reference


def _is_quantised(content: Record) -> bool:
    """Whether any tensor has a scale."""
    found = (tensor.quantization for subgraph in content.subgraphs for tensor in subgraph.tensors)
    return any(item is not None and len(item.scale) for item in found)


def _written(source: File, request: Request, exact: bool = False) -> tuple[Model, Signature, list[Tensor], list[Tensor]]:
    """The model, the function of the file that it is, and the tensors that are its inputs and outputs."""
    c = Emitter(source.content.description or "tflite", request.opset, exact)
    walker = Walker(c, source.content, source.data)
    signature = _signature(walker, request)
    tensors = walker.tensors(signature.subgraph)
    inputs = _inputs(c, walker, signature, tensors)
    outputs = walker.run(signature.subgraph, inputs, tensors)
    walker.check()
    results = [codes(c, tensor) for tensor in outputs]
    for value, name in zip(results, signature.outputs):
        c.output(value, name)
    given = [tensor for tensor in picked(tensors, walker.subgraph(signature.subgraph).inputs) if tensor is not None]
    return c.model(), signature, given, outputs


def _signature(walker: Walker, request: Request) -> Signature:
    """The function that is asked for by name (`methods`), or the first subgraph."""
    found = {item.signature_key or "": item for item in walker.model.signature_defs}
    if len(request.methods) > 1 or any(name not in found for name in request.methods):
        raise InvalidArgument(f"methods names one signature of the file: {', '.join(found) or 'it has none'}")
    chosen = found[request.methods[0]] if request.methods else next((item for item in found.values() if not item.subgraph_index), None)
    number = chosen.subgraph_index if chosen is not None else 0
    subgraph = walker.subgraph(number)
    sides, called = [], []
    for numbers, named, given, what in (
        (subgraph.inputs, chosen.inputs if chosen else [], request.input_names, "inputs"),
        (subgraph.outputs, chosen.outputs if chosen else [], request.output_names, "outputs"),
    ):
        if given and len(given) != len(numbers):
            raise InvalidArgument(f"the model has {len(numbers)} {what}, {len(given)} names were given")
        called.append(_names(numbers, named, subgraph))
        sides.append(list(given) if given else called[-1])
    taken = set(sides[0])
    outputs = [f"{name}_output" if name in taken else name for name in sides[1]]
    return Signature(number, sides[0], outputs, (chosen.signature_key or "" if chosen else "", called[0], called[1]))


def _names(numbers: Any, named: list[Record], subgraph: Record) -> list[str]:
    """Names by the signature, else those of the tensors; each once."""
    mapped = {item.tensor_index: item.name for item in named if item.name}
    names: list[str] = []
    for number in numbers:
        if not 0 <= number < len(subgraph.tensors):
            raise FormatError(f"tensor {number} of {len(subgraph.tensors)} is asked for")
        base = mapped.get(int(number)) or subgraph.tensors[number].name or f"tensor_{number}"
        name, count = base, 1
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.append(name)
    return names


def _inputs(c: Emitter, walker: Walker, signature: Signature, tensors: list[Tensor]) -> list[Laid]:
    """The inputs of the graph, as real numbers."""
    made = []
    for name, tensor in zip(signature.inputs, picked(tensors, walker.subgraph(signature.subgraph).inputs)):
        if tensor is None or tensor.type in ("RESOURCE", "VARIANT"):
            raise UnsupportedModel(f"input '{name}' is no tensor of numbers or text")
        shape = [extent if extent >= 0 else "batch" if axis == 0 else f"{name}_{axis}" for axis, extent in enumerate(tensor.shape)]
        kind = DataType.of(tensor_type(tensor))
        value = c.input(name, kind, shape)
        c.graph.forget_names()
        if tensor.quantization is not None:
            value = c.op("DequantizeLinear", value, *parameters(tensor))
        made.append(Laid(value))
    return made


def tensor_type(tensor: Tensor) -> Any:
    """The type of a tensor's codes."""
    import numpy as np

    from onward.converters.tflite.tensors import TYPES

    return np.dtype(TYPES[tensor.type])
