"""Walks the subgraphs of a file and writes an ONNX graph, operator by operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from onward.converters.tflite import operators  # noqa: F401  (fills the registry)
from onward.converters.tflite.emitter import Emitter, First, Node
from onward.converters.tflite.operators.complex_numbers import COMPLEX
from onward.converters.tflite.reader import Record, default_record
from onward.converters.tflite.registry import OPERATORS
from onward.converters.tflite.schema import schema
from onward.converters.tflite.tensors import Laid, Tensor, tensor_of
from onward.errors import FormatError, UnsupportedOperator
from onward.ir import Value

DEEPEST = 64
"""Levels of subgraphs within subgraphs beyond which a file is not believed."""


def name_of(code: Record) -> str:
    """The schema's name of an operator, or a custom operator's own. Old files have the number in a narrower field."""
    name = code.builtin_code
    if code.deprecated_builtin_code > 0 and name == "ADD":
        name = schema().enums["BuiltinOperator"].get(code.deprecated_builtin_code, "")
    return code.custom_code or "a custom operator without a name" if name == "CUSTOM" else name


class Walker:
    """The subgraphs of one file."""

    def __init__(self, c: Emitter, model: Record, file: bytes) -> None:
        self.c = c
        self.model = model
        self.file = file
        self.depth = 0
        self.problems: dict[str, None] = {}
        """Everything that has no equivalent, each once, in the order it was met."""
        self.resources: dict[Any, Any] = {}
        """What tables and variables hold, by their handles."""
        self.filling = False
        """Whether the subgraph at hand is what the file does before the first run."""
        c.walk = self

    def subgraph(self, number: int) -> Record:
        """A subgraph. Raises FormatError for a number that there is not."""
        if not 0 <= number < len(self.model.subgraphs):
            raise FormatError(f"the TFLite file has {len(self.model.subgraphs)} subgraphs, number {number} is asked for")
        return self.model.subgraphs[number]

    def tensors(self, number: int) -> list[Tensor]:
        """The tensors of a subgraph, none of them written yet."""
        return [tensor_of(record, self.model, self.file) for record in self.subgraph(number).tensors]

    def run(self, number: int, inputs: Sequence[Laid], tensors: list[Tensor] | None = None) -> list[Tensor]:
        """Writes a subgraph into the graph at hand, and gives its outputs."""
        subgraph = self.subgraph(number)
        tensors = self.tensors(number) if tensors is None else tensors
        places = list(picked(tensors, subgraph.inputs))
        if len(places) != len(inputs):
            raise FormatError(f"subgraph {number} has {len(places)} inputs, {len(inputs)} are given")
        for tensor, laid in zip(places, inputs):
            if tensor is not None:
                tensor.held = laid
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormatError(f"subgraphs call each other more than {DEEPEST} deep")
        for record in subgraph.operators:
            self.operator(record, tensors)
        self.depth -= 1
        found = [tensor for tensor in picked(tensors, subgraph.outputs) if tensor is not None]
        if len(found) != len(subgraph.outputs):
            raise FormatError(f"subgraph {number} has an output that is no tensor")
        return found

    def name(self, record: Record) -> str:
        """The schema's name of an operator, or a custom operator's own. Raises FormatError for a number that there is not."""
        if record.opcode_index >= len(self.model.operator_codes):
            raise FormatError(f"an operator has code {record.opcode_index} of {len(self.model.operator_codes)}")
        return name_of(self.model.operator_codes[record.opcode_index])

    def operator(self, record: Record, tensors: list[Tensor]) -> None:
        name = self.name(record)
        inputs = list(picked(tensors, record.inputs))
        outputs = [tensor for tensor in picked(tensors, record.outputs) if tensor is not None]
        node = Node(name, _options(name, record), outputs, record.custom_options)
        if any(x is not None and x.held is not None and x.held == Laid() for x in inputs):
            results: Any = [Laid()] * len(outputs)  # of something that has no equivalent: that is said already
        else:
            results = self.translated(node, inputs)
        if not isinstance(results, (list, tuple)):
            results = [results]
        for tensor, result in zip(outputs, results):
            self.hold(tensor, result)

    def translated(self, node: Node, inputs: list[Tensor | None]) -> Any:
        """What an operator computes; where it cannot be said, that is kept for the end."""
        label = node.outputs[0].name if node.outputs else ""
        before = self.c.origin
        self.c.origin = {"onward.module": label, "onward.class": node.name}
        function = OPERATORS.get(node.name)
        try:
            if function is None:
                raise UnsupportedOperator("there is no equivalent")
            if node.name not in COMPLEX and any(x is not None and x.type.startswith("COMPLEX") for x in inputs):
                raise UnsupportedOperator("of complex numbers")
            return function(self.c, node, *inputs)
        except UnsupportedOperator as problem:
            self.problems[f"{node.name} ('{label}'): {problem}"] = None
        except (TypeError, AttributeError, IndexError, ValueError, AssertionError, OverflowError, KeyError) as problem:
            raise FormatError(f"{node.name} ('{label}') has inputs or options that do not fit: {problem}") from problem
        finally:
            self.c.origin = before
        return [Laid()] * len(node.outputs)

    def hold(self, tensor: Tensor, result: Any) -> None:
        """Keeps what an operator computed, rounded to the tensor's codes where it is quantised."""
        if isinstance(result, Laid):
            laid = Laid(result.last, result.first)
        else:
            laid = Laid(first=result.value) if isinstance(result, First) else Laid(result)
        if tensor.quantization is not None and tensor.type in ("INT8", "UINT8", "INT16") and laid != Laid():
            origin, self.c.origin = self.c.origin, {"onward.module": tensor.name, "onward.class": "QUANTIZE"}
            first = laid.last is None
            value = rounded(self.c, tensor, laid.first if first else laid.last)
            laid = Laid(first=value) if first else Laid(value)
            self.c.origin = origin
        tensor.held = laid

    def check(self) -> None:
        """Raises UnsupportedOperator with everything that has no equivalent."""
        if self.problems:
            listed = "\n".join(f"  {problem}" for problem in self.problems)
            raise UnsupportedOperator(
                f"{len(self.problems)} operators of the TFLite model have no equivalent:\n{listed}\n"
                "A function for one can be registered with onward.converters.tflite.registry.operator(name)."
            )


def picked(tensors: list[Tensor], numbers: np.ndarray) -> Iterator[Tensor | None]:
    """Tensors by number; -1 stands for an absent one. Raises FormatError for a number that there is not."""
    for number in numbers:
        if not -1 <= number < len(tensors):
            raise FormatError(f"tensor {number} of {len(tensors)} is asked for")
        yield None if number == -1 else tensors[number]


def rounded(c: Emitter, tensor: Tensor, value: Value | None) -> Value:
    """Real numbers rounded to those that a quantised tensor can hold."""
    scale, zero = parameters(tensor)
    if c.exact:
        limits = np.iinfo(zero.dtype)
        low, high = ((number - np.float64(zero)) * np.float64(scale) for number in (limits.min, limits.max))
        return c.op("Clip", value, np.float32(low), np.float32(high))
    return c.op("DequantizeLinear", c.op("QuantizeLinear", value, scale, zero), scale, zero)


def parameters(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point of a tensor that has one of each, as ONNX takes them. Raises UnsupportedOperator for others."""
    assert tensor.quantization is not None
    if tensor.quantization.each:
        raise UnsupportedOperator(f"'{tensor.name}' is computed and has a scale for each slice")
    kind = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16}[tensor.type]
    return np.asarray(tensor.quantization.scale[0]), np.asarray(tensor.quantization.zero[0]).astype(kind)


def codes(c: Emitter, tensor: Tensor) -> Value:
    """The integers of a quantised tensor; other tensors as they are."""
    if tensor.type.startswith("COMPLEX"):
        raise UnsupportedOperator(f"the output '{tensor.name}' has complex numbers")
    if tensor.quantization is None:
        return c.value(tensor)
    if c.exact:
        scale, zero = parameters(tensor)
        return c.op("Add", c.op("Div", c.value(tensor), scale), zero.astype(np.float32))
    if tensor.type not in ("INT8", "UINT8", "INT16"):
        raise UnsupportedOperator(f"'{tensor.name}' of type {tensor.type} is quantised and an output")
    held = c.held(tensor)
    if held.last is None and held.first is not None and held.first.producer is not None:
        first = held.first.producer
        if first.op_type == "DequantizeLinear":
            inner = first.inputs[0]
            assert inner is not None
            return c.op("Transpose", inner, perm=[0, *range(2, tensor.rank), 1])
    value = c.value(tensor)
    if value.producer is not None and value.producer.op_type == "DequantizeLinear":
        inner = value.producer.inputs[0]
        assert inner is not None
        return inner
    return c.op("QuantizeLinear", value, *parameters(tensor))


def _options(name: str, record: Record) -> Record:
    """An operator's options; where none are written, the defaults."""
    found = record.builtin_options or record.builtin_options2
    if found is not None:
        return found
    wanted = name.replace("_", "").lower() + "options"
    for table in schema().tables:
        if table.lower() == wanted:
            return default_record(table)
    return Record(f"{name} without options", {})
