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
from onward.ir import DataType, Model, TensorType, Value, as_model
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
    def run_node(cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any) -> tuple[Any, ...]:
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
    """A session of compiled code."""
    from onward.runtime import InferenceSession

    session = InferenceSession(model)
    return lambda feeds: session.run(None, feeds)


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
