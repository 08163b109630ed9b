"""The model itself as the judge of its conversion: data that it accepts, in several sizes, and what it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import keras.src.backend.common.dtypes
import numpy as np

from onward.converters.certificate import Reference
from onward.converters.comparison import tolerances_with
from onward.converters.keras.data import Port, data
from onward.converters.keras.emitter import numpy_type

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}


class Source:
    """A model with names for what goes in and comes out."""

    def __init__(
        self, model: Any, symbols: Sequence[Any], structure: Any, inputs: Sequence[str], outputs: Sequence[str], example: Sequence[np.ndarray] | None
    ) -> None:
        self.model, self.symbols, self.structure = model, list(symbols), structure
        self.inputs, self.names, self.example = list(inputs), list(outputs), example
        self._double: Any = None

    def reference(self, notes: Sequence[str]) -> Reference:
        """What the model is to reproduce, on its example and on generated data."""
        name = f"keras {keras.__version__} on {keras.backend.backend()}"
        narrow = (numpy_type(layer.compute_dtype) for layer in self.model._flatten_layers() if "float" in (layer.compute_dtype or ""))
        tolerances, narrowness = tolerances_with(narrow, TOLERANCES)
        if any(keras.backend.standardize_dtype(symbol.dtype) == "string" for symbol in self.symbols) and keras.backend.backend() != "tensorflow":
            note = f"Keras's backend {keras.backend.backend()} has no tensors of text: nothing was compared, as it is on TensorFlow"
            return Reference(name, self.data(), None, None, tolerances, (*notes, note))
        return Reference(name, self.data(), self.outputs, self.exactly, tolerances, (*notes, *narrowness))

    def data(self) -> dict[str, dict[str, np.ndarray]]:
        """Feeds that the model accepts."""
        layers = self.model._flatten_layers()
        classes = min((item.input_dim for item in layers if isinstance(item, keras.layers.Embedding)), default=10)
        words = [str(word) for item in layers if hasattr(item, "get_vocabulary") for word in item.get_vocabulary()]
        symbols = zip(self.inputs, self.symbols, strict=True)
        ports = [Port(name, tuple(symbol.shape), keras.backend.standardize_dtype(symbol.dtype)) for name, symbol in symbols]
        return data(ports, classes, words, self.example)

    def outputs(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the model gives, or None where it refuses the data."""
        return self._run(self.model, feeds)

    def exactly(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The same in double precision, or None where the model cannot be made again in it."""
        if self._double is None:
            try:
                self._double = in_double_precision(self.model, keras.tree.map_structure(lambda item: item.shape, self.structure))
            except Exception:  # a model that cannot be made again has no exact form
                self._double = False
        if self._double is False:
            return None
        with doubles_stay():
            return self._run(self._double, _doubles(feeds))

    def _run(self, model: Any, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        for layer in model._flatten_layers():
            if getattr(layer, "stateful", False) and layer.states is not None:
                layer.reset_state()
        given = keras.tree.pack_sequence_as(self.structure, [keras.ops.convert_to_tensor(feeds[name]) for name in self.inputs])
        try:
            results = model(given, training=False) if model._call_has_training_arg else model(given)
        except Exception:  # the model does not take this data
            return None
        return {name: plain(keras.ops.convert_to_numpy(item)) for name, item in zip(self.names, keras.tree.flatten(results), strict=True)}


@contextmanager
def doubles_stay() -> Iterator[None]:
    """For its time Keras does not narrow the results of doubles to single precision, as it does on every backend."""
    table = keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE
    kept = dict(table)
    table["float64"] = "float64"
    try:
        yield
    finally:
        table.clear()
        table.update(kept)


def plain(result: Any) -> np.ndarray:
    """An array; text, which TensorFlow gives as bytes, as text."""
    array = np.asarray(result)
    return np.vectorize(lambda item: item.decode() if isinstance(item, bytes) else item, otypes=[object])(array) if array.dtype.kind in "OS" else array


def _doubles(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: item.astype(np.float64) if item.dtype.kind not in "iubOU" else item for name, item in feeds.items()}


def in_double_precision(model: Any, shapes: Any) -> Any:
    """The same model, with the same weights, in double precision."""
    described = _doubled(keras.saving.serialize_keras_object(model))
    custom = {type(item).__name__: type(item) for item in model._flatten_layers()}
    with doubles_stay():
        copy = keras.saving.deserialize_keras_object(described, custom_objects=custom)
        if not copy.built:
            copy.build(shapes)
    copy.set_weights(model.get_weights())
    return copy


def _doubled(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: "float64" if key in ("dtype", "name") and value in ("float32", "mixed_float16") else _doubled(value) for key, value in item.items()}
    return [_doubled(part) for part in item] if isinstance(item, list) else tuple(map(_doubled, item)) if isinstance(item, tuple) else item
