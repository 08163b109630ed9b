"""A function of TensorFlow written into the graph of another framework's converter: for layers of Keras that call TensorFlow themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.builder import ModelBuilder
from onward.converters.tensorflow.capture import Captured, captured
from onward.converters.tensorflow.emitter import Emitter, Resource, Tensor
from onward.converters.tensorflow.graph import Walker, check_supported
from onward.errors import UnsupportedModel
from onward.ir import Value


@dataclass(frozen=True, eq=False)
class Result:
    """A value of the graph with TensorFlow's name of its data type, and its shape with None for open sizes."""

    value: Value
    dtype: str
    shape: tuple[int | None, ...]


def write(c: ModelBuilder, concrete: Any, inputs: Sequence[Value]) -> list[Result]:
    """What a concrete function gives for values of a graph under construction. Raises UnsupportedOperator that names all of its operators
    without a translation."""
    found = captured(concrete, None, None, (), [], None)
    check_supported(found.graph, found.outputs)
    inner = Emitter(c.graph.name, c.opset)
    inner.graph, inner.outer, inner.domains, inner.origin = c.graph, c.outer, c.domains, dict(getattr(c, "origin", {}))
    walker = walker_of(inner, found)
    given = [walker.tensor(value, tensor.dtype, tensor.shape) for value, tensor in zip(inputs, found.inputs, strict=True)]
    made = []
    for item in walker.run(given, found.inputs, found.outputs):
        if not isinstance(item, Tensor) or item.is_complex:
            raise UnsupportedModel("a result is no tensor of real numbers, whole numbers or text")
        made.append(Result(item.value, item.dtype.name, tuple(item.shape)))
    return made


def walker_of(c: Emitter, found: Captured) -> Walker:
    """A walker through a function that knows what it closes over: constants by value, variables and tables by handle."""
    walker = Walker(c, found.graph, tf.Graph())
    variables = {id(variable.handle): variable for variable in found.concrete.graph.variables if hasattr(variable, "handle")}
    inner = found.concrete.inputs[len(found.concrete.inputs) - len(found.concrete.captured_inputs) :]
    for external, tensor in zip(found.concrete.captured_inputs, inner, strict=True):
        if tensor.dtype == tf.resource:
            variable = variables.get(id(external))
            walker.values[tensor.name] = Resource(external, variable.name.partition(":")[0] if variable is not None else tensor.op.name)
        else:
            walker.values[tensor.name] = walker.constant(np.asarray(external.numpy()), tensor.dtype, tensor.op.name)
    return walker
