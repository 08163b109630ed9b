"""A function of TensorFlow with named inputs and outputs: of an object, a SavedModel or a frozen graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import parse_saved_model

from onward.converters.tensorflow.composites import parts_of
from onward.converters.tensorflow.emitter import REAL, as_array
from onward.converters.tensorflow.functionalization import functional, is_inside
from onward.errors import ConversionError, FormatError, InvalidArgument

Names = Sequence[str]
DEFAULT = "serving_default"
SOURCES = ("Placeholder", "PlaceholderV2", "IteratorGetNext", "QueueDequeue", "QueueDequeueV2", "QueueDequeueManyV2", "QueueDequeueUpToV2")
"""Operators of a frozen graph by which data comes into it."""
FILLING = ("InitializeTable", "InitializeTableV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "LookupTableImport", "LookupTableImportV2")
"""Operators of a frozen graph that fill its tables."""

WRITING = ("Assign", "ResourceScatter")
"""How the names of operators begin that change a variable."""


@dataclass
class Captured:
    """A concrete function. `inputs` and `outputs` are its own tensors, with their names for the model."""

    concrete: Any
    names: list[str]
    inputs: list[Any]
    labels: list[str]
    outputs: list[Any]
    graph: Any
    """What is translated: that of the function, with functions for branches and loops."""
    notes: list[str] = field(default_factory=list)
    example: dict[str, np.ndarray] | None = None
    written: list[tuple[Any, Any]] = field(default_factory=list)
    """Variables that a run may change, and what they hold before it."""
    apart: set[str] = field(default_factory=set)
    """Inputs whose first axis is not that of the others."""
    composites: list[tuple[Any, list[str]]] = field(default_factory=list)
    """Ragged and sparse inputs, and the names of their tensors."""

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the function computes; its variables stay as they are. Raises what TensorFlow raises for data that it does not take."""
        try:
            return self._called(feeds)
        finally:
            for variable, value in self.written:
                variable.assign(value)

    def _called(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = [self._given(feeds[name], tensor) for name, tensor in zip(self.names, self.inputs, strict=True)]
        signature = self.concrete.structured_input_signature
        if signature is None:
            made = self.concrete(*given)
        else:
            left = iter(given)
            leaves = [next(left) if isinstance(leaf, tf.TypeSpec) else leaf for leaf in tf.nest.flatten(signature, expand_composites=True)]
            arguments, keywords = tf.nest.pack_sequence_as(signature, leaves, expand_composites=True)
            made = self.concrete(*arguments, **keywords)
        results = [item for item in tf.nest.flatten(made, expand_composites=True) if isinstance(item, tf.Tensor)]
        return {label: as_array(item.numpy()) for label, item in zip(self.labels, results, strict=True)}

    @staticmethod
    def _given(array: np.ndarray, like: Any) -> Any:
        if like.dtype in REAL:
            pairs = np.ascontiguousarray(array, REAL[like.dtype].as_numpy_dtype)  # a sum would lose the sign of zeros
            return tf.constant(pairs.view(like.dtype.as_numpy_dtype)[..., 0])
        return tf.constant(array, like.dtype)


def load(path: Path, trust: bool = False) -> Any:
    """A SavedModel folder or a frozen graph. Raises FormatError for a file that TensorFlow does not read."""
    path = path.parent if path.name == "saved_model.pb" else path
    try:
        if path.is_dir():
            return tf.saved_model.load(str(path), _tags_of(path))
        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(path.read_bytes())
        return definition
    except Exception as problem:
        kind = "SavedModel" if path.is_dir() else "frozen graph"
        raise FormatError(f"'{path}' is no {kind} that TensorFlow reads: {str(problem).splitlines()[0][:300]}") from problem


def _tags_of(path: Path) -> list[str] | None:
    """The tags of the graph that serves, where a SavedModel has several graphs."""
    graphs = [list(graph.meta_info_def.tags) for graph in parse_saved_model(str(path)).meta_graphs]
    return next((tags for tags in graphs if tf.saved_model.SERVING in tags), None) if len(graphs) > 1 else None


def captured(source: Any, example: Any, shapes: Any, methods: Names, inputs: Names, outputs: Names | None) -> Captured:
    """The function of a source, with names: the caller's, or else those of the signature."""
    notes: list[str] = []
    if isinstance(source, tf.Graph):
        source = source.as_graph_def()
    if isinstance(source, tf.compat.v1.GraphDef):
        concrete = _of_graph(source, inputs, outputs)
        inputs = []
    else:
        concrete = _concrete(source, example, shapes, methods, notes)
    own = [tensor for tensor in concrete.inputs if tensor.dtype != tf.resource][: len(concrete.inputs) - len(concrete.captured_inputs)]
    names = _names_of_inputs(concrete, own, inputs)
    labels = _names_of_outputs(concrete, names, outputs)
    graph = functional(concrete.graph, concrete.outputs)
    tensors = [[graph.get_tensor_by_name(tensor.name) for tensor in items] for items in (own, concrete.outputs)]
    found = Captured(concrete, names, tensors[0], labels, tensors[1], graph, notes)
    found.composites = _composites(concrete, names)
    found.example = _example(found, example)
    definition = concrete.graph.as_graph_def()
    kinds = {node.op for part in (definition.node, *(function.node_def for function in definition.library.function)) for node in part}
    if any(kind.startswith(WRITING) for kind in kinds):
        found.written = [(variable, variable.numpy()) for variable in getattr(concrete, "variables", None) or ()]
        notes.append("a run of the source changes its variables: in this model every run begins with the values that they had when it was converted")
    return found


def _concrete(source: Any, example: Any, shapes: Any, methods: Names, notes: list[str]) -> Any:
    """The concrete function of an object."""
    if hasattr(source, "structured_outputs") and hasattr(source, "captured_inputs"):
        return source
    if not hasattr(source, "get_concrete_function"):
        source = _chosen(source, methods)
        if hasattr(source, "structured_outputs"):
            return source
    if not hasattr(source, "get_concrete_function"):
        source = tf.function(source)
    if example is None or getattr(source, "input_signature", None) is not None:
        return _only_trace(source)
    return _traced(source, example, shapes, notes)


def _chosen(source: Any, methods: Names) -> Any:
    """The signature or method of a module: the caller's choice, else the default signature, `__call__`, the only one."""
    signatures = dict(getattr(source, "signatures", None) or {})
    if len(methods) > 1:
        raise InvalidArgument("one signature becomes a model: give one method")
    if methods:
        found = signatures.get(methods[0]) or getattr(source, methods[0], None)
        if found is None or not callable(found):
            raise InvalidArgument(f"there is no signature or method '{methods[0]}'; there are {_listed(source, signatures)}")
        return found
    if DEFAULT in signatures:
        return signatures[DEFAULT]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    if signatures:
        raise InvalidArgument(f"the model has the signatures {', '.join(signatures)}: choose one with methods=[...]")
    if callable(source):
        return source.__call__
    raise InvalidArgument(f"{type(source).__name__} has no signature and no __call__: choose with methods=[...] among {_listed(source, signatures)}")


def _listed(source: Any, signatures: Mapping[str, Any]) -> str:
    """The signatures of a source and its methods that are functions of TensorFlow."""
    functions = [name for name in dir(source) if not name.startswith("_") and hasattr(getattr(source, name, None), "get_concrete_function")]
    return f"the signatures {', '.join(signatures) or '(none)'} and the methods {', '.join(functions) or '(none)'}"


def _only_trace(function: Any) -> Any:
    try:
        return function.get_concrete_function()
    except Exception as problem:
        known = getattr(function, "concrete_functions", None) or []
        if len(known) == 1:
            return known[0]
        if getattr(function, "input_signature", None) is not None:
            raise ConversionError(f"the function cannot be traced with its input_signature: {_said(problem)}") from problem
        traced = "".join(f"; it was traced with {str(item.function_type).partition(' ->')[0]}" for item in known)
        raise InvalidArgument(f"the function has no input_signature: pass example_inputs ({_said(problem)}{traced})") from problem


def _said(problem: Exception) -> str:
    """The last line of a message of TensorFlow, which says what happened; those before it say where."""
    return ([line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__])[-1][:300]


def _is_literal(item: Any) -> bool:
    """Whether an argument is part of a trace, and no input: objects of Python decide what a function does."""
    return item is None or isinstance(item, (bool, int, float, str, bytes)) and not isinstance(item, np.generic)


def _traced(function: Any, example: Any, shapes: Any, notes: list[str]) -> Any:
    """The trace for an example; with open sizes where it can be traced so and the caller leaves them open."""
    arguments, keywords = ((), example) if isinstance(example, dict) else (example if isinstance(example, tuple) else (example,), {})

    def specification(item: Any, is_open: bool) -> Any:
        if _is_literal(item) or isinstance(item, tf.TypeSpec):
            return item
        if isinstance(item, tf.RaggedTensor):
            return tf.RaggedTensorSpec([None] * item.shape.rank, item.dtype, item.ragged_rank, item.row_splits.dtype)
        if isinstance(item, tf.SparseTensor):
            return tf.SparseTensorSpec([None] * item.shape.rank if is_open else item.shape, item.dtype)
        try:
            tensor = tf.convert_to_tensor(item)
        except (TypeError, ValueError) as problem:
            raise InvalidArgument(f"an argument of the example is of {type(item).__name__}, which is no tensor: {_said(problem)}") from problem
        return tf.TensorSpec([None] * len(tensor.shape) if is_open else tensor.shape, tensor.dtype)

    problem: Exception | None = None
    numbers = [str(item) for item in tf.nest.flatten((arguments, keywords)) if _is_literal(item) and isinstance(item, (int, float))]
    for is_open in (True, False) if shapes != {} else (False,):
        given = tf.nest.map_structure(lambda item: specification(item, is_open), (arguments, keywords))
        try:
            made = function.get_concrete_function(*given[0], **given[1])
            if not is_open and problem is not None:
                notes.append(f"sizes are those of the example, with open ones there is no trace: {_said(problem)}")
            if numbers:
                notes.append(f"{', '.join(numbers)} of the example, numbers of Python, are part of the model, as of a trace of TensorFlow: tensors are inputs")
            return made
        except Exception as failure:  # the function says no to these sizes
            problem = failure
    assert problem is not None
    raise ConversionError(f"the function cannot be traced with the example: {_said(problem)}") from problem


def _of_graph(definition: Any, inputs: Names, outputs: Names | None) -> Any:
    """A frozen graph from the placeholders that it reads to what nobody uses, or between the tensors that the caller names."""
    try:
        wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    except Exception as problem:
        raise FormatError(f"the graph does not fit together: {str(problem).splitlines()[0][:300]}") from problem
    operations = wrapped.graph.get_operations()
    sources = [tensor.name for op in operations if op.type in SOURCES for tensor in op.outputs if tensor.consumers()]
    sinks = [
        tensor.name for op in operations if op.type not in ("NoOp", "Assert", "Const", *SOURCES, *FILLING) and not is_inside(op)
        for tensor in op.outputs if not any(other.consumers() for other in op.outputs)
    ]  # fmt: skip
    fed = _fed(operations)
    sinks = [name for name in sinks if wrapped.graph.get_tensor_by_name(name).op in fed] or sinks  # not the weights that nobody reads
    named = [name for name in sinks if wrapped.graph.get_tensor_by_name(name).op.type not in ("Merge", "Exit")]
    sinks = named or sinks  # states of loops that nobody reads are no results where there are others
    chosen = [[_tensor_name(name, operations) for name in names] for names in (inputs or sources, outputs or sinks)]
    if not chosen[1]:
        raise FormatError("the graph has no outputs")
    filling = [op for op in operations if op.type in FILLING]
    if filling:
        wrapped.prune([], filling)()
    return wrapped.prune(*chosen)


def _fed(operations: Sequence[Any]) -> set[Any]:
    """The operators of a graph to which data comes from its sources."""
    found: set[Any] = set()
    for op in operations:
        if op.type in SOURCES or any(tensor.op in found for tensor in op.inputs):
            found.add(op)
    return found


def _tensor_name(name: str, operations: Sequence[Any]) -> str:
    if not any(op.name == name.partition(":")[0] for op in operations):
        raise InvalidArgument(f"the graph has no operator '{name}'")
    return name if ":" in name else f"{name}:0"


def _names_of_inputs(concrete: Any, own: Sequence[Any], given: Names) -> list[str]:
    if given:
        if len(given) != len(own):
            raise InvalidArgument(f"the model has {len(own)} inputs, {len(given)} names were given")
        return list(given)
    signature = concrete.structured_input_signature
    specifications = [leaf for leaf in tf.nest.flatten(signature) if isinstance(leaf, tf.TypeSpec)] if signature else []
    names: list[str] = []
    for specification in specifications if sum(len(parts_of(leaf)) for leaf in specifications) == len(own) else [None] * len(own):
        name = getattr(specification, "name", None) or own[len(names)].op.name
        names += [f"{name}_{part}" if part else name for part in parts_of(specification)]
    return names if len(set(names)) == len(names) else [tensor.op.name for tensor in own]


def _composites(concrete: Any, names: Sequence[str]) -> list[tuple[Any, list[str]]]:
    """The ragged and sparse inputs of a function, and the names of the tensors of each."""
    signature = concrete.structured_input_signature
    found, left = [], iter(names)
    for specification in tf.nest.flatten(signature) if signature else []:
        if isinstance(specification, tf.TypeSpec):
            own = [next(left, "") for _ in parts_of(specification)]
            if len(own) > 1:
                found.append((specification, own))
    return found


def _names_of_outputs(concrete: Any, taken: Names, given: Names | None) -> list[str]:
    from tensorflow.python.util import nest

    count = len(concrete.outputs)
    if given and len(given) != count:
        raise InvalidArgument(f"the model has {count} outputs, {len(given)} names were given")
    if given:
        return list(given)
    pairs = nest.flatten_with_joined_string_paths(concrete.structured_outputs) if concrete.structured_outputs is not None else []
    paths = ["_".join(filter(None, (path, part))) for path, leaf in pairs if leaf is not None for part in parts_of(leaf)]
    if len(paths) != count:
        paths = [str(place) for place in range(count)]
    paths = [path.replace("/", "_") for path in paths]
    labels = [path if path and not path[0].isdigit() else f"output_{path or 0}" for path in paths]
    if concrete.structured_input_signature is None:
        labels = [tensor.op.name for tensor in concrete.outputs]
    if count == 1 and labels == ["output_0"]:
        labels = ["output"] if "output" not in taken else labels
    labels = [f"{label}_output" if label in taken else label for label in labels]
    return labels if len(set(labels)) == count else [f"output_{place}" for place in range(count)]


def _example(found: Captured, example: Any) -> dict[str, np.ndarray] | None:
    """The caller's example by input name; none where it only says types. Raises InvalidArgument where it does not fit."""
    if example is None or any(isinstance(item, tf.TypeSpec) for item in tf.nest.flatten(example)):
        return None
    if isinstance(example, dict) and set(found.names) <= set(example):
        given = [example[name] for name in found.names]
    else:
        given = tf.nest.flatten(example, expand_composites=True)
        given = given if len(given) == len(found.names) else [item for item in given if not _is_literal(item)]
    if len(given) != len(found.names):
        raise InvalidArgument(f"the model has the inputs {', '.join(found.names)}; the example has {len(given)} tensors")
    made = {}
    for name, item, tensor in zip(found.names, given, found.inputs, strict=True):
        try:
            array = tf.convert_to_tensor(item, tensor.dtype)
        except Exception as problem:
            raise InvalidArgument(f"the example for input '{name}' is no {tensor.dtype.name}: {str(problem).splitlines()[0][:200]}") from problem
        if tensor.shape.rank is None:
            tensor.set_shape([None] * array.shape.rank)
        if not tensor.shape.is_compatible_with(array.shape):
            raise InvalidArgument(f"the example for input '{name}' has shape {list(array.shape)}, the model takes {tensor.shape}")
        made[name] = as_array(array.numpy())
    return made
