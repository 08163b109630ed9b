"""Walks the configurations of a file: layers by their functions, models by their graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onward.converters.keras.emitter import Tensor, numpy_type, onnx_type
from onward.converters.keras.files import masks
from onward.converters.keras.files.layer import SavedLayer
from onward.converters.keras.layers.activations import named_activation
from onward.converters.keras.registry import LAYERS, OPERATIONS, Described
from onward.converters.keras.structure import flatten, mapped
from onward.converters.keras.walk import Walk
from onward.errors import FormatError, UnsupportedOperator
from onward.ir import TensorType

MODELS = ("Functional", "Sequential", "Model")
UNKNOWN = "its code is not in the file: install Keras, and pass the model that it loads"
KERAS = "Keras's code alone says what it does: install Keras"
Key = tuple[str, int, int]


class FileWalker(Walk):
    """Follows a file's models and layers."""

    def layer(self, layer: SavedLayer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with self.inside(layer.path, f"keras.layers.{layer.kind}", None):
            return self.first_of([lambda: self._called(layer, args, dict(kwargs))], f"layer {layer.kind}")

    def _called(self, layer: SavedLayer, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if layer.kind in MODELS and not layer.own:
            return Graph(self, layer).results(args[0] if len(args) == 1 else list(args))
        function = LAYERS.get(layer.kind)
        if function is None or layer.own:
            raise UnsupportedOperator(why_unknown(layer))
        kwargs = {name: item for name, item in kwargs.items() if item is not None and name != "training"}
        self.c.compute_dtype = layer.compute_dtype
        if args and isinstance(args[0], Tensor):
            layer.shapes.setdefault("input_shape", args[0].shape)
        args, kwargs = mapped(self._autocast, list(args)), {name: mapped(self._autocast, item) for name, item in kwargs.items()}
        made = function(self, layer, *args, **{**kwargs, **masks.taken(function, args, kwargs)})
        first = args[0] if args else next(iter(kwargs.values()))
        return masks.given(self, layer, first, mapped(lambda item: self.c.described(self.c.value(item)), made))

    def _autocast(self, item: Any) -> Any:
        return self.c.cast(item, self.c.compute_dtype) if isinstance(item, Tensor) and item.is_float else item

    def activated(self, activation: Any, x: Tensor) -> Any:
        """An activation by its name, or a layer that is one."""
        if activation is None:
            return x
        if isinstance(activation, str):
            return named_activation(self.c, activation, x)
        if activation["class_name"] != "function":
            path = self.c.origin["onward.module"]
            return self.layer(SavedLayer.of(_nowhere(self), activation, "", path), [x], {})
        if not str(activation.get("module")).startswith(("builtins", "keras")):
            raise UnsupportedOperator(f"the activation '{activation['config']}': {UNKNOWN}")
        return named_activation(self.c, activation["config"], x)

    def operation(self, described: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The results of an operation of `keras.ops` among the layers of a model."""
        kind = described["class_name"]
        with self.inside(described["name"], f"keras.ops.{kind}", None):
            function = OPERATIONS.get(kind)
            if function is None:
                return self.miss(f"operation keras.ops {kind}", "install Keras, through which it is read")
            made = self.first_of([lambda: function(self.c, type(kind, (Described,), {})(described["config"]), *args, **kwargs)], f"operation keras.ops {kind}")
            return None if made is None else mapped(lambda item: self.c.described(self.c.value(item)), made)


def name_of(described: Mapping[str, Any]) -> str:
    """The name of a described layer; those of one's own need not say theirs."""
    return str(described.get("name") or described["config"].get("name") or described["class_name"])


class Graph:
    """One model: its layers, and what they give for its inputs."""

    def __init__(self, walker: FileWalker, model: SavedLayer) -> None:
        self.walker, self.model = walker, model
        described = model.config["layers"]
        self.described = {name_of(item): item for item in described}
        prefix = "" if "/" not in model.place and not model.path else f"{model.path}/"
        if model.kind == "Sequential":
            is_layer = [item for item in described if item["class_name"] != "InputLayer"]
        else:
            is_layer = [item for item in described if not is_operation(item)]
        made = model.listed(is_layer, "layers", prefix)
        self.layers = {name_of(item): layer for item, layer in zip(is_layer, made)}
        self.known: dict[Key, Tensor] = {}

    def results(self, inputs: Any) -> Any:
        """What the model gives, in its structure."""
        if self.model.kind == "Sequential":
            return self._in_a_row(inputs)
        entries = keys(self.model.config["input_layers"])
        for key, item in zip(flatten_keys(entries), flatten(inputs), strict=True):
            self.known[key] = item
        return _of_keys(keys(self.model.config["output_layers"]), self._value)

    def _in_a_row(self, x: Any) -> Any:
        for layer in self.layers.values():
            if x is not None:
                x = self.walker.layer(layer, [x], {})
            elif layer.own or layer.kind not in LAYERS and layer.kind not in MODELS:
                with self.walker.inside(layer.path, layer.kind, None):
                    self.walker.miss(f"layer {layer.kind}", why_unknown(layer))
        return x

    def _value(self, key: Key) -> Tensor:
        """A tensor of the graph, all that it needs before it."""
        pending, opened = [key], set()
        while pending:
            name, node, _ = wanted = pending[-1]
            if wanted in self.known:
                pending.pop()
                continue
            calls = self.described[name]["inbound_nodes"] if name in self.described else []
            if node >= len(calls) or not isinstance(calls[node], dict):
                raise FormatError(
                    f"the file says nothing of call {node} of layer '{name}', or says it in the way of Keras 2: save the model again with Keras 3"
                )
            given, named = ({"args": calls[node]["args"], "kwargs": calls[node].get("kwargs") or {}}[part] for part in ("args", "kwargs"))
            needed = [other for other in _needed([given, named]) if other not in self.known]
            if needed:
                opened.add(wanted)
                if opened.intersection(needed):
                    raise FormatError(f"layer '{name}' needs its own result")
                pending += needed
                continue
            opened.discard(wanted)
            self._call(name, node, [self._decoded(item) for item in given], {called: self._decoded(item) for called, item in named.items()})
            if wanted not in self.known:
                self.known[wanted] = self._unknown(wanted)
        return self.known[key]

    def _call(self, name: str, node: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        described = self.described[name]
        made = self.walker.operation(described, args, kwargs) if name not in self.layers else self.walker.layer(self.layers[name], args, kwargs)
        for place, item in enumerate([] if made is None else flatten(made)):
            self.known[name, node, place] = item

    def _unknown(self, key: Key) -> Tensor:
        """What stands for the result of a layer without a translation, as those that take it describe it."""
        for described in self.described.values():
            for item in _tensors(described.get("inbound_nodes", [])):
                if tuple(item["keras_history"]) == key:
                    return self._placeholder(item["dtype"], item["shape"])
        return self._placeholder("float32", [None])

    def _placeholder(self, dtype: str, shape: Sequence[int | None]) -> Tensor:
        return Tensor(self.walker.c.graph.new_value(TensorType(onnx_type(dtype), tuple(shape))), dtype, tuple(shape))

    def _decoded(self, item: Any) -> Any:
        """An argument of a call."""
        if isinstance(item, list):
            return [self._decoded(part) for part in item]
        if not isinstance(item, dict):
            return item
        if "class_name" not in item:
            return {name: self._decoded(part) for name, part in item.items()}
        kind, config = item["class_name"], item["config"]
        if kind == "__keras_tensor__":
            return self.known[_key(config["keras_history"])]
        if kind in ("__numpy__", "__tensor__"):
            return np.array(config["value"], numpy_type(config["dtype"]))
        if kind == "__ellipsis__":
            return Ellipsis
        if kind == "__slice__":
            return slice(*(self._decoded(config[part]) for part in ("start", "stop", "step")))
        raise UnsupportedOperator(f"an argument of the kind {kind}")


def why_unknown(layer: SavedLayer) -> str:
    """What to do about a layer that is not known here."""
    return KERAS if layer.module.startswith("keras") and layer.kind != "Lambda" else UNKNOWN


def is_operation(described: Mapping[str, Any]) -> bool:
    """Whether what stands among a model's layers is an operation of `keras.ops`; An .h5 file does not say where a class comes from;
    layers of a name that is an operation's too say whether they are trained."""
    module, kind = described.get("module") or "", described["class_name"]
    if kind in (*MODELS, "InputLayer"):
        return False
    if module:
        return bool(module.startswith(("keras.src.ops", "keras.src.activations")))
    return kind not in LAYERS or kind in OPERATIONS and "trainable" not in described["config"]


def keys(structure: Any) -> Any:
    """Names of tensors, [layer, call, place], in the structure of a model's inputs or outputs."""
    if isinstance(structure, dict):
        return {name: keys(item) for name, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        if len(structure) == 3 and isinstance(structure[0], str):
            return _key(structure)
        return [keys(item) for item in structure]
    raise FormatError(f"{str(structure)[:100]} names no tensor of a model")


def flatten_keys(structure: Any) -> list[Key]:
    """Those names, in order."""
    if isinstance(structure, dict):
        return [key for name in sorted(structure) for key in flatten_keys(structure[name])]
    return [structure] if isinstance(structure, tuple) else [key for item in structure for key in flatten_keys(item)]


def _of_keys(structure: Any, value: Any) -> Any:
    if isinstance(structure, dict):
        return {name: _of_keys(item, value) for name, item in structure.items()}
    return value(structure) if isinstance(structure, tuple) else [_of_keys(item, value) for item in structure]


def _key(history: Sequence[Any]) -> Key:
    name, node, place = history
    return str(name), int(node), int(place)


def _tensors(item: Any) -> list[Any]:
    """The configurations of the tensors among arguments."""
    if isinstance(item, list):
        return [found for part in item for found in _tensors(part)]
    if not isinstance(item, dict):
        return []
    if item.get("class_name") == "__keras_tensor__":
        return [item["config"]]
    return [found for part in item.values() for found in _tensors(part)]


def _needed(arguments: Any) -> list[Key]:
    return [_key(item["keras_history"]) for item in _tensors(arguments)]


def _nowhere(walker: FileWalker) -> Any:
    """Where a layer that is an activation has its weights: it has none."""
    return None
