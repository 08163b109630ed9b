"""TensorFlow: functions, modules, SavedModels and frozen graphs.

What is read is the graph of a concrete function. Variables and other constants that it captured become initializers with their
names, functions are written where they are called, branches and loops become If and Loop. `registry.py` says how to add an operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onward.converters import channels_last
from onward.converters.request import Request
from onward.converters.tensorflow import capture
from onward.converters.tensorflow.batches import apart
from onward.converters.tensorflow.bridge import walker_of
from onward.converters.tensorflow.capture import Captured
from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.graph import Walker, check_supported, operators_of
from onward.converters.tensorflow.operators.control_flow import may_not_end
from onward.converters.tensorflow.reference import reference_of
from onward.converters.tensorflow.values import recorder
from onward.errors import UnsupportedModel
from onward.ir import Model
from onward.ir.expressions import Symbol
from onward.passes.rewrite import remove_dead

OPSET = 23


def load(path: Any, trust: bool = False) -> Any:
    """The content of a SavedModel folder or a frozen graph. Raises FormatError for what TensorFlow does not read."""
    return capture.load(Path(path), trust)


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a function, module, SavedModel or frozen graph, and what it is to reproduce. `methods` names the signature."""
    captured = capture.captured(request.source, request.example_inputs, request.dynamic_shapes, request.methods, request.input_names, request.output_names)
    check_supported(captured.graph, captured.outputs)
    parts = {name for _, names in captured.composites for name in names}
    captured.apart = parts | apart(captured, not any(may_not_end(captured.graph, op) for op in operators_of(captured.graph, captured.outputs)))
    name = getattr(request.source, "__name__", "") or type(request.source).__name__
    c = Emitter(name, request.opset or OPSET)
    c.fixed = request.opset is not None
    walker = walker_of(c, captured)
    results = walker.run(_inputs(walker, captured), captured.inputs, captured.outputs)
    c.origin = {}
    for label, item in zip(captured.labels, results, strict=True):
        if not isinstance(item, Tensor):
            raise UnsupportedModel(f"output '{label}' is no tensor")
        c.output(item.value, label)
    remove_dead(c.graph, list(c.graph.nodes))
    model = c.model()
    values = recorder(walker, captured)
    channels_last.settle(model)
    return model, replace(reference_of(captured, c), values=values)


def _inputs(walker: Walker, captured: Captured) -> list[Tensor]:
    made = []
    for name, tensor in zip(captured.names, captured.inputs, strict=True):
        if tensor.shape.rank is None:
            raise UnsupportedModel(f"the number of axes of input '{name}' is open: pass example_inputs or an input_signature")
        shape: list[Any] = []
        for axis, extent in enumerate(tensor.shape.as_list()):
            shape.append(extent if extent is not None else "batch" if axis == 0 and name not in captured.apart else f"{name}_{axis}")
        shape += [2] * tensor.dtype.is_complex
        made.append(walker.tensor(_input(walker.c, name, tensor, shape), tensor.dtype, tensor.shape))
    return made


def _input(c: Emitter, name: str, tensor: Any, shape: Sequence[Any]) -> Any:
    from onward.ir import TensorType, Value

    value = Value(name, TensorType(data_type(tensor.dtype), tuple(Symbol(extent) if isinstance(extent, str) else extent for extent in shape)))
    value.graph = c.graph
    c.graph.inputs.append(value)
    c.graph.forget_names()
    return value
