"""Operators on bytes (QLinearConv and its kin) as the float operators that they stand for, between DequantizeLinear and QuantizeLinear.

So they are the layers that they were before onnxruntime's quantiser. A sum of products of bytes is exact there and rounded here, so that a number
that lies half-way between two steps may become the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.ir import Model, Node, Value
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.passes.preparation import constants_are_initializers

MICROSOFT = "com.microsoft"
SUFFIX = "_quantized"
"""What onnxruntime's quantiser puts after the names of values."""

BYTES = (DataType.INT8, DataType.UINT8)
ROUNDING = 256 * float(np.finfo(np.float32).eps)
AXES_SINCE = 13
"""DequantizeLinear has an axis from this version on."""
SINGLE_AXIS_SINCE = 13
"""Softmax is along one axis from this version on, before along all from one on."""
AXES_ARE_INPUTS_SINCE = 18
"""ReduceMean's axes are an input from this version on."""


@dataclass(frozen=True)
class Form:
    """The float operator, where the scale of its result and its zero point stand, and its operands: each with a scale and a zero point after it."""

    operator: str
    result: int
    operands: tuple[int, ...] = (0, 3)
    bias: int | None = None
    """Of 32 bits, in steps of the product of the operands' scales."""
    plain: tuple[int, ...] = ()
    """Inputs that are no bytes, before the operands."""
    repeats: bool = False
    """Whether as many more operands follow as there are inputs for."""

    def operands_of(self, node: Node) -> tuple[int, ...]:
        """Where the operands of a node stand."""
        return tuple(range(self.operands[0], len(node.inputs), 3)) if self.repeats else self.operands


FORMS = {
    ("", "QLinearConv"): Form("Conv", 6, bias=8),
    ("", "QLinearMatMul"): Form("MatMul", 6),
    (MICROSOFT, "QGemm"): Form("Gemm", 7, bias=6),
    (MICROSOFT, "QLinearConv"): Form("Conv", 6, bias=8),
    (MICROSOFT, "QLinearAdd"): Form("Add", 6),
    (MICROSOFT, "QLinearMul"): Form("Mul", 6),
    (MICROSOFT, "QLinearSigmoid"): Form("Sigmoid", 3, (0,)),
    (MICROSOFT, "QLinearLeakyRelu"): Form("LeakyRelu", 3, (0,)),
    (MICROSOFT, "QLinearSoftmax"): Form("Softmax", 3, (0,)),
    (MICROSOFT, "QLinearReduceMean"): Form("ReduceMean", 3, (0,)),
    (MICROSOFT, "QLinearConcat"): Form("Concat", 0, (2,), repeats=True),
    (MICROSOFT, "QLinearWhere"): Form("Where", 7, (1, 4), plain=(0,)),
    (MICROSOFT, "QLinearAveragePool"): Form("AveragePool", 3, (0,)),
    (MICROSOFT, "QLinearGlobalAveragePool"): Form("GlobalAveragePool", 3, (0,)),
}

MOVES = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Identity")
"""Operators that only pick and move elements."""


def with_float_operators(model: Model) -> Model:
    """The model itself where nothing computes with bytes that has a float form; else a copy with these forms."""
    if not any((node.domain, node.op_type) in FORMS for node in model.graph.nodes):
        return model
    result = model.copy()
    constants_are_initializers(result)
    writer = _Writer(result)
    found = [writer.write(node) for node in list(result.graph.nodes) if (node.domain, node.op_type) in FORMS]
    if not any(found):
        return model
    writer.dequantize_before_moves()
    return result


def steps_of(model: Model) -> dict[str, float]:
    """By output that is a dequantised number of steps, how great a step is, with what single precision rounds of 255 of them."""
    found: dict[str, float] = {}
    for value in model.graph.outputs:
        node = value.producer
        while node is not None and node.op_type in MOVES and node.inputs[0] is not None:
            node = node.inputs[0].producer
        if node is not None and node.op_type in ("DequantizeLinear", "QuantizeLinear") and not node.domain:
            scale = _data(node.inputs[1]) if node.op_type == "DequantizeLinear" else np.ones(1)
            found.update({value.name: float(np.abs(scale).max()) * (1 + ROUNDING)} if scale is not None and scale.size else {})
    return found


class _Writer:
    def __init__(self, model: Model) -> None:
        self.graph = model.graph
        self.version = model.opset_imports.get("", 1)
        self.has_axes = self.version >= AXES_SINCE
        self.made: dict[tuple[Value, Value | None, Value | None], Value] = {}
        """By a value of bytes, its scale and its zero point, what is dequantised."""

    def write(self, node: Node) -> bool:
        """Puts the float operator in the place of one on bytes, where scales are known and DequantizeLinear can say them."""
        form = FORMS[node.domain, node.op_type]
        inputs = [*node.inputs, *[None] * (form.result + 2 - len(node.inputs))]
        bias = inputs[form.bias] if form.bias is not None and form.bias < len(inputs) else None
        if not self._is_known(node, form, inputs, bias):
            return False
        operands = [inputs[place] for place in form.plain]
        operands += [self._dequantized(node, inputs[place : place + 3], self._axis(node, inputs, place)) for place in form.operands_of(node)]
        if bias is not None:
            operands.append(self._bias(node, form, inputs, bias))
        attributes: dict[str, Any] = {name: item for name, item in node.attributes.items() if name not in ("channels_last", "opset")}
        if form.operator == "Softmax":
            attributes.setdefault("axis", -1)
        if form.operator == "ReduceMean" and self.version >= AXES_ARE_INPUTS_SINCE:
            axes = np.array(attributes.pop("axes").value, np.int64)
            operands.append(self.graph.add_initializer(Tensor.of(axes), f"{node.outputs[0].name}_axes"))
        old = node.outputs[0]
        new = self._insert(node, Node(form.operator, operands, [self._value(old.name.removesuffix(SUFFIX), old)], attributes, name=node.name))
        if inputs[form.result] is not None:
            nothing = np.zeros((), _kind(inputs, form.operands[0]).numpy)  # type: ignore[union-attr]
            point = self._scalar(inputs[form.result + 1]) or self.graph.add_initializer(Tensor.of(nothing), f"{old.name}_zero_point")
            new = self._insert(node, Node("QuantizeLinear", [new, self._scalar(inputs[form.result]), point], [self._value(f"{old.name}_in_steps", old)]))
        self.graph.replace_value(old, new)
        self.graph.remove(node)
        return True

    def _is_known(self, node: Node, form: Form, inputs: Sequence[Value | None], bias: Value | None) -> bool:
        """Whether scales and zero points are numbers, one for a tensor or one for each channel of a weight."""
        scales = [_data(inputs[place + 1]) for place in form.operands_of(node)]
        if form.operator == "Softmax" and (node.attribute("opset", 1) < SINGLE_AXIS_SINCE) != (self.version < SINGLE_AXIS_SINCE):
            return False
        if node.attribute("channels_last", 0) or any(scale is None for scale in scales) or bias is not None and _data(bias) is None:
            return False
        if _kind(inputs, form.operands[0]) not in BYTES:
            return False
        result = None if inputs[form.result] is None else _data(inputs[form.result])
        if inputs[form.result] is not None and (result is None or result.size != 1):
            return False
        weights = [place for place, scale in zip(form.operands_of(node), scales) if scale is not None and scale.size > 1]
        return not weights or self.has_axes and all(place == 3 and _data(inputs[3]) is not None and _is_vector(inputs[4]) for place in weights)

    def _axis(self, node: Node, inputs: Sequence[Value | None], place: int) -> int | None:
        """The axis of a weight's channels, where each has a scale."""
        scale = _data(inputs[place + 1])
        if scale is None or scale.size == 1:
            return None
        return 0 if node.op_type == "QLinearConv" or node.attribute("transB", 0) else len(inputs[place].shape or ()) - 1  # type: ignore[union-attr]

    def _dequantized(self, node: Node, operand: Sequence[Value | None], axis: int | None) -> Value:
        value, scale, zero = operand
        assert value is not None
        key = (value, scale, zero)
        if key not in self.made:
            steps = (scale, zero) if axis is not None else (self._scalar(scale), self._scalar(zero))
            attributes = {} if axis is None else {"axis": axis}
            self.made[key] = self._insert(node, Node("DequantizeLinear", [value, *steps], [self._value(f"{value.name}_dequantized")], attributes))
        return self.made[key]

    def _bias(self, node: Node, form: Form, inputs: Sequence[Value | None], bias: Value) -> Value:
        """The bias as floats, in the steps that sums of products have."""
        step = np.full(1, node.attribute("alpha", 1.0), np.float32)
        for place in form.operands:
            step = step * _data(inputs[place + 1]).reshape(-1)  # type: ignore[union-attr]
        numbers = _data(bias).astype(np.float32) * step  # type: ignore[union-attr]
        return self.graph.add_initializer(Tensor.of(np.ascontiguousarray(numbers, np.float32)), bias.name.removesuffix(SUFFIX))

    def _scalar(self, value: Value | None) -> Value | None:
        """A constant of one number without axes."""
        data = _data(value)
        if value is None or data is None or data.shape == ():
            return value
        key = (value, None, None)
        if key not in self.made:
            self.made[key] = self.graph.add_initializer(Tensor.of(data.reshape(())), f"{value.name}_scalar")
        return self.made[key]

    def _value(self, hint: str, like: Value | None = None) -> Value:
        value = self.graph.new_value(None, hint)
        value.provenance = () if like is None else like.provenance
        return value

    def _insert(self, anchor: Node, node: Node) -> Value:
        node.metadata = dict(anchor.metadata)
        self.graph.insert_before(node, anchor)
        return node.outputs[0]

    def dequantize_before_moves(self) -> None:
        """Bytes that are moved and dequantised then are dequantised first, so that gradients pass what moves them."""
        pending = [node for node in self.graph.nodes if node.op_type == "DequantizeLinear" and not node.domain]
        while pending:
            node = pending.pop()
            moved, scale = node.inputs[0], _data(node.inputs[1])
            move = moved.producer if moved is not None else None
            if move is None or move.op_type not in MOVES or move.domain or move.inputs[0] is None or move.inputs[0].tensor is not None:
                continue
            alone = moved not in self.graph.outputs and len(moved.uses) == 1 and not any(value.uses for value in move.outputs[1:])  # type: ignore[union-attr]
            if not alone or scale is None or scale.size != 1 or scale.item() <= 0:
                continue
            before = Node("DequantizeLinear", [move.inputs[0], *node.inputs[1:]], [self._value(f"{move.inputs[0].name}_dequantized")])
            self._insert(move, before)
            move.replace_input(0, before.outputs[0])
            moved.type = None  # type: ignore[union-attr]
            self.graph.replace_value(node.outputs[0], moved)  # type: ignore[arg-type]
            self.graph.remove(node)
            pending.append(before)


def _data(value: Value | None) -> np.ndarray | None:
    """The numbers of a constant."""
    return None if value is None or value.tensor is None else value.tensor.numpy()


def _kind(inputs: Sequence[Value | None], place: int) -> DataType | None:
    """The type of an operand, which is that of its zero point."""
    value, zero = inputs[place], inputs[place + 2]
    return zero.tensor.dtype if zero is not None and zero.tensor is not None else None if value is None else value.dtype


def _is_vector(value: Value | None) -> bool:
    data = _data(value)
    return data is not None and data.ndim == 1
