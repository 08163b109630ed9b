"""A layer as a file describes it, with the attributes that the layer has in Keras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.keras.emitter import Weight, numpy_type
from onward.converters.keras.files.archive import Archive
from onward.converters.keras.files.policy import Policy, inputs_quantizer, kernel_shape
from onward.converters.keras.operations.network import many
from onward.converters.keras.registry import LAYERS
from onward.errors import FormatError, UnsupportedOperator

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Variable:
    """A weight: its attribute, when a layer has it, and its name in files where that is another."""

    name: str
    when: Callable[[Config], Any] = lambda config: True
    stored: str = ""


CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Classes that configurations call by the name that Keras exports."""

KERNEL, BIAS = Variable("kernel"), Variable("bias", lambda config: config["use_bias"])
RECURRENT = (KERNEL, Variable("recurrent_kernel"), BIAS)
SCALED = (Variable("gamma", lambda config: config["scale"] or config.get("rms_scaling")), Variable("beta", lambda config: config["center"] and not config.get("rms_scaling")))  # fmt: skip
VARIABLES: dict[str, Sequence[Variable]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), (KERNEL, BIAS)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), (Variable("depthwise_kernel"), Variable("pointwise_kernel"), BIAS)),
    **dict.fromkeys(("SimpleRNNCell", "LSTMCell", "GRUCell", "ConvLSTMCell"), RECURRENT),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), SCALED),
    "BatchNormalization": (*SCALED, Variable("moving_mean"), Variable("moving_variance")),
    "EinsumDense": (KERNEL, Variable("bias", lambda config: config["bias_axes"])),
    "Embedding": (Variable("embeddings"),),
    "ReversibleEmbedding": (Variable("embeddings"), Variable("reverse_embeddings", lambda config: not config["tie_weights"])),
    "RMSNormalization": (Variable("scale"),),
    "PReLU": (Variable("alpha"),),
    "Attention": (Variable("scale", lambda config: config["use_scale"]), Variable("concat_score_weight", lambda config: config["score_mode"] == "concat")),
    "AdditiveAttention": (Variable("scale", lambda config: config["use_scale"]),),
    "Normalization": (Variable("adapt_mean", lambda config: config["mean"] is None, "mean"), Variable("adapt_variance", lambda config: config["mean"] is None, "variance")),
}  # fmt: skip
"""The weights of layers, in the order in which they make them."""

GROUPED = frozenset({"kernel_zero", "embeddings_zero", "reverse_embeddings_zero", "g_idx"})
"""Weights of layers whose codes are in groups."""
PRODUCTS = ("Dense", "EinsumDense")
TABLE = tuple(Variable(name) for name in ("embeddings", "embeddings_scale", "embeddings_zero", "g_idx"))
REVERSE = tuple(Variable(f"reverse_embeddings{what}", lambda config: not config["tie_weights"]) for what in ("", "_scale", "_zero"))
CODED: dict[tuple[str, str], Sequence[Variable]] = {
    **{(kind, "int8"): (*VARIABLES[kind], Variable("kernel_scale")) for kind in PRODUCTS},
    **{(kind, "int4"): (*VARIABLES[kind], Variable("kernel_scale"), Variable("kernel_zero"), Variable("g_idx")) for kind in PRODUCTS},
    **{(kind, "float8"): (*VARIABLES[kind], Variable("inputs_scale"), Variable("inputs_amax_history"), Variable("kernel_scale")) for kind in PRODUCTS},
    ("Embedding", "int8"): TABLE[:2], ("Embedding", "int4"): TABLE,
    ("ReversibleEmbedding", "int8"): (*TABLE[:2], *REVERSE[:2]), ("ReversibleEmbedding", "int4"): (*TABLE, *REVERSE),
}  # fmt: skip
"""The weights of layers in a mode of codes, in the order in which files have them."""


class SavedLayer:
    """A layer of a file. Attributes are its weights, its inner layers, what follows from its configuration, and that itself; each with
    or without an underscore before its name, as in Keras."""

    def __init__(self, archive: Archive, described: Config, place: str, path: str) -> None:
        self.archive, self.place, self.path = archive, place, path
        self.module: str = described.get("module") or ""
        self.own: bool = "module" in described and not self.module.startswith("keras")
        self.config: dict[str, Any] = described["config"]
        self.shapes: dict[str, Any] = dict(described.get("build_config") or {})
        """The shape that the layer was built for, or is called with."""
        self._made: dict[str, Any] = {}

    @staticmethod
    def of(archive: Archive, described: Config, place: str, path: str) -> SavedLayer:
        """The layer of a description; its class has the name of the layer's. Raises FormatError where the description is none."""
        if not isinstance(described, dict) or not isinstance(described.get("config"), dict) or not isinstance(described.get("class_name"), str):
            raise FormatError(f"the description of layer '{path}' is none: {str(described)[:100]}")
        made: SavedLayer = type(class_of(described), (SavedLayer,), {})(archive, described, place, path)
        return made

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self).__name__

    @property
    def _call_has_mask_arg(self) -> bool:
        return "mask" in inspect.signature(LAYERS[self.kind]).parameters

    @property
    def policy(self) -> Policy:
        """The data types of the layer."""
        return Policy.of(self.config.get("dtype"), self.path)

    @property
    def compute_dtype(self) -> str:
        """The data type that the layer computes in."""
        return self.policy.compute_dtype

    @property
    def quantization_mode(self) -> str | None:
        """What codes the weights are; None for numbers."""
        return self.policy.mode

    @property
    def inputs_quantizer(self) -> Any:
        """How a layer with weights of codes rounds its inputs, None where it does not."""
        return inputs_quantizer(self.kind, self.quantization_mode or "", self.config)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        bare = name.lstrip("_")
        if bare not in self._made:
            self._made[bare] = self._attribute(bare)
        return self._made[bare]

    def _attribute(self, name: str) -> Any:
        for number, variable in enumerate(self._variables()):
            if variable.name == name:
                return self._weight(number, variable)
        if any(variable.name == name for variable in self._possible()):
            return None
        function = DERIVED.get(self.kind, {}).get(name)
        if function is not None:
            return function(self)
        if name in self.config:
            return self.config[name]
        raise AttributeError(f"layer '{self.path}' ({self.kind}) says nothing of its '{name}'")

    def _variables(self) -> list[Variable]:
        grouped = self.policy.grouped
        return [variable for variable in self._possible() if (grouped or variable.name not in GROUPED) and variable.when(self.config)]

    def _possible(self) -> Sequence[Variable]:
        mode = self.quantization_mode
        return VARIABLES.get(self.kind, ()) if mode is None else CODED.get((self.kind, mode), ())

    def _weight(self, number: int, variable: Variable) -> Weight:
        name = variable.stored or variable.name
        found = self.archive.array(self.place, self.path, number, name)
        if found is None:
            raise UnsupportedOperator(f"the file has no weight '{name}' for it")
        return Weight(f"{self.path}/{name}", found)

    def inner(self, described: Config, attribute: str, name: str = "") -> SavedLayer:
        """A layer that an attribute of this one holds, which places in files name with or without an underscore."""
        places = [f"{self.place}/{attribute}", f"{self.place}/_{attribute}"]
        place = next((place for place in places if self.archive.has(place)), places[0])
        return SavedLayer.of(self.archive, described, place, f"{self.path}/{name or described['config'].get('name', attribute)}")

    def listed(self, described: Sequence[Config], attribute: str = "layers", prefix: str = "") -> Iterator[SavedLayer]:
        """Layers of a list that an attribute holds: places number those of one class."""
        used: dict[str, int] = {}
        for item in described:
            name = snake_case(class_of(item))
            used[name] = used.get(name, -1) + 1
            numbered = f"{name}_{used[name]}" if used[name] else name
            place = "/".join(filter(None, (self.place, attribute, numbered)))
            yield SavedLayer.of(self.archive, item, place, f"{prefix}{item['config'].get('name', numbered)}")

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """States of zeros that a recurrent layer begins with."""
        cells = self.cell.cells if self.cell.kind == "StackedRNNCells" else [self.cell]
        states = [_zeros(cell, batch_size, self.shapes) for cell in cells]
        return states if self.cell.kind == "StackedRNNCells" else states[0]


def class_of(described: Config) -> str:
    """The name of a layer's class."""
    name = str(described["class_name"])
    return CLASSES.get(name, name)


def snake_case(name: str) -> str:
    """The name of a class as places write it."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _zeros(cell: SavedLayer, batch: int, shapes: Any) -> list[np.ndarray]:
    if cell.kind == "ConvLSTMCell":
        shape = (batch, *_convolved(cell, shapes["input_shape"]))
        return [np.zeros(shape, numpy_type(cell.compute_dtype)) for _ in range(2)]
    count = {"LSTMCell": 2, "GRUCell": 1, "SimpleRNNCell": 1}.get(cell.kind)
    if count is None:
        raise UnsupportedOperator(f"the cell {cell.kind}, which is not one of Keras's: install Keras to read it")
    return [np.zeros((batch, cell.units), numpy_type(cell.compute_dtype)) for _ in range(count)]


def _convolved(cell: SavedLayer, shape: Sequence[int | None]) -> list[int]:
    """What a step of convolutional recurrence gives for sequences of that shape, without the batch."""
    first = cell.data_format == "channels_first"
    extents = shape[3:] if first else shape[2:-1]
    if None in extents:
        raise UnsupportedOperator("convolutional recurrence of open sizes")
    windows, strides, dilations = (many(item, len(extents)) for item in (cell.kernel_size, cell.strides, cell.dilation_rate))
    spans = [0 if cell.padding == "same" else (window - 1) * dilation for window, dilation in zip(windows, dilations)]
    sizes = [-(-(extent - span) // stride) for extent, span, stride in zip(extents, spans, strides) if extent is not None]
    return [cell.filters, *sizes] if first else [*sizes, cell.filters]


def _cell(kind: str, name: str) -> dict[str, Callable[[SavedLayer], Any]]:
    return {"cell": lambda layer: layer.inner({"class_name": kind, "config": layer.config}, "cell", name)}


def _projection(attribute: str, name: str, heads: Sequence[str] = (), activation: str | None = None) -> Callable[[SavedLayer], SavedLayer]:
    """A projection of attention to as many heads as one of these settings says, or from them."""

    def make(layer: SavedLayer) -> SavedLayer:
        count = next((layer.config[key] for key in heads if key in layer.config), None)
        config = {**layer.config, "activation": activation, "bias_axes": "b" if layer.config["use_bias"] else None, "equation": "", "name": name}
        made = layer.inner({"class_name": "EinsumDense", "config": config}, attribute, name)
        made.config["dtype"] = _stored_policy(made)
        axes = "cde" if made.quantization_mode == "int4" else "cdefgh"[: len(made.kernel.shape)]
        made.config["equation"] = f"abc,{axes}->ab{axes[1:]}" if heads else f"ab{axes[:2]},{axes}->ab{axes[2:]}"
        made.config["output_shape"] = [count, None] if heads else [None]
        return made

    return make


def _stored_policy(layer: SavedLayer) -> Any:
    """The data types of a layer within another: files need not say that its weights are codes, which these tell themselves."""
    number, policy = 2 if layer.config["use_bias"] else 1, layer.policy
    scale = layer.archive.array(layer.place, layer.path, number, "kernel_scale")
    if policy.mode is not None or scale is None:
        return layer.config.get("dtype")
    mode = "float8"
    kernel = layer.archive.array(layer.place, layer.path, 0, "kernel")
    if kernel is not None and kernel.dtype == np.int8:
        mode = "int8" if kernel.ndim > 2 else "int4/-1" if scale.ndim < 2 else "int4/1"
    return f"{mode}_from_{policy.compute_dtype}"


QUERIES, KEYS = ("num_heads", "num_query_heads"), ("num_heads", "num_key_value_heads")
HEADS = {
    "query_dense": _projection("query_dense", "query", QUERIES), "key_dense": _projection("key_dense", "key", KEYS),
    "value_dense": _projection("value_dense", "value", KEYS), "gate_dense": _projection("gate_dense", "gate", QUERIES, "sigmoid"),
    "output_dense": _projection("output_dense", "attention_output"),
}  # fmt: skip


def _backward(layer: SavedLayer) -> SavedLayer:
    described = layer.config.get("backward_layer")
    if described is None:
        described = {**layer.config["layer"]}
        config = described["config"]
        described["config"] = {**config, "go_backwards": not config["go_backwards"], "name": f"backward_{config['name']}"}
    return layer.inner(described, "backward_layer")


def _statistic(name: str) -> Callable[[SavedLayer], np.ndarray]:
    """What Normalization subtracts, or divides by: adapted to data, or given."""

    def find(layer: SavedLayer) -> np.ndarray:
        shape = layer.shapes["input_shape"]
        axes = [layer.config["axis"]] if isinstance(layer.config["axis"], int) else layer.config["axis"] or []
        kept = sorted(axis % len(shape) for axis in axes)
        given = layer.config[name]
        found = getattr(layer, f"adapt_{name}").value if given is None else np.asarray(plain(given))
        whole = [extent if axis in kept else 1 for axis, extent in enumerate(shape)]
        if given is not None and found.ndim:  # the last axes that are kept are those of the numbers
            extents = [1] * len(shape)
            for axis, extent in zip(kept[len(kept) - found.ndim :], found.shape):
                extents[axis] = extent
            found = found.reshape(extents)
        return found.reshape(whole) if given is None else np.broadcast_to(found, whole)

    return find


def plain(item: Any) -> Any:
    """What a configuration writes for an array."""
    return item["config"]["value"] if isinstance(item, dict) else item


WRAPPED: dict[str, Callable[[SavedLayer], Any]] = {"layer": lambda layer: layer.inner(layer.config["layer"], "layer")}
DERIVED: dict[str, dict[str, Callable[[SavedLayer], Any]]] = {
    "EinsumDense": {"original_kernel_shape": lambda layer: kernel_shape(layer.config["equation"], layer.shapes["input_shape"], layer.config["output_shape"])},
    "LSTM": _cell("LSTMCell", "lstm_cell"),
    "GRU": _cell("GRUCell", "gru_cell"),
    "SimpleRNN": _cell("SimpleRNNCell", "simple_rnn_cell"),
    **{f"ConvLSTM{rank}D": _cell("ConvLSTMCell", "conv_lstm_cell") for rank in (1, 2, 3)},
    "Pipeline": {"layers": lambda layer: list(layer.listed(layer.config["layers"], "layers", f"{layer.path}/"))},
    "RNN": {"cell": lambda layer: layer.inner(layer.config["cell"], "cell")},
    "StackedRNNCells": {"cells": lambda layer: list(layer.listed(layer.config["cells"], "cells", f"{layer.path}/"))},
    "Bidirectional": {
        "forward_layer": lambda layer: layer.inner(layer.config["layer"], "forward_layer"),
        "backward_layer": _backward,
        "return_sequences": lambda layer: layer.forward_layer.return_sequences,
        "return_state": lambda layer: layer.forward_layer.return_state,
    },
    "TimeDistributed": WRAPPED,
    "SpectralNormalization": WRAPPED,
    "MultiHeadAttention": HEADS,
    "GroupedQueryAttention": HEADS,
    "Normalization": {"mean": _statistic("mean"), "variance": _statistic("variance")},
}
"""What follows from a configuration."""
