"""Walks a graph of TensorFlow, operator by operator, and writes the ONNX graph.

Functions are walked where they are called. Beside the ONNX graph a shadow of it is built in TensorFlow's own operators, with all that
is known at the place of the call: from it come shapes, data types and what is constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from onward.converters.tensorflow import operators  # noqa: F401 (registers the translations)
from onward.converters.tensorflow.emitter import Emitter, Resource, Tensor, as_array
from onward.converters.tensorflow.refusals import REFUSALS
from onward.converters.tensorflow.registry import COMPLEX, OPERATORS, STRUCTURE, Translation
from onward.errors import ConversionError, InvalidArgument, OnwardError, UnsupportedOperator
from onward.ir import Value

WHOLE = 1024
"""Elements up to which a constant is one in the shadow graph too."""

DEFINED: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""Graphs made of the definitions in a graph's library."""

LIBRARIES = ("/site-packages/tensorflow/", "/site-packages/keras/", "/onward/converters/")
"""Parts of the paths of files that the user did not write."""


class Operator:
    """An operator of the source at its place: `type`, `name`, attributes, and the shadows of its results."""

    def __init__(self, op: Any, outputs: Sequence[Any] = ()) -> None:
        self.type: str = op.type
        self.name: str = op.name
        self.source = op
        self.outputs = list(outputs)

    def __getitem__(self, name: str) -> Any:
        found = self.source.get_attr(name)
        return found.decode() if isinstance(found, bytes) else found

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute that a version of the operator may lack."""
        try:
            return self[name]
        except ValueError:
            return default

    @property
    def dtype(self) -> tf.DType:
        return self.outputs[0].dtype

    @property
    def shape(self) -> list[int | None]:
        """Extents of the first result. Raises UnsupportedOperator for an unknown rank."""
        if self.outputs[0].shape.rank is None:
            raise UnsupportedOperator("the number of axes of the result is not known")
        return self.outputs[0].shape.as_list()


class Walker:
    """The values of one function's operators; `library` has the functions that it calls."""

    def __init__(self, c: Emitter, graph: Any, shadow: Any, captures: Any = None) -> None:
        self.c = c
        self.graph = graph
        self.shadow = shadow
        self.values: dict[str, Any] = dict(captures or {})

    def run(self, inputs: Sequence[Any], placeholders: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
        """Writes what the outputs need; `inputs` are the values of the placeholders."""
        for placeholder, item in zip(placeholders, inputs, strict=True):
            self.values[placeholder.name] = item
        for op in needed(outputs, set(self.values)):
            made = self.call(op)
            for tensor, item in zip(op.outputs, made):
                self.values[tensor.name] = item
        return [self.values[tensor.name] for tensor in outputs]

    def call(self, op: Any) -> Sequence[Any]:
        inputs = [self.values[tensor.name] for tensor in op.inputs]
        self.c.origin = {**self.c.origin, **origin_of(op)}
        place = dict(self.c.origin)
        try:
            if op.type in STRUCTURE:
                return STRUCTURE[op.type](self, Operator(op), *inputs)
            return self.translated(op, inputs)
        except (ConversionError, InvalidArgument):
            raise
        except OnwardError as problem:
            raise type(problem)(f"{op.type}{at(op)}: {problem}") from problem
        except (TypeError, IndexError, KeyError, AttributeError, ValueError, AssertionError) as problem:
            raise ConversionError(f"the translation of {op.type}{at(op)} failed: {type(problem).__name__}: {problem}") from problem
        finally:
            self.c.origin = place

    def translated(self, op: Any, inputs: list[Any]) -> Sequence[Any]:
        shadows = self.shadow_of(op, inputs)
        wrapped = [Tensor(self.c, shadow) for shadow in shadows]
        if not op.op_def.is_stateful and wrapped and all(item.known is not None for item in wrapped):
            return wrapped
        described = Operator(op, shadows)
        translation = translation_of(op.type, [*(item.dtype for item in inputs), *(shadow.dtype for shadow in shadows)])
        if translation is None:
            raise UnsupportedOperator("there is no translation")
        made = translation(self.c, described, *inputs)
        results = list(made) if isinstance(made, (list, tuple)) else [made]
        return [self.wrapped(item, shadow) for item, shadow in zip(results, shadows)]

    def wrapped(self, item: Any, shadow: Any) -> Any:
        if item is None or isinstance(item, (Resource, tuple)):
            return item
        if isinstance(item, Tensor):
            item = item.value
        return Tensor(self.c, shadow, item)

    def shadow_of(self, op: Any, inputs: Sequence[Any]) -> list[Any]:
        """The results of the operator in the shadow graph."""
        with self.shadow.as_default():
            made = self.shadow._create_op_internal(
                op.type, [item.shadow for item in inputs], [tensor.dtype for tensor in op.outputs], attrs=dict(op.node_def.attr)
            )
        for tensor, known in zip(made.outputs, op.outputs):
            if tensor.shape.rank is None or known.shape.is_compatible_with(tensor.shape):
                tensor.set_shape(known.shape)
        return list(made.outputs)

    def stand_in(self, dtype: tf.DType, shape: Any) -> Any:
        """A tensor of the shadow graph of which only type and shape are known."""
        with self.shadow.as_default():
            return tf.compat.v1.placeholder(dtype, shape)

    def constant(self, array: np.ndarray, dtype: tf.DType, name: str = "") -> Tensor:
        """A constant of the source."""
        if array.size <= WHOLE and dtype not in (tf.resource, tf.variant):
            with self.shadow.as_default():
                shadow = tf.constant(array, dtype)
        else:
            shadow = self.stand_in(dtype, array.shape)
        return Tensor(self.c, shadow, array=as_array(array), name=name)

    def tensor(self, value: Value, dtype: tf.DType, shape: Any) -> Tensor:
        """A value with what TensorFlow knows of it."""
        return Tensor(self.c, self.stand_in(dtype, shape), value)

    def function(self, name: str, inputs: Sequence[Any], captures: Any = None) -> list[Any]:
        """The results of a function of the graph's library."""
        inner = inner_graph(self.graph, name)
        return Walker(self.c, inner, self.shadow, captures).run(inputs, inner.inputs, inner.outputs)


def inner_graph(graph: Any, name: str) -> Any:
    """The graph of a function that another one calls."""
    found: Any = graph
    while found is not None:
        if found._is_function(name):
            return _graph_of(found, name)
        found = getattr(found, "outer_graph", None)
    raise ConversionError(f"the graph calls a function '{name}' that it does not have")


def _graph_of(graph: Any, name: str) -> Any:
    """A function of a library as a graph; one of TensorFlow 1 is a definition only."""
    function = graph._get_function(name)
    if hasattr(function, "graph"):
        return function.graph
    made = DEFINED.setdefault(graph, {})
    if name not in made:
        with graph.as_default():
            made[name] = function_def_to_graph(function.definition)
    return made[name]


def translation_of(name: str, dtypes: Sequence[tf.DType]) -> Translation | None:
    """The registered function for an operator with inputs and results of these types, or None."""
    return (COMPLEX if any(dtype.is_complex for dtype in dtypes) else OPERATORS).get(name)


def needed(outputs: Sequence[Any], known: set[str]) -> list[Any]:
    """The operators on which outputs depend, in the order of computation."""
    done: set[str] = set()
    found: list[Any] = []
    pending = [(tensor.op, False) for tensor in reversed(outputs) if tensor.name not in known]
    while pending:
        op, ready = pending.pop()
        if ready:
            found.append(op)
        elif op.name not in done:
            done.add(op.name)
            pending.append((op, True))
            pending += [(tensor.op, False) for tensor in op.inputs if tensor.name not in known and tensor.op.name not in done]
    return found


def origin_of(op: Any) -> dict[str, str]:
    """Where in the source an operator stands: its name, and the line of Python."""
    found = {"onward.module": op.name.rpartition("/")[0], "onward.class": op.type}
    line = line_of(op)
    if line:
        found["onward.source"] = line
    return {key: text for key, text in found.items() if text}


def line_of(op: Any) -> str:
    """`file:line in function` of the innermost frame that the user would look at."""
    frames = [frame for frame in op.traceback or () if not any(part in frame.filename for part in LIBRARIES)]
    return f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].name}" if frames and not frames[-1].filename.startswith("<") else ""


def at(op: Any) -> str:
    """Where an operator stands, for messages."""
    line = line_of(op)
    return f" '{op.name}'" + (f" at {line}" if line else "")


def operators_of(graph: Any, outputs: Sequence[Any], seen: set[str] | None = None) -> Iterator[Any]:
    """The operators on which outputs depend, those of functions called among them."""
    seen = set() if seen is None else seen
    for op in needed(outputs, set()):
        yield op
        for attribute in op.node_def.attr.values():
            for function in [attribute.func, *attribute.list.func]:
                if function.name and function.name not in seen:
                    seen.add(function.name)
                    inner = inner_graph(graph, function.name)
                    yield from operators_of(inner, inner.outputs, seen)


def check_supported(graph: Any, outputs: Sequence[Any]) -> None:
    """Raises UnsupportedOperator that names all operators without a translation, each with its place in the source."""
    missing: dict[str, str] = {}
    for op in operators_of(graph, outputs):
        if op.type in STRUCTURE:
            continue
        dtypes = [tensor.dtype for tensor in (*op.inputs, *op.outputs)]
        constant = not op.op_def.is_stateful and all(tensor.op.type == "Const" for tensor in op.inputs)
        if translation_of(op.type, dtypes) is None and not constant:
            of = " of complex numbers" if op.type in OPERATORS else ""
            reason = f": {REFUSALS[op.type]}" if op.type in REFUSALS else ""
            missing.setdefault(f"{op.type}{of}", f"{at(op)}{reason}")
    if missing:
        listed = "\n".join(f"  {name}{where}" for name, where in missing.items())
        first = next(iter(missing)).split(" ")[0]
        raise UnsupportedOperator(
            f"{len(missing)} operators of the model have no translation:\n{listed}\n"
            f"One can be registered with @onward.converters.tensorflow.registry.operator('{first}'); see that module"
        )
