"""Onward as a backend in the sense of onnx.backend.base: what the test suite of ONNX, and others, call.

    import onward.backend as backend
    outputs = backend.run_model(model, [x])

With `evaluator="reference"` a model is executed by the NumPy evaluator of the tensor program in place of compiled code.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import operators
from onward import program as P
from onward.errors import InvalidArgument, InvalidInput
from onward.format.wire import Message, decode, encode
from onward.ir import DataType, Model, Node, OptionalType, Tensor, TensorType, Value, as_model
from onward.ir.serialization import value_message
from onward.operators.arguments import NotConstant

if TYPE_CHECKING:
    from onnx.backend.base import Backend, BackendRep
else:
    try:
        from onnx.backend.base import Backend, BackendRep
    except ImportError:  # the onnx package is no dependency; without it the same methods stand on plain classes
        Backend = BackendRep = object

EVALUATORS = ("native", "reference")

Run = Callable[[Mapping[str, Any]], list[Any]]


class OnwardBackendRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, model: Model, evaluator: str) -> None:
        self.model = model
        self.run_feeds = _native(model) if evaluator == "native" else _reference(model)
        self.input_names = [value.name for value in model.graph.inputs if value.tensor is None]
        self.output_names = [value.name for value in model.graph.outputs]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs, as a named tuple, for inputs in the order of the graph (a sequence) or by name (a mapping)."""
        if isinstance(inputs, Mapping):
            feeds = dict(inputs)
        else:
            arrays = list(inputs) if isinstance(inputs, Sequence) else [inputs]
            if len(arrays) > len(self.input_names):
                raise InvalidInput(f"the model has {len(self.input_names)} inputs, got {len(arrays)}")
            feeds = dict(zip(self.input_names, arrays))
        results = self.run_feeds({name: _as_data(value) for name, value in feeds.items()})
        return namedtuple("Outputs", self.output_names, rename=True)(*results)  # type: ignore[misc]


class OnwardBackend(Backend):
    """The class methods that onnx.backend.base.Backend names."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether every operator of the model is implemented."""
        if not cls.supports_device(device):
            return False
        return not operators.unsupported_operators(as_model(model))

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> OnwardBackendRep:
        """Checks and compiles a model (path, bytes, Model or onnx.ModelProto). `evaluator` is native or reference."""
        if not cls.supports_device(device):
            raise InvalidArgument(f"device '{device}' is not supported; expected CPU")
        evaluator = kwargs.get("evaluator", EVALUATORS[0])
        if evaluator not in EVALUATORS:
            raise InvalidArgument(f"there is no evaluator '{evaluator}'; known are {', '.join(EVALUATORS)}")
        loaded = as_model(model)
        operators.check(loaded, shapes=False)
        return OnwardBackendRep(loaded, evaluator)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Prepares the model and runs it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        """Runs one node (an onnx.NodeProto) in version `opset_version` of its domain, the newest by default."""
        model = _model_of_node(node.SerializeToString(), inputs, kwargs.pop("opset_version", None))
        return cls.run_model(model, inputs, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the processor."""
        return device.partition(":")[0] == "CPU"


prepare = OnwardBackend.prepare
run_model = OnwardBackend.run_model
run_node = OnwardBackend.run_node
supports_device = OnwardBackend.supports_device
is_compatible = OnwardBackend.is_compatible


def _as_data(value: Any) -> Any:
    """An array; a list (a sequence) and None (an absent optional value) stay what they are."""
    return value if value is None or isinstance(value, list) else np.asarray(value)


def _model_of_node(data: bytes, inputs: Sequence[Any], opset: int | None) -> Model:
    """A model of the one node that `data` encodes, with inputs of the types of the given arrays."""
    node = decode("NodeProto", data)
    domain = node.get("domain", "")
    names = list(dict.fromkeys(name for name in node.items("input") if name))
    if len(names) != len(inputs):
        raise InvalidInput(f"node {node.get('op_type', '')} reads {len(names)} values, got {len(inputs)}")
    arrays = [np.asarray(value) for value in inputs]
    values = [Value(name, TensorType(DataType.of(item.dtype), item.shape)) for name, item in zip(names, arrays)]
    version = opset or operators.newest_opset("" if domain == "ai.onnx" else domain)
    graph = Message(
        "GraphProto",
        node=[node],
        name="node",
        input=[value_message(value) for value in values],
        output=[value_message(Value(name)) for name in node.items("output") if name],
    )
    opsets = [Message("OperatorSetIdProto", domain=domain, version=version)]
    ir_version = operators.newest_ir_version()
    return as_model(encode(Message("ModelProto", ir_version=ir_version, opset_import=opsets, graph=graph)))


def _native(model: Model) -> Run:
    """Sessions of compiled code: one, or one for each value of the inputs that must be constants."""
    needed: list[str] = []
    sessions: dict[tuple[Any, ...], Run] = {}

    def run(feeds: Mapping[str, Any]) -> list[Any]:
        while True:
            constants = {name: feeds[name] for name in needed}
            key = tuple((np.shape(value), np.asarray(value).tobytes()) for value in constants.values())
            shape = tuple((name, len(value)) for name, value in feeds.items() if isinstance(value, list))
            absent = tuple(name for name, value in feeds.items() if value is None)
            try:
                if (key, shape, absent) not in sessions:
                    sessions[key, shape, absent] = _session(model, feeds, constants)
                return sessions[key, shape, absent](feeds)
            except NotConstant as problem:
                missing = [name for name in problem.inputs if name in feeds and name not in needed]
                if not missing:
                    raise
                needed.extend(missing)

    return run


def _session(model: Model, feeds: Mapping[str, Any], constants: Mapping[str, np.ndarray]) -> Run:
    """A session for feeds of this form: sequences of these lengths, optional values there or not, these constants."""
    from onward.runtime import InferenceSession

    result = model.copy()
    graph = result.graph
    for value in tuple(graph.inputs):
        if value.name in constants:
            value.tensor = Tensor.of(np.asarray(constants[value.name]), value.name)
            graph.initializers[value.name] = value
            graph.inputs.remove(value)
        elif isinstance(feeds.get(value.name), list) or value.name in feeds and feeds[value.name] is None:
            _take_apart_input(result, value, feeds[value.name])
        elif isinstance(value.type, OptionalType):
            value.type = value.type.element
    counts = [_take_apart_output(result, value) for value in tuple(graph.outputs)]
    session = InferenceSession(result)

    def run(given: Mapping[str, Any]) -> list[Any]:
        flat: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, list):
                flat.update({f"{name}[{place}]": item for place, item in enumerate(value)})
            elif value is not None and name not in constants:
                flat[name] = value
        results = iter(session.run(None, flat))
        return [next(results) if count is None else [next(results) for _ in range(count)] for count in counts]

    return run


def _take_apart_input(model: Model, value: Value, items: list[np.ndarray] | None) -> None:
    """Replaces a sequence that is an input by one input for each of its tensors, an absent value by nothing."""
    graph = model.graph
    graph.inputs.remove(value)
    parts = [
        Value(f"{value.name}[{place}]", TensorType(DataType.of(np.asarray(item).dtype), np.shape(item)))
        for place, item in enumerate(items or [])
    ]
    graph.inputs.extend(parts)
    node = Node("Optional" if items is None else "SequenceConstruct", parts, [value])
    if graph.nodes:
        graph.insert_before(node, graph.nodes[0])
    else:
        graph.append(node)


def _take_apart_output(model: Model, value: Value) -> int | None:
    """Replaces a sequence that is an output by its tensors; returns their number, None for a tensor."""
    items = operators.lower(model).outputs[value.name] if not isinstance(value.type, TensorType) else None
    if not isinstance(items, list):
        return None
    graph = model.graph
    place = graph.outputs.index(value)
    elements = []
    for number, item in enumerate(items):
        index = graph.add_initializer(Tensor.of(np.array(number, np.int64)), f"{value.name}.{number}")
        node = graph.append(Node("SequenceAt", [value, index], [Value(f"{value.name}[{number}]")]))
        node.outputs[0].type = TensorType(item.dtype, item.shape)
        elements.append(node.outputs[0])
    graph.outputs[place : place + 1] = elements
    return len(elements)


def _reference(model: Model) -> Run:
    """Lowers the model and evaluates it with NumPy; inputs that must be constants are, for each run anew."""

    def run(feeds: Mapping[str, Any]) -> list[Any]:
        constants = {name: value for name, value in feeds.items() if value is None or isinstance(value, list)}
        shapes = {name: np.shape(value) for name, value in feeds.items() if name not in constants}
        while True:
            try:
                program = operators.lower(model, shapes=shapes, constants=constants)
                break
            except NotConstant as needed:
                missing = [name for name in needed.inputs if name not in constants and name in feeds]
                if not missing:
                    raise
                constants.update({name: feeds[name] for name in missing})
        outputs = list(program.outputs.values())
        flat = [item for output in outputs for item in (output if isinstance(output, list) else [output])]
        results = iter(P.evaluate(flat, {item: feeds[item.label] for item in program.inputs}))
        return [[next(results) for _ in output] if isinstance(output, list) else next(results) for output in outputs]

    return run
