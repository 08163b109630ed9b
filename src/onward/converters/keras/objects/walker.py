"""Walks a model: layers by their functions, models by their graphs, all other layers by the operations that their `call` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import keras.src.backend
from keras.src.activations.activations import Mish
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.backend.common.variables import AutocastScope
from keras.src.backend.common.variables import Variable as KerasVariable
from keras.src.models.functional import Functional
from keras.src.utils.backend_utils import DynamicBackend

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.objects import through_jax, through_tensorflow
from onward.converters.keras.objects.through_jax import call_of
from onward.converters.keras.registry import LAYERS, OPERATIONS
from onward.converters.keras.walk import Walk
from onward.errors import ConversionError, UnsupportedOperator
from onward.ir import Value

flatten = keras.tree.flatten
ARITHMETIC = [f"__{name}__" for name in ("add", "sub", "mul", "truediv", "matmul", "pow", "floordiv", "mod", "eq", "ne", "lt", "le", "gt", "ge")]


class Walker(Walk):
    """What each symbolic tensor of Keras is in ONNX."""

    def __init__(self, c: Emitter) -> None:
        super().__init__(c)
        self.known: dict[int, Tensor] = {}
        self.alive: list[Any] = []
        """Symbolic tensors whose identities are known here, so that no other takes one."""

    def enter(self, symbolic: Any, tensor: Tensor) -> None:
        """Says what a symbolic tensor is."""
        self.alive.append(symbolic)
        self.known[id(symbolic)] = tensor

    def evaluate(self, results: Any) -> Any:
        """Tensors in the place of symbolic ones, all that they need before them."""
        pending = [item for item in flatten(results) if isinstance(item, keras.KerasTensor)]
        while pending:
            wanted = pending[-1]
            if id(wanted) in self.known:
                pending.pop()
                continue
            history = getattr(wanted, "_keras_history", None)
            if history is None or history.operation is None or not history.operation._inbound_nodes:
                raise ConversionError(f"{self.place()}: a result does not follow from the inputs through layers and keras.ops alone")
            node = history.operation._inbound_nodes[history.node_index]
            needed = [item for item in node.input_tensors if id(item) not in self.known]
            if needed or not node.input_tensors:
                if not needed:
                    raise ConversionError(f"{self.place()}: a result does not depend on the inputs")
                pending += needed
                continue
            for symbolic in node.input_tensors:
                if get_keras_mask(symbolic) is not None and self.known[id(symbolic)].mask is None:
                    self.known[id(symbolic)] = replace(self.known[id(symbolic)], mask=self.evaluate(get_keras_mask(symbolic)))
            args, kwargs = node.arguments.fill_in(self.known)
            if isinstance(node.operation, keras.Layer):
                kwargs = {**kwargs, **self._masks(node.operation, node.arguments)}
            for symbolic, made in zip(node.outputs, self.apply(node.operation, args, kwargs, node.outputs), strict=True):
                self.enter(symbolic, made)
        return keras.tree.map_structure(lambda item: self.known[id(item)] if isinstance(item, keras.KerasTensor) else item, results)

    def _masks(self, layer: Any, arguments: Any) -> dict[str, Any]:
        """The masks that Keras gives a layer with its arguments, where the call does not say them."""
        bound = layer._call_signature.bind(*arguments.args, **arguments.kwargs).arguments
        tensors = {name: item for name, item in bound.items() if any(isinstance(part, keras.KerasTensor) for part in flatten(item))}
        found = {}
        for name, item in tensors.items():
            mask = keras.tree.map_structure(lambda part: get_keras_mask(part) if isinstance(part, keras.KerasTensor) else None, item)
            called = "mask" if len(tensors) == 1 and "mask" in layer._call_signature.parameters else f"{name}_mask"
            if called in layer._call_signature.parameters and bound.get(called) is None and any(part is not None for part in flatten(mask)):
                found[called] = self.evaluate(mask)
        return found

    def apply(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> list[Tensor]:
        """The results of one call of a layer or operation."""
        if isinstance(operation, keras.Layer):
            made = self.layer(operation, args, kwargs)
        else:
            made = self._operation(operation, args, kwargs, outputs)
        return self.wrapped(made, outputs)

    def _operation(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Any:
        """By its own translation, else through JAX."""
        function = OPERATIONS.get(type(operation).__name__)
        ways = [] if function is None else [lambda: function(self.c, operation, *args, **kwargs)]
        ways.append(lambda: through_jax.translate(self.c, operation.call, args, kwargs, outputs))
        return self.first_of(ways, f"operation keras.ops {type(operation).__name__}")

    def wrapped(self, made: Any, outputs: Sequence[Any]) -> list[Tensor]:
        """Values with what Keras knows of them."""
        items = flatten(made) if isinstance(made, (list, tuple, dict)) else [made]
        if items == [None]:
            items = [self.c.graph.new_value() for _ in outputs]
        found = []
        for item, symbolic in zip(items, outputs, strict=True):
            value = self.c.value(item)
            assert value is not None
            dtype = item.dtype if isinstance(item, Tensor) else keras.backend.standardize_dtype(symbolic.dtype)
            found.append(Tensor(value, dtype, tuple(symbolic.shape)))
        return found

    def layer(self, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The results of a layer's call, in its structure."""
        with self.inside(layer.path or layer.name, f"{type(layer).__module__}.{type(layer).__qualname__}", layer.compute_dtype):
            if layer.autocast:
                args, kwargs = keras.tree.map_structure(lambda item: self._autocast(item, layer), (tuple(args), dict(kwargs)))
            return self._called(layer, args, dict(kwargs))

    def activated(self, activation: Any, x: Tensor) -> Any:
        """An activation, any callable of keras.ops, applied."""
        if activation is None or activation is keras.activations.linear:
            return x
        symbolic = keras.KerasTensor(x.shape, x.dtype)
        self.enter(symbolic, x)
        with symbolic_tensors_accepted():
            result = activation(symbolic)
        return self.evaluate(result)

    def _autocast(self, item: Any, layer: Any) -> Any:
        return self.c.cast(item, layer.input_dtype) if isinstance(item, Tensor) and item.is_float else item

    def _called(self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        kwargs.pop("training", None)
        kwargs = {name: item for name, item in kwargs.items() if item is not None}
        function = _function_of(type(layer))
        graph = graph_of(layer)
        if graph is not None and function is None:
            return self._model(graph, args, kwargs)
        ways = [] if function is None else [lambda: function(self, layer, *args, **kwargs)]
        ways += [lambda: self._traced(layer, args, kwargs)]
        ways += [partial(way.translate_layer, self.c, layer, args, kwargs) for way in (through_tensorflow, through_jax)]
        return self.first_of(ways, f"layer {type(layer).__name__}")

    def _model(self, graph: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The results of a model in the model."""
        if kwargs.get("mask") is not None:
            return self.miss("model", "a mask that comes from outside the model")
        for symbolic, given in zip(graph.inputs, flatten(args[0] if len(args) == 1 else list(args)), strict=True):
            self.enter(symbolic, given)
        self._forget(graph)
        return self.evaluate(graph._outputs_struct)

    def _forget(self, graph: Any) -> None:
        """What a model computed in an earlier call."""
        for node in (node for level in graph._nodes_by_depth.values() for node in level):
            if not node.is_input:
                for symbolic in node.outputs:
                    self.known.pop(id(symbolic), None)

    def _traced(self, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operations of a layer's call on symbolic tensors."""

        def symbolic(item: Any) -> Any:
            if not isinstance(item, Tensor):
                return item
            made = keras.KerasTensor(item.shape, item.dtype)
            if item.mask is not None:
                set_keras_mask(made, symbolic(item.mask))
            self.enter(made, item)
            return made

        args, kwargs = keras.tree.map_structure(symbolic, (tuple(args), dict(kwargs)))
        if isinstance(kwargs.get("mask"), keras.KerasTensor) and args:
            set_keras_mask(args[0], kwargs["mask"])
        if layer._call_has_training_arg:
            kwargs = {**kwargs, "training": False}
        try:
            with AutocastScope(layer.compute_dtype if layer.autocast else None), symbolic_tensors_accepted(), operations_for_backend(layer):
                results = call_of(layer)(*args, **kwargs)
        except Exception as problem:  # whatever a call does with symbolic tensors that it cannot do
            line = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise UnsupportedOperator(f"its call cannot be followed through keras.ops ({type(problem).__name__}: {line[:200]})") from problem
        return self.evaluate(results)


class Operations:
    """`keras.ops` under the names that a backend of Keras gives them: `numpy.sum`, `image.resize`, `nn.relu`."""

    _backend = name = "operations"

    def __getattr__(self, name: str) -> Any:
        if name in ("numpy", "core", "math", "linalg"):
            return keras.ops
        return keras.random if name == "random" else getattr(keras.ops, name)


@contextmanager
def operations_for_backend(layer: Any) -> Iterator[None]:
    """For the time of a call a layer that speaks to its backend speaks to `keras.ops`."""
    kept = getattr(layer, "backend", None)
    if not isinstance(kept, DynamicBackend):
        yield
        return
    layer.backend = Operations()
    try:
        yield
    finally:
        layer.backend = kept


@contextmanager
def symbolic_tensors_accepted() -> Iterator[None]:
    """For the time of a call Keras's own conversions let symbolic tensors pass, and variables and NumPy's arrays leave arithmetic to them."""
    convert = keras.src.backend.convert_to_tensor

    def converted(x: Any, dtype: Any = None, **how: Any) -> Any:
        if isinstance(x, keras.KerasTensor):
            return x if dtype is None or keras.backend.standardize_dtype(dtype) == x.dtype else keras.ops.cast(x, dtype)
        return convert(x, dtype=dtype, **how)

    def yielding(method: Any) -> Any:
        return lambda variable, other: NotImplemented if isinstance(other, keras.KerasTensor) else method(variable, other)

    kept = {name: getattr(KerasVariable, name) for name in ARITHMETIC}
    mish = Mish.static_call
    keras.src.backend.convert_to_tensor = converted
    Mish.static_call = staticmethod(lambda x: Mish().symbolic_call(x) if isinstance(x, keras.KerasTensor) else mish(x))
    keras.KerasTensor.__array_ufunc__ = None
    for name, method in kept.items():
        setattr(KerasVariable, name, yielding(method))
    try:
        yield
    finally:
        keras.src.backend.convert_to_tensor = convert
        Mish.static_call = staticmethod(mish)
        del keras.KerasTensor.__array_ufunc__
        for name, method in kept.items():
            setattr(KerasVariable, name, method)


def _function_of(kind: type) -> Any:
    """The function of a layer's class, or of the class of Keras whose call it keeps."""
    kept = [base for base in kind.__mro__ if base.__module__.startswith("keras.") and getattr(base, "call", None) is getattr(kind, "call", None)]
    return next((LAYERS[base.__name__] for base in kept if base.__name__ in LAYERS), None)


def graph_of(layer: Any) -> Any:
    """The functional model that a layer is, if it is one with the usual call."""
    if isinstance(layer, keras.Sequential) and type(layer).call is keras.Sequential.call:
        return layer._functional
    return layer if isinstance(layer, Functional) and type(layer).call is Functional.call else None


def values_of(items: Any) -> list[Value]:
    """The ONNX values of a structure of tensors."""
    return [item.value for item in flatten(items)]
